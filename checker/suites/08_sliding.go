package suites

import (
	"fmt"
	"net/http"
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

const newTokenHeader = "X-New-Access-Token"

// beforeHalf is when no right server renews, and afterHalf when every one does.
// What happens at the very half is left to them.
func beforeHalf(c lessons.Settings) time.Duration {
	return max(0, c.AccessTTL*2/5-time.Second).Truncate(time.Second)
}

func afterHalf(c lessons.Settings) time.Duration {
	return (c.AccessTTL*3/5 + time.Second).Truncate(time.Second)
}

// cutBeforeHalf is before half of a life of four fifths of AccessTTL.
func cutBeforeHalf(c lessons.Settings) time.Duration {
	return (c.AccessTTL * 4 / 5 * 2 / 5).Truncate(time.Second)
}

// longLives lets tokens live twice as long: twelve hours are no half of that.
func longLives(c *lessons.Settings) {
	c.AccessTTL *= 2
	c.RefreshTTL = max(c.RefreshTTL, c.AccessTTL)
}

// shortWeek lets a session end before a week is over.
func shortWeek(c *lessons.Settings) { c.SessionTTL = c.SessionTTL * 4 / 5 }

// times is n such times, one after the other.
func times(n time.Duration, each func(lessons.Settings) time.Duration) func(lessons.Settings) time.Duration {
	return func(c lessons.Settings) time.Duration { return n * each(c) }
}

// useEvery is how often a session is used that is to stay alive: often enough to
// be renewed before the token expires, seldom enough not to be renewed each time.
func useEvery(c lessons.Settings) time.Duration {
	return max(time.Second, c.AccessTTL*5/12).Truncate(time.Second)
}

// beforeCap is shortly before a session ends for good, and pastCap is when it has
// ended for every right server.
func beforeCap(c lessons.Settings) time.Duration { return c.SessionTTL - time.Minute }

func pastCap(c lessons.Settings) time.Duration { return c.SessionTTL + leeway + time.Second }

// newToken is the access token that the answer carries in its header, if it does.
func newToken(a *subject.Answer, u subject.User) (probe.Token, bool) {
	raw := strings.TrimSpace(a.ReplyHeader.Get(newTokenHeader))
	return forged(raw, "the new token that "+a.Path+" gave "+u.Username), raw != ""
}

// renewed sends a token to a door and wants another one back.
func renewed(t require.TestingT, s *subject.Session, door string, u subject.User, old probe.Token, options ...subject.Option) (probe.Token, *subject.Answer) {
	a := s.Get(t, door, append(options, subject.Bearer(old))...).Is(t, http.StatusOK, "a good access token does not open "+door)
	return isRenewed(t, s, a, u, "a token that is past half of its life is not renewed"), a
}

// isRenewed wants an answer to carry another token than the one that was sent.
func isRenewed(t require.TestingT, s *subject.Session, a *subject.Answer, u subject.User, claim string) probe.Token {
	got, ok := newToken(a, u)
	if n := len(a.ReplyHeader.Values(newTokenHeader)); n > 1 {
		// A script gets them in one string, with a comma between them.
		s.Fail(t, fmt.Sprintf("the answer carries the header %d times", n), newTokenHeader+": one new access token", a.Headers(newTokenHeader))
	}
	if !ok {
		s.Fail(t, claim, newTokenHeader+": a new access token", a.Summary()+", "+a.Headers(newTokenHeader))
	}
	if got.Raw == a.Token.Raw {
		s.Fail(t, "the new access token is the old one", newTokenHeader+": another token", "the one that was sent")
	}
	return got
}

// notRenewed wants an answer without a new token.
func notRenewed(t require.TestingT, s *subject.Session, a *subject.Answer, claim string) {
	if _, ok := newToken(a, subject.User{}); ok {
		probe.Fail(t, &probe.Failure{Claim: claim, Sent: a.Exchange, Want: "no " + newTokenHeader, Got: a.Summary() + ", " + a.Headers(newTokenHeader)})
	}
}

// renewedAnswers are answers that carry a new token: of both doors and, where
// passwords may be changed, of a /password that succeeds.
func renewedAnswers(t require.TestingT, s *subject.Session, options ...subject.Option) []*subject.Answer {
	u := s.Cosmo()
	before, changes := []subject.Tokens{s.LoginBoth(t, u), s.LoginBoth(t, u)}, subject.Tokens{}
	if s.Controlled() {
		changes = s.LoginBoth(t, somebody(t, s))
	}
	s.Advance(t, afterHalf(s.Settings))
	var answers []*subject.Answer
	for i, door := range doors {
		_, a := renewed(t, s, door, u, before[i].Access, options...)
		answers = append(answers, a)
	}
	if s.Controlled() {
		change := passwordChange(changes.User.Password, newPassword(changes.User))
		a := s.Post(t, "/password", append(options, subject.Bearer(changes.Access), change)...).
			Is(t, http.StatusNoContent, "a change of the password by a fresh token is refused", http.StatusOK)
		isRenewed(t, s, a, changes.User, "a token that is past half of its life is not renewed by /password")
		answers = append(answers, a)
	}
	return answers
}

// slid logs somebody in, lets more than half of the token's life pass, and
// returns the tokens and the renewed one.
func slid(t require.TestingT, s *subject.Session, u subject.User) (subject.Tokens, probe.Token) {
	tokens := s.LoginBoth(t, u)
	s.Advance(t, afterHalf(s.Settings))
	got, _ := renewed(t, s, "/profile", u, tokens.Access)
	return tokens, got
}

func sliding() []grade.Step {
	return []grade.Step{
		{
			ID: "new-token-after-half-life", Task: 1, Needs: []string{"refresh-returns-a-new-pair", "fresh-token-changes-the-password"},
			Title: "Past half of the token's life a successful answer carries a new access token in " + newTokenHeader,
			Why:   "Whoever works on is not to be logged out in the middle of it. And a header that is set after the body is never sent.",
			Ref:   "RFC 9110 §6.3 (header fields come before the content)",
			// Half a life later the token of a login is still fresh enough for /password.
			Set:   func(c *lessons.Settings) { c.FreshFor = c.AccessTTL },
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				before := []subject.Tokens{s.LoginBoth(t, u), s.LoginBoth(t, u), s.LoginBoth(t, u)}
				changes := subject.Tokens{}
				if s.Controlled() { // elsewhere nobody's password may be changed
					changes = s.LoginBoth(t, somebody(t, s))
				}
				s.Advance(t, afterHalf(s.Settings))
				for i, door := range doors {
					got, _ := renewed(t, s, door, u, before[i].Access)
					own(t, s.Get(t, "/profile", subject.Bearer(got)), u)
					own(t, s.Get(t, "/dashboard", subject.Bearer(got)), u)
				}
				// Whoever has lost that answer sends the old token again.
				again := s.Get(t, "/profile", subject.Bearer(before[0].Access)).Is(t, http.StatusOK, "a good access token does not open /profile")
				isRenewed(t, s, again, u, "a token is renewed once and not again: whose answer was lost is logged out")
				last := before[len(doors)].Access
				a := s.Get(t, "/profile", subject.Authorization("bearer "+last.Raw, last)).Is(t, http.StatusOK, "a good access token does not open /profile")
				isRenewed(t, s, a, u, "a token that is past half of its life is not renewed where the scheme is in lower case")
				if s.Controlled() {
					a := s.Post(t, "/password", subject.Bearer(changes.Access), passwordChange(changes.User.Password, newPassword(changes.User))).
						Is(t, http.StatusNoContent, "a change of the password by a fresh token is refused", http.StatusOK)
					got := isRenewed(t, s, a, changes.User, "a token that is past half of its life is not renewed by /password")
					own(t, s.Get(t, "/profile", subject.Bearer(got)), changes.User)
				}
			},
		},
		{
			ID: "renewed-token-lives-access-ttl-from-now", Task: 1, Needs: []string{"new-token-after-half-life"},
			Title: "The new token lives AccessTTL from now",
			Why:   "A copy of the old exp renews nothing. No exp at all renews for ever.",
			Ref:   "RFC 7519 §4.1.4 (exp), RFC 9068 §2.2 (data structure)",
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				old, got := slid(t, s, s.Cosmo())
				first, second := s.Decode(t, old.Access), s.Decode(t, got)
				wantLife(t, s, second, s.Settings.AccessTTL, "the renewed token does not live AccessTTL from now")
				if second.Text("jti") == "" || second.Text("jti") == first.Text("jti") {
					s.Fail(t, "the renewed token has no jti of its own", `"jti": another one`, `"jti":`+show(second.Claims["jti"]))
				}
			},
		},
		{
			ID: "renewed-token-is-of-the-same-user-and-session", Task: 1, Needs: []string{"new-token-after-half-life", "logout-ends-the-session"},
			Title: "The new token is for the same user, issuer and audience, and of the same session",
			Why:   "If each renewal begins a session, a logout ends the last one and leaves the others open.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Takes: times(2, afterHalf),
			Check: func(t require.TestingT, s *subject.Session) {
				u, other := s.Cosmo(), s.NewUser(t)
				phone, laptop, others := s.LoginBoth(t, u), s.LoginBoth(t, u), s.LoginBoth(t, other)
				s.Advance(t, afterHalf(s.Settings))
				phones, _ := renewed(t, s, "/profile", u, phone.Access)
				laptops, _ := renewed(t, s, "/profile", u, laptop.Access)
				theirs, _ := renewed(t, s, "/profile", other, others.Access)
				own(t, s.Get(t, "/profile", subject.Bearer(phones)), u)
				own(t, s.Get(t, "/profile", subject.Bearer(theirs)), other)
				sameClaims(t, s, s.Decode(t, phone.Access), s.Decode(t, phones))
				// Somebody logs in where somebody else's old token is still sent along.
				a := s.Post(t, "/login", u.Credentials(), subject.Bearer(others.Access)).Is(t, http.StatusOK, "/login of "+u.Username+" did not succeed")
				if got, ok := newToken(a, u); ok && s.Decode(t, got).Text("sub") != u.Username {
					probe.Fail(t, &probe.Failure{Claim: "the login of one user carries a new token of another: the one whose old token came with it", Sent: a.Exchange,
						Want: "no " + newTokenHeader, Got: a.Headers(newTokenHeader)})
				}

				logsOut(t, s, "/logout", phones, "a logout with a renewed token is refused")
				gone(t, s, phone, "of a session that was logged out by its renewed token")
				logsOut(t, s, "/logout", laptop.Access, "a logout with a good access token is refused")
				stayShut(t, s, laptops, "a renewed token opens %s after its session was logged out by the token before it")
				opens(t, s, theirs)

				users := slices.Repeat([]subject.User{u, other}, 4)
				var requests []probe.Request
				for i, tokens := range s.LoginAll(t, users) {
					requests = append(requests, subject.Request(http.MethodGet, doors[i/2%2], subject.Bearer(tokens.Access)))
				}
				s.Advance(t, afterHalf(s.Settings))
				for i, a := range s.Crowd(t, requests) {
					got := isRenewed(t, s, a.Is(t, http.StatusOK, "a good access token does not open "+a.Path), users[i], "a token that is past half of its life is not renewed while others are")
					own(t, s.Get(t, "/profile", subject.Bearer(got)), users[i])
				}
			},
		},
		{
			ID: "renewed-token-is-not-fresh", Task: 1, Needs: []string{"new-token-after-half-life", "refreshed-token-is-not-fresh"},
			Title: "The new token is not fresh",
			Why:   "Nobody gave a password for it. If it were fresh, a stolen token could wait for its renewal and then change the password.",
			Ref:   "RFC 9470 §3 (authentication requirements challenge), OWASP ASVS 5.0 §7.5.1 (full re-authentication)",
			// The token of the login is still fresh when it is renewed.
			Set:   func(c *lessons.Settings) { c.FreshFor = c.AccessTTL },
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				_, got := slid(t, s, u)
				notFresh(t, s, u, got, "a renewed token changes the password")
				changePassword(t, s, &u, reauthenticated(t, s, u, got))
			},
		},
		{
			ID: "renewals-chain-past-the-first-expiry", Task: 1, Needs: []string{"renewed-token-lives-access-ttl-from-now"},
			Title: "The new token is renewed in its turn, time and again, and so is that of a refresh or a /reauth",
			Why:   "A renewal that only works once is a token of one and a half lives.",
			Ref:   "OWASP ASVS 5.0 §7.3.1 (inactivity timeout: what is active does not end)",
			Takes: times(4, afterHalf),
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				newest, refreshed, asked := s.LoginBoth(t, u).Access, s.LoginBoth(t, u), s.LoginBoth(t, u)
				refreshed = rotated(t, s, refreshed)
				stepped := s.Post(t, "/reauth", subject.Bearer(asked.Access), credentials{"password": u.Password}.option())
				for i := range 4 {
					s.Advance(t, afterHalf(s.Settings))
					newest, _ = renewed(t, s, "/profile", u, newest)
					if i > 0 {
						continue
					}
					a := s.Get(t, "/profile", subject.Bearer(refreshed.Access)).Is(t, http.StatusOK, "a good access token does not open /profile")
					isRenewed(t, s, a, u, "a refreshed token that is past half of its life is not renewed")
					if stepped.Status == http.StatusOK { // else that is for another step to say
						a = s.Get(t, "/profile", subject.Bearer(forged(stepped.Text("access_token"), "the access token that /reauth gave "+u.Username))).
							Is(t, http.StatusOK, "a good access token does not open /profile")
						isRenewed(t, s, a, u, "a token of /reauth that is past half of its life is not renewed")
					}
				}
				own(t, s.Get(t, "/profile", subject.Bearer(newest)), u)
			},
		},
		{
			ID: "no-renewal-for-refused-tokens", Task: 1, Needs: []string{"new-token-after-half-life", "logout-ends-the-session"},
			Title: "An expired, forged, revoked or missing token is not renewed, nor is a refresh token",
			Why:   "Whoever renews first and checks later gives a good token for a bad one, and an expired token that somebody finds never has to be good again.",
			Ref:   "RFC 6750 §3.1 (error codes: invalid_token)",
			Takes: func(c lessons.Settings) time.Duration { return max(afterHalf(c), refreshHalf(c), pastAccess(c)) },
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				leaves, expires := s.LoginBoth(t, u), s.LoginBoth(t, s.NewUser(t))
				logsOut(t, s, "/logout", leaves.Access, "a logout with a good access token is refused")
				tokens, _ := slid(t, s, u)
				raw, honest := tokens.Access.Raw, s.Decode(t, tokens.Access)
				for _, bad := range append(borrowed(t, s, tokens.Access),
					forged(leaves.Access.Raw, "of a session that was logged out"),
					forged(forge.TamperSignature(raw), "with a changed signature"),
					forged(honest.Sign(honest.Alg(), []byte("secret")), "signed with another key"),
				) {
					a := s.Get(t, "/profile", subject.Bearer(bad)).Refused(t, "a token "+bad.What+" opens /profile")
					notRenewed(t, s, a, "a token is refused and renewed")
				}
				notRenewed(t, s, s.Get(t, "/profile").Refused(t, "/profile opens without a token"), "a request without a token gets one")

				s.Advance(t, max(0, refreshHalf(s.Settings)-s.Advanced()))
				a := s.Get(t, "/profile", subject.Bearer(tokens.Refresh)).Refused(t, "a refresh token opens /profile")
				notRenewed(t, s, a, "a refresh token is refused and renewed")
				a = s.Post(t, "/refresh", subject.Bearer(tokens.Refresh)).Is(t, http.StatusOK, "a good refresh token is refused")
				notRenewed(t, s, a, "a refresh token is renewed as if it were an access token")

				s.Advance(t, max(0, pastAccess(s.Settings)-s.Advanced()))
				a = s.Get(t, "/profile", subject.Bearer(expires.Access)).Refused(t, "an expired token opens /profile")
				notRenewed(t, s, a, "an expired token is refused and renewed")
			},
		},
		{
			ID: "no-renewal-on-errors", Task: 1, Needs: []string{"new-token-after-half-life", "fresh-token-changes-the-password"},
			Title: "An answer of 4xx carries no new token",
			Why:   "A stolen token whose requests all fail, because it is not fresh or knows no password, would stay alive by trying.",
			Ref:   "RFC 6749 §5.1 (tokens come with a successful response)",
			// A token of a login is fresh enough to reach the checks of /password.
			Set:   func(c *lessons.Settings) { c.FreshFor = c.AccessTTL },
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				tokens, _ := slid(t, s, u)
				for _, bad := range []probe.Request{
					subject.Request(http.MethodPost, "/password", subject.Bearer(tokens.Access), credentials{}.option()),
					subject.Request(http.MethodPost, "/password", subject.Bearer(tokens.Access), passwordChange("wrong", newPassword(u))),
					subject.Request(http.MethodPost, "/reauth", subject.Bearer(tokens.Access), credentials{"password": "wrong"}.option()),
					subject.Request(http.MethodDelete, "/profile", subject.Bearer(tokens.Access)),
					subject.Request(http.MethodGet, "/no-such-page", subject.Bearer(tokens.Access)),
				} {
					a := s.Do(t, bad)
					if a.Status < 400 || a.Status >= 500 {
						s.Fail(t, bad.Method+" "+bad.Path+" is not refused", "4xx", a.Summary())
					}
					notRenewed(t, s, a, "a request that was refused renews its token")
				}
			},
		},
		{
			ID: "no-renewal-at-logout", Task: 1, Needs: []string{"renewed-token-is-of-the-same-user-and-session", "logout-all-ends-every-session"},
			Title: "The answers of /logout and /logout-all carry no new token, and the renewed one is dead, too",
			Why:   "A client that takes every new token takes this one, and is logged in again by having logged out (flask-jwt-extended's issue 454).",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Takes: func(c lessons.Settings) time.Duration { return 5 * afterHalf(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				before := []subject.Tokens{s.LoginBoth(t, s.Cosmo()), s.LoginBoth(t, s.NewUser(t))}
				s.Advance(t, afterHalf(s.Settings))
				for i, path := range []string{"/logout", "/logout-all"} {
					tokens := before[i]
					got, _ := renewed(t, s, "/profile", tokens.User, tokens.Access)
					a := s.Post(t, path, subject.Bearer(tokens.Access)).
						Is(t, http.StatusNoContent, "a logout with a good access token is refused", http.StatusOK, http.StatusSeeOther)
					notRenewed(t, s, a, "a logout is answered with a new token")
					gone(t, s, tokens, "after "+path)
					stayShut(t, s, got, "a renewed token opens %s after "+path)
				}
				for range 4 { // and at the same time
					tokens := s.LoginBoth(t, s.Cosmo())
					s.Advance(t, afterHalf(s.Settings))
					answers := s.Together(t, []probe.Request{
						subject.Request(http.MethodGet, "/profile", subject.Bearer(tokens.Access)), subject.Request(http.MethodGet, "/dashboard", subject.Bearer(tokens.Access)),
						subject.Request(http.MethodPost, "/logout", subject.Bearer(tokens.Access)),
					})
					for _, a := range answers[:2] {
						if got, ok := newToken(a, tokens.User); ok {
							stayShut(t, s, got, "a token that was renewed while its session was logged out opens %s")
						}
					}
				}
			},
		},
		{
			ID: "no-new-token-before-half-life", Task: 2, Needs: []string{"new-token-after-half-life"},
			Title: "Before half of the token's life the answer carries no new one",
			Why:   "A new token for each request is 360 tokens in an hour of use, and every one of them is good for a day to whoever finds it.",
			Ref:   "RFC 6750 §5.3 (summary of recommendations: short-lived bearer tokens)",
			Set:   longLives,
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				tokens := s.LoginBoth(t, u)
				young := func(claim string) {
					for _, door := range doors {
						a := s.Get(t, door, subject.Bearer(tokens.Access)).Is(t, http.StatusOK, "a good access token does not open "+door)
						notRenewed(t, s, a, claim)
					}
				}
				young("a token that was just issued is renewed")
				s.Advance(t, beforeHalf(s.Settings))
				young("a token is renewed before half of its life is over")
				s.Advance(t, afterHalf(s.Settings)-beforeHalf(s.Settings))
				renewed(t, s, "/profile", u, tokens.Access)
			},
		},
		{
			ID: "half-life-counts-from-issue", Task: 2, Needs: []string{"no-new-token-before-half-life", "renewals-chain-past-the-first-expiry"},
			Title: "Half of the life of a renewed token counts from its own iat",
			Why:   "If it counts from the login, or from what is left of the session, then after the first renewal every request gets a token after all.",
			Ref:   "RFC 7519 §4.1.6 (iat: the age of the token)",
			// At the end of the step four fifths of AccessTTL are left of the session.
			Set:   func(c *lessons.Settings) { c.SessionTTL = 2*afterHalf(*c) + beforeHalf(*c) + c.AccessTTL*4/5 },
			Takes: func(c lessons.Settings) time.Duration { return 2*afterHalf(c) + beforeHalf(c) + cutBeforeHalf(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				cut := s.LoginBoth(t, u)
				_, newest := slid(t, s, u)
				cut = rotated(t, s, cut)
				for range 2 {
					a := s.Get(t, "/profile", subject.Bearer(newest)).Is(t, http.StatusOK, "a renewed token does not open /profile")
					notRenewed(t, s, a, "a token that was just renewed is renewed again")
					s.Advance(t, beforeHalf(s.Settings))
					a = s.Get(t, "/profile", subject.Bearer(newest)).Is(t, http.StatusOK, "a renewed token does not open /profile")
					notRenewed(t, s, a, "a renewed token is renewed before half of its own life is over")
					if s.Advanced() < 2*afterHalf(s.Settings) {
						s.Advance(t, afterHalf(s.Settings)-beforeHalf(s.Settings))
						newest, _ = renewed(t, s, "/profile", u, newest)
						cut = rotated(t, s, cut)
					}
				}
				cut = rotated(t, s, cut)
				s.Advance(t, cutBeforeHalf(s.Settings))
				a := s.Get(t, "/profile", subject.Bearer(cut.Access)).Is(t, http.StatusOK, "a session ends before its time")
				notRenewed(t, s, a, "a token that ends with its session is renewed before half of its own life, which is shorter, is over")
			},
		},
		{
			ID: "active-session-lasts-all-week", Task: 3, Needs: []string{"renewals-chain-past-the-first-expiry"},
			Title: "Whoever uses the server several times a day stays logged in until SessionTTL is over",
			Why:   "That is what all of this is for.",
			Ref:   "NIST SP 800-63B-4 §2.1.3 (reauthentication at AAL1: at least every 30 days)",
			Takes: beforeCap,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				newest := s.LoginBoth(t, u).Access
				for s.Advanced() < beforeCap(s.Settings) {
					s.Advance(t, min(useEvery(s.Settings), beforeCap(s.Settings)-s.Advanced()))
					exp, _ := s.Decode(t, newest).Time("exp")
					if s.Advanced() > s.Settings.SessionTTL-s.Settings.AccessTTL && !s.Now().Before(exp) {
						s.Advance(t, beforeCap(s.Settings)-s.Advanced())
						break // near its end a session need not be renewed any more
					}
					a := s.Get(t, "/profile", subject.Bearer(newest)).
						Is(t, http.StatusOK, fmt.Sprintf("a session that is used every %v is refused %v after its login", useEvery(s.Settings), s.Advanced()))
					if got, ok := newToken(a, u); ok {
						newest = got
					}
				}
			},
		},
		{
			ID: "renewal-does-not-move-the-cap", Task: 3, Needs: []string{"renewals-chain-past-the-first-expiry", "reauth-gives-a-fresh-token"},
			Title: "However often a token is renewed, or the password given for it, the end of its session stays where the login has put it",
			Why:   "If each renewal counts the week from now, a stolen token that is used once a day never dies, and nobody has to give a password ever again.",
			Ref:   "OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime)",
			Set:   shortWeek,
			Takes: func(c lessons.Settings) time.Duration { return pastCap(c) + pastAccess(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				password := credentials{"password": u.Password}.option()
				_, newest := slid(t, s, u)
				confirmed := s.LoginBoth(t, u).Access // its password is given each time it is used
				end := pastCap(s.Settings) + pastAccess(s.Settings)
				for s.Advanced() < end {
					s.Advance(t, min(useEvery(s.Settings), end-s.Advanced()))
					if got, ok := newToken(s.Get(t, "/profile", subject.Bearer(newest)), u); ok {
						newest = got
					}
					if got, ok := newToken(s.Get(t, "/profile", subject.Bearer(confirmed)), u); ok {
						confirmed = got
					}
					if s.Advanced() < s.Settings.SessionTTL/2 {
						confirmed = reauthenticated(t, s, u, confirmed)
					} else if raw := s.Post(t, "/reauth", subject.Bearer(confirmed), password).Text("access_token"); raw != "" {
						confirmed = forged(raw, "the access token that /reauth gave "+u.Username)
					}
				}
				after := fmt.Sprintf("%v after its login, although it is to end after %v", s.Advanced(), s.Settings.SessionTTL)
				stayShut(t, s, newest, "a session that was renewed all the time opens %s "+after)
				stayShut(t, s, confirmed, "a session whose password was given again and again opens %s "+after)
				s.Post(t, "/reauth", subject.Bearer(newest), password).Refused(t, "/reauth takes a token of a session "+after)
				opens(t, s, s.Login(t, u).Access)
			},
		},
		{
			ID: "session-ends-at-its-cap", Task: 3, Needs: []string{"renewal-does-not-move-the-cap", "rotation-does-not-extend-the-session", "reauth-does-not-extend-the-session"},
			Title: "After SessionTTL the session is over: no token of it expires later, and none is taken",
			Why:   "A token of the last day that lives a day from its own issue makes the week eight days long.",
			Ref:   "OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime)",
			Takes: pastCap,
			Check: func(t require.TestingT, s *subject.Session) {
				u, end := s.Cosmo(), s.Now().Add(s.Settings.SessionTTL)
				tokens, _ := slid(t, s, u)
				// Kept by /refresh until the last renewal reaches beyond the end.
				for late := end.Add(-s.Settings.AccessTTL*4/5 - 2*time.Second); s.Now().Before(late); {
					tokens = rotated(t, s, tokens)
					s.Advance(t, min(useEvery(s.Settings), late.Sub(s.Now())))
				}
				tokens = rotated(t, s, tokens)
				s.Advance(t, afterHalf(s.Settings))
				last, ok := newToken(s.Get(t, "/profile", subject.Bearer(tokens.Access)).Is(t, http.StatusOK, "a session ends before its time"), u)
				if !ok {
					last = tokens.Access // near its end a session need not be renewed any more
				}
				confirmed := reauthenticated(t, s, u, last)
				for _, token := range []probe.Token{last, tokens.Access, confirmed} {
					if exp, _ := s.Decode(t, token).Time("exp"); exp.After(end.Add(leeway)) {
						s.Fail(t, fmt.Sprintf("a token outlives its session, which ends %v after the login: %s", s.Settings.SessionTTL, token.What),
							"an exp no later than "+end.UTC().Format(time.DateTime), `"exp":`+exp.UTC().Format(time.DateTime))
					}
				}
				s.Advance(t, pastCap(s.Settings)-s.Advanced())
				tokens.Access = last
				gone(t, s, tokens, fmt.Sprintf("%v after the login, although the session is to end after %v", s.Advanced(), s.Settings.SessionTTL))
				alive(t, s, s.LoginBoth(t, u))
			},
		},
		{
			ID: "cap-holds-at-use", Task: 3, Needs: []string{"session-ends-at-its-cap", "another-key-is-refused"},
			Title: "A signed token that says it lives longer is refused all the same once its session is over",
			Why:   "A cap that is only minded where tokens are made trusts every token that was made elsewhere: by last month's release, or by the program beside this one that has the same key.",
			Ref:   "OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime), OpenID Connect Core §2 (ID Token: auth_time)",
			Takes: pastCap,
			Check: func(t require.TestingT, s *subject.Session) {
				_, got := slid(t, s, s.Cosmo())
				opens(t, s, got)
				honest := s.Decode(t, got)
				s.Advance(t, pastCap(s.Settings)-s.Advanced())
				young := honest.With("iat", s.Now().Unix()).With("exp", s.Now().Add(s.Settings.AccessTTL/2).Unix())
				changed := map[string]forge.Token{"a later exp": young}
				if _, there := honest.Claims["auth_time"]; there {
					changed["a later exp and no auth_time"] = young.Without("auth_time")
					changed["a later exp and an auth_time of null"] = young.With("auth_time", nil)
					changed["a later exp and an auth_time of tomorrow"] = young.With("auth_time", s.Now().Add(24*time.Hour).Unix())
				}
				for what, token := range changed {
					stayShut(t, s, forged(token.Sign(honest.Alg(), s.Secret(t)), "a renewed token with "+what), "a token with "+what+" opens %s after the end of its session")
				}
				opens(t, s, s.Login(t, s.Cosmo()).Access)
			},
		},
		{
			ID: "idle-session-ends", Task: 3, Needs: []string{"renewed-token-lives-access-ttl-from-now", "expired-token-is-refused", "expired-refresh-token-is-refused"},
			Title: "A session that nobody uses ends when its tokens expire, renewed or not",
			Why:   "The computer in the library is to forget whoever went home.",
			Ref:   "OWASP ASVS 5.0 §7.3.1 (inactivity timeout)",
			Takes: func(c lessons.Settings) time.Duration { return afterHalf(c) + max(pastAccess(c), pastRefresh(c)) },
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				reads, confirms, refreshes := s.LoginBoth(t, u), s.LoginBoth(t, u), s.LoginBoth(t, u)
				tokens, got := slid(t, s, u)
				opens(t, s, got)
				tokens = rotated(t, s, tokens)
				renewed(t, s, "/profile", u, reads.Access)
				if s.Post(t, "/reauth", subject.Bearer(confirms.Access), credentials{"password": u.Password}.option()).Status != http.StatusOK {
					confirms = reads // that is for another step to say
				}
				refreshes = rotated(t, s, refreshes)
				s.Advance(t, max(0, pastRefresh(s.Settings)-s.Advanced()))
				noRefresh(t, s, "a refresh token lives longer because the access token of its session was renewed", subject.Bearer(reads.Refresh))
				noRefresh(t, s, "a refresh token lives longer because a password was given to /reauth", subject.Bearer(confirms.Refresh))
				if afterHalf(s.Settings) > leeway+2*time.Second { // at a URL lives may be shorter than that
					rotated(t, s, refreshes)
				}
				s.Advance(t, max(0, afterHalf(s.Settings)+pastAccess(s.Settings)-s.Advanced()))
				stayShut(t, s, got, "a renewed token opens %s more than a minute after it has expired")
				stayShut(t, s, tokens.Access, "an expired access token opens %s")
				s.Advance(t, max(0, afterHalf(s.Settings)+pastRefresh(s.Settings)-s.Advanced()))
				noRefresh(t, s, "/refresh takes an expired refresh token", subject.Bearer(tokens.Refresh))
				alive(t, s, s.LoginBoth(t, u))
			},
		},
		{
			ID: "new-token-header-is-readable-by-other-origins", Task: 4, Needs: []string{"new-token-after-half-life"},
			Title: "An answer to a page of another origin names " + newTokenHeader + " in Access-Control-Expose-Headers",
			Why:   "The header arrives in the browser and the page's script does not see it. The user is logged out on time, and curl shows no fault.",
			Ref:   "Fetch Standard, CORS protocol (Access-Control-Expose-Headers)",
			Set:   func(c *lessons.Settings) { c.FreshFor = c.AccessTTL },
			Takes: afterHalf,
			Check: func(t require.TestingT, s *subject.Session) {
				for _, a := range renewedAnswers(t, s, subject.Header("Origin", "https://app.example")) {
					if !exposes(a, newTokenHeader) {
						probe.Fail(t, &probe.Failure{Claim: "a page of another origin cannot read the new token", Sent: a.Exchange,
							Want: "Access-Control-Expose-Headers: " + newTokenHeader, Got: a.Headers("Access-Control-Expose-Headers")})
					}
				}
			},
		},
		{
			ID: "renewed-answer-is-not-cacheable", Task: 4, Needs: []string{"new-token-after-half-life"},
			Title: "An answer that carries a new token has Cache-Control: no-store",
			Why:   "The list of prices may be cached. With a token on it, it is a login for whoever finds the cache.",
			Ref:   "RFC 6749 §5.1 (Cache-Control: no-store), RFC 9111 §5.2.2.5 (no-store)",
			Set:   func(c *lessons.Settings) { c.FreshFor = c.AccessTTL },
			Takes: times(2, afterHalf),
			Check: func(t require.TestingT, s *subject.Session) {
				for _, a := range renewedAnswers(t, s) {
					a.NoStore(t, "an answer that carries a new token may be cached")
					if a.Path != "/profile" {
						continue
					}
					next := forged(a.ReplyHeader.Get(newTokenHeader), "a renewed token")
					s.Advance(t, afterHalf(s.Settings))
					if again := s.Get(t, a.Path, subject.Bearer(next)); again.ReplyHeader.Get(newTokenHeader) != "" {
						again.NoStore(t, "an answer that carries the next new token may be cached")
					}
				}
			},
		},
	}
}

// refreshHalf is when a refresh token is past half of its life, too.
func refreshHalf(c lessons.Settings) time.Duration {
	return (c.RefreshTTL*3/5 + time.Second).Truncate(time.Second)
}

// sameClaims wants a renewed token to say of user, issuer and audience what the
// one before it said.
func sameClaims(t require.TestingT, s *subject.Session, old, renewed forge.Token) {
	for _, claim := range []string{"sub", "iss", "aud"} {
		if show(old.Claims[claim]) != show(renewed.Claims[claim]) {
			s.Fail(t, claim+" changes when a token is renewed", `"`+claim+`":`+show(old.Claims[claim]), `"`+claim+`":`+show(renewed.Claims[claim]))
		}
	}
}

// exposes tells whether a script of another origin may read the header. The star
// counts where no credentials are meant (Fetch Standard).
func exposes(a *subject.Answer, header string) bool {
	credentials := strings.EqualFold(a.ReplyHeader.Get("Access-Control-Allow-Credentials"), "true")
	for _, list := range a.ReplyHeader.Values("Access-Control-Expose-Headers") {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimSpace(name)
			if strings.EqualFold(name, header) || name == "*" && !credentials {
				return true
			}
		}
	}
	return false
}
