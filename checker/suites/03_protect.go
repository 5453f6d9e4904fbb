package suites

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
)

const missingHeader = "Missing Authorization Header"

// doors are the protected routes.
var doors = []string{"/profile", "/dashboard"}

// opens is the control of every denial: the honest token opens every door.
func opens(t require.TestingT, s *subject.Session, token probe.Token) {
	for _, door := range doors {
		s.Get(t, door, subject.Bearer(token)).Is(t, http.StatusOK, "a good access token does not open "+door)
	}
}

// stayShut wants every door to refuse a token, in the words of a token error.
func stayShut(t require.TestingT, s *subject.Session, token probe.Token, claim string) {
	for _, door := range doors {
		s.Get(t, door, subject.Bearer(token)).Refused(t, fmt.Sprintf(claim, door))
	}
}

// oddHeaders are Authorization headers in which there is no token.
var oddHeaders = []string{"Bearer", "Bearer ", "B", "Bear", " ", "Bearer ", "Bearer a", "Bearer a.b", "Bearer a.b.c", "Bearer ..", "Bearer ....", "Bearer null", "Bearer undefined", "Bearer {}", "Bearer e30.e30."}

// forged names a token that a step has made itself.
func forged(raw, what string) probe.Token { return probe.Token{Raw: raw, What: what} }

// admitted logs somebody in and shows that the doors open.
func admitted(t require.TestingT, s *subject.Session) (subject.Tokens, forge.Token) {
	got := s.Login(t, s.Cosmo())
	opens(t, s, got.Access)
	return got, s.Decode(t, got.Access)
}

