package suites

import (
	"fmt"
	"maps"
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

// rotated refreshes and wants a pair in which both tokens are new.
func rotated(t require.TestingT, s *subject.Session, old subject.Tokens) subject.Tokens {
	got := s.Refresh(t, old)
	if got.Refresh.Raw == old.Refresh.Raw {
		s.Fail(t, "/refresh gave no new refresh token", `200 {"access_token":…,"refresh_token": another one}`, "the old one, or none")
	}
	if got.Access.Raw == old.Access.Raw {
		s.Fail(t, "/refresh gave the old access token", `200 {"access_token": another one,"refresh_token":…}`, "the same one")
	}
	return got
}

// logsOut wants POST /logout to succeed: 200, 204, or a redirect by 303.
func logsOut(t require.TestingT, s *subject.Session, path string, token probe.Token, claim string) {
	s.Post(t, path, subject.Bearer(token)).Is(t, http.StatusNoContent, claim, http.StatusOK, http.StatusSeeOther)
}

// gone wants both tokens of a session to be refused.
func gone(t require.TestingT, s *subject.Session, tokens subject.Tokens, after string) {
	stayShut(t, s, tokens.Access, "an access token opens %s "+after)
	noRefresh(t, s, "/refresh takes a refresh token "+after, subject.Bearer(tokens.Refresh))
}

// logoutWins wants sessions to stay ended that are logged out, at that path, while they
// refresh. The last one only shows how long a refresh takes.
func logoutWins(t require.TestingT, s *subject.Session, path string, all []subject.Tokens) {
	s.Slow(t, true)
	refreshed := aside(t, s, path, all)
	s.Slow(t, false)
	for _, a := range refreshed {
		given := forged(a.Text("refresh_token"), "the refresh token of a refresh during which the session was ended by POST "+path)
		noRefresh(t, s, "/refresh takes a refresh token of a session that POST "+path+" ended while it refreshed", subject.Bearer(given))
	}
}

// aside logs sessions out at that path while they refresh, each a little later in its refresh
// than another, and returns the refreshes that went well all the same. The last of
// them only refreshes, to see how long it takes.
func aside(t require.TestingT, s *subject.Session, path string, all []subject.Tokens) (refreshed []*subject.Answer) {
	refresh := func(tokens subject.Tokens) *subject.Pending {
		return s.Begin(subject.Request(http.MethodPost, "/refresh", subject.Bearer(tokens.Refresh)))
	}
	// Six at a time: more would wait for each other where a server lets them through
	// one by one.
	sessions, atOnce := len(all)-1, 6
	alone, took := all[sessions], make([]time.Duration, 3)
	for i := range took {
		began := time.Now()
		a := refresh(alone).Answer(t).Is(t, http.StatusOK, "a good refresh token is refused")
		took[i] = time.Since(began)
		alone.Refresh = forged(a.Text("refresh_token"), "the refresh token that /refresh gave")
	}
	slices.Sort(took)
	takes := took[1] // a busy machine may hold one of them up
	for first := range sessions / atOnce {
		var refreshes, logouts []*subject.Pending
		began := time.Now()
		for i := range atOnce {
			refreshes = append(refreshes, refresh(all[first+i*sessions/atOnce]))
		}
		for i := range atOnce {
			session := first + i*sessions/atOnce
			for due := began.Add(takes * time.Duration(session) / time.Duration(sessions)); !refreshes[i].Within(0); {
				left := time.Until(due)
				if left <= 0 {
					break
				} else if left > 2*time.Millisecond {
					refreshes[i].Within(left - 2*time.Millisecond) // a timer may be a millisecond late
				}
			}
			logouts = append(logouts, s.Begin(subject.Request(http.MethodPost, path, subject.Bearer(all[session].Access))))
		}
		for i, logout := range logouts {
			a, ended := refreshes[i].Answer(t), logout.Answer(t)
			if path == "/logout-all" && a.Status == http.StatusOK && ended.Status == http.StatusUnauthorized {
				continue // the refresh came first, and with it the end of the access token before it
			}
			ended.Is(t, http.StatusNoContent, "POST "+path+" with a good access token is refused while the session refreshes", http.StatusOK, http.StatusSeeOther)
			if a.Status == http.StatusOK {
				refreshed = append(refreshed, a)
			}
		}
	}
	return refreshed
}

// alive wants a session to go on and returns its tokens.
func alive(t require.TestingT, s *subject.Session, tokens subject.Tokens) subject.Tokens {
	opens(t, s, tokens.Access)
	return rotated(t, s, tokens)
}

// spared wants a session to go on that has nothing to do with what was ended, and
// returns its tokens. The claim has the words for where it does not.
func spared(t require.TestingT, s *subject.Session, tokens subject.Tokens, claim string) subject.Tokens {
	for _, door := range doors {
		s.Get(t, door, subject.Bearer(tokens.Access)).Is(t, http.StatusOK, claim)
	}
	a := s.Post(t, "/refresh", subject.Bearer(tokens.Refresh)).Is(t, http.StatusOK, claim)
	given := func(field, what string) probe.Token {
		return forged(a.Text(field), "the "+what+" token that /refresh gave "+tokens.User.Username)
	}
	return subject.Tokens{User: tokens.User, Access: given("access_token", "access"), Refresh: given("refresh_token", "refresh")}
}

// borrowed are tokens that say what an access token of ours says, and that a server
// refuses for what else they are. Each is made with the server's secret, or with none.
func borrowed(t require.TestingT, s *subject.Session, token probe.Token) []probe.Token {
	honest, secret := s.Decode(t, token), s.Settings.Secret
	if len(secret) == 0 {
		return nil
	}
	all := []probe.Token{
		forged(honest.With("aud", "https://newsletter.example").Sign(honest.Alg(), secret), "for another audience"),
		forged(honest.With("iss", "https://evil.example").Sign(honest.Alg(), secret), "of another issuer"),
		forged(honest.Sign("none", nil), "with alg none"),
		forged(honest.Sign(honest.Alg(), nil), "signed with the empty key"),
	}
	for _, alg := range forge.HMACs {
		if alg != honest.Alg() {
			all = append(all, forged(honest.Sign(alg, secret), "signed with "+alg))
		}
	}
	return all
}

// ofItsOwn wants an opaque refresh token to be made of something that the access
// token beside it does not show: that one is sent with every request.
func ofItsOwn(t require.TestingT, s *subject.Session, pair subject.Tokens) {
	if _, err := forge.Decode(pair.Refresh.Raw); err == nil {
		return // its signature is what nobody can work out
	}
	shown := map[string]string{} // by the names of the claims
	for claim, value := range s.Decode(t, pair.Access).Claims {
		if text, ok := value.(string); ok && len(text) >= shortestCSRF { // a shorter one may be there by chance
			shown[claim] = text
		}
	}
	left, of := pair.Refresh.Raw, map[string]bool{}
	without := func(what, piece string) {
		if len(piece) >= shortestCSRF && strings.Contains(left, piece) {
			left, of[what] = strings.ReplaceAll(left, piece, ""), true
		}
	}
	for claim, text := range shown {
		without("the "+claim, text)
		for hash, sum := range sums(text) {
			for _, spelling := range spellings(sum) {
				without("the "+hash+" of the "+claim, spelling)
			}
		}
	}
	if len(of) > 0 && len(left) < shortestCSRF {
		s.Fail(t, "a refresh token can be worked out from the access token that is given with it", "random bytes of its own",
			pair.Refresh.Raw+": it is "+strings.Join(slices.Sorted(maps.Keys(of)), " and ")+" of that access token")
	}
}

// shortSessions lets a session end for good soon enough to be waited for.
func shortSessions(c *lessons.Settings) { c.SessionTTL = 3 * c.RefreshTTL }

// halfRefresh is when half of a refresh token's life is over.
func halfRefresh(c lessons.Settings) time.Duration { return (c.RefreshTTL / 2).Truncate(time.Second) }

// chain is the pauses between the refreshes that keep a session alive. The last
// but one ends just before the session, the last when it has ended for every
// right server.
func chain(c lessons.Settings) []time.Duration {
	step := max(time.Second, c.RefreshTTL/2).Truncate(time.Second)
	alive := c.SessionTTL - 2*time.Second
	var pauses []time.Duration
	if first := alive % step; first > 0 {
		pauses = append(pauses, first)
	}
	for range alive / step {
		pauses = append(pauses, step)
	}
	return append(pauses, leeway+3*time.Second)
}

// chainTime is how long that takes.
func chainTime(c lessons.Settings) time.Duration { return c.SessionTTL + leeway + time.Second }

func rotation() []grade.Step {
	return []grade.Step{
		{
			ID: "refresh-returns-a-new-pair", Task: 1, Needs: []string{"refresh-returns-an-access-token"},
			Title: "/refresh answers with a new access token and a new refresh token, time and again",
			Why:   "A refresh token that lives as long as the session is as good to a thief as the password. One that works once shows that it was stolen.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation), RFC 6749 §6 (refreshing an access token)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				tokens := s.LoginBoth(t, u)
				seen := map[string]bool{tokens.Refresh.Raw: true}
				for range 4 {
					tokens = rotated(t, s, tokens)
					if seen[tokens.Refresh.Raw] {
						s.Fail(t, "/refresh gave a refresh token that there was before", "another one each time", "one of the old ones")
					}
					seen[tokens.Refresh.Raw] = true
					own(t, s.Get(t, "/profile", subject.Bearer(tokens.Access)), u)
				}
			},
		},
		{
			ID: "used-refresh-token-is-refused", Task: 1, Needs: []string{"refresh-returns-a-new-pair"},
			Title: "A refresh token works once",
			Why:   "A rotation that leaves the old token good only adds tokens to steal.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: the previous refresh token is invalidated)",
			Takes: betweenLives,
			Check: func(t require.TestingT, s *subject.Session) {
				first, patient := s.LoginBoth(t, s.Cosmo()), s.LoginBoth(t, s.Cosmo())
				rotated(t, s, first)
				rotated(t, s, patient)
				noRefresh(t, s, "a refresh token works twice", subject.Bearer(first.Refresh)).
					Challenges(t, "", "a 401 to a used refresh token carries no Bearer challenge").Alone(t)
				s.Advance(t, betweenLives(s.Settings))
				noRefresh(t, s, "a refresh token works again some time after it was used", subject.Bearer(patient.Refresh))
				// Who counts rotations compares numbers: as words, "9" comes after "10".
				line := []subject.Tokens{s.LoginBoth(t, s.Cosmo())}
				for range 10 {
					line = append(line, rotated(t, s, line[len(line)-1]))
				}
				noRefresh(t, s, "a refresh token works twice in a session that was refreshed ten times", subject.Bearer(line[8].Refresh))
			},
		},
		{
			ID: "next-refresh-token-cannot-be-guessed", Task: 1, Needs: []string{"refresh-returns-a-new-pair"},
			Title: "Whoever has a refresh token cannot tell the next one, nor anybody else's",
			Why:   "If R1 ends in 1 and R2 in 2, a thief who has R1 waits until it was used and sends R2: first, and without a replay.",
			Ref:   "RFC 6749 §10.10 (credentials-guessing attacks), OWASP ASVS 5.0 §7.2.3 (reference tokens: at least 128 bits of entropy)",
			Check: func(t require.TestingT, s *subject.Session) {
				line := []subject.Tokens{s.LoginBoth(t, s.Cosmo())}
				var ofOne, ofMany []string
				for range 6 {
					line = append(line, rotated(t, s, line[len(line)-1]))
					ofOne = append(ofOne, line[len(line)-1].Refresh.Raw)
					ofMany = append(ofMany, s.LoginBoth(t, s.Cosmo()).Refresh.Raw)
				}
				for _, pair := range line[1:] {
					ofItsOwn(t, s, pair)
				}
				for what, tokens := range map[string][]string{"one session's": ofOne, "six logins'": ofMany} {
					if bits(tokens) < guessable {
						s.Fail(t, what+" refresh tokens differ in hardly anything: the next one can be guessed",
							"128 random bits, or a signature that nobody else can make", strings.Join(tokens[:3], ", ")+", …")
					}
				}
			},
		},
		{
			ID: "rotation-does-not-extend-the-session", Task: 1, Needs: []string{"refresh-returns-a-new-pair"},
			Title: "However often it is refreshed, a session ends SessionTTL after the login",
			Why:   "If each rotation counts from now, a stolen session that is used every day never ends.",
			Ref:   "OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime)",
			Set:   shortSessions,
			Takes: chainTime,
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := rotated(t, s, s.LoginBoth(t, s.Cosmo()))
				var since time.Duration
				for _, pause := range chain(s.Settings) {
					s.Advance(t, pause)
					since += pause
					a := s.Post(t, "/refresh", subject.Bearer(tokens.Refresh))
					switch {
					case since > s.Settings.SessionTTL+leeway:
						a.Refused(t, fmt.Sprintf("a session goes on %v after its login, although it is to end after %v", since, s.Settings.SessionTTL))
					case since < s.Settings.RefreshTTL-2*time.Second:
						a.Is(t, http.StatusOK, "a session ends before its time")
					default: // it may end with its first refresh token, or later
						a.Is(t, http.StatusOK, "a refresh is neither done nor refused", http.StatusUnauthorized)
					}
					if a.Status == http.StatusOK {
						tokens.Refresh = probe.Token{Raw: a.Text("refresh_token"), What: "the refresh token of the last rotation"}
						tokens.Access = probe.Token{Raw: a.Text("access_token"), What: "the access token of the last rotation"}
					}
				}
				stayShut(t, s, tokens.Access, "an access token opens %s after the end of its session")
				s.LoginBoth(t, s.Cosmo())
			},
		},
		{
			ID: "replay-ends-the-session", Task: 2, Needs: []string{"used-refresh-token-is-refused"},
			Title: "A refresh token that is used twice ends its session",
			Why:   "Either the thief comes second or the owner does, and nobody can tell. If only the second is refused, the thief who came first stays in.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: revoke the active refresh token)",
			Check: func(t require.TestingT, s *subject.Session) {
				first := s.LoginBoth(t, s.Cosmo())
				second := rotated(t, s, first)
				noRefresh(t, s, "a refresh token works twice", subject.Bearer(first.Refresh)).Alone(t)
				noRefresh(t, s, "a session goes on after one of its refresh tokens was used twice", subject.Bearer(second.Refresh))
				rotated(t, s, s.LoginBoth(t, s.Cosmo()))
			},
		},
		{
			ID: "replay-of-any-generation-ends-the-session", Task: 2, Needs: []string{"replay-ends-the-session"},
			Title: "That goes for every earlier token of the session, however old, and however late",
			Why:   "A server that remembers only the last one lets a thief wait for two rotations.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: the relationship is retained)",
			Set:   apart,
			Takes: times(2, beforeRefresh),
			Check: func(t require.TestingT, s *subject.Session) {
				for _, ago := range []int{4, 3, 2, 33} { // the last is more than a short list remembers
					line := []subject.Tokens{s.LoginBoth(t, s.Cosmo())}
					for range max(4, ago) {
						line = append(line, rotated(t, s, line[len(line)-1]))
					}
					newest := len(line) - 1
					noRefresh(t, s, "an old refresh token works again", subject.Bearer(line[newest-ago].Refresh)).Alone(t)
					noRefresh(t, s, fmt.Sprintf("a session goes on although the refresh token of %d rotations ago was used again", ago), subject.Bearer(line[newest].Refresh))
				}
				stolen := s.LoginBoth(t, s.Cosmo()) // after those that are gone, or whoever ends them all would be found here
				kept := rotated(t, s, stolen)
				// A thief may wait, as long as the token lives.
				s.Advance(t, halfRefresh(s.Settings))
				kept = rotated(t, s, kept)
				s.Advance(t, beforeRefresh(s.Settings)-halfRefresh(s.Settings))
				kept = rotated(t, s, kept)
				noRefresh(t, s, "an old refresh token works again some time later", subject.Bearer(stolen.Refresh))
				noRefresh(t, s, "a session goes on although a refresh token was used again some time after its rotation", subject.Bearer(kept.Refresh))
				s.Advance(t, beforeRefresh(s.Settings))
				noRefresh(t, s, "a session that has ended by a replay goes on some time later", subject.Bearer(kept.Refresh))
			},
		},
		{
			ID: "replay-spares-other-sessions", Task: 2, Needs: []string{"replay-ends-the-session"},
			Title: "A replay ends its own session and no other",
			Why:   "If a replay logs everybody out, one old token is a switch for the whole site.",
			Ref:   "RFC 9700 §4.14.2 (implementation note: the grant that a refresh token belongs to)",
			Check: func(t require.TestingT, s *subject.Session) {
				stolen := s.LoginBoth(t, s.Cosmo())
				others := []subject.Tokens{s.LoginBoth(t, s.Cosmo()), s.LoginBoth(t, s.NewUser(t))}
				rotated(t, s, stolen)
				noRefresh(t, s, "a refresh token works twice", subject.Bearer(stolen.Refresh))
				for _, o := range others {
					spared(t, s, o, "the replay of one session's token has ended another session")
				}
			},
		},
		{
			ID: "twenty-refreshes-at-once-have-one-winner", Task: 2, Needs: []string{"used-refresh-token-is-refused"},
			Title: "Of twenty refreshes at once with one token, one succeeds at most, and none is a 5xx",
			Why:   "Who looks first and writes later lets in all who looked before the first had written (a time-of-check to time-of-use race, CWE-367).",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Check: func(t require.TestingT, s *subject.Session) {
				for range 5 {
					tokens := s.LoginBoth(t, s.Cosmo())
					var requests []probe.Request
					for range 20 {
						requests = append(requests, subject.Request(http.MethodPost, "/refresh", subject.Bearer(tokens.Refresh)))
					}
					won := 0
					for _, a := range s.Crowd(t, requests) {
						if a.Status == http.StatusOK {
							won++
						} else if a.Status < 400 || a.Status >= 500 {
							a.Is(t, http.StatusUnauthorized, "a refresh token that is used twice at once is not refused as such")
						}
					}
					if won > 1 {
						s.Fail(t, "one refresh token worked several times at once", "one 200 at most", fmt.Sprintf("%d", won))
					}
				}
				rotated(t, s, s.LoginBoth(t, s.Cosmo()))
			},
		},
		{
			ID: "logout-ends-the-session", Task: 3, Needs: []string{"refresh-returns-a-new-pair"},
			Title: "After POST /logout the session's access and refresh tokens are refused",
			Why:   "A client that only forgets its tokens has told nobody. Whoever copied them is still in.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				first := s.LoginBoth(t, s.Cosmo())
				second := alive(t, s, first)
				third := rotated(t, s, second)
				logsOut(t, s, "/logout", second.Access, "a logout with a good access token is refused")
				for _, tokens := range []subject.Tokens{first, second, third} {
					gone(t, s, tokens, "of a session that was logged out")
				}
				for _, door := range doors {
					claim := "written otherwise, an access token of a session that was logged out opens " + door
					s.Get(t, door, subject.Authorization("bearer "+second.Access.Raw, second.Access)).Refused(t, claim)
					if raw, other := forge.Respell(second.Access.Raw); other {
						s.Get(t, door, subject.Bearer(forged(raw, "the same, whose last character has other bits where none count"))).Refused(t, claim)
					}
				}
			},
		},
		{
			ID: "logout-spares-other-sessions", Task: 3, Needs: []string{"logout-ends-the-session"},
			Title: "A logout ends one session, not the user's others, nor those to come",
			Why:   "A list of users who are logged out keeps them out: the next login gives tokens that are refused.",
			Ref:   "RFC 7009 §2.1 (revocation request)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				phone, laptop, other := s.LoginBoth(t, u), s.LoginBoth(t, u), s.LoginBoth(t, s.NewUser(t))
				logsOut(t, s, "/logout", phone.Access, "a logout with a good access token is refused")
				gone(t, s, phone, "of a session that was logged out")
				spared(t, s, laptop, "a logout has ended another session of the same user")
				spared(t, s, other, "a logout has ended a session of another user")
				spared(t, s, s.LoginBoth(t, u), "a session that was begun after a logout is not good")
			},
		},
		{
			ID: "logged-out-is-for-good", Task: 3, Needs: []string{"logout-ends-the-session"},
			Title: "A session that was logged out stays so for as long as its tokens live",
			Why:   "A list of dead tokens that forgets them too early brings them back to life: flask-jwt-extended's documentation keeps one for the access token's time, which is too short for a refresh token.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Takes: func(c lessons.Settings) time.Duration {
				return halfRefresh(c) + beforeRefresh(c) + 2*halfRefresh(c) + time.Second
			},
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := s.LoginBoth(t, s.Cosmo())
				// Rotated late, its tokens live longer than those of the login would have.
				s.Advance(t, halfRefresh(s.Settings))
				tokens = rotated(t, s, tokens)
				stays := s.LoginBoth(t, s.Cosmo())
				logsOut(t, s, "/logout", tokens.Access, "a logout with a good access token is refused")
				gone(t, s, tokens, "of a session that was logged out")
				s.Advance(t, beforeAccess(s.Settings))
				stayShut(t, s, tokens.Access, "an access token opens %s some time after its session was logged out")
				s.Advance(t, beforeRefresh(s.Settings)-beforeAccess(s.Settings))
				noRefresh(t, s, "/refresh takes a refresh token some time after its session was logged out", subject.Bearer(tokens.Refresh))
				rotated(t, s, stays)

				// A session outlives the first of its refresh tokens, if the server lets it.
				aged := s.LoginBoth(t, s.Cosmo())
				s.Advance(t, halfRefresh(s.Settings))
				aged = rotated(t, s, aged)
				s.Advance(t, halfRefresh(s.Settings)+time.Second)
				if a := s.Post(t, "/refresh", subject.Bearer(aged.Refresh)); a.Status == http.StatusOK {
					aged.Access, aged.Refresh = forged(a.Text("access_token"), "the access token of the last rotation"), forged(a.Text("refresh_token"), "the refresh token of the last rotation")
					logsOut(t, s, "/logout", aged.Access, "a logout with a good access token is refused")
					gone(t, s, aged, "of a session that was logged out later than RefreshTTL after its login")
				}
			},
		},
		{
			ID: "logout-wins-over-a-refresh", Task: 3, Needs: []string{"logout-ends-the-session"},
			Title: "What a refresh brings that was under way during the logout is refused",
			Why:   "A refresh that reads the session, and writes it back when the logout has been there, undoes it. A tab that refreshes by itself does so while its owner clicks on Log out.",
			Ref:   "CWE-367 (time-of-check to time-of-use race), OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				sessions := 72
				if !s.Controlled() {
					sessions = 12 // hashes are as dear as they are there, and nothing makes the race longer
				}
				all := s.LoginAll(t, slices.Repeat([]subject.User{s.Cosmo()}, sessions+1))
				logoutWins(t, s, "/logout", all)
				if s.Controlled() { // each of them is to end the sessions of somebody else
					var users []subject.User
					for range sessions/2 + 1 {
						users = append(users, s.NewUser(t))
					}
					logoutWins(t, s, "/logout-all", s.LoginAll(t, users))
				}
			},
		},
		{
			ID: "logout-needs-no-living-token", Task: 3, Needs: []string{"logout-ends-the-session"},
			Title: "POST /logout works with an access token that has expired",
			Why:   "Who closes the laptop at night and logs out in the morning has an expired access token and a living refresh token. \"Token has expired\" is no answer to \"let me out\".",
			Ref:   "RFC 7009 §2.2 (revocation response: an invalid token is no error)",
			Set:   apart,
			Takes: beforeRefresh,
			Check: func(t require.TestingT, s *subject.Session) {
				tokens, stays := s.LoginBoth(t, s.Cosmo()), s.LoginBoth(t, s.Cosmo())
				s.Advance(t, beforeRefresh(s.Settings)) // as long as there is anything to log out of
				logsOut(t, s, "/logout", tokens.Access, "a logout with an expired access token is refused")
				noRefresh(t, s, "/refresh takes a refresh token of a session that was logged out", subject.Bearer(tokens.Refresh))
				rotated(t, s, stays)
			},
		},
		{
			ID: "logout-twice-is-no-error", Task: 3, Needs: []string{"logout-ends-the-session"},
			Title: "A second logout succeeds like the first",
			Why:   "A client whose first answer was lost sends it again. What it wants is the case already.",
			Ref:   "RFC 7009 §2.2 (revocation response: an invalid token is no error)",
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := s.LoginBoth(t, s.Cosmo())
				logsOut(t, s, "/logout", tokens.Access, "a logout with a good access token is refused")
				logsOut(t, s, "/logout", tokens.Access, "a second logout is refused")
				gone(t, s, tokens, "of a session that was logged out twice")
				if !s.Controlled() {
					return
				}
				// With the account its sessions are gone: there is nothing to end, and
				// whether that is refused is free.
				u := s.NewUser(t)
				theirs := s.LoginBoth(t, u)
				s.DeleteUser(t, u)
				if a := s.Post(t, "/logout", subject.Bearer(theirs.Access)); a.Status >= 500 {
					s.Fail(t, "a logout after the account was deleted is a fault of the server's", "204, or 401", a.Summary())
				}
			},
		},
		{
			ID: "logout-is-by-post-only", Task: 3, Needs: []string{"logout-ends-the-session"},
			Title: "GET /logout logs nobody out",
			Why:   "An <img src=\"/logout\"> in a forum logs out whoever reads it; so does a browser that prefetches links.",
			Ref:   "RFC 9110 §9.2.1 (safe methods)",
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := s.LoginBoth(t, s.Cosmo())
				for _, path := range []string{"/logout", "/logout-all"} {
					a := s.Get(t, path, subject.Bearer(tokens.Access))
					if a.Status < 300 || a.Status >= 500 {
						s.Fail(t, "GET "+path+" is not refused", probe405, a.Summary())
					}
				}
				tokens = spared(t, s, tokens, "a GET of /logout or /logout-all has ended the session")
				for _, method := range []string{http.MethodHead, http.MethodOptions} { // these are safe, too
					for _, path := range []string{"/logout", "/logout-all"} {
						s.Do(t, subject.Request(method, path, subject.Bearer(tokens.Access)))
						tokens = spared(t, s, tokens, method+" "+path+" has ended the session")
					}
				}
				logsOut(t, s, "/logout", tokens.Access, "a logout with a good access token is refused")
			},
		},
		{
			ID: "logout-wants-a-token-of-ours", Task: 3, Needs: []string{"logout-ends-the-session"},
			Title: "A logout without a token, or with a forged one, is refused and ends nothing",
			Why:   "A logout that trusts what it cannot verify lets anybody log anybody out.",
			Ref:   "RFC 7009 §2.1 (revocation request: the server first validates)",
			Set:   apart,
			Takes: betweenLives,
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := s.LoginBoth(t, s.Cosmo())
				foreign := borrowed(t, s, tokens.Access)
				for _, token := range foreign {
					s.Post(t, "/logout", subject.Bearer(token)).Refused(t, "POST /logout takes a token "+token.What)
					s.Post(t, "/logout-all", subject.Bearer(token)).Refused(t, "POST /logout-all takes a token "+token.What)
				}
				old := tokens.Access
				s.Advance(t, betweenLives(s.Settings))
				for _, token := range foreign {
					s.Post(t, "/logout", subject.Bearer(token)).Refused(t, "POST /logout takes an expired token "+token.What)
				}
				s.Post(t, "/logout", subject.Bearer(forged(forge.TamperSignature(tokens.Access.Raw), "expired, and with a changed signature"))).
					Refused(t, "POST /logout takes a forged token that has expired")
				// To leave takes no living token. To put out everybody else takes one.
				if exp, ok := s.Decode(t, old).Time("exp"); ok && s.Now().After(exp.Add(leeway)) {
					s.Post(t, "/logout-all", subject.Bearer(old)).Refused(t, "POST /logout-all takes an access token that has expired")
				}
				tokens = rotated(t, s, tokens)
				for _, path := range []string{"/logout", "/logout-all"} {
					s.Post(t, path).RefusedSaying(t, missingHeader, "POST "+path+" without a token is not refused")
					s.Post(t, path, subject.Bearer(forged(forge.TamperSignature(tokens.Access.Raw), "with a changed signature"))).
						Refused(t, "POST "+path+" takes a forged token").
						Challenges(t, "", "a 401 of "+path+" carries no Bearer challenge")
				}
				tokens = spared(t, s, tokens, "a logout that was refused has ended a session")
				logsOut(t, s, "/logout", tokens.Access, "a logout with a good access token is refused")
			},
		},
		{
			ID: "logout-all-ends-every-session", Task: 4, Needs: []string{"logout-ends-the-session"},
			Title: "POST /logout-all ends all sessions of the user and nobody else's",
			Why:   "\"I have lost my phone\" is said on the laptop: the phone cannot be asked for its token.",
			Ref:   "OWASP ASVS 5.0 §7.5.2 (users terminate any or all of their sessions)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				phone, laptop, other := s.LoginBoth(t, u), alive(t, s, s.LoginBoth(t, u)), s.LoginBoth(t, s.NewUser(t))
				namesake := other
				if s.Controlled() {
					namesake = s.LoginBoth(t, s.AddUser(t, u.Username+"-2", "another-"+u.Password))
				}
				logsOut(t, s, "/logout-all", laptop.Access, "a logout-all with a good access token is refused")
				gone(t, s, phone, "after /logout-all")
				gone(t, s, laptop, "after /logout-all")
				if s.Controlled() {
					spared(t, s, namesake, "/logout-all has ended a session of another user, whose name begins in the same way")
				}
				spared(t, s, other, "/logout-all has ended a session of another user")
				// In the same second, too.
				back := spared(t, s, s.LoginBoth(t, u), "a session that was begun after /logout-all is not good")
				gone(t, s, phone, "after /logout-all, once its user has logged in again")
				s.Post(t, "/logout-all", subject.Bearer(laptop.Access)).Refused(t, "a token of a session that has ended can still log out all others")
				spared(t, s, back, "a token of a session that has ended has ended another session at /logout-all")
			},
		},
		{
			ID: "logged-out-everywhere-is-for-good", Task: 4, Needs: []string{"logout-all-ends-every-session"},
			Title: "Sessions that /logout-all has ended stay so for as long as their tokens live",
			Why:   "The lost phone lies in the grass until its access token has expired. Then it refreshes.",
			Ref:   "OWASP ASVS 5.0 §7.5.2 (users terminate any or all of their sessions)",
			Set:   apart,
			Takes: func(c lessons.Settings) time.Duration { return betweenLives(c) + beforeRefresh(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.AddUser(t, s.Cosmo().Username+"-06", s.Cosmo().Password)
				// Nobody has used these for a while: their access tokens have expired, and
				// they would begin with a refresh.
				away, theirs := s.LoginBoth(t, u), s.LoginBoth(t, s.Cosmo())
				s.Advance(t, betweenLives(s.Settings))
				phone, other := s.LoginBoth(t, u), s.LoginBoth(t, s.Cosmo())
				logsOut(t, s, "/logout-all", s.LoginBoth(t, u).Access, "a logout-all with a good access token is refused")
				gone(t, s, phone, "after /logout-all")
				noRefresh(t, s, "/refresh takes the refresh token of a session that slept through /logout-all: its access token had expired", subject.Bearer(away.Refresh))
				rotated(t, s, theirs)
				s.Advance(t, beforeAccess(s.Settings))
				stayShut(t, s, phone.Access, "an access token opens %s some time after /logout-all")
				s.Advance(t, beforeRefresh(s.Settings)-beforeAccess(s.Settings))
				noRefresh(t, s, "/refresh takes a refresh token some time after /logout-all", subject.Bearer(phone.Refresh))
				rotated(t, s, other)
			},
		},
		{
			ID: "session-routes-keep-secrets", Task: 4, Needs: []string{"logout-all-ends-every-session", "replay-ends-the-session"},
			Title: "No answer of the new routes and no line of the log holds a hash, a password or the secret",
			Why:   "The guard knows the whole user by now, and whoever logs all that it knows, logs the hash.",
			Ref:   "OWASP ASVS 5.0 §16.2.5 (logging: no credentials)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				secrets := append(s.Hashes(), u.Password, "argon2id")
				secrets = append(secrets, spellings(s.Settings.Secret)...)
				first, laptop := s.LoginBoth(t, u), s.LoginBoth(t, u)
				second := rotated(t, s, first)
				for _, asked := range []struct {
					path  string
					token probe.Token
				}{
					{"/refresh", first.Refresh}, {"/refresh", second.Refresh}, {"/refresh", laptop.Access}, {"/logout", second.Access}, {"/logout", second.Access},
					{"/logout", forged(forge.TamperSignature(laptop.Access.Raw), "with a changed signature")}, {"/logout-all", laptop.Access}, {"/logout-all", laptop.Access},
				} {
					keptOut(t, s, s.Post(t, asked.path, subject.Bearer(asked.token)), "an answer holds a password, a hash or the secret", secrets)
				}
				keptOut(t, s, s.Get(t, "/profile", subject.Bearer(s.Login(t, u).Access)), "an answer holds a password, a hash or the secret", secrets)
			},
		},
	}
}
