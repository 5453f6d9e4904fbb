package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// errNotLoopback refuses an address that others than this machine can reach.
var errNotLoopback = errors.New("the page shows your tokens and runs your code: it listens on this machine only, as on 127.0.0.1:8765")

// listen listens on an address of the loopback. It returns [errNotLoopback],
// wrapped, for any other.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("-addr %s: %w", addr, err)
	}
	if !isLoopback(host) {
		return nil, fmt.Errorf("-addr %s: %w", addr, errNotLoopback)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%w): is another page open there? Try -addr 127.0.0.1:8766", addr, err)
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() { // what localhost is, the machine's own files say
		l.Close()
		return nil, fmt.Errorf("-addr %s: %w", addr, errNotLoopback)
	}
	return l, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// policy lets the page load what it brings and nothing else: no inline script or
// style, nothing of another host, no frame around it, and no string that becomes
// HTML in a script (CSP 3, Trusted Types).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guard lets in only who opened the page on this machine, at the given port. A page
// of another origin may not ask, and one whose name was bound to 127.0.0.1 (DNS
// rebinding) is known by the name in Host.
func guard(port string, next http.Handler) http.Handler {
	// A browser says where a request comes from (Sec-Fetch-Site, Origin). What
	// changes something is refused here if that is elsewhere.
	sameOrigin := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		host, at, err := net.SplitHostPort(r.Host)
		if err != nil {
			host, at = r.Host, "80"
		}
		switch {
		case !isLoopback(strings.Trim(host, "[]")) || at != port:
			http.Error(w, "This page answers to localhost and 127.0.0.1 only.", http.StatusMisdirectedRequest)
		case r.Header.Get("Origin") != "" && r.Header.Get("Origin") != "http://"+r.Host:
			http.Error(w, "Only this page's own scripts may ask.", http.StatusForbidden)
		case foreign(r):
			http.Error(w, "Only this page itself may ask.", http.StatusForbidden)
		default:
			sameOrigin.ServeHTTP(w, r)
		}
	})
}

// foreign tells whether another site's page sends the request, unless a person
// follows a link from there to a page of ours.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	toPage := !strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != "/events"
	return r.Method != http.MethodGet || !toPage || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}
