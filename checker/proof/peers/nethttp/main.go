// Command nethttp keeps the contract of lessons 01 to 05 and 08 with the standard
// library alone: no framework, no JWT library, and nothing of the workshop's. It is
// graded by URL, as any server can be.
//
//	go run ./checker/proof/peers/nethttp -lesson 05 -secret … -access-ttl 2s -refresh-ttl 6s
//
// It prints the URL that it listens on.
package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type settings struct {
	lesson                                   int
	secret, issuer, audience                 string
	accessTTL, refreshTTL, session, freshFor time.Duration
}

func main() {
	var s settings
	addr := flag.String("addr", "127.0.0.1:0", "listen on `host:port`")
	flag.IntVar(&s.lesson, "lesson", 5, "1 to 5, or 8")
	flag.StringVar(&s.secret, "secret", "", "at least 32 bytes")
	flag.StringVar(&s.issuer, "issuer", "", "iss")
	flag.StringVar(&s.audience, "audience", "", "aud")
	flag.DurationVar(&s.accessTTL, "access-ttl", 15*time.Minute, "")
	flag.DurationVar(&s.refreshTTL, "refresh-ttl", time.Hour, "")
	flag.DurationVar(&s.session, "session-ttl", 7*24*time.Hour, "")
	flag.DurationVar(&s.freshFor, "fresh-for", 5*time.Minute, "")
	flag.Parse()
	if len(s.secret) < 32 {
		fmt.Fprintln(os.Stderr, "-secret: at least 32 bytes")
		os.Exit(2)
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(l, newServer(s)))
}

type user struct {
	id        int
	name      string
	salt, key []byte
}

// A session is one login (lesson 08).
type session struct {
	user    string
	living  string // the ID of the refresh token that works
	ends    time.Time
	revoked bool
}

type server struct {
	settings
	decoy user

	mu       sync.Mutex
	users    map[string]*user
	sessions map[string]*session
}

func newServer(s settings) http.Handler {
	srv := &server{settings: s, users: map[string]*user{}, sessions: map[string]*session{}}
	for i, one := range [][2]string{{"cosmo", "space-corgi"}, {"ada", "analytical-engine-1843"}, {"grace", "a moth in relay 70"}} {
		u := &user{id: i + 1, name: one[0]}
		u.set(one[1])
		srv.users[u.name] = u
	}
	srv.decoy.set(rand.Text())

	mux := http.NewServeMux() // answers 405 where only the method is wrong
	mux.HandleFunc("POST /login", srv.login)
	if s.lesson >= 3 {
		mux.HandleFunc("GET /profile", srv.door(accessToken, srv.renewing(func(w http.ResponseWriter, _ *http.Request, who *holder) {
			reply(w, http.StatusOK, map[string]any{"id": who.user.id, "username": who.user.name})
		})))
		mux.HandleFunc("GET /dashboard", srv.door(accessToken, srv.renewing(func(w http.ResponseWriter, _ *http.Request, who *holder) {
			reply(w, http.StatusOK, map[string]any{"message": "Welcome back, " + who.user.name + "!"})
		})))
	}
	if s.lesson >= 5 {
		mux.HandleFunc("POST /refresh", srv.door(refreshToken, srv.refresh))
	}
	if s.lesson >= 6 {
		mux.HandleFunc("POST /logout", srv.door(accessToken|evenExpired, srv.logout))
		mux.HandleFunc("POST /logout-all", srv.door(accessToken, func(w http.ResponseWriter, _ *http.Request, who *holder) {
			srv.end(who.user.name, "")
			w.WriteHeader(http.StatusNoContent)
		}))
	}
	if s.lesson >= 7 {
		mux.HandleFunc("POST /password", srv.door(accessToken, srv.password))
		mux.HandleFunc("POST /reauth", srv.door(accessToken, srv.reauth))
	}
	return mux
}

// The passwords.

func (u *user) set(password string) {
	u.salt = []byte(rand.Text())
	u.key = stretch(password, u.salt)
}

// stretch hashes twice: HMAC, with which PBKDF2 begins, fills a short key up with
// zero bytes, so that a password and the same with a zero byte would be one.
func stretch(password string, salt []byte) []byte {
	whole := sha256.Sum256([]byte(password))
	key, err := pbkdf2.Key(sha256.New, string(whole[:]), salt, 20_000, 32)
	if err != nil {
		panic(err) // only of lengths that are not ours
	}
	return key
}

// knows tells whether the password is u's; nil is a stranger, who costs as much.
func (s *server) knows(u *user, password string) bool {
	s.mu.Lock()
	against := s.decoy
	if u != nil {
		against = *u
	}
	s.mu.Unlock()
	return subtle.ConstantTimeCompare(stretch(password, against.salt), against.key) == 1 && u != nil
}

// The tokens.

type kind int

const (
	accessToken kind = 1 << iota
	refreshToken
	evenExpired // lets a token pass that was good once
)

func (k kind) typ() string {
	if k&refreshToken != 0 {
		return "rt+jwt"
	}
	return "at+jwt"
}

