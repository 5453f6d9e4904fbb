package suites

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

// An access token that lives so short a time counts as expired at once on the real
// clock, which the libraries look at, and past this pause on the server's own.
const (
	short     = 2 * time.Second
	pastShort = 3 * time.Second
)

// expiries is how much time passes where an access token expires so often.
func expiries(n int) func(lessons.Settings) time.Duration {
	return func(lessons.Settings) time.Duration { return time.Duration(n) * pastShort }
}

// told says whether the server at a URL was told of its provider long ago, so that
// nothing can be set for a step.
func told(c lessons.Settings) bool { return c.Provider.Issuer != "" }

// elsewhereCalled gives the server an address that no request names: what it is called
// by browsers is for its configuration to say, not for a Host header.
func elsewhereCalled(c *lessons.Settings) {
	if !told(*c) {
		c.URL = "https://app-" + strings.ToLower(rand.Text()[:8]) + ".example"
	}
}

// idp is the session's provider.
func idp(s *subject.Session) *upstream.Provider { return s.Beside().(*upstream.Provider) }

// somebodyThere has an account at the provider, which no other step knows.
func somebodyThere() upstream.Account {
	names := []string{"Ada", "Grace", "Alan", "Radia", "Linus", "Katherine", "Margaret", "Barbara"}
	id := strings.ToLower(rand.Text()[:12])
	first := names[int(id[0])%len(names)]
	return upstream.Account{
		Sub: "sub-" + id, Name: first + " " + strings.ToUpper(id[:1]) + id[1:8],
		Username: strings.ToLower(first) + "-" + id[:5], Email: id[:8] + "@corgi.example",
	}
}

// outward opens a path and follows the server until it leads to the provider. It
// returns the authorization request.
func outward(t require.TestingT, s *subject.Session, b *subject.Browser, path string) *url.URL {
	a, to := b.Follow(t, b.Open(t, path))
	if a.Status == http.StatusNotImplemented {
		a.Is(t, http.StatusFound, "")
	}
	if to == nil || to.Scheme+"://"+to.Host+to.Path != idp(s).AuthorizeURL() {
		failAt(t, a, "GET "+path+" does not lead a browser without a login to the provider", "302 to the authorization_endpoint that discovery names")
	}
	return to
}

// failAt ends the step with where an answer leads.
func failAt(t require.TestingT, a *subject.Answer, claim, want string) {
	got := a.Summary()
	if location := a.ReplyHeader.Get("Location"); location != "" {
		got = fmt.Sprintf("%d to %s", a.Status, printableURL(location))
	}
	probe.Fail(t, &probe.Failure{Claim: claim, Sent: a.Exchange, Want: want, Got: got})
}

// printableURL is an address with its parameters in words, the long ones folded.
func printableURL(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.RawQuery == "" {
		return fmt.Sprintf("%q", location)
	}
	var words []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if v, err := url.QueryUnescape(value); err == nil {
			value = v
		}
		if len(value) > 40 {
			value = value[:12] + "…"
		}
		words = append(words, name+"="+value)
	}
	u.RawQuery = ""
	return u.String() + " with " + strings.Join(words, ", ")
}

// signs lets somebody sign in at the provider and returns where that sends the
// browser.
func signs(t require.TestingT, s *subject.Session, request *url.URL, who upstream.Account) *url.URL {
	back, err := idp(s).SignIn(request, who)
	if err != nil {
		s.Fail(t, "the provider refuses to sign anybody in: "+err.Error(), "an authorization request of this application (RFC 6749 §4.1.1)", printableURL(request.String()))
	}
	return back
}

// signIn signs somebody in, as far as /callback, and wants it to lead on. It does not
// go there: what happens at the next request is the step's.
func signIn(t require.TestingT, s *subject.Session, b *subject.Browser, who upstream.Account) *subject.Answer {
	b.User = subject.User{Username: who.Username}
	return arrives(t, s, b, signs(t, s, outward(t, s, b, "/login"), who))
}

// arrives wants /callback to take what the provider sends.
func arrives(t require.TestingT, s *subject.Session, b *subject.Browser, back *url.URL) *subject.Answer {
	a := b.Arrive(t, back)
	if to := a.LeadsTo(s.Origin()); to == nil || !subject.SameOrigin(to, s.Origin()) {
		if a.Status == http.StatusNotImplemented {
			a.Is(t, http.StatusFound, "")
		}
		failAt(t, a, "a good sign-in does not lead on from /callback", "302 to where the person was going, on this server")
	}
	return a
}

// signedInto returns a browser in which somebody is signed in.
func signedInto(t require.TestingT, s *subject.Session, who upstream.Account) *subject.Browser {
	b := s.Browser()
	signIn(t, s, b, who)
	return b
}

// signedInAWhileAgo returns a browser in which somebody is signed in whose access token has
// expired. Tokens that the provider gives from now on live an hour.
func signedInAWhileAgo(t require.TestingT, s *subject.Session, who upstream.Account) *subject.Browser {
	idp(s).Behave(func(m *upstream.Manner) { m.Life = short })
	b := signedInto(t, s, who)
	idp(s).Behave(func(m *upstream.Manner) { m.Life = 0 })
	s.Advance(t, pastShort)
	return b
}

// closesTheTab opens a page that needs a refresh, and gives it up when the provider has
// replaced the refresh token and not answered yet. The next page is to open.
func closesTheTab(t require.TestingT, s *subject.Session, b *subject.Browser, who upstream.Account, when string) {
	p := idp(s)
	before := len(p.Calls(p.Path.Token))
	p.Stall(p.Path.Token, upstream.Fault{After: true})
	tab := s.Begin(b.OpenRequest("/home"))
	if !p.Await(s.Context(), p.Path.Token, before+1) {
		s.Fail(t, when+" is not made", "a request with grant_type=refresh_token", "none")
	}
	tab.Cancel()
	abandoned(s, p, p.Path.Token)
	p.Always(p.Path.Token, upstream.Fault{})
	p.Resume()
	isIn(t, b, who, "somebody closes the tab during "+when+", and the next page does not open")
}

// isHome wants an answer to be the page of that person.
func isHome(t require.TestingT, a *subject.Answer, who upstream.Account, claim string) *subject.Answer {
	if a.Status != http.StatusOK {
		if a.Status == http.StatusNotImplemented {
			a.Is(t, http.StatusOK, "")
		}
		failAt(t, a, claim, "200 and a page that names "+who.Name)
	}
	if !strings.Contains(html.UnescapeString(string(a.ReplyBody)), who.Name) {
		failAt(t, a, "/home does not name who is signed in", "a page that names "+who.Name)
	}
	return a
}

// isIn wants /home to open to the browser, at once, and to name its person.
func isIn(t require.TestingT, b *subject.Browser, who upstream.Account, claim string) *subject.Answer {
	return isHome(t, b.Open(t, "/home"), who, claim)
}

// isOut wants /home not to open to the browser.
func isOut(t require.TestingT, b *subject.Browser, claim string) *subject.Answer {
	a := b.Open(t, "/home")
	if a.Status/100 == 2 || a.Status >= 500 {
		failAt(t, a, claim, "302 to the login")
	}
	return a
}

// turnedAway wants /callback to sign nobody in: any 4xx, a redirect, or 502 and 503
// where the provider is to blame.
func turnedAway(t require.TestingT, b *subject.Browser, a *subject.Answer, claim string) {
	switch {
	case a.Status >= 300 && a.Status < 500, a.Status == http.StatusBadGateway, a.Status == http.StatusServiceUnavailable:
	case a.Status == http.StatusNotImplemented:
		a.Is(t, http.StatusBadRequest, "")
	case a.Status >= 500:
		failAt(t, a, "/callback answers a sign-in that is no good with a fault of its own", "400, or another 4xx, 502, 503 or a redirect")
	default:
		failAt(t, a, claim, "400, or another 4xx, 502, 503 or a redirect")
	}
	isOut(t, b, claim)
}

// providerDown wants an answer that says: not now.
func providerDown(t require.TestingT, a *subject.Answer, claim string) {
	switch a.Status {
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
	default:
		failAt(t, a, claim, "503 Service Unavailable or 502 Bad Gateway")
	}
}

// exchanges is how often the token endpoint was asked so far, with that grant type.
func exchanges(s *subject.Session, grant string) int {
	n := 0
	for _, c := range idp(s).Calls(idp(s).Path.Token) {
		if form, err := url.ParseQuery(string(c.Body)); err == nil && form.Get("grant_type") == grant {
			n++
		}
	}
	return n
}

const (
	byCode    = "authorization_code"
	byRefresh = "refresh_token"
)

// asked wants the token endpoint to have been asked so often.
func asked(t require.TestingT, s *subject.Session, grant string, want int, claim string) {
	if got := exchanges(s, grant); got != want {
		s.Fail(t, claim, fmt.Sprintf("%s with grant_type=%s at the token endpoint", howMany(want), grant), howMany(got))
	}
}

func howMany(n int) string {
	switch n {
	case 0:
		return "no request"
	case 1:
		return "one request"
	}
	return fmt.Sprintf("%d requests", n)
}

// providerOutages are the ways in which a provider is of no help for a while.
func providerOutages() []struct {
	what  string
	fault upstream.Fault
} {
	asJSON := http.Header{"Content-Type": {"application/json"}}
	return []struct {
		what  string
		fault upstream.Fault
	}{
		{"answers 503 with a page", upstream.Fault{Status: 503, Body: "<h1>Back soon</h1>"}},
		{"answers 503 temporarily_unavailable", upstream.Fault{Status: 503, Header: asJSON, Body: `{"error":"temporarily_unavailable"}`}},
		{"answers 500", upstream.Fault{Status: 500}},
		{"answers 429", upstream.Fault{Status: 429, Header: asJSON, Body: `{"error":"slow_down"}`}},
		{"cuts the connection", upstream.Fault{Cut: true}},
		{"answers 200 with a page", upstream.Fault{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<h1>Welcome to our wireless</h1>"}},
		{"answers 200 without a token", upstream.Fault{Status: 200, Header: asJSON, Body: `{"token_type":"Bearer"}`}},
	}
}

// elsewhere are values of next that lead a browser to another site, or would if they
// were put behind this server's address.
var elsewhere = []string{
	"https://evil.example/", "//evil.example/", `/\evil.example/`, "/\t/evil.example/", "////evil.example/", "https:evil.example",
	`\\evil.example/`, " //evil.example/", "\t//evil.example/", "/\r\n/evil.example/", "@evil.example/", ".evil.example/", "javascript:alert(1)",
	"/%2fevil.example/", "/%5cevil.example/", "/%09/evil.example/", // for who decodes once more than was encoded
	"https:/evil.example/", "https:///evil.example/", // of no host, for Go
	"HTTPS://evil.example/", "ftp://evil.example/",
	"https://any.example//evil.example/", "/..//evil.example/", "/.//evil.example/", // for who takes the path of it
}

// reveals tells whether a text holds a secret: as it is, or in what base64 and zlib
// make of it, as in the cookies of frameworks that sign and do not encrypt.
func reveals(text, secret string, depth int) bool {
	if len(secret) == 0 || len(text) == 0 {
		return false
	}
	if strings.Contains(text, secret) {
		return true
	}
	if depth == 0 {
		return false
	}
	if plain, err := url.QueryUnescape(text); err == nil && plain != text && reveals(plain, secret, depth-1) {
		return true
	}
	for _, part := range base64Word.FindAllString(text, -1) {
		if len(part) < len(secret) {
			continue
		}
		part = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(part, "="))
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			continue
		}
		if reveals(string(raw), secret, depth-1) {
			return true
		}
		if z, err := zlib.NewReader(bytes.NewReader(raw)); err == nil {
			inflated, _ := io.ReadAll(io.LimitReader(z, 1<<20))
			if reveals(string(inflated), secret, depth-1) {
				return true
			}
		}
	}
	return false
}

