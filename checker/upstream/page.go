package upstream

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

// ForPeople returns a provider with a sign-in page, for an application that a person
// runs: everybody in the workshop's database can sign in, and access tokens live for
// so long. It tells out what it is asked.
func ForPeople(life time.Duration, out io.Writer) (*Provider, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	p := NewProvider()
	p.keys = []Key{{ID: rand.Text(), private: key}} // what listens for long has a key that nobody can read here
	p.manner.Life = life
	p.people = &people{db: mockdb.New(mockdb.OWASP), out: out}
	return p, nil
}

// Serve listens at a free port of the loopback, for one application that runs at any
// port of it, and returns what that is to be told.
func (p *Provider) Serve() (lessons.Provider, error) {
	client := lessons.Provider{ClientID: "workshop", ClientSecret: rand.Text()}
	err := p.listen(client)
	client.Issuer = p.issuer
	return client, err
}

// people are those who sign in with a password.
type people struct {
	db *mockdb.DB

	mu  sync.Mutex
	out io.Writer
}

func (p *people) signIn(username, password string) (Account, bool) {
	user, known := p.db.Lookup(username)
	hash := user.PasswordHash
	if !known {
		hash = p.db.DecoyHash()
	}
	if !p.db.Verify(hash, password) || !known {
		return Account{}, false
	}
	sum := sha256.Sum256([]byte(user.Username))
	return Account{
		Sub: hex.EncodeToString(sum[:8]), Name: strings.ToUpper(user.Username[:1]) + user.Username[1:],
		Username: user.Username, Email: user.Email,
	}, true
}

// tell says in a line what was done; without people nobody listens.
func (p *people) tell(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "provider: "+format+"\n", args...)
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// scopeWords are what the scopes mean to a person.
var scopeWords = map[string]string{
	"openid":         "know that it is you",
	"profile":        "see your name",
	"email":          "see your e-mail address",
	"offline_access": "stay signed in while you are away",
}

// servePage shows the sign-in page, and takes its form. The request that it was
// opened with stands in its address, so that the page needs no memory.
func (p *Provider) servePage(w http.ResponseWriter, r *http.Request) {
	shown := struct {
		Client, Problem, Username string
		Scopes                    []string
		Fatal                     bool
	}{Client: r.URL.Query().Get("client_id")}
	for _, scope := range strings.Fields(r.URL.Query().Get("scope")) {
		if words, known := scopeWords[scope]; known {
			shown.Scopes = append(shown.Scopes, words)
		}
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	status := http.StatusOK
	show := func() {
		w.WriteHeader(status)
		page.Execute(w, shown)
	}
	if err := p.check(r.URL.Query()); err != nil {
		var refusal *Refusal
		errors.As(err, &refusal)
		shown.Fatal, shown.Problem, status = true, refusal.Reason, http.StatusBadRequest
		show()
		return
	}
	if p.people == nil {
		shown.Fatal, shown.Problem = true, "Here only the checker signs in."
		show()
		return
	}
	if r.Method != http.MethodPost {
		show()
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	back, err := p.Deny(r.URL)
	if r.PostFormValue("do") != "deny" {
		who, ok := p.people.signIn(r.PostFormValue("username"), r.PostFormValue("password"))
		if !ok {
			shown.Problem, shown.Username, status = "Wrong name or password.", r.PostFormValue("username"), http.StatusUnauthorized
			show()
			return
		}
		p.people.tell("%s has signed in", who.Username)
		back, err = p.SignIn(r.URL, who)
	}
	if err != nil {
		panic(err) // it was checked above
	}
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}
