package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// What is kept and shown is bounded: a learner's server may answer anything.
const (
	maxLog    = 40       // entries
	maxTokens = 24       // that were seen
	maxShown  = 16 << 10 // bytes of a body
)

// errNotRunning is returned where something is asked of a server that is not there.
var errNotRunning = errors.New("no server is running: start one first")

// A server is the one server that the page runs for a learner: the program of a
// lesson, on a clock that goes on with the real one and can be moved forward.
type server struct {
	build   func(ctx context.Context, l lessons.Lesson, solution bool) (program, hash string, err error)
	changed func() // called after each change
	secret  []byte // of every server that this page starts

	patience time.Duration // how long the server may take for one answer

	turn sync.Mutex // one thing is asked of it at a time

	mu      sync.Mutex
	running *running // nil where none is
	ended   string   // why the last one is no longer there, where nobody stopped it
	count   int      // entries ever
	log     []entry  // since the last start, oldest first
	tokens  []seen   // newest first
}

type running struct {
	lesson   lessons.Lesson
	solution bool
	hash     string // of the learner's code that it was built from
	subject  subject.Subject
	session  *subject.Session
	browser  *subject.Browser
	url      string
	skipped  time.Duration // how far its clock is ahead of the real one
}

// A seen token is one that an answer of the running server held.
type seen struct {
	Raw   string    `json:"raw"`
	What  string    `json:"what"`  // "access token, /login for ada"
	Kind  string    `json:"kind"`  // "access" or "refresh"
	At    time.Time `json:"at"`    // by the server's clock
	Login time.Time `json:"login"` // when the login was that it goes back to
}

// An entry is one line of the picture: an exchange, or time that was skipped.
type entry struct {
	N       int       `json:"n"`
	At      time.Time `json:"at"` // by the server's clock
	Skip    string    `json:"skip,omitempty"`
	From    string    `json:"from,omitempty"` // who sent it, one of the senders
	Method  string    `json:"method,omitempty"`
	Path    string    `json:"path,omitempty"`
	Headers []header  `json:"headers,omitempty"`
	Body    string    `json:"body,omitempty"`
	Token   string    `json:"token,omitempty"` // what is in the token that was sent
	Curl    string    `json:"curl,omitempty"`
	Status  int       `json:"status,omitempty"` // 0 where no answer came
	Answer  []header  `json:"answer,omitempty"`
	Reply   string    `json:"reply,omitempty"`
	Cut     int       `json:"cut,omitempty"` // the reply has so many bytes in all
	TookMS  float64   `json:"took,omitempty"`
	Problem string    `json:"problem,omitempty"` // why no answer came
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A cookie as the page lists it.
type cookie struct {
	Name     string     `json:"name"`
	Value    string     `json:"value"`
	Path     string     `json:"path"`
	HTTPOnly bool       `json:"httpOnly"`
	Secure   bool       `json:"secure"`
	SameSite string     `json:"sameSite"`
	Ends     *time.Time `json:"ends,omitempty"`
}

// A state is all that the page shows of the server.
type state struct {
	Running  bool              `json:"running"`
	Lesson   string            `json:"lesson,omitempty"`
	Title    string            `json:"title,omitempty"`
	Solution bool              `json:"solution"`
	Hash     string            `json:"-"`
	Stale    bool              `json:"stale"` // the learner's code is another by now
	URL      string            `json:"url,omitempty"`
	Clock    time.Time         `json:"clock"`   // the server's, or the real one
	Skipped  float64           `json:"skipped"` // seconds that it is ahead
	Settings map[string]string `json:"settings,omitempty"`
	Secret   string            `json:"secret"`
	Ended    string            `json:"ended,omitempty"`
	Log      []entry           `json:"log"`
	Tokens   []seen            `json:"tokens"`
	Cookies  []cookie          `json:"cookies"`
}

func newServer(build func(context.Context, lessons.Lesson, bool) (string, string, error), changed func()) *server {
	return &server{build: build, changed: changed, secret: []byte(rand.Text() + rand.Text()), patience: 5 * time.Second}
}

// settings are those of every server that the page starts, for a lesson.
func (s *server) settings(l lessons.Lesson, clock time.Time) lessons.Settings {
	settings := l.Settings()
	settings.Secret, settings.Start = s.secret, clock
	return settings
}

// clock is the running server's, or the real one.
func (s *server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clockLocked()
}

func (s *server) clockLocked() time.Time {
	now := time.Now().UTC()
	if s.running != nil {
		now = now.Add(s.running.skipped)
	}
	return now
}

// start builds a lesson's program and starts it, in place of the one that runs. It
// returns [*subject.BuildError] and [*subject.Ungradable] where the code is at
// fault.
func (s *server) start(ctx context.Context, l lessons.Lesson, solution bool) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	program, hash, err := s.build(ctx, l, solution)
	if err != nil {
		return err
	}
	s.end("")
	sub := subject.Program(program, 1)
	// Its life is not that of the request which starts it.
	session, err := grade.Fresh(context.WithoutCancel(ctx), suites.For(l), grade.Step{}, sub, s.settings(l, time.Now().UTC()))
	if err != nil {
		sub.Close()
		return err
	}
	session.Patience = s.patience
	r := &running{lesson: l, solution: solution, hash: hash, subject: sub, session: session, url: session.ByAddress()}
	r.browser = session.Browser()
	s.mu.Lock()
	s.running, s.ended, s.log, s.tokens = r, "", nil, nil
	s.mu.Unlock()
	s.changed()
	return nil
}