var base64Word = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)

// pkceWord is what a code_challenge by S256 is: a hash in base64url (RFC 7636 §4.2).
var pkceWord = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// verifierWord is what a code_verifier is (RFC 7636 §4.1).
var verifierWord = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// guessable is so few bits that anybody tries them all. What differs in six values is
// less than what is random in them, so this is far below what the standard wants.
const guessable = 60

// minUnguessable is in characters: 128 bits in base64url.
const minUnguessable = 22

func oauthClient() []grade.Step {
	return slices.Concat(toProvider(), backFromProvider(), requireLogin(), signOut())
}

func toProvider() []grade.Step {
	return []grade.Step{
		{
			ID: "home-without-a-login-leads-to-the-provider", Task: 1,
			Title: "GET / is for everybody; GET /home leads whoever is not signed in to the provider's authorization endpoint",
			Why:   "Where people sign in is for the provider to say. An address that is written into the code is right for one provider, until it moves.",
			Ref:   "OIDC Core 1.0 §3.1.2.1 (authentication request), OIDC Discovery 1.0 §4 (obtaining provider configuration information)",
			Set:   elsewhereCalled,
			Check: func(t require.TestingT, s *subject.Session) {
				b := s.Browser()
				b.Open(t, "/").Is(t, http.StatusOK, "the page for everybody is not shown")
				for _, path := range []string{"/home", "/login", "/login?next=/home"} {
					request := outward(t, s, b, path)
					q := request.Query()
					for name, want := range map[string]string{"response_type": "code", "client_id": s.Settings.Provider.ClientID, "redirect_uri": s.Origin() + "/callback"} {
						if q.Get(name) != want {
							s.Fail(t, "the authorization request has another "+name, name+"="+want, printableURL(request.String()))
						}
					}
					if !slices.Contains(strings.Fields(q.Get("scope")), "openid") {
						s.Fail(t, "the authorization request does not ask who it is", "scope=openid …", printableURL(request.String()))
					}
				}
			},
		},
		{
			ID: "login-asks-for-offline-access", Task: 1, Needs: []string{"home-without-a-login-leads-to-the-provider"},
			Title: "The scopes are openid, profile and offline_access",
			Why:   "Without offline_access there is no refresh token, and after an hour everybody signs in again.",
			Ref:   "OIDC Core 1.0 §11 (offline access)",
			Check: func(t require.TestingT, s *subject.Session) {
				request := outward(t, s, s.Browser(), "/login")
				for _, scope := range []string{"openid", "profile", "offline_access"} {
					if !slices.Contains(strings.Fields(request.Query().Get("scope")), scope) {
						s.Fail(t, "the application does not ask for "+scope, "scope=openid profile offline_access", printableURL(request.String()))
					}
				}
			},
		},
		{
			ID: "login-has-a-state-and-a-nonce-of-its-own", Task: 1, Needs: []string{"home-without-a-login-leads-to-the-provider"},
			Title: "Each sign-in has a state and a nonce that nobody can guess",
			Why:   "What is the same for everybody, or can be guessed, an attacker can put into a link of their own.",
			Ref:   "RFC 6749 §10.12 (cross-site request forgery), OIDC Core 1.0 §3.1.2.1 (state, nonce) and §15.5.2 (nonce implementation notes)",
			Check: func(t require.TestingT, s *subject.Session) {
				b, seen, all := s.Browser(), map[string]bool{}, map[string][]string{}
				for _, browser := range []*subject.Browser{b, b, s.Browser(), s.Browser(), s.Browser(), s.Browser()} {
					request := outward(t, s, browser, "/login")
					for _, name := range []string{"state", "nonce"} {
						value := request.Query().Get(name)
						all[name] = append(all[name], value)
						switch {
						case len(value) < minUnguessable:
							s.Fail(t, "the authorization request has no "+name+", or one that can be guessed", name+"= at least 128 random bits", printableURL(request.String()))
						case seen[name+value]:
							s.Fail(t, "two sign-ins have the same "+name, "another "+name+" each time", printableURL(request.String()))
						}
						seen[name+value] = true
					}
				}
				for name, values := range all {
					if bits(values) < guessable {
						s.Fail(t, "the "+name+" can be guessed: those of six sign-ins differ in hardly anything", name+"= at least 128 random bits", values[4]+", then "+values[5])
					}
				}
			},
		},
		{
			ID: "login-sends-a-pkce-challenge", Task: 1, Needs: []string{"home-without-a-login-leads-to-the-provider"},
			Title: "Each sign-in has a code_challenge of its own, by the method S256",
			Why:   "Whoever gets hold of a code, in a log or a history, could otherwise put it into a sign-in of their own. It is wanted of applications with a secret, too.",
			Ref:   "RFC 9700 §2.1.1 (authorization code grant), RFC 7636 §4.2 and §4.3 (code challenge, sent with the authorization request)",
			Check: func(t require.TestingT, s *subject.Session) {
				b, seen := s.Browser(), map[string]bool{}
				for _, browser := range []*subject.Browser{b, b, s.Browser()} {
					request := outward(t, s, browser, "/login")
					challenge := request.Query().Get("code_challenge")
					switch {
					case !pkceWord.MatchString(challenge) || request.Query().Get("code_challenge_method") != "S256":
						s.Fail(t, "the authorization request has no code_challenge by S256", "code_challenge= a hash in base64url, code_challenge_method=S256", printableURL(request.String()))
					case seen[challenge]:
						s.Fail(t, "two sign-ins have the same code_challenge", "another one each time", printableURL(request.String()))
					}
					seen[challenge] = true
				}
			},
		},
		{
			ID: "unreachable-provider-is-no-crash", Task: 1, Needs: []string{"home-without-a-login-leads-to-the-provider"},
			Title: "The server starts while the provider is silent, answers 503 to a login, and works once the provider does",
			Why:   "Both are started again in the same night. A server that ends because the other one is not there yet stays down with it.",
			Ref:   "OIDC Discovery 1.0 §4 (discovery); RFC 9110 §15.6.4 (503)",
			Before: func(c subject.Companion) {
				p := c.(*upstream.Provider)
				p.Stall(p.Path.Discovery, upstream.Fault{Status: http.StatusServiceUnavailable})
			},
			Takes: func(lessons.Settings) time.Duration { return 10 * time.Second },
			Check: func(t require.TestingT, s *subject.Session) {
				s.NeedsStart()
				p, b := idp(s), s.Browser()
				p.Resume()
				for _, out := range providerOutages() {
					p.Always(p.Path.Discovery, out.fault)
					b.Open(t, "/").Is(t, http.StatusOK, "the page for everybody is not shown while the provider "+out.what)
					for _, path := range []string{"/login", "/home"} {
						a, _ := b.Follow(t, b.Open(t, path))
						providerDown(t, a, "GET "+path+" is not answered as it should be while discovery "+out.what)
					}
				}
				p.Always(p.Path.Discovery, upstream.Fault{})
				s.Advance(t, 10*time.Second) // for whoever does not ask again at once
				outward(t, s, b, "/login")
			},
		},
		{
			ID: "discovery-of-another-issuer-is-refused", Task: 1, Needs: []string{"unreachable-provider-is-no-crash"},
			Title: "A discovery document that names another issuer is not believed",
			Why:   "A provider that may call itself by another one's name signs people in as that one's.",
			Ref:   "OIDC Discovery 1.0 §4.3 (the issuer must be identical)",
			Before: func(c subject.Companion) {
				c.(*upstream.Provider).Behave(func(m *upstream.Manner) {
					m.Discovery = func(document map[string]any) { document["issuer"] = "https://login.example/another" }
				})
			},
			Takes: func(lessons.Settings) time.Duration { return 10 * time.Second },
			Check: func(t require.TestingT, s *subject.Session) {
				s.NeedsStart()
				b := s.Browser()
				a, _ := b.Follow(t, b.Open(t, "/login"))
				providerDown(t, a, "a discovery document with the issuer https://login.example/another is believed")
				idp(s).Behave(func(m *upstream.Manner) { m.Discovery = nil })
				s.Advance(t, 10*time.Second)
				outward(t, s, b, "/login")
			},
		},
	}
}

