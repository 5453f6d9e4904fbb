package suites

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
)

// subjectOf is a token's sub, or "" where it has none that is a string.
func subjectOf(raw string) string {
	t, err := forge.Decode(raw)
	if err != nil {
		return ""
	}
	return t.Text("sub")
}

// within tells whether a moment lies no further than slack from another.
func within(a, b time.Time, slack time.Duration) bool { return a.Sub(b).Abs() <= slack }

// slack is how far a date may be off: tokens count whole seconds, and at a URL
// the two clocks need not agree.
func slack(s *subject.Session) time.Duration {
	if s.Controlled() {
		return time.Second
	}
	return 5 * time.Second
}

func show(claim any) string {
	text, _ := json.Marshal(claim)
	return string(text)
}

func accessToken() []grade.Step {
	return []grade.Step{
		{
			ID: "login-returns-an-access-token", Task: 1, Needs: []string{canLogin},
			Title: "POST /login answers 200 and a JWT",
			Why:   "The password is checked once; from then on the token speaks for its bearer.",
			Ref:   "RFC 7519 §3 (JWT overview), RFC 6749 §5.1 (successful response)",
			Check: func(t require.TestingT, s *subject.Session) {
				got := s.Login(t, s.Cosmo())
				s.Decode(t, got.Access)
				another := s.Login(t, s.NewUser(t))
				s.Decode(t, another.Access)
			},
		},
		{
			ID: "token-is-signed-with-hs256", Task: 1, Needs: []string{"login-returns-an-access-token"},
			Title: "The token's header says HS256",
			Why:   "One algorithm, chosen by the server and known to whoever verifies, is the first thing that a verifier pins.",
			Ref:   "RFC 7518 §3.2 (HMAC with SHA-2), RFC 7515 §4.1.1 (alg)",
			Check: func(t require.TestingT, s *subject.Session) {
				token := s.Decode(t, s.Login(t, s.Cosmo()).Access)
				if token.Alg() != "HS256" {
					s.Fail(t, "the token is not signed with HS256", `"alg":"HS256" in its header`, `"alg":`+show(token.Header["alg"]))
				}
			},
		},
		{
			ID: "token-is-signed-with-the-secret", Task: 1, Needs: []string{"login-returns-an-access-token"},
			Title: "The token's signature verifies under the configured secret",
			Why:   "A token that is signed with \"secret\", or with nothing, can be made by everybody; one whose key is in the code cannot get another in a hurry.",
			Ref:   "RFC 7518 §3.2 (HMAC with SHA-2), RFC 8725 §3.5 (sufficient key entropy)",
			Check: func(t require.TestingT, s *subject.Session) {
				secret := s.Secret(t)
				token := s.Decode(t, s.Login(t, s.Cosmo()).Access)
				if token.Verifies(secret) {
					return
				}
				for _, weak := range []string{"", "secret", "super-secret", "changeme"} {
					if token.Verifies([]byte(weak)) {
						s.Fail(t, fmt.Sprintf("the token is signed with the key %q", weak), "a signature under the configured secret", fmt.Sprintf("one under %q", weak))
					}
				}
				s.Fail(t, "the token is not signed with the configured secret", "a signature that verifies under it", "one that does not")
			},
		},
		{
			ID: "token-names-its-user", Task: 2, Needs: []string{"login-returns-an-access-token"},
			Title: "sub is the username, as a string",
			Why:   "A number as sub is refused by libraries that go by the standard; a constant one makes everybody the same person.",
			Ref:   "RFC 7519 §4.1.2 (sub is a string)",
			Check: func(t require.TestingT, s *subject.Session) {
				users := []subject.User{s.Cosmo(), s.NewUser(t)}
				for _, u := range users {
					token := s.Decode(t, s.Login(t, u).Access)
					if token.Claims["sub"] != u.Username {
						s.Fail(t, "sub does not name the user who logged in", fmt.Sprintf(`"sub":%q`, u.Username), `"sub":`+show(token.Claims["sub"]))
					}
				}
				for i, a := range loginsAtOnce(t, s, users[0], users[1]) {
					if a.Status >= 500 {
						continue
					}
					a.Is(t, http.StatusOK, users[i%2].Username+" cannot log in while others do")
					if sub := subjectOf(a.Text("access_token")); sub != users[i%2].Username {
						probe.Fail(t, &probe.Failure{Claim: "sub names somebody else who logged in at the same time", Sent: a.Exchange,
							Want: fmt.Sprintf(`"sub":%q`, users[i%2].Username), Got: `"sub":` + show(sub)})
					}
				}
			},
		},
		{
			ID: "token-is-dated-by-the-clock", Task: 2, Needs: []string{"login-returns-an-access-token"},
			Title: "iat is the time of the login, by the given clock",
			Why:   "A date is what expiry counts from. A server that reads two clocks has tokens from the future.",
			Ref:   "RFC 7519 §4.1.6 (iat is a NumericDate: seconds)",
			Takes: constant(90 * time.Second),
			Check: func(t require.TestingT, s *subject.Session) {
				issued := func() {
					token := s.Decode(t, s.Login(t, s.Cosmo()).Access)
					at, ok := token.Time("iat")
					if !ok || !within(at, s.Now(), slack(s)) {
						s.Fail(t, "iat is not the time of the login, by the server's clock",
							fmt.Sprintf(`"iat":%d (%s)`, s.Now().Unix(), s.Now().UTC().Format(time.DateTime)), `"iat":`+show(token.Claims["iat"]))
					}
				}
				issued()
				s.Advance(t, 90*time.Second)
				issued()
			},
		},
		{
			ID: "token-names-issuer-and-audience", Task: 2, Needs: []string{"login-returns-an-access-token"},
			Title: "iss and aud are as configured",
			Why:   "Two services of a company often share a secret. Without iss and aud each takes the other's tokens.",
			Ref:   "RFC 7519 §4.1.1 (iss) and §4.1.3 (aud), RFC 8725 §3.8 and §3.9 (validate issuer and audience)",
			Check: func(t require.TestingT, s *subject.Session) {
				token := s.Decode(t, s.Login(t, s.Cosmo()).Access)
				iss, aud := configured(s)
				if token.Claims["iss"] != iss {
					s.Fail(t, "iss is not the configured issuer", fmt.Sprintf(`"iss":%q`, iss), `"iss":`+show(token.Claims["iss"]))
				}
				if !slices.Contains(token.Audience(), aud) {
					s.Fail(t, "aud does not hold the configured audience", fmt.Sprintf(`"aud":%q`, aud), `"aud":`+show(token.Claims["aud"]))
				}
			},
		},
		{
			ID: "every-token-has-its-own-jti", Task: 2, Needs: []string{"login-returns-an-access-token"},
			Title: "No two tokens have the same jti",
			Why:   "Two logins in one second otherwise give one and the same token: end the one session, and you have ended the other.",
			Ref:   "RFC 7519 §4.1.7 (jti)",
			Check: func(t require.TestingT, s *subject.Session) {
				seen := map[any]bool{}
				for _, u := range []subject.User{s.Cosmo(), s.Cosmo(), s.NewUser(t)} {
					token := s.Decode(t, s.Login(t, u).Access)
					id := token.Text("jti")
					if id == "" {
						s.Fail(t, "the token has no jti", `"jti":"…", a string of its own`, `"jti":`+show(token.Claims["jti"]))
					}
					if seen[id] {
						s.Fail(t, "two tokens have the same jti", "another jti at every login", fmt.Sprintf(`"jti":%q twice`, id))
					}
					seen[id] = true
				}
				for _, a := range loginsAtOnce(t, s, s.Cosmo(), s.NewUser(t)) {
					if a.Status >= 500 {
						continue
					}
					token := s.Decode(t, forged(a.Is(t, http.StatusOK, "somebody cannot log in while others do").Text("access_token"), ""))
					if id := token.Text("jti"); seen[id] {
						probe.Fail(t, &probe.Failure{Claim: "two tokens of logins at the same time have the same jti", Sent: a.Exchange, Want: "another jti at every login", Got: fmt.Sprintf(`"jti":%q twice`, id)})
					} else {
						seen[id] = true
					}
				}
			},
		},
		{
			ID: "token-keeps-secrets", Task: 3, Needs: []string{"login-returns-an-access-token"},
			Title: "Nothing private is in the token",
			Why:   "A JWT is signed, not encrypted: whoever holds it, and every log it passes, can read it.",
			Ref:   "RFC 7519 §12 (privacy considerations)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				got := s.Login(t, u)
				s.Decode(t, got.Access)
				keepsSecrets(t, s, u, readable(got.Access.Raw))
				keepsOutOfTheLog(t, s, got.Access)
			},
		},
		{
			ID: "token-answer-is-not-cacheable", Task: 3, Needs: []string{"login-returns-an-access-token"},
			Title: "The answer that carries a token has Cache-Control: no-store",
			Why:   "Whoever finds the answer in a cache is logged in.",
			Ref:   "RFC 6749 §5.1 (Cache-Control: no-store)",
			Check: func(t require.TestingT, s *subject.Session) {
				s.Post(t, "/login", s.Cosmo().Credentials()).Is(t, http.StatusOK, "cosmo cannot log in").
					NoStore(t, "an answer that carries a token may be cached")
			},
		},
		{
			ID: "refused-login-gives-no-token", Task: 3, Needs: []string{"login-returns-an-access-token"},
			Title: "A login that is refused gives no token",
			Why:   "A token that is made before the password is checked needs only one forgotten return to get out.",
			Ref:   "RFC 6749 §5.2 (error response)",
			Check: func(t require.TestingT, s *subject.Session) {
				s.Login(t, s.Cosmo())
				for _, c := range []credentials{
					{"username": "cosmo", "password": "space-cat"},
					{"username": "nobody", "password": "space-corgi"},
					{"username": "cosmo", "password": ""},
					{"username": "cosmo"},
				} {
					a := s.Post(t, "/login", c.option()).IsNot(t, http.StatusOK, "a login that is to be refused succeeds").
						HasNone(t, "access_token", "a refused login carries a token").
						HasNone(t, "refresh_token", "a refused login carries a token")
					a.Hides(t, "a refused login carries a token", compactJWT.FindString(a.Whole()))
				}
			},
		},
	}
}