func protect() []grade.Step {
	return []grade.Step{
		{
			ID: "profile-opens-with-a-token", Task: 1, Needs: []string{"login-returns-an-access-token"},
			Title: "GET /profile answers 200 and the id and username of the token's user",
			Why:   "The server keeps nothing in mind between two requests. All that it knows of the caller is in the token.",
			Ref:   "RFC 6750 §2.1 (Authorization request header field)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t)} {
					got := s.Login(t, u)
					a := s.Get(t, "/profile", subject.Bearer(got.Access)).Is(t, http.StatusOK, "a good access token does not open /profile")
					a.JSONBody(t, "/profile is not answered in JSON")
					a.Has(t, "username", u.Username, "/profile shows somebody else's username")
					if u.ID != 0 {
						a.Has(t, "id", u.ID, "/profile shows somebody else's id")
					}
				}
			},
		},
		{
			ID: "dashboard-names-its-user", Task: 1, Needs: []string{"login-returns-an-access-token"},
			Title: "GET /dashboard answers 200 and a message that names the user",
			Why:   "A second room behind the same door: the door must be built once.",
			Ref:   "RFC 6750 §2.1 (Authorization request header field)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t)} {
					got := s.Login(t, u)
					a := s.Get(t, "/dashboard", subject.Bearer(got.Access)).Is(t, http.StatusOK, "a good access token does not open /dashboard")
					a.Says(t, "message", u.Username, "the message of /dashboard does not name the user")
				}
			},
		},
		{
			ID: "bearer-scheme-in-any-case", Task: 1, Needs: []string{"profile-opens-with-a-token"},
			Title: "The scheme may be written Bearer, bearer or BEARER",
			Why:   "Clients write it in every way, and the standard lets them.",
			Ref:   "RFC 9110 §11.1 (authentication scheme: case-insensitive)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, _ := admitted(t, s)
				for _, scheme := range []string{"bearer", "BEARER", "BeArEr"} {
					for _, door := range doors {
						s.Get(t, door, subject.Authorization(scheme+" "+got.Access.Raw, got.Access)).
							Is(t, http.StatusOK, "a good token is refused because of the scheme's case")
					}
				}
			},
		},
		{
			ID: "identity-comes-from-the-token", Task: 1, Needs: []string{"profile-opens-with-a-token", "dashboard-names-its-user"},
			Title: "Query, cookie, body and other headers do not say who the caller is",
			Why:   "If ?username=grace shows grace's profile, everybody who is logged in is everybody (OWASP API1:2023, broken object level authorization).",
			Ref:   "RFC 7519 §4.1.2 (sub: the principal that the token is about)",
			Check: func(t require.TestingT, s *subject.Session) {
				cosmo, other := s.Cosmo(), s.NewUser(t)
				got := s.Login(t, cosmo)
				q := fmt.Sprintf("?username=%s&user=%[1]s&sub=%[1]s&id=%d&user_id=%[2]d", other.Username, other.ID)
				claim := "/profile shows whom the request names, not whom the token names"
				for _, way := range []struct {
					path   string
					option subject.Option
				}{
					{"/profile" + q, subject.Header("Accept", "application/json")},
					{"/profile", subject.Header("X-User", other.Username)},
					{"/profile", subject.Header("X-Username", other.Username)},
					{"/profile", subject.Header("X-User-Id", fmt.Sprint(other.ID))},
					{"/profile", subject.Header("Cookie", "username="+other.Username+"; user="+other.Username)},
					{"/profile", subject.JSON(map[string]any{"username": other.Username, "id": other.ID})},
				} {
					a := s.Get(t, way.path, subject.Bearer(got.Access), way.option).
						Is(t, http.StatusOK, "a good access token does not open /profile", http.StatusBadRequest)
					if a.Status == http.StatusOK {
						a.Has(t, "username", cosmo.Username, claim)
					}
					s.Get(t, strings.Replace(way.path, "/profile", "/dashboard", 1), subject.Bearer(got.Access), way.option).
						Is(t, http.StatusOK, "a good access token does not open /dashboard", http.StatusBadRequest).
						Hides(t, "/dashboard greets whom the request names, not whom the token names", other.Username)
				}
				s.Get(t, "/dashboard"+q, subject.Bearer(got.Access), subject.Header("X-User", other.Username)).
					Is(t, http.StatusOK, "a good access token does not open /dashboard").
					Says(t, "message", cosmo.Username, "/dashboard greets whom the request names, not whom the token names").
					Hides(t, "/dashboard greets whom the request names, not whom the token names", other.Username)
			},
		},
		{
			ID: "pages-keep-secrets", Task: 1, Needs: []string{"profile-opens-with-a-token", "dashboard-names-its-user"},
			Title: "Neither /profile nor /dashboard shows a password's hash",
			Why:   "A handler that answers with the whole row of the database answers with all that will ever be in that row.",
			Ref:   "OWASP API3:2023 (broken object property level authorization)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				got := s.Login(t, u)
				for _, door := range doors {
					s.Get(t, door, subject.Bearer(got.Access)).Is(t, http.StatusOK, "a good access token does not open "+door).
						Hides(t, door+" shows a password or its hash", append(s.Hashes(), u.Password, "argon2id")...)
				}
				keepsOutOfTheLog(t, s, got.Access)
			},
		},
		{
			ID: "users-do-not-mix", Task: 1, Needs: []string{"profile-opens-with-a-token", "dashboard-names-its-user"},
			Title: "Requests at the same time each see their own user",
			Why:   "A handler runs for many requests at once. What they share shows one person another's data: a connection to a cache did so with ChatGPT's chat titles in March 2023.",
			Ref:   "CWE-488 (exposure of data to the wrong session)",
			Check: func(t require.TestingT, s *subject.Session) {
				users := []subject.User{s.Cosmo(), s.NewUser(t)}
				tokens := []subject.Tokens{s.Login(t, users[0]), s.Login(t, users[1])}
				var requests []probe.Request
				for i := range 40 {
					requests = append(requests, subject.Request(http.MethodGet, doors[i/2%2], subject.Bearer(tokens[i%2].Access)))
				}
				// In turn first: a user who was kept at login is not the one who asks now.
				for i, r := range append(requests[:4:4], requests[1], requests[0]) {
					own(t, s.Do(t, r), users[[]int{0, 1, 0, 1, 1, 0}[i]])
				}
				for _, together := range []func(require.TestingT, []probe.Request) []*subject.Answer{s.Together, s.Crowd} {
					for i, a := range together(t, requests) {
						if a.Status < 500 { // whether a crowded database is the server's fault is for lesson 13 to ask
							own(t, a, users[i%2])
						}
					}
				}
			},
		},
		{
			ID: "missing-token-is-refused", Task: 2, Needs: []string{"profile-opens-with-a-token", "dashboard-names-its-user"},
			Title: "Without a token: 401 " + `{"msg":"` + missingHeader + `"}`,
			Why:   "A door that is only closed to bad tokens is open to whoever brings none.",
			Ref:   "RFC 6750 §3.1 (error codes), RFC 9110 §15.5.2 (401 Unauthorized)",
			Check: func(t require.TestingT, s *subject.Session) {
				admitted(t, s)
				for _, door := range doors {
					s.Get(t, door).RefusedSaying(t, missingHeader, door+" opens to whoever brings no token").
						JSONBody(t, "a refusal is not answered in JSON")
				}
			},
		},
		{
			ID: "missing-token-is-challenged", Task: 2, Needs: []string{"missing-token-is-refused"},
			Title: "The refusal of a missing token has WWW-Authenticate: Bearer",
			Why:   "The challenge tells a client by which scheme to come back. A 401 without it is not a legal answer.",
			Ref:   "RFC 6750 §3 and RFC 9110 §11.6.1 (WWW-Authenticate)",
			Check: func(t require.TestingT, s *subject.Session) {
				admitted(t, s)
				for _, door := range doors {
					s.Get(t, door).Is(t, http.StatusUnauthorized, door+" opens to whoever brings no token").
						Challenges(t, "", "a 401 carries no Bearer challenge")
					basic := s.Get(t, door, subject.Authorization("Basic Y29zbW86c3BhY2UtY29yZ2k=", forged("", "")))
					if basic.Status == http.StatusUnauthorized {
						basic.Challenges(t, "", "a 401 to another scheme carries no Bearer challenge")
					}
				}
			},
		},
		{
			ID: "other-schemes-are-refused", Task: 2, Needs: []string{"missing-token-is-refused"},
			Title: "Basic, Token, or the token alone are refused",
			Why:   "A header that is cut at a fixed place takes whatever stands there for a token.",
			Ref:   "RFC 6750 §2.1 (Authorization request header field), RFC 9110 §11.6.2 (Authorization)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, _ := admitted(t, s)
				basic := base64.StdEncoding.EncodeToString([]byte("cosmo:space-corgi"))
				for _, header := range []string{"Basic " + basic, "Basic " + got.Access.Raw, "Token " + got.Access.Raw, "Digest " + got.Access.Raw,
					got.Access.Raw, "JWT " + got.Access.Raw, "Bearer" + got.Access.Raw, "BearerX " + got.Access.Raw, "XBearer " + got.Access.Raw,
					"Basic Bearer " + got.Access.Raw, "Basic " + basic + ", Bearer " + got.Access.Raw, "Bearer " + basic + " " + got.Access.Raw} {
					for _, door := range doors {
						malformed(t, s.Get(t, door, subject.Authorization(header, got.Access)), door+" opens to another scheme than Bearer")
					}
				}
			},
		},
		{
			ID: "token-outside-the-header-is-refused", Task: 2, Needs: []string{"missing-token-is-refused"},
			Title: "A token in the query, a cookie or the body opens nothing",
			Why:   "URLs are logged, kept in histories and sent on as Referer: a token in one is a published token.",
			Ref:   "RFC 6750 §2.3 (URI query parameter) and §5.3 (summary of recommendations), RFC 9700 §4.3.2 (access token in browser history)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, _ := admitted(t, s)
				raw := got.Access.Raw
				for _, door := range doors {
					for _, name := range []string{"access_token", "token", "jwt", "Authorization"} {
						s.Get(t, door+"?"+name+"="+raw).Refused(t, door+" opens to a token in the query")
					}
					s.Get(t, door, subject.Header("Cookie", "access_token="+raw+"; token="+raw+"; jwt="+raw)).
						Refused(t, door+" opens to a token in a cookie")
					s.Get(t, door, subject.Header("X-Access-Token", raw), subject.Header("Token", raw), subject.Header("X-Authorization", "Bearer "+raw),
						subject.Header("X-Forwarded-Authorization", "Bearer "+raw), subject.Header("Proxy-Authorization", "Bearer "+raw)).
						Refused(t, door+" opens to a token in another header")
					s.Get(t, door, subject.Form("access_token="+raw+"&token="+raw)). // a server may read no forms at all
														Is(t, http.StatusUnauthorized, door+" opens to a token in a form", http.StatusBadRequest, http.StatusUnsupportedMediaType)
					s.Get(t, door, subject.JSON(map[string]string{"access_token": raw, "token": raw})).
						Refused(t, door+" opens to a token in the body")
				}
			},
		},
		{
			ID: "odd-header-is-refused", Task: 2, Needs: []string{"missing-token-is-refused"},
			Title: "A header that is cut short or strange is refused, and nothing breaks",
			Why:   "header[7:] of \"Bearer\" is a panic that anybody can cause from outside.",
			Ref:   "RFC 6750 §3.1 (error codes: invalid_request, invalid_token)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, _ := admitted(t, s)
				for _, header := range append(slices.Clone(oddHeaders), "Bearer "+got.Access.Raw[:len(got.Access.Raw)/2],
					"Bearer "+strings.Repeat("x", 6000), "Bearer \xff\xfe", "Bearer "+got.Access.Raw+"."+got.Access.Raw) {
					for _, door := range doors {
						malformed(t, s.Get(t, door, subject.Authorization(header, forged("", ""))), door+" does not refuse a strange Authorization header")
					}
				}
				opens(t, s, got.Access)
			},
		},
		{
			ID: "every-route-wants-a-token", Task: 2, Needs: []string{"missing-token-is-refused"},
			Title: "No spelling of a path and no method opens a door without a token",
			Why:   "A guard that stands at one route and one method is walked around by HEAD, by a slash at the end, by a second slash.",
			Ref:   "OWASP API5:2023 (broken function level authorization)",
			Check: func(t require.TestingT, s *subject.Session) {
				admitted(t, s)
				// A page that stands for every path that there is not is no way in.
				nowhere := map[string]*subject.Answer{}
				for _, door := range doors {
					for _, path := range []string{door, door + "/", "/" + door, strings.ToUpper(door), "/." + door, door + "/.", door + "?", door + "%2f", door + ".json", door + "//"} {
						methods := []string{http.MethodGet, http.MethodHead}
						if path == door {
							methods = append(methods, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete)
						}
						for _, method := range methods {
							a := s.Do(t, subject.Request(method, path))
							if a.Status < 300 && nowhere[method] == nil {
								nowhere[method] = s.Do(t, subject.Request(method, "/there-is-no-such-page"))
							}
							if a.Status < 300 && !samePage(a, nowhere[method]) {
								s.Fail(t, "there is a way in without a token: "+method+" "+path, "401, or that there is no such route", a.Summary())
							}
							if a.Status >= 500 {
								s.Fail(t, "a request without a token is answered as a fault of the server", "401, or that there is no such route", a.Summary())
							}
						}
					}
				}
			},
		},
		{
			ID: "refused-request-runs-no-handler", Task: 2, Needs: []string{"missing-token-is-refused"},
			Title: "Behind a refusal nothing has happened",
			Why:   "A guard that answers 401 and forgets to return lets the handler run: the caller sees a refusal, and the money is gone.",
			Ref:   "CWE-698 (execution after redirect)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, honest := admitted(t, s)
				visits := 0
				if s.Controlled() {
					before := s.Visits(t)
					s.Get(t, "/dashboard", subject.Bearer(got.Access)).Is(t, http.StatusOK, "a good access token does not open /dashboard")
					if visits = s.Visits(t); visits != before+1 {
						s.Fail(t, "CountVisit is not called once each time the dashboard is shown", "1 visit counted", fmt.Sprintf("%d visits counted", visits-before))
					}
				}
				bad := forged(forge.ReplacePayload(got.Access.Raw, honest.With("sub", s.Cosmo().Username+"2").Claims), "with another sub under the same signature")
				for _, door := range doors {
					for _, a := range []*subject.Answer{
						s.Get(t, door),
						s.Get(t, door, subject.Bearer(bad)),
						s.Get(t, door, subject.Bearer(forged(forge.TamperSignature(got.Access.Raw), "with a changed signature"))),
					} {
						a.Refused(t, door+" does not refuse").Alone(t)
						a.HasNone(t, "username", "a refusal carries what was refused")
						if strings.Contains(a.Text("message"), s.Cosmo().Username) {
							a.HasNone(t, "message", "a refusal carries what was refused")
						}
					}
					a := s.Get(t, door, subject.Authorization("Basic Y29zbW86c3BhY2UtY29yZ2k=", forged("", "")))
					malformed(t, a, door+" opens to another scheme than Bearer")
					if a.IsJSON() {
						a.Alone(t)
					}
				}
				if s.Controlled() && s.Visits(t) != visits {
					s.Fail(t, "the handler of /dashboard ran although the request was refused", "no visit counted", fmt.Sprintf("%d visits counted", s.Visits(t)-visits))
				}
			},
		},
		{
			ID: "altered-signature-is-refused", Task: 3, Needs: []string{"missing-token-is-refused"},
			Title: "A token whose signature was changed, cut or removed is refused",
			Why:   "Compare the whole signature, or a short one is soon guessed.",
			Ref:   "RFC 7515 §5.2 (message signature or MAC validation)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, _ := admitted(t, s)
				raw := got.Access.Raw
				body := raw[:strings.LastIndex(raw, ".")]
				stayShut(t, s, forged(forge.TamperSignature(raw), "with a changed signature"), "a token with a changed signature opens %s")
				stayShut(t, s, forged(forge.TamperSignatureMiddle(raw), "with a signature that is changed in its middle"), "a token with a changed signature opens %s")
				stayShut(t, s, forged(forge.TamperSignatureEnd(raw), "with a signature that is changed near its end"), "a token with a changed signature opens %s")
				stayShut(t, s, forged(raw[:len(raw)-4], "without the end of its signature"), "a token with a piece of its signature opens %s")
				stayShut(t, s, forged(body+swapCase(raw[len(body):]), "with the capital letters of its signature small, and the small ones capital"), "a token with a changed signature opens %s")
				for _, door := range doors { // some call it no token at all, so 400 will do
					malformed(t, s.Get(t, door, subject.Bearer(forged(raw+"AAAA", "with more after its signature"))), "a token whose signature only begins rightly opens "+door)
				}
				stayShut(t, s, forged(body+".", "without its signature"), "a token without a signature opens %s")
				for _, door := range doors { // two parts are no token at all, so 400 will do
					malformed(t, s.Get(t, door, subject.Bearer(forged(body, "without its last part"))), "a token without its last part opens "+door)
				}
				stayShut(t, s, forged(body+raw[len(body):len(body)+5], "with three bytes of its signature"), "a token with a piece of its signature opens %s")
				opens(t, s, got.Access)
			},
		},
		{
			ID: "bad-token-is-challenged", Task: 3, Needs: []string{"missing-token-is-challenged", "altered-signature-is-refused"},
			Title: `The refusal of a token has error="invalid_token" in its challenge`,
			Why:   "It is how a client tells \"log in\" from \"get a new token\", without reading prose. 403 or 422 would say something else.",
			Ref:   "RFC 6750 §3.1 (error codes: invalid_token is 401)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, _ := admitted(t, s)
				for _, door := range doors {
					s.Get(t, door, subject.Bearer(forged(forge.TamperSignature(got.Access.Raw), "with a changed signature"))).
						Is(t, http.StatusUnauthorized, "a token with a changed signature opens "+door).
						Challenges(t, "invalid_token", "the refusal of a token does not say invalid_token")
				}
			},
		},
		{
			ID: "altered-payload-is-refused", Task: 3, Needs: []string{"altered-signature-is-refused"},
			Title: "A token whose payload or header was changed is refused",
			Why:   "Everybody can write another name into the payload. Only the signature knows. Code that decodes without verifying makes an administrator of whoever asks.",
			Ref:   "RFC 7515 §5.2 (message signature or MAC validation)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, honest := admitted(t, s)
				other := "grace"
				if s.Controlled() {
					other = s.NewUser(t).Username
				}
				header := maps.Clone(honest.Header)
				header["of"] = "another" // not the kid: of an unknown one another lesson asks
				stayShut(t, s, forged(forge.ReplaceHeader(got.Access.Raw, header), "with another header over the old signature"), "a token with a changed header opens %s")
				for _, claims := range []map[string]any{honest.With("sub", other).Claims, honest.With("admin", true).Claims} {
					stayShut(t, s, forged(forge.ReplacePayload(got.Access.Raw, claims), "with another payload under the old signature"), "a token with a changed payload opens %s")
				}
			},
		},
		{
			ID: "unsigned-token-is-refused", Task: 3, Needs: []string{"altered-signature-is-refused"},
			Title: "A token that says alg: none is refused, in every spelling",
			Why:   "The header is the attacker's. Libraries that did as it said took unsigned tokens for signed ones (CVE-2018-1000531).",
			Ref:   "RFC 8725 §2.1 (insufficient signature validation) and §3.2 (use appropriate algorithms)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, honest := admitted(t, s)
				signature := got.Access.Raw[strings.LastIndex(got.Access.Raw, ".")+1:]
				for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
					raw := honest.Sign(alg, nil)
					what := fmt.Sprintf("with alg %q", alg)
					stayShut(t, s, forged(raw, what+" and no signature"), "a token without a signature opens %s")
					stayShut(t, s, forged(raw+signature, what+" and the old signature"), "a token whose alg says none opens %s")
					stayShut(t, s, forged(forge.ReplaceAlg(got.Access.Raw, alg), what+", and all else as it was"), "a token whose alg says none opens %s")
				}
			},
		},
		{
			ID: "another-algorithm-is-refused", Task: 3, Needs: []string{"altered-signature-is-refused"},
			Title: "A token signed with another algorithm than yours is refused",
			Why:   "A server that lets the token choose the algorithm can be told to take its public key for an HMAC secret (CVE-2015-9235). Pin the one you use.",
			Ref:   "RFC 8725 §3.1 (perform algorithm verification)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest := admitted(t, s)
				secret := s.Secret(t)
				for _, alg := range forge.HMACs {
					if alg != honest.Alg() {
						stayShut(t, s, forged(honest.Sign(alg, secret), "signed with the secret and "+alg), "a token signed with "+alg+" opens %s")
					}
				}
				for _, alg := range []string{"RS256", "ES256", "EdDSA", "hs256", "HS256 "} {
					stayShut(t, s, forged(forge.SignAs(honest, alg, secret), "signed as HS256 and named "+alg), "a token that says "+alg+" opens %s")
				}
			},
		},
		{
			ID: "another-key-is-refused", Task: 3, Needs: []string{"altered-signature-is-refused"},
			Title: "A token signed with any other key is refused, the empty one too",
			Why:   "An unset variable is an empty key, and \"secret\" is the first that is tried: lists of such keys are for download.",
			Ref:   "RFC 8725 §2.2 (weak symmetric keys) and §3.5 (sufficient key entropy)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, honest := admitted(t, s)
				alg := honest.Alg()
				theirs := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
				for _, header := range []struct {
					name  string
					value any
					key   string
				}{
					{"kid", "no-such-key", ""}, {"kid", "../../../../dev/null", ""}, {"kid", strings.Repeat("k", 32), strings.Repeat("k", 32)},
					{"jwk", map[string]any{"kty": "oct", "alg": alg, "k": theirs}, strings.Repeat("k", 32)},
				} {
					named := maps.Clone(honest.Header)
					named[header.name] = header.value
					raw := forge.Sign(named, payloadOf(got.Access.Raw), alg, []byte(header.key))
					stayShut(t, s, forged(raw, fmt.Sprintf("signed with the key %q, and with the %s %s in its header", header.key, header.name, show(header.value))), "a token that names a key of its own opens %s")
				}
				for _, key := range []string{"", "secret", "super-secret", "changeme", "your-256-bit-secret", strings.Repeat("\x00", 32)} {
					stayShut(t, s, forged(honest.Sign(alg, []byte(key)), fmt.Sprintf("signed with the key %q", key)), "a token signed with another key opens %s")
				}
				if secret := slices.Clone(s.Settings.Secret); len(secret) > 0 {
					secret[len(secret)-1] ^= 1
					stayShut(t, s, forged(honest.Sign(alg, secret), "signed with a key that differs from the secret in one bit"), "a token signed with another key opens %s")
				}
			},
		},
		{
			ID: "another-issuer-is-refused", Task: 3, Needs: []string{"another-key-is-refused"},
			Title: "A token of another issuer, or of none, is refused",
			Why:   "Staging and production share a secret more often than anybody admits.",
			Ref:   "RFC 8725 §3.8 (validate issuer and subject)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest := admitted(t, s)
				secret, alg := s.Secret(t), honest.Alg()
				claim := "a token of another issuer opens %s"
				for _, iss := range []any{"https://evil.example", honest.Text("iss") + "/", honest.Text("iss") + ".evil.example", butLast(honest.Text("iss")), strings.ToUpper(honest.Text("iss")),
					"https://evil.example/" + honest.Text("iss"), strings.Replace(honest.Text("iss"), "https:", "http:", 1), honest.Text("iss") + " ", []string{honest.Text("iss")}, "", nil, 7} {
					if iss == honest.Text("iss") {
						continue
					}
					stayShut(t, s, forged(honest.With("iss", iss).Sign(alg, secret), "with the iss "+show(iss)), claim)
				}
				stayShut(t, s, forged(honest.Without("iss").Sign(alg, secret), "without iss"), "a token without an issuer opens %s")
			},
		},
		{
			ID: "another-audience-is-refused", Task: 3, Needs: []string{"another-key-is-refused"},
			Title: "A token for another audience, or for none, is refused",
			Why:   "A token that you gave to the newsletter service must not open the bank.",
			Ref:   "RFC 8725 §3.9 (use and validate audience)",
			Check: func(t require.TestingT, s *subject.Session) {
				_, honest := admitted(t, s)
				secret, alg := s.Secret(t), honest.Alg()
				claim := "a token for another audience opens %s"
				right := ""
				if aud := honest.Audience(); len(aud) > 0 {
					right = aud[0]
				}
				for _, aud := range []any{"https://newsletter.example", []string{"https://newsletter.example", right + ".evil.example", "https://evil.example/" + right},
					butLast(right), right + ".evil.example", "https://evil.example/" + right, "https://newsletter.example " + right, strings.ToUpper(right), map[string]any{right: true}, []string{}, "", nil, 7} {
					stayShut(t, s, forged(honest.With("aud", aud).Sign(alg, secret), "with the aud "+show(aud)), claim)
				}
				stayShut(t, s, forged(honest.Without("aud").Sign(alg, secret), "without aud"), "a token without an audience opens %s")
			},
		},
		{
			ID: "odd-payload-is-refused", Task: 3, Needs: []string{"another-key-is-refused"},
			Title: "A signed token with a missing or odd claim is refused, and nothing breaks",
			Why:   "claims[\"sub\"].(string) panics on the first token that has no sub: one request, one server down.",
			Ref:   "RFC 7519 §7.2 (validating a JWT)",
			Check: func(t require.TestingT, s *subject.Session) {
				got, honest := admitted(t, s)
				secret, alg := s.Secret(t), honest.Alg()
				for _, payload := range []string{`{}`, `null`, `[]`, `"cosmo"`, `42`, ``, `{`, `{"sub":"cosmo"`, `[{"sub":"cosmo"}]`} {
					raw := forge.Sign(honest.Header, []byte(payload), alg, secret)
					stayShut(t, s, forged(raw, "with the payload "+payload), "a token whose payload is no set of claims opens %s")
				}
				for _, sub := range []any{nil, 1, true, "", []string{"cosmo"}, map[string]any{"name": "cosmo"}} {
					stayShut(t, s, forged(honest.With("sub", sub).Sign(alg, secret), "with the sub "+show(sub)), "a token without a proper sub opens %s")
				}
				stayShut(t, s, forged(honest.Without("sub").Sign(alg, secret), "without sub"), "a token without a sub opens %s")
				for claim := range honest.Claims { // whatever else you put into it
					if slices.Contains([]string{"iss", "sub", "aud", "exp"}, claim) {
						continue // they have steps of their own
					}
					for _, raw := range []string{honest.Without(claim).Sign(alg, secret), honest.With(claim, nil).Sign(alg, secret)} {
						a := s.Get(t, "/profile", subject.Bearer(forged(raw, "without "+claim+", or with null in its place")))
						if a.Status >= 500 {
							s.Fail(t, "a token without "+claim+" is a fault of the server", "401, or 200 where the claim does not matter", a.Summary())
						}
					}
				}
				opens(t, s, got.Access)
			},
		},
		{
			ID: "deleted-user-is-refused", Task: 3, Needs: []string{"refused-request-runs-no-handler"},
			Title: "The token of a user who no longer exists is refused",
			Why:   "A signature says that the token was good when it was made. Whoever was dismissed at noon should be out at noon.",
			Ref:   "OWASP ASVS 5.0 §7.4.2 (end all sessions of a deleted user)",
			Check: func(t require.TestingT, s *subject.Session) {
				s.NeedsDeletion()
				stays, goes := s.NewUser(t), s.NewUser(t)
				staying, going := s.Login(t, stays), s.Login(t, goes)
				opens(t, s, going.Access)
				s.DeleteUser(t, goes)
				stayShut(t, s, going.Access, "the token of a user who no longer exists opens %s")
				nothingFollows(t, s, going.Access)
				// One that challenges nobody is found elsewhere.
				forged := s.Get(t, "/profile", subject.Bearer(forged(forge.TamperSignature(staying.Access.Raw), "with a changed signature")))
				if gone := s.Get(t, "/profile", subject.Bearer(going.Access)); forged.ReplyHeader.Get("WWW-Authenticate") != "" && gone.ReplyHeader.Get("WWW-Authenticate") == "" {
					gone.Challenges(t, "invalid_token", "only the token of a user who no longer exists is refused without a challenge")
				}
				opens(t, s, staying.Access)
				s.Post(t, "/login", goes.Credentials()).IsNot(t, http.StatusOK, "a user who no longer exists can log in").
					IsNot(t, http.StatusNoContent, "a user who no longer exists can log in")
			},
		},
	}
}