func backFromProvider() []grade.Step {
	signsIn := []string{"callback-signs-in"}
	return []grade.Step{
		{
			ID: "callback-signs-in", Task: 2, Needs: []string{"home-without-a-login-leads-to-the-provider"},
			Title: "What the provider sends to /callback signs somebody in, and leads to /home, which names them",
			Why:   "It is what all this is for.",
			Ref:   "OIDC Core 1.0 §3.1.3 (token endpoint), RFC 6749 §4.1 (authorization code grant)",
			Check: func(t require.TestingT, s *subject.Session) {
				first, second := somebodyThere(), somebodyThere()
				one, other := s.Browser(), s.Browser()
				for who, b := range map[upstream.Account]*subject.Browser{first: one, second: other} {
					before := exchanges(s, byCode)
					a, _ := b.Follow(t, arrives(t, s, b, signs(t, s, outward(t, s, b, "/home"), who)))
					isHome(t, a, who, "a sign-in that began at /home does not end there")
					asked(t, s, byCode, before+1, "the code was not exchanged once")
				}
				isIn(t, one, first, "somebody is signed in, and /home does not open")
				isIn(t, other, second, "somebody is signed in, and /home does not open")
			},
		},
		{
			ID: "login-leads-back-to-where-one-was-going", Task: 2, Needs: signsIn,
			Title: "After the sign-in the browser is led to the page that was asked for, with its query; without one, to /home",
			Why:   "Somebody follows a link to page 3, signs in, and is on the front page. They look for page 3 and find the button that closes the window.",
			Ref:   "the login_required decorator of Flask (View Decorators): next",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				for path, want := range map[string]string{
					"/home?tab=2&q=a%26b":           "/home?tab=2&q=a%26b",
					"/login?next=%2Fhome%3Ftab%3D3": "/home?tab=3",
					"/login?next=/home":             "/home",
					"/login":                        "/home",
				} {
					b := s.Browser()
					a := arrives(t, s, b, signs(t, s, outward(t, s, b, path), who))
					to := a.LeadsTo(s.Origin())
					if to.RequestURI() != want && !(path == "/login" && to.Path == "/") {
						failAt(t, a, "a sign-in that began at "+path+" leads to another page", "302 to "+want)
					}
				}
			},
		},
		{
			ID: "login-leads-to-no-other-site", Task: 2, Needs: []string{"login-leads-back-to-where-one-was-going"},
			Title: "Whatever next says, the browser stays on this server",
			Why:   "The link begins with your address, the sign-in is real, and the page after it asks for the password once more, on a server of the attacker's.",
			Ref:   "RFC 9700 §4.11.1 (client as open redirector), CWE-601, URL Standard §4.4 (URL parsing)",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				b := signedInto(t, s, who)
				for _, next := range append(slices.Clone(elsewhere), s.Origin()+".evil.example/", s.Origin()+"@evil.example/", s.Origin()+"//evil.example/") {
					path := "/login?next=" + url.QueryEscape(next)
					claim := fmt.Sprintf("next=%q leads to another site", next)
					a, to := b.Follow(t, b.Open(t, path))
					if to == nil && a.Status < 500 {
						continue // it was refused, or not followed
					}
					if to == nil || to.Host != hostOf(idp(s).AuthorizeURL()) {
						failAt(t, a, claim, "302 to the provider, a page of this server, or 400")
					}
					a = b.Arrive(t, signs(t, s, to, who))
					if to := a.LeadsTo(s.Origin()); to != nil && !subject.SameOrigin(to, s.Origin()) || a.Status >= 500 {
						failAt(t, a, claim, "302 to a page of this server")
					}
				}
				// Nor does it at the two other places that lead on.
				back := signs(t, s, outward(t, s, b, "/login"), who)
				back.RawQuery += "&" + url.Values{"next": {"https://evil.example/"}}.Encode()
				out := "/logout?" + url.Values{"next": {"https://evil.example/"}}.Encode()
				for where, a := range map[string]*subject.Answer{"/callback": b.Arrive(t, back), "/logout": b.Submit(t, out)} {
					if to := a.LeadsTo(s.Origin()); to != nil && to.Host == "evil.example" {
						failAt(t, a, fmt.Sprintf("next=%q in the query of %s leads to another site", "https://evil.example/", where), "302 to a page of this server")
					}
				}
			},
		},
		{
			ID: "callback-wants-its-state", Task: 2, Needs: signsIn,
			Title: "/callback without the state that was sent, or with another one, signs nobody in, whatever else it says",
			Why:   "An attacker signs in as themselves, stops at the last redirect, and sends you its address. You fill in your card number, in their account.",
			Ref:   "RFC 6749 §10.12 (cross-site request forgery), RFC 9700 §4.7 (cross-site request forgery)",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				for _, begun := range []bool{true, false} {
					b := s.Browser()
					request := outward(t, s, b, "/login")
					if !begun {
						b = s.Browser()
					}
					for name, spoil := range map[string]func(url.Values){
						"no state":        func(q url.Values) { q.Del("state") },
						"an empty state":  func(q url.Values) { q.Set("state", "") },
						"a wrong state":   func(q url.Values) { q.Set("state", rand.Text()) },
						"an odd state":    func(q url.Values) { q.Set("state", "\x00\xff'\"<") },
						"a longer state":  func(q url.Values) { q.Set("state", q.Get("state")+"x") },
						"half of a state": func(q url.Values) { q.Set("state", q.Get("state")[:len(q.Get("state"))/2]) },
					} {
						back := signs(t, s, request, who)
						q := back.Query()
						spoil(q)
						back.RawQuery = q.Encode()
						turnedAway(t, b, b.Arrive(t, back), "/callback signs somebody in with "+name)
					}
					for _, odd := range []string{"/callback", "/callback?code=%00&state=%ff", "/callback?code=a&code=b&state=c&state=d", "/callback?" + strings.Repeat("x", 4000)} {
						u, _ := url.Parse(odd)
						turnedAway(t, b, b.Arrive(t, u), "GET /callback with nothing good in it signs somebody in")
					}
				}
				isIn(t, signedInto(t, s, who), who, "a good sign-in does not work after some bad ones")
			},
		},
		{
			ID: "state-belongs-to-the-browser", Task: 2, Needs: []string{"callback-wants-its-state"},
			Title: "A sign-in that began in one browser cannot be ended in another",
			Why:   "A state that the server knows and the browser need not is one that the attacker can fetch for you.",
			Ref:   "RFC 9700 §4.7.1 (bound to the user agent), RFC 6749 §10.12 (cross-site request forgery)",
			Check: func(t require.TestingT, s *subject.Session) {
				attacker, victim := somebodyThere(), somebodyThere()
				theirs := s.Browser()
				request := outward(t, s, theirs, "/login")
				begun := s.Browser()
				outward(t, s, begun, "/login")
				for _, b := range []*subject.Browser{s.Browser(), begun} {
					turnedAway(t, b, b.Arrive(t, signs(t, s, request, attacker)), "a link signs a browser in that has not begun this")
				}
				in := signedInto(t, s, victim)
				a := in.Arrive(t, signs(t, s, request, attacker))
				if a.Status >= 500 {
					failAt(t, a, "/callback answers a sign-in that is no good with a fault of its own", "400, or another 4xx")
				}
				isIn(t, in, victim, "a link signs a browser out, or in as somebody else")
				arrives(t, s, theirs, signs(t, s, request, attacker))
				isIn(t, theirs, attacker, "the browser that has begun a sign-in cannot end it")
			},
		},
		{
			ID: "state-works-once", Task: 2, Needs: []string{"callback-wants-its-state"},
			Title: "A state that was used signs nobody in again",
			Why:   "It is in the history and in the log of the proxy. Who finds it there adds a code of their own.",
			Ref:   "RFC 9700 §4.2.4 (state is invalidated after its first use)",
			Check: func(t require.TestingT, s *subject.Session) {
				who, other := somebodyThere(), somebodyThere()
				b := s.Browser()
				request := outward(t, s, b, "/login")
				back := signs(t, s, request, who)
				arrives(t, s, b, back)
				isIn(t, b, who, "somebody is signed in, and /home does not open")
				for _, again := range []*url.URL{signs(t, s, request, other), back} {
					a := b.Arrive(t, again)
					if a.Status >= 500 {
						failAt(t, a, "/callback answers a sign-in that is no good with a fault of its own", "400, or another 4xx")
					}
					if a := b.Open(t, "/home"); strings.Contains(string(a.ReplyBody), other.Name) {
						failAt(t, a, "a state that was used before signs somebody in again", "a page that names "+who.Name)
					}
					isIn(t, b, who, "a state that was used before signs somebody out")
				}
			},
		},
		{
			ID: "two-tabs-can-sign-in", Task: 2, Needs: signsIn,
			Title: "Two sign-ins that are under way in one browser both succeed, in either order",
			Why:   "A browser that is opened again opens all its tabs. If they share one place for the state, only the last one gets in.",
			Ref:   "RFC 9700 §4.7.1 (one-time tokens in state), OWASP ASVS 5.0 §10.2.1 (OAuth client: CSRF on the code flow)",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				for _, order := range [][]int{{0, 1}, {1, 0}} {
					b := s.Browser()
					requests := []*url.URL{outward(t, s, b, "/home?tab=0"), outward(t, s, b, "/home?tab=1")}
					for _, tab := range order {
						a := arrives(t, s, b, signs(t, s, requests[tab], who))
						if want := fmt.Sprintf("/home?tab=%d", tab); a.LeadsTo(s.Origin()).RequestURI() != want {
							failAt(t, a, "one tab's sign-in leads to the other tab's page", "302 to "+want)
						}
						isIn(t, b, who, "somebody is signed in, and /home does not open")
					}
				}
			},
		},
		{
			ID: "refused-sign-in-is-told", Task: 2, Needs: signsIn,
			Title: "A callback with error= signs nobody in, and is no fault of the server's",
			Why:   "Somebody presses Cancel. They see a page that says so, not a stack trace, and not whatever the address would have them see.",
			Ref:   "RFC 6749 §4.1.2.1 (error response)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := s.Browser()
				denied, err := idp(s).Deny(outward(t, s, b, "/login"))
				require.NoError(t, err)
				turnedAway(t, b, b.Arrive(t, denied), "a sign-in that was denied signs somebody in")

				const script = "<script>alert(1)</script>"
				loud, err := idp(s).Deny(outward(t, s, b, "/login"))
				require.NoError(t, err)
				q := loud.Query()
				for _, name := range []string{"error_description", "error_uri", "hint", script} {
					q.Set(name, script)
				}
				q.Set("error", "server_error"+script)
				loud.RawQuery = q.Encode()
				a := b.Arrive(t, loud)
				turnedAway(t, b, a, "a sign-in that was denied signs somebody in")
				a.Hides(t, "what the address says is part of the page", script)

				stray, _ := url.Parse("/callback?error=access_denied")
				turnedAway(t, b, b.Arrive(t, stray), "a sign-in that nobody has begun signs somebody in")
				for _, name := range []string{"state", "code", "iss"} {
					q.Set(name, script)
				}
				stray.RawQuery = q.Encode()
				a = b.Arrive(t, stray)
				turnedAway(t, b, a, "a sign-in that nobody has begun signs somebody in")
				a.Hides(t, "what the address says is part of the page", script)
				stray.RawQuery = "error=access_denied"
				asked(t, s, byCode, 0, "a code is exchanged where there is none")
				who := somebodyThere()
				signIn(t, s, b, who)
				isIn(t, b, who, "nobody can sign in after they have said no")
				b.Arrive(t, stray)
				isIn(t, b, who, "a link with error= signs somebody out")
			},
		},
		{
			ID: "id-token-is-signed-by-the-provider", Task: 2, Needs: signsIn,
			Title: "An ID token that is signed by nobody, or by somebody else, signs nobody in",
			Why:   "The ID token says who it is. Unsigned, anybody on the way says it. OIDC Core lets a client off where TLS vouches for the token endpoint; here nothing does.",
			Ref:   "OIDC Core 1.0 §3.1.3.7 (6 to 8), RFC 8725 §3.1 to §3.3 (algorithms, validate all cryptographic operations)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				isIn(t, signedInto(t, s, who), who, "somebody is signed in, and /home does not open")
				key := p.Key()
				foreign := upstream.Foreign(key.ID)
				hmac := func(alg string, secret []byte) func(map[string]any) string {
					return func(claims map[string]any) string {
						return forge.Token{Header: map[string]any{"typ": "JWT", "kid": key.ID}, Claims: claims}.Sign(alg, secret)
					}
				}
				for _, forged := range []struct {
					what string
					seal func(map[string]any) string
				}{
					{"by another key with the provider's kid", func(c map[string]any) string { return foreign.Sign(nil, c) }},
					{"by a key that nobody knows", func(c map[string]any) string { return upstream.Foreign(rand.Text()).Sign(nil, c) }},
					{"by a key that it brings along", func(c map[string]any) string { return foreign.Sign(map[string]any{"jwk": foreign.JWK()}, c) }},
					{"by nobody, with alg none", hmac("none", nil)},
					{"by nobody, with alg None", hmac("None", nil)},
					{"by HS256 with the public key for a secret", hmac("HS256", key.PEM())},
					{"by HS256 with the empty secret", hmac("HS256", nil)},
					{"for other claims", func(c map[string]any) string {
						return forge.ReplacePayload(key.Sign(nil, map[string]any{"sub": "x"}), c)
					}},
					{"by a signature that was changed", func(c map[string]any) string { return forge.TamperSignature(key.Sign(nil, c)) }},
					{"by an empty signature", func(c map[string]any) string {
						raw := key.Sign(nil, c)
						return raw[:strings.LastIndex(raw, ".")+1]
					}},
				} {
					p.Behave(func(m *upstream.Manner) { m.Seal = forged.seal })
					b := s.Browser()
					turnedAway(t, b, b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who)), "an ID token that is signed "+forged.what+" signs somebody in")
				}
			},
		},
		{
			ID: "id-token-is-for-this-application", Task: 2, Needs: signsIn,
			Title: "An ID token of another issuer, or for another client, signs nobody in",
			Why:   "Every application of that provider gets ID tokens. The one of a game would open your shop.",
			Ref:   "OIDC Core 1.0 §3.1.3.7 (2 and 3)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				as := func(claim string, value any) *subject.Browser {
					p.Behave(func(m *upstream.Manner) {
						m.Claims = func(c map[string]any) {
							c[claim] = value
							if value == nil {
								delete(c, claim)
							}
						}
					})
					return s.Browser()
				}
				app := s.Settings.Provider.ClientID
				good := as("aud", []string{app}) // a list of one is as good
				signIn(t, s, good, who)
				isIn(t, good, who, "an ID token whose aud is a list with this application is refused")
				for _, wrong := range []struct {
					claim string
					value any
				}{
					{"iss", "https://login.example/another"}, {"iss", p.Issuer() + "/"}, {"iss", nil},
					{"aud", "another-app"}, {"aud", []string{"another-app", "a-third"}}, {"aud", app + "-2"}, {"aud", []string{}}, {"aud", nil},
				} {
					b := as(wrong.claim, wrong.value)
					turnedAway(t, b, b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who)), fmt.Sprintf("an ID token with %q:%s signs somebody in", wrong.claim, show(wrong.value)))
				}
			},
		},
		{
			ID: "expired-id-token-is-refused", Task: 2, Needs: signsIn,
			Title: "An ID token that has expired, or never does, signs nobody in",
			Why:   "It is minutes old when it is used for what it is for. One of last week is one that somebody has kept.",
			Ref:   "OIDC Core 1.0 §3.1.3.7 (9)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				isIn(t, signedInto(t, s, who), who, "somebody is signed in, and /home does not open")
				long, lately := s.Now().Add(-time.Hour).Unix(), s.Now().Add(-10*time.Minute).Unix()
				for _, exp := range []any{long, lately, 0, nil} {
					p.Behave(func(m *upstream.Manner) {
						m.Claims = func(c map[string]any) {
							c["iat"], c["exp"] = s.Now().Add(-2*time.Hour).Unix(), exp
							if exp == nil {
								delete(c, "exp")
							}
						}
					})
					what := map[any]string{long: "that has expired an hour ago", lately: "that has expired ten minutes ago", 0: "with exp 0", nil: "without an exp"}[exp]
					b := s.Browser()
					turnedAway(t, b, b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who)), "an ID token "+what+" signs somebody in")
				}
			},
		},
		{
			ID: "nonce-is-compared", Task: 2, Needs: []string{"callback-signs-in", "login-has-a-state-and-a-nonce-of-its-own"},
			Title: "An ID token with another nonce, or without one, signs nobody in",
			Why:   "It is a good ID token, for this application, and of another sign-in: somebody has stolen it, or its code, and puts it into theirs.",
			Ref:   "OIDC Core 1.0 §3.1.3.7 (11) and §15.5.2 (nonce implementation notes), RFC 9700 §4.5.3.2 (nonce)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				isIn(t, signedInto(t, s, who), who, "somebody is signed in, and /home does not open")
				for _, what := range []string{"with another nonce", "with an empty nonce", "without a nonce", "with the nonce of another sign-in of this browser", "with a number for a nonce", "with half of the nonce", "with a longer nonce"} {
					b := s.Browser()
					others := outward(t, s, b, "/login").Query().Get("nonce")
					p.Behave(func(m *upstream.Manner) {
						m.Claims = func(c map[string]any) {
							switch what {
							case "with another nonce":
								c["nonce"] = rand.Text()
							case "with an empty nonce":
								c["nonce"] = ""
							case "without a nonce":
								delete(c, "nonce")
							case "with a number for a nonce":
								c["nonce"] = 0
							case "with half of the nonce":
								right := fmt.Sprint(c["nonce"])
								c["nonce"] = right[:len(right)/2]
							case "with a longer nonce":
								c["nonce"] = fmt.Sprint(c["nonce"]) + "x"
							default:
								c["nonce"] = others
							}
						}
					})
					turnedAway(t, b, b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who)), "an ID token "+what+" signs somebody in")
				}
			},
		},
		{
			ID: "answer-without-an-id-token-is-refused", Task: 2, Needs: signsIn,
			Title: "An answer of the token endpoint without an ID token, or with no sense in it, signs nobody in and panics nowhere",
			Why:   "A type assertion without its second value is a crash that anybody's misconfigured proxy can cause.",
			Ref:   "OIDC Core 1.0 §3.1.3.3 (id_token is required) and §3.1.3.5 (token response validation)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				for _, change := range []func(map[string]any){
					func(a map[string]any) { delete(a, "id_token") },
					func(a map[string]any) { a["id_token"] = nil },
					func(a map[string]any) { a["id_token"] = "" },
					func(a map[string]any) { a["id_token"] = 42 },
					func(a map[string]any) { a["id_token"] = "a.b.c" },
					func(a map[string]any) { clear(a) },
				} {
					p.Behave(func(m *upstream.Manner) { m.Answer = func(_ string, a map[string]any) { change(a) } })
					b := s.Browser()
					turnedAway(t, b, b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who)), "an answer without a good ID token signs somebody in")
				}
				p.Behave(func(m *upstream.Manner) { m.Answer = nil })
				isIn(t, signedInto(t, s, who), who, "nobody can sign in after some bad answers")
			},
		},
		{
			ID: "minute-of-skew-is-tolerated", Task: 2, Needs: signsIn,
			Title: "A provider whose clock is a minute ahead or behind signs people in",
			Why:   "No two clocks agree. An ID token of the future is one of a provider that is in no hurry to ask for the time.",
			Ref:   "RFC 7519 §4.1.4 and §4.1.5 (some small leeway), OIDC Core 1.0 §3.1.3.7 (10: iat is the client's to judge)",
			Check: func(t require.TestingT, s *subject.Session) {
				for skew, what := range map[time.Duration]string{time.Minute: "ahead", -time.Minute: "behind"} {
					idp(s).Behave(func(m *upstream.Manner) {
						m.Skew = skew
						m.Claims = func(c map[string]any) { c["nbf"] = c["iat"] }
					})
					who, b := somebodyThere(), s.Browser()
					a := b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who))
					if a.LeadsTo(s.Origin()) == nil {
						failAt(t, a, "nobody can sign in at a provider whose clock is a minute "+what, "302 to /home")
					}
					isIn(t, b, who, "nobody can sign in at a provider whose clock is a minute "+what)
				}
			},
		},
		{
			ID: "new-keys-are-fetched", Task: 2, Needs: signsIn,
			Title: "When the provider signs with a new key, people can still sign in",
			Why:   "Providers change their keys without asking. Whoever has fetched them once, at the start, is started again in the night by somebody who does not know why that helps.",
			Ref:   "OIDC Core 1.0 §10.1.1 (rotation of asymmetric signing keys)",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				isIn(t, signedInto(t, s, who), who, "somebody is signed in, and /home does not open")
				idp(s).RotateKeys()
				b := s.Browser()
				a := b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who))
				if a.LeadsTo(s.Origin()) == nil {
					failAt(t, a, "nobody can sign in once the provider signs with a new key", "302 to /home")
				}
				isIn(t, b, who, "nobody can sign in once the provider signs with a new key")
			},
		},
		{
			ID: "known-keys-are-kept", Task: 2, Needs: signsIn,
			Title: "What discovery and the keys have said once is not asked again for each sign-in",
			Why:   "Two more requests for each sign-in are slow, and two more servers that must be up: what is known already does not stop being true.",
			Ref:   "OIDC Core 1.0 §10.1.1 (keys are cached until an unfamiliar kid comes)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				// Twice: discovery that was begun at the start may end after the first has
				// asked for itself, and be what counts from then on.
				for range 2 {
					isIn(t, signedInto(t, s, who), who, "somebody is signed in, and /home does not open")
				}
				p.Always(p.Path.Discovery, upstream.Fault{Status: http.StatusServiceUnavailable})
				p.Always(p.Path.Keys, upstream.Fault{Status: http.StatusServiceUnavailable})
				b := s.Browser()
				a, to := b.Follow(t, b.Open(t, "/login"))
				if to == nil {
					failAt(t, a, "the discovery document is asked for again, and that answers 503", "302 to the provider")
				}
				a = b.Arrive(t, signs(t, s, to, who))
				if a.LeadsTo(s.Origin()) == nil {
					failAt(t, a, "discovery or the keys are asked for again, and they answer 503", "302 to /home")
				}
				isIn(t, b, who, "discovery or the keys are asked for again, and they answer 503")
			},
		},
		{
			ID: "code-is-sent-once", Task: 2, Needs: signsIn,
			Title: "A code is sent to the token endpoint once; where that fails, the answer is 503, or a refusal where the code is no good",
			Why:   "A library that guesses how the client proves itself sends each request that fails a second time. A code that comes twice looks stolen, and the provider ends what came of it.",
			Ref:   "RFC 6749 §4.1.2 (a code must not be used more than once) and §2.3.1 (client password)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				refused := upstream.Fault{Status: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"error":"invalid_grant","error_description":"the code has expired"}`}
				for i, fault := range []upstream.Fault{{Status: 503}, refused, {Cut: true}} {
					p.Always(p.Path.Token, fault)
					b := s.Browser()
					a := b.Arrive(t, signs(t, s, outward(t, s, b, "/login"), who))
					asked(t, s, byCode, i+1, "a code is sent another number of times than once")
					turnedAway(t, b, a, "a code that was not exchanged signs somebody in")
					if fault.Status != 400 {
						providerDown(t, a, "a sign-in is not answered as it should be while the token endpoint is of no help")
					}
				}
				p.Always(p.Path.Token, upstream.Fault{})
				isIn(t, signedInto(t, s, who), who, "nobody can sign in when the token endpoint is back")
			},
		},
		{
			ID: "code-verifier-cannot-be-guessed", Task: 2, Needs: []string{"callback-signs-in", "login-sends-a-pkce-challenge"},
			Title: "The code_verifier has 43 to 128 characters that nobody can guess, and is not in the address of the sign-in",
			Why:   "Whoever has the code has seen the address, too. A verifier that counts, or is the state once more, proves to the provider what they know as well.",
			Ref:   "RFC 7636 §4.1 (code verifier: 43 to 128 unreserved characters) and §7.1 (entropy of the code_verifier)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				one := func() (*url.URL, string) {
					b := s.Browser()
					request := outward(t, s, b, "/login")
					arrives(t, s, b, signs(t, s, request, who))
					calls := p.Calls(p.Path.Token)
					form, _ := url.ParseQuery(string(calls[len(calls)-1].Body))
					return request, form.Get("code_verifier")
				}
				var verifiers []string
				for range 6 {
					request, verifier := one()
					if !verifierWord.MatchString(verifier) {
						s.Fail(t, fmt.Sprintf("the code_verifier has %d characters, or one that is not allowed", len(verifier)), "43 to 128 of A to Z, a to z, 0 to 9, - . _ ~", verifier)
					}
					for _, name := range []string{"state", "nonce", "code_challenge"} {
						shown := request.Query().Get(name)
						if shown != "" && (strings.Contains(verifier, shown) || strings.Contains(shown, verifier)) {
							s.Fail(t, "the code_verifier can be read in the "+name+" of the authorization request", "random characters that are nowhere else", printableURL(request.String()))
						}
						if name != "code_challenge" && shown != "" && hashed(verifier, shown) {
							s.Fail(t, "the code_verifier is the hash of the "+name+" of the authorization request", "random characters that nobody can work out", printableURL(request.String()))
						}
					}
					verifiers = append(verifiers, verifier)
				}
				if bits(verifiers) < guessable {
					s.Fail(t, "the code_verifier can be guessed: those of six sign-ins differ in hardly anything", "256 random bits, such as 32 random bytes in base64url", verifiers[4]+", then "+verifiers[5])
				}
				if s.Controlled() {
					s.Replace(t, nil)
					if _, verifier := one(); slices.Contains(verifiers, verifier) {
						s.Fail(t, "a server that starts again has the code_verifiers that it had before", "random characters, seeded by nothing that anybody knows", verifier)
					}
				}
			},
		},
		{
			ID: "session-is-renewed-at-login", Task: 2, Needs: signsIn,
			Title: "The cookies from before the sign-in are not signed in after it",
			Why:   "Somebody plants their own session in your browser, from a host below yours, and waits until you have signed in with it.",
			Ref:   "OWASP ASVS 5.0 §7.2.4 (a new session token on authentication), CWE-384",
			Check: func(t require.TestingT, s *subject.Session) {
				who, b := somebodyThere(), s.Browser()
				b.Open(t, "/")
				request := outward(t, s, b, "/home")
				planted := b.Clone()
				arrives(t, s, b, signs(t, s, request, who))
				isOut(t, planted, "the session from before the sign-in is signed in, too")
				isIn(t, b, who, "somebody is signed in, and /home does not open")
				again := b.Clone()
				signIn(t, s, b, who)
				isIn(t, b, who, "who signs in once more is not signed in")
				// What stays the same may be a language or a device, but no sign-in.
				now := b.Cookies()
				same := again.Keep(func(c subject.Cookie) bool {
					return slices.ContainsFunc(now, func(d subject.Cookie) bool { return d.Name == c.Name && d.Value == c.Value })
				})
				if a := same.Open(t, "/home"); a.Status == http.StatusOK {
					failAt(t, a, "a second sign-in leaves the session's cookie as it was", "another value after each sign-in")
				}
				isOut(t, again, "the cookies from before a second sign-in are still signed in")
				isIn(t, b, who, "who signs in once more is not signed in")
			},
		},
		{
			ID: "session-cookie-is-guarded", Task: 2, Needs: signsIn,
			Title: "The server's cookies are HttpOnly, SameSite=Lax and for this host only, and Secure where its address is https",
			Why:   "The cookie is all that a thief needs now. Strict would be too much of a good thing: the way back from the provider comes from another site.",
			Ref:   "OWASP ASVS 5.0 §3.3.1 to §3.3.4 (cookie setup: Secure, SameSite, HttpOnly), RFC 10025 §4.1.2 (Set-Cookie semantics)",
			Set:   elsewhereCalled,
			Check: func(t require.TestingT, s *subject.Session) {
				b := s.Browser()
				first := b.Open(t, "/login")
				a, to := b.Follow(t, first)
				if to == nil {
					failAt(t, a, "GET /login does not lead to the provider", "302 to the authorization_endpoint that discovery names")
				}
				after := b.Arrive(t, signs(t, s, to, somebodyThere()))
				set := 0
				for _, answer := range []*subject.Answer{first, a, after} {
					for _, c := range subject.SetCookies(answer) {
						if c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(s.Now()) {
							continue
						}
						set++
						switch {
						case !c.HttpOnly:
							cookieFault(t, answer, "a script can read the cookie "+c.Name, "Set-Cookie: …; HttpOnly")
						case c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode:
							cookieFault(t, answer, "the cookie "+c.Name+" goes along with requests of other sites", "Set-Cookie: …; SameSite=Lax")
						case c.Domain != "":
							cookieFault(t, answer, "the cookie "+c.Name+" goes to other hosts, too", "Set-Cookie without Domain")
						case !c.Secure && strings.HasPrefix(s.Origin(), "https:"):
							cookieFault(t, answer, "the cookie "+c.Name+" may be sent without TLS", "Set-Cookie: …; Secure")
						}
					}
				}
				if set == 0 {
					cookieFault(t, after, "a sign-in sets no cookie", "Set-Cookie: …; HttpOnly; Secure; SameSite=Lax")
				}
			},
		},
		{
			ID: "session-cookie-cannot-be-guessed", Task: 2, Needs: []string{"session-is-renewed-at-login"},
			Title: "What is in the cookie of one sign-in says nothing of what is in another's",
			Why:   "A cookie that counts, or that says who it is and is not signed, is written by hand: with another number, somebody else is signed in.",
			Ref:   "OWASP ASVS 5.0 §7.2.3 (reference tokens: at least 128 bits of entropy), CWE-330 (insufficiently random values)",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				values := map[string][]string{} // of one person's sign-ins, by the cookie's name
				in := signedInto(t, s, who)
				isIn(t, in, who, "somebody is signed in, and /home does not open")
				for _, b := range []*subject.Browser{in, signedInto(t, s, who), signedInto(t, s, who), signedInto(t, s, who), signedInto(t, s, who), signedInto(t, s, who)} {
					for _, c := range b.Cookies() {
						values[c.Name] = append(values[c.Name], c.Value)
					}
				}
				guessed := in.Keep(func(c subject.Cookie) bool {
					all := values[c.Name]
					return len(all) < 6 || bits(all) < guessable
				})
				if a := guessed.Open(t, "/home"); a.Status == http.StatusOK {
					failAt(t, a, "the cookies that are signed in can be guessed: those of six sign-ins differ in hardly anything", "128 random bits, or a signature that nobody else can make")
				}
				isIn(t, in, who, "somebody is signed in, and /home does not open")
				if !s.Controlled() {
					return
				}
				s.Replace(t, nil)
				again := signedInto(t, s, who)
				isIn(t, again, who, "somebody is signed in, and /home does not open")
				copies := again.Keep(func(c subject.Cookie) bool { return slices.Contains(values[c.Name], c.Value) })
				if a := copies.Open(t, "/home"); a.Status == http.StatusOK {
					failAt(t, a, "a server that starts again gives the cookies that it gave before", "random bits, seeded by nothing that anybody knows")
				}
			},
		},
		{
			ID: "user-is-the-sub", Task: 2, Needs: signsIn,
			Title: "Two people with one e-mail address or one username are two people",
			Why:   "Addresses and names are given again to others, and some providers let people write any address they like. The sub is the one thing that stays.",
			Ref:   "OIDC Core 1.0 §5.7 (claim stability and uniqueness)",
			Check: func(t require.TestingT, s *subject.Session) {
				ada, mallory := somebodyThere(), somebodyThere()
				mallory.Email, mallory.Username = ada.Email, ada.Username
				one := signedInto(t, s, ada)
				isIn(t, one, ada, "somebody is signed in, and /home does not open")
				other := signedInto(t, s, mallory)
				isIn(t, other, mallory, "/home shows one person what another one with the same address may see")
				isIn(t, one, ada, "/home shows one person what another one with the same address may see")
				var both []probe.Request
				for range 6 {
					both = append(both, one.OpenRequest("/home"), other.OpenRequest("/home"))
				}
				for i, a := range s.Crowd(t, both) {
					isHome(t, a, []upstream.Account{ada, mallory}[i%2], "of two people at once, not both see their page")
				}
			},
		},
	}
}

