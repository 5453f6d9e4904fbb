// Given. The browser's version: the page at /app/, and under /api/ the upstream as
// it is, for the page to log in at by itself. Both come from this server, so the
// page calls its own origin.
package main

import (
	"embed"
	"errors"
	"net/http"
	"net/http/httputil"
	"strings"
)

//go:embed app
var app embed.FS

// withPage serves the page and its API, and leaves everything else to next.
func withPage(up *upstream, next http.Handler) http.Handler {
	files := http.FileServerFS(app)
	api := http.StripPrefix("/api", &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(up.base) },
		Transport: up.wire,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
				say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
				return
			}
			say(w, http.StatusBadGateway, "The upstream cannot be reached")
		},
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/"):
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			api.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/app/"):
			// No script but ours runs in this page, and it cannot send its tokens to
			// anybody else: they are in its memory.
			w.Header().Set("Content-Security-Policy",
				"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-cache")
			files.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
