package suites

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// leeway is how late a server may still take an expired token: a minute, for
// clocks that do not agree.
const leeway = time.Minute

func constant(d time.Duration) func(lessons.Settings) time.Duration {
	return func(lessons.Settings) time.Duration { return d }
}

// pastAccess is when an access token is refused by every right server.
func pastAccess(c lessons.Settings) time.Duration { return c.AccessTTL + leeway + time.Second }

// beforeAccess is shortly before an access token expires. Dates are in whole
// seconds, so the last two are in doubt.
func beforeAccess(c lessons.Settings) time.Duration { return max(0, c.AccessTTL-2*time.Second) }

// expired wants a door to refuse a token as one that has expired.
func expired(t require.TestingT, s *subject.Session, token probe.Token, door string) *subject.Answer {
	a, claim := s.Get(t, door, subject.Bearer(token)), "an expired token opens "+door
	if a.Status == http.StatusUnauthorized && keyIsGone(t, s, token) {
		return a.Refused(t, claim) // who has no key any more cannot tell it from a forged one
	}
	return a.RefusedSaying(t, "Token has expired", claim)
}

// expiring logs cosmo in, shows that the doors open, and wants the token to say
// when it expires.
func expiring(t require.TestingT, s *subject.Session) (subject.Tokens, forge.Token, time.Time) {
	got, honest := admitted(t, s)
	at, ok := honest.Time("exp")
	if !ok {
		s.Fail(t, "the access token does not say when it expires", `"exp": a NumericDate, in seconds`, `"exp":`+show(honest.Claims["exp"]))
	}
	return got, honest, at
}

// wantLife wants exp to lie ttl after iat.
func wantLife(t require.TestingT, s *subject.Session, token forge.Token, ttl time.Duration, claim string) {
	exp, ok := token.Time("exp")
	if want := s.Now().Add(ttl); !ok || !within(exp, want, slack(s)) {
		s.Fail(t, claim, fmt.Sprintf(`"exp":%d, %v from now (each run has lifetimes of its own)`, want.Unix(), ttl), `"exp":`+show(token.Claims["exp"]))
	}
	if iat, ok := token.Time("iat"); ok && !within(exp.Add(-ttl), iat, time.Second) {
		s.Fail(t, claim, fmt.Sprintf("exp = iat + %v", ttl), fmt.Sprintf("exp = iat + %v", exp.Sub(iat)))
	}
}

// wantExpiresIn wants the expires_in of an answer, if it has one, to be the life of
// its access token.
func wantExpiresIn(t require.TestingT, s *subject.Session, a *subject.Answer) {
	in := a.Field("expires_in")
	if in == nil {
		return
	}
	var seconds float64
	if _, err := fmt.Sscan(fmt.Sprint(in), &seconds); err != nil || !within(time.Unix(0, int64(seconds*1e9)), time.Unix(0, int64(s.Settings.AccessTTL)), time.Second) {
		s.Fail(t, "expires_in contradicts exp", fmt.Sprintf(`"expires_in":%d`, int(s.Settings.AccessTTL.Seconds())), `"expires_in":`+show(in))
	}
}

// A longLife is a request's wish for a token of a year.
type longLife struct {
	query   string
	body    map[string]any
	headers subject.Option
}

// yearsWanted wishes in the names that clients use, once in numbers and once in words: a
// server that reads one of them may have no use for the other.
func yearsWanted(s *subject.Session) []longLife {
	const seconds, hours = 31536000, "8760h"
	year := s.Now().AddDate(1, 0, 0).Unix()
	names := []string{"ttl", "expires_in", "expiresIn", "lifetime", "max_age", "maxAge", "duration", "access_ttl", "token_ttl", "validity"}
	var wishes []longLife
	for _, as := range []any{seconds, hours} {
		query := url.Values{"exp": {fmt.Sprint(year)}, "remember": {"true"}, "remember_me": {"true"}}
		body := map[string]any{"exp": year, "expires": year, "remember": true, "remember_me": true, "rememberMe": true, "keep": true, "keep_me_logged_in": true}
		for _, name := range names {
			query.Set(name, fmt.Sprint(as))
			body[name] = as
		}
		wishes = append(wishes, longLife{query.Encode(), body, func(r *probe.Request) {
			for _, name := range []string{"X-TTL", "X-Lifetime", "X-Expires-In"} {
				r.Header.Set(name, fmt.Sprint(as))
			}
		}})
	}
	return wishes
}