// hashed tells whether a text is the hash of another, as one mostly writes it.
func hashed(text, of string) bool {
	for _, sum := range sums(of) {
		if slices.ContainsFunc(spellings(sum), func(spelling string) bool { return strings.EqualFold(text, spelling) }) {
			return true
		}
	}
	return false
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func requireLogin() []grade.Step {
	signsIn := []string{"callback-signs-in"}
	refreshes := []string{"expired-token-is-refreshed-on-the-way"}
	return []grade.Step{
		{
			ID: "good-token-goes-through", Task: 3, Needs: signsIn,
			Title: "While the access token is good, /home opens and nothing is refreshed",
			Why:   "A refresh for each page is a provider that slows you down, and soon one that shuts you out.",
			Ref:   "RFC 6749 §1.5 (figure 2: refresh after the access token has expired)",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				b := signedInto(t, s, who)
				for range 3 {
					isIn(t, b, who, "a person with a good access token does not get through")
				}
				asked(t, s, byRefresh, 0, "an access token that is good for an hour is refreshed")
			},
		},
		{
			ID: "expired-token-is-refreshed-on-the-way", Task: 3, Needs: signsIn,
			Title: "When the access token has expired it is refreshed on the way to the page, with no visit to the provider",
			Why:   "Nobody wants to sign in every hour. The refresh token is there so that nobody has to.",
			Ref:   "RFC 6749 §6 (refreshing an access token)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				b := signedInAWhileAgo(t, s, who)
				isIn(t, b, who, "an access token that has expired is not refreshed on the way")
				asked(t, s, byRefresh, 1, "an access token that has expired is refreshed another number of times than once")
				isIn(t, b, who, "the new access token is not kept")
				asked(t, s, byRefresh, 1, "a new access token that is good for an hour is refreshed")
			},
		},
		{
			ID: "new-refresh-token-is-kept", Task: 3, Needs: refreshes,
			Title: "Where a refresh gives a new refresh token, the next refresh sends that one",
			Why:   "With the old one it works once, and fails an hour later. By then the test is long over.",
			Ref:   "RFC 6749 §6 (the client must discard the old refresh token), RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Takes: expiries(3),
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				idp(s).Behave(func(m *upstream.Manner) { m.Life = short })
				b := signedInto(t, s, who)
				for i := range 3 {
					s.Advance(t, pastShort)
					isIn(t, b, who, fmt.Sprintf("refresh number %d of a session does not work", i+1))
				}
			},
		},
		{
			ID: "old-refresh-token-is-kept-where-none-comes", Task: 3, Needs: refreshes,
			Title: "Where a refresh gives no refresh token, the one that there is goes on",
			Why:   "Google, for one, gives a refresh token once and never again. Whoever stores what is not in the answer stores nothing in its place.",
			Ref:   "RFC 6749 §6 (a new refresh token may be issued)",
			Takes: expiries(3),
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				idp(s).Behave(func(m *upstream.Manner) { m.Life, m.KeepsRefresh = short, true })
				b := signedInto(t, s, who)
				for i := range 3 {
					s.Advance(t, pastShort)
					isIn(t, b, who, fmt.Sprintf("refresh number %d of a session does not work", i+1))
				}
			},
		},
		{
			ID: "refresh-needs-no-nonce", Task: 3, Needs: refreshes,
			Title: "A refresh may give an ID token without a nonce, or none",
			Why:   "Whoever puts every ID token through the checks of a sign-in signs people out at the first provider that sends one with a refresh.",
			Ref:   "OIDC Core 1.0 §12.2 (successful refresh response)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				idp(s).Behave(func(m *upstream.Manner) { m.RefreshIDToken = true })
				isIn(t, signedInAWhileAgo(t, s, who), who, "a refresh that gives an ID token without a nonce is refused")
			},
		},
		{
			ID: "refreshed-id-token-of-another-is-refused", Task: 3, Needs: []string{"refresh-needs-no-nonce"},
			Title: "A refresh that gives the ID token of another person lets nobody through",
			Why:   "One provider's cache, mixed up for a minute, and you go on with somebody else's tokens.",
			Ref:   "OIDC Core 1.0 §12.2 (its sub must be the same)",
			Takes: expiries(2),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who, other := idp(s), somebodyThere(), somebodyThere()
				const claim = "a refresh that gives the ID token of another person lets somebody through"
				for _, all := range []bool{false, true} { // userinfo may say the same as the ID token
					p.Behave(func(m *upstream.Manner) { m.RefreshIDToken, m.Claims, m.Userinfo = false, nil, nil })
					b := signedInAWhileAgo(t, s, who)
					p.Behave(func(m *upstream.Manner) {
						m.RefreshIDToken = true
						m.Claims = func(c map[string]any) { c["sub"] = other.Sub }
						if all {
							m.Userinfo = func(c map[string]any) { c["sub"], c["name"] = other.Sub, other.Name }
						}
					})
					a := b.Open(t, "/home")
					if a.Status/100 == 2 || a.Status == http.StatusInternalServerError {
						failAt(t, a, claim, "302 to / or to the login, 502 or 503")
					}
					// What was refused is not to be had afterwards either.
					if a := b.Open(t, "/home"); a.Status/100 == 2 {
						failAt(t, a, "a refresh gave the ID token of another person, and the next request goes on with those tokens", "302 to / or to the login, 502 or 503")
					}
				}
				p.Behave(func(m *upstream.Manner) { m.RefreshIDToken, m.Claims, m.Userinfo = false, nil, nil })
				isIn(t, signedInto(t, s, who), who, "nobody can sign in when the provider is in order again")
			},
		},
		{
			ID: "refused-refresh-signs-people-out", Task: 3, Needs: refreshes,
			Title: "When the refresh is refused for good, the session is cleared and the browser is led to /",
			Why:   "invalid_grant does not pass. With the session kept, every page tries again; led back to the login, some browsers go round for ever.",
			Ref:   "RFC 6749 §5.2 (invalid_grant)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b, other := signedInAWhileAgo(t, s, who), somebodyThere()
				copied := b.Clone()
				p.EndGrants()
				theirs := signedInto(t, s, other)
				a := b.Open(t, "/home")
				if to := a.LeadsTo(s.Origin()); to == nil || !subject.SameOrigin(to, s.Origin()) || to.Path != "/" && to.Path != "" {
					failAt(t, a, "a refresh that is refused does not lead to /", "302 to /")
				}
				asked(t, s, byRefresh, 1, "a refresh token that is refused is sent another number of times than once")
				a, _ = b.Follow(t, a)
				a.Is(t, http.StatusOK, "the page for everybody is not shown to somebody whose session has ended")
				for _, gone := range []*subject.Browser{b, copied} {
					isOut(t, gone, "the session goes on after its refresh was refused")
				}
				asked(t, s, byRefresh, 1, "a refresh token that was refused is sent again")
				isIn(t, theirs, other, "a refusal ends another person's session")
				signIn(t, s, b, who)
				isIn(t, b, who, "nobody can sign in after their session has ended")
			},
		},
		{
			ID: "refused-refresh-is-logged", Task: 3, Needs: []string{"refused-refresh-signs-people-out"},
			Title: "The log says why a refresh was refused: the error code and the description",
			Why:   "\"People are signed out\" is all that you hear. The reason was in the answer: a changed password, a secret that has run out, a policy of last Tuesday.",
			Ref:   "RFC 6749 §5.2 (error, error_description), OWASP ASVS 5.0 §16.3.1 (authentication operations are logged, unsuccessful ones too)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				s.Logged(t) // at a URL nobody can look: that is to be said before time passes
				p, b := idp(s), signedInAWhileAgo(t, s, somebodyThere())
				marker := "case-" + rand.Text()[:10]
				p.Next(p.Path.Token, upstream.Fault{Status: 400, Header: http.Header{"Content-Type": {"application/json"}},
					Body: `{"error":"invalid_grant","error_description":"the grant has run out: ` + marker + `"}`})
				a := b.Open(t, "/home")
				if a.Status/100 == 2 {
					failAt(t, a, "a refresh that is refused lets somebody through", "302 to /")
				}
				for _, word := range []string{"invalid_grant", marker} {
					if !strings.Contains(s.Logged(t), word) {
						s.Fail(t, "the log does not say why the refresh was refused", "a line in cfg.Log with invalid_grant and the error_description", "no "+word+" in the log")
					}
				}
			},
		},
		{
			ID: "outage-keeps-the-session", Task: 3, Needs: refreshes,
			Title: "While the token endpoint is of no help, /home is 503 and the session is kept",
			Why:   "The provider is down for a minute, and all your users are signed out for the day.",
			Ref:   "RFC 6749 §5.2 (what is no error of the token endpoint is no refusal), RFC 9110 §15.6.4 (503 Service Unavailable)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b := signedInAWhileAgo(t, s, who)
				for _, out := range providerOutages() {
					p.Always(p.Path.Token, out.fault)
					a := b.Open(t, "/home")
					providerDown(t, a, "/home is not answered as it should be while the token endpoint "+out.what)
				}
				p.Always(p.Path.Token, upstream.Fault{})
				isIn(t, b, who, "the session is gone after an outage of the provider")
			},
		},
		{
			ID: "tabs-at-once-refresh-once", Task: 3, Timed: true, Needs: refreshes,
			Title: "Eight tabs that find the token expired at once refresh it once, and all get through",
			Why:   "Where refresh tokens work once, the second tab's looks stolen. The provider ends the session, for all eight.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b := signedInAWhileAgo(t, s, who)
				p.Stall(p.Path.Token, upstream.Fault{})
				ctx, cancel := context.WithTimeout(s.Context(), 2*time.Second)
				defer cancel()
				go func() {
					p.Await(ctx, p.Path.Token, 2) // the first one was the sign-in
					// Long enough for the others to come to the same place.
					time.AfterFunc(20*time.Millisecond, p.Resume)
				}()
				requests := make([]probe.Request, 8)
				for i := range requests {
					requests[i] = b.OpenRequest(fmt.Sprintf("/home?tab=%d", i))
				}
				for _, a := range s.Crowd(t, requests) {
					isHome(t, a, who, "one of eight tabs that find the token expired at once does not get through")
				}
				asked(t, s, byRefresh, 1, "eight tabs that find the token expired at once refresh it another number of times than once")
				isIn(t, b, who, "the session is gone after eight tabs at once")
				asked(t, s, byRefresh, 1, "what eight tabs at once have left behind is refreshed again")
			},
		},
		{
			ID: "slow-provider-holds-up-nobody-else", Task: 3, Timed: true, Needs: refreshes,
			Title: "While one person's refresh waits for the provider, others go on",
			Why:   "One lock around all refreshes is one slow answer that stops the whole server.",
			Ref:   "OWASP ASVS 5.0 §16.5.2 (an external service that fails is contained)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, waits, goes := idp(s), somebodyThere(), somebodyThere()
				held := signedInAWhileAgo(t, s, waits)
				free := signedInto(t, s, goes)
				p.Stall(p.Path.Token, upstream.Fault{})
				before := len(p.Calls(p.Path.Token))
				waiting := sendLater(s, held.OpenRequest("/home"))
				if !p.Await(s.Context(), p.Path.Token, before+1) {
					s.Fail(t, "an access token that has expired is not refreshed on the way", "a request with grant_type=refresh_token", "none")
				}
				other := sendLater(s, free.OpenRequest("/home"))
				select {
				case <-other.done:
				case <-time.After(2 * time.Second):
				case <-s.Context().Done():
				}
				prompt := other.ended()
				p.Resume()
				a := other.answer(t)
				if !prompt {
					failAt(t, a, "a person with a good token waits for somebody else's refresh", "an answer while that waits for the provider")
				}
				isHome(t, a, goes, "a person with a good token does not get through while somebody else's refresh waits")
				isHome(t, waiting.answer(t), waits, "a refresh that has waited for the provider does not get through")
			},
		},
		{
			ID: "closed-tab-loses-no-refresh-token", Task: 3, Timed: true, Needs: []string{"new-refresh-token-is-kept"},
			Title: "A tab that is closed during a refresh does not end it, and signs nobody out",
			Why:   "The provider has replaced the refresh token, and the answer with the new one goes to a request that has been given up. The next page sends the old one, which looks stolen.",
			Ref:   "context.WithoutCancel (Go standard library), RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				b := signedInAWhileAgo(t, s, who)
				closesTheTab(t, s, b, who, "a refresh because of the time")
			},
		},
		{
			ID: "without-a-refresh-token-it-is-the-login-again", Task: 3, Needs: signsIn,
			Title: "Where there is no refresh token, an expired access token leads to the login",
			Why:   "Somebody has not agreed to offline_access, or the provider does not know it. That is no error: they sign in again.",
			Ref:   "RFC 6749 §5.1 (refresh_token is optional)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				p.Behave(func(m *upstream.Manner) { m.Answer = func(_ string, a map[string]any) { delete(a, "refresh_token") } })
				b := signedInAWhileAgo(t, s, who)
				request := outward(t, s, b, "/home?tab=4")
				asked(t, s, byRefresh, 0, "a refresh without a refresh token is tried")
				a := arrives(t, s, b, signs(t, s, request, who))
				if to := a.LeadsTo(s.Origin()); to.RequestURI() != "/home?tab=4" {
					failAt(t, a, "a sign-in that began at /home?tab=4 leads to another page", "302 to /home?tab=4")
				}
				isIn(t, b, who, "somebody is signed in, and /home does not open")
			},
		},
		{
			ID: "public-client-needs-no-secret", Task: 3, Needs: refreshes,
			Title: "Without a client secret the application is a public client: it signs people in, and refreshes",
			Why:   "Not every provider gives everybody a secret. PKCE is what protects the code then.",
			Ref:   "RFC 6749 §2.1 (client types) and §3.2.1 (client_id without authentication)",
			Set: func(c *lessons.Settings) {
				if !told(*c) {
					c.Provider.ClientID = "public-" + strings.ToLower(rand.Text()[:8])
				}
			},
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				isIn(t, signedInAWhileAgo(t, s, who), who, "an application without a secret does not refresh")
			},
		},
		{
			ID: "tokens-stay-on-the-server", Task: 3, Needs: refreshes,
			Title: "No token, no secret and no code_verifier is in an answer, a cookie or the log",
			Why:   "A session cookie that is signed is not encrypted: whoever has the cookie reads the refresh token in it. And a log is read by more people than a database.",
			Ref:   "OWASP ASVS 5.0 §10.1.1 (tokens only where they are needed) and §16.2.5 (logging)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				p.Behave(func(m *upstream.Manner) { m.RefreshIDToken = true })
				b := signedInAWhileAgo(t, s, who)
				isIn(t, b, who, "an access token that has expired is not refreshed")
				cookies := []string{} // a log is to hold even less: whoever reads a cookie there is signed in
				for _, c := range b.Cookies() {
					if len(c.Value) >= minUnguessable {
						cookies = append(cookies, c.Value)
					}
				}
				p.Next(p.Path.Userinfo, upstream.Fault{Status: 503})
				b.Open(t, "/home")
				b.Open(t, "/")
				b.Submit(t, "/logout")
				// An answer that cannot be used is a tempting one to log.
				back := signs(t, s, outward(t, s, b, "/login"), who)
				p.Next(p.Path.Token, upstream.Fault{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"token_type":"Bearer","refresh_token":"` + unusable + `"}`})
				b.Arrive(t, back) // where that leads is other steps' affair
				unlogged(t, s, "the log holds a token, of an answer that could not be used", unusable)
				secrets := append(p.Issued(), s.Settings.Provider.ClientSecret)
				for _, c := range p.Calls(p.Path.Token) {
					if form, err := url.ParseQuery(string(c.Body)); err == nil {
						secrets = append(secrets, form.Get("code_verifier"))
					}
				}
				for _, e := range s.Log() {
					a := &subject.Answer{Exchange: e}
					for name, values := range e.ReplyHeader {
						for _, v := range values {
							for i, secret := range secrets {
								// A sign-in that is under way may stand in a cookie of its own.
								verifier := i > len(p.Issued())
								if reveals(v, secret, 4) && !(verifier && name == "Set-Cookie") {
									probe.Fail(t, &probe.Failure{Claim: "an answer shows a token or a secret, in its header " + name, Sent: a.Exchange, Want: "an answer without it", Got: a.Headers(name)})
								}
							}
						}
					}
					for _, secret := range secrets {
						if reveals(string(e.ReplyBody), secret, 2) {
							failAt(t, a, "an answer shows a token or a secret", "an answer without it")
						}
					}
				}
				unlogged(t, s, "the log holds a token, a secret or a session's cookie", append(cookies, secrets...)...)
			},
		},
		{
			ID: "home-shows-what-the-provider-says", Task: 4, Needs: signsIn,
			Title: "/home asks userinfo with the access token, and shows its name, escaped",
			Why:   "The name is somebody else's data, and somebody else chooses it.",
			Ref:   "OIDC Core 1.0 §5.3 (UserInfo endpoint), RFC 6750 §2.1 (Authorization request header field), OWASP ASVS 5.0 §1.2.1 (output encoding)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b := signedInto(t, s, who)
				before := len(p.Calls(p.Path.Userinfo))
				isIn(t, b, who, "a person with a good access token does not get through")
				if len(p.Calls(p.Path.Userinfo)) == before {
					s.Fail(t, "/home does not ask the userinfo endpoint", "GET userinfo_endpoint with Authorization: Bearer …", "no request")
				}
				for _, c := range p.Calls(p.Path.Userinfo) {
					for _, token := range p.Issued() {
						if strings.Contains(c.Query, token) {
							s.Fail(t, "the access token stands in the address of userinfo, which logs keep", "GET userinfo_endpoint with Authorization: Bearer …", "a token in the query")
						}
					}
				}
				married := who
				married.Name = "Zoe " + who.Name
				p.Behave(func(m *upstream.Manner) {
					m.Userinfo = func(c map[string]any) { c["name"] = married.Name }
				})
				isIn(t, b, married, "/home does not open with a new name")
				const script = "<script>alert(1)</script>"
				p.Behave(func(m *upstream.Manner) {
					m.Userinfo = func(c map[string]any) { c["name"] = script + married.Name }
				})
				a := isIn(t, b, married, "/home does not open with an odd name")
				if strings.Contains(string(a.ReplyBody), script) {
					failAt(t, a, "a name with a script in it is part of the page", "&lt;script&gt;…")
				}
			},
		},
		{
			ID: "userinfo-of-another-is-not-shown", Task: 4, Needs: []string{"home-shows-what-the-provider-says"},
			Title: "What userinfo says of another sub is not shown",
			Why:   "An access token that was swapped for another one on its way shows somebody else's data as yours.",
			Ref:   "OIDC Core 1.0 §5.3.2 (the sub must match exactly)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who, other := idp(s), somebodyThere(), somebodyThere()
				b := signedInto(t, s, who)
				isIn(t, b, who, "a person with a good access token does not get through")
				for _, sub := range []any{other.Sub, nil} {
					p.Behave(func(m *upstream.Manner) {
						m.Userinfo = func(c map[string]any) {
							c["sub"], c["name"] = sub, other.Name
							if sub == nil {
								delete(c, "sub")
							}
						}
					})
					a := b.Open(t, "/home")
					if a.Status == http.StatusInternalServerError || strings.Contains(string(a.ReplyBody), other.Name) {
						failAt(t, a, "/home shows one person what userinfo says of another", "502 or 503, or a page without it")
					}
				}
			},
		},
		{
			ID: "refused-access-token-is-renewed-once", Task: 4, Needs: []string{"new-refresh-token-is-kept", "tabs-at-once-refresh-once"},
			Title: "When userinfo refuses the access token, there is one refresh and one more try, and no third",
			Why:   "Not every provider says how long a token lives, and any may revoke it. A 401 says so too, if somebody listens, but not for ever.",
			Ref:   "RFC 6750 §3.1 (invalid_token), RFC 6749 §5.1 (expires_in is recommended, no more)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				p.Behave(func(m *upstream.Manner) { m.Answer = func(_ string, a map[string]any) { delete(a, "expires_in") } })
				b := signedInto(t, s, who)
				isIn(t, b, who, "a person with a good access token does not get through")
				asked(t, s, byRefresh, 0, "a good access token is refreshed because nobody has said how long it lives")
				p.RefuseAccess()
				isIn(t, b, who, "an access token that userinfo refuses is not renewed")
				asked(t, s, byRefresh, 1, "an access token that userinfo refuses is refreshed another number of times than once")
				isIn(t, b, who, "the new access token is not kept")

				// Several tabs are refused with the same token.
				const tabs = 4
				p.RefuseAccess()
				p.Stall(p.Path.Userinfo, upstream.Fault{})
				sent := len(p.Calls(p.Path.Userinfo))
				var waiting []*later
				for i := range tabs {
					waiting = append(waiting, sendLater(s, b.OpenRequest(fmt.Sprintf("/home?tab=%d", i))))
				}
				ctx, cancel := context.WithTimeout(s.Context(), usually)
				defer cancel()
				p.Await(ctx, p.Path.Userinfo, sent+tabs) // unless they come one after the other, which they may
				p.Resume()
				for _, w := range waiting {
					isHome(t, w.answer(t), who, "one of several tabs whose access token is refused does not get through")
				}
				p.Always(p.Path.Userinfo, upstream.Fault{})
				asked(t, s, byRefresh, 2, "several tabs whose access token is refused refresh it another number of times than once")
				isIn(t, b, who, "the session is gone after several tabs were refused at once")
				before := exchanges(s, byRefresh)

				p.Always(p.Path.Userinfo, upstream.Fault{Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}}})
				tries := len(p.Calls(p.Path.Userinfo))
				a := b.Open(t, "/home")
				if a.Status == http.StatusInternalServerError {
					failAt(t, a, "an access token that userinfo refuses time and again is answered with a fault", "502, 503 or a redirect")
				}
				if n := len(p.Calls(p.Path.Userinfo)) - tries; n > 2 || exchanges(s, byRefresh) > before+1 {
					s.Fail(t, "an access token that userinfo refuses time and again is renewed time and again", "one refresh and one more try", howMany(n)+" at the userinfo endpoint, "+howMany(exchanges(s, byRefresh)-before)+" with grant_type=refresh_token")
				}
			},
		},
		{
			ID: "after-a-refused-access-token-the-same-holds", Task: 4, Needs: []string{"refused-access-token-is-renewed-once", "outage-keeps-the-session", "refused-refresh-signs-people-out", "without-a-refresh-token-it-is-the-login-again", "closed-tab-loses-no-refresh-token"},
			Title: "A refresh because of a 401 ends as one because of the time: an outage and a closed tab keep the session, a refusal ends it, and without a refresh token it is the login",
			Why:   "The two ways to a refresh are often two pieces of code, and one of them takes every error for the same.",
			Ref:   "RFC 6749 §5.2 (invalid_grant) and §5.1 (refresh_token is optional), RFC 6750 §3.1 (invalid_token)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b := signedInto(t, s, who)
				isIn(t, b, who, "a person with a good access token does not get through")
				p.RefuseAccess()
				p.Always(p.Path.Token, upstream.Fault{Status: http.StatusServiceUnavailable})
				if a := b.Open(t, "/home"); a.Status != http.StatusOK { // it may do without userinfo
					providerDown(t, a, "/home is not answered as it should be while a refused access token cannot be renewed")
				}
				p.Always(p.Path.Token, upstream.Fault{})
				isIn(t, b, who, "the session is gone after a refused access token could not be renewed for a while")

				p.RefuseAccess()
				closesTheTab(t, s, b, who, "a refresh because of a 401")

				copied := b.Clone()
				p.RefuseAccess()
				p.EndGrants()
				if a := b.Open(t, "/home"); a.Status >= 500 {
					failAt(t, a, "a refused access token whose refresh is refused is answered as an outage", "302 to /")
				}
				for _, gone := range []*subject.Browser{b, copied} {
					isOut(t, gone, "the session goes on after its access token and its refresh were refused")
				}

				p.Behave(func(m *upstream.Manner) { m.Answer = func(_ string, a map[string]any) { delete(a, "refresh_token") } })
				without := signedInto(t, s, who)
				isIn(t, without, who, "somebody is signed in without a refresh token, and /home does not open")
				p.RefuseAccess()
				if a := without.Open(t, "/home"); a.Status >= 500 {
					failAt(t, a, "a refused access token without a refresh token is answered as an outage", "302 to the login")
				}
			},
		},
		{
			ID: "userinfo-outage-keeps-the-session", Task: 4, Needs: []string{"home-shows-what-the-provider-says"},
			Title: "While userinfo is of no help, /home is 502 or 503, or does without, and the session is kept",
			Why:   "Garbage from a server that you do not run is no reason to crash, and none to sign anybody out.",
			Ref:   "RFC 9110 §15.6.3 and §15.6.4 (502, 503)",
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b := signedInto(t, s, who)
				isIn(t, b, who, "a person with a good access token does not get through")
				for _, out := range providerOutages() {
					p.Always(p.Path.Userinfo, out.fault)
					if a := b.Open(t, "/home"); a.Status != http.StatusOK {
						providerDown(t, a, "/home is not answered as it should be while userinfo "+out.what)
					}
				}
				p.Always(p.Path.Userinfo, upstream.Fault{})
				isIn(t, b, who, "the session is gone after an outage of userinfo")
				asked(t, s, byRefresh, 0, "a good access token is refreshed because userinfo is down")
			},
		},
	}
}

func signOut() []grade.Step {
	out := []string{"sign-out-ends-the-session"}
	return []grade.Step{
		{
			ID: "sign-out-ends-the-session", Task: 5, Needs: []string{"callback-signs-in"},
			Title: "POST /logout ends the session of this browser, and of no other",
			Why:   "A logout that only clears the cookie leaves the copy of it that somebody has taken.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				who, other := somebodyThere(), somebodyThere()
				b, phone, theirs := signedInto(t, s, who), signedInto(t, s, who), signedInto(t, s, other)
				isIn(t, b, who, "somebody is signed in, and /home does not open")
				copied := b.Clone()
				refusesToForget(s)
				leaves(t, b.Submit(t, "/logout"))
				isOut(t, b, "/home opens after a logout")
				isOut(t, copied, "/home opens to a copy of the cookies after a logout")
				b.Open(t, "/").Is(t, http.StatusOK, "the page for everybody is not shown after a logout")
				isIn(t, phone, who, "a logout ends another session of the same person")
				isIn(t, theirs, other, "a logout ends another person's session")
				for _, nobody := range []*subject.Browser{b, copied, s.Browser()} {
					if a := nobody.Submit(t, "/logout"); a.Status >= 500 {
						failAt(t, a, "a logout of somebody who is not signed in is a fault", "303 to /, or 204")
					}
				}
			},
		},
		{
			ID: "sign-out-revokes-the-refresh-token", Task: 5, Timed: true, Needs: []string{"sign-out-ends-the-session", "new-refresh-token-is-kept"},
			Title: "The provider is told to forget the refresh token: the one that there is now",
			Why:   "The session is gone, the refresh token is not. In a backup or a heap dump it is good for months.",
			Ref:   "RFC 7009 §1 (what revocation is for: the end user logs out) and §2.1 (revocation request)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who, other := idp(s), somebodyThere(), somebodyThere()
				b, theirs := signedInAWhileAgo(t, s, who), signedInto(t, s, other)
				isIn(t, b, who, "an access token that has expired is not refreshed on the way")
				leaves(t, b.Submit(t, "/logout"))
				ctx, cancel := context.WithTimeout(s.Context(), 2*time.Second)
				defer cancel()
				if !p.AwaitEnd(ctx, who) {
					got := "no request"
					if calls := p.Calls(p.Path.Revoke); len(calls) > 0 {
						got = fmt.Sprintf("a request that is answered %d", calls[0].Status)
					}
					s.Fail(t, "the refresh token lives on at the provider after a logout", "POST revocation_endpoint with token= the refresh token, as the client", got)
				}
				if p.Living(other) != 1 {
					s.Fail(t, "a logout revokes another person's refresh token", "that of this session only", "another one is gone, too")
				}
				isIn(t, theirs, other, "a logout ends another person's session")
			},
		},
		{
			ID: "sign-out-works-where-nothing-can-be-revoked", Task: 5, Needs: out,
			Title: "A provider without a revocation endpoint keeps nobody in",
			Why:   "Entra ID has none. A logout that works at one provider only is one that nobody has tried at the other.",
			Ref:   "RFC 8414 §2 (revocation_endpoint is optional)",
			Before: func(c subject.Companion) {
				c.(*upstream.Provider).Behave(func(m *upstream.Manner) {
					m.Discovery = func(document map[string]any) { delete(document, "revocation_endpoint") }
				})
			},
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				b := signedInto(t, s, who)
				isIn(t, b, who, "somebody is signed in, and /home does not open")
				copied := b.Clone()
				leaves(t, b.Submit(t, "/logout"))
				isOut(t, copied, "/home opens to a copy of the cookies after a logout")
			},
		},
		{
			ID: "sign-out-does-not-wait-for-the-provider", Task: 5, Timed: true, Needs: out,
			Title: "While the provider is slow or down, a logout is done all the same: the session ends first",
			Why:   "At the shared computer in the library somebody presses the button, sees a wheel turn, and leaves.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout), RFC 7009 §2.2.1 (503 of the revocation endpoint)",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b := signedInto(t, s, who)
				isIn(t, b, who, "somebody is signed in, and /home does not open")
				copied := b.Clone()
				p.Stall(p.Path.Revoke, upstream.Fault{Status: http.StatusServiceUnavailable})
				logout := sendLater(s, b.SubmitRequest("/logout"))
				ctx, arrived := context.WithCancel(s.Context())
				go func() {
					p.Await(ctx, p.Path.Revoke, 1)
					arrived()
				}()
				select {
				case <-logout.done:
				case <-ctx.Done():
				}
				const claim = "the session goes on while its refresh token is being revoked"
				page := sendLater(s, copied.OpenRequest("/home"))
				select {
				case <-page.done:
				case <-time.After(2 * time.Second):
				}
				prompt := page.ended()
				p.Resume()
				if a := page.answer(t); !prompt || a.Status/100 == 2 || a.Status >= 500 {
					failAt(t, a, claim, "302 to the login, at once")
				}
				leaves(t, logout.answer(t))
				arrived()

				// That its access token has expired, and cannot be renewed now, is no reason to stay.
				down := signedInAWhileAgo(t, s, who)
				copied = down.Clone()
				p.Fail(upstream.Fault{Cut: true})
				leaves(t, down.Submit(t, "/logout"))
				isOut(t, copied, "/home opens after a logout while the provider was down")
			},
		},
		{
			ID: "sign-out-is-by-post-only", Task: 5, Needs: out,
			Title: "GET /logout ends nothing",
			Why:   "The cookie is SameSite=Lax: it goes along with links, and an image in a forum is enough to sign out whoever reads it.",
			Ref:   "RFC 9110 §9.2.1 (safe methods)",
			Check: func(t require.TestingT, s *subject.Session) {
				who := somebodyThere()
				b := signedInto(t, s, who)
				for _, path := range []string{"/logout", "/logout/", "/logout?_method=POST"} {
					for _, method := range []string{http.MethodGet, http.MethodHead} {
						a := b.Do(t, b.Request(method, path))
						if a.Status >= 500 {
							failAt(t, a, method+" "+path+" is a fault", "405 or another 4xx")
						}
						isIn(t, b, who, method+" "+path+" ends the session")
					}
				}
				leaves(t, b.Submit(t, "/logout"))
				isOut(t, b, "/home opens after a logout")
			},
		},
		{
			ID: "sign-out-is-not-undone-by-a-refresh", Task: 5, Needs: []string{"sign-out-ends-the-session", "expired-token-is-refreshed-on-the-way"},
			Title: "A refresh that is under way when somebody logs out brings no session back",
			Why:   "One tab reloads, the other one logs out. A session that is written back at the end of the first request is there again, and nobody knows.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session), CWE-367",
			Takes: expiries(1),
			Check: func(t require.TestingT, s *subject.Session) {
				p, who := idp(s), somebodyThere()
				b := signedInAWhileAgo(t, s, who)
				copied := b.Clone()
				refusesToForget(s)
				p.Stall(p.Path.Token, upstream.Fault{})
				before := len(p.Calls(p.Path.Token))
				page := sendLater(s, b.OpenRequest("/home"))
				if !p.Await(s.Context(), p.Path.Token, before+1) {
					s.Fail(t, "an access token that has expired is not refreshed on the way", "a request with grant_type=refresh_token", "none")
				}
				logout := sendLater(s, b.SubmitRequest("/logout"))
				select {
				case <-logout.done:
				case <-time.After(100 * time.Millisecond): // it may wait for the refresh
				}
				p.Resume()
				leaves(t, logout.answer(t))
				page.answer(t)
				isOut(t, copied, "a refresh that was under way has brought back the session that somebody has ended")
			},
		},
	}
}

// refusesToForget lets the provider revoke nothing: a session that goes on then goes on
// with good tokens, and shows.
func refusesToForget(s *subject.Session) {
	idp(s).Always(idp(s).Path.Revoke, upstream.Fault{Status: http.StatusServiceUnavailable})
}

// leaves wants the answer of a logout that is done.
func leaves(t require.TestingT, a *subject.Answer) {
	a.Is(t, http.StatusSeeOther, "POST /logout of the server's own page is refused", http.StatusOK, http.StatusNoContent, http.StatusFound)
}

// A later is a request that was sent and may be answered later.
type later struct {
	done chan struct{}
	s    *subject.Session
	one  []*subject.Answer
	t    relay
}

// A relay keeps a failure for the goroutine that asks for the answer.
type relay struct {
	failure  *probe.Failure
	panicked any
}

func (r *relay) Record(f *probe.Failure) { r.failure = f }
func (r *relay) Errorf(f string, args ...any) {
	r.failure = &probe.Failure{Claim: fmt.Sprintf(f, args...)}
}
func (r *relay) FailNow() { panic(r) }

// sendLater sends a request and does not wait for the answer.
func sendLater(s *subject.Session, r probe.Request) *later {
	l := &later{done: make(chan struct{}), s: s}
	go func() {
		defer close(l.done)
		defer func() { l.t.panicked = recover() }()
		l.one = append(l.one, s.Do(&l.t, r))
	}()
	return l
}

func (l *later) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// answer waits for the answer.
func (l *later) answer(t require.TestingT) *subject.Answer {
	<-l.done
	if l.t.failure != nil {
		probe.Fail(t, l.t.failure)
	}
	if l.t.panicked != nil {
		panic(l.t.panicked)
	}
	return l.one[0]
}