type claims struct {
	ID       string `json:"jti"`
	Subject  string `json:"sub"`
	Issuer   string `json:"iss"`
	Audience any    `json:"aud"`
	Issued   int64  `json:"iat"`
	Expires  *int64 `json:"exp,omitempty"`
	NotYet   *int64 `json:"nbf,omitempty"`
	Session  string `json:"sid,omitempty"`
	Login    int64  `json:"auth_time,omitempty"`
}

var b64 = base64.RawURLEncoding

func (s *server) mac(signed string) []byte {
	m := hmac.New(sha256.New, []byte(s.secret))
	m.Write([]byte(signed))
	return m.Sum(nil)
}

func (s *server) sign(k kind, u *user, c claims, ttl time.Duration, ends time.Time) string {
	now := time.Now()
	c.Subject, c.Issuer, c.Audience, c.Issued = u.name, s.issuer, s.audience, now.Unix()
	if c.ID == "" {
		c.ID = rand.Text()
	}
	if s.lesson >= 4 {
		exp := now.Add(ttl)
		if !ends.IsZero() && ends.Before(exp) {
			exp = ends
		}
		seconds := exp.Unix()
		c.Expires = &seconds
	}
	header, _ := json.Marshal(map[string]string{"alg": "HS256", "typ": k.typ()})
	payload, _ := json.Marshal(c)
	signed := b64.EncodeToString(header) + "." + b64.EncodeToString(payload)
	return signed + "." + b64.EncodeToString(s.mac(signed))
}

var (
	errRefused = errors.New("token is not valid")
	errExpired = errors.New("token has expired")
)

// verify checks the signature before it looks at anything else.
func (s *server) verify(k kind, raw string) (*claims, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, errRefused
	}
	mac, err := b64.Strict().DecodeString(parts[2])
	if err != nil || !hmac.Equal(mac, s.mac(parts[0]+"."+parts[1])) {
		return nil, errRefused
	}
	var header struct {
		Alg, Typ string
		Crit     json.RawMessage
	}
	var c claims
	if open(parts[0], &header) != nil || open(parts[1], &c) != nil {
		return nil, errRefused
	}
	now := time.Now().Unix()
	switch {
	case header.Alg != "HS256", header.Typ != k.typ(), header.Crit != nil,
		c.Issuer != s.issuer, !s.meansUs(c.Audience), c.Subject == "",
		c.NotYet != nil && *c.NotYet > now,
		s.lesson >= 4 && c.Expires == nil,
		c.Expires != nil && *c.Expires > now+int64((max(s.accessTTL, s.refreshTTL)+time.Minute).Seconds()):
		return nil, errRefused
	case c.Expires != nil && *c.Expires <= now && k&evenExpired == 0:
		return nil, errExpired
	}
	return &c, nil
}

func (s *server) meansUs(audience any) bool {
	if list, ok := audience.([]any); ok {
		for _, one := range list {
			if one == s.audience {
				return true
			}
		}
	}
	return audience == s.audience
}

func open(part string, v any) error {
	text, err := b64.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// The doors.

// A holder is who sent a good token.
type holder struct {
	user *user
	claims
}

type handler func(http.ResponseWriter, *http.Request, *holder)

func (s *server) door(k kind, next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.lesson >= 8 {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Access-Control-Expose-Headers", "X-New-Access-Token")
		}
		header := r.Header.Get("Authorization")
		scheme, raw, _ := strings.Cut(header, " ")
		switch {
		case header == "":
			unauthorized(w, "", "Missing Authorization Header")
			return
		case !strings.EqualFold(scheme, "Bearer") || raw == "":
			unauthorized(w, "", "Authorization must be a Bearer token")
			return
		}
		c, err := s.verify(k, raw)
		if err == nil && s.lesson >= 6 && k == accessToken && !s.lives(c.Session) {
			err = errRefused
		}
		var u *user
		if err == nil {
			s.mu.Lock()
			u = s.users[c.Subject]
			s.mu.Unlock()
			if u == nil {
				err = errRefused
			}
		}
		if err != nil {
			msg := "Token is not valid"
			if err == errExpired {
				msg = "Token has expired"
			}
			unauthorized(w, "invalid_token", msg)
			return
		}
		next(w, r, &holder{u, *c})
	}
}

func (s *server) lives(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sessions[id]
	return one != nil && !one.revoked && time.Now().Before(one.ends)
}

