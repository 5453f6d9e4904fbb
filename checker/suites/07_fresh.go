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

// newPassword is what a user's password is changed to.
func newPassword(u subject.User) string { return "new-" + u.Password }

// changePassword asks for another password and wants it done.
func changePassword(t require.TestingT, s *subject.Session, u *subject.User, token probe.Token) {
	next := newPassword(*u)
	s.Post(t, "/password", subject.Bearer(token), passwordChange(u.Password, next)).
		Is(t, http.StatusOK, "a change of the password by a fresh token is refused", http.StatusNoContent)
	u.Password = next
}

func passwordChange(current, next string) subject.Option {
	return subject.JSON(map[string]string{"current": current, "new": next})
}

// notFresh wants /password to refuse a token that is good and not fresh, and the
// password to be the old one still.
func notFresh(t require.TestingT, s *subject.Session, u subject.User, token probe.Token, claim string) {
	s.Get(t, "/profile", subject.Bearer(token)).Is(t, http.StatusOK, "a good access token does not open /profile")
	s.Post(t, "/password", subject.Bearer(token), passwordChange(u.Password, newPassword(u))).
		RefusedSaying(t, "Fresh token required", claim).
		Challenges(t, "", "a 401 carries no Bearer challenge")
	canLogIn(t, s, u)
}

// reauthenticated asks for a fresh token and wants one.
func reauthenticated(t require.TestingT, s *subject.Session, u subject.User, token probe.Token) probe.Token {
	a := s.Post(t, "/reauth", subject.Bearer(token), subject.JSON(map[string]string{"password": u.Password})).
		Is(t, http.StatusOK, "/reauth with the right password is refused")
	a.HasSome(t, "access_token", "/reauth gave no access token")
	return probe.Token{Raw: a.Text("access_token"), What: "the access token that /reauth gave " + u.Username}
}

// somebody is a user whose password a step may change. At a URL it may not.
func somebody(t require.TestingT, s *subject.Session) subject.User {
	u := s.NewUser(t)
	return s.AddUser(t, u.Username+"-07", u.Password)
}

func pastFreshness(c lessons.Settings) time.Duration { return c.FreshFor + leeway + time.Second }

// soonStale and longFresh change how long a token is fresh: whoever has written five
// minutes into the code is wrong at one of them.
func soonStale(c *lessons.Settings) { c.FreshFor = (c.FreshFor / 2).Truncate(time.Second) }

func longFresh(c *lessons.Settings) { c.FreshFor = min(2*c.FreshFor, c.AccessTTL) }

func beforeStale(c lessons.Settings) time.Duration { return max(0, c.FreshFor-2*time.Second) }

// overlong makes a body of more than 1 MiB, by no more than servers read to the end.
var overlong = strings.Repeat("a", 1<<20+64<<10)

// noObjects are bodies in which there is no JSON object.
var noObjects = []string{`{"current":`, "null", "[]", `"x"`, "7", ""}

// registered are the claims of RFC 7519 §4.1: none of them says how a token was
// come by.
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}

