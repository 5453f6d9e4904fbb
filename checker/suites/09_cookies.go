package suites

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// kinds are the cookies of a login; the third only where the server has one.
var (
	tokenKinds = []string{subject.AccessCookie, subject.RefreshCookie}
	kinds      = append(slices.Clone(tokenKinds), subject.CSRFCookie)
)

// loggedIn returns a browser in which somebody has logged in.
func loggedIn(t require.TestingT, s *subject.Session, u subject.User) *subject.Browser {
	b := s.Browser()
	b.LogIn(t, u)
	return b
}

// opensTo wants every door to open to a browser, and to show its user.
func opensTo(t require.TestingT, b *subject.Browser) {
	for _, door := range doors {
		own(t, b.Get(t, door).Is(t, http.StatusOK, "a good access_token cookie does not open "+door), b.User)
	}
}

// shutTo wants every door to refuse a request of the browser's.
func shutTo(t require.TestingT, s *subject.Session, b *subject.Browser, claim string, options ...subject.Option) {
	for _, door := range doors {
		a := s.Do(t, b.Request(http.MethodGet, door, options...)).Refused(t, fmt.Sprintf(claim, door))
		untouched(t, a, "a refusal gives a token", false)
	}
}

// refreshes wants /refresh to put two new tokens into the cookies.
func refreshes(t require.TestingT, b *subject.Browser, options ...subject.Option) {
	before := map[string]string{}
	for _, kind := range tokenKinds {
		if c, there := b.Cookie(kind); there {
			before[kind] = c.Value
		}
	}
	a := b.Post(t, "/refresh", options...).Is(t, http.StatusOK, "a good refresh_token cookie is refused", http.StatusNoContent)
	for _, kind := range tokenKinds {
		got := subject.Sets(a, kind)
		if got == nil {
			cookieFault(t, a, "/refresh sets no new cookie "+kind, "Set-Cookie: "+kind+"=…")
		}
		if got.Value == before[kind] {
			cookieFault(t, a, "/refresh sets the old "+kind+" again", "another one")
		}
	}
}

// noCookieRefresh wants /refresh to refuse what the browser sends.
func noCookieRefresh(t require.TestingT, s *subject.Session, b *subject.Browser, claim string, options ...subject.Option) *subject.Answer {
	a := s.Do(t, b.Request(http.MethodPost, "/refresh", options...)).Is(t, http.StatusUnauthorized, claim, http.StatusForbidden)
	untouched(t, a, "a refusal of /refresh gives a token", false)
	return a
}

// untouched wants an answer that sets no token in a cookie and, if strict, clears
// none either.
func untouched(t require.TestingT, a *subject.Answer, claim string, strict bool) {
	for _, kind := range tokenKinds {
		if subject.Sets(a, kind) != nil || strict && subject.Touches(a, kind) {
			cookieFault(t, a, claim, "no Set-Cookie of "+kind)
		}
	}
}

func cookieFault(t require.TestingT, a *subject.Answer, claim, want string) {
	probe.Fail(t, &probe.Failure{Claim: claim, Sent: a.Exchange, Want: want, Got: fmt.Sprint(a.Status, ", ", a.Headers("Set-Cookie"))})
}

// everySetting calls look with each cookie that is set by a login, a refresh, a
// step-up and a renewal at either door. Those of them that do not work yet set none:
// that is for other steps to say.
func everySetting(t require.TestingT, s *subject.Session, look func(*subject.Answer, string, *http.Cookie)) {
	u := s.Cosmo()
	b := s.Browser()
	answers := []*subject.Answer{
		b.LogIn(t, u), b.Post(t, "/refresh"),
		b.Post(t, "/reauth", subject.JSON(map[string]string{"password": u.Password})),
	}
	s.Advance(t, afterHalf(s.Settings))
	for _, door := range doors {
		answers = append(answers, b.Clone().Get(t, door))
	}
	for _, a := range answers {
		for _, kind := range kinds {
			for _, c := range subject.EverySet(a, kind) {
				look(a, kind, c)
			}
		}
	}
}

// unread wants a token to be nowhere in the answer that sets it but in cookies that no
// script reads. A server that takes bearer tokens, too, has to hand them out somewhere;
// what is in csrf_token is another step's to say.
func unread(t require.TestingT, s *subject.Session, a *subject.Answer, kind, token string) {
	access := subject.Sets(a, subject.AccessCookie)
	bearers := func() bool {
		return access != nil && s.Get(t, "/profile", subject.Bearer(forged(access.Value, ""))).Status == http.StatusOK
	}
	if strings.Contains(string(a.ReplyBody), token) && !bearers() {
		a.Hides(t, "a script can read the token of the cookie "+kind+" in the body", token)
	}
	for name, values := range a.ReplyHeader {
		if name != "Set-Cookie" && strings.Contains(strings.Join(values, ","), token) && !bearers() {
			probe.Fail(t, &probe.Failure{Claim: "a script can read the token of the cookie " + kind + " in the header " + name, Sent: a.Exchange,
				Want: "the token in its cookie alone", Got: a.Headers(name)})
		}
	}
	shown := subject.EverySet(a, subject.CSRFCookie)
	for _, c := range subject.SetCookies(a) {
		csrf := slices.ContainsFunc(shown, func(one *http.Cookie) bool { return one.Name == c.Name })
		if !c.HttpOnly && !csrf && strings.Contains(c.Value, token) {
			cookieFault(t, a, "a script can read the token of the cookie "+kind+" in the cookie "+c.Name, "Set-Cookie: …; HttpOnly")
		}
	}
}

// attempted is the password that an attack tries to set. At a URL it is the one
// that there is: a server that is taken in is not to lose its users.
func attempted(s *subject.Session, u subject.User) string {
	if !s.Controlled() {
		return u.Password
	}
	return newPassword(u)
}

// allTheSame is for another step to say: of a CSRF token that belongs to no session.
func allTheSame(values []string) bool { return len(slices.Compact(slices.Clone(values))) == 1 }

// shortestCSRF is how many characters 64 bits take in base64.
const shortestCSRF = 11

// A write is a request that changes something.
type write struct {
	path string
	body subject.Option
}

// writes are all routes that change something, with what they want of the user.
func writes(s *subject.Session, u subject.User) []write {
	none := func(*probe.Request) {}
	return []write{
		{"/refresh", none},
		{"/reauth", subject.JSON(map[string]string{"password": u.Password})},
		{"/password", passwordChange(u.Password, attempted(s, u))},
		{"/logout", none},
		{"/logout-all", none},
	}
}

// attacked sends each write of another page from the browser, wants all of them
// refused, and the session to be what it was.
func attacked(t require.TestingT, s *subject.Session, b *subject.Browser, claim string, or []int, options ...subject.Option) {
	stepUp(t, b)
	for _, w := range writes(s, b.User) {
		a := s.Do(t, b.Request(http.MethodPost, w.path, append([]subject.Option{w.body}, options...)...)).
			Is(t, http.StatusForbidden, fmt.Sprintf(claim, "POST "+w.path), or...)
		untouched(t, a, "a request of another page is refused and changes the cookies all the same", true)
	}
	unharmed(t, s, b)
}

// A stranger is a page of another origin.
type stranger struct{ origin, site string }

// asks makes the request one of the stranger's.
func (o stranger) asks(r *probe.Request) {
	subject.CrossSite(r)
	r.Header.Set("Origin", o.origin)
	r.Header.Set("Sec-Fetch-Site", o.site)
}