// butLast is a text without its last letter.
func butLast(text string) string { return text[:max(0, len(text)-1)] }

// swapCase makes capital letters small and small ones capital.
func swapCase(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, text)
}

// payloadOf is the second part of a token, decoded.
func payloadOf(raw string) []byte {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	return payload
}

// samePage tells whether two answers are one page, as of a server that has one for
// every path. To HEAD there is only what stands above the page.
func samePage(a, b *subject.Answer) bool {
	return a.Status == b.Status && string(a.ReplyBody) == string(b.ReplyBody) &&
		a.ReplyHeader.Get("Content-Type") == b.ReplyHeader.Get("Content-Type") && a.ReplyHeader.Get("Content-Length") == b.ReplyHeader.Get("Content-Length")
}

// own wants the answer of a door to speak of that user.
func own(t require.TestingT, a *subject.Answer, u subject.User) {
	a.Is(t, http.StatusOK, "a good access token does not open "+a.Path)
	if a.Path == "/profile" {
		a.Has(t, "username", u.Username, "/profile shows the user of another request")
	} else {
		a.Says(t, "message", u.Username, a.Path+" greets the user of another request")
	}
}

// nothingFollows wants the refusal of a token to be all of the answer.
func nothingFollows(t require.TestingT, s *subject.Session, token probe.Token) {
	for _, door := range doors {
		s.Get(t, door, subject.Bearer(token)).Refused(t, door+" does not refuse").Alone(t)
	}
}

// malformed wants the refusal of a header in which there is no token to judge:
// 401, or 400 invalid_request (RFC 6750 §3.1).
func malformed(t require.TestingT, a *subject.Answer, claim string) {
	a.Is(t, http.StatusUnauthorized, claim, http.StatusBadRequest)
}
