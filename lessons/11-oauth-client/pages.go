// Given. The pages. html/template escapes what is put into them.
package main

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// index is for everybody.
func (s *server) index(c echo.Context) error {
	who := s.people.find(s.sessions.GetString(c.Request().Context(), personKey))
	return show(c, http.StatusOK, "index", who)
}

// page answers with a sentence, and a link to go on with.
func (s *server) page(c echo.Context, status int, text, link string) error {
	return show(c, status, "notice", map[string]string{"Text": text, "Link": link})
}

// showHome shows a person what the provider says of them.
func (s *server) showHome(c echo.Context, who *person, said map[string]any) error {
	who.Lock()
	shown := struct {
		Name, Expires string
		Refreshed     int
		Claims        [][2]string
	}{Name: who.Name, Refreshed: who.Refreshed}
	if !who.Expires.IsZero() {
		shown.Expires = who.Expires.UTC().Format("15:04:05")
	}
	who.Unlock()
	for _, claim := range []string{"preferred_username", "name"} {
		if name, ok := said[claim].(string); ok && name != "" {
			shown.Name = name
		}
	}
	for _, claim := range slices.Sorted(maps.Keys(said)) {
		shown.Claims = append(shown.Claims, [2]string{claim, fmt.Sprint(said[claim])})
	}
	return show(c, http.StatusOK, "home", shown)
}

func show(c echo.Context, status int, name string, data any) error {
	var page strings.Builder
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store") // the next one at this computer presses Back
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	return c.HTML(status, page.String())
}

var pages = template.Must(template.New("").Parse(`
{{define "top"}}<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Workshop app</title>
<style>
:root { color-scheme: light dark; --page: #f5f7fa; --card: #fff; --text: #1f2933; --soft: #52606d; --line: #cbd2d9; --deed: #17633a; --on-deed: #fff }
@media (prefers-color-scheme: dark) { :root { --page: #12171d; --card: #1c232b; --text: #e6ebf0; --soft: #a3b0bd; --line: #3a4653; --deed: #7fd0a2; --on-deed: #0c1a12 } }
body { margin: 0; padding: 1rem; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 36rem; margin: clamp(0rem, 6vh, 4rem) auto; padding: clamp(1.25rem, 5vw, 2rem); background: var(--card); border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0 0 1rem; font-size: 1.625rem; line-height: 1.25; overflow-wrap: anywhere }
table { width: 100%; margin: 1.5rem 0; border-collapse: collapse }
th, td { padding: .5rem .75rem .5rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { color: var(--soft); font-weight: 400 }
.soft { color: var(--soft) }
a.deed, button { display: inline-block; padding: .6rem 1.25rem; border: 0; border-radius: .5rem; background: var(--deed); color: var(--on-deed); font: inherit; font-weight: 600; text-decoration: none; cursor: pointer }
:focus-visible { outline: 3px solid var(--deed); outline-offset: 2px }
</style>
<main>
{{end}}
{{define "index"}}{{template "top"}}<h1>Workshop app</h1>
{{if .}}<p>You are signed in as {{.Name}}.</p>
<p><a class="deed" href="/home">Go on</a></p>
{{else}}<p>Everybody may read this page. The next one is for people who have signed in.</p>
<p><a class="deed" href="/login">Sign in</a></p>
{{end}}</main>
{{end}}
{{define "home"}}{{template "top"}}<h1>Hello, {{.Name}}</h1>
<p>This is what the provider says of you, asked a moment ago with your access token:</p>
<table>{{range .Claims}}
<tr><th scope="row">{{index . 0}}</th><td>{{index . 1}}</td></tr>{{end}}
</table>
<p class="soft">{{if .Expires}}The token is good until {{.Expires}} UTC. {{end}}It was refreshed <b id="refreshed">{{.Refreshed}}</b> {{if eq .Refreshed 1}}time{{else}}times{{end}} since you signed in.</p>
<form method="post" action="/logout"><button>Sign out</button></form>
</main>
{{end}}
{{define "notice"}}{{template "top"}}<h1>Not now</h1>
<p>{{.Text}}</p>
<p><a class="deed" href="{{.Link}}">Try again</a></p>
</main>
{{end}}
`))