// neighbours are strangers whose origin looks like the server's own to whoever
// compares a part of it; a sandboxed frame says null.
func neighbours(s *subject.Session) []stranger {
	own, _ := url.Parse(s.Origin())
	return []stranger{
		{s.Origin() + ".evil.example", "cross-site"},
		{own.Scheme + "://evil" + own.Host, "cross-site"},
		{own.Scheme + "://evil." + own.Host, "same-site"},
		{own.Scheme + "://" + own.Hostname() + ":1", "same-site"},
		{"null", "cross-site"},
	}
}

// unrenewed wants whatever refuses a request of the browser's not to renew its token.
func unrenewed(t require.TestingT, s *subject.Session, b *subject.Browser) {
	change := passwordChange(b.User.Password, attempted(s, b.User))
	for _, r := range []probe.Request{
		b.Request(http.MethodPost, "/reauth", subject.JSON(map[string]string{"password": "wrong"})),
		b.Request(http.MethodPost, "/reauth", subject.Body("null")),
		b.Request(http.MethodPost, "/password", subject.Body("null")),
		b.Request(http.MethodPost, "/password", change, subject.WithoutCookie(subject.CSRFCookie), subject.CrossSite),
		b.Request(http.MethodPost, "/reauth", change, subject.WithoutCookie(subject.CSRFCookie), subject.CrossSite),
		b.Request(http.MethodPut, "/profile"), b.Request(http.MethodGet, "/no-such-page"),
	} {
		if a := s.Do(t, r); a.Status >= 400 {
			untouched(t, a, "a request that was refused renews its token", false)
		}
	}
}

// loggedInOver logs somebody in where somebody else's old cookies are still there, and
// wants the browser to be theirs: of two cookies of one name the last one counts.
func loggedInOver(t require.TestingT, s *subject.Session, old *subject.Browser) {
	b, u := old.Clone(), s.NewUser(t)
	a := b.LogIn(t, u)
	access, _ := b.Cookie(subject.AccessCookie)
	if whose := s.Decode(t, forged(access.Value, "")).Text("sub"); whose != u.Username {
		cookieFault(t, a, "after the login of "+u.Username+" the browser has the access_token of "+whose+", whose old one came with it", "access_token of "+u.Username+", and no other after it")
	}
	opensTo(t, b)
}

// stepUp makes the browser's access token fresh: what is refused afterwards is not
// refused for its age.
func stepUp(t require.TestingT, b *subject.Browser) {
	b.Post(t, "/reauth", subject.JSON(map[string]string{"password": b.User.Password})).
		Is(t, http.StatusOK, "/reauth with the right password is refused", http.StatusNoContent)
}

// noStepUp wants /reauth to refuse what the browser sends, the right password with
// it. Whose session is over has no CSRF token either.
func noStepUp(t require.TestingT, s *subject.Session, b *subject.Browser, claim string, options ...subject.Option) {
	password := subject.JSON(map[string]string{"password": b.User.Password})
	a := s.Do(t, b.Request(http.MethodPost, "/reauth", append([]subject.Option{password}, options...)...)).
		Is(t, http.StatusUnauthorized, claim, http.StatusForbidden)
	untouched(t, a, "a refusal of /reauth gives a token", false)
}

// unharmed wants a session and a password to be what they were.
func unharmed(t require.TestingT, s *subject.Session, b *subject.Browser) {
	opensTo(t, b)
	refreshes(t, b)
	loggedIn(t, s, b.User)
}

// asShortAsAccess is when a refresh token has no longer to live than an access
// token has, and is none all the same.
func asShortAsAccess(c lessons.Settings) time.Duration {
	return (c.RefreshTTL - c.AccessTTL + time.Second).Truncate(time.Second)
}

// lifeOf is how long a browser keeps a cookie; 0 is until it is closed.
func lifeOf(a *subject.Answer, c *http.Cookie) time.Duration {
	switch {
	case c.MaxAge > 0:
		return time.Duration(c.MaxAge) * time.Second
	case !c.Expires.IsZero():
		return c.Expires.Sub(a.At)
	}
	return 0
}

