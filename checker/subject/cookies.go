package subject

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/probe"
)

// The cookies that tokens travel in, by the last part of their names: a server may
// write __Host- or __Secure- before it.
const (
	AccessCookie  = "access_token"
	RefreshCookie = "refresh_token"
	CSRFCookie    = "csrf_token"

	csrfHeader = "X-CSRF-Token"
)

// A Cookie is one that a browser keeps.
type Cookie struct {
	*http.Cookie
	effective string    // the path that it goes to
	ends      time.Time // by the server's clock; zero is when the browser is closed
}

// A Browser keeps the cookies of one server as RFC 10025 §5.7 wants it, strictly:
// path, lifetime, deletion and the prefixes of names count. It reads lifetimes by
// the server's clock. Secure cookies it keeps over http, as browsers do at
// localhost. SameSite it does not mind: who attacks has found a way round.
//
// Its requests are those of the server's own page, with all that says so: the
// cookies, Origin, Sec-Fetch-Site, and X-CSRF-Token as a script reads it.
type Browser struct {
	User User // who has logged in last

	s       *Session
	mu      sync.Mutex
	kept    []Cookie
	refused map[string]string // by kind: why the last one was not kept
}

// Browser returns a browser without a cookie.
func (s *Session) Browser() *Browser { return &Browser{s: s, refused: map[string]string{}} }

// Origin is what a browser calls the server's own pages.
func (s *Session) Origin() string {
	if s.target == nil && s.Settings.URL != "" {
		return s.Settings.URL
	}
	u, err := url.Parse(s.client.Base())
	if err != nil {
		panic(err) // a request to it would not have got so far
	}
	return u.Scheme + "://" + u.Host
}

// Clone returns a browser with the same cookies: what somebody has who copied them.
func (b *Browser) Clone() *Browser {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &Browser{User: b.User, s: b.s, kept: slices.Clone(b.kept), refused: map[string]string{}}
}

// Keep returns a browser with those of the cookies that keep says yes to.
func (b *Browser) Keep(keep func(Cookie) bool) *Browser {
	c := b.Clone()
	c.kept = slices.DeleteFunc(c.kept, func(one Cookie) bool { return !keep(one) })
	return c
}

// Request makes a request of the server's own page.
func (b *Browser) Request(method, path string, options ...Option) probe.Request {
	r := Request(method, path)
	b.mu.Lock()
	where, _, _ := strings.Cut(path, "?")
	// Longer paths come first (RFC 10025 §5.8.3), and servers take the first.
	slices.SortStableFunc(b.kept, func(x, y Cookie) int { return len(y.effective) - len(x.effective) })
	for _, c := range b.kept {
		if !pathMatches(where, c.effective) || b.gone(c) {
			continue
		}
		cookies := append(cookiesOf(r), c.Name+"="+c.Value)
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
		if kind := kindOf(c.Name); kind == AccessCookie && r.Token.Raw == "" || kind == RefreshCookie {
			r.Token = probe.Token{Raw: c.Value, What: fmt.Sprintf("the %s cookie of %s", kind, b.User.Username)}
		}
	}
	b.mu.Unlock()
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method != http.MethodGet && method != http.MethodHead {
		r.Header.Set("Origin", b.s.Origin())
		if token, readable := b.CSRFToken(); readable {
			r.Header.Set(csrfHeader, token)
		}
	}
	for _, o := range options {
		o(&r)
	}
	return r
}

func (b *Browser) gone(c Cookie) bool { return !c.ends.IsZero() && !b.s.Now().Before(c.ends) }

// Get sends a GET request and keeps the cookies of the answer.
func (b *Browser) Get(t require.TestingT, path string, options ...Option) *Answer {
	return b.Do(t, b.Request(http.MethodGet, path, options...))
}

// Post sends a POST request and keeps the cookies of the answer.
func (b *Browser) Post(t require.TestingT, path string, options ...Option) *Answer {
	return b.Do(t, b.Request(http.MethodPost, path, options...))
}

// Do sends a request and keeps the cookies of the answer.
func (b *Browser) Do(t require.TestingT, r probe.Request) *Answer {
	a := b.s.Do(t, r)
	b.keep(a)
	return a
}

