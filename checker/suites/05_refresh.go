package suites

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
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

// betweenLives is when the access token has expired and the refresh token has not.
// Where the two live equally long there is no such time, and it is shortly before
// the end of both.
func betweenLives(c lessons.Settings) time.Duration {
	return min(c.AccessTTL+(c.RefreshTTL-c.AccessTTL)/4, beforeRefresh(c))
}

// apart sets the two lives apart where a lesson has them end together.
func apart(c *lessons.Settings) { c.RefreshTTL = max(c.RefreshTTL, 2*c.AccessTTL) }

func pastRefresh(c lessons.Settings) time.Duration { return c.RefreshTTL + leeway + time.Second }

func beforeRefresh(c lessons.Settings) time.Duration { return max(0, c.RefreshTTL-2*time.Second) }

// aMoment is long enough for a new token to have a later exp.
func aMoment(c lessons.Settings) time.Duration {
	return max(time.Second, c.AccessTTL/2).Truncate(time.Second)
}

// refreshing logs somebody in, shows that the refresh token works, and returns
// the tokens that are good afterwards.
func refreshing(t require.TestingT, s *subject.Session, u subject.User) subject.Tokens {
	return s.Refresh(t, s.LoginBoth(t, u))
}

// noRefresh wants /refresh to refuse a token.
func noRefresh(t require.TestingT, s *subject.Session, claim string, options ...subject.Option) *subject.Answer {
	a := s.Post(t, "/refresh", options...).Refused(t, claim)
	return a.HasNone(t, "access_token", "a refusal of /refresh carries a token")
}