func cookies() []grade.Step {
	return []grade.Step{
		{
			ID: "login-sets-the-cookies", Task: 1,
			Title: "POST /login answers 200 and sets the cookies access_token and refresh_token",
			Why:   "What a page keeps in localStorage every script on it can read, the one of an advertisement too. A cookie is kept by the browser.",
			Ref:   "RFC 10025 §4.1 (Set-Cookie), OWASP Session Management Cheat Sheet (Cookies)",
			Check: func(t require.TestingT, s *subject.Session) {
				seen := map[string]bool{}
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t), s.Cosmo()} {
					a := s.Browser().LogIn(t, u)
					for _, kind := range tokenKinds {
						c := subject.Sets(a, kind)
						if seen[c.Value] {
							cookieFault(t, a, "/login sets a token that another login has set before", "another "+kind)
						}
						seen[c.Value] = true
					}
				}
			},
		},
		{
			ID: "token-cookies-are-http-only", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "access_token and refresh_token are HttpOnly, whenever they are set, and no token is anywhere else in the answer, or in the log",
			Why:   "A script that somebody has smuggled into the page reads document.cookie and sends it home. Of what is HttpOnly it sees nothing.",
			Ref:   "RFC 10025 §4.1.2.6 (HttpOnly), OWASP ASVS 5.0 §3.3.4 (HttpOnly)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				var tokens []string
				everySetting(t, s, func(a *subject.Answer, kind string, c *http.Cookie) {
					if kind != subject.CSRFCookie && !c.HttpOnly {
						cookieFault(t, a, "a script can read the cookie "+kind, "Set-Cookie: …; HttpOnly")
					}
					if kind != subject.CSRFCookie {
						unread(t, s, a, kind, c.Value)
						tokens = append(tokens, c.Value)
					}
				})
				unlogged(t, s, "the log holds a token", tokens...)
			},
		},
		{
			ID: "cookies-are-secure", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "All cookies are Secure",
			Why:   "One http:// link in an old mail, and the browser sends the cookie through the café's wireless for everybody to read.",
			Ref:   "RFC 10025 §4.1.2.5 (Secure), OWASP ASVS 5.0 §3.3.1 (Secure)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				everySetting(t, s, func(a *subject.Answer, kind string, c *http.Cookie) {
					if !c.Secure {
						cookieFault(t, a, "the cookie "+kind+" may be sent without TLS", "Set-Cookie: …; Secure")
					}
				})
			},
		},
		{
			ID: "cookies-are-same-site", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "All cookies are SameSite=Lax or Strict",
			Why:   "What is not said the browsers decide: Chrome takes Lax, with an exception for the first two minutes, others take None.",
			Ref:   "RFC 10025 §4.1.2.7 (SameSite), OWASP ASVS 5.0 §3.3.2 (SameSite)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				everySetting(t, s, func(a *subject.Answer, kind string, c *http.Cookie) {
					if c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode {
						cookieFault(t, a, "the cookie "+kind+" goes along with requests of other sites", "Set-Cookie: …; SameSite=Lax, or Strict")
					}
				})
			},
		},
		{
			ID: "cookies-stay-on-this-host", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "No cookie has a Domain",
			Why:   "With one it goes to all hosts below as well: to the blog, and to whoever has taken over the shop of three years ago.",
			Ref:   "RFC 10025 §4.1.2.3 (Domain), OWASP Session Management Cheat Sheet (Domain and Path Attributes)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				everySetting(t, s, func(a *subject.Answer, kind string, c *http.Cookie) {
					if c.Domain != "" {
						cookieFault(t, a, "the cookie "+kind+" goes to other hosts, too", "Set-Cookie without Domain")
					}
				})
			},
		},
		{
			ID: "refresh-cookie-goes-to-refresh-only", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "refresh_token has Path=/refresh, the others Path=/",
			Why:   "The long-lived token is needed in one place. Sent everywhere, it is in every log and every crash report.",
			Ref:   "RFC 10025 §4.1.2.4 (Path) and §5.1.4 (path-match)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				everySetting(t, s, func(a *subject.Answer, kind string, c *http.Cookie) {
					switch {
					case kind == subject.RefreshCookie && c.Path != "/refresh":
						cookieFault(t, a, "the cookie refresh_token does not go to /refresh alone", "Set-Cookie: …; Path=/refresh")
					case kind != subject.RefreshCookie && c.Path != "/" && c.Path != "":
						cookieFault(t, a, "the cookie "+kind+" does not go to all routes", "Set-Cookie: …; Path=/")
					}
				})
			},
		},
		{
			ID: "cookies-do-not-outlive-their-tokens", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "A cookie with Max-Age or Expires ends with its token; without either it is as good",
			Why:   "A year of Max-Age around a token of a day leaves a dead token on a computer that is sold in the meantime, and says wrongly when people are logged out.",
			Ref:   "RFC 10025 §4.1.2.1 (Expires) and §4.1.2.2 (Max-Age), OWASP Session Management Cheat Sheet (Expire and Max-Age Attributes)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				everySetting(t, s, func(a *subject.Answer, kind string, c *http.Cookie) {
					life := map[string]time.Duration{
						subject.AccessCookie: s.Settings.AccessTTL, subject.RefreshCookie: s.Settings.RefreshTTL, subject.CSRFCookie: s.Settings.SessionTTL,
					}[kind]
					if token, err := forge.Decode(c.Value); err == nil && kind != subject.CSRFCookie {
						if exp, ok := token.Time("exp"); ok {
							life = exp.Sub(a.At)
						}
					}
					if lifeOf(a, c) > life+leeway {
						cookieFault(t, a, fmt.Sprintf("the cookie %s lives %v, and what is in it %v", kind, lifeOf(a, c), life), fmt.Sprintf("a Max-Age of %.0f at most, or none", life.Seconds()))
					}
				})
			},
		},
		{
			ID: "csrf-cookie-is-readable", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "csrf_token can be read by the page's script, and is no token that opens anything; a server that looks at the origin instead needs none",
			Why:   "The page has to repeat it. What it repeats must not be what HttpOnly has hidden.",
			Ref:   "OWASP CSRF Prevention Cheat Sheet (Employing Custom Request Headers for AJAX/API)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := s.Browser()
				a := b.LogIn(t, s.Cosmo())
				c := subject.Sets(a, subject.CSRFCookie)
				if c == nil {
					a = s.Do(t, b.Request(http.MethodPost, "/logout", subject.CrossSite))
					a.Is(t, http.StatusForbidden, "/login sets no cookie csrf_token, and a page of another site can log out")
					return
				}
				if _, readable := b.CSRFToken(); !readable {
					cookieFault(t, a, "the page's script cannot read csrf_token", "Set-Cookie: csrf_token=…; Path=/, not HttpOnly")
				}
				if len(c.Value) < shortestCSRF {
					cookieFault(t, a, fmt.Sprintf("csrf_token has %d characters and can be guessed", len(c.Value)), fmt.Sprintf("%d characters at least", shortestCSRF))
				}
				for _, kind := range tokenKinds {
					if hidden, _ := b.Cookie(kind); strings.Contains(c.Value, hidden.Value) {
						cookieFault(t, a, "csrf_token shows scripts what is in "+kind, "a value of its own")
					}
				}
				values := []string{c.Value}
				for range 5 {
					if more := subject.Sets(s.Browser().LogIn(t, s.Cosmo()), subject.CSRFCookie); more != nil {
						values = append(values, more.Value)
					}
				}
				if len(values) == 6 && bits(values) < guessable && !allTheSame(values) {
					cookieFault(t, a, "csrf_token can be guessed: those of six logins differ in hardly anything, such as "+values[1]+" and "+values[2], "64 random bits at least, or a signature that nobody else can make")
				}
			},
		},
		{
			ID: "refused-login-sets-no-tokens", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "A login that is refused sets no tokens, and clears none",
			Why:   "Whoever writes the cookies first and checks the password then has checked it for nothing.",
			Ref:   "RFC 6749 §5.1 (tokens come with a successful response)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				for _, b := range []*subject.Browser{loggedIn(t, s, u), s.Browser()} {
					for _, wrong := range []subject.User{{Username: u.Username, Password: "wrong"}, {Username: "nobody-" + u.Username, Password: u.Password}} {
						a := b.Post(t, "/login", wrong.Credentials()).Is(t, http.StatusUnauthorized, "a wrong name or password logs in").
							Has(t, "error", badLogin, "a refused login is not answered as it should be")
						untouched(t, a, "a login that is refused sets or clears a token", true)
					}
					for _, bad := range []subject.Option{subject.Body("null"), subject.Body(`{"username":`), credentials{"username": u.Username}.option(), credentials{"username": u.Username, "password": ""}.option()} {
						a := b.Post(t, "/login", bad).Is(t, http.StatusBadRequest, "a login without a password is not a bad request")
						untouched(t, a, "a login that is refused sets or clears a token", true)
					}
				}
			},
		},
		{
			ID: "cookie-answers-are-not-cacheable", Task: 1, Needs: []string{"login-sets-the-cookies"},
			Title: "An answer that sets a token has Cache-Control: no-store",
			Why:   "A cache keeps the headers of an answer as well as its body, and hands out Set-Cookie to the next who asks.",
			Ref:   "RFC 6749 §5.1 (Cache-Control: no-store), RFC 10025 §3 (overview: caches and Set-Cookie)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				everySetting(t, s, func(a *subject.Answer, kind string, _ *http.Cookie) {
					if kind != subject.CSRFCookie {
						a.NoStore(t, "an answer that sets a token may be cached")
					}
				})
			},
		},
		{
			ID: "cookie-opens-the-doors", Task: 2, Needs: []string{"login-sets-the-cookies"},
			Title: "With the cookie /profile and /dashboard open to its user; without it: 401",
			Why:   "The browser sends the cookie by itself. No script has to hold the token, and none can lose it.",
			Ref:   "RFC 10025 §4.2 (Cookie)",
			Check: func(t require.TestingT, s *subject.Session) {
				first, second := loggedIn(t, s, s.Cosmo()), loggedIn(t, s, s.NewUser(t))
				for _, b := range []*subject.Browser{first, second, first} {
					opensTo(t, b)
				}
				var both []probe.Request // at once
				for i := range 8 {
					both = append(both, first.Request(http.MethodGet, doors[i%2]), second.Request(http.MethodGet, doors[i%2]))
				}
				for i, a := range s.Crowd(t, both) {
					own(t, a, []*subject.Browser{first, second}[i%2].User)
				}
				shutTo(t, s, first, "%s opens without a token", subject.WithoutCookie(subject.AccessCookie))
				shutTo(t, s, s.Browser(), "%s opens to whoever brings no cookie")
			},
		},
		{
			ID: "bad-access-cookie-is-refused", Task: 2, Needs: []string{"cookie-opens-the-doors"},
			Title: "A token in the cookie is checked like any other: forged, foreign, expired or a refresh token, it is refused",
			Why:   "A cookie is what somebody sends. Anyone can write one.",
			Ref:   "RFC 8725 §3.1 (algorithm verification), §3.9 (audience) and §3.11 (explicit typing), RFC 10025 §8.6 (weak integrity)",
			Takes: func(c lessons.Settings) time.Duration { return max(pastAccess(c), asShortAsAccess(c)) },
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				opensTo(t, b)
				access, _ := b.Cookie(subject.AccessCookie)
				refresh, _ := b.Cookie(subject.RefreshCookie)
				raw := access.Value
				honest := s.Decode(t, forged(raw, ""))
				for _, bad := range []probe.Token{
					forged("x", "nonsense"), forged("", "without a character"), forged("e30.e30.", "of nothing"),
					forged(refresh.Value, "the refresh token"),
					forged(forge.TamperSignature(raw), "with a changed signature"),
					forged(forge.ReplacePayload(raw, honest.With("sub", "grace").Claims), "with another sub"),
					forged(honest.Sign("none", nil), "with alg none"),
					forged(honest.Sign(honest.Alg(), nil), "signed with the empty key"),
					forged(honest.Sign(honest.Alg(), []byte("secret")), "signed with another key"),
					forged(honest.With("aud", "https://newsletter.example").Sign(honest.Alg(), s.Secret(t)), "for another audience"),
					forged(honest.With("iss", "https://newsletter.example").Sign(honest.Alg(), s.Secret(t)), "of another issuer"),
					forged(honest.Without("exp").Sign(honest.Alg(), s.Secret(t)), "without exp"),
				} {
					shutTo(t, s, b, "a token "+bad.What+" in the cookie opens %s", subject.WithCookie(subject.AccessCookie, bad))
				}
				for _, door := range doors {
					// An address is in logs, in histories and in Referer (RFC 9700 §4.3.2).
					s.Do(t, s.Browser().Request(http.MethodGet, door+"?access_token="+url.QueryEscape(raw))).Refused(t, "a token in the query opens "+door)
				}
				opensTo(t, b)
				if s.Controlled() {
					u := s.NewUser(t)
					left := loggedIn(t, s, u)
					opensTo(t, left)
					s.DeleteUser(t, u)
					shutTo(t, s, left, "the token of a user who no longer exists opens %s")
				}
				s.Advance(t, asShortAsAccess(s.Settings))
				shutTo(t, s, b, "a refresh token in the cookie opens %s", subject.WithCookie(subject.AccessCookie, forged(refresh.Value, "the refresh token")))
				s.Advance(t, max(0, pastAccess(s.Settings)-s.Advanced()))
				opensTo(t, loggedIn(t, s, s.Cosmo()))
				expired := subject.Again(access, "that has expired")
				shutTo(t, s, b, "an expired token in the cookie opens %s", expired)
				noStepUp(t, s, b, "/reauth takes an expired token", expired)
			},
		},
		{
			ID: "refresh-rotates-the-cookies", Task: 2, Needs: []string{"cookie-opens-the-doors", "csrf-cookie-is-readable"},
			Title: "POST /refresh takes the refresh_token cookie and sets two new ones, time and again",
			Why:   "The rules of lesson 06 hold, whatever the tokens travel in.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t)} {
					b := loggedIn(t, s, u)
					for range 3 {
						refreshes(t, b)
						opensTo(t, b)
					}
					// The browser may have dropped the access token already.
					refreshes(t, b, subject.WithoutCookie(subject.AccessCookie))
					opensTo(t, b)
				}
			},
		},
		{
			ID: "bad-refresh-cookie-is-refused", Task: 2, Needs: []string{"refresh-rotates-the-cookies"},
			Title: "/refresh refuses an access token, a changed refresh token, one that has expired, and none",
			Why:   "An access token that refreshes itself never dies, nor does a refresh token whose end only the browser minds.",
			Ref:   "RFC 8725 §3.11 (explicit typing), RFC 6749 §10.4 (refresh tokens), OWASP ASVS 5.0 §7.3.1 (inactivity timeout)",
			Takes: pastRefresh,
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				access, _ := b.Cookie(subject.AccessCookie)
				refresh, _ := b.Cookie(subject.RefreshCookie)
				all := []probe.Token{
					forged(access.Value, "the access token"), forged("x", "nonsense"), forged("", "without a character"),
					forged(forge.Tamper(refresh.Value), "with one character changed"), forged(forge.TamperSignature(refresh.Value), "with a changed signature"),
				}
				if honest, err := forge.Decode(refresh.Value); err == nil { // it may be opaque
					all = append(all, forged(honest.Sign("none", nil), "with alg none"), forged(honest.Sign(honest.Alg(), nil), "signed with the empty key"))
				}
				for _, bad := range all {
					noCookieRefresh(t, s, b, "/refresh takes a token "+bad.What, subject.WithCookie(subject.RefreshCookie, bad))
				}
				noCookieRefresh(t, s, b, "/refresh works without a refresh token", subject.WithoutCookie(subject.RefreshCookie))
				noCookieRefresh(t, s, s.Browser(), "/refresh gives tokens to whoever brings no cookie")
				const inQuery = "/refresh takes a refresh token in the query"
				a := s.Do(t, b.Request(http.MethodPost, "/refresh?refresh_token="+url.QueryEscape(refresh.Value), subject.WithoutCookie(subject.RefreshCookie))).
					Is(t, http.StatusUnauthorized, inQuery, http.StatusForbidden)
				untouched(t, a, inQuery, false)
				refreshes(t, b)
				if s.Controlled() {
					u := s.NewUser(t)
					left := loggedIn(t, s, u)
					refreshes(t, left)
					s.DeleteUser(t, u)
					noCookieRefresh(t, s, left, "/refresh takes the token of a user who no longer exists")
				}
				last, _ := b.Cookie(subject.RefreshCookie)
				s.Advance(t, pastRefresh(s.Settings))
				noCookieRefresh(t, s, b, "/refresh takes a refresh token that has expired", subject.Again(last, "that has expired"))
				refreshes(t, loggedIn(t, s, s.Cosmo()))
			},
		},
		{
			ID: "user-comes-from-the-refresh-cookie", Task: 2, Needs: []string{"refresh-rotates-the-cookies"},
			Title: "Of two sessions' cookies in one request /refresh goes by refresh_token",
			Why:   "If the name is taken from access_token, somebody's old one, found in a log, and a refresh token of one's own are enough to become them (WebGoat, JWT refresh).",
			Ref:   "RFC 6749 §1.5 (refresh token: it represents the authorization granted)",
			Check: func(t require.TestingT, s *subject.Session) {
				victim := loggedIn(t, s, s.Cosmo())
				u := s.NewUser(t)
				theirs, _ := victim.CSRFToken()
				for _, csrf := range []func(*subject.Browser) string{
					func(b *subject.Browser) string { token, _ := b.CSRFToken(); return token },
					func(*subject.Browser) string { return theirs },
				} {
					b := loggedIn(t, s, u)
					refresh, _ := b.Cookie(subject.RefreshCookie)
					a := s.Do(t, victim.Request(http.MethodPost, "/refresh", subject.WithCookie(subject.RefreshCookie, forged(refresh.Value, "the refresh_token cookie of "+u.Username)), subject.CSRF(csrf(b)))).
						Is(t, http.StatusUnauthorized, "/refresh with the cookies of two people is neither done nor refused", http.StatusForbidden, http.StatusOK, http.StatusNoContent)
					if c := subject.Sets(a, subject.AccessCookie); c != nil {
						if got := s.Decode(t, forged(c.Value, "")).Text("sub"); got != u.Username {
							cookieFault(t, a, "/refresh gives a token of "+got+" for the refresh token of "+u.Username, "a refusal, or an access_token of "+u.Username)
						}
					}
				}
				unharmed(t, s, victim)
			},
		},
		{
			ID: "replayed-refresh-cookie-ends-the-session", Task: 2, Needs: []string{"refresh-rotates-the-cookies"},
			Title: "A refresh_token cookie that is used twice ends its session, and no other",
			Why:   "A copied cookie file is used when its owner has gone on already. Then both are put out.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: revoke the active refresh token)",
			Check: func(t require.TestingT, s *subject.Session) {
				b, other := loggedIn(t, s, s.Cosmo()), loggedIn(t, s, s.Cosmo())
				old, _ := b.Cookie(subject.RefreshCookie)
				refreshes(t, b)
				refreshes(t, b)
				noCookieRefresh(t, s, b, "a refresh_token cookie works twice", subject.WithCookie(subject.RefreshCookie, forged(old.Value, "that was used before")))
				noCookieRefresh(t, s, b, "a session goes on after one of its refresh tokens was used twice")
				unharmed(t, s, other)
			},
		},
		{
			ID: "lost-refresh-leaves-the-cookies", Task: 2, Needs: []string{"refresh-rotates-the-cookies"},
			Title: "A refresh that is refused does not touch the cookies",
			Why:   "Two tabs wake up and refresh at once. One loses, and if its answer clears the cookies and comes last, the winner's new ones are gone.",
			Ref:   "RFC 10025 §5.7 (storage model: a cookie of the same name, domain and path is replaced)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				var tabs []probe.Request
				for range 6 {
					tabs = append(tabs, b.Request(http.MethodPost, "/refresh"))
				}
				won := 0
				for _, a := range s.Together(t, tabs) {
					if a.Status == http.StatusOK || a.Status == http.StatusNoContent {
						won++
						continue
					}
					a.Is(t, http.StatusUnauthorized, "a refresh token that is used twice at once is not refused as such", http.StatusForbidden)
					untouched(t, a, "a refresh that was refused sets or clears a cookie", true)
				}
				if won > 1 {
					s.Fail(t, "one refresh_token cookie worked several times at once", "one success at most", fmt.Sprint(won))
				}
				b = loggedIn(t, s, s.Cosmo())
				late := b.Request(http.MethodPost, "/refresh")
				refreshes(t, b)
				untouched(t, s.Do(t, late).Is(t, http.StatusUnauthorized, "a refresh_token cookie works twice", http.StatusForbidden),
					"a refresh that was refused sets or clears a cookie", true)
			},
		},
		{
			ID: "password-wants-a-fresh-cookie", Task: 2, Needs: []string{"refresh-rotates-the-cookies"},
			Title: "/password wants a fresh token in the cookie; POST /reauth with the password sets one",
			Why:   "The rules of lesson 07 hold as well: a refreshed cookie is not fresh.",
			Ref:   "RFC 9470 §3 (authentication requirements challenge), OWASP ASVS 5.0 §7.5.1 (full re-authentication)",
			Set:   func(c *lessons.Settings) { soonStale(c); apart(c) },
			Takes: func(c lessons.Settings) time.Duration { return betweenLives(c) + pastFreshness(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				// Their access tokens expire: they would begin with a refresh.
				away, theirs := loggedIn(t, s, u), loggedIn(t, s, s.Cosmo())
				_, had := theirs.Cookie(subject.CSRFCookie)
				s.Advance(t, betweenLives(s.Settings))
				b, other, settled := loggedIn(t, s, u), loggedIn(t, s, u), loggedIn(t, s, u)
				change := passwordChange(u.Password, newPassword(u))
				refreshes(t, settled)
				refreshes(t, b)
				b.Post(t, "/password", change).RefusedSaying(t, "Fresh token required", "a refreshed cookie changes the password")
				stale, _ := b.Cookie(subject.AccessCookie)
				a := b.Post(t, "/reauth", subject.JSON(map[string]string{"password": "wrong"}))
				refusedPassword(t, a, "/reauth succeeds without the password")
				untouched(t, a, "a refusal of /reauth sets or clears a token", true)
				neighbour := s.NewUser(t)
				a = b.Post(t, "/reauth", neighbour.Credentials())
				refusedPassword(t, a, "/reauth takes the name and password of another person")
				untouched(t, a, "a refusal of /reauth sets or clears a token", true)
				loggedIn(t, s, u)

				a = b.Post(t, "/reauth", subject.JSON(map[string]string{"password": u.Password})).
					Is(t, http.StatusOK, "/reauth with the right password is refused", http.StatusNoContent)
				if subject.Sets(a, subject.AccessCookie) == nil {
					cookieFault(t, a, "/reauth sets no cookie access_token", "Set-Cookie: access_token=…")
				}
				b.Post(t, "/password", change, subject.Again(stale, "that was sent to /reauth")).
					RefusedSaying(t, "Fresh token required", "the cookie that was sent to /reauth is fresh itself afterwards")
				refreshes(t, b)
				b.Post(t, "/password", change).RefusedSaying(t, "Fresh token required", "a cookie that was refreshed after a /reauth is fresh")
				stepUp(t, b)
				s.Advance(t, pastFreshness(s.Settings))
				b.Post(t, "/password", change).RefusedSaying(t, "Fresh token required", "a cookie of a /reauth of long ago changes the password")
				stepUp(t, b)
				refusedPassword(t, b.Post(t, "/password", passwordChange("wrong", newPassword(u))), "a fresh cookie changes the password without the current one")
				loggedIn(t, s, u)
				stepUp(t, b)
				b.Post(t, "/password", change).Is(t, http.StatusOK, "a change of the password by a fresh cookie is refused", http.StatusNoContent)
				s.Browser().Post(t, "/login", u.Credentials()).Is(t, http.StatusUnauthorized, "the old password still opens the account")
				for _, thief := range []*subject.Browser{other, settled} {
					shutTo(t, s, thief, "another session opens %s after the password was changed")
					noCookieRefresh(t, s, thief, "another session is refreshed after the password was changed")
				}
				noCookieRefresh(t, s, away, "another session, whose access token had expired, is refreshed after the password was changed")
				if _, has := theirs.Cookie(subject.CSRFCookie); has == had { // or another step tells of its loss
					refreshes(t, theirs)
				}
				b.User.Password = newPassword(u)
				unharmed(t, s, b)
			},
		},
		{
			ID: "cookie-is-renewed-after-half-life", Task: 2, Needs: []string{"cookie-opens-the-doors", "csrf-cookie-is-readable"},
			Title: "Past half of the token's life an answer sets a new access_token, before that none",
			Why:   "The browser takes the new one by itself: what lesson 08 needed a header and a client for.",
			Ref:   "RFC 10025 §5.7 (storage model: a cookie of the same name, domain and path is replaced), OWASP ASVS 5.0 §7.3.1 (inactivity timeout)",
			Set:   longLives,
			Takes: func(c lessons.Settings) time.Duration { return 3*afterHalf(c) + beforeHalf(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				young := func() {
					for _, door := range doors {
						untouched(t, b.Get(t, door).Is(t, http.StatusOK, "a good access_token cookie does not open "+door), "a token is renewed before half of its life is over", true)
					}
				}
				_, csrf := b.Cookie(subject.CSRFCookie)
				young()
				s.Advance(t, beforeHalf(s.Settings))
				young()
				s.Advance(t, afterHalf(s.Settings)-beforeHalf(s.Settings))
				for i := range 3 {
					if s.Advanced() > s.Settings.FreshFor {
						a := b.Post(t, "/password", passwordChange(b.User.Password, attempted(s, b.User))).RefusedSaying(t, "Fresh token required", "a login of long ago changes the password")
						untouched(t, a, "a request that was refused renews its token", true)
					}
					if i == 0 {
						unrenewed(t, s, b)
						loggedInOver(t, s, b)
					}
					if _, had := b.Cookie(subject.CSRFCookie); csrf && !had {
						s.Fail(t, fmt.Sprintf("the browser has lost csrf_token %v after the login, and the session goes on", s.Advanced()), "csrf_token as long as the session, or set once more", "no csrf_token")
					}
					old, _ := b.Cookie(subject.AccessCookie)
					a := b.Get(t, doors[i%2]).Is(t, http.StatusOK, "a good access_token cookie does not open "+doors[i%2])
					c := subject.Sets(a, subject.AccessCookie)
					if c == nil || c.Value == old.Value {
						cookieFault(t, a, "a token that is past half of its life is not renewed", "Set-Cookie: access_token=…")
					}
					wantLife(t, s, s.Decode(t, forged(c.Value, "")), s.Settings.AccessTTL, "the renewed token does not live AccessTTL from now")
					young()
					b.Post(t, "/password", passwordChange(b.User.Password, attempted(s, b.User))).RefusedSaying(t, "Fresh token required", "a renewed token changes the password")
					if i < 2 {
						s.Advance(t, afterHalf(s.Settings))
					}
				}
				s.Advance(t, beforeHalf(s.Settings))
				young()
			},
		},
		{
			ID: "cookie-session-ends-at-its-cap", Task: 2, Needs: []string{"cookie-is-renewed-after-half-life", "refresh-rotates-the-cookies"},
			Title: "An active session lasts until SessionTTL and not longer",
			Why:   "A cookie that is renewed for ever is a password that nobody has chosen.",
			Ref:   "OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime)",
			Set:   shortWeek,
			Takes: pastCap,
			Check: func(t require.TestingT, s *subject.Session) {
				// One is renewed, one refreshes, one gives the password again.
				reader, worker, owner := loggedIn(t, s, s.Cosmo()), loggedIn(t, s, s.Cosmo()), loggedIn(t, s, s.Cosmo())
				again := credentials{"password": owner.User.Password}.option()
				last := map[*subject.Browser]subject.Cookie{}
				for {
					s.Advance(t, min(useEvery(s.Settings), pastCap(s.Settings)-s.Advanced()))
					if s.Advanced() >= pastCap(s.Settings) {
						break
					}
					// Near its end a session need not be renewed any more.
					ending := s.Advanced() > s.Settings.SessionTTL-s.Settings.AccessTTL
					for _, b := range []*subject.Browser{reader, worker, owner} {
						if b == owner && ending {
							owner.Post(t, "/reauth", again)
						} else if b == owner {
							stepUp(t, owner)
						}
						a := b.Get(t, "/profile")
						if !ending {
							a.Is(t, http.StatusOK, fmt.Sprintf("a session that is used every %v is refused %v after its login", useEvery(s.Settings), s.Advanced()))
						}
						if c, ok := b.Cookie(subject.AccessCookie); ok {
							last[b] = c
						}
					}
					if ending {
						worker.Post(t, "/refresh")
					} else {
						refreshes(t, worker)
					}
				}
				for b, c := range last {
					after := fmt.Sprintf("%v after its login, although it is to end after %v", s.Advanced(), s.Settings.SessionTTL)
					shutTo(t, s, b, "a session opens %s "+after)
					shutTo(t, s, b, "a session opens %s "+after, subject.Again(c, "of the last renewal"))
					noCookieRefresh(t, s, b, "a session is refreshed "+after)
					noStepUp(t, s, b, "/reauth takes a cookie of a session "+after, subject.Again(c, "of the last renewal"))
				}
				opensTo(t, loggedIn(t, s, s.Cosmo()))
			},
		},
		{
			ID: "own-page-may-write", Task: 3, Needs: []string{"password-wants-a-fresh-cookie"},
			Title: "What a page of this server asks for, with the token of the csrf_token cookie in X-CSRF-Token, is done",
			Why:   "A lock for which nobody has the key keeps the owner out, too.",
			Ref:   "OWASP CSRF Prevention Cheat Sheet (Synchronizer Token Pattern)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, refreshed := range []bool{false, true} {
					u := somebody(t, s)
					for _, w := range writes(s, u) {
						b := loggedIn(t, s, u)
						if refreshed {
							refreshes(t, b)
							if w.path == "/password" {
								b.Post(t, "/reauth", subject.JSON(map[string]string{"password": u.Password}))
							}
						}
						b.Post(t, w.path, w.body).Is(t, http.StatusOK, "POST "+w.path+" of the server's own page is refused", http.StatusNoContent, http.StatusSeeOther)
						if w.path == "/password" {
							u.Password = newPassword(u)
						}
					}
				}
			},
		},
		{
			ID: "csrf-token-is-wanted", Task: 3, Needs: []string{"own-page-may-write"},
			Title: "Without X-CSRF-Token, or with an empty one, whatever changes something is answered 403",
			Why:   "The browser adds the cookies to what any page sends. A form on another page logs people out, or changes what they have.",
			Ref:   "RFC 6750 §5.3 (summary of recommendations: tokens in cookies and CSRF), OWASP CSRF Prevention Cheat Sheet (Token-Based Mitigation)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				without := subject.WithoutCookie(subject.CSRFCookie)
				attacked(t, s, b, "%s works for a page of another site, without a CSRF token", nil, without, subject.CrossSite)
				attacked(t, s, b, "%s works for a page of another site, with an empty CSRF token", nil, without, subject.CrossSite, subject.CSRF(""))
				attacked(t, s, b, "%s works for a page of a host below this one, without a CSRF token", nil, without, subject.SameSite)
				// A form can send what is JSON, and calls it text/plain.
				visitor := s.Browser()
				a := s.Do(t, visitor.Request(http.MethodPost, "/login", s.Cosmo().Credentials(), subject.CrossSite, func(r *probe.Request) { r.Header.Set("Content-Type", "text/plain") }))
				if a.Status < 400 || a.Status >= 500 {
					cookieFault(t, a, "a form of another site logs whoever sees it in as somebody else: /login takes text/plain for JSON", "4xx, 415 for one, and no Set-Cookie")
				}
				untouched(t, a, "a login that is refused sets or clears a token", true)
				visitor.LogIn(t, s.Cosmo())
				stepUp(t, b)
				for _, w := range writes(s, b.User) {
					for method, path := range map[string]string{http.MethodPost: w.path + "/", http.MethodPut: w.path, http.MethodPatch: w.path, http.MethodDelete: w.path} {
						a := s.Do(t, b.Request(method, path, w.body, without, subject.CrossSite))
						untouched(t, a, method+" "+path+" works for a page of another site, without a CSRF token", true)
					}
				}
				unharmed(t, s, b)
				for _, stranger := range neighbours(s) {
					attacked(t, s, b, "%s works for a page with the Origin "+stranger.origin+", without a CSRF token", nil, without, stranger.asks)
				}
			},
		},
		{
			ID: "expired-cookie-wants-a-csrf-token", Task: 3, Needs: []string{"csrf-token-is-wanted"},
			Title: "The CSRF token is wanted, too, where access_token has expired or is not sent",
			Why:   "A check that asks the access token whose session it is, and lets pass where there is none, is off for everybody who comes back after a night.",
			Ref:   "CWE-352 (cross-site request forgery), OWASP CSRF Prevention Cheat Sheet (Token-Based Mitigation)",
			Set:   apart,
			Takes: betweenLives,
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				old, _ := b.Cookie(subject.AccessCookie)
				expired := subject.Again(old, "that has expired")
				s.Advance(t, betweenLives(s.Settings))
				for how, cookie := range map[string]subject.Option{"an expired access_token": expired, "no access_token": subject.WithoutCookie(subject.AccessCookie)} {
					for _, path := range []string{"/refresh", "/logout", "/logout-all"} {
						a := s.Do(t, b.Request(http.MethodPost, path, cookie, subject.WithoutCookie(subject.CSRFCookie), subject.CrossSite)).
							Is(t, http.StatusForbidden, "POST "+path+" works for a page of another site, with "+how, http.StatusUnauthorized)
						untouched(t, a, "a request of another page is refused and changes the cookies all the same", a.Status == http.StatusForbidden)
					}
				}
				refreshes(t, b)
				unharmed(t, s, b)
			},
		},
		{
			ID: "csrf-cookie-alone-is-not-enough", Task: 3, Needs: []string{"csrf-token-is-wanted"},
			Title: "The csrf_token cookie alone, without the header, counts for nothing",
			Why:   "The browser adds that cookie like the others. It proves what they prove.",
			Ref:   "OWASP CSRF Prevention Cheat Sheet (Naive Double-Submit Cookie Pattern: cookie validation is insecure)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				attacked(t, s, b, "%s takes the CSRF token from the cookie", nil, subject.CrossSite)
				attacked(t, s, b, "%s takes the CSRF token from the cookie, beside an empty header", nil, subject.CrossSite, subject.CSRF(""))
			},
		},
		{
			ID: "planted-csrf-token-is-refused", Task: 3, Needs: []string{"csrf-token-is-wanted"},
			Title: "A value that somebody has planted in the cookie and repeats in the header is answered 403",
			Why:   "A host below this one can set cookies for it. If cookie and header need only agree, the attacker brings both.",
			Ref:   "OWASP CSRF Prevention Cheat Sheet (Naive Double-Submit Cookie Pattern: discouraged), RFC 10025 §8.6 (weak integrity)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				for _, value := range []string{"planted", rand.Text(), strings.Repeat("0", 64)} {
					planted := subject.WithCookie(subject.CSRFCookie, forged(value, ""))
					attacked(t, s, b, "%s takes a CSRF token that a neighbour has planted in cookie and header", nil, planted, subject.SameSite, subject.CSRF(value))
				}
				attacked(t, s, b, "%s takes a CSRF token that is wrong", nil, subject.SameSite, subject.CSRF("wrong"))
				if right, ok := b.CSRFToken(); ok {
					for what, part := range map[string]string{"the first character": right[:1], "the last character": right[len(right)-1:], "the first half": right[:len(right)/2]} {
						attacked(t, s, b, "%s takes "+what+" of the CSRF token for all of it", nil, subject.SameSite, subject.CSRF(part))
					}
				}
			},
		},
		{
			ID: "csrf-token-of-another-session-is-refused", Task: 3, Needs: []string{"csrf-token-is-wanted"},
			Title: "The CSRF token of another session is answered 403, in the header alone or planted in the cookie as well",
			Why:   "An attacker has an account, too, and with it a CSRF token that the server itself has issued.",
			Ref:   "OWASP CSRF Prevention Cheat Sheet (Signed Double-Submit Cookie: tied to the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				for _, other := range []*subject.Browser{loggedIn(t, s, s.NewUser(t)), loggedIn(t, s, s.Cosmo())} {
					value, ok := other.CSRFToken()
					if !ok {
						value = "none" // where the origin decides
					}
					attacked(t, s, b, "%s takes the CSRF token of another session", nil, subject.SameSite, subject.CSRF(value))
					planted := subject.WithCookie(subject.CSRFCookie, forged(value, ""))
					attacked(t, s, b, "%s takes the CSRF token of another session that a neighbour has planted in the cookie", nil, planted, subject.SameSite, subject.CSRF(value))
					// Both cookies that go everywhere can be planted. What /refresh refreshes is
					// the session of refresh_token, so it is the CSRF token of that one.
					access, _ := other.Cookie(subject.AccessCookie)
					a := s.Do(t, b.Request(http.MethodPost, "/refresh", subject.Again(access, "of another session"), planted, subject.SameSite, subject.CSRF(value))).
						Is(t, http.StatusForbidden, "/refresh takes the CSRF token of the session of access_token, and refreshes that of refresh_token", http.StatusUnauthorized)
					untouched(t, a, "a refusal of /refresh gives a token", false)
					unharmed(t, s, b)
				}
			},
		},
		{
			ID: "csrf-token-changes-at-login", Task: 3, Needs: []string{"csrf-token-is-wanted"},
			Title: "A new login has a new CSRF token, and the old one is answered 403",
			Why:   "A value that was there before the login may be one that somebody has put there, and one that stays for ever is found in the end.",
			Ref:   "OWASP CSRF Prevention Cheat Sheet (Synchronizer Token Pattern: unique per session), OWASP ASVS 5.0 §7.2.4 (a new session token at each authentication)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				old, had := b.CSRFToken()
				a := b.LogIn(t, s.Cosmo())
				if now, _ := b.CSRFToken(); had && now == old {
					cookieFault(t, a, "a new login leaves the CSRF token as it was", "Set-Cookie: csrf_token= another one")
				}
				if !had {
					old = "none" // where the origin decides
				}
				attacked(t, s, b, "%s takes the CSRF token of the last login", nil, subject.SameSite, subject.CSRF(old))
				planted := subject.WithCookie(subject.CSRFCookie, forged(old, ""))
				attacked(t, s, b, "%s takes the CSRF token of the last login that a neighbour has planted in the cookie", nil, planted, subject.SameSite, subject.CSRF(old))
			},
		},
		{
			ID: "gets-change-nothing", Task: 3, Needs: []string{"own-page-may-write"},
			Title: "GET and HEAD change nothing, at any of these routes",
			Why:   "SameSite=Lax sends the cookies with a link, and an image needs no CSRF token. <img src=\"/logout\"> logs out whoever reads the forum.",
			Ref:   "RFC 9110 §9.2.1 (safe methods), OWASP ASVS 5.0 §3.5.3 (no safe methods for sensitive functionality)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				stepUp(t, b)
				u := b.User
				for _, w := range writes(s, u) {
					for _, method := range []string{http.MethodGet, http.MethodHead} {
						path := w.path + "?" + url.Values{"password": {u.Password}, "current": {u.Password}, "new": {attempted(s, u)}, "_method": {http.MethodPost}}.Encode()
						token, _ := b.CSRFToken()
						for _, how := range []subject.Option{subject.CrossSite, subject.CSRF(token)} {
							a := s.Do(t, b.Request(method, path, w.body, how, subject.Header("X-HTTP-Method-Override", http.MethodPost)))
							untouched(t, a, method+" "+w.path+" sets or clears a token", true)
						}
					}
				}
				unharmed(t, s, b)
			},
		},
		{
			ID: "authorization-header-is-no-csrf-token", Task: 3, Needs: []string{"csrf-token-is-wanted"},
			Title: "An Authorization header with nothing good in it does not stand for the CSRF token",
			Why:   "A server that takes bearer tokens, too, asks those for no CSRF token. If any header will do and the cookie still says who it is, nobody needs one.",
			Ref:   "OWASP CSRF Prevention Cheat Sheet (Token-Based Mitigation), CWE-352 (cross-site request forgery)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				for _, header := range []string{"Bearer x", "Bearer", "Basic eDp4", "x"} {
					attacked(t, s, b, "%s works for a page of another site, with an Authorization header that is none", []int{http.StatusUnauthorized, http.StatusBadRequest},
						subject.CrossSite, subject.Header("Authorization", header))
				}
			},
		},
		{
			ID: "other-origins-may-not-read", Task: 3, Needs: []string{"cookie-opens-the-doors"},
			Title: "No answer lets a page of another origin read with cookies",
			Why:   "Access-Control-Allow-Origin that repeats whatever Origin says, with Allow-Credentials, opens every session to every page.",
			Ref:   "Fetch Standard, CORS protocol and credentials; OWASP HTML5 Security Cheat Sheet (Cross Origin Resource Sharing)",
			Check: func(t require.TestingT, s *subject.Session) {
				b := loggedIn(t, s, s.Cosmo())
				opensTo(t, b)
				origins := []string{"https://evil.example", "https://evil.localhost", "http://localhost.evil.example"}
				for _, o := range neighbours(s) {
					origins = append(origins, o.origin)
				}
				// What is at these on a developer's machine is at nobody knows what on a user's.
				for _, left := range []string{"http://localhost:3000", "http://127.0.0.1:3000", "http://localhost:5173"} {
					if left != s.Origin() {
						origins = append(origins, left)
					}
				}
				for _, origin := range origins {
					from := func(r *probe.Request) {
						r.Header.Set("Origin", origin)
						r.Header.Set("Sec-Fetch-Site", "cross-site")
					}
					preflight := func(path string) probe.Request {
						return subject.Request(http.MethodOptions, path, from, subject.Header("Access-Control-Request-Method", "POST"), subject.Header("Access-Control-Request-Headers", "content-type,x-csrf-token"))
					}
					requests := []probe.Request{
						b.Request(http.MethodGet, "/profile", from), b.Request(http.MethodGet, "/dashboard", from),
						b.Request(http.MethodPost, "/refresh", subject.CrossSite, from), preflight("/password"),
					}
					if origin == origins[0] { // the others do not ask everywhere
						requests = append(requests, b.Request(http.MethodPost, "/login", subject.CrossSite, from, subject.Body("null")), preflight("/login"))
						for _, w := range writes(s, b.User) {
							requests = append(requests, b.Request(http.MethodPost, w.path, w.body, subject.CrossSite, from), preflight(w.path))
						}
					}
					for _, r := range requests {
						a := s.Do(t, r)
						if strings.EqualFold(a.ReplyHeader.Get("Access-Control-Allow-Credentials"), "true") && strings.EqualFold(a.ReplyHeader.Get("Access-Control-Allow-Origin"), origin) {
							probe.Fail(t, &probe.Failure{Claim: "a page of " + origin + " may read answers with the cookies of whoever visits it", Sent: a.Exchange,
								Want: "no Access-Control-Allow-Origin for it", Got: a.Headers("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials")})
						}
					}
				}
			},
		},
		{
			ID: "logout-ends-the-cookies-session", Task: 4, Needs: []string{"own-page-may-write", "refresh-rotates-the-cookies"},
			Title: "After POST /logout copies of the cookies are refused; /logout-all ends all sessions of the user",
			Why:   "A server that only clears the cookies has told the browser. Whoever copied them is still in.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				for _, path := range []string{"/logout", "/logout-all"} {
					b, phone, other := loggedIn(t, s, u), loggedIn(t, s, u), loggedIn(t, s, s.NewUser(t))
					opensTo(t, b)
					copied := b.Clone()
					b.Post(t, path).Is(t, http.StatusNoContent, "POST "+path+" of the server's own page is refused", http.StatusOK, http.StatusSeeOther)
					shutTo(t, s, copied, "a copied cookie opens %s after "+path)
					noCookieRefresh(t, s, copied, "/refresh takes a copied cookie after "+path)
					noStepUp(t, s, copied, "/reauth takes a copied cookie after "+path)
					s.Do(t, copied.Request(http.MethodPost, "/password", passwordChange(u.Password, attempted(s, u)))).
						Is(t, http.StatusUnauthorized, "/password takes a copied cookie after "+path, http.StatusForbidden)
					if path == "/logout" {
						unharmed(t, s, phone)
					} else {
						shutTo(t, s, phone, "another session of the user opens %s after /logout-all")
						noCookieRefresh(t, s, phone, "another session of the user is refreshed after /logout-all")
					}
					unharmed(t, s, other)
				}
			},
		},
		{
			ID: "logout-clears-the-cookies", Task: 4, Needs: []string{"own-page-may-write"},
			Title: "/logout and /logout-all clear every cookie that the login has set, so that a browser loses it",
			Why:   "A cookie is cleared by setting it once more: with the same name, path and domain. With another path the browser keeps the old one, and says nothing.",
			Ref:   "RFC 10025 §3.1 (examples: removing a cookie) and §5.7 (storage model), OWASP ASVS 5.0 §14.3.1 (client storage is cleared)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, path := range []string{"/logout", "/logout-all"} {
					b := loggedIn(t, s, s.Cosmo())
					refreshes(t, b)
					a := b.Post(t, path).Is(t, http.StatusNoContent, "POST "+path+" of the server's own page is refused", http.StatusOK, http.StatusSeeOther)
					for _, kind := range kinds {
						if c, there := b.Cookie(kind); there {
							cookieFault(t, a, fmt.Sprintf("after %s the browser still has the cookie %s, for %s", path, c.Name, c.Path()), "Set-Cookie with the same name and path, and Max-Age=0 or an Expires in the past")
						}
					}
					opensTo(t, loggedIn(t, s, s.Cosmo()))
				}
			},
		},
		{
			ID: "logout-is-not-undone-by-renewal", Task: 4, Needs: []string{"logout-clears-the-cookies", "cookie-is-renewed-after-half-life"},
			Title: "A logout past half of the token's life sets no new access_token",
			Why:   "If the renewal runs after the logout, its cookie is the last one in the answer, and the browser is logged in again (flask-jwt-extended's issue 454).",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				browsers := []*subject.Browser{loggedIn(t, s, s.Cosmo()), loggedIn(t, s, s.NewUser(t))}
				control := loggedIn(t, s, s.Cosmo())
				s.Advance(t, afterHalf(s.Settings))
				if a := control.Get(t, "/profile"); subject.Sets(a, subject.AccessCookie) == nil {
					cookieFault(t, a, "a token that is past half of its life is not renewed", "Set-Cookie: access_token=…")
				}
				for i, path := range []string{"/logout", "/logout-all"} {
					b := browsers[i]
					copied := b.Clone()
					a := b.Post(t, path).Is(t, http.StatusNoContent, "POST "+path+" of the server's own page is refused", http.StatusOK, http.StatusSeeOther)
					for _, c := range subject.SetCookies(a) {
						if strings.HasSuffix(c.Name, subject.AccessCookie) && c.MaxAge >= 0 && len(strings.Split(c.Value, ".")) == 3 {
							cookieFault(t, a, "the answer of "+path+" sets a new access token", "access_token cleared, and nothing else of it")
						}
					}
					if _, there := b.Cookie(subject.AccessCookie); there {
						cookieFault(t, a, "after "+path+" the browser still has an access token", "access_token cleared")
					}
					shutTo(t, s, copied, "a copied cookie opens %s after "+path)
				}
			},
		},
	}
}
