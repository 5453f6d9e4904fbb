package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/live"
	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

func TestListenTakesTheLoopbackAlone(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		l, err := listen(addr)
		require.NoError(t, err, addr)
		l.Close()
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		l, err := listen("[::1]:0")
		require.NoError(t, err)
		l.Close()
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "workshop.example:0", "127.0.0.1.example:0"} {
		_, err := listen(addr)
		assert.ErrorIs(t, err, errNotLoopback, addr)
	}
	_, err := listen("127.0.0.1")
	assert.Error(t, err)
}

// newTestSite is a page for a copy of the workshop, without a browser and without
// the guard.
func newTestSite(t *testing.T) *site {
	t.Helper()
	s, err := newSite(copied(t))
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func request(h http.Handler, method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8765"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestTheGuardLetsInNobodyElse(t *testing.T) {
	h := guard("8765", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "inside") }))
	set := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == "Host" {
					r.Host = pairs[i+1]
				} else {
					r.Header.Set(pairs[i], pairs[i+1])
				}
			}
		}
	}
	for _, c := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"the page itself", "GET", "/", nil, 200},
		{"by the other name", "GET", "/", set("Host", "localhost:8765"), 200},
		{"by IPv6", "GET", "/", set("Host", "[::1]:8765"), 200},
		{"a name bound to 127.0.0.1", "GET", "/", set("Host", "evil.example:8765"), 421},
		{"a name that looks like it", "GET", "/", set("Host", "localhost.evil.example:8765"), 421},
		{"another port", "GET", "/", set("Host", "127.0.0.1:80"), 421},
		{"no port", "GET", "/", set("Host", "127.0.0.1"), 421},
		{"an address of the network", "GET", "/", set("Host", "192.0.2.1:8765"), 421},
		{"the page's script", "POST", "/api/hint", set("Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8765"), 200},
		{"another site's script", "POST", "/api/hint", set("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 403},
		{"another port's script", "POST", "/api/hint", set("Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:3000"), 403},
		{"an old browser's foreign script", "POST", "/api/hint", set("Origin", "https://evil.example"), 403},
		{"a sandboxed frame", "POST", "/api/hint", set("Origin", "null"), 403},
		{"a form of another site", "POST", "/api/server/stop", set("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 403},
		{"another site reads", "GET", "/events", set("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"), 403},
		{"another site reads as a page", "GET", "/api/diff", set("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 403},
		{"another site embeds a script", "GET", "/static/app.js", set("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"), 403},
		{"another site frames it", "GET", "/", set("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), 403},
		{"a link from another site", "GET", "/", set("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200},
		{"typed in", "GET", "/", set("Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := request(h, c.method, c.path, "", c.change)
			assert.Equal(t, c.want, w.Code)
			assert.Equal(t, c.want == 200, w.Body.String() == "inside")
			assert.Equal(t, policy, w.Header().Get("Content-Security-Policy"))
			assert.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
		})
	}
}

func TestNoPathLeadsOutOfWhatIsEmbedded(t *testing.T) {
	h := newTestSite(t).handler()
	for _, there := range []string{"/", "/lab", "/pad", "/lessons/05-refresh", "/lessons/05-refresh/lives.svg", "/static/style.css"} {
		assert.Equal(t, 200, request(h, "GET", there, "", nil).Code, there)
	}
	for _, path := range []string{
		"/lessons/5", "/lessons/05", "/lessons/99-none", "/lessons/..%2f..%2fgo.mod", "/lessons/05-refresh/README.md", "/lessons/05-refresh/token.go",
		"/lessons/05-refresh/..%2flogin.go", "/lessons/05-refresh/..%2f01-login%2fdecision.svg", "/lessons/..%2f05-refresh/lives.svg",
		"/static/..%2fsite.go", "/static/%2e%2e/site.go", "/static/../pages/frame.html", "/static/", "/static", "/pages/frame.html", "/.workshop/notes.json", "/events?lesson=..",
	} {
		w := request(h, "GET", path, "", nil)
		assert.Contains(t, []int{301, 307, 404}, w.Code, path)
		assert.NotContains(t, w.Body.String(), "package main", path)
	}
}

func TestWhatComesInIsBounded(t *testing.T) {
	h := newTestSite(t).handler()
	long := func(n int) string { return `{"token":"` + strings.Repeat("a", n) + `"}` }
	assert.Equal(t, 200, request(h, "POST", "/api/lab/explain", long(1000), nil).Code)
	assert.Equal(t, 400, request(h, "POST", "/api/lab/explain", long(maxToken+1), nil).Code)
	assert.Equal(t, 413, request(h, "POST", "/api/lab/explain", long(maxBody), nil).Code)
	assert.Equal(t, 413, request(h, "POST", "/api/server/send", long(maxSend), nil).Code)
	for _, body := range []string{"", "{", "[]", `{"token":1}`, `{"other":1}`} {
		assert.Equal(t, 400, request(h, "POST", "/api/lab/explain", body, nil).Code, body)
	}
	for _, by := range []string{"", "0s", "-1h", "9000h", "tomorrow", "1e9h"} {
		assert.Equal(t, 400, request(h, "POST", "/api/server/skip", fmt.Sprintf(`{"by":%q}`, by), nil).Code, by)
	}
	assert.Equal(t, 409, request(h, "POST", "/api/server/skip", `{"by":"2h 45m"}`, nil).Code, "it is a time, but no server runs")
	assert.Equal(t, 404, request(h, "POST", "/api/hint", `{"lesson":"05-refresh","step":"no-such-step"}`, nil).Code)
	assert.Equal(t, 403, request(h, "GET", "/api/diff?lesson=05-refresh", "", nil).Code)
}

var (
	linkTo  = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	aTask   = regexp.MustCompile(`id="task-(\d+)"`)
	comment = regexp.MustCompile(`<!--|<script|<iframe|<style| on\w+=`)
)

// What the README says must be all on the page: its tasks can be linked to, its steps
// be marked, its pictures be seen.
func TestEveryReadmeIsShownWhole(t *testing.T) {
	s := newTestSite(t)
	h := s.handler()
	for _, l := range lessons.All() {
		t.Run(l.ID, func(t *testing.T) {
			doc, err := readme(l)
			require.NoError(t, err)
			text := string(doc.HTML)
			assert.NotRegexp(t, comment, text)
			anchors := map[string]bool{}
			for _, m := range aTask.FindAllStringSubmatch(text, -1) {
				assert.False(t, anchors[m[1]], "task %s is there twice", m[1])
				anchors[m[1]] = true
			}
			for _, step := range suites.Own(l) {
				assert.True(t, anchors[fmt.Sprint(step.Task)], "%s leads to task %d, which has no anchor", step.ID, step.Task)
				assert.Equal(t, 1, strings.Count(text, `data-step="`+step.ID+`"`), "%s is not marked", step.ID)
			}
			for _, p := range doc.Parts {
				assert.Contains(t, text, `id="`+p.Anchor+`"`)
			}
			pictures := 0
			for _, m := range linkTo.FindAllStringSubmatch(text, -1) {
				to, _, _ := strings.Cut(m[1], "#")
				switch {
				case strings.HasPrefix(to, "/"):
					assert.Equal(t, 200, request(h, "GET", to, "", nil).Code, to)
					if strings.HasSuffix(to, ".svg") {
						pictures++
					}
				case to == "":
					assert.Contains(t, text, `id="`+strings.TrimPrefix(m[1], "#")+`"`)
				default:
					assert.True(t, strings.HasPrefix(to, "https://"), "%s leads nowhere from this page", to)
				}
			}
			assert.Positive(t, pictures)
		})
	}
}

func TestATokenIsExplained(t *testing.T) {
	secret := []byte("a secret of more than thirty-two bytes")
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	claims := func(extra map[string]any) forge.Token {
		c := map[string]any{"sub": "ada", "iat": clock.Unix(), "exp": clock.Add(15 * time.Minute).Unix()}
		for k, v := range extra {
			c[k] = v
		}
		return forge.Token{Header: map[string]any{"typ": "at+jwt"}, Claims: c}
	}
	none := func() []forge.PublicKey { return nil }
	fieldOf := func(e explained, name string) field {
		for _, f := range e.Fields {
			if f.Name == name {
				return f
			}
		}
		return field{}
	}
	good := explain(claims(nil).Sign("HS256", secret), secret, none, clock, clock.Add(time.Hour))
	assert.Empty(t, good.Error)
	assert.Equal(t, "fits", good.Signature.State)
	assert.Equal(t, clock.Add(15*time.Minute), *good.Life.Expires)
	assert.Equal(t, clock.Add(450*time.Second), *good.Life.Half)
	assert.Equal(t, clock.Add(time.Hour), *good.Life.Cap)
	for _, f := range good.Fields {
		assert.NotEmpty(t, f.Source, f.Name)
		assert.Empty(t, f.Warning, f.Name)
	}
	assert.Equal(t, []string{"alg", "typ", "sub", "iat", "exp"}, func() (names []string) {
		for _, f := range good.Fields {
			names = append(names, f.Name)
		}
		return
	}())

	assert.Equal(t, "does not fit", explain(claims(nil).Sign("HS256", secret), []byte("another"), none, clock, time.Time{}).Signature.State)
	assert.Equal(t, "fits", explain(claims(nil).Sign("HS512", secret), secret, none, clock, time.Time{}).Signature.State)
	assert.Equal(t, "none", explain(claims(nil).Sign("none", nil), secret, none, clock, time.Time{}).Signature.State)
	assert.Equal(t, "unknown", explain(forge.SignAs(claims(nil), "EdDSA", secret), secret, none, clock, time.Time{}).Signature.State)
	assert.Equal(t, "does not fit", explain(forge.TamperSignature(claims(nil).Sign("HS256", secret)), secret, none, clock, time.Time{}).Signature.State)

	pairs := forge.NewKeyPairs()
	require.NotEmpty(t, pairs)
	for i, pair := range pairs {
		public := func(p forge.KeyPair) func() []forge.PublicKey {
			text, err := json.Marshal(p.JWK("k"))
			require.NoError(t, err)
			k, err := forge.ReadKey(text)
			require.NoError(t, err)
			return func() []forge.PublicKey { return []forge.PublicKey{k} }
		}
		raw := pair.Sign(claims(nil))
		assert.Equal(t, signature{"fits", "public key", ""}, func() signature {
			got := explain(raw, secret, public(pair), clock, time.Time{}).Signature
			got.Text = ""
			return got
		}())
		other := pairs[(i+1)%len(pairs)]
		assert.Equal(t, "does not fit", explain(raw, secret, public(other), clock, time.Time{}).Signature.State)
	}

	for name, extra := range map[string]any{"exp": clock.UnixMilli(), "iat": "today", "nbf": nil, "sub": 7, "password_hash": "x"} {
		e := explain(claims(map[string]any{name: extra}).Sign("HS256", secret), secret, none, clock, time.Time{})
		assert.NotEmpty(t, fieldOf(e, name).Warning, name)
	}
	without := explain(claims(nil).Without("exp").Sign("HS256", secret), secret, none, clock, time.Time{})
	assert.Contains(t, fieldOf(without, "exp").Warning, "for ever")

	for _, raw := range []string{"x", "a.b.c", "....", "e30.e30", "e30.bnVsbA.", "\xff.\xff.\xff", strings.Repeat("a.", 9000)} {
		e := explain(raw, secret, none, clock, time.Time{})
		assert.NotEmpty(t, e.Error, raw)
		_, err := json.Marshal(e)
		assert.NoError(t, err)
		assert.LessOrEqual(t, len(e.Parts), 3)
	}
}

// post asks the page as its scripts do and wants that status.
func post[T any](t *testing.T, s *site, path string, body any, want int) T {
	t.Helper()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	w := request(s.handler(), "POST", path, string(text), nil)
	require.Equal(t, want, w.Code, w.Body.String())
	var out T
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	return out
}

type said = map[string]any

func (s state) last() entry { return s.Log[len(s.Log)-1] }

func TestTheServerIsStartedAskedAndMovedInTime(t *testing.T) {
	s := newTestSite(t)
	post[fault](t, s, "/api/server/send", said{"method": "GET", "path": "/"}, 409)
	started := post[state](t, s, "/api/server/start", said{"lesson": "06-rotation", "solution": true}, 200)
	assert.True(t, started.Running)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, started.URL)

	login := post[state](t, s, "/api/server/send", said{"method": "POST", "path": "/login", "body": `{"username":"ada","password":"analytical-engine-1843"}`}, 200)
	require.Equal(t, 200, login.last().Status)
	require.Len(t, login.Tokens, 2)
	access, refresh := login.Tokens[0], login.Tokens[1]
	assert.Equal(t, "access", access.Kind)
	assert.Equal(t, "refresh", refresh.Kind)
	assert.Contains(t, access.What, "ada")

	profile := func(token string) int {
		return post[state](t, s, "/api/server/send", said{"method": "GET", "path": "/profile", "bearer": token}, 200).last().Status
	}
	assert.Equal(t, 200, profile(access.Raw))
	// The URL is really the server's: others can ask it, too.
	direct, err := http.Get(login.URL + "/profile")
	require.NoError(t, err)
	direct.Body.Close()
	assert.Equal(t, 401, direct.StatusCode)

	lab := post[explained](t, s, "/api/lab/explain", said{"token": "Bearer " + access.Raw}, 200)
	assert.Equal(t, "fits", lab.Signature.State)
	require.NotNil(t, lab.Life.Cap, "the page saw the login")
	assert.Equal(t, access.At.Add(7*24*time.Hour), *lab.Life.Cap)

	skipped := post[state](t, s, "/api/server/skip", said{"by": "16m"}, 200)
	assert.Equal(t, "16 min", skipped.last().Skip)
	assert.WithinDuration(t, time.Now().Add(16*time.Minute), skipped.Clock, 30*time.Second)
	assert.Equal(t, 401, profile(access.Raw))
	after := post[state](t, s, "/api/server/send", said{"method": "POST", "path": "/refresh", "bearer": refresh.Raw}, 200)
	require.Equal(t, 200, after.last().Status)
	assert.Equal(t, 200, profile(after.Tokens[0].Raw))
	renewed := post[explained](t, s, "/api/lab/explain", said{"token": after.Tokens[0].Raw}, 200)
	assert.Equal(t, *lab.Life.Cap, *renewed.Life.Cap, "a refresh does not move the end")

	for _, wrong := range []said{
		{"method": "get", "path": "/"}, {"method": "", "path": "/"}, {"method": "GET", "path": "profile"}, {"method": "GET", "path": "//evil.example/"},
		{"method": "GET", "path": "/a b"}, {"method": "GET", "path": "/\r\nX: y"}, {"method": "GET", "path": "http://evil.example/"},
		{"method": "GET", "path": "/", "headers": []header{{"X-A", "b\r\nX-C: d"}}}, {"method": "GET", "path": "/", "headers": []header{{"Host", "evil.example"}}}, {"method": "GET", "path": "/", "headers": []header{{"a b", "c"}}},
	} {
		post[fault](t, s, "/api/server/send", wrong, 400)
	}
	stopped := post[state](t, s, "/api/server/stop", said{}, 200)
	assert.False(t, stopped.Running)
	assert.NotEmpty(t, stopped.Log, "what was said stays to be read")
	post[fault](t, s, "/api/server/skip", said{"by": "1m"}, 409)
}

// No secret tells whether a public key fits: the running server's own keys do.
func TestThePublicKeysOfTheServerAreAsked(t *testing.T) {
	s := newTestSite(t)
	post[state](t, s, "/api/server/start", said{"lesson": "12-keys", "solution": true}, 200)
	login := post[state](t, s, "/api/server/send", said{"method": "POST", "path": "/login", "body": `{"username":"ada","password":"analytical-engine-1843"}`}, 200)
	require.NotEmpty(t, login.Tokens)
	raw := login.Tokens[0].Raw
	lab := func(token string) signature {
		return post[explained](t, s, "/api/lab/explain", said{"token": token}, 200).Signature
	}
	assert.Equal(t, "fits", lab(raw).State, lab(raw).Text)
	assert.Equal(t, "public key", lab(raw).With)
	assert.Equal(t, "does not fit", lab(forge.TamperSignature(raw)).State)
	post[state](t, s, "/api/server/stop", said{}, 200)
	assert.Equal(t, "unknown", lab(raw).State)
}

// Whoever watches a lesson hears of each save, without asking.
func TestNewsFollowSaves(t *testing.T) {
	s := newTestSite(t)
	web := httptest.NewServer(s.handler())
	defer web.Close()
	one := lesson(t, "01")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, "GET", web.URL+"/events?lesson="+one.ID, nil)
	require.NoError(t, err)
	stream, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer stream.Body.Close()
	assert.Equal(t, "text/event-stream", stream.Header.Get("Content-Type"))
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 4<<20)
	seen := map[string]bool{}
	kind := ""
	next := func(want func(verdict) bool) verdict {
		t.Helper()
		for lines.Scan() {
			if k, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = k
				seen[kind] = true
			}
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok || kind != "verdict" {
				continue
			}
			var v verdict
			require.NoError(t, json.Unmarshal([]byte(text), &v))
			if v.Phase == live.Graded && want(v) {
				return v
			}
		}
		require.NoError(t, lines.Err())
		t.Fatal("the stream has ended")
		return verdict{}
	}
	failing := next(func(v verdict) bool { return true })
	assert.False(t, failing.Passed)
	assert.Equal(t, failing.Steps[0].ID, failing.First)
	assert.NotEmpty(t, failing.Steps[0].Curl)
	assert.Equal(t, "#task-1", failing.Steps[0].Read)
	assert.Equal(t, 3, failing.Steps[0].HintsOf)
	require.NoError(t, os.WriteFile(filepath.Join(s.book.Folder(one, false), "login.go"), []byte("package main\n\nfunc half( {"), 0o644))
	broken := next(func(v verdict) bool { return v.Problem != "" })
	assert.Contains(t, broken.Blocks[0], "lessons/01-login/login.go:3")
	require.NoError(t, scratch.Solve(s.book.Root, one))
	done := next(func(v verdict) bool { return v.Passed })
	assert.Equal(t, done.Total, done.Done)
	assert.Equal(t, "02-access-token", done.Next)
	assert.True(t, seen["server"] && seen["progress"])
	assert.Equal(t, "done", progress(s.book)[0].State)
	assert.True(t, progress(s.book)[1].Current)
}

// Cookies are kept for the server's own page and go along with another site's.
func TestCookiesAreKeptByWhoeverKeepsThem(t *testing.T) {
	s := newTestSite(t)
	post[state](t, s, "/api/server/start", said{"lesson": "09-cookies", "solution": true}, 200)
	send := func(from, method, path, body string) state {
		return post[state](t, s, "/api/server/send", said{"from": from, "method": method, "path": path, "body": body}, 200)
	}
	credentials := `{"username":"ada","password":"analytical-engine-1843"}`
	assert.Empty(t, send(fromCurl, "POST", "/login", credentials).Cookies)
	assert.Len(t, send(fromOwn, "POST", "/login", credentials).Cookies, 3)
	assert.Equal(t, 401, send(fromCurl, "GET", "/profile", "").last().Status)
	assert.Equal(t, 200, send(fromOwn, "GET", "/profile", "").last().Status)
	assert.Equal(t, 403, send(fromOthers, "POST", "/logout", "").last().Status, "the CSRF token is missing")
	assert.Equal(t, 200, send(fromOwn, "GET", "/profile", "").last().Status)
	assert.Equal(t, 2, send(fromOwn, "POST", "/logout", "").last().Status/100)
	assert.Equal(t, 401, send(fromOwn, "GET", "/profile", "").last().Status)
	send(fromOwn, "POST", "/login", credentials)
	assert.Empty(t, post[state](t, s, "/api/server/forget", said{}, 200).Cookies)
}

// badServer is a learner's server with everything that goes wrong in one.
const badServer = `package main

import (
	"net/http"
	"os"
	"strings"

	"jwtworkshop/lessons"
)

func New(cfg lessons.Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { select {} })
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { panic("oh no") })
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) { os.Exit(3) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(strings.Repeat("é", 1<<20))) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) { for { if _, err := w.Write([]byte(strings.Repeat("x", 1<<20))); err != nil { return } } })
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Odd", "\xff<b>"); w.Write([]byte{0xff, 0, 1, 'a'}) })
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "application/json"); w.Header().Set("X-Evil", "<img src=x onerror=pwned()>"); w.Write([]byte(` + "`" + `{"access_token":"<script>pwned()</script>","note":"</pre><img src=x onerror=pwned()>"}` + "`" + `)) })
	return mux
}
`

// spoil puts the bad server into lesson 01.
func spoil(t *testing.T, folder string) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, path := range old {
		if name := filepath.Base(path); name != "main.go" && name != "lesson_test.go" {
			require.NoError(t, os.Remove(path))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "server.go"), []byte(badServer), 0o644))
}

func TestABadServerIsToldForWhatItIs(t *testing.T) {
	s := newTestSite(t)
	one := lesson(t, "01")
	spoil(t, s.book.Folder(one, false))
	start := func() { post[state](t, s, "/api/server/start", said{"lesson": one.ID}, 200) }
	send := func(path string) state {
		return post[state](t, s, "/api/server/send", said{"method": "GET", "path": path}, 200)
	}
	start()
	long := send("/long").last()
	assert.Equal(t, 2<<20, long.Cut)
	assert.LessOrEqual(t, len(long.Reply), maxShown)
	odd := send("/bytes").last()
	assert.Equal(t, 200, odd.Status)
	assert.Contains(t, send("/endless").last().Problem, "without an answer")
	panicked := send("/panic")
	assert.Contains(t, panicked.last().Problem, "panicked")
	assert.Contains(t, panicked.last().Problem, "lessons/01-login/server.go:")
	assert.True(t, panicked.Running, "net/http goes on after a panic")
	ended := send("/exit")
	assert.Contains(t, ended.last().Problem, "exit status 3")
	assert.False(t, ended.Running)
	assert.NotEmpty(t, ended.Ended)

	s.server.patience = 300 * time.Millisecond
	start()
	hung := send("/hang")
	assert.Contains(t, hung.last().Problem, "hangs")
	assert.False(t, hung.Running)

	require.NoError(t, os.WriteFile(filepath.Join(s.book.Folder(one, false), "server.go"), []byte("package main\n\nfunc New() {\n"), 0o644))
	broken := post[fault](t, s, "/api/server/start", said{"lesson": one.ID}, 422)
	assert.NotEmpty(t, broken.Blocks)
	assert.Contains(t, broken.Blocks[0], "lessons/01-login/server.go:")
}

// What a lesson's server says is asked, not known: a token that another secret has
// signed is refused where one of the page's is taken.
func TestServersAreReallyAsked(t *testing.T) {
	s := newTestSite(t)
	four := lesson(t, "04")
	settings := s.server.settings(four, s.server.clock())
	token := forge.Token{Claims: said{"iss": settings.Issuer, "aud": settings.Audience, "sub": "ada", "jti": "1", "iat": s.server.clock().Unix(), "exp": s.server.clock().Add(10 * time.Minute).Unix()}}
	ask := func(lesson, raw string, solution bool) opinion {
		return post[opinion](t, s, "/api/lab/ask", said{"lesson": lesson, "token": raw, "solution": solution}, 200)
	}
	good := ask(four.ID, token.Sign("HS256", settings.Secret), true)
	require.Len(t, good.Answers, 1, "there is no /refresh yet")
	assert.Equal(t, 200, good.Answers[0].Status)
	assert.Contains(t, good.Answers[0].Text, "ada")
	assert.Equal(t, 200, good.Answers[0].Own)
	bad := ask(four.ID, token.Sign("HS256", []byte("another secret of thirty-two bytes!")), true)
	assert.Equal(t, 401, bad.Answers[0].Status)
	assert.Equal(t, 200, bad.Answers[0].Own)
	old := ask(four.ID, token.With("exp", s.server.clock().Add(-time.Hour).Unix()).Sign("HS256", settings.Secret), true)
	assert.Contains(t, old.Answers[0].Text, "expired")

	starter := ask("05-refresh", token.Sign("HS256", settings.Secret), false)
	assert.NotEmpty(t, starter.Answers, "a starter takes what the lesson before it took")
	cookies := ask("09-cookies", token.Sign("HS256", settings.Secret), true)
	require.Len(t, cookies.Answers, 2)
	assert.Equal(t, []int{200, 200}, []int{cookies.Answers[0].Own, cookies.Answers[1].Own})
	post[fault](t, s, "/api/lab/ask", said{"lesson": "", "token": "x"}, 422)
	post[fault](t, s, "/api/lab/ask", said{"lesson": four.ID, "token": "a b; c"}, 400)
}

func TestTheCommandSaysWhatIsWrong(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), ".", []string{"-addr", "0.0.0.0:0"}, &out)
	assert.True(t, errors.Is(err, errNotLoopback))
	assert.NotContains(t, err.Error(), "\n")
	assert.Empty(t, out.String())
}
