package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

//go:embed static pages
var assets embed.FS

// What a request may bring, in bytes: a body for the learner's server may be larger
// than what that server should take (1 MiB), so that it can be seen to refuse it.
const (
	maxBody = 64 << 10
	maxSend = 3 << 20
)

// A site is the whole page.
type site struct {
	book   *workbook.Workbook
	hub    *hub
	server *server
	asker  *asker
	pages  map[string]*template.Template
	build  builder
}

// newSite returns the page for a checkout. Close ends what it has started.
func newSite(book *workbook.Workbook) (*site, error) {
	s := &site{book: book, pages: map[string]*template.Template{}, build: builder{book: book}}
	s.hub = newHub(book, s.tellServer)
	s.server = newServer(s.build.build, s.tellServer)
	s.asker = &asker{server: s.server}
	for _, name := range []string{"lessons", "lesson", "lab", "pad", "missing"} {
		t, err := template.New("frame.html").Funcs(functions).ParseFS(assets, "pages/frame.html", "pages/"+name+".html")
		if err != nil {
			return nil, err
		}
		s.pages[name] = t
	}
	return s, nil
}

// Close ends the learner's server and all watching.
func (s *site) Close() {
	s.hub.shut()
	s.server.stop()
}

// A builder compiles lessons for the page, one at a time, and beside the programs that
// are graded: a save while a server starts must not change what is started.
type builder struct {
	book *workbook.Workbook
	turn sync.Mutex
}

func (b *builder) build(ctx context.Context, l lessons.Lesson, solution bool) (program, hash string, err error) {
	b.turn.Lock()
	defer b.turn.Unlock()
	return b.book.BuildBeside(ctx, l, solution)
}

// handler returns all routes, without the guard.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.lessons)
	mux.HandleFunc("GET /lessons/{lesson}", s.lesson)
	mux.HandleFunc("GET /lessons/{lesson}/{picture}", s.picture)
	mux.HandleFunc("GET /lab", s.lab)
	mux.HandleFunc("GET /pad", s.pad)
	mux.HandleFunc("GET /static/", s.static)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("POST /api/hint", s.hint)
	mux.HandleFunc("GET /api/diff", s.diff)
	mux.HandleFunc("POST /api/server/start", s.start)
	mux.HandleFunc("POST /api/server/stop", s.stop)
	mux.HandleFunc("POST /api/server/skip", s.skip)
	mux.HandleFunc("POST /api/server/send", s.send)
	mux.HandleFunc("POST /api/server/forget", s.forget)
	mux.HandleFunc("POST /api/lab/explain", s.explain)
	mux.HandleFunc("POST /api/lab/ask", s.ask)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.missing(w) })
	return mux
}

var functions = template.FuncMap{
	"number": func(l lessons.Lesson) string { return fmt.Sprintf("%02d", l.Number()) },
	"asset":  assetURL,
}

// A frame is what every page has.
type frame struct {
	Title   string
	View    string // "lessons", "lesson", "lab", "pad"
	Lesson  string // the ID of the lesson that is watched, "" is none
	Lessons []lessons.Lesson
	Content any
}