func refresh() []grade.Step {
	return []grade.Step{
		{
			ID: "login-returns-both-tokens", Task: 1, Needs: []string{"login-returns-an-access-token"},
			Title: "/login answers with an access token and a refresh token",
			Why:   "The one is short-lived and shown at every request; the other is long-lived and shown at one place only.",
			Ref:   "RFC 6749 §1.5 (refresh token) and §5.1 (successful response)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t)} {
					got := s.LoginBoth(t, u)
					if got.Access.Raw == got.Refresh.Raw {
						s.Fail(t, "the refresh token is the access token", "two different tokens", "the same one twice")
					}
					opens(t, s, got.Access)
				}
			},
		},
		{
			ID: "refresh-token-is-refused-at-the-doors", Task: 1, Needs: []string{"login-returns-both-tokens", "missing-token-is-refused"},
			Title: "A refresh token opens neither /profile nor /dashboard",
			Why:   "Who steals the long-lived token could use it as an access token for as long as it lives (OFBIZ-13493).",
			Ref:   "RFC 8725 §3.11 (explicit typing) and §2.8 (cross-JWT confusion)",
			Takes: beforeRefresh,
			Check: func(t require.TestingT, s *subject.Session) {
				got := s.LoginBoth(t, s.Cosmo())
				opens(t, s, got.Access)
				stayShut(t, s, got.Refresh, "a refresh token opened %s")
				if _, err := forge.Decode(got.Refresh.Raw); err == nil {
					stayShut(t, s, forged(forge.ReplaceHeader(got.Refresh.Raw, s.Decode(t, got.Access).Header), "a refresh token under the header of an access token"), "a refresh token opened %s under another header")
				}
				var next probe.Token // of a server that gives one with each refresh
				if a := s.Post(t, "/refresh", subject.Bearer(s.LoginBoth(t, s.Cosmo()).Refresh)); a.Status == http.StatusOK && a.Text("refresh_token") != "" {
					next = forged(a.Text("refresh_token"), "the refresh token that /refresh gave cosmo")
					stayShut(t, s, next, "a refresh token that came from a refresh opened %s")
				}
				// Near its end it has no longer to live than an access token, and
				// is none all the same.
				s.Advance(t, beforeRefresh(s.Settings))
				opens(t, s, s.Login(t, s.Cosmo()).Access)
				stayShut(t, s, got.Refresh, "a refresh token opened %s in its last minutes")
				if next.Raw != "" {
					stayShut(t, s, next, "a refresh token that came from a refresh opened %s in its last minutes")
				}
			},
		},
		{
			ID: "refresh-returns-an-access-token", Task: 2, Needs: []string{"login-returns-both-tokens"},
			Title: "POST /refresh with the refresh token answers 200 and an access token that works",
			Why:   "The user stays logged in, and the password stays out of the browser's memory.",
			Ref:   "RFC 6749 §6 (refreshing an access token)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t)} {
					got := s.LoginBoth(t, u)
					a := s.Post(t, "/refresh", subject.Bearer(got.Refresh)).Is(t, http.StatusOK, "a good refresh token is refused")
					a.JSONBody(t, "/refresh is not answered in JSON").HasSome(t, "access_token", "/refresh gave no access token")
					fresh := forged(a.Text("access_token"), "the access token that /refresh gave "+u.Username)
					if fresh.Raw == got.Access.Raw || fresh.Raw == got.Refresh.Raw {
						s.Fail(t, "/refresh gives back a token that there was already", "a new access token", "an old one")
					}
					own(t, s.Get(t, "/profile", subject.Bearer(fresh)), u)
					own(t, s.Get(t, "/dashboard", subject.Bearer(fresh)), u)
					again := s.LoginBoth(t, u) // and not once only
					for range 6 {
						again = s.Refresh(t, again)
					}
					typo := subject.User{Username: u.Username, Password: "typo-" + u.Password}
					s.Post(t, "/login", typo.Credentials()).Is(t, http.StatusUnauthorized, "a wrong password is accepted")
					s.Post(t, "/refresh", subject.Bearer(again.Refresh)).Is(t, http.StatusOK, "a refresh token is refused once somebody has tried to log in with a wrong password")
					one, two := s.LoginBoth(t, u), s.LoginBoth(t, u)
					s.Refresh(t, two)
					s.Post(t, "/refresh", subject.Bearer(one.Refresh)).Is(t, http.StatusOK, "a refresh token is refused once the same user has logged in again elsewhere")
					s.Post(t, "/refresh", subject.Bearer(s.LoginBoth(t, u).Refresh), subject.Body(`{"no":`)).
						Is(t, http.StatusOK, "a body that is not asked for breaks /refresh", http.StatusBadRequest, http.StatusUnsupportedMediaType)
					s.Post(t, "/refresh", subject.Bearer(s.LoginBoth(t, u).Refresh), subject.Body(`{"no":"`+strings.Repeat("a", 1<<20+64<<10)+`"}`)).
						Is(t, http.StatusRequestEntityTooLarge, "a body of more than 1 MiB breaks /refresh", http.StatusOK, http.StatusBadRequest, http.StatusUnsupportedMediaType)
				}
			},
		},
		{
			ID: "new-access-token-expires-later", Task: 2, Needs: []string{"refresh-returns-an-access-token"},
			Title: "The new access token expires later than the old one",
			Why:   "A refresh that copies the old exp renews nothing: the user is logged out on time, politely.",
			Ref:   "RFC 6749 §1.5 (refresh token)",
			Takes: aMoment,
			Check: func(t require.TestingT, s *subject.Session) {
				got := s.LoginBoth(t, s.Cosmo())
				old, _ := s.Decode(t, got.Access).Time("exp")
				s.Advance(t, aMoment(s.Settings))
				fresh := s.Decode(t, s.Refresh(t, got).Access)
				if exp, ok := fresh.Time("exp"); !ok || !exp.After(old) {
					s.Fail(t, "the refreshed access token does not expire later than the old one", "an exp after "+old.UTC().Format(time.DateTime), `"exp":`+show(fresh.Claims["exp"]))
				}
			},
		},
		{
			ID: "refreshed-token-is-like-the-first", Task: 2, Needs: []string{"new-access-token-expires-later", "access-token-lives-its-ttl"},
			Title: "The new access token says what the first one said, and lives AccessTTL from now",
			Why:   "A second place that makes tokens is a second place to forget iss, aud or exp.",
			Ref:   "RFC 9068 §2.2 (data structure)",
			Takes: aMoment,
			Check: func(t require.TestingT, s *subject.Session) {
				got := s.LoginBoth(t, s.Cosmo())
				first := s.Decode(t, got.Access)
				s.Advance(t, aMoment(s.Settings))
				next := s.Refresh(t, got)
				second, third := s.Decode(t, next.Access), s.Decode(t, s.Refresh(t, next).Access)
				wantLife(t, s, second, s.Settings.AccessTTL, "the refreshed access token does not live AccessTTL from now")
				if iat, ok := second.Time("iat"); !ok || !within(iat, s.Now(), slack(s)) {
					s.Fail(t, "the iat of the refreshed access token is not the time of the refresh", fmt.Sprintf(`"iat":%d`, s.Now().Unix()), `"iat":`+show(second.Claims["iat"]))
				}
				for _, claim := range []string{"sub", "iss", "aud"} {
					if show(first.Claims[claim]) != show(second.Claims[claim]) {
						s.Fail(t, claim+" changes when a token is refreshed", `"`+claim+`":`+show(first.Claims[claim]), `"`+claim+`":`+show(second.Claims[claim]))
					}
				}
				if second.Text("jti") == "" || second.Text("jti") == first.Text("jti") {
					s.Fail(t, "the refreshed token has no jti of its own", `"jti": another one`, `"jti":`+show(second.Claims["jti"]))
				}
				if third.Text("jti") == second.Text("jti") {
					s.Fail(t, "two refreshes give tokens of one jti", `"jti": another one`, `"jti":`+show(third.Claims["jti"]))
				}
				wantExpiresIn(t, s, s.Post(t, "/refresh", subject.Bearer(s.LoginBoth(t, s.Cosmo()).Refresh)))
				for _, wish := range yearsWanted(s) {
					greedy := s.Post(t, "/refresh?"+wish.query, subject.Bearer(s.LoginBoth(t, s.Cosmo()).Refresh), subject.JSON(wish.body), wish.headers).
						Is(t, http.StatusOK, "a refresh with unknown fields is neither done nor a bad request", http.StatusBadRequest)
					if greedy.Status == http.StatusOK {
						wantLife(t, s, s.Decode(t, forged(greedy.Text("access_token"), "")), s.Settings.AccessTTL, "a client can choose how long its refreshed token lives")
					}
				}
				if secret := s.Settings.Secret; len(secret) > 0 && first.Verifies(secret) && !second.Verifies(secret) {
					s.Fail(t, "the refreshed token is not signed with the configured secret", "a signature that verifies under it", "one that does not")
				}
			},
		},
		{
			ID: "refresh-works-after-the-access-token", Task: 2, Needs: []string{"new-access-token-expires-later"},
			Title: "/refresh needs no living access token",
			Why:   "It is when the access token has expired that a client comes here. Behind the guard of the access token nobody could.",
			Ref:   "RFC 6749 §1.5 (refresh token, figure 2)",
			Set:   apart,
			Takes: betweenLives,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				got := s.LoginBoth(t, u)
				s.Advance(t, betweenLives(s.Settings))
				if betweenLives(s.Settings) > s.Settings.AccessTTL+leeway {
					s.Get(t, "/profile", subject.Bearer(got.Access)).Is(t, http.StatusUnauthorized, "an expired access token opens /profile")
				}
				a := s.Post(t, "/refresh", subject.Bearer(got.Refresh)).Is(t, http.StatusOK, "a good refresh token is refused once the access token has expired")
				own(t, s.Get(t, "/profile", subject.Bearer(forged(a.Text("access_token"), "the access token that /refresh gave "+u.Username))), u)
			},
		},
		{
			ID: "refresh-token-lives-its-ttl", Task: 2, Needs: []string{"refresh-returns-an-access-token"},
			Title: "A refresh token works until RefreshTTL is over",
			Why:   "A refresh token that dies with the access token saves nobody a login.",
			Ref:   "RFC 6749 §1.5 (refresh token)",
			Set: func(c *lessons.Settings) {
				c.RefreshTTL *= 2 // longer than one that is written into the code
				c.SessionTTL = max(c.SessionTTL, c.RefreshTTL)
			},
			Takes: beforeRefresh,
			Check: func(t require.TestingT, s *subject.Session) {
				got := s.LoginBoth(t, s.Cosmo())
				s.Advance(t, beforeRefresh(s.Settings))
				s.Post(t, "/refresh", subject.Bearer(got.Refresh)).Is(t, http.StatusOK, "a refresh token is refused before RefreshTTL is over")
			},
		},
		{
			ID: "every-token-keeps-secrets", Task: 2, Needs: []string{"refresh-returns-an-access-token", "token-keeps-secrets"},
			Title: "Nothing private is in the refresh token, nor in a refreshed one",
			Why:   "Two more places where a token is made are two more places to put too much into it.",
			Ref:   "RFC 7519 §12 (privacy considerations)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				got := s.LoginBoth(t, u)
				answer := s.Post(t, "/refresh", subject.Bearer(got.Refresh)).Is(t, http.StatusOK, "a good refresh token is refused")
				keptOut(t, s, answer, "the answer of /refresh holds the password, its hash or the secret", append(append(s.Hashes(), u.Password, "argon2id"), spellings(s.Settings.Secret)...))
				got = s.LoginBoth(t, u)
				next := s.Refresh(t, got)
				for _, token := range []probe.Token{next.Access, got.Refresh, next.Refresh} {
					keepsSecrets(t, s, u, readable(token.Raw))
				}
				for _, access := range []probe.Token{got.Access, next.Access} {
					for _, long := range []probe.Token{got.Refresh, next.Refresh} {
						if whole := readable(access.Raw); strings.Contains(whole, long.Raw) {
							s.Fail(t, "an access token holds a refresh token: whoever finds the short-lived one has the other", "an access token without it", whole)
						}
					}
				}
				keepsOutOfTheLog(t, s, got.Access, got.Refresh, next.Access, next.Refresh)
			},
		},
		{
			ID: "refresh-answer-is-not-cacheable", Task: 2, Needs: []string{"refresh-returns-an-access-token"},
			Title: "The answer of /refresh has Cache-Control: no-store",
			Why:   "Whoever finds the answer in a cache is logged in.",
			Ref:   "RFC 6749 §5.1 (Cache-Control: no-store)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := s.LoginBoth(t, s.Cosmo())
				for range 2 { // and each answer, not the first one only
					a := s.Post(t, "/refresh", subject.Bearer(got.Refresh)).Is(t, http.StatusOK, "a good refresh token is refused").
						NoStore(t, "an answer that carries a token may be cached")
					if next := a.Text("refresh_token"); next != "" {
						got.Refresh = forged(next, "the refresh token that /refresh gave cosmo")
					}
				}
			},
		},
		{
			ID: "user-comes-from-the-refresh-token", Task: 2, Needs: []string{"refresh-returns-an-access-token"},
			Title: "The new token is for the user of the refresh token, whoever else is named",
			Why:   "If the name is taken from the expired access token beside it, Jerry refreshes himself into Tom, whose old token he found in a log (WebGoat, JWT refresh).",
			Ref:   "RFC 6749 §1.5 (refresh token: it represents the authorization granted)",
			Check: func(t require.TestingT, s *subject.Session) {
				tom, jerry := s.Cosmo(), s.NewUser(t)
				jerrys := s.LoginBoth(t, jerry)
				query, named := url.Values{}, map[string]any{"access_token": jerrys.Access.Raw}
				for _, name := range []string{"username", "user", "sub", "subject", "name", "login", "uid", "account"} {
					query.Set(name, jerry.Username)
					named[name] = jerry.Username
				}
				if jerry.ID != 0 { // known
					query.Set("id", fmt.Sprint(jerry.ID))
					query.Set("user_id", fmt.Sprint(jerry.ID))
					named["id"], named["user_id"] = jerry.ID, jerry.ID
				}
				for _, way := range []subject.Option{
					subject.JSON(named),
					subject.Form(query.Encode()),
					subject.Header("X-Access-Token", jerrys.Access.Raw),
					subject.Header("X-User", jerry.Username),
					subject.Header("Cookie", "access_token="+jerrys.Access.Raw+"; username="+jerry.Username),
				} {
					a := s.Post(t, "/refresh?"+query.Encode(), subject.Bearer(s.LoginBoth(t, tom).Refresh), way).
						Is(t, http.StatusOK, "a good refresh token is refused", http.StatusBadRequest, http.StatusUnsupportedMediaType)
					if a.Status == http.StatusOK {
						own(t, s.Get(t, "/profile", subject.Bearer(forged(a.Text("access_token"), "what /refresh gave "+tom.Username+", who named "+jerry.Username+" beside his refresh token"))), tom)
					}
				}
				users := slices.Repeat([]subject.User{tom, jerry}, 4)
				var requests []probe.Request
				for _, u := range users {
					requests = append(requests, subject.Request(http.MethodPost, "/refresh", subject.Bearer(s.LoginBoth(t, u).Refresh)))
				}
				for i, a := range s.Crowd(t, requests) {
					if a.Status >= 500 {
						continue // whether a crowded database is the server's fault is for lesson 13 to ask
					}
					a.Is(t, http.StatusOK, "a good refresh token is refused while others refresh")
					own(t, s.Get(t, "/profile", subject.Bearer(forged(a.Text("access_token"), "what /refresh gave "+users[i].Username+", while others refreshed"))), users[i])
				}
			},
		},
		{
			ID: "refresh-without-a-token-is-refused", Task: 3, Needs: []string{"refresh-returns-an-access-token"},
			Title: `/refresh without a token: 401 {"msg":"` + missingHeader + `"}`,
			Why:   "A token service that gives to whoever brings nothing is a login without a password.",
			Ref:   "RFC 6750 §3 (WWW-Authenticate)",
			Check: func(t require.TestingT, s *subject.Session) {
				refreshing(t, s, s.Cosmo())
				s.Post(t, "/refresh").RefusedSaying(t, missingHeader, "/refresh gives a token to whoever brings none").
					Challenges(t, "", "a 401 carries no Bearer challenge").
					JSONBody(t, "a refusal of /refresh is not answered in JSON")
				noRefresh(t, s, "/refresh takes a name for a token", subject.JSON(map[string]string{"username": "cosmo"}))
				got := s.LoginBoth(t, s.Cosmo())
				for _, bad := range []probe.Token{forged(forge.Tamper(got.Refresh.Raw), "with one character changed"), got.Access} {
					if a := s.Post(t, "/refresh", subject.Bearer(bad)); a.Status == http.StatusUnauthorized {
						a.Challenges(t, "", "a 401 to a bad refresh token carries no Bearer challenge")
					}
				}
			},
		},
		{
			ID: "refusal-of-refresh-stands-alone", Task: 3, Needs: []string{"refresh-without-a-token-is-refused"},
			Title: "Nothing follows a refusal of /refresh, least of all a token",
			Why:   "Who answers 401 and forgets to return answers twice: once to the eye, and once with a token.",
			Ref:   "CWE-698 (execution after redirect)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := refreshing(t, s, s.Cosmo())
				s.Post(t, "/refresh").Alone(t)
				for _, bad := range []probe.Token{forged(forge.Tamper(got.Refresh.Raw), "with one character changed"), got.Access} {
					s.Post(t, "/refresh", subject.Bearer(bad)).Alone(t)
				}
				// In a session of its own: to a server that knows sessions by one half of the
				// token and compares the other, what was changed is a token of old.
				refreshing(t, s, s.Cosmo())
			},
		},
		{
			ID: "refresh-refuses-odd-headers", Task: 3, Needs: []string{"refusal-of-refresh-stands-alone"},
			Title: "A header that is no bearer token is refused at /refresh, too, and nothing breaks",
			Why:   "A second place that reads the header is a second place to cut it at the seventh letter.",
			Ref:   "RFC 6750 §2.1 (Authorization request header field) and §3.1 (error codes)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := refreshing(t, s, s.Cosmo())
				raw := got.Refresh.Raw
				for _, header := range append(slices.Clone(oddHeaders), "Basic "+raw, "Token "+raw, "Digest "+raw, raw, "Bearer"+raw) {
					malformed(t, s.Post(t, "/refresh", subject.Authorization(header, forged("", ""))), "/refresh does not refuse a strange Authorization header")
				}
				s.Refresh(t, got)
			},
		},
		{
			ID: "refresh-token-in-the-query-is-refused", Task: 3, Needs: []string{"refresh-without-a-token-is-refused"},
			Title: "A refresh token in the query refreshes nothing",
			Why:   "A URL is in every log on the way, and this token lives long.",
			Ref:   "RFC 6750 §5.3 (summary of recommendations), RFC 9700 §4.3.2 (access token in browser history)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := refreshing(t, s, s.Cosmo())
				for _, name := range []string{"refresh_token", "access_token", "token", "jwt"} {
					s.Post(t, "/refresh?"+name+"="+got.Refresh.Raw).Refused(t, "/refresh takes a token from the query")
				}
				s.Post(t, "/refresh", subject.Header("X-Refresh-Token", got.Refresh.Raw)).Refused(t, "/refresh takes a token from another header than Authorization")
				s.Post(t, "/refresh", subject.Header("Cookie", "refresh_token="+got.Refresh.Raw)).Refused(t, "/refresh takes a token from a cookie")
				s.Refresh(t, got)
			},
		},
		{
			ID: "refresh-is-by-post-only", Task: 3, Needs: []string{"refresh-returns-an-access-token"},
			Title: "GET /refresh gives no token",
			Why:   "GET is for reading: browsers prefetch it, proxies repeat it, links trigger it.",
			Ref:   "RFC 9110 §9.2.1 (safe methods)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := refreshing(t, s, s.Cosmo())
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete} {
					a := s.Do(t, subject.Request(method, "/refresh", subject.Bearer(got.Refresh)))
					if a.Status < 400 || a.Status >= 500 {
						s.Fail(t, method+" /refresh is not refused", probe405, a.Summary())
					}
				}
			},
		},
		{
			ID: "access-token-is-refused-at-refresh", Task: 3, Needs: []string{"refresh-returns-an-access-token"},
			Title: "An access token is refused at /refresh",
			Why:   "An access token that can refresh itself never dies: fifteen minutes of a thief become a year.",
			Ref:   "RFC 8725 §3.11 (explicit typing) and §2.8 (cross-JWT confusion)",
			Set:   func(c *lessons.Settings) { c.RefreshTTL = c.AccessTTL }, // how long it lives is no mark
			Takes: pastAccess,
			Check: func(t require.TestingT, s *subject.Session) {
				s.Post(t, "/refresh", subject.Bearer(s.LoginBoth(t, s.Cosmo()).Refresh)).
					Is(t, http.StatusOK, "a refresh token is refused where it is to live as long as an access token")
				access := s.LoginBoth(t, s.Cosmo()).Access
				noRefresh(t, s, "/refresh takes an access token", subject.Bearer(access))
				noRefresh(t, s, "/refresh takes an access token that came from a refresh", subject.Bearer(refreshing(t, s, s.Cosmo()).Access))
				s.Advance(t, pastAccess(s.Settings))
				refreshing(t, s, s.Cosmo())
				noRefresh(t, s, "/refresh takes an access token that has expired", subject.Bearer(access))
			},
		},
		{
			ID: "tampered-refresh-token-is-refused", Task: 3, Needs: []string{"refresh-returns-an-access-token"},
			Title: "A refresh token that was changed or forged is refused",
			Why:   "One verification per route, or the second is the one that is forgotten.",
			Ref:   "RFC 6749 §10.4 (refresh tokens: cannot be generated, modified or guessed)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := refreshing(t, s, s.Cosmo())
				raw := got.Refresh.Raw
				claim := "/refresh takes a refresh token that was changed"
				noRefresh(t, s, claim, subject.Bearer(forged(forge.Tamper(raw), "with one character changed")))
				noRefresh(t, s, claim, subject.Bearer(forged(raw[:max(0, len(raw)-4)], "without its end")))
				noRefresh(t, s, claim, subject.Bearer(forged("x"+raw, "with a character before it")))
				noRefresh(t, s, claim, subject.Bearer(forged(raw+"x", "with a character after it")))
				if honest, err := forge.Decode(raw); err == nil {
					claim = "/refresh takes a refresh token that was forged"
					noRefresh(t, s, claim, subject.Bearer(forged(forge.TamperSignature(raw), "with a changed signature")))
					noRefresh(t, s, claim, subject.Bearer(forged(forge.ReplacePayload(raw, honest.With("sub", "grace").Claims), "with another sub")))
					noRefresh(t, s, claim, subject.Bearer(forged(honest.Sign("none", nil), "with alg none")))
					noRefresh(t, s, claim, subject.Bearer(forged(honest.Sign(honest.Alg(), nil), "signed with the empty key")))
					noRefresh(t, s, claim, subject.Bearer(forged(honest.Sign(honest.Alg(), []byte("secret")), "signed with another key")))
					s.Refresh(t, got) // what anybody can write ends nothing
				}
			},
		},
		{
			ID: "opaque-refresh-token-is-random", Task: 3, Needs: []string{"tampered-refresh-token-is-refused"},
			Title: "A refresh token that is no JWT is long and random",
			Why:   "A number that counts up, the time, or the hash of a name: who knows how your tokens are made makes one, and needs no password for it.",
			Ref:   "RFC 6749 §10.10 (credentials-guessing attacks), OWASP Session Management Cheat Sheet (Session ID Entropy)",
			Takes: constant(time.Second),
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				first := s.LoginBoth(t, u)
				_, err := forge.Decode(first.Refresh.Raw)
				raws := []string{first.Refresh.Raw}
				if err != nil {
					unguessable(t, s, first)
				}
				// One that is a name, a date and a MAC is the same within a second, and right.
				s.Advance(t, time.Second)
				if err == nil {
					return // its signature is what cannot be guessed
				}
				for range 5 {
					got := s.LoginBoth(t, u)
					unguessable(t, s, got)
					raws = append(raws, got.Refresh.Raw)
				}
				if got := bits(raws); got < fewestBits {
					s.Fail(t, "refresh tokens differ from each other in too little", fmt.Sprintf("%d random bits or more", fewestBits), fmt.Sprintf("%.0f at most: %s, then %s", got, raws[0], raws[1]))
				}
				if s.Controlled() { // a name of the same length, so that nothing else changes
					other := s.AddUser(t, swapFirst(u.Username), somethingElse)
					for _, forgery := range renamed(first.Refresh.Raw, u.Username, other.Username) {
						noRefresh(t, s, "/refresh takes a refresh token in which somebody has written another name", subject.Bearer(forged(forgery, "with "+other.Username+" in place of "+u.Username)))
					}
					refreshing(t, s, u)
					// The same program at the same hour under another secret, for a MAC is
					// nobody's who does not know it.
					one := s.Cosmo()
					s.Replace(t, nil)
					before := s.LoginBoth(t, one)
					s.Replace(t, func(c *lessons.Settings) { c.Secret = []byte(somethingElse + "-" + somethingElse) })
					if after := s.LoginBoth(t, one); after.Refresh.Raw == before.Refresh.Raw {
						s.Fail(t, "a server that starts again gives the refresh tokens that it gave before", "random bytes, seeded by nothing that anybody knows", "twice "+after.Refresh.Raw)
					}
				}
			},
		},
		{
			ID: "expired-refresh-token-is-refused", Task: 3, Needs: []string{"refresh-token-lives-its-ttl"},
			Title: "A refresh token is refused after RefreshTTL",
			Why:   "The longest-lived key to the account must not be an eternal one.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh tokens expire)",
			Takes: pastRefresh,
			Check: func(t require.TestingT, s *subject.Session) {
				got, used := refreshing(t, s, s.Cosmo()), s.LoginBoth(t, s.Cosmo())
				s.Advance(t, aMoment(s.Settings))
				s.Refresh(t, used)
				s.Advance(t, pastRefresh(s.Settings)-aMoment(s.Settings))
				noRefresh(t, s, "/refresh takes an expired refresh token", subject.Bearer(got.Refresh))
				noRefresh(t, s, "a refresh token lives longer because it was used", subject.Bearer(used.Refresh))
				if honest, err := forge.Decode(got.Refresh.Raw); err == nil && len(s.Settings.Secret) > 0 && honest.Verifies(s.Settings.Secret) {
					// Now, for a server may know the end of each token by itself.
					endless := forged(honest.Without("exp").Sign(honest.Alg(), s.Settings.Secret), "signed, and without exp")
					noRefresh(t, s, "/refresh takes a refresh token that never expires", subject.Bearer(endless))
				}
				refreshing(t, s, s.Cosmo())
			},
		},
		{
			ID: "foreign-refresh-token-is-refused", Task: 3,
			Needs: []string{"tampered-refresh-token-is-refused", "expired-refresh-token-is-refused", "another-algorithm-is-refused", "another-issuer-is-refused", "another-audience-is-refused", "token-of-tomorrow-is-refused"},
			Title: "A refresh token that is a JWT is judged like one: issuer, audience, algorithm and dates",
			Why:   "A second verification that leaves out what the first one checks is the one that an attacker uses.",
			Ref:   "RFC 7519 §4.1.3 (aud), §4.1.4 (exp) and §4.1.5 (nbf), RFC 8725 §3.1 (algorithm) and §3.8 (issuer)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := refreshing(t, s, s.Cosmo())
				honest, err := forge.Decode(got.Refresh.Raw)
				if err != nil || len(s.Settings.Secret) == 0 || !honest.Verifies(s.Settings.Secret) {
					return // opaque, or under a key of its own: nobody can forge one
				}
				claim := "/refresh takes a signed refresh token "
				for _, change := range []struct {
					claim string
					value any
				}{
					{"iss", "https://evil.example"}, {"aud", "https://newsletter.example"},
					{"exp", s.Now().Add(-leeway - time.Minute).Unix()}, {"nbf", s.Now().Add(leeway + time.Minute).Unix()},
				} {
					if _, there := honest.Claims[change.claim]; there || change.claim == "nbf" {
						how := "with the " + change.claim + " " + show(change.value)
						noRefresh(t, s, claim+how, subject.Bearer(forged(honest.With(change.claim, change.value).Sign(honest.Alg(), s.Settings.Secret), how)))
					}
				}
				signed := func(how string, token forge.Token) {
					noRefresh(t, s, claim+how, subject.Bearer(forged(token.Sign(honest.Alg(), s.Settings.Secret), how)))
				}
				for name := range honest.Claims {
					switch name {
					case "iss", "aud":
						signed("without "+name, honest.Without(name))
					case "exp": // null is none, and a table may hold the dates
						signed("with the exp 0", honest.With("exp", 0))
						signed(`with the exp "never"`, honest.With("exp", "never"))
					}
				}
				for _, alg := range forge.HMACs {
					if alg != honest.Alg() {
						noRefresh(t, s, claim+"of another algorithm", subject.Bearer(forged(honest.Sign(alg, s.Settings.Secret), "signed with "+alg)))
					}
				}
				s.Refresh(t, got)
				if honest.Claims["sub"] == nil {
					return
				}
				for how, change := range map[string]func(forge.Token) forge.Token{
					"without sub":           func(own forge.Token) forge.Token { return own.Without("sub") },
					"with a number for sub": func(own forge.Token) forge.Token { return own.With("sub", 7) },
				} {
					odd := change(s.Decode(t, s.LoginBoth(t, s.Cosmo()).Refresh))
					a := s.Post(t, "/refresh", subject.Bearer(forged(odd.Sign(honest.Alg(), s.Settings.Secret), how)))
					if a.Status != http.StatusOK {
						a.Refused(t, claim+how)
						continue
					}
					// Whose session it is may stand in a table.
					own(t, s.Get(t, "/profile", subject.Bearer(forged(a.Text("access_token"), "what /refresh gave for a refresh token "+how))), s.Cosmo())
				}
			},
		},
		{
			ID: "deleted-user-cannot-refresh", Task: 3, Needs: []string{"refresh-returns-an-access-token"},
			Title: "The refresh token of a user who no longer exists is refused",
			Why:   "Otherwise an account that was closed goes on giving itself new tokens.",
			Ref:   "OWASP ASVS 5.0 §7.4.2 (end all sessions of a deleted user)",
			Check: func(t require.TestingT, s *subject.Session) {
				s.NeedsDeletion()
				stays, goes := s.NewUser(t), s.NewUser(t)
				staying, going := refreshing(t, s, stays), refreshing(t, s, goes)
				s.DeleteUser(t, goes)
				noRefresh(t, s, "/refresh gives a token to a user who no longer exists", subject.Bearer(going.Refresh))
				s.Refresh(t, staying)
			},
		},
	}
}