// stop ends the server, if one runs.
func (s *server) stop() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.end("")
	s.changed()
}

// end takes the server down and notes why.
func (s *server) end(why string) {
	s.mu.Lock()
	r := s.running
	s.running, s.ended = nil, why
	s.mu.Unlock()
	if r != nil {
		r.session.End()
		r.subject.Close()
	}
}

// skip moves the server's clock forward.
func (s *server) skip(by time.Duration) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	r := s.running
	if r != nil {
		r.skipped += by
	}
	s.mu.Unlock()
	if r == nil {
		return errNotRunning
	}
	defer s.changed()
	_, err := grade.Attempt(r.session, func(t require.TestingT, _ *subject.Session) { s.tick(t, r) })
	if err != nil {
		s.end(err.Error())
		return err
	}
	s.add(entry{At: r.session.Now(), Skip: readable(by)})
	return nil
}

// tick brings the server's own clock up to date.
func (s *server) tick(t require.TestingT, r *running) {
	if by := s.clock().Sub(r.session.Now()); by > 0 {
		r.session.Advance(t, by)
	}
}

// Who can send a request.
const (
	fromCurl   = "curl"   // a program: what is said and nothing more
	fromOwn    = "own"    // a script of the server's own page: with cookies, Origin and the CSRF token
	fromOthers = "others" // a script of another site's page: with cookies and that page's Origin
)

// A wanted request is one that the page is to send.
type wanted struct {
	From    string   `json:"from"`
	Method  string   `json:"method"`
	Path    string   `json:"path"`
	Bearer  string   `json:"bearer"` // of the Authorization header; "" is none
	Headers []header `json:"headers"`
	Body    string   `json:"body"`
}

// errBadRequest is returned, wrapped, for a request that cannot be put on the wire.
var errBadRequest = errors.New("this cannot be sent")

// request checks what came from the page.
func (w wanted) request() (probe.Request, error) {
	bad := func(format string, args ...any) (probe.Request, error) {
		return probe.Request{}, fmt.Errorf("%w: %s", errBadRequest, fmt.Sprintf(format, args...))
	}
	if w.Method == "" || len(w.Method) > 20 || strings.Trim(w.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return bad("the method is a word in capitals, such as GET")
	}
	if !strings.HasPrefix(w.Path, "/") || len(w.Path) > 8<<10 {
		return bad("the path begins with /")
	}
	if u, err := url.ParseRequestURI(w.Path); err != nil || strings.ContainsFunc(w.Path, func(c rune) bool { return c <= ' ' || c == 0x7f }) || u.Host != "" || strings.HasPrefix(w.Path, "//") {
		return bad("%q is not a path", w.Path)
	}
	r := subject.Request(w.Method, w.Path)
	if w.Bearer != "" {
		subject.Bearer(probe.Token{Raw: w.Bearer})(&r)
	}
	if w.Body != "" {
		r.Body = []byte(w.Body)
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range w.Headers {
		name := http.CanonicalHeaderKey(strings.TrimSpace(h.Name))
		switch {
		case !isToken(name):
			return bad("%q is not the name of a header (RFC 9110 §5.1)", h.Name)
		case name == "Host" || name == "Content-Length" || name == "Transfer-Encoding" || name == "Connection":
			return bad("%s is set by what sends the request", name)
		case strings.ContainsFunc(h.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
			return bad("the value of %s holds a control character", name)
		}
	}
	said := map[string]bool{}
	for _, h := range w.Headers {
		name := http.CanonicalHeaderKey(strings.TrimSpace(h.Name))
		if !said[name] {
			r.Header.Del(name) // what is said replaces what was added
			said[name] = true
		}
		r.Header.Add(name, strings.TrimSpace(h.Value))
	}
	return r, nil
}

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	}) < 0
}