// LogIn logs somebody in and wants the two cookies of it.
func (b *Browser) LogIn(t require.TestingT, u User) *Answer {
	a := b.Post(t, "/login", u.Credentials()).Is(t, http.StatusOK, "/login of "+u.Username+" did not succeed", http.StatusNoContent)
	b.User = u
	for _, kind := range []string{AccessCookie, RefreshCookie} {
		if Sets(a, kind) == nil {
			probe.Fail(t, &probe.Failure{Claim: "/login sets no cookie " + kind, Sent: a.Exchange, Want: "Set-Cookie: " + kind + "=…", Got: a.Headers("Set-Cookie")})
		}
		if _, ok := b.Cookie(kind); !ok {
			probe.Fail(t, &probe.Failure{Claim: "a browser does not keep the cookie " + kind + b.refused[kind], Sent: a.Exchange, Want: "a cookie that is kept", Got: a.Headers("Set-Cookie")})
		}
	}
	return a
}

// Cookie returns the living cookie of that kind.
func (b *Browser) Cookie(kind string) (Cookie, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.kept {
		if kindOf(c.Name) == kind && !b.gone(c) {
			return c, true
		}
	}
	return Cookie{}, false
}

// CSRFToken is what a script of the server's own page reads in the cookie, and
// false where there is none that it can read.
func (b *Browser) CSRFToken() (string, bool) {
	c, ok := b.Cookie(CSRFCookie)
	if !ok || c.HttpOnly || c.effective != "/" {
		return "", false
	}
	return c.Value, true
}

// Path is where the cookie goes.
func (c Cookie) Path() string { return c.effective }

// Ends is when the browser forgets the cookie; zero is when it is closed.
func (c Cookie) Ends() time.Time { return c.ends }

// keep takes over the cookies of an answer (RFC 10025 §5.7).
func (b *Browser) keep(a *Answer) {
	now := b.s.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range SetCookies(a) {
		kept := Cookie{Cookie: c, effective: c.Path}
		if !strings.HasPrefix(c.Path, "/") { // the default-path of §5.1.4
			path, _, _ := strings.Cut(a.Path, "?")
			kept.effective = path[:max(1, strings.LastIndex(path, "/"))]
		}
		switch {
		case c.MaxAge > 0:
			kept.ends = now.Add(time.Duration(min(c.MaxAge, 1<<31-1)) * time.Second)
		case c.MaxAge < 0:
			kept.ends = now // at once
		case !c.Expires.IsZero():
			kept.ends = c.Expires
		}
		if why := notKept(kept, b.s.Origin()); why != "" {
			b.refused[kindOf(c.Name)] = ": " + why
			continue
		}
		b.kept = slices.DeleteFunc(b.kept, func(old Cookie) bool {
			return old.Name == c.Name && old.effective == kept.effective && old.host() == kept.host()
		})
		if b.gone(kept) {
			b.refused[kindOf(c.Name)] = ": its life is over by the server's clock"
			continue
		}
		b.kept = append(b.kept, kept)
	}
}

// host is the part of a cookie's name that its Domain is: none is another than any.
func (c Cookie) host() string { return strings.ToLower(strings.TrimPrefix(c.Domain, ".")) }

// notKept says why a browser does not keep a cookie, "" where it does.
func notKept(c Cookie, origin string) string {
	u, _ := url.Parse(origin)
	host := strings.ToLower(u.Hostname())
	name := strings.ToLower(c.Name)
	switch {
	case c.host() != "" && host != c.host() && !strings.HasSuffix(host, "."+c.host()):
		return "its Domain is another one's (RFC 10025 §5.7)"
	case strings.HasPrefix(name, "__secure-") && !c.Secure:
		return "__Secure- wants Secure (RFC 10025 §4.1.3.1)"
	case strings.HasPrefix(name, "__host-") && (!c.Secure || c.Domain != "" || c.Cookie.Path != "/"):
		return "__Host- wants Secure, Path=/ and no Domain (RFC 10025 §4.1.3.2)"
	}
	return ""
}

// pathMatches is RFC 10025 §5.1.4.
func pathMatches(request, cookie string) bool {
	return request == cookie || strings.HasPrefix(request, cookie) &&
		(strings.HasSuffix(cookie, "/") || request[len(cookie)] == '/')
}