// readable is what whoever holds a token can read in it: header and payload of a JWT,
// or else the token as it is and what it stands for in hex and base64.
func readable(raw string) string {
	if token, err := forge.Decode(raw); err == nil {
		return show(token.Header) + show(token.Claims)
	}
	whole := raw
	for _, decode := range []func(string) ([]byte, error){base64.RawURLEncoding.DecodeString, base64.RawStdEncoding.DecodeString, hex.DecodeString} {
		if plain, err := decode(strings.TrimRight(raw, "=")); err == nil {
			whole += " " + string(plain)
		}
	}
	return whole
}

// compactJWT finds a JWT anywhere: the first two of its parts are JSON objects.
var compactJWT = regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.`)

// keepsSecrets wants a token in which nothing is private to the user or the server.
// Whole is what can be read in it.
func keepsSecrets(t require.TestingT, s *subject.Session, u subject.User, whole string) {
	private := append(s.Hashes(), u.Password, "argon2id", u.Username+"@")
	private = append(private, spellings(s.Settings.Secret)...)
	for _, p := range private {
		if p != "" && strings.Contains(whole, strings.Trim(show(p), `"`)) {
			s.Fail(t, "something private is in the token: a password, its hash, the secret, or an e-mail address", "only what its readers may know", whole)
		}
	}
}

// keepsOutOfTheLog wants none of these tokens in what the server has written to its log.
func keepsOutOfTheLog(t require.TestingT, s *subject.Session, tokens ...probe.Token) {
	for _, token := range tokens {
		unlogged(t, s, "a token that works is in the log: "+token.What, token.Raw)
	}
}

// spellings are the ways to write the secret down.
func spellings(secret []byte) []string {
	if len(secret) == 0 {
		return nil
	}
	return []string{
		string(secret), strings.Trim(strconv.Quote(string(secret)), `"`), fmt.Sprint(secret),
		hex.EncodeToString(secret), base64.RawStdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
	}
}

// configured is the issuer and the audience that the server was given.
func configured(s *subject.Session) (iss, aud string) {
	return s.NeedsSetting(s.Settings.Issuer, "the configured issuer", "--issuer"),
		s.NeedsSetting(s.Settings.Audience, "the configured audience", "--audience")
}