// send sends a request to the running server and notes the exchange. It returns
// [errNotRunning] and [errBadRequest]; what the server does wrong is in the entry.
func (s *server) send(w wanted) error {
	plain, err := w.request()
	if err != nil {
		return err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	r := s.running
	s.mu.Unlock()
	if r == nil {
		return errNotRunning
	}
	defer s.changed()
	e := entry{From: w.From}
	failure, err := grade.Attempt(r.session, func(t require.TestingT, session *subject.Session) {
		s.tick(t, r)
		e.At = session.Now()
		if w.From == fromOwn || w.From == fromOthers {
			options := []subject.Option{}
			if w.From == fromOthers {
				options = append(options, subject.CrossSite)
			}
			request := r.browser.Request(w.Method, w.Path, append(options, func(to *probe.Request) {
				for name, values := range plain.Header {
					to.Header[name] = values
				}
				to.Body = plain.Body
				if plain.Token.Raw != "" {
					to.Token = plain.Token
				}
			})...)
			e.fill(request)
			e.answered(r.browser.Do(t, request).Exchange)
		} else {
			e.fill(plain)
			e.answered(session.Do(t, plain).Exchange)
		}
	})
	var last *probe.Exchange
	if log := r.session.TakeLog(); len(log) > 0 {
		last = log[len(log)-1]
		e.Curl = last.Curl()
	}
	switch {
	case err != nil:
		e.Problem = err.Error()
		s.end(err.Error())
	case failure != nil:
		e.Problem = failure.Claim + "\n" + failure.Got
	default:
		s.keep(e, last)
	}
	s.add(e)
	return nil
}

func (e *entry) fill(r probe.Request) {
	e.Method, e.Path, e.Headers = r.Method, r.Path, list(r.Header)
	e.Body, _ = shown(r.Body)
	if r.Token.Raw != "" {
		e.Token = (&probe.Exchange{Request: r, At: e.At}).DescribeToken()
	}
}

func (e *entry) answered(x *probe.Exchange) {
	e.Status, e.Answer = x.Status, list(x.ReplyHeader)
	e.Reply, e.Cut = shown(x.ReplyBody)
	e.TookMS = float64(x.Took.Microseconds()) / 1000
}

// list is headers in the order of their names.
func list(h http.Header) []header {
	var all []header
	for name, values := range h {
		for _, v := range values {
			all = append(all, header{name, strings.ToValidUTF8(v, "\uFFFD")})
		}
	}
	slices.SortStableFunc(all, func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// shown is as much of a body as the page shows, and how long it is if that is not
// all of it.
func shown(body []byte) (text string, of int) {
	if len(body) > maxShown {
		of = len(body)
		end := maxShown
		for end > 0 && !utf8.RuneStart(body[end]) {
			end--
		}
		body = body[:end]
	}
	return strings.ToValidUTF8(string(body), "\uFFFD"), of
}

func (s *server) add(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	e.N = s.count
	s.log = append(s.log, e)
	s.log = s.log[max(0, len(s.log)-maxLog):]
}

// keep notes the tokens that an answer gave.
func (s *server) keep(e entry, x *probe.Exchange) {
	if x.Status/100 != 2 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The login that a token goes back to: this one, or that of the token which
	// was sent for it.
	login := e.At
	path, _, _ := strings.Cut(e.Path, "?")
	if path != "/login" {
		login = time.Time{}
		for _, old := range s.tokens {
			if old.Raw == x.Token.Raw {
				login = old.Login
			}
		}
	}
	note := func(raw, kind, where string) {
		if raw == "" || len(raw) > maxToken {
			return
		}
		what := kind + " token, " + where
		if t, err := forge.Decode(raw); err == nil && t.Text("sub") != "" {
			what += " for " + t.Text("sub")
		}
		s.tokens = slices.DeleteFunc(s.tokens, func(old seen) bool { return old.Raw == raw })
		s.tokens = append([]seen{{Raw: raw, What: what, Kind: kind, At: e.At, Login: login}}, s.tokens...)
	}
	for _, kind := range []string{"refresh", "access"} {
		note(x.Text(kind+"_token"), kind, path)
	}
	note(x.ReplyHeader.Get("X-New-Access-Token"), "access", "X-New-Access-Token of "+path)
	a := &subject.Answer{Exchange: x}
	for kind, name := range map[string]string{"refresh": subject.RefreshCookie, "access": subject.AccessCookie} {
		if c := subject.Sets(a, name); c != nil {
			note(c.Value, kind, "cookie of "+path)
		}
	}
	s.tokens = s.tokens[:min(len(s.tokens), maxTokens)]
}

// endOf is the absolute end of the session that a token belongs to, and how that is
// known: from the login that the page saw, in lessons that have sessions. Otherwise
// it is the zero time: the token alone need not say.
func (s *server) endOf(raw string) (end time.Time, from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil || s.running.lesson.Number() < firstWithSessions {
		return time.Time{}, ""
	}
	for _, t := range s.tokens {
		if t.Raw == raw && !t.Login.IsZero() {
			ttl := s.running.session.Settings.SessionTTL
			return t.Login.Add(ttl), "the login that it goes back to, and the session's " + readable(ttl)
		}
	}
	return time.Time{}, ""
}

// firstWithSessions is the lesson from which on a session has an end (06-rotation).
const firstWithSessions = 6

// forget drops the cookies that were kept.
func (s *server) forget() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	if s.running != nil {
		s.running.browser = s.running.session.Browser()
	}
	s.mu.Unlock()
	s.changed()
}

// state returns what the page shows.
func (s *server) state() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := state{Clock: s.clockLocked(), Secret: string(s.secret), Ended: s.ended, Log: slices.Clone(s.log), Tokens: slices.Clone(s.tokens), Cookies: []cookie{}}
	if out.Log == nil {
		out.Log = []entry{}
	}
	if out.Tokens == nil {
		out.Tokens = []seen{}
	}
	r := s.running
	if r == nil {
		return out
	}
	out.Running, out.Lesson, out.Title, out.Solution, out.Hash, out.URL, out.Skipped = true, r.lesson.ID, r.lesson.Title, r.solution, r.hash, r.url, r.skipped.Seconds()
	set := r.session.Settings
	out.Settings = map[string]string{
		"issuer": set.Issuer, "audience": set.Audience,
		"accessTTL": readable(set.AccessTTL), "refreshTTL": readable(set.RefreshTTL), "freshFor": readable(set.FreshFor), "sessionTTL": readable(set.SessionTTL),
	}
	for _, c := range r.browser.Cookies() {
		view := cookie{Name: c.Name, Value: c.Value, Path: c.Path(), HTTPOnly: c.HttpOnly, Secure: c.Secure, SameSite: sameSite(c.SameSite)}
		if ends := c.Ends(); !ends.IsZero() {
			view.Ends = &ends
		}
		out.Cookies = append(out.Cookies, view)
	}
	slices.SortFunc(out.Cookies, func(a, b cookie) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func sameSite(s http.SameSite) string {
	switch s {
	case http.SameSiteLaxMode:
		return "Lax"
	case http.SameSiteStrictMode:
		return "Strict"
	case http.SameSiteNoneMode:
		return "None"
	}
	return ""
}

// readable is a duration in words: "2 days 3 h 15 min".
func readable(d time.Duration) string {
	if d < time.Second {
		return d.String()
	}
	var words []string
	for _, unit := range []struct {
		is   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		n := d / unit.is
		d -= n * unit.is
		name := unit.name
		if name == "day" && n > 1 {
			name = "days"
		}
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(words, " ")
}
