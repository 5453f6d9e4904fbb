// Package lessons is what every lesson is given: the ordered list of lessons and
// their texts, the [Config] a server is built from, and [Serve], the main
// function of them all.
package lessons

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"jwtworkshop/mockdb"
)

// New is what a learner writes: the server, built from what it is given.
type New func(Config) http.Handler

// A Config is all that a server is given. A server reads no environment, no
// flag and no other clock.
type Config struct {
	DB  *mockdb.DB       // the users, and from lesson 06 on their sessions
	SQL *sql.DB          // lesson 13: a real database with the table users, see package sqldb; DB only checks passwords there
	Now func() time.Time // the clock; time.Now is not yours to call

	Secret   []byte // signs the tokens; at least 32 bytes (RFC 7518 §3.2)
	Issuer   string // the "iss" of your tokens: who issued them
	Audience string // the "aud" of your tokens: whom they are for

	AccessTTL  time.Duration // how long an access token lives
	RefreshTTL time.Duration // how long a refresh token lives
	FreshFor   time.Duration // how long a login counts as fresh (lesson 07)
	SessionTTL time.Duration // the absolute end of a session (lesson 08)
	KeyTTL     time.Duration // how long a key signs before the next one does (lesson 12)

	Upstream string // the API that this server logs in at, without a slash at the end (lesson 10)

	URL      string   // where this server is reached, without a slash at the end: "http://127.0.0.1:8080"
	Provider Provider // where people sign in (lesson 11)

	CountVisit func(username string) // notes that the dashboard was shown (lesson 03)
	Log        *slog.Logger          // for a person to read; never a password or a token
}

// A Provider is an OpenID provider, and what it calls the application that lets
// people sign in there.
type Provider struct {
	Issuer       string // as its discovery document says, exactly: "https://login.example/tenant/v2.0"
	ClientID     string // who the application is to it
	ClientSecret string // what the application proves that with; "" is a public client
}

// minSecret is in bytes: as many bits as the hash of HS256 has (RFC 7518 §3.2).
const minSecret = 32

// Validate returns an error of one line where the configuration is unsafe: a
// secret shorter than 32 bytes, a lifetime that is zero or negative, a refresh
// token that dies before the access token, a session that ends before either, an
// upstream that is no URL of a host.
func (c Config) Validate() error {
	if len(c.Secret) < minSecret {
		return fmt.Errorf("the secret has %d bytes; HS256 wants at least %d (RFC 7518 §3.2)", len(c.Secret), minSecret)
	}
	for _, life := range []struct {
		name string
		ttl  time.Duration
	}{
		{"access token", c.AccessTTL}, {"refresh token", c.RefreshTTL},
		{"freshness", c.FreshFor}, {"session", c.SessionTTL}, {"signing key", c.KeyTTL},
	} {
		if life.ttl <= 0 {
			return fmt.Errorf("the lifetime of the %s is %v; it must be more than zero", life.name, life.ttl)
		}
	}
	if c.RefreshTTL < c.AccessTTL {
		return fmt.Errorf("the refresh token (%v) dies before the access token (%v) that it is to renew", c.RefreshTTL, c.AccessTTL)
	}
	if c.SessionTTL < c.RefreshTTL {
		return fmt.Errorf("the session (%v) ends before its refresh token (%v)", c.SessionTTL, c.RefreshTTL)
	}
	if c.Upstream != "" {
		u, err := url.Parse(c.Upstream)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || c.Upstream != u.Scheme+"://"+u.Host || u.Host == "" {
			return fmt.Errorf("the upstream %q is not the URL of a host, such as http://127.0.0.1:9000", c.Upstream)
		}
	}
	return nil
}

// A Lesson is one folder of lessons/ and its twin under solutions/.
type Lesson struct {
	ID      string        // "05-refresh", the folder's name
	Title   string        // "Refresh"
	Aim     string        // what the server can do afterwards, in a sentence
	Minutes int           // about how long it takes
	Edit    []string      // the files that the learner edits; all others are given
	Base    string        // the lesson whose solution its starter goes on from; "" begins anew
	Access  time.Duration // AccessTTL unless set
	Refresh time.Duration // RefreshTTL unless set

	Upstream bool // its server logs in at an API, at Config.Upstream
	Keys     bool // its server makes keys of its own: KeyTTL counts
	SignsIn  bool // its server lets people sign in at a [Provider]
}

