package upstream

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// An API is a server such as lessons 05 to 08 build, for clients to log in at:
//
//	POST /login {"username","password"}  200 {"access_token","refresh_token"}
//	POST /refresh, the refresh token     200 {"access_token"[,"refresh_token"]}, see [Renewal]
//	GET /profile, an access token        200 {"id","username"}
//	POST /orders, an access token        201 {"bytes": how long the body was}
//	POST /logout, an access token        204
//
// Otherwise it answers 400, 401 or 404. Its methods change what it does from then on.
// Safe for concurrent use.
type API struct {
	recorder
	elsewhere recorder
	neighbour recorder
	secret    []byte
	url       string

	mu       sync.Mutex
	now      clock
	skew     time.Duration
	life     time.Duration
	renewal  Renewal
	slides   bool
	shape    func(claims map[string]any) string
	accounts map[string]account
	access   map[string]access   // by the token
	sessions map[string]*session // by every refresh token that was issued
	reach    func(addr string)   // lets the session's server reach an address of ours
}

type account struct {
	id       int
	password string
}

type session struct {
	username string
	refresh  string // the living one
	ended    bool
}

// An access is what an access token opens.
type access struct {
	session *session
	expires time.Time
	revoked bool
}

// A Renewal is what a refresh gives besides the access token.
type Renewal int

// The renewals.
const (
	Same    Renewal = iota // the same refresh token again
	Rotated                // another; the old one is dead, and the session if it comes again (RFC 9700 §4.14.2)
	Omitted                // none, so the old one goes on (RFC 6749 §6)
	Null                   // likewise, said as null
	Empty                  // likewise, said as ""
)

// NewAPI returns an API that knows cosmo, ada and grace, and issues JWTs that live
// an hour.
func NewAPI() *API {
	return &API{
		secret: []byte(rand.Text() + rand.Text()),
		now:    time.Now, life: time.Hour,
		accounts: map[string]account{
			"cosmo": {1, "space-corgi"}, "ada": {2, "analytical-engine-1843"}, "grace": {3, "a moth in relay 70"},
		},
		access: map[string]access{}, sessions: map[string]*session{},
	}
}

// Open listens at the settings' Upstream, or at a free port where that is empty,
// and writes it there.
func (a *API) Open(s *lessons.Settings) error {
	fixed := ""
	if s.Upstream != "" {
		u, err := url.Parse(s.Upstream)
		if err != nil {
			return err
		}
		fixed = u.Host
	}
	base, err := a.open(fixed, http.HandlerFunc(a.serve))
	a.url = cmp.Or(s.Upstream, base)
	s.Upstream = a.url
	return err
}

// URL is where it listens, without a slash at the end.
func (a *API) URL() string { return a.url }

// Meet makes the session's clock the API's.
func (a *API) Meet(s *subject.Session) { a.set(func() { a.now, a.reach = s.Now, s.Reach }) }

// Close ends it, and what there is elsewhere.
func (a *API) Close() {
	a.recorder.Close()
	a.elsewhere.Close()
	a.neighbour.Close()
}

// Denied is where Elsewhere answers 401, as to a token that is no longer good.
const Denied = "/denied"

// Elsewhere opens another server, which has nothing to do with the API and answers
// everything but [Denied] with the header and 200 {"msg":"elsewhere"}. It returns its
// port, on 127.0.0.1, and its record.
func (a *API) Elsewhere(header http.Header) (port string, calls func() []Call, err error) {
	base, err := a.foreign(&a.elsewhere, "", header)
	return base[strings.LastIndex(base, ":")+1:], func() []Call { return a.elsewhere.Calls() }, err
}

// Neighbour opens one like it at the API's own port and another address of the
// loopback, and returns that: "127.0.0.2:4711". It is "" where the machine has no such
// address, as macOS does not, or somebody else has it.
func (a *API) Neighbour(header http.Header) (addr string, calls func() []Call) {
	addr = "127.0.0.2" + a.url[strings.LastIndex(a.url, ":"):]
	free, err := net.Listen("tcp", addr) // open would wait for an address that it cannot have
	if err != nil {
		return "", nil
	}
	free.Close()
	if _, err := a.foreign(&a.neighbour, addr, header); err != nil {
		return "", nil
	}
	return addr, func() []Call { return a.neighbour.Calls() }
}

func (a *API) foreign(at *recorder, addr string, header http.Header) (base string, err error) {
	base, err = at.open(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		if r.URL.Path == Denied {
			refuse(w, "Token is not valid")
			return
		}
		answer(w, http.StatusOK, map[string]any{"msg": "elsewhere"})
	}))
	if err == nil && a.reach != nil {
		a.reach(strings.TrimPrefix(base, "http://"))
	}
	return base, err
}

func (a *API) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// Lives lets access tokens live so long from now on.
func (a *API) Lives(life time.Duration) { a.set(func() { a.life = life }) }

// Skew sets its clock so much ahead of the session's.
func (a *API) Skew(ahead time.Duration) { a.set(func() { a.skew = ahead }) }

// Gives chooses what a refresh gives.
func (a *API) Gives(r Renewal) { a.set(func() { a.renewal = r }) }

// Slides tells whether each answer to an access token, but for a logout, carries a
// new one in X-New-Access-Token.
func (a *API) Slides(on bool) { a.set(func() { a.slides = on }) }

// Shapes makes access tokens of another shape: f returns one that was not there
// before. The claims are those that a JWT of the API's would have.
func (a *API) Shapes(f func(claims map[string]any) string) { a.set(func() { a.shape = f }) }