func expiry() []grade.Step {
	return []grade.Step{
		{
			ID: "access-token-lives-its-ttl", Task: 1, Needs: []string{"token-is-dated-by-the-clock"},
			Title: "exp is iat + AccessTTL, in seconds",
			Why:   "A stolen token is good until it expires. Without an exp that is for ever; with one in milliseconds it is for fifty thousand years.",
			Ref:   "RFC 7519 §4.1.4 (exp) and §2 (NumericDate: seconds)",
			Check: func(t require.TestingT, s *subject.Session) {
				token := s.Decode(t, s.Login(t, s.Cosmo()).Access)
				wantLife(t, s, token, s.Settings.AccessTTL, "the access token does not expire AccessTTL after it was issued")
			},
		},
		{
			ID: "token-works-until-it-expires", Task: 1, Needs: []string{"access-token-lives-its-ttl", "profile-opens-with-a-token"},
			Title: "A token works until it expires",
			Why:   "A server that counts from something else, or by another clock, logs people out early, and always the ones far away.",
			Ref:   "RFC 7519 §4.1.4 (exp)",
			Takes: beforeAccess,
			Check: func(t require.TestingT, s *subject.Session) {
				got, _, _ := expiring(t, s)
				s.Advance(t, beforeAccess(s.Settings))
				for _, door := range doors {
					s.Get(t, door, subject.Bearer(got.Access)).Is(t, http.StatusOK, "an access token is refused before it expires")
				}
			},
		},
		{
			ID: "client-does-not-choose-its-ttl", Task: 1, Needs: []string{"access-token-lives-its-ttl"},
			Title: "Nothing in the request makes the token live longer",
			Why:   "Fields that are copied from the body into the claims are fields that the attacker fills in (CWE-915).",
			Ref:   "OWASP API3:2023 (broken object property level authorization)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				s.Login(t, u)
				for _, wish := range yearsWanted(s) {
					wish.body["username"], wish.body["password"] = u.Username, u.Password
					a := s.Post(t, "/login?"+wish.query, subject.JSON(wish.body), wish.headers)
					a.Is(t, http.StatusOK, "a login with unknown fields is neither taken nor refused as a bad request", http.StatusBadRequest)
					if a.Status == http.StatusOK {
						token := s.Decode(t, forged(a.Text("access_token"), "the access token of that login"))
						wantLife(t, s, token, s.Settings.AccessTTL, "a client can choose how long its token lives")
					}
				}
			},
		},
		{
			ID: "expires-in-agrees-with-exp", Task: 1, Needs: []string{"access-token-lives-its-ttl"},
			Title: "If the answer says expires_in, it says the same as exp",
			Why:   "A client plans its refresh by expires_in. If that is another number, it refreshes too late, or all the time.",
			Ref:   "RFC 6749 §5.1 (expires_in: seconds)",
			Check: func(t require.TestingT, s *subject.Session) {
				a := s.Post(t, "/login", s.Cosmo().Credentials()).Is(t, http.StatusOK, "cosmo cannot log in")
				token := s.Decode(t, forged(a.Text("access_token"), ""))
				wantLife(t, s, token, s.Settings.AccessTTL, "the access token does not expire AccessTTL after it was issued")
				wantExpiresIn(t, s, a)
			},
		},
		{
			ID: "expired-token-is-refused", Task: 2, Needs: []string{"access-token-lives-its-ttl", "refused-request-runs-no-handler"},
			Title: `An expired token: 401 {"msg":"Token has expired"}`,
			Why:   "The message is the client's cue to refresh. The refusal is what makes a stolen token go stale.",
			Ref:   "RFC 7519 §4.1.4 (exp), RFC 6750 §3.1 (error codes: invalid_token covers expired)",
			Takes: func(c lessons.Settings) time.Duration { return pastAccess(c) + leeway },
			Check: func(t require.TestingT, s *subject.Session) {
				got, _, _ := expiring(t, s)
				s.Advance(t, pastAccess(s.Settings)+leeway)
				for _, door := range doors {
					expired(t, s, got.Access, door).
						Challenges(t, "invalid_token", "the refusal of an expired token does not say invalid_token")
				}
				nothingFollows(t, s, got.Access)
				opens(t, s, s.Login(t, s.Cosmo()).Access)
			},
		},
		{
			ID: "leeway-is-a-minute-at-most", Task: 2, Needs: []string{"expired-token-is-refused"},
			Title: "61 seconds after its exp a token is refused",
			Why:   "Leeway is for clocks that differ a little. Five minutes of it on a token of five minutes double its life.",
			Ref:   "RFC 7519 §4.1.4 (a small leeway, usually no more than a few minutes)",
			Takes: pastAccess,
			Check: func(t require.TestingT, s *subject.Session) {
				got, _, _ := expiring(t, s)
				s.Advance(t, pastAccess(s.Settings))
				stayShut(t, s, got.Access, "a token opens %s more than a minute after it has expired")
			},
		},
		{
			ID: "forged-and-expired-is-forged", Task: 2, Needs: []string{"expired-token-is-refused", "unsigned-token-is-refused", "another-key-is-refused"},
			Title: "A token that is both forged and expired is refused as forged",
			Why:   "\"Expired\" means: once good. Code that takes any token that is only expired to /refresh trusts a forger's (CVE-2024-51744).",
			Ref:   "RFC 7519 §7.2 (validating a JWT: the signature comes first)",
			Takes: func(c lessons.Settings) time.Duration { return pastAccess(c) + leeway },
			Check: func(t require.TestingT, s *subject.Session) {
				got, honest, _ := expiring(t, s)
				s.Advance(t, pastAccess(s.Settings)+leeway)
				expired(t, s, got.Access, "/profile")
				for _, bad := range []struct{ raw, what string }{
					{forge.TamperSignature(got.Access.Raw), "expired, and with a changed signature"},
					{forge.ReplacePayload(got.Access.Raw, honest.With("sub", "grace").Claims), "expired, and with another sub"},
					{honest.Sign(honest.Alg(), []byte("secret")), "expired, and signed with another key"},
					{honest.Sign("none", nil), "expired, and with alg none"},
				} {
					for _, door := range doors {
						a := s.Get(t, door, subject.Bearer(forged(bad.raw, bad.what))).Refused(t, "a forged token opens "+door)
						if a.Text("msg") == "Token has expired" {
							s.Fail(t, "a forged token is called expired, as if it had been good once", `401 {"msg": anything but "Token has expired"}`, a.Summary())
						}
					}
				}
				if len(s.Settings.Secret) > 0 {
					justGone := honest.With("exp", s.Now().Add(-10*time.Second).Unix()).With("aud", "https://newsletter.example")
					stayShut(t, s, forged(justGone.Sign(honest.Alg(), s.Secret(t)), "expired 10 s ago, and for another audience"), "a token for another audience opens %s if only it has just expired, too")
				}
			},
		},
		{
			ID: "token-without-exp-is-refused", Task: 3, Needs: []string{"expired-token-is-refused", "another-key-is-refused"},
			Title: "A signed token without exp is refused",
			Why:   "Libraries check exp if it is there. An old release that issued tokens without it has left some that live for ever.",
			Ref:   "RFC 9068 §2.2 (data structure: exp is required)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest, _ := expiring(t, s)
				stayShut(t, s, forged(honest.Without("exp").Sign(honest.Alg(), s.Secret(t)), "without exp"), "a token that never expires opens %s")
			},
		},
		{
			ID: "exp-zero-or-null-is-refused", Task: 3, Needs: []string{"token-without-exp-is-refused"},
			Title: "exp of 0 or null is refused",
			Why:   "Zero is 1970, not never. golang-jwt's MapClaims takes it for a missing date.",
			Ref:   "RFC 7519 §4.1.4 (exp)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest, _ := expiring(t, s)
				for _, exp := range []any{0, nil, -1, 0.0} {
					stayShut(t, s, forged(honest.With("exp", exp).Sign(honest.Alg(), s.Secret(t)), "with the exp "+show(exp)), "a token whose exp is "+show(exp)+" opens %s")
				}
			},
		},
		{
			ID: "exp-that-is-no-number-is-refused", Task: 3, Needs: []string{"token-without-exp-is-refused"},
			Title: "exp as a string, a list or a word is refused",
			Why:   "if exp, ok := claims[\"exp\"].(float64); ok { … } does not check what is not a number.",
			Ref:   "RFC 7519 §2 (NumericDate: a JSON number)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest, at := expiring(t, s)
				// The digits of a date that lies ahead, in quotes, are a date to some
				// libraries (golang-jwt, PyJWT), and do no harm. A string that
				// switches the check off does.
				gone := fmt.Sprint(s.Now().Add(-time.Hour).Unix())
				for _, exp := range []any{gone, at.Format(time.RFC3339), "never", "", true, false, []any{at.Unix()}, map[string]any{}} {
					stayShut(t, s, forged(honest.With("exp", exp).Sign(honest.Alg(), s.Secret(t)), "with the exp "+show(exp)), "a token whose exp is no number opens %s")
				}
			},
		},
		{
			ID: "exp-in-milliseconds-is-refused", Task: 3, Needs: []string{"token-without-exp-is-refused"},
			Title: "exp in milliseconds is refused",
			Why:   "JavaScript counts milliseconds. Such a token dies in the year 58000, long after its bearer.",
			Ref:   "RFC 7519 §2 (NumericDate: seconds)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest, at := expiring(t, s)
				eternal := func(token forge.Token, how string) {
					stayShut(t, s, forged(token.Sign(honest.Alg(), s.Secret(t)), how), "a token that lives for fifty thousand years opens %s")
				}
				eternal(honest.With("exp", at.UnixMilli()), "with an exp in milliseconds")
				eternal(honest.Without("iat").With("exp", at.UnixMilli()), "with an exp in milliseconds and no iat")
				eternal(honest.With("iat", s.Now().UnixMilli()).With("exp", at.UnixMilli()), "with an iat and an exp in milliseconds")
				// Counted in nanoseconds a date overflows, into the past or the future by turns of a
				// hundred days: some of these end up in the past.
				for n := range 8 {
					eternal(honest.With("exp", at.AddDate(0, 0, 40*(n+1)).UnixMilli()), "with another exp in milliseconds")
				}
				opens(t, s, s.Login(t, s.Cosmo()).Access)
			},
		},
		{
			ID: "token-of-tomorrow-is-refused", Task: 3, Needs: []string{"leeway-is-a-minute-at-most", "another-key-is-refused"},
			Title: "A token whose nbf lies in the future is refused",
			Why:   "Some issuers date tokens ahead: good from Monday on. Before, they are not good.",
			Ref:   "RFC 7519 §4.1.5 (nbf)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest, _ := expiring(t, s)
				for _, ahead := range []time.Duration{leeway + 10*time.Second, 24 * time.Hour} {
					raw := honest.With("nbf", s.Now().Add(ahead).Unix()).Sign(honest.Alg(), s.Secret(t))
					stayShut(t, s, forged(raw, "not good before "+ahead.String()+" from now"), "a token opens %s before its time has come")
				}
			},
		},
	}
}