// fewestBits is what a token that is looked up must have at the very least. Lesson 13
// asks for more; a UUID is enough here.
const fewestBits = 64

// bits is how many bits an attacker who knows these tokens has to guess of another
// one, at most: as many as the places hold in which they differ.
func bits(tokens []string) float64 {
	shortest := len(tokens[0])
	seen := map[byte]bool{}
	for _, t := range tokens {
		shortest = min(shortest, len(t))
	}
	differ := 0
	for i := range shortest {
		here := map[byte]bool{}
		for _, t := range tokens {
			here[t[i]] = true
		}
		if len(here) > 1 {
			differ++
			for c := range here {
				seen[c] = true
			}
		}
	}
	for _, alphabet := range []int{10, 16, 32, 36, 64} {
		if len(seen) <= alphabet {
			return float64(differ) * math.Log2(float64(alphabet))
		}
	}
	return float64(differ) * 8
}

// unguessable wants a refresh token that nobody can work out from what anybody knows:
// who logged in, when, as the how-manieth, and the access token beside it.
func unguessable(t require.TestingT, s *subject.Session, got subject.Tokens) {
	raw := got.Refresh.Raw
	jti := s.Decode(t, got.Access).Text("jti")
	name, id, now := got.User.Username, fmt.Sprint(got.User.ID), s.Now()
	known := map[string]string{
		"the jti of the access token": jti, "the access token": got.Access.Raw, "the username": name, "the user's id": id,
		"the time": fmt.Sprint(now.Unix()), "the time in nanoseconds": fmt.Sprint(now.UnixNano()),
	}
	for _, between := range []string{"", ":", "-", ".", "|"} {
		known["the username and the time, with "+show(between)+" between them"] = name + between + fmt.Sprint(now.Unix())
		known["the username and the time in nanoseconds, with "+show(between)+" between them"] = name + between + fmt.Sprint(now.UnixNano())
		known["the username and the id, with "+show(between)+" between them"] = name + between + id
		for n := range 20 {
			known[fmt.Sprintf("the username and the number %d, with %s between them", n, show(between))] = name + between + fmt.Sprint(n)
		}
	}
	backwards := []byte(got.Access.Raw)
	slices.Reverse(backwards)
	if strings.Contains(got.Access.Raw, raw) || string(backwards) == raw {
		s.Fail(t, "a refresh token can be worked out by whoever has the access token", "random bytes", raw+": it is part of the access token, or that backwards")
	}
	for n := range 20 {
		known[fmt.Sprintf("the number %d", n)] = fmt.Sprint(n)
	}
	for what, text := range known {
		if text == "" {
			continue
		}
		all := sums(text)
		all["itself"] = []byte(text)
		for hash, sum := range all {
			for _, spelling := range append(spellings(sum), base64.StdEncoding.EncodeToString(sum), base64.URLEncoding.EncodeToString(sum)) {
				if strings.EqualFold(spelling, raw) {
					s.Fail(t, "a refresh token can be worked out by whoever knows how it is made", "random bytes", fmt.Sprintf("%s: it is %s (%s)", raw, what, hash))
				}
			}
		}
	}
}