func unauthorized(w http.ResponseWriter, code, msg string) {
	challenge := `Bearer realm="peer"`
	if code != "" {
		challenge += `, error="` + code + `"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	reply(w, http.StatusUnauthorized, map[string]any{"msg": msg})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func tokens(w http.ResponseWriter, body map[string]any) {
	w.Header().Set("Cache-Control", "no-store")
	reply(w, http.StatusOK, body)
}

// fields reads strings from a JSON body. Where one is missing or none, it answers
// and returns false.
func fields(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, bool) {
	var sent map[string]any
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		reply(w, http.StatusRequestEntityTooLarge, map[string]any{"error": "the body is too long"})
		return nil, false
	}
	if err != nil || json.Unmarshal(text, &sent) != nil || sent == nil {
		reply(w, http.StatusBadRequest, map[string]any{"error": "the body must be a JSON object"})
		return nil, false
	}
	got, problems := map[string]string{}, map[string]string{}
	for _, name := range names {
		value, isString := sent[name].(string)
		if got[name] = value; !isString || value == "" {
			problems[name] = "must be a string that is not empty"
		}
	}
	if len(problems) > 0 {
		reply(w, http.StatusBadRequest, map[string]any{"error": problems})
		return nil, false
	}
	return got, true
}

// The routes.

func badPassword(w http.ResponseWriter) {
	reply(w, http.StatusUnauthorized, map[string]any{"error": "Bad username or password"})
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	sent, ok := fields(w, r, "username", "password")
	if !ok {
		return
	}
	s.mu.Lock()
	u := s.users[sent["username"]]
	s.mu.Unlock()
	switch {
	case !s.knows(u, sent["password"]):
		badPassword(w)
	case s.lesson == 1:
		reply(w, http.StatusOK, map[string]any{"id": u.id, "username": u.name})
	case s.lesson < 5:
		tokens(w, map[string]any{"access_token": s.sign(accessToken, u, claims{}, s.accessTTL, time.Time{})})
	case s.lesson == 5:
		tokens(w, map[string]any{
			"access_token":  s.sign(accessToken, u, claims{}, s.accessTTL, time.Time{}),
			"refresh_token": s.sign(refreshToken, u, claims{}, s.refreshTTL, time.Time{}),
		})
	default:
		id := rand.Text()
		s.mu.Lock()
		s.sessions[id] = &session{user: u.name, ends: time.Now().Add(s.session)}
		body := s.pair(u, id, time.Now().Unix())
		s.mu.Unlock()
		tokens(w, body)
	}
}

// pair makes the next refresh token the session's only one. The lock is held.
func (s *server) pair(u *user, id string, login int64) map[string]any {
	one := s.sessions[id]
	one.living = rand.Text()
	return map[string]any{
		"access_token":  s.sign(accessToken, u, claims{Session: id, Login: login}, s.accessTTL, one.ends),
		"refresh_token": s.sign(refreshToken, u, claims{Session: id, ID: one.living}, s.refreshTTL, one.ends),
	}
}

func (s *server) refresh(w http.ResponseWriter, _ *http.Request, who *holder) {
	if s.lesson == 5 {
		tokens(w, map[string]any{"access_token": s.sign(accessToken, who.user, claims{}, s.accessTTL, time.Time{})})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sessions[who.Session]
	if one == nil || one.revoked || !time.Now().Before(one.ends) {
		unauthorized(w, "invalid_token", "Token is not valid")
		return
	}
	if one.living != who.ID {
		one.revoked = true // used twice
		unauthorized(w, "invalid_token", "Token is not valid")
		return
	}
	tokens(w, s.pair(who.user, who.Session, 0))
}

func (s *server) logout(w http.ResponseWriter, _ *http.Request, who *holder) {
	s.mu.Lock()
	if one := s.sessions[who.Session]; one != nil {
		one.revoked = true
	}
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// end revokes the user's sessions but one.
func (s *server) end(name, except string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.sessions {
		if one.user == name && id != except {
			one.revoked = true
		}
	}
}

func (s *server) password(w http.ResponseWriter, r *http.Request, who *holder) {
	if who.Login == 0 || time.Since(time.Unix(who.Login, 0)) > s.freshFor {
		unauthorized(w, "insufficient_user_authentication", "Fresh token required")
		return
	}
	sent, ok := fields(w, r, "current", "new")
	if !ok {
		return
	}
	if !s.knows(who.user, sent["current"]) {
		unauthorized(w, "", "Bad username or password")
		return
	}
	s.mu.Lock()
	who.user.set(sent["new"])
	s.mu.Unlock()
	s.end(who.user.name, who.Session)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) reauth(w http.ResponseWriter, r *http.Request, who *holder) {
	sent, ok := fields(w, r, "password")
	if !ok {
		return
	}
	if !s.knows(who.user, sent["password"]) {
		unauthorized(w, "", "Bad username or password")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens(w, map[string]any{"access_token": s.sign(accessToken, who.user, claims{Session: who.Session, Login: time.Now().Unix()}, s.accessTTL, s.sessions[who.Session].ends)})
}

// renewing replaces a token past half of its life on the way (lesson 08).
func (s *server) renewing(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, who *holder) {
		if s.lesson >= 8 && time.Now().Unix()-who.Issued >= (*who.Expires-who.Issued+1)/2 {
			s.mu.Lock()
			ends := s.sessions[who.Session].ends
			s.mu.Unlock()
			w.Header().Set("X-New-Access-Token", s.sign(accessToken, who.user, claims{Session: who.Session}, s.accessTTL, ends))
			w.Header().Set("Cache-Control", "no-store")
		}
		next(w, r, who)
	}
}