// kindOf is the last part of a cookie's name, if it is one of the three, else "".
func kindOf(name string) string {
	for _, kind := range []string{AccessCookie, RefreshCookie, CSRFCookie} {
		if name == kind || strings.HasSuffix(name, "-"+kind) {
			return kind
		}
	}
	return ""
}

// SetCookies are the cookies that an answer sets or clears, as they came.
func SetCookies(a *Answer) []*http.Cookie {
	return (&http.Response{Header: a.ReplyHeader}).Cookies()
}

// Sets is the last cookie of that kind that an answer sets; nil where it sets none.
// One that it clears is none.
func Sets(a *Answer, kind string) *http.Cookie {
	if all := EverySet(a, kind); len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// EverySet are the cookies of that kind that an answer sets, in their order.
func EverySet(a *Answer, kind string) []*http.Cookie {
	return slices.DeleteFunc(SetCookies(a), func(c *http.Cookie) bool {
		cleared := c.MaxAge < 0 || c.Value == "" || c.MaxAge == 0 && !c.Expires.IsZero() && !c.Expires.After(a.At)
		return kindOf(c.Name) != kind || cleared
	})
}

// Touches tells whether an answer sets or clears a cookie of that kind.
func Touches(a *Answer, kind string) bool {
	return slices.ContainsFunc(SetCookies(a), func(c *http.Cookie) bool { return kindOf(c.Name) == kind })
}

func cookiesOf(r probe.Request) []string {
	if header := r.Header.Get("Cookie"); header != "" {
		return strings.Split(header, "; ")
	}
	return nil
}

// CrossSite makes the request one of a page of another site, which knows no CSRF
// token: the browser adds the cookies, and says where the page is from.
func CrossSite(r *probe.Request) { From("https://evil.example")(r) }

// From is CrossSite for a page of that origin.
func From(origin string) Option {
	return func(r *probe.Request) { foreign(r, origin, "cross-site") }
}

// SameSite makes the request one of a page of a host below the server's own, which
// browsers count as the same site.
func SameSite(r *probe.Request) {
	u, _ := url.Parse(r.Header.Get("Origin"))
	foreign(r, "https://evil."+u.Hostname(), "same-site")
}

func foreign(r *probe.Request, origin, site string) {
	r.Header.Del(csrfHeader)
	r.Header.Set("Origin", origin)
	r.Header.Set("Sec-Fetch-Site", site)
}

// CSRF says a CSRF token. An empty one is a header without a value.
func CSRF(token string) Option {
	return func(r *probe.Request) { r.Header.Set(csrfHeader, token) }
}

// WithCookie puts another value into the cookie of that kind, or adds one.
func WithCookie(kind string, value probe.Token) Option {
	return func(r *probe.Request) {
		found := false
		cookies := cookiesOf(*r)
		for i, c := range cookies {
			if name, _, _ := strings.Cut(c, "="); kindOf(name) == kind {
				cookies[i], found = name+"="+value.Raw, true
			}
		}
		if !found {
			cookies = append(cookies, kind+"="+value.Raw)
		}
		r.Header.Set("Cookie", strings.Join(cookies, "; "))
		if kind != CSRFCookie {
			r.Token = value
		}
	}
}

// Again sends a cookie that was kept once, by its name, whether the browser still
// has it or not.
func Again(c Cookie, what string) Option {
	return func(r *probe.Request) {
		WithoutCookie(kindOf(c.Name))(r)
		r.Header.Set("Cookie", strings.Join(append(cookiesOf(*r), c.Name+"="+c.Value), "; "))
		r.Token = probe.Token{Raw: c.Value, What: what}
	}
}

// WithoutCookie leaves the cookie of that kind out.
func WithoutCookie(kind string) Option {
	return func(r *probe.Request) {
		r.Header.Set("Cookie", strings.Join(slices.DeleteFunc(cookiesOf(*r), func(c string) bool {
			name, _, _ := strings.Cut(c, "=")
			return kindOf(name) == kind
		}), "; "))
		if r.Header.Get("Cookie") == "" {
			r.Header.Del("Cookie")
		}
	}
}