// sums are the hashes of a text that come to mind, by their names.
func sums(text string) map[string][]byte {
	sha1, sha256, sha512, md5 := sha1.Sum([]byte(text)), sha256.Sum256([]byte(text)), sha512.Sum512([]byte(text)), md5.Sum([]byte(text))
	return map[string][]byte{"SHA-1": sha1[:], "SHA-256": sha256[:], "SHA-512": sha512[:], "MD5": md5[:]}
}

// swapFirst is a name of the same length that begins otherwise.
func swapFirst(name string) string {
	if name[0] == 'x' {
		return "y" + name[1:]
	}
	return "x" + name[1:]
}

// renamed are a token with another name in place of the one that can be read in it:
// as it is, in base64, or in hex. There is none where no name can be read.
func renamed(raw, from, to string) []string {
	var forgeries []string
	if strings.Contains(raw, from) {
		forgeries = append(forgeries, strings.ReplaceAll(raw, from, to))
	}
	for _, e := range []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.StdEncoding} {
		if plain, err := e.DecodeString(raw); err == nil && strings.Contains(string(plain), from) {
			forgeries = append(forgeries, e.EncodeToString([]byte(strings.ReplaceAll(string(plain), from, to))))
		}
	}
	if plain, err := hex.DecodeString(raw); err == nil && strings.Contains(string(plain), from) {
		forgeries = append(forgeries, hex.EncodeToString([]byte(strings.ReplaceAll(string(plain), from, to))))
	}
	return forgeries
}

const probe405 = "405 Method Not Allowed, or 404"