func fresh() []grade.Step {
	return []grade.Step{
		{
			ID: "fresh-token-changes-the-password", Task: 2, Needs: []string{"refresh-returns-a-new-pair"},
			Title: "POST /password with a fresh token and the current password sets the new one",
			Why:   "The change is what everything else here protects. It must work first.",
			Ref:   "OWASP ASVS 5.0 §6.2.3 (a change requires the current and the new password)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				old := u
				tokens := s.LoginBoth(t, u)
				changePassword(t, s, &u, tokens.Access)
				canLogIn(t, s, u)
				refusedLogin(t, s, old, "the old password still opens the account")
			},
		},
		{
			ID: "refreshed-token-is-not-fresh", Task: 1, Needs: []string{"fresh-token-changes-the-password"},
			Title: `A refreshed token at /password: 401 {"msg":"Fresh token required"}`,
			Why:   "Whoever finds an open laptop can refresh for hours. With the password they could change the lock; so they are asked for it.",
			Ref:   "RFC 9470 §3 (authentication requirements challenge), OWASP ASVS 5.0 §7.5.1 (full re-authentication)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				first := s.LoginBoth(t, u)
				second := rotated(t, s, first)
				notFresh(t, s, u, second.Access, "a refreshed token changes the password")
				s.Post(t, "/password", subject.Bearer(second.Access), passwordChange("wrong", newPassword(u))).
					RefusedSaying(t, "Fresh token required", "a token that is not fresh is told whether a password is the right one")
				third := rotated(t, s, second)
				notFresh(t, s, u, third.Access, "a token that was refreshed twice changes the password")
				changePassword(t, s, &u, s.LoginBoth(t, u).Access)
			},
		},
		{
			ID: "freshness-ends", Task: 1, Needs: []string{"fresh-token-changes-the-password"},
			Title: "A fresh token is fresh for FreshFor and not longer",
			Why:   "The token of this morning's login is as good as a found one by noon.",
			Ref:   "RFC 9470 §3 (authentication requirements challenge: max_age), OpenID Connect Core §3.1.2.1 (authentication request: max_age)",
			Set:   soonStale,
			Takes: pastFreshness,
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens := s.LoginBoth(t, u)
				s.Advance(t, pastFreshness(s.Settings))
				notFresh(t, s, u, tokens.Access, fmt.Sprintf("a token of a login %v ago changes the password, although freshness lasts %v", pastFreshness(s.Settings), s.Settings.FreshFor))
				s.Post(t, "/password", subject.Bearer(tokens.Access), passwordChange("wrong", newPassword(u))).
					RefusedSaying(t, "Fresh token required", "a token that is no longer fresh is told whether a password is the right one")
				again := s.LoginBoth(t, u)
				notFresh(t, s, u, tokens.Access, "a token that is no longer fresh is fresh again after another login of its user")
				changePassword(t, s, &u, again.Access)
			},
		},
		{
			ID: "fresh-until-freshness-ends", Task: 1, Needs: []string{"fresh-token-changes-the-password"},
			Title: "Until then it is fresh",
			Why:   "A freshness of a few seconds asks people for their password while they type it.",
			Ref:   "RFC 9470 §3 (authentication requirements challenge: max_age)",
			Set:   longFresh,
			Takes: beforeStale,
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens := s.LoginBoth(t, u)
				s.Advance(t, beforeStale(s.Settings))
				s.Post(t, "/password", subject.Bearer(tokens.Access), passwordChange(u.Password, newPassword(u))).
					Is(t, http.StatusOK, fmt.Sprintf("a token of a login %v ago is refused, although freshness lasts %v", beforeStale(s.Settings), s.Settings.FreshFor), http.StatusNoContent)
			},
		},
		{
			ID: "absent-fresh-means-no", Task: 1, Needs: []string{"refreshed-token-is-not-fresh", "freshness-ends"},
			Title: "A token that does not say that it is fresh is not",
			Why:   "The tokens that were issued before this feature say nothing. If nothing means yes, all of them are fresh.",
			Ref:   "RFC 7519 §4 (JWT claims: which must be there, the application says)",
			Takes: pastFreshness,
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				secret := s.Secret(t)
				login := s.LoginBoth(t, u)
				refreshed := s.Decode(t, rotated(t, s, s.LoginBoth(t, u)).Access)
				changes := map[string]probe.Token{
					"without fresh": forged(refreshed.Without("fresh").Sign(refreshed.Alg(), secret), "a refreshed token without its fresh"),
				}
				values := []any{nil, "false", "", 0}
				if s.Decode(t, login.Access).Claims["fresh"] == true {
					// Where that is the word for it, nothing else is. (Another server may
					// write a time, or a number, and means something by it.)
					values = append(values, "true", "yes", 1, "1", map[string]any{}, []any{}, []any{true}, map[string]any{"fresh": true})
				}
				for _, value := range values {
					changes["with fresh "+show(value)] = forged(refreshed.With("fresh", value).Sign(refreshed.Alg(), secret), "a refreshed token with the fresh "+show(value))
				}
				for claim := range refreshed.Claims {
					if !slices.Contains(registered, claim) {
						changes["without "+claim] = forged(refreshed.Without(claim).Sign(refreshed.Alg(), secret), "a refreshed token without its "+claim)
					}
				}
				for how, token := range changes {
					a := s.Post(t, "/password", subject.Bearer(token), passwordChange(u.Password, newPassword(u)))
					a.Is(t, http.StatusUnauthorized, "a token "+how+" changes the password")
				}
				// Nor does a token become fresh again by not saying when it was fresh.
				s.Advance(t, pastFreshness(s.Settings))
				notFresh(t, s, u, login.Access, "a token of a login of long ago changes the password")
				stale := s.Decode(t, login.Access)
				for claim := range stale.Claims {
					token := forged(stale.Without(claim).Sign(stale.Alg(), secret), "the token of a login that is no longer fresh, without its "+claim)
					s.Post(t, "/password", subject.Bearer(token), passwordChange(u.Password, newPassword(u))).
						Is(t, http.StatusUnauthorized, "a token that is no longer fresh changes the password without its "+claim)
				}
				changePassword(t, s, &u, s.LoginBoth(t, u).Access)
			},
		},
		{
			ID: "password-needs-the-current-one", Task: 2, Needs: []string{"fresh-token-changes-the-password"},
			Title: "A wrong current password is refused, 400, 401 or 403, and nothing changes",
			Why:   "A token can be stolen within its five minutes. The password cannot be stolen with it.",
			Ref:   "OWASP ASVS 5.0 §6.2.3 (a change requires the current and the new password)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens, phone := s.LoginBoth(t, u), s.LoginBoth(t, u)
				for _, current := range []string{"wrong", u.Password + " ", s.Cosmo().Password} {
					refusedPassword(t, s.Post(t, "/password", subject.Bearer(tokens.Access), passwordChange(current, newPassword(u))), "a wrong current password changes the password")
				}
				spared(t, s, phone, "a change of the password that was refused, for a wrong current one, has ended another session of the user")
				canLogIn(t, s, u)
				changePassword(t, s, &u, tokens.Access)
			},
		},
		{
			ID: "password-fields-are-checked", Task: 2, Needs: []string{"fresh-token-changes-the-password"},
			Title: "A missing, empty or mistyped current or new is answered 400 and named",
			Why:   "An account whose password has become empty is open.",
			Ref:   "OWASP ASVS 5.0 §2.2.1 (input validation)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens, phone := s.LoginBoth(t, u), s.LoginBoth(t, u)
				for _, bad := range []struct {
					body  credentials
					field string
				}{
					{credentials{"current": u.Password}, "new"}, {credentials{"current": u.Password, "new": ""}, "new"}, {credentials{"current": u.Password, "new": 7}, "new"},
					{credentials{"new": "x-" + u.Password}, "current"}, {credentials{"new": "x-" + u.Password, "current": ""}, "current"},
				} {
					s.Post(t, "/password", subject.Bearer(tokens.Access), bad.body.option()).
						Is(t, http.StatusBadRequest, "a change without a proper "+bad.field+" is not a bad request").
						HasObject(t, "error", bad.field, "a bad request does not name the field that is wrong")
				}
				for _, body := range noObjects {
					s.Post(t, "/password", subject.Bearer(tokens.Access), subject.Body(body)).
						Is(t, http.StatusBadRequest, "a body that is no JSON object is not a bad request")
				}
				s.Post(t, "/password", subject.Bearer(tokens.Access), passwordChange(u.Password, overlong)).
					Is(t, http.StatusRequestEntityTooLarge, "a body of more than 1 MiB is read")
				spared(t, s, phone, "a change of the password that was a bad request has ended another session of the user")
				canLogIn(t, s, u)
				changePassword(t, s, &u, tokens.Access)
			},
		},
		{
			ID: "new-password-counts-whole", Task: 2, Needs: []string{"fresh-token-changes-the-password"},
			Title: "The new password is the one that was sent: with its spaces, its capitals and its last byte",
			Why:   "A form that trims or cuts what is to be the password locks out whoever types it as they chose it, or lets in whoever types less.",
			Ref:   "OWASP ASVS 5.0 §6.2.8 (the password is verified exactly as received: no truncation, no change of case)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, chosen := range []struct{ next, near string }{
					{" Two Spaces %s ", "Two Spaces %s"}, {"In CAPITALS %s", "in capitals %s"},
					{strings.Repeat("long and ", 8) + "%s, end", strings.Repeat("long and ", 8) + "%s, and"},
					{strings.Repeat("long and ", 30) + "%s, end", strings.Repeat("long and ", 30) + "%s, and"},
					{"пароль %s", "король %s"}, {"with a zero %s\x00", "with a zero %s"}, {"with a line's end %s\n", "with a line's end %s"},
				} {
					u := somebody(t, s)
					tokens := s.LoginBoth(t, u)
					next := fmt.Sprintf(chosen.next, u.Username)
					a := s.Post(t, "/password", subject.Bearer(tokens.Access), passwordChange(u.Password, next)).
						Is(t, http.StatusNoContent, "a change of the password by a fresh token is neither done nor a bad request", http.StatusOK, http.StatusBadRequest)
					if a.Status == http.StatusBadRequest {
						canLogIn(t, s, u) // some ask for more of a password; none takes it for another
						continue
					}
					u.Password = next
					s.Post(t, "/login", u.Credentials()).Is(t, http.StatusOK, "the new password does not log in as it was sent to /password")
					near := subject.User{Username: u.Username, Password: fmt.Sprintf(chosen.near, u.Username)}
					refusedLogin(t, s, near, "a password that is nearly the new one logs in")
				}
			},
		},
		{
			ID: "password-wants-a-token", Task: 2, Needs: []string{"fresh-token-changes-the-password"},
			Title: "Without an access token nobody changes a password",
			Why:   "The current password alone would make /password a second /login, without its care.",
			Ref:   "RFC 6750 §3.1 (error codes)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens := s.LoginBoth(t, u)
				body := passwordChange(u.Password, newPassword(u))
				s.Post(t, "/password", body).RefusedSaying(t, missingHeader, "/password works without a token").
					Challenges(t, "", "a 401 carries no Bearer challenge")
				named := subject.JSON(map[string]string{"username": u.Username, "current": u.Password, "new": newPassword(u)})
				s.Post(t, "/password", named).Is(t, http.StatusUnauthorized, "/password works without a token, by a name", http.StatusBadRequest)
				s.Post(t, "/password", body, subject.Bearer(tokens.Refresh)).Refused(t, "/password takes a refresh token")
				s.Post(t, "/password", body, subject.Bearer(forged(forge.TamperSignature(tokens.Access.Raw), "with a changed signature"))).
					Refused(t, "/password takes a forged token")
				left := s.LoginBoth(t, u)
				for _, token := range borrowed(t, s, tokens.Access) {
					s.Post(t, "/password", body, subject.Bearer(token)).Refused(t, "/password takes a token "+token.What)
				}
				logsOut(t, s, "/logout", left.Access, "a logout with a good access token is refused")
				s.Post(t, "/password", body, subject.Bearer(left.Access)).Refused(t, "/password takes a fresh token of a session that was logged out")
				canLogIn(t, s, u)
				changePassword(t, s, &u, tokens.Access)
			},
		},
		{
			ID: "password-is-changed-for-the-tokens-user", Task: 2, Needs: []string{"fresh-token-changes-the-password"},
			Title: "Nobody can change somebody else's password",
			Why:   "A username in the body is what somebody says, not who they are (OWASP API1:2023).",
			Ref:   "RFC 7519 §4.1.2 (sub: the principal that the token is about)",
			Check: func(t require.TestingT, s *subject.Session) {
				mallory, victim := somebody(t, s), somebody(t, s)
				tokens := s.LoginBoth(t, mallory)
				s.Post(t, "/password?username="+victim.Username, subject.Bearer(tokens.Access), subject.JSON(map[string]string{
					"username": victim.Username, "user": victim.Username, "current": mallory.Password, "new": "taken-over-" + mallory.Password,
				})).Is(t, http.StatusOK, "a change with unknown fields is neither done nor a bad request", http.StatusNoContent, http.StatusBadRequest)
				canLogIn(t, s, victim)
				refusedLogin(t, s, subject.User{Username: victim.Username, Password: "taken-over-" + mallory.Password}, "somebody has changed another user's password")

				var users []subject.User
				for range 8 {
					users = append(users, somebody(t, s))
				}
				var requests []probe.Request
				for i, tokens := range s.LoginAll(t, users) {
					requests = append(requests, subject.Request(http.MethodPost, "/password", subject.Bearer(tokens.Access), passwordChange(users[i].Password, newPassword(users[i]))))
				}
				for i, a := range s.Crowd(t, requests) {
					a.Is(t, http.StatusNoContent, "a change of the password is refused while others change theirs", http.StatusOK)
					users[i].Password = newPassword(users[i])
					s.Post(t, "/login", users[i].Credentials()).Is(t, http.StatusOK, "who changed the password while others did cannot log in with the new one")
				}
			},
		},
		{
			ID: "changed-password-ends-other-sessions", Task: 2, Needs: []string{"fresh-token-changes-the-password"},
			Title: "Changing the password ends every other session of the user, and only those",
			Why:   "People change their password because somebody else has it. If that somebody stays logged in, the change has changed nothing.",
			Ref:   "OWASP ASVS 5.0 §7.4.3 (end other sessions after a change of the password)",
			Takes: func(c lessons.Settings) time.Duration { return beforeRefresh(c) + time.Second },
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				waits := s.LoginBoth(t, u)
				s.Advance(t, halfRefresh(s.Settings)) // its access token has expired where that lives less long
				thief, owner, other := s.LoginBoth(t, u), s.LoginBoth(t, u), s.LoginBoth(t, s.NewUser(t))
				settled := rotated(t, s, s.LoginBoth(t, u))
				s.Advance(t, time.Second)
				later := s.LoginBoth(t, u)
				changePassword(t, s, &u, owner.Access)
				gone(t, s, thief, "of another session after the password was changed")
				gone(t, s, later, "of another session after the password was changed in one that is older")
				gone(t, s, settled, "of another session, which had refreshed, after the password was changed")
				spared(t, s, owner, "the session that has changed the password has ended with it")
				spared(t, s, other, "a change of the password has ended a session of another user")
				// A login in the same second is no old one.
				spared(t, s, s.LoginBoth(t, u), "a session that was begun after a change of the password is not good")
				gone(t, s, thief, "of another session after the password was changed, once the user has logged in again")
				noRefresh(t, s, "/refresh takes a refresh token of an old session after the password was changed", subject.Bearer(waits.Refresh))
				s.Advance(t, beforeRefresh(s.Settings)-halfRefresh(s.Settings))
				noRefresh(t, s, "/refresh takes a refresh token of another session some time after the password was changed", subject.Bearer(thief.Refresh))

				// A change to the password that there is may be refused. If it is done, it is one.
				phone, mine := s.LoginBoth(t, u), s.LoginBoth(t, u)
				if a := s.Post(t, "/password", subject.Bearer(mine.Access), passwordChange(u.Password, u.Password)); a.Status < 300 {
					gone(t, s, phone, "of another session after the password was changed to what it was")
					spared(t, s, mine, "the session that has changed the password to what it was has ended with it")
				}
			},
		},
		{
			ID: "reauth-gives-a-fresh-token", Task: 3, Needs: []string{"refreshed-token-is-not-fresh"},
			Title: "POST /reauth with an access token and the password answers 200 and a fresh access token",
			Why:   "To ask for the password once more is enough. To throw people out and let them in again loses what they were doing.",
			Ref:   "RFC 9470 §4 (authorization request after a challenge)",
			Takes: pastFreshness,
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens := s.LoginBoth(t, u)
				s.Advance(t, pastFreshness(s.Settings)) // freshness counts from the /reauth, not from the login
				refreshed := rotated(t, s, tokens)
				notFresh(t, s, u, refreshed.Access, "a refreshed token changes the password")
				stepped := reauthenticated(t, s, u, refreshed.Access)
				own(t, s.Get(t, "/profile", subject.Bearer(stepped)), u)
				first, second := s.Decode(t, refreshed.Access), s.Decode(t, stepped)
				wantLife(t, s, second, s.Settings.AccessTTL, "the access token of /reauth does not live AccessTTL from now")
				if jti := second.Text("jti"); jti == "" || jti == first.Text("jti") {
					s.Fail(t, "the access token of /reauth has no jti of its own", `"jti": another one`, `"jti":`+show(second.Claims["jti"]))
				}
				s.Post(t, "/reauth", subject.Bearer(refreshed.Access), subject.JSON(map[string]string{"password": u.Password})).
					NoStore(t, "an answer that carries a token may be cached")
				changePassword(t, s, &u, stepped)
			},
		},
		{
			ID: "reauth-makes-only-its-token-fresh", Task: 3, Needs: []string{"reauth-gives-a-fresh-token", "freshness-ends"},
			Title: "After a /reauth the token that was sent is no fresher, nor is one that is refreshed; the new one is fresh for FreshFor",
			Why:   "A step-up that lifts the whole session lifts whoever has a copy of an older token, too. They only have to wait for it.",
			Ref:   "RFC 9470 §3 (authentication requirements challenge: max_age), RFC 9068 §2.2.1 (auth_time of refreshed tokens)",
			Takes: pastFreshness,
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				first := s.LoginBoth(t, u)
				refreshed := rotated(t, s, first)
				stepped := reauthenticated(t, s, u, refreshed.Access)
				notFresh(t, s, u, refreshed.Access, "the token that was sent to /reauth is fresh itself afterwards")
				again := rotated(t, s, refreshed)
				notFresh(t, s, u, again.Access, "a token that was refreshed after a /reauth is fresh")
				s.Advance(t, pastFreshness(s.Settings))
				notFresh(t, s, u, stepped, fmt.Sprintf("a token of a /reauth %v ago changes the password, although freshness lasts %v", pastFreshness(s.Settings), s.Settings.FreshFor))
				second := reauthenticated(t, s, u, again.Access)
				notFresh(t, s, u, first.Access, "a token of a login of long ago is fresh again after a /reauth")
				notFresh(t, s, u, stepped, "a token of an earlier /reauth is fresh again after another one")
				changePassword(t, s, &u, second)
			},
		},
		{
			ID: "reauth-wants-the-password", Task: 3, Needs: []string{"reauth-gives-a-fresh-token"},
			Title: "Without the right password /reauth gives nothing",
			Why:   "A step-up that asks for nothing is a door with a bell and no lock.",
			Ref:   "OWASP ASVS 5.0 §7.5.1 (full re-authentication before sensitive changes)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				refreshed := rotated(t, s, s.LoginBoth(t, u))
				for _, body := range []credentials{{"password": "wrong"}, {"password": u.Password + "\x00"}, {"password": ""}, {}, {"password": nil}, {"password": true}} {
					a := s.Post(t, "/reauth", subject.Bearer(refreshed.Access), body.option())
					refusedPassword(t, a, "/reauth succeeds without the password")
					a.HasNone(t, "access_token", "a refusal of /reauth carries a token")
				}
				for _, body := range noObjects {
					a := s.Post(t, "/reauth", subject.Bearer(refreshed.Access), subject.Body(body))
					refusedPassword(t, a, "/reauth succeeds without the password")
					a.HasNone(t, "access_token", "a refusal of /reauth carries a token")
				}
				s.Post(t, "/reauth", subject.Bearer(refreshed.Access), credentials{"password": overlong}.option()).
					Is(t, http.StatusRequestEntityTooLarge, "a body of more than 1 MiB is read")
				reauthenticated(t, s, u, refreshed.Access)
			},
		},
		{
			ID: "reauth-is-for-the-same-user", Task: 3, Needs: []string{"reauth-gives-a-fresh-token"},
			Title: "/reauth is for the token's user only, whoever else is named",
			Why:   "With a username in the body it is a login that keeps the other's session: two people in one.",
			Ref:   "RFC 7519 §4.1.2 (sub: the principal that the token is about)",
			Check: func(t require.TestingT, s *subject.Session) {
				u, other := s.NewUser(t), s.NewUser(t)
				refreshed := rotated(t, s, s.LoginBoth(t, u))
				a := s.Post(t, "/reauth", subject.Bearer(refreshed.Access), subject.JSON(map[string]string{"username": other.Username, "password": other.Password}))
				refusedPassword(t, a, "/reauth takes another user's password")
				a = s.Post(t, "/reauth?username="+other.Username, subject.Bearer(refreshed.Access), subject.JSON(map[string]string{"username": other.Username, "user": other.Username, "password": u.Password})).
					Is(t, http.StatusOK, "/reauth with unknown fields is neither done nor a bad request", http.StatusBadRequest)
				if a.Status == http.StatusOK {
					own(t, s.Get(t, "/profile", subject.Bearer(forged(a.Text("access_token"), "what /reauth gave "+u.Username+", who named "+other.Username))), u)
				}
				users := slices.Repeat([]subject.User{u, other}, 4)
				var requests []probe.Request
				for i, tokens := range s.LoginAll(t, users) {
					requests = append(requests, subject.Request(http.MethodPost, "/reauth", subject.Bearer(tokens.Access), credentials{"password": users[i].Password}.option()))
				}
				for i, a := range s.Crowd(t, requests) {
					a.Is(t, http.StatusOK, "/reauth with the right password is refused while others give theirs")
					own(t, s.Get(t, "/profile", subject.Bearer(forged(a.Text("access_token"), "what /reauth gave "+users[i].Username+", while others gave their passwords"))), users[i])
				}
			},
		},
		{
			ID: "reauth-wants-an-access-token", Task: 3, Needs: []string{"reauth-gives-a-fresh-token"},
			Title: "/reauth without a good access token is refused: with none, a refresh token, one that has expired or was logged out",
			Why:   "It confirms a session. Where there is none, or none any more, /login is the door.",
			Ref:   "RFC 6750 §3.1 (error codes)",
			Takes: pastAccess,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				tokens := s.LoginBoth(t, u)
				body := subject.JSON(map[string]string{"username": u.Username, "password": u.Password})
				s.Post(t, "/reauth", body).RefusedSaying(t, missingHeader, "/reauth works without a token").
					Challenges(t, "", "a 401 carries no Bearer challenge")
				left := s.LoginBoth(t, u)
				logsOut(t, s, "/logout", left.Access, "a logout with a good access token is refused")
				for what, bad := range map[string]probe.Token{
					"a refresh token": tokens.Refresh, "a token of a session that was logged out": left.Access,
					"a forged token": forged(forge.TamperSignature(tokens.Access.Raw), "with a changed signature"),
				} {
					s.Post(t, "/reauth", body, subject.Bearer(bad)).Refused(t, "/reauth takes "+what).
						HasNone(t, "access_token", "a refusal of /reauth carries a token")
				}
				for _, token := range borrowed(t, s, tokens.Access) {
					s.Post(t, "/reauth", body, subject.Bearer(token)).Refused(t, "/reauth takes a token "+token.What).
						HasNone(t, "access_token", "a refusal of /reauth carries a token")
				}
				reauthenticated(t, s, u, tokens.Access)
				s.Advance(t, pastAccess(s.Settings))
				s.Post(t, "/reauth", body, subject.Bearer(tokens.Access)).Refused(t, "/reauth takes a token that has expired").
					HasNone(t, "access_token", "a refusal of /reauth carries a token")
				reauthenticated(t, s, u, s.LoginBoth(t, u).Access)
			},
		},
		{
			ID: "reauth-keeps-the-session", Task: 3, Needs: []string{"reauth-gives-a-fresh-token", "changed-password-ends-other-sessions"},
			Title: "The fresh token belongs to the session that there was",
			Why:   "If each step-up begins a session, its end moves on with it, and a logout leaves the other one open.",
			Ref:   "OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens := s.LoginBoth(t, u)
				stepped := reauthenticated(t, s, u, tokens.Access)
				opens(t, s, stepped)
				logsOut(t, s, "/logout", tokens.Access, "a logout with a good access token is refused")
				stayShut(t, s, stepped, "the token of a /reauth opens %s after its session was logged out")

				tokens = s.LoginBoth(t, u)
				stepped = reauthenticated(t, s, u, tokens.Access)
				logsOut(t, s, "/logout", stepped, "a logout with the token of a /reauth is refused")
				gone(t, s, tokens, "of a session that was logged out by the token of its /reauth")

				tokens = s.LoginBoth(t, u)
				others := reauthenticated(t, s, u, s.LoginBoth(t, u).Access)
				changePassword(t, s, &u, reauthenticated(t, s, u, tokens.Access))
				spared(t, s, tokens, "the session that has changed the password by a token of /reauth has ended with it")
				stayShut(t, s, others, "the token of a /reauth in another session opens %s after the password was changed")
			},
		},
		{
			ID: "changed-password-counts-at-once", Task: 3, Needs: []string{"reauth-keeps-the-session", "reauth-wants-the-password", "password-needs-the-current-one"},
			Title: "After a change the session that made it is asked for the new password, and the old one is none any more",
			Why:   "A hash that was kept at the login goes on taking the old password, which is the one that somebody else has.",
			Ref:   "OWASP ASVS 5.0 §6.2.3 (a change requires the current and the new password)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				old, tokens := u, s.LoginBoth(t, u)
				changePassword(t, s, &u, reauthenticated(t, s, u, tokens.Access))
				a := s.Post(t, "/reauth", subject.Bearer(tokens.Access), credentials{"password": old.Password}.option())
				refusedPassword(t, a, "/reauth takes the old password after it was changed")
				stepped := reauthenticated(t, s, u, tokens.Access)
				a = s.Post(t, "/password", subject.Bearer(stepped), passwordChange(old.Password, newPassword(u)))
				refusedPassword(t, a, "/password takes the old password for the current one after it was changed")
				changePassword(t, s, &u, stepped)
				canLogIn(t, s, u)
			},
		},
		{
			ID: "reauth-does-not-extend-the-session", Task: 3, Needs: []string{"reauth-gives-a-fresh-token"},
			Title: "However often the password is given again, a session ends SessionTTL after the login",
			Why:   "An end that moves with each step-up is none.",
			Ref:   "OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime)",
			Set:   shortSessions,
			Takes: chainTime,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				tokens := s.LoginBoth(t, u)
				var since time.Duration
				for _, pause := range chain(s.Settings) {
					s.Advance(t, pause)
					since += pause
					a := s.Post(t, "/refresh", subject.Bearer(tokens.Refresh))
					if since > s.Settings.SessionTTL+leeway {
						a.Refused(t, fmt.Sprintf("a session whose password was given again goes on %v after its login, although it is to end after %v", since, s.Settings.SessionTTL))
					}
					if a.Status != http.StatusOK {
						continue
					}
					tokens.Refresh = probe.Token{Raw: a.Text("refresh_token"), What: "the refresh token of the last rotation"}
					access := probe.Token{Raw: a.Text("access_token"), What: "the access token of the last rotation"}
					if since < s.Settings.SessionTTL-2*time.Second {
						reauthenticated(t, s, u, access)
					}
				}
				reauthenticated(t, s, u, s.LoginBoth(t, u).Access)
			},
		},
		{
			ID: "password-routes-keep-secrets", Task: 3, Needs: []string{"reauth-gives-a-fresh-token", "password-needs-the-current-one"},
			Title: "No answer, token or line of the log holds a password that /password and /reauth were given, or a hash",
			Why:   "Whoever reads the log has all the passwords that are worth asking for twice.",
			Ref:   "OWASP ASVS 5.0 §16.2.5 (logging: no credentials), RFC 7519 §12 (privacy considerations)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := somebody(t, s)
				tokens := s.LoginBoth(t, u)
				wrong, next := "wrong-"+u.Password, newPassword(u)
				secrets := append(s.Hashes(), u.Password, "argon2id")
				answers := []*subject.Answer{
					s.Post(t, "/reauth", subject.Bearer(tokens.Access), credentials{"password": wrong}.option()),
					s.Post(t, "/reauth", subject.Bearer(tokens.Access), subject.Body(`{"password":"`+u.Password)),
					s.Post(t, "/password", subject.Bearer(tokens.Access), passwordChange(wrong, next)),
					s.Post(t, "/password", subject.Bearer(tokens.Access), credentials{"current": u.Password, "new": []string{next}}.option()),
				}
				a := s.Post(t, "/reauth", subject.Bearer(tokens.Access), credentials{"password": u.Password}.option()).
					Is(t, http.StatusOK, "/reauth with the right password is refused")
				stepped := forged(a.Text("access_token"), "the access token that /reauth gave "+u.Username)
				keepsSecrets(t, s, u, readable(stepped.Raw))
				answers = append(answers, a, s.Post(t, "/password", subject.Bearer(stepped), passwordChange(u.Password, next)).
					Is(t, http.StatusNoContent, "a change of the password by a fresh token is refused", http.StatusOK))
				for _, a := range answers {
					keptOut(t, s, a, "an answer holds a password, a hash or the secret", secrets)
				}
			},
		},
	}
}

// refusedPassword wants the refusal of a password beside a good token: 400, 401
// or 403.
func refusedPassword(t require.TestingT, a *subject.Answer, claim string) {
	a.Is(t, http.StatusUnauthorized, claim, http.StatusBadRequest, http.StatusForbidden)
}