func (s *site) render(w http.ResponseWriter, status int, f frame) {
	f.Lessons = lessons.All()
	var out bytes.Buffer
	if err := s.pages[f.View].Execute(&out, f); err != nil {
		http.Error(w, "the page has a fault: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	out.WriteTo(w)
}

// A listed lesson, with how far it is.
type listed struct {
	lessons.Lesson
	row
}

func (s *site) lessons(w http.ResponseWriter, r *http.Request) {
	var all []listed
	done := 0
	var current listed
	for i, p := range progress(s.book) {
		one := listed{lessons.All()[i], p}
		all = append(all, one)
		if p.State == "done" {
			done++
		}
		if p.Current {
			current = one
		}
	}
	s.render(w, http.StatusOK, frame{Title: "Lessons", View: "lessons", Content: map[string]any{"All": all, "Done": done, "Current": current}})
}

func (s *site) lesson(w http.ResponseWriter, r *http.Request) {
	l, ok := find(r.PathValue("lesson"))
	if !ok {
		s.missing(w)
		return
	}
	text, err := readme(l)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	around := map[int]lessons.Lesson{}
	for _, other := range lessons.All() {
		around[other.Number()-l.Number()] = other
	}
	s.render(w, http.StatusOK, frame{Title: l.Title, View: "lesson", Lesson: l.ID, Content: map[string]any{
		"Lesson": l, "Text": text, "Before": around[-1], "After": around[1], "Steps": len(suites.Own(l)),
	}})
}

// find is [lessons.Find] for a path of the page: there a lesson has its ID and no
// other name.
func find(id string) (lessons.Lesson, bool) {
	l, err := lessons.Find(id)
	return l, err == nil && l.ID == id
}

// picture serves a lesson's picture out of what is embedded.
func (s *site) picture(w http.ResponseWriter, r *http.Request) {
	l, ok := find(r.PathValue("lesson"))
	name := r.PathValue("picture")
	if !ok || path.Ext(name) != ".svg" || !fs.ValidPath(name) {
		s.missing(w)
		return
	}
	text, err := fs.ReadFile(l.Texts(), name)
	if err != nil {
		s.missing(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'") // a picture may style itself
	w.Write(text)
}

func (s *site) lab(w http.ResponseWriter, r *http.Request) {
	var doors []lessons.Lesson // lessons whose servers are shown tokens
	for _, l := range lessons.All() {
		if l.Number() >= 3 && suites.For(l).Beside == nil {
			doors = append(doors, l)
		}
	}
	s.render(w, http.StatusOK, frame{Title: "Token lab", View: "lab", Content: doors})
}

func (s *site) pad(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, frame{Title: "Request pad", View: "pad", Content: s.book.Current()})
}

func (s *site) missing(w http.ResponseWriter) {
	s.render(w, http.StatusNotFound, frame{Title: "Not here", View: "missing"})
}

// assetURL is the path of an asset with the hash of what is in it: it may be kept
// for as long as a browser likes.
func assetURL(name string) (string, error) {
	text, err := fs.ReadFile(assets, "static/"+name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return "/static/" + name + "?" + hex.EncodeToString(sum[:6]), nil
}

func (s *site) static(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	text, err := fs.ReadFile(assets, name) // takes no path that leads out
	if err != nil {
		s.missing(w)
		return
	}
	kinds := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".woff2": "font/woff2", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8"}
	w.Header().Set("Content-Type", kinds[path.Ext(name)])
	sum := sha256.Sum256(text)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

func (s *site) events(w http.ResponseWriter, r *http.Request) {
	var l *lessons.Lesson
	if id := r.URL.Query().Get("lesson"); id != "" {
		found, ok := find(id)
		if !ok {
			s.missing(w)
			return
		}
		l = &found
	}
	s.hub.stream(w, r, l, map[string]any{"server": s.serverState(), "progress": progress(s.book)})
}

// serverState is the state of the learner's server, and whether its code is still
// what lies in the folder.
func (s *site) serverState() state {
	out := s.server.state()
	if l, err := lessons.Find(out.Lesson); out.Running && !out.Solution && err == nil {
		hash, err := s.book.Hash(l)
		out.Stale = err == nil && hash != out.Hash
	}
	return out
}

func (s *site) tellServer() { s.hub.tell("server", s.serverState()) }

// take reads what a page's script sends. It answers itself and returns false where
// that is no JSON or too much.
func take(w http.ResponseWriter, r *http.Request, limit int64, into any) bool {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		fail(w, http.StatusRequestEntityTooLarge, fmt.Errorf("that is more than the %d KiB that the page takes", limit>>10))
	case err != nil:
		fail(w, http.StatusBadRequest, err)
	}
	return err == nil
}

func give(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}

// A fault is what a script of the page hears where something cannot be done.
type fault struct {
	Error  string   `json:"error"`
	Blocks []string `json:"blocks,omitempty"` // what the compiler said
}

func fail(w http.ResponseWriter, status int, err error) {
	f := fault{Error: err.Error()}
	var build *subject.BuildError
	if errors.As(err, &build) {
		f = fault{Error: "This does not compile.", Blocks: report.CompilerErrors(build)}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(f)
}

func (s *site) hint(w http.ResponseWriter, r *http.Request) {
	var in struct{ Lesson, Step string }
	if !take(w, r, maxBody, &in) {
		return
	}
	l, ok := find(in.Lesson)
	if !ok {
		fail(w, http.StatusNotFound, lessons.ErrUnknown)
		return
	}
	asked, ok := suites.For(l).Step(in.Step)
	if !ok {
		fail(w, http.StatusNotFound, fmt.Errorf("lesson %s has no step %q", l.ID, in.Step))
		return
	}
	home, err := lessons.Find(asked.Lesson)
	if err != nil {
		home = l
	}
	if _, _, _, err := s.book.NextHint(home, asked.ID); err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	given, of, err := s.book.GivenHints(home, asked.ID)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	s.hub.show(l.ID)
	give(w, map[string]any{"hints": given, "of": of})
}

// diff gives what the reference has otherwise, once the lesson has passed.
func (s *site) diff(w http.ResponseWriter, r *http.Request) {
	l, ok := find(r.URL.Query().Get("lesson"))
	if !ok {
		fail(w, http.StatusNotFound, lessons.ErrUnknown)
		return
	}
	if !s.book.Marks()[l.ID].Done() {
		fail(w, http.StatusForbidden, errors.New("it has not passed yet, and this would show how"))
		return
	}
	text, err := s.book.Diff(l)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	give(w, map[string]string{"diff": text})
}

func (s *site) start(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Lesson   string
		Solution bool
	}
	if !take(w, r, maxBody, &in) {
		return
	}
	l, ok := find(in.Lesson)
	if !ok {
		fail(w, http.StatusNotFound, lessons.ErrUnknown)
		return
	}
	if err := s.server.start(r.Context(), l, in.Solution); err != nil {
		fail(w, http.StatusUnprocessableEntity, err)
		return
	}
	give(w, s.serverState())
}

func (s *site) stop(w http.ResponseWriter, r *http.Request) {
	s.server.stop()
	give(w, s.serverState())
}

// maxSkip is how far a clock is moved at a time: a time.Duration ends at 292 years.
const maxSkip = 366 * 24 * time.Hour

func (s *site) skip(w http.ResponseWriter, r *http.Request) {
	var in struct{ By string }
	if !take(w, r, maxBody, &in) {
		return
	}
	by, err := time.ParseDuration(strings.ReplaceAll(in.By, " ", ""))
	if err != nil || by <= 0 || by > maxSkip {
		fail(w, http.StatusBadRequest, fmt.Errorf("%q is no time to move forward by: say it as Go does, 15m or 2h45m, at most a year", in.By))
		return
	}
	if err := s.server.skip(by); err != nil {
		fail(w, http.StatusConflict, err)
		return
	}
	give(w, s.serverState())
}

func (s *site) send(w http.ResponseWriter, r *http.Request) {
	var in wanted
	if !take(w, r, maxSend, &in) {
		return
	}
	err := s.server.send(in)
	switch {
	case errors.Is(err, errNotRunning):
		fail(w, http.StatusConflict, err)
	case err != nil:
		fail(w, http.StatusBadRequest, err)
	default:
		give(w, s.serverState())
	}
}

func (s *site) forget(w http.ResponseWriter, r *http.Request) {
	s.server.forget()
	give(w, s.serverState())
}

// tokenFrom checks what somebody pasted: a token is a word of printable ASCII
// (RFC 6750 §2.1).
func tokenFrom(pasted string) (string, error) {
	raw := strings.TrimSpace(pasted)
	if scheme, rest, ok := strings.Cut(raw, " "); ok && strings.EqualFold(scheme, "Bearer") {
		raw = strings.TrimSpace(rest)
	}
	switch {
	case raw == "":
		return "", errors.New("there is no token")
	case len(raw) > maxToken:
		return "", fmt.Errorf("that is more than the %d KiB of a token that the page takes", maxToken>>10)
	case strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == ';' || c == ',' || c == '\\' }):
		return "", errors.New("a token is one word of ASCII without spaces, quotes or commas (RFC 6750 §2.1)")
	}
	return raw, nil
}

func (s *site) explain(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Token  string
		Secret *string // of the page's servers unless given
	}
	if !take(w, r, maxBody, &in) {
		return
	}
	raw, err := tokenFrom(in.Token)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	secret := s.server.secret
	if in.Secret != nil {
		secret = []byte(*in.Secret)
	}
	end, from := s.server.endOf(raw)
	out := explain(raw, secret, s.server.publicKeys, s.server.clock(), end)
	if out.Life != nil && out.Life.Cap != nil {
		out.Life.CapFrom = from
	}
	give(w, out)
}

func (s *site) ask(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Lesson   string // "" is the running server
		Solution bool
		Token    string
	}
	if !take(w, r, maxBody, &in) {
		return
	}
	raw, err := tokenFrom(in.Token)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	var out opinion
	if in.Lesson == "" {
		out, err = s.server.askRunning(raw)
	} else if l, ok := find(in.Lesson); ok {
		out, err = s.asker.ask(r.Context(), l, in.Solution, raw)
	} else {
		err = lessons.ErrUnknown
	}
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, err)
		return
	}
	give(w, out)
}