// Revoke refuses the access tokens that were issued so far.
func (a *API) Revoke() {
	a.set(func() {
		for raw, t := range a.access {
			t.revoked = true
			a.access[raw] = t
		}
	})
}

// End ends the sessions that there are: neither kind of their tokens is good any
// more.
func (a *API) End() {
	a.set(func() {
		for _, s := range a.sessions {
			s.ended = true
		}
	})
}

// Issued is every token that it has issued.
func (a *API) Issued() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for raw := range a.access {
		all = append(all, raw)
	}
	for raw := range a.sessions {
		all = append(all, raw)
	}
	return all
}

// Good tells whether the access token opens the API's doors.
func (a *API) Good(raw string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, refusal := a.who(raw)
	return refusal == ""
}

// NewUser returns somebody who can log in and whom nobody else knows.
func (a *API) NewUser() subject.User {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := subject.User{ID: 10 + len(a.accounts), Username: "user-" + strings.ToLower(rand.Text()[:8]), Password: "pw-" + rand.Text()[:16]}
	a.accounts[u.Username] = account{u.ID, u.Password}
	return u
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	switch r.Method + " " + r.URL.Path {
	case "POST /login":
		a.login(w, r)
	case "POST /refresh":
		a.refresh(w, r)
	default:
		a.door(w, r)
	}
}

func (a *API) login(w http.ResponseWriter, r *http.Request) {
	var sent struct{ Username, Password string }
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": map[string]string{"body": "it is no JSON object with a username and a password"}})
		return
	}
	known, ok := a.accounts[sent.Username]
	if !ok || known.password != sent.Password {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "Bad username or password"})
		return
	}
	s := &session{username: sent.Username, refresh: rand.Text()}
	a.sessions[s.refresh] = s
	answer(w, http.StatusOK, map[string]any{"access_token": a.issue(s), "refresh_token": s.refresh})
}

func (a *API) refresh(w http.ResponseWriter, r *http.Request) {
	raw := bearer(r)
	s := a.sessions[raw]
	switch {
	case raw == "":
		refuse(w, "Missing Authorization Header")
		return
	case s == nil || s.ended:
		refuse(w, "Token is not valid")
		return
	case s.refresh != raw:
		s.ended = true // it was used before
		refuse(w, "Token is not valid")
		return
	}
	body := map[string]any{"access_token": a.issue(s)}
	switch a.renewal {
	case Same:
		body["refresh_token"] = raw
	case Rotated:
		s.refresh = rand.Text()
		a.sessions[s.refresh] = s
		body["refresh_token"] = s.refresh
	case Null:
		body["refresh_token"] = nil
	case Empty:
		body["refresh_token"] = ""
	}
	answer(w, http.StatusOK, body)
}

// door is what an access token opens. Whoever has none does not learn what there is.
func (a *API) door(w http.ResponseWriter, r *http.Request) {
	s, refusal := a.who(bearer(r))
	if refusal != "" {
		refuse(w, refusal)
		return
	}
	route := r.Method + " " + r.URL.Path
	if a.slides && route != "POST /logout" {
		w.Header().Set("X-New-Access-Token", a.issue(s))
	}
	switch route {
	case "GET /profile", "HEAD /profile":
		answer(w, http.StatusOK, map[string]any{"id": a.accounts[s.username].id, "username": s.username})
	case "POST /orders":
		n, _ := io.Copy(io.Discard, r.Body)
		answer(w, http.StatusCreated, map[string]any{"bytes": n})
	case "POST /logout":
		s.ended = true
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, http.StatusNotFound, map[string]any{"msg": "Not Found"})
	}
}

// who returns whose access token that is, or why it is refused.
func (a *API) who(raw string) (s *session, refusal string) {
	t, ok := a.access[raw]
	switch {
	case raw == "":
		return nil, "Missing Authorization Header"
	case !ok || t.revoked || t.session.ended:
		return nil, "Token is not valid"
	case !a.time().Before(t.expires):
		return nil, "Token has expired"
	}
	return t.session, ""
}

func (a *API) time() time.Time { return a.now().Add(a.skew) }

// issue returns a new access token of the session.
func (a *API) issue(s *session) string {
	now := a.time().Truncate(time.Second) // a NumericDate is mostly written so
	expires := now.Add(a.life)
	claims := map[string]any{
		"iss": "https://upstream.example", "sub": s.username, "aud": "https://upstream.example",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": expires.Unix(), "jti": rand.Text(),
		// In base64url this has "-" and "_", where plain base64 has others. Each token is
		// as long as none of the last two was, so that padding is wanted of some.
		"picture": "https://upstream.example/~~~???" + strings.Repeat("?", len(a.access)%3),
	}
	raw := ""
	if a.shape != nil {
		raw = a.shape(claims)
	} else {
		raw = forge.Token{Header: map[string]any{"typ": "at+jwt"}, Claims: claims}.Sign("HS256", a.secret)
	}
	a.access[raw] = access{session: s, expires: time.Unix(expires.Unix(), 0)}
	return raw
}

func bearer(r *http.Request) string { return Call{Header: r.Header}.Bearer() }

// refuse answers 401 as the lessons do.
func refuse(w http.ResponseWriter, msg string) {
	challenge := `Bearer realm="upstream"`
	if msg != "Missing Authorization Header" {
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	answer(w, http.StatusUnauthorized, map[string]any{"msg": msg})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