// All returns the lessons in their order.
func All() []Lesson {
	return []Lesson{
		{ID: "01-login", Title: "Log in", Minutes: 30,
			Aim:  "check a name and a password without telling an attacker anything",
			Edit: []string{"login.go"}},
		{ID: "02-access-token", Title: "The access token", Minutes: 30, Base: "01-login",
			Aim:  "answer a login with a signed JWT",
			Edit: []string{"token.go", "login.go"}},
		{ID: "03-protect", Title: "Protect", Minutes: 40, Base: "02-access-token",
			Aim:  "open /profile and /dashboard to the bearer of a token, and to nobody else",
			Edit: []string{"token.go", "protect.go"}},
		{ID: "04-expiry", Title: "Expiry", Minutes: 25, Base: "03-protect",
			Aim:  "let access tokens die after 15 minutes",
			Edit: []string{"token.go", "protect.go"}},
		{ID: "05-refresh", Title: "Refresh", Minutes: 35, Base: "04-expiry",
			Aim:  "stay logged in without the password: a refresh token and POST /refresh",
			Edit: []string{"token.go", "refresh.go"}},
		{ID: "06-rotation", Title: "Rotation and logout", Minutes: 50, Base: "05-refresh",
			Aim:  "make a refresh token work once, notice when it is used twice, and let people log out",
			Edit: []string{"token.go", "protect.go", "refresh.go", "logout.go"}},
		{ID: "07-fresh", Title: "Fresh tokens", Minutes: 40, Base: "06-rotation",
			Aim:  "ask for the password again before it is changed, and end all other sessions when it is",
			Edit: []string{"token.go", "protect.go", "refresh.go", "password.go"}},
		{ID: "08-sliding", Title: "Sliding renewal", Minutes: 45, Base: "07-fresh",
			Aim:  "keep whoever is active logged in, replace tokens on the way, and end every session after a week",
			Edit: []string{"sliding.go", "server.go"}, Access: 24 * time.Hour, Refresh: 24 * time.Hour},
		{ID: "09-cookies", Title: "Cookies", Minutes: 50, Base: "08-sliding",
			Aim:  "carry the tokens in cookies, out of reach of scripts and of other people's pages",
			Edit: []string{"cookies.go", "protect.go", "refresh.go", "sliding.go", "password.go", "server.go"}, Access: 24 * time.Hour, Refresh: 24 * time.Hour},
		{ID: "10-client", Title: "The client", Minutes: 60,
			Aim:  "stay logged in at somebody else's API: refresh before a token expires or after it is refused, once, whoever asks",
			Edit: []string{"session.go", "transport.go"}, Upstream: true},
		{ID: "11-oauth-client", Title: "Sign in elsewhere", Minutes: 75, SignsIn: true,
			Aim:  "let people sign in at an identity provider, and keep them signed in when the access token expires",
			Edit: []string{"provider.go", "login.go", "require.go", "home.go", "logout.go"}},
		{ID: "12-keys", Title: "Keys", Minutes: 50, Base: "06-rotation",
			Aim:  "sign with a private key, publish the public one, and replace the pair every day without logging anybody out",
			Edit: []string{"keys.go", "token.go"}, Keys: true},
		{ID: "13-database", Title: "A real database", Minutes: 60, Base: "06-rotation",
			Aim:  "keep users and sessions in a database, on as many servers as you like",
			Edit: []string{"store.go", "login.go", "token.go", "protect.go", "refresh.go", "logout.go"}},
	}
}

// Number is 5 for "05-refresh".
func (l Lesson) Number() int {
	n, _ := strconv.Atoi(l.ID[:2])
	return n
}

// Next returns the lesson after it, and false for the last one.
func (l Lesson) Next() (Lesson, bool) {
	all := All()
	for i := range all[:len(all)-1] {
		if all[i].ID == l.ID {
			return all[i+1], true
		}
	}
	return Lesson{}, false
}

// Settings returns the lifetimes of a server of this lesson unless somebody
// sets others: 15 minutes and 1 hour, later lessons longer.
func (l Lesson) Settings() Settings {
	s := Settings{
		Issuer: "https://workshop.example", Audience: "https://api.workshop.example",
		AccessTTL: 15 * time.Minute, RefreshTTL: time.Hour,
		FreshFor: 5 * time.Minute, SessionTTL: 7 * 24 * time.Hour, KeyTTL: 24 * time.Hour,
	}
	if l.Access > 0 {
		s.AccessTTL = l.Access
	}
	if l.Refresh > 0 {
		s.RefreshTTL = l.Refresh
	}
	return s
}

// ErrUnknown is returned, wrapped, by [Find].
var ErrUnknown = errors.New("no such lesson")

// Find returns the lesson of that name: its ID, its number ("5" or "05"), or
// the path of its folder. Otherwise it returns [ErrUnknown].
func Find(name string) (Lesson, error) {
	clean := path.Base(strings.ReplaceAll(strings.TrimSpace(name), `\`, "/"))
	number, err := strconv.Atoi(clean)
	for _, l := range All() {
		if l.ID == clean || err == nil && l.Number() == number {
			return l, nil
		}
	}
	return Lesson{}, fmt.Errorf("%w: %q", ErrUnknown, name)
}

//go:embed */README.md */hints.md */*.svg
var texts embed.FS

// Texts returns the folder of a lesson as it is embedded: README.md, hints.md
// and the pictures, not the code.
func (l Lesson) Texts() fs.FS {
	sub, err := fs.Sub(texts, l.ID)
	if err != nil {
		panic(err) // the ID of a lesson is a valid path
	}
	return sub
}
