package suites

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

const notLoggedIn = "Not logged in"

// How long a step waits for requests that arrive at the upstream unless the server
// lets its callers in one by one, which it may; and for what no right server does.
const (
	usually = 200 * time.Millisecond
	never   = 25 * time.Millisecond
)

// A gateway is one under test with the API behind it.
type gateway struct {
	*subject.Session
	api  *upstream.API
	user subject.User // who is logged in
}

// through returns the gateway before anybody has logged in.
func through(s *subject.Session) *gateway {
	return &gateway{Session: s, api: s.Beside().(*upstream.API)}
}

// signedIn returns the gateway with somebody logged in through it.
func signedIn(t require.TestingT, s *subject.Session) *gateway {
	g := through(s)
	g.login(t, g.api.NewUser())
	return g
}

func (g *gateway) login(t require.TestingT, u subject.User) {
	g.Post(t, "/login", u.Credentials()).Is(t, http.StatusNoContent, "a login that the upstream takes is not answered 204")
	g.user = u
}

// profile wants GET /profile to show the user's own.
func (g *gateway) profile(t require.TestingT, claim string) {
	g.owns(t, g.Get(t, "/profile"), claim)
}

func (g *gateway) owns(t require.TestingT, a *subject.Answer, claim string) {
	a.Is(t, http.StatusOK, claim)
	a.Has(t, "username", g.user.Username, claim)
}

// ended wants the gateway to say that nobody is logged in.
func (g *gateway) ended(t require.TestingT, claim string) {
	g.Get(t, "/profile").RefusedSaying(t, notLoggedIn, claim)
}

// down wants the answer that the upstream cannot be reached.
func down(t require.TestingT, a *subject.Answer, claim string) {
	a.Is(t, http.StatusBadGateway, claim, http.StatusServiceUnavailable, http.StatusGatewayTimeout)
}

// calls wants the upstream to have been asked just so often.
func (g *gateway) calls(t require.TestingT, want int, claim, path string) {
	if got := len(g.api.Calls(path)); got != want {
		g.Fail(t, claim, fmt.Sprintf("%s at %s", requests(want), path), g.story())
	}
}

func requests(n int) string {
	switch n {
	case 0:
		return "no request"
	case 1:
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// story is what the upstream was asked, and how it answered.
func (g *gateway) story() string {
	var lines []string
	for _, c := range g.api.Calls() {
		line := c.Method + " " + c.Path
		if c.Status != 0 {
			line += fmt.Sprintf(" (%d)", c.Status)
		}
		if n := len(lines); n > 0 && strings.HasSuffix(lines[n-1], line) {
			var before int
			fmt.Sscanf(lines[n-1], "%d × ", &before)
			line = fmt.Sprintf("%d × %s", max(before, 1)+1, line)
			lines = lines[:n-1]
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return "the upstream was asked nothing"
	}
	return "the upstream was asked: " + strings.Join(lines, ", ")
}

// last is the last request of that path at the upstream.
func (g *gateway) last(t require.TestingT, path string) upstream.Call {
	calls := g.api.Calls(path)
	if len(calls) == 0 {
		g.Fail(t, "the request has not reached the upstream", "a request at "+path, g.story())
	}
	return calls[len(calls)-1]
}

// arrive waits for so many requests at the path, and not for ever.
func (g *gateway) arrive(path string, n int, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(g.Context(), limit)
	defer cancel()
	return g.api.Await(ctx, path, n)
}

// gate holds requests until it is opened, which may be done twice.
func gate() (hold <-chan struct{}, open func()) {
	c := make(chan struct{})
	return c, sync.OnceFunc(func() { close(c) })
}

// expiredTime is when a token that lives AccessTTL has expired for everybody.
func expiredTime(c lessons.Settings) time.Duration { return c.AccessTTL + 2*time.Second }

func twiceExpiredTime(c lessons.Settings) time.Duration { return 2 * expiredTime(c) }

// earlyTime is two thirds of the life of a token that lives three times AccessTTL:
// too soon to refresh it, however early a client does.
func earlyTime(c lessons.Settings) time.Duration { return 2 * c.AccessTTL }

func profileRequest() probe.Request { return subject.Request(http.MethodGet, "/profile") }

// order is a request with a body.
func order(body []byte, stream bool) probe.Request {
	r := subject.Request(http.MethodPost, "/orders?list=a%2Fb&list=2", subject.Header("Content-Type", "application/json"), subject.Header("X-Order", "first"), subject.Header("X-Order", "second"))
	r.Body, r.Stream = body, stream
	return r
}

// letters is a body of that many bytes.
func letters(n int) []byte { return bytes.Repeat([]byte(strings.ToLower(rand.Text())[:16]), n/16) }

// asSent wants the order to have reached the upstream as it was sent.
func (g *gateway) asSent(t require.TestingT, sent probe.Request, claim string) {
	got := g.last(t, "/orders")
	lines := strings.Join(got.Header.Values("X-Order"), ", ") // one or two lines (RFC 9110 §5.2)
	want := fmt.Sprintf("%s %s with %d bytes of %s, and X-Order: first, second", sent.Method, sent.Path, len(sent.Body), "application/json")
	if !bytes.Equal(got.Body, sent.Body) || got.Method != sent.Method || got.Path+"?"+got.Query != sent.Path ||
		got.Header.Get("Content-Type") != "application/json" || lines != "first, second" {
		same := "the same bytes"
		if !bytes.Equal(got.Body, sent.Body) {
			same = "other bytes, or not all"
		}
		g.Fail(t, claim, want, fmt.Sprintf("%s %s?%s with %d bytes (%s) of %s, and X-Order: %s",
			got.Method, got.Path, got.Query, len(got.Body), same, got.Header.Get("Content-Type"), lines))
	}
}

// leaks tells whether a token of the session is anywhere in a request.
func (g *gateway) leaks(c upstream.Call) bool {
	var whole strings.Builder
	c.Header.Write(&whole)
	whole.WriteString(c.Query + string(c.Body))
	for _, token := range g.api.Issued() {
		if strings.Contains(whole.String(), token) {
			return true
		}
	}
	return false
}

// secretive wants none of the session's tokens in an answer.
func (g *gateway) secretive(t require.TestingT, a *subject.Answer) {
	a.Hides(t, "a token of the session is in the answer to the caller", g.api.Issued()...)
}

// unlogged wants none of the session's tokens in the log, as far as anybody can look.
func (g *gateway) unlogged(t require.TestingT) {
	unlogged(t, g.Session, "the log holds a token", g.api.Issued()...)
}

// atOnce sends fifty requests at the same time and wants one refresh for them all.
// meanwhile is done while they are on their way.
func (g *gateway) atOnce(t require.TestingT, meanwhile func()) {
	hold, open := gate()
	defer open()
	g.api.Next("/refresh", upstream.Fault{Hold: hold})
	var waiting []*subject.Pending
	for range 50 {
		waiting = append(waiting, g.Begin(profileRequest()))
	}
	meanwhile()
	// The first refresh is held until a second one arrives, which it never does at a
	// right server.
	if g.arrive("/refresh", 1, time.Second) {
		g.arrive("/refresh", 2, never)
	}
	open()
	var answers []*subject.Answer
	for _, w := range waiting {
		answers = append(answers, w.Answer(t))
	}
	if len(g.api.Calls("/refresh")) > 1 {
		g.Fail(t, "fifty callers at once make more than one refresh", "1 request at /refresh", "several")
	}
	for _, a := range answers {
		g.owns(t, a, "of fifty callers at once, not all are served")
	}
	g.calls(t, 1, "fifty callers at once make no refresh", "/refresh")
}

// abandoned waits until the server has given up a request for the path, and not for
// ever: a right one does not.
func abandoned(s *subject.Session, at interface {
	Until(ctx context.Context, path string, wanted func([]upstream.Call) bool) bool
}, path string) {
	ctx, cancel := context.WithTimeout(s.Context(), 4*never)
	defer cancel()
	at.Until(ctx, path, func(calls []upstream.Call) bool {
		return slices.ContainsFunc(calls, func(c upstream.Call) bool { return c.Gone })
	})
}

// A refresh can be answered in these ways, which say nothing about the session. A 400
// is not among them: some take each for OAuth's refusal, which is a 400, too.
var outages = []upstream.Fault{
	{Status: http.StatusServiceUnavailable, Body: `{"msg":"down for maintenance"}`},
	{Status: http.StatusInternalServerError, Body: `{"msg":"a fault"}`},
	{Status: http.StatusBadGateway}, {Status: http.StatusGatewayTimeout}, {Status: http.StatusNotImplemented},
	{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}},
	{Cut: true},
	{Status: http.StatusForbidden, Body: `{"msg":"not from this network"}`},
	{Status: http.StatusNotFound, Body: `{"msg":"Not Found"}`},
	{Status: http.StatusRequestTimeout}, {Status: http.StatusFound},
}

// Nor do these, which are no answers to it at all.
var garbage = []string{
	`<!DOCTYPE html><title>Please log in to the hotel's network</title>`,
	``, `null`, `[]`, `{}`, `{"access_token":null}`, `{"access_token":""}`, `{"access_token":5}`,
	`{"access_token":"cut off`, `{"refresh_token":"` + unusable + `"}`,
}

// unusable is a refresh token that comes without an access token.
const unusable = "a-refresh-token-and-nothing-else"

// odd is access tokens of other shapes than a JWT with an exp.
var odd = []struct {
	name  string
	shape func(map[string]any) string
}{
	{"random letters", func(map[string]any) string { return rand.Text() }},
	{"two dots and no JSON", func(map[string]any) string { return rand.Text() + "." + rand.Text() + "." + rand.Text() }},
	{"many dots", func(map[string]any) string { return rand.Text() + "....." }},
	{"a JWT whose payload is null", func(map[string]any) string { return payload(`null`) }},
	{"a JWT whose payload is a list", func(map[string]any) string { return payload(`[]`) }},
	{"a JWT without exp", with("exp", nil)},
	{"a JWT without iat", with("iat", nil)},
	{"a JWT whose exp is text", with("exp", "tomorrow")},
	{"a JWT whose exp is a list", with("exp", []int{1})},
	{"a JWT whose exp is beyond all time", with("exp", 1e300)},
	{"a JWT with a fraction in its exp", fraction},
}

// fraction is a JWT whose exp is between two seconds.
func fraction(c map[string]any) string { return with("exp", float64(c["exp"].(int64))+0.5)(c) }

func payload(text string) string {
	return forge.Sign(map[string]any{"kid": rand.Text()}, []byte(text), "HS256", []byte("nobody verifies it"))
}

// with is a JWT in which a claim has another value; nil leaves it out.
func with(claim string, value any) func(map[string]any) string {
	return func(claims map[string]any) string {
		if delete(claims, claim); value != nil {
			claims[claim] = value
		}
		text, err := json.Marshal(claims)
		if err != nil {
			panic(err) // a value of the table above
		}
		return payload(string(text))
	}
}

func client() []grade.Step {
	return []grade.Step{
		{
			ID: "login-keeps-the-tokens-inside", Task: 1,
			Title: "POST /login logs in at the upstream and is answered 204, without a token",
			Why:   "What the caller does not have cannot be stolen from it. The gateway is there so that the tokens stay in one place.",
			Ref:   "OWASP ASVS 5.0 §10.1.1 (tokens are only sent to components that strictly need them)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				for range 2 {
					u := g.api.NewUser()
					a := g.Post(t, "/login", u.Credentials()).Is(t, http.StatusNoContent, "a login that the upstream takes is not answered 204")
					g.secretive(t, a)
					var sent struct{ Username, Password string }
					if json.Unmarshal(g.last(t, "/login").Body, &sent); sent.Username != u.Username || sent.Password != u.Password {
						g.Fail(t, "the upstream's /login got other credentials", string(a.Body), string(g.last(t, "/login").Body))
					}
				}
				g.unlogged(t)
			},
		},
		{
			ID: "requests-carry-the-access-token", Task: 1, Needs: []string{"login-keeps-the-tokens-inside"},
			Title: "Every other request goes upstream as it came, with the session's access token",
			Why:   "This is what the gateway is for. A token that the caller sends is not the session's: it may be anybody's.",
			Ref:   "RFC 6750 §2.1 (Authorization request header field)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				g.profile(t, "GET /profile does not show the profile of who is logged in")
				g.owns(t, g.Get(t, "/profile", subject.Header("Authorization", "Bearer planted")), "a token that the caller sends is taken for the session's")
				if sent := g.last(t, "/profile").Header.Values("Authorization"); len(sent) != 1 || strings.Contains(sent[0], "planted") {
					g.Fail(t, "a token that the caller sends goes upstream", "one Authorization header, with the session's token", strings.Join(sent, ", "))
				}
				sent := order(letters(3000), false)
				g.Do(t, sent).Is(t, http.StatusCreated, "POST /orders is not answered as the upstream answers it")
				g.asSent(t, sent, "a request does not go upstream as it came")
				for _, other := range []probe.Request{ // none of them is a login
					subject.Request(http.MethodOptions, "/profile"), subject.Request(http.MethodGet, "/login"),
					subject.Request(http.MethodGet, "/refresh"), subject.Request(http.MethodPost, "/logout"),
				} {
					g.Do(t, other)
					if !slices.Contains(g.api.Issued(), g.last(t, other.Path).Bearer()) {
						g.Fail(t, other.Method+" "+other.Path+" goes upstream without the session's token", "Authorization: Bearer and the session's access token", g.story())
					}
				}
				g.login(t, g.api.NewUser())
				g.profile(t, "after another login it is still the old one's token that goes upstream")
			},
		},
		{
			ID: "answers-come-back-as-they-are", Task: 1, Needs: []string{"requests-carry-the-access-token"},
			Title: "Status, headers and body of the upstream's answer are the gateway's",
			Why:   "A gateway that turns each success into a 200, or drops a Location, breaks every client behind it.",
			Ref:   "RFC 9110 §7.7 (message transformations)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for _, f := range []upstream.Fault{
					{Status: http.StatusOK, Body: `{"a":1}`, Header: http.Header{"X-Page": {"2 of 3", "and 3 of 3"}, "Content-Type": {"application/json"}}},
					{Status: http.StatusCreated, Body: "text, and not JSON", Header: http.Header{"X-Page": {"3"}, "Content-Type": {"text/plain"}}},
					{Status: http.StatusTeapot, Body: "\x00\xff\x1f", Header: http.Header{"X-Page": {"4"}, "Content-Type": {"image/x-teapot"}}},
					{Status: http.StatusNoContent, Header: http.Header{"X-Page": {"5"}}},
				} {
					g.api.Next("/anything", f)
					a := g.Get(t, "/anything").Is(t, f.Status, "the upstream's status is not the gateway's")
					for name := range f.Header {
						// Two lines of a name are one with a comma (RFC 9110 §5.2).
						if want := strings.Join(f.Header.Values(name), ", "); strings.Join(a.ReplyHeader.Values(name), ", ") != want {
							g.Fail(t, "a header of the upstream's answer is lost", name+": "+want, a.Headers(name))
						}
					}
					if string(a.ReplyBody) != f.Body {
						g.Fail(t, "the body of the upstream's answer is changed", f.Body, string(a.ReplyBody))
					}
				}
			},
		},
		{
			ID: "nobody-logged-in-is-401", Task: 1, Needs: []string{"requests-carry-the-access-token"},
			Title: "Before a login every request is answered 401 {\"msg\":\"Not logged in\"}",
			Why:   "The caller must be able to tell \"log in\" from everything else that goes wrong.",
			Ref:   "RFC 9110 §15.5.2 (401 Unauthorized, with WWW-Authenticate)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				for _, r := range []probe.Request{profileRequest(), order([]byte("{}"), false), subject.Request(http.MethodGet, "/")} {
					g.Do(t, r).RefusedSaying(t, notLoggedIn, "a request without a session is not refused").
						Challenges(t, "", "the 401 has no challenge")
				}
				g.login(t, g.api.NewUser())
				g.profile(t, "after a login the request is refused")
			},
		},
		{
			ID: "refused-login-is-passed-on", Task: 1, Needs: []string{"nobody-logged-in-is-401"},
			Title: "A login that the upstream refuses is answered with its status and body, and nobody is logged in",
			Why:   "Only the upstream knows why. And who keeps something of a refused login may be logged in by it.",
			Ref:   "RFC 9110 §15.5 (client error 4xx)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				u := g.api.NewUser()
				wrong := u
				wrong.Password += "x"
				g.Post(t, "/login", wrong.Credentials()).Is(t, http.StatusUnauthorized, "a login that the upstream refuses is not refused").
					Has(t, "error", "Bad username or password", "the upstream's reason is lost")
				g.ended(t, "a request after a refused login is not refused")
				g.api.Next("/login", upstream.Fault{Status: http.StatusTooManyRequests, Body: `{"access_token":"no","refresh_token":"no"}`})
				g.Post(t, "/login", u.Credentials()).Is(t, http.StatusTooManyRequests, "a login that the upstream refuses is answered otherwise")
				g.ended(t, "a request after a refused login is not refused")
				g.login(t, u)
				g.profile(t, "after a login the request is refused")
			},
		},
		{
			ID: "long-body-is-413", Task: 1, Needs: []string{"requests-carry-the-access-token"},
			Title: "A body of more than 1 MiB is refused with 413 and not sent upstream",
			Why:   "A body that may have to be sent twice is kept, and memory has an end (CWE-770).",
			Ref:   "RFC 9110 §15.5.14 (413 Content Too Large)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for _, stream := range []bool{false, true} {
					sent := order(letters(1<<20-64), stream)
					g.Do(t, sent).Is(t, http.StatusCreated, "a body of less than 1 MiB is refused")
					g.asSent(t, sent, "a long body does not arrive whole")
					before := len(g.api.Calls("/orders"))
					g.Do(t, order(letters(2<<20), stream)).Is(t, http.StatusRequestEntityTooLarge, "a body of 2 MiB is not refused")
					g.calls(t, before, "a body of 2 MiB goes upstream", "/orders")
				}
			},
		},
		{
			ID: "token-stays-with-its-host", Task: 1, Needs: []string{"requests-carry-the-access-token"},
			Title: "A redirect to another host or port is followed without the token, or passed on",
			Why:   "An open redirect at the API, and the token goes to whoever is at its end. http.Client drops the header on the way to another host, but not one that a transport adds after it.",
			Ref:   "OWASP ASVS 5.0 §10.1.1 (tokens are only sent to components that strictly need them), RFC 6750 §5.3 (safeguard bearer tokens)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				const planted = "a-token-of-another-host"
				port, elsewhere, err := g.api.Elsewhere(http.Header{"X-New-Access-Token": {planted}})
				require.NoError(t, err)
				home := strings.TrimPrefix(g.Settings.Upstream, "http://")
				places := []string{
					"http://127.0.0.1:" + port + "/collect",
					"http://localhost:" + port + "/collect",
					"//localhost:" + port + "/collect",
					"http://" + home + "@localhost:" + port + "/collect", // begins like the upstream's
					"http://127.0.0.1:" + port + upstream.Denied,
				}
				record := elsewhere
				if host, there := g.api.Neighbour(http.Header{"X-New-Access-Token": {planted}}); host != "" {
					places = append(places, "http://"+host+"/collect") // the upstream's port at another host
					record = func() []upstream.Call { return append(elsewhere(), there()...) }
				}
				leaked := func() map[bool]int { // how many requests came there with the token, and without
					n := map[bool]int{}
					for _, c := range record() {
						n[g.leaks(c)]++
					}
					return n
				}
				usual := 0 // refreshes of a request; that there are any may be another step's affair
				for _, place := range places {
					refreshes := len(g.api.Calls("/refresh"))
					g.api.Next("/moved", upstream.Fault{Status: http.StatusFound, Header: http.Header{"Location": {place}}})
					seen := leaked()
					a := g.Get(t, "/moved")
					calls := leaked()
					switch denied := strings.HasSuffix(place, upstream.Denied); {
					case calls[true] > seen[true] && denied:
						g.Fail(t, "another place that a redirect leads to answers 401, and is sent the session's token then", "GET "+place+" without it, and its 401 passed on", "GET "+place+" with it")
					case calls[true] > seen[true]:
						g.Fail(t, "a redirect to another host or port takes the session's token along", "GET "+place+" without it, or the redirect passed on", "GET "+place+" with it")
					case calls[false] == seen[false]:
						a.Is(t, http.StatusFound, "a redirect is neither followed nor passed on")
					case denied:
						a.Is(t, http.StatusUnauthorized, "a 401 of the place that a redirect leads to is not passed on")
					}
					// Whatever another place refuses, it was not the session's token.
					if made := len(g.api.Calls("/refresh")) - refreshes; !strings.HasSuffix(place, upstream.Denied) {
						usual = max(usual, made)
					} else if made > usual {
						g.Fail(t, "another place that a redirect leads to answers 401, and that makes a refresh", "its 401 passed on, for it is not about the session's token", g.story())
					}
					g.profile(t, "after a redirect to another host, requests fail")
				}
				g.api.Next("/refresh", upstream.Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://127.0.0.1:" + port + "/collect"}}})
				g.api.Revoke()
				seen := len(elsewhere())
				g.Get(t, "/profile")
				for _, c := range elsewhere()[seen:] {
					if g.leaks(c) {
						g.Fail(t, "a redirect of /refresh to another port takes the refresh token along", "no token there", c.Method+" "+c.Path+" with it")
					}
				}
				g.login(t, g.api.NewUser()) // whether the session has outlived that is not asked
				for _, c := range g.api.Calls("/profile") {
					if c.Bearer() == planted {
						g.Fail(t, "an access token that another host has sent is taken for the session's", "the session's token", g.story())
					}
				}
				g.api.Next("/moved", upstream.Fault{Status: http.StatusFound, Header: http.Header{"Location": {"/profile"}}})
				if a := g.Get(t, "/moved"); a.Status != http.StatusFound {
					g.owns(t, a, "a redirect within the upstream loses the token")
				}
			},
		},
		{
			ID: "living-token-is-not-refreshed", Task: 2, Needs: []string{"requests-carry-the-access-token"},
			Title: "While a token has long to live, nothing is refreshed",
			Why:   "A refresh for each request doubles the traffic, and at an upstream that rotates it makes a race of every two.",
			Ref:   "RFC 6749 §1.5 (refresh when the access token becomes invalid or expires)",
			Takes: earlyTime,
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for range 5 {
					g.profile(t, "one request after another, and one of them fails")
				}
				g.calls(t, 0, "a token that lives an hour is refreshed at once", "/refresh")
				if !s.Controlled() {
					return // there a third of a life is seconds, and some minutes early are taken
				}
				g.api.Lives(3 * s.Settings.AccessTTL)
				g.login(t, g.api.NewUser())
				s.Advance(t, earlyTime(s.Settings))
				g.profile(t, "after two thirds of the token's life a request fails")
				g.calls(t, 0, fmt.Sprintf("a token that lives another %v is refreshed", s.Settings.AccessTTL), "/refresh")
			},
		},
		{
			ID: "refused-token-is-refreshed", Task: 2, Needs: []string{"living-token-is-not-refreshed"},
			Title: "After a 401 the gateway refreshes and sends the request once more",
			Why:   "A token can be refused at any time: revoked, or expired by another clock. The caller need not notice.",
			Ref:   "RFC 6749 §1.5 (refresh token, steps E to H of figure 2)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for n := range 3 {
					g.api.Revoke()
					g.profile(t, "a refused access token is not refreshed, or the request not sent again")
					g.calls(t, n+1, "one refused token is refreshed otherwise than once", "/refresh")
					if c := g.last(t, "/refresh"); c.Method != http.MethodPost {
						g.Fail(t, "the refresh is no POST", "POST /refresh", c.Method+" /refresh")
					}
					g.profile(t, "the new access token is not used")
					g.calls(t, n+1, "the new access token is not kept", "/refresh")
				}
				g.api.Next("/profile", upstream.Fault{Status: http.StatusUnauthorized, Body: "Unauthorized"})
				g.profile(t, "after a 401 without WWW-Authenticate the token is not refreshed, or the request not sent again")
				g.unlogged(t)
			},
		},
		{
			ID: "repeated-request-is-the-same", Task: 2, Needs: []string{"refused-token-is-refreshed"},
			Title: "The request that is sent once more has the same method, query, headers and body",
			Why:   "A body is read once. Who sends the same request again sends an empty one, or none, and the order is lost.",
			Ref:   "RFC 9110 §9.2.2 (automatic retry), net/http Request.GetBody",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for _, length := range []int{48, 1<<20 - 64} {
					for _, stream := range []bool{false, true} {
						g.api.Revoke()
						sent := order(letters(length), stream)
						before := len(g.api.Calls("/orders"))
						g.Do(t, sent).Is(t, http.StatusCreated, "a POST whose token is refused does not succeed after the refresh")
						g.asSent(t, sent, "the repeated request is another than the first")
						g.calls(t, before+2, "a POST whose token is refused is not sent twice", "/orders")
					}
				}
				for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead} {
					g.api.Revoke()
					before := len(g.api.Calls("/orders"))
					sent := order(letters(48), false)
					if sent.Method = method; method == http.MethodHead || method == http.MethodDelete {
						sent.Body = nil
					}
					// The API has no such route, which it tells to whoever has a good token.
					g.Do(t, sent).Is(t, http.StatusNotFound, "a "+method+" whose token is refused is not sent again with a new one")
					g.asSent(t, sent, "the repeated request is another than the first")
					g.calls(t, before+2, "a "+method+" whose token is refused is not sent twice", "/orders")
				}
			},
		},
		{
			ID: "refresh-is-tried-once", Task: 2, Needs: []string{"refused-token-is-refreshed"},
			Title: "A request is sent twice at most, with one refresh between, and then its 401 is passed on",
			Why:   "An upstream that refuses every token, for its clock or its key is wrong, gets a flood of refreshes from every client that tries until it works.",
			Ref:   "RFC 9110 §15.5.2 (a 401 after new credentials: present the answer to the user)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				refused := upstream.Fault{Status: http.StatusUnauthorized, Body: `{"msg":"Token is not valid"}`,
					Header: http.Header{"Content-Type": {"application/json"}, "Www-Authenticate": {`Bearer error="invalid_token"`}}}
				for range 10 { // a loop ends, too, and then it shows
					g.api.Next("/stubborn", refused)
				}
				g.Get(t, "/stubborn").Is(t, http.StatusUnauthorized, "a request that is refused twice is not answered 401").
					Has(t, "msg", "Token is not valid", "the upstream's second 401 is not passed on, but another")
				g.calls(t, 2, "a request that is refused is not sent exactly twice", "/stubborn")
				g.calls(t, 1, "a request that is refused is not refreshed exactly once", "/refresh")
				g.profile(t, "after a request that is refused in any case, others fail, too")
			},
		},
		{
			ID: "only-a-401-refreshes", Task: 2, Needs: []string{"refused-token-is-refreshed"},
			Title: "403, 500 and every other answer is passed on without a refresh",
			Why:   "A new token changes nothing about a right that the user lacks. Who refreshes on every failure turns an outage of one service into one of two.",
			Ref:   "RFC 6750 §3.1 (invalid_token: 401; insufficient_scope: 403)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for i, status := range []int{400, 403, 404, 407, 409, 419, 422, 429, 500, 502, 503} {
					path := fmt.Sprintf("/fails-%d", status)
					header := http.Header{}
					if status == http.StatusForbidden {
						header.Set("WWW-Authenticate", `Bearer error="insufficient_scope"`) // RFC 6750 §3.1
					}
					g.api.Always(path, upstream.Fault{Status: status, Header: header, Body: fmt.Sprintf(`{"msg":"reason %d"}`, i)})
					g.Get(t, path).Is(t, status, "the upstream's refusal is not passed on").
						Has(t, "msg", fmt.Sprintf("reason %d", i), "the upstream's reason is lost")
					g.calls(t, 0, fmt.Sprintf("a %d is taken for an expired token", status), "/refresh")
					g.calls(t, 1, fmt.Sprintf("after a %d the request is sent again", status), path)
				}
				g.api.Revoke()
				g.profile(t, "a refused access token is not refreshed, or the request not sent again")
			},
		},
		{
			ID: "rotated-refresh-token-is-kept", Task: 2, Needs: []string{"refused-token-is-refreshed"},
			Title: "A new refresh token takes the place of the old one",
			Why:   "At an upstream that rotates, the old one works no second time. Who sends it again is taken for a thief and logged out.",
			Ref:   "RFC 6749 §6 (the client MUST discard the old refresh token and replace it), RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				g.api.Gives(upstream.Rotated)
				g.login(t, g.api.NewUser())
				for range 4 {
					g.api.Revoke()
					g.profile(t, "the session does not survive a few refreshes with rotation")
				}
			},
		},
		{
			ID: "old-refresh-token-stays-where-none-comes", Task: 2, Needs: []string{"refused-token-is-refreshed"},
			Title: "Where a refresh gives no new refresh token, the old one goes on",
			Why:   "A field that is left out reads as \"\". Who keeps that has logged the user out, and notices an hour later.",
			Ref:   "RFC 6749 §6 (the authorization server MAY issue a new refresh token)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				for _, r := range []upstream.Renewal{upstream.Omitted, upstream.Null, upstream.Empty} {
					g.api.Gives(r)
					g.login(t, g.api.NewUser())
					for range 2 {
						g.api.Revoke()
						g.profile(t, "the session does not survive two refreshes that give no refresh token")
					}
				}
			},
		},
		{
			ID: "slid-token-is-used", Task: 2, Needs: []string{"refused-token-is-refreshed"},
			Title: "A token in X-New-Access-Token is used from then on, and not passed on",
			Why:   "An API that slides sessions (lesson 08) gives new tokens on the way. A client that leaves them there is logged out in the middle of its work.",
			Ref:   "lesson 08, Task 1 (a token cannot be extended, only replaced)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for _, sent := range []probe.Request{profileRequest(), order(letters(48), false), profileRequest()} {
					path, _, _ := strings.Cut(sent.Path, "?")
					slides := func(claim string) {
						g.api.Slides(true)
						a := g.Do(t, sent).Is(t, http.StatusOK, claim, http.StatusCreated)
						g.api.Slides(false)
						g.secretive(t, a)
						old, before := g.last(t, path).Bearer(), len(g.api.Calls("/refresh"))
						g.profile(t, "the session fails after a token has slid in")
						newest := g.last(t, "/profile").Bearer()
						if newest == old || !g.api.Good(newest) {
							g.Fail(t, "a token that came in X-New-Access-Token is not used", "the newest access token", "an older one")
						}
						g.calls(t, before, "a token that came in X-New-Access-Token is not used", "/refresh")
					}
					g.api.Revoke() // what there was; what slides in now is good
					slides("a refused access token is not refreshed, or the request not sent again")
					slides("a new access token is not used")
				}
				g.api.Slides(true)
				a := g.Get(t, "/nothing-is-here").Is(t, http.StatusNotFound, "a 404 of the upstream's is not passed on")
				g.api.Slides(false)
				g.secretive(t, a)
				g.profile(t, "the session fails after a token has slid in with a 404")
			},
		},
		{
			ID: "expired-token-is-not-sent", Task: 3, Needs: []string{"refused-token-is-refreshed"},
			Title: "A token whose exp has passed is refreshed before it is sent",
			Why:   "A request with an expired token is one for nothing: a refusal to wait for, and an alarm in the upstream's log.",
			Ref:   "RFC 7519 §4.1.4 (exp)",
			Takes: func(c lessons.Settings) time.Duration { return 3 * expiredTime(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				g.api.Lives(s.Settings.AccessTTL)
				g.login(t, g.api.NewUser())
				late := func(how string) {
					s.Advance(t, expiredTime(s.Settings))
					refreshes, doors := len(g.api.Calls("/refresh")), len(g.api.Calls("/profile"))
					g.profile(t, "with an expired access token a request fails")
					g.calls(t, doors+1, "an expired access token"+how+" is sent", "/profile")
					g.calls(t, refreshes+1, "an expired access token"+how+" is refreshed otherwise than once", "/refresh")
				}
				late("")
				// What a refresh gives is read like what a login gives, and a NumericDate may have
				// a fraction (RFC 7519 §2).
				g.api.Shapes(fraction)
				g.login(t, g.api.NewUser())
				late(" whose exp has a fraction")
				g.api.Lives(time.Hour)
				s.Advance(t, expiredTime(s.Settings))
				refreshes, doors := len(g.api.Calls("/refresh")), len(g.api.Calls("/orders"))
				sent := order(letters(48), false)
				g.Do(t, sent).Is(t, http.StatusCreated, "with an expired access token a POST fails")
				g.asSent(t, sent, "a POST that had to wait for a refresh is another than the one that came")
				g.calls(t, doors+1, "an expired access token is sent with a POST", "/orders")
				g.calls(t, refreshes+1, "an expired access token is refreshed otherwise than once before a POST", "/refresh")
				g.profile(t, "the new access token is not used")
			},
		},
		{
			ID: "slid-token-expires-too", Task: 3, Needs: []string{"expired-token-is-not-sent", "slid-token-is-used"},
			Title: "A token that came in X-New-Access-Token is refreshed at its own exp, not at that of the token before",
			Why:   "Who keeps the new token and the old one's exp sends it long after its end, or refreshes it for no reason.",
			Ref:   "RFC 7519 §4.1.4 (exp)",
			Takes: expiredTime,
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s) // with a token that lives an hour
				g.api.Lives(s.Settings.AccessTTL)
				g.api.Slides(true)
				g.profile(t, "a request fails")
				g.api.Slides(false)
				g.api.Lives(time.Hour)
				s.Advance(t, expiredTime(s.Settings))
				refreshes, doors := len(g.api.Calls("/refresh")), len(g.api.Calls("/profile"))
				g.profile(t, "a request fails once a token that had slid in has expired")
				g.calls(t, doors+1, "a token that came in X-New-Access-Token is sent after its exp", "/profile")
				g.calls(t, refreshes+1, "a token that came in X-New-Access-Token has expired, and is refreshed otherwise than once", "/refresh")
			},
		},
		{
			ID: "odd-token-works", Task: 3, Needs: []string{"refused-token-is-refreshed"},
			Title: "A token that is no JWT, or has no exp that can be read, works until it is refused",
			Why:   "What an access token looks like is between the API and whoever issues it. An API that turns to opaque tokens one day must not bring its clients down.",
			Ref:   "RFC 6749 §1.4 (an access token is usually opaque to the client)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				for _, o := range odd {
					g.api.Shapes(o.shape)
					g.login(t, g.api.NewUser())
					before := len(g.api.Calls("/refresh"))
					g.profile(t, "with an access token that is "+o.name+", a request fails")
					g.profile(t, "with an access token that is "+o.name+", a request fails")
					g.calls(t, before, "an access token that is "+o.name+" is refreshed at once", "/refresh")
					g.api.Revoke()
					g.profile(t, "an access token that is "+o.name+" is refused, and not refreshed")
					g.calls(t, before+1, "an access token that is "+o.name+" is refused, and refreshed otherwise than once", "/refresh")
				}
			},
		},
		{
			ID: "clocks-may-differ", Task: 3, Needs: []string{"refused-token-is-refreshed"},
			Title: "An upstream whose clock is a minute off is served: no loop, no refusal",
			Why:   "If the upstream's clock is behind, a new token may seem to have expired on arrival. A client that refreshes until it looks right never ends; one that gives up is logged out for no reason.",
			Ref:   "RFC 7519 §4.1.4 (leeway, to account for clock skew)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				for _, ahead := range []time.Duration{-time.Minute, time.Minute} {
					g.api.Skew(ahead)
					g.api.Lives(20 * time.Second)
					g.login(t, g.api.NewUser())
					for range 3 {
						before := len(g.api.Calls("/refresh"))
						g.profile(t, "with a clock that is a minute off, a request fails")
						if n := len(g.api.Calls("/refresh")) - before; n > 1 {
							g.Fail(t, "with a clock that is a minute off, one request makes several refreshes", "one at most", g.story())
						}
					}
				}
			},
		},
		{
			ID: "late-401-is-no-reason-to-refresh", Task: 4, Needs: []string{"refused-token-is-refreshed"},
			Title: "A 401 for a token that was replaced meanwhile is answered with the new one, without a refresh",
			Why:   "A slow request comes back refused when another has long refreshed. If it refreshes again, the new token's first seconds are its last.",
			Ref:   "RFC 6750 §3.1 (invalid_token is about the token that was sent)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				g.api.Gives(upstream.Rotated)
				g.login(t, g.api.NewUser())
				g.api.Revoke()
				hold, open := gate()
				defer open()
				g.api.Next("/profile", upstream.Fault{Hold: hold})
				slow := g.Begin(profileRequest())
				g.arrive("/profile", 1, usually)
				quick := g.Begin(profileRequest())
				quick.Within(usually)
				open()
				g.owns(t, slow.Answer(t), "a request with the old token fails although another has refreshed")
				g.owns(t, quick.Answer(t), "a refused access token is not refreshed, or the request not sent again")
				g.calls(t, 1, "a late 401 refreshes a token that is new already", "/refresh")
			},
		},
		{
			ID: "fifty-refused-callers-refresh-once", Task: 4, Needs: []string{"late-401-is-no-reason-to-refresh"},
			Title: "Fifty callers whose token is refused at the same time make one refresh, and all are served",
			Why:   "The second refresh sends a refresh token that was used already: an upstream that rotates takes that for theft and ends the session (lesson 06).",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				g.api.Gives(upstream.Rotated)
				g.login(t, g.api.NewUser())
				g.api.Revoke()
				hold, open := gate()
				defer open()
				g.api.Always("/profile", upstream.Fault{Hold: hold}) // until all have sent the old token
				g.atOnce(t, func() {
					g.arrive("/profile", 50, usually)
					g.api.Always("/profile", upstream.Fault{})
					open()
				})
			},
		},
		{
			ID: "fifty-callers-at-expiry-refresh-once", Task: 4, Needs: []string{"fifty-refused-callers-refresh-once", "expired-token-is-not-sent"},
			Title: "Fifty callers who find the token expired make one refresh, and all are served",
			Why:   "After the night the page's ten requests start at once, and each finds the token expired.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Takes: expiredTime,
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				g.api.Gives(upstream.Rotated)
				g.api.Lives(s.Settings.AccessTTL)
				g.login(t, g.api.NewUser())
				g.api.Lives(time.Hour) // what the refresh gives is not to end under way
				s.Advance(t, expiredTime(s.Settings))
				g.atOnce(t, func() {})
			},
		},
		{
			ID: "cancelled-caller-takes-nobody-along", Task: 4, Needs: []string{"rotated-refresh-token-is-kept", "fifty-refused-callers-refresh-once", "expired-token-is-not-sent"},
			Title: "A caller who hangs up during a refresh ends neither the refresh nor the session",
			Why:   "If the refresh belongs to the first caller's request, it dies with it: all who waited get an error, and a refresh token that the upstream has just issued is lost.",
			Ref:   "context.WithoutCancel (Go standard library), RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Takes: expiredTime,
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				g.api.Gives(upstream.Rotated)
				hangsUp := func(when string) {
					hold, open := gate()
					defer open()
					refreshes, doors := len(g.api.Calls("/refresh")), len(g.api.Calls("/profile"))
					g.api.Next("/refresh", upstream.Fault{After: true, Hold: hold}) // rotated, and not answered yet
					first := g.Begin(profileRequest())
					if !g.arrive("/refresh", refreshes+1, time.Second) {
						g.owns(t, first.Answer(t), "a refused access token is not refreshed, or the request not sent again")
					}
					second := g.Begin(profileRequest())
					g.arrive("/profile", doors+2, never)
					first.Cancel()
					abandoned(g.Session, g.api, "/refresh")
					open()
					g.owns(t, second.Answer(t), "a caller who hangs up during a refresh "+when+" takes others along")
					g.profile(t, "after a caller has hung up during a refresh "+when+", the session is over")
				}
				g.login(t, g.api.NewUser())
				g.api.Revoke()
				hangsUp("after a 401")
				// The refresh before a request is begun at another place, perhaps.
				g.api.Lives(s.Settings.AccessTTL)
				g.login(t, g.api.NewUser())
				g.api.Lives(time.Hour)
				s.Advance(t, expiredTime(s.Settings))
				hangsUp("before the request")
			},
		},
		{
			ID: "login-wins-over-what-is-under-way", Task: 4, Needs: []string{"refused-token-is-refreshed", "slid-token-is-used"},
			Title: "What comes back for an older session does not replace the tokens of a newer login",
			Why:   "ada's refresh is slow, cosmo logs in, ada's answer arrives: cosmo goes on working in ada's name.",
			Ref:   "OWASP ASVS 5.0 §7.2.4 (a new session token on authentication, the current one ended)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for _, late := range []struct {
					path   string
					answer upstream.Fault
					slides bool
				}{
					{path: "/refresh", answer: upstream.Fault{After: true}},
					{path: "/refresh", answer: upstream.Fault{Status: http.StatusUnauthorized, Body: `{"msg":"Token is not valid"}`}},
					{path: "/profile", answer: upstream.Fault{After: true}, slides: true},
				} {
					if late.path == "/refresh" {
						g.api.Revoke()
					}
					g.api.Slides(late.slides)
					hold, open := gate()
					defer open()
					late.answer.Hold = hold
					g.api.Next(late.path, late.answer)
					before := len(g.api.Calls(late.path))
					old := g.Begin(profileRequest())
					g.arrive(late.path, before+1, usually)
					g.api.Slides(false)
					u := g.api.NewUser()
					login := g.Begin(subject.Request(http.MethodPost, "/login", u.Credentials()))
					var first *subject.Pending // of the new user's, refused as well
					if login.Within(usually/2) && late.path == "/refresh" {
						g.api.Next("/profile", upstream.Fault{Status: http.StatusUnauthorized})
						first = g.Begin(profileRequest())
						first.Within(usually / 2)
					}
					open()
					login.Answer(t).Is(t, http.StatusNoContent, "a login while something is under way is not answered 204")
					old.Answer(t)
					g.user = u
					if first != nil {
						g.owns(t, first.Answer(t), "a refresh of an older session answers for the new one")
					}
					g.profile(t, "what came back for an older session is taken for the new one's")
					g.api.Revoke() // and now the refresh token shows whose it is
					g.profile(t, "what came back for an older session has changed the new one's refresh token")
				}
				g.api.Next("/login", upstream.Fault{Status: http.StatusOK, Body: `{"access_token":"one-that-the-upstream-refuses"}`})
				if a := g.Post(t, "/login", g.api.NewUser().Credentials()); a.Status == http.StatusNoContent {
					if a := g.Get(t, "/profile"); a.Status == http.StatusOK {
						g.Fail(t, "a login that brought no refresh token goes on with that of the login before", "401", a.Summary())
					}
				}
			},
		},
		{
			ID: "refused-refresh-ends-the-session", Task: 5, Needs: []string{"fifty-refused-callers-refresh-once"},
			Title: "A refresh token that the upstream refuses ends the session, for good and with a clear word",
			Why:   "It will not be good again. A client that keeps it asks for ever; one that passes on the upstream's message tells the user about tokens, not to log in.",
			Ref:   "RFC 6749 §5.2 (invalid_grant)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for i, refused := range []upstream.Fault{
					{},
					{Status: http.StatusBadRequest, Body: `{"error":"invalid_grant"}`, Header: http.Header{"Content-Type": {"application/json"}}},
				} {
					g.profile(t, "a request fails")
					g.api.Next("/refresh", refused)
					g.api.Revoke()
					if i == 0 {
						g.api.End()
					}
					for range 3 {
						g.ended(t, "a session whose refresh token is refused does not end")
					}
					g.calls(t, i+1, "a refresh token that was refused is sent again", "/refresh")
					g.login(t, g.api.NewUser())
					g.profile(t, "after a new login a request fails")
				}

				g.unlogged(t) // what was good a moment ago is still nobody's

				// Several wait for the refresh that is refused.
				hold, open := gate()
				defer open()
				g.api.Revoke()
				g.api.End()
				before, doors := len(g.api.Calls("/refresh")), len(g.api.Calls("/profile"))
				g.api.Next("/refresh", upstream.Fault{Hold: hold})
				var waiting []*subject.Pending
				for range 5 {
					waiting = append(waiting, g.Begin(profileRequest()))
				}
				g.arrive("/profile", doors+5, usually)
				if g.arrive("/refresh", before+1, usually) {
					g.arrive("/refresh", before+2, never) // the others have the time to begin to wait
				}
				open()
				for _, w := range waiting {
					w.Answer(t).RefusedSaying(t, notLoggedIn, "of several callers at the end of a session, one is told something else")
				}
				g.calls(t, before+1, "a refresh token that was refused is sent again by a caller who has waited", "/refresh")
			},
		},
		{
			ID: "outage-does-not-end-the-session", Task: 5, Needs: []string{"refused-token-is-refreshed"},
			Title: "A refresh that fails otherwise than by a refusal is answered 502 or 503, and the session goes on",
			Why:   "Every restart of the upstream logs all users out, if a client takes \"not now\" for \"never\".",
			Ref:   "RFC 9110 §15.6.4 (503: temporary), RFC 6585 §4 (429)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for i, outage := range outages {
					g.api.Always("/refresh", outage)
					g.api.Revoke()
					what := "that breaks off"
					if outage.Status != 0 {
						what = strings.TrimSpace(fmt.Sprintf("that is answered %d %s", outage.Status, outage.Body))
					}
					tries := 2
					if i == 0 {
						tries = 5 // however often it fails
					}
					for range tries {
						down(t, g.Get(t, "/profile"), "a refresh "+what+" is not answered as an outage")
					}
					g.api.Always("/refresh", upstream.Fault{})
					g.profile(t, "after a refresh "+what+" the session is over")
				}
			},
		},
		{
			ID: "garbage-does-not-end-the-session", Task: 5, Needs: []string{"outage-does-not-end-the-session"},
			Title: "A refresh that is answered without an access token is an outage, too",
			Why:   "Hotel networks and broken proxies answer 200 to everything. Who takes that for tokens sends \"Bearer \" and has lost the real ones.",
			Ref:   "RFC 6749 §5.1 (access_token is REQUIRED)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for _, body := range garbage {
					g.api.Next("/refresh", upstream.Fault{Status: http.StatusOK, Body: body})
					g.api.Revoke()
					down(t, g.Get(t, "/profile"), "a refresh that brings no token is not answered as an outage")
					g.profile(t, "after a refresh that brought no token the session is over")
				}
				unlogged(t, g.Session, "the log holds a token, of an answer that could not be used", unusable)
				g.api.Next("/login", upstream.Fault{Status: http.StatusOK, Body: garbage[0]})
				down(t, g.Post(t, "/login", g.api.NewUser().Credentials()), "a login that brings no token is not answered as an outage")
				g.profile(t, "a login that brought no token has ended the session that there was")
			},
		},
		{
			ID: "before-a-request-the-same-holds", Task: 5, Needs: []string{"expired-token-is-not-sent", "refused-refresh-ends-the-session", "outage-does-not-end-the-session"},
			Title: "A refresh before the request ends as one after a 401: an outage is a 502, a refusal a logout",
			Why:   "The two ways to a refresh are often two pieces of code, and one of them takes every error for the same.",
			Ref:   "RFC 6749 §5.2 (invalid_grant)",
			Takes: twiceExpiredTime,
			Check: func(t require.TestingT, s *subject.Session) {
				g := through(s)
				g.api.Lives(s.Settings.AccessTTL)
				g.login(t, g.api.NewUser())
				s.Advance(t, expiredTime(s.Settings))
				g.api.Always("/refresh", upstream.Fault{Status: http.StatusServiceUnavailable})
				down(t, g.Get(t, "/profile"), "with an expired token, an outage of the refresh is not answered as one")
				g.api.Always("/refresh", upstream.Fault{})
				g.profile(t, "with an expired token, an outage of the refresh ends the session")
				s.Advance(t, expiredTime(s.Settings))
				g.api.End()
				g.ended(t, "with an expired token, a refused refresh does not end the session")
			},
		},
		{
			ID: "unreachable-upstream-is-502", Task: 5, Needs: []string{"requests-carry-the-access-token"},
			Title: "Where the upstream does not answer, the gateway answers 502 or 503, and the session goes on",
			Why:   "A 401 sends people to the login page for a fault that no login mends; a 500 sends the operators to the wrong server.",
			Ref:   "RFC 9110 §15.6.3 (502 Bad Gateway)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for range 2 {
					g.api.Always("/profile", upstream.Fault{Cut: true})
					down(t, g.Get(t, "/profile"), "a request that the upstream does not answer is not answered 502")
					g.api.Always("/profile", upstream.Fault{})
					g.profile(t, "after an outage the session is over")
				}
				u := g.api.NewUser()
				g.api.Next("/login", upstream.Fault{Cut: true})
				down(t, g.Post(t, "/login", u.Credentials()), "a login that the upstream does not answer is not answered 502")
				g.login(t, u)
				g.api.Close()
				down(t, g.Get(t, "/profile"), "a request to an upstream that is not there is not answered 502")
			},
		},
		{
			ID: "post-is-not-repeated-after-an-error", Task: 5, Needs: []string{"unreachable-upstream-is-502"},
			Title: "A POST whose connection breaks is not sent again",
			Why:   "Nobody knows whether it was carried out. The second one may order twice.",
			Ref:   "RFC 9110 §9.2.2 (a client SHOULD NOT automatically retry a non-idempotent method)",
			Check: func(t require.TestingT, s *subject.Session) {
				g := signedIn(t, s)
				for n := range 3 {
					sent := order(letters(48), n == 1)
					g.api.Next("/orders", upstream.Fault{After: true, Cut: true})
					down(t, g.Do(t, sent), "a POST that the upstream does not answer is not answered 502")
					g.calls(t, 2*n+1, "a POST whose connection broke is sent again", "/orders")
					g.Do(t, sent).Is(t, http.StatusCreated, "after a broken connection a POST fails")
				}
				bare, patch := order(nil, false), order(letters(48), false)
				patch.Method = http.MethodPatch
				for _, one := range []struct {
					name string
					sent probe.Request
					then int
				}{
					{"a POST without a body", bare, http.StatusCreated},
					{"a PATCH", patch, http.StatusNotFound}, // the API has no such route
				} {
					before := len(g.api.Calls("/orders"))
					g.api.Next("/orders", upstream.Fault{After: true, Cut: true})
					down(t, g.Do(t, one.sent), one.name+" that the upstream does not answer is not answered 502")
					g.calls(t, before+1, one.name+" whose connection broke is sent again", "/orders")
					g.Do(t, one.sent).Is(t, one.then, "after a broken connection "+one.name+" fails")
				}
			},
		},
	}
}
