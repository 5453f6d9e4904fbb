package suites

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

const jwksPath = "/.well-known/jwks.json"

// forgedWithTheSecret are steps of earlier lessons that sign as the server does.
// Whoever has no private key cannot, so here they could refuse nothing.
var forgedWithTheSecret = []string{
	"token-is-signed-with-the-secret", "another-key-is-refused", "another-issuer-is-refused",
	"another-audience-is-refused", "odd-payload-is-refused", "token-without-exp-is-refused",
	"exp-zero-or-null-is-refused", "exp-that-is-no-number-is-refused", "exp-in-milliseconds-is-refused",
	"token-of-tomorrow-is-refused",
}

// published fetches the key set and returns its keys on Ed25519 and P-256, and the
// set itself. What is in it and of another kind is none of the lesson's.
func published(t require.TestingT, s *subject.Session) ([]forge.PublicKey, *subject.Answer) {
	a := s.Get(t, jwksPath).Is(t, http.StatusOK, jwksPath+" does not show the keys")
	wrong := func(what string, err error) {
		s.Fail(t, what, `200 {"keys":[{"kty":…,"crv":…,"x":…,"kid":…},…]} (RFC 7517 §5)`, err.Error())
	}
	texts, err := forge.ReadKeySet(a.ReplyBody)
	if err != nil {
		wrong(jwksPath+" is no JWK Set", err)
	}
	var keys []forge.PublicKey
	seen := map[string]bool{}
	for _, text := range texts {
		key, err := forge.ReadKey(text)
		if errors.Is(err, forge.ErrOtherKey) {
			continue
		}
		if err != nil {
			wrong("a key of the set cannot be read", err)
		}
		if key.Kid() == "" {
			wrong("a key of the set has no kid", fmt.Errorf("%s", text))
		}
		if seen[key.Kid()] {
			wrong("two keys of the set have one kid", fmt.Errorf("%q twice", key.Kid()))
		}
		seen[key.Kid()] = true
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		wrong("the set has no key for EdDSA or ES256", fmt.Errorf("%s", a.ReplyBody))
	}
	return keys, a
}

// named returns a token and the key of the set that it names.
func named(t require.TestingT, s *subject.Session, token probe.Token) (forge.Token, forge.PublicKey) {
	decoded := s.Decode(t, token)
	kid, _ := decoded.Header["kid"].(string)
	if kid == "" {
		s.Fail(t, token.What+" does not name its key", `"kid": that of a key in the set, in the header`, `"kid":`+show(decoded.Header["kid"]))
	}
	keys, _ := published(t, s)
	for _, key := range keys {
		if key.Kid() == kid {
			return decoded, key
		}
	}
	s.Fail(t, token.What+" names a key that is not in the set", fmt.Sprintf("a key with the kid %q", kid), "the kids "+show(kids(keys)))
	return decoded, forge.PublicKey{}
}

// verified is named where the signature is to be right, too.
func verified(t require.TestingT, s *subject.Session, token probe.Token) (forge.Token, forge.PublicKey) {
	decoded, key := named(t, s, token)
	if !key.Verified(decoded) {
		s.Fail(t, token.What+" does not verify with the key that it names",
			fmt.Sprintf("a signature of %s by the key %q", strings.Join(key.Algs(), " or "), key.Kid()), fmt.Sprintf("alg %q and %d bytes", decoded.Alg(), len(decoded.Signature)))
	}
	return decoded, key
}

// keyIsGone tells whether a token names a key that has left the set, as it may once
// its last token has expired.
func keyIsGone(t require.TestingT, s *subject.Session, token probe.Token) bool {
	kid, _ := s.Decode(t, token).Header["kid"].(string)
	if kid == "" {
		return false
	}
	set := s.Get(t, jwksPath)
	texts, err := forge.ReadKeySet(set.ReplyBody)
	if err != nil || set.Status != http.StatusOK {
		return false
	}
	return !slices.ContainsFunc(texts, func(text json.RawMessage) bool {
		key, err := forge.ReadKey(text)
		return err == nil && key.Kid() == kid
	})
}

func kids(keys []forge.PublicKey) []string {
	var list []string
	for _, key := range keys {
		list = append(list, key.Kid())
	}
	return list
}

// A victim is somebody whose tokens a step forges.
type victim struct {
	tokens  subject.Tokens
	access  forge.Token
	refresh *forge.Token // nil where the refresh tokens are no JWTs
	key     forge.PublicKey
}

// victimOf logs cosmo in and shows that the tokens are good.
func victimOf(t require.TestingT, s *subject.Session) *victim {
	v := &victim{tokens: alive(t, s, s.LoginBoth(t, s.Cosmo()))}
	v.access, v.key = named(t, s, v.tokens.Access)
	if refresh, err := forge.Decode(v.tokens.Refresh.Raw); err == nil {
		v.refresh = &refresh
	}
	return v
}

// refused sends what forge makes of the victim's tokens wherever a token is taken:
// as an access token to the doors, to /logout and to /logout-all, as a refresh token to
// /refresh.
func (v *victim) refused(t require.TestingT, s *subject.Session, how, claim string, forge func(forge.Token) string) {
	access := forged(forge(v.access), how)
	stayShut(t, s, access, claim+" opens %s")
	for _, path := range []string{"/logout", "/logout-all"} {
		s.Post(t, path, subject.Bearer(access)).Refused(t, claim+" logs somebody out, at "+path)
	}
	if v.refresh != nil {
		noRefresh(t, s, claim+" refreshes", subject.Bearer(forged(forge(*v.refresh), how)))
	}
}

// unharmed shows that the victim's tokens are as good as before.
func (v *victim) unharmed(t require.TestingT, s *subject.Session) { v.tokens = alive(t, s, v.tokens) }

// none stands for a kid that is not there.
const none = "\x00none"

// shortKeys lets several keys follow each other while one access token lives.
func shortKeys(c *lessons.Settings) {
	c.KeyTTL = max(time.Second, c.AccessTTL*2/5).Truncate(time.Second)
}

// late is shortly before the end of a key that began just now. Its last tokens are
// the ones that a server is likeliest to forget.
func late(c lessons.Settings) time.Duration {
	return min(max(0, c.KeyTTL-2*time.Second), beforeRefresh(c))
}

// rotations is how often logins are sent together. Two must come within about a
// millisecond to get in each other's way, and on a busy machine they do not always.
const rotations = 6

// manyKeys is enough for most servers that leave leading zeros out to meet one, in a
// coordinate or in half a signature.
const manyKeys = 200

// A lasting token is an access token and a moment at which it still works.
type lasting struct {
	probe.Token
	until time.Time
}

func lastingOf(s *subject.Session, tokens subject.Tokens) lasting {
	return lasting{tokens.Access, s.Now().Add(beforeAccess(s.Settings))}
}

// works wants the token to be good here and for other verifiers, unless its time is
// over.
func (l lasting) works(t require.TestingT, s *subject.Session) {
	if !s.Now().After(l.until) {
		opens(t, s, l.Token)
		token, key := verified(t, s, l.Token)
		fits(t, s, token, key)
	}
}

// turning lets the time pass until then, and after each KeyTTL has something done.
func turning(t require.TestingT, s *subject.Session, until time.Time, each func()) {
	for s.Now().Before(until) {
		s.Advance(t, min(until.Sub(s.Now()), max(time.Second, s.Settings.KeyTTL)))
		each()
	}
}

// pastKey is when a key has signed for as long as it may, whenever it began.
func pastKey(c lessons.Settings) time.Duration { return c.KeyTTL + time.Second }

// pastOverlap is when the last token of a key has expired that signed until now,
// and the next key has taken over from its successor.
func pastOverlap(c lessons.Settings) time.Duration { return pastRefresh(c) + pastKey(c) }

func signingKeys() []grade.Step {
	return []grade.Step{
		{
			ID: "jwks-is-open-to-everybody", Task: 1, Needs: []string{"login-returns-an-access-token"},
			Title: "GET " + jwksPath + " answers 200 and a JWK Set, without a token",
			Why:   "A service that is to verify your tokens has none. It needs the public key, and where to get it.",
			Ref:   "RFC 7517 §5 (JWK Set), RFC 8414 §2 (jwks_uri)",
			Check: func(t require.TestingT, s *subject.Session) {
				s.Login(t, s.Cosmo()) // a server may make its first key then
				_, a := published(t, s)
				a.JSONBody(t, "the key set is not answered as JSON")
				for _, option := range []subject.Option{
					subject.Bearer(forged("e30.e30.e30", "that is none")),
					subject.Authorization("Basic Y29zbW86c3BhY2UtY29yZ2k=", forged("", "")),
				} {
					s.Get(t, jwksPath, option).Is(t, http.StatusOK, "the key set is not shown to whoever sends an Authorization header")
				}
				if !s.Controlled() {
					return
				}
				// In base64 three keys of four have a + or a /. The others look like base64url.
				for range 8 {
					s.Replace(t, nil)
					s.Login(t, s.Cosmo())
					published(t, s)
				}
			},
		},
		{
			ID: "access-token-names-its-key", Task: 1, Needs: []string{"jwks-is-open-to-everybody"},
			Title: "The access token's header has the kid of a published key, and that key's algorithm: EdDSA or ES256",
			Why:   "During a rotation there are two keys. Without a kid a verifier has to try them all, and with a wrong one it finds nothing.",
			Ref:   "RFC 7515 §4.1.4 (kid), RFC 7517 §4.2 and §4.4 (use, alg), RFC 8725 §3.1 (perform algorithm verification)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t)} {
					tokens := s.LoginBoth(t, u)
					for _, one := range []subject.Tokens{tokens, s.Refresh(t, tokens)} {
						token, key := named(t, s, one.Access)
						fits(t, s, token, key)
					}
				}
			},
		},
		{
			ID: "access-token-verifies-with-the-published-key", Task: 1, Needs: []string{"access-token-names-its-key"},
			Title: "Whoever has the published key can verify the access token",
			Why:   "Your own server may agree with itself about a signature that nobody else can read. ES256 has two encodings, and JOSE takes the one that crypto libraries seldom give.",
			Ref:   "RFC 7518 §3.4 (R and S, 32 bytes each), RFC 8037 §3.1 (signatures)",
			Check: func(t require.TestingT, s *subject.Session) {
				for _, u := range []subject.User{s.Cosmo(), s.NewUser(t)} {
					tokens := s.LoginBoth(t, u)
					verified(t, s, tokens.Access)
					verified(t, s, s.Refresh(t, tokens).Access)
				}
				if _, key := named(t, s, s.LoginBoth(t, s.Cosmo()).Access); key.JWK["kty"] != "EC" || !s.Controlled() {
					return
				}
				// One number of P-256 in 256 begins with a zero byte, and a big.Int has none.
				for range manyKeys {
					s.Replace(t, nil)
					verified(t, s, s.LoginBoth(t, s.Cosmo()).Access)
				}
			},
		},
		{
			ID: "private-keys-stay-inside", Task: 1, Needs: []string{"jwks-is-open-to-everybody"},
			Title: "No private half of a key, and no secret, is in the set, in a token, in another answer or in the log",
			Why:   "json.Marshal of a key pair writes both halves. Whoever reads the set then signs tokens as you do.",
			Ref:   "RFC 7517 §9.2 (preventing disclosure of non-public key information), RFC 8037 §2 and RFC 7518 §6.2.2 (d)",
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := s.LoginBoth(t, s.Cosmo())
				next := s.Refresh(t, tokens)
				opens(t, s, next.Access)
				s.Get(t, "/profile", subject.Bearer(forged("a.b.c", "that is none")))
				public, set := published(t, s)
				onlyPublic(t, s, set)
				staysInside(t, s, public)
				set.Hides(t, "the secret is in the key set", spellings(s.Settings.Secret)...)
			},
		},
		{
			ID: "every-server-has-keys-of-its-own", Task: 1, Needs: []string{"jwks-is-open-to-everybody"},
			Title: "Another server, with another secret, has other keys",
			Why:   "A key in the code is everybody's who can read the code: a colleague, a customer, the finder of a backup.",
			Ref:   "CWE-321 (use of a hard-coded cryptographic key)",
			Takes: func(c lessons.Settings) time.Duration { return 4 * pastKey(c) }, // two servers
			Check: func(t require.TestingT, s *subject.Session) {
				// The keys that come later are made elsewhere, perhaps, than the first.
				ofThree := func() []forge.PublicKey {
					s.Login(t, s.Cosmo())
					all, _ := published(t, s)
					for range 2 {
						s.Advance(t, pastKey(s.Settings))
						s.Login(t, s.Cosmo())
						set, _ := published(t, s)
						all = append(all, set...)
					}
					return all
				}
				first := ofThree()
				s.Replace(t, func(c *lessons.Settings) { c.Secret = []byte(strings.Repeat("another secret, ", 3)) })
				second := ofThree()
				for _, one := range first {
					for _, other := range second {
						if one.JWK["x"] == other.JWK["x"] {
							s.Fail(t, "two servers that share no secret have the same key", "fresh keys in each", fmt.Sprintf(`"x":%q in both`, one.JWK["x"]))
						}
					}
				}
			},
		},
		{
			ID: "key-of-a-stranger-is-refused", Task: 2, Needs: []string{"access-token-verifies-with-the-published-key", "altered-signature-is-refused"},
			Title: "A token that another key has signed is refused, whatever kid and algorithm it names",
			Why:   "The key decides which algorithm is right, not the token. A branch for an algorithm that you never use is one that nobody has tested: Java took 64 zero bytes for an ECDSA signature (CVE-2022-21449).",
			Ref:   "RFC 8725 §3.1 (perform algorithm verification), OWASP ASVS 5.0 §9.1.2 (allowed algorithms)",
			Check: func(t require.TestingT, s *subject.Session) {
				v := victimOf(t, s)
				for _, mine := range forge.NewKeyPairs() {
					v.refused(t, s, "signed with a stranger's key and "+mine.Alg+", under your kid", "a token of a stranger's key", mine.Sign)
				}
				for _, alg := range []string{"EdDSA", "ES256"} {
					for _, size := range []int{64, 0} {
						v.refused(t, s, fmt.Sprintf("with alg %s and %d zero bytes for a signature", alg, size), "a token with an empty signature",
							func(honest forge.Token) string { return forge.Signed(honest, alg, make([]byte, size)) })
					}
				}
				v.unharmed(t, s)
			},
		},
		{
			ID: "public-key-is-no-secret", Task: 2, Needs: []string{"key-of-a-stranger-is-refused"},
			Title: "A token signed by HMAC with the public key is refused, however the key is written",
			Why:   "Everybody has the public key. A server that lets the token say HS256, and passes the key that it has, takes it for a shared secret (CVE-2015-9235).",
			Ref:   "RFC 8725 §2.1 and §3.1 (algorithm confusion)",
			Check: func(t require.TestingT, s *subject.Session) {
				v := victimOf(t, s)
				_, set := published(t, s)
				written := append(v.key.Spellings(), forge.Spelling{What: "the whole key set", Bytes: set.ReplyBody})
				for _, one := range written {
					v.refused(t, s, "signed with HS256 and, for a secret, the public key: "+one.What, "a token signed with the public key",
						func(honest forge.Token) string { return honest.Sign("HS256", one.Bytes) })
				}
				for _, word := range []string{"", "secret", "changeme", v.access.Text("iss"), strings.Repeat("\x00", 32)} {
					v.refused(t, s, fmt.Sprintf("signed with HS256 and the secret %q, under your kid", word), "a token signed with what anybody guesses",
						func(honest forge.Token) string { return honest.Sign("HS256", []byte(word)) })
				}
				for _, alg := range []string{"HS384", "HS512"} {
					v.refused(t, s, "signed with "+alg+" and, for a secret, the public key's PEM", "a token signed with the public key",
						func(honest forge.Token) string { return honest.Sign(alg, written[0].Bytes) })
				}
				v.unharmed(t, s)
			},
		},
		{
			ID: "unknown-kid-is-refused", Task: 2, Needs: []string{"key-of-a-stranger-is-refused"},
			Title: "A token with no kid, or with one that no key has, is refused",
			Why:   "A map without that key gives its zero value. An empty byte slice is an HMAC secret that everybody knows, and a nil pointer is a panic.",
			Ref:   "RFC 7515 §4.1.4 (kid), RFC 8725 §3.10 (do not trust received claims)",
			Check: func(t require.TestingT, s *subject.Session) {
				v := victimOf(t, s)
				mine := forge.NewKeyPairs()
				for _, kid := range []any{none, nil, "", "0", "no-such-key", v.key.Kid() + "x"} {
					how := "with the kid " + show(kid)
					change := func(honest forge.Token) forge.Token { return honest.WithHeader("kid", kid) }
					if kid == none {
						how = "without a kid"
						change = func(honest forge.Token) forge.Token { return honest.WithoutHeader("kid") }
					}
					v.refused(t, s, how+", signed with HS256 and the empty secret", "a token whose key nobody knows",
						func(honest forge.Token) string { return change(honest).Sign("HS256", nil) })
					for _, pair := range mine {
						v.refused(t, s, how+", signed with a stranger's key", "a token whose key nobody knows",
							func(honest forge.Token) string { return pair.Sign(change(honest)) })
					}
					v.refused(t, s, how+", and unsigned", "a token whose key nobody knows",
						func(honest forge.Token) string { return forge.Signed(change(honest), honest.Alg(), nil) })
					// Lesson 03 sends these under the right kid, where a server may have found a key.
					for _, alg := range []string{"none", "nOnE", "NONE"} {
						v.refused(t, s, fmt.Sprintf("%s, with the alg %q, and unsigned", how, alg), "a token that names no key and says that it has no signature",
							func(honest forge.Token) string { return forge.Signed(change(honest), alg, nil) })
					}
					if secret := s.Settings.Secret; len(secret) > 0 { // refresh tokens may be signed with it
						stayShut(t, s, forged(change(v.access).Sign("HS256", secret), how+", signed with HS256 and the secret of your configuration"),
							"an access token that the shared secret has signed opens %s")
					}
				}
				v.unharmed(t, s)
			},
		},
		{
			ID: "kid-is-no-path-and-no-query", Task: 2, Needs: []string{"unknown-kid-is-refused"},
			Title: "A kid that is a path, a piece of SQL or a command finds no key",
			Why:   "A kid that becomes a file's name can name /dev/null, and that is the empty secret. One that becomes part of a query can bring its own key along.",
			Ref:   "RFC 8725 §3.10 (kid: SQL and LDAP injection), CWE-22, CWE-89",
			Check: func(t require.TestingT, s *subject.Session) {
				v := victimOf(t, s)
				const secret = "known-to-the-forger"
				for _, evil := range []struct{ kid, secret string }{
					{"/dev/null", ""}, {strings.Repeat("../", 20) + "dev/null", ""}, {"..%2f..%2f..%2f..%2fdev%2fnull", ""},
					{"..\\..\\..\\..\\NUL", ""}, {"file:///dev/null", ""}, {"/proc/sys/kernel/randomize_va_space", "2\n"},
					{v.key.Kid() + "\x00.pem", ""}, {"", ""},
					{"' UNION SELECT '" + secret + "' -- ", secret}, {"x' UNION SELECT '" + secret + "';--", secret}, {`" UNION SELECT "` + secret + `" -- `, secret},
					{v.key.Kid() + "' OR '1'='1", ""}, {"*", ""}, {"*)(cn=*", ""}, {"| echo " + secret, secret}, {"$(echo " + secret + ")", secret},
				} {
					v.refused(t, s, fmt.Sprintf("with the kid %q, signed with HS256 and the secret %q", evil.kid, evil.secret), "a token whose kid is an instruction",
						func(honest forge.Token) string {
							return honest.WithHeader("kid", evil.kid).Sign("HS256", []byte(evil.secret))
						})
				}
				v.unharmed(t, s)
			},
		},
		{
			ID: "odd-token-header-is-refused", Task: 2, Needs: []string{"unknown-kid-is-refused"},
			Title: "A header with a strange kid, alg, crit or b64 is refused, and nothing breaks",
			Why:   "header[\"kid\"].(string) panics on the first token whose kid is a number: one request, one server down.",
			Ref:   "RFC 7515 §4.1.4 and §4.1.11 (kid is a string; crit MUST be understood), RFC 7797 §3 (b64)",
			Check: func(t require.TestingT, s *subject.Session) {
				v := victimOf(t, s)
				kid := v.key.Kid()
				for _, odd := range []struct {
					name   string
					values []any
				}{
					{"kid", []any{7, 1.5, true, []any{kid}, map[string]any{"kid": kid}, strings.Repeat("k", 3000), "\u0000", "\ufffd", kid + "\n"}},
					{"crit", []any{[]any{"exp"}, []any{"b64"}, []any{}, "exp", nil}},
					{"b64", []any{false}}, {"zip", []any{"DEF"}}, {"cty", []any{"JWT"}},
				} {
					for _, value := range odd.values {
						for _, alg := range []string{v.access.Alg(), "HS256"} {
							changed := v.access.WithHeader(odd.name, value)
							how := fmt.Sprintf("with the %s %s under the old signature", odd.name, brief(show(value)))
							stayShut(t, s, forged(forge.Signed(changed, alg, v.access.Signature), how), "a token whose header was changed opens %s")
						}
					}
				}
				for _, alg := range []any{7, nil, true, []any{v.access.Alg()}, map[string]any{}} {
					stayShut(t, s, forged(forge.Signed(v.access, alg, v.access.Signature), "with the alg "+show(alg)), "a token whose alg is no name opens %s")
				}
				v.unharmed(t, s)
			},
		},
		{
			ID: "key-in-the-token-is-not-trusted", Task: 2, Needs: []string{"unknown-kid-is-refused"},
			Title: "A token that brings its key along, in jwk or x5c, is refused",
			Why:   "The signature is right, by the key that the forger has put in. Cisco's node-jose took it (CVE-2018-0114).",
			Ref:   "RFC 7515 §4.1.3 and §4.1.6 (jwk, x5c), OWASP ASVS 5.0 §9.1.3 (keys come from trusted sources)",
			Check: func(t require.TestingT, s *subject.Session) {
				v := victimOf(t, s)
				for _, mine := range forge.NewKeyPairs() {
					certificate := mine.Certificate()
					for _, kid := range []string{v.key.Kid(), "mine", none} {
						jwk := mine.JWK(kid)
						for _, brings := range []struct {
							name  string
							value any
						}{
							{"jwk", jwk}, {"jwks", map[string]any{"keys": []any{jwk}}},
							{"x5c", []string{base64.StdEncoding.EncodeToString(certificate)}},
							{"pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))},
						} {
							v.refused(t, s, fmt.Sprintf("signed with a stranger's key of %s, which it brings along as %s", mine.Alg, brings.name), "a token that brings its own key",
								func(honest forge.Token) string {
									honest = honest.WithHeader("kid", kid).WithHeader(brings.name, brings.value)
									if kid == none {
										honest = honest.WithoutHeader("kid")
									}
									return mine.Sign(honest)
								})
						}
					}
				}
				v.unharmed(t, s)
			},
		},
		{
			ID: "nothing-is-fetched-for-a-token", Task: 2, Needs: []string{"key-in-the-token-is-not-trusted"},
			Title: "A token that points to its key, by jku or x5u, is refused, and nobody goes there",
			Why:   "If you fetch what a stranger names, the stranger has your server knock at doors inside your network; if you trust it, the stranger signs.",
			Ref:   "RFC 8725 §3.10 (jku, x5u: server-side request forgery), RFC 7515 §4.1.2 and §4.1.5 (jku, x5u)",
			Check: func(t require.TestingT, s *subject.Session) {
				here := s.ByAddress()
				v := victimOf(t, s)
				for _, mine := range forge.NewKeyPairs() {
					bait := baited(t, s, mine, v.key.Kid())
					defer bait.Close()
					for _, points := range []struct{ name, path string }{
						{"jku", jwksPath}, {"jku", "/" + strings.TrimPrefix(v.access.Text("iss"), "https://") + jwksPath}, // an allowlist by Contains is none
						{"jku", "@" + v.access.Text("iss")}, {"jku", "@" + here}, // nor is one by HasPrefix: what stands before the @ is a user's name
						{"x5u", "/certificate.pem"}, {"jwks_uri", jwksPath}, {"kid", jwksPath}, {"iss", ""},
					} {
						name, address := points.name, bait.URL+points.path
						if site, within := strings.CutPrefix(points.path, "@"); within {
							_, site, _ = strings.Cut(site, "://")
							address = strings.Replace(bait.URL, "://", "://"+site+"@", 1) + jwksPath
						}
						for _, kid := range []string{v.key.Kid(), "mine"} {
							v.refused(t, s, fmt.Sprintf("signed with a stranger's key of %s, and its %s says where that is", mine.Alg, name), "a token that says where its key is",
								func(honest forge.Token) string {
									honest = honest.WithHeader("kid", kid)
									if name == "iss" {
										return mine.Sign(honest.With(name, address))
									}
									return mine.Sign(honest.WithHeader(name, address))
								})
							unheard(t, s, bait, name)
						}
					}
					v.unharmed(t, s)
					unheard(t, s, bait, "token")
				}
			},
		},
		{
			ID: "new-key-signs-every-key-ttl", Task: 3, Needs: []string{"access-token-verifies-with-the-published-key"},
			Title: "One key signs for KeyTTL, then another does, and its tokens are as good",
			Why:   "A key that signs for ever has for ever to be stolen, and on the day it is, nobody knows how to replace it.",
			Ref:   "OIDC Core 1.0 §10.1.1 (rotation of asymmetric signing keys)",
			Takes: func(c lessons.Settings) time.Duration { return c.KeyTTL/4*3 + 2*pastKey(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				begun := s.Now()
				var seen []string
				signs := func() {
					tokens := s.Login(t, s.Cosmo())
					opens(t, s, tokens.Access)
					seen = append(seen, show(s.Decode(t, tokens.Access).Header["kid"]))
				}
				signs()
				for range 3 {
					signs()
					s.Advance(t, s.Settings.KeyTTL/4)
					signs()
				}
				slices.Sort(seen)
				// Wherever a key's time begins, at the start, at the first login or at
				// midnight: only so many can take turns meanwhile.
				if different, most := slices.Compact(seen), 2+int(s.Now().Sub(begun)/s.Settings.KeyTTL); len(different) > most {
					s.Fail(t, fmt.Sprintf("keys sign for less than KeyTTL, which is %v here", s.Settings.KeyTTL), fmt.Sprintf("%d keys in %v at most", most, s.Now().Sub(begun)), fmt.Sprintf("%d", len(different)))
				}
				set, _ := published(t, s)
				for range 2 {
					old := s.Decode(t, s.Login(t, s.Cosmo()).Access).Header["kid"]
					s.Advance(t, pastKey(s.Settings))
					token := s.Login(t, s.Cosmo()).Access
					opens(t, s, token)
					next := s.Decode(t, token)
					if next.Header["kid"] == old {
						s.Fail(t, fmt.Sprintf("a key still signs %v later, although KeyTTL is %v", pastKey(s.Settings), s.Settings.KeyTTL), "a token with another kid", "the kid "+show(old)+" again")
					}
					for _, key := range set {
						if key.Kid() == old && key.Verified(next) {
							s.Fail(t, "the new key is the old one under another name", "a token that the key "+show(old)+" has not signed", "one that it has signed")
						}
					}
				}
			},
		},
		{
			ID: "new-key-is-published-when-it-signs", Task: 3, Needs: []string{"new-key-signs-every-key-ttl"},
			Title: "The first token of a new key finds that key in the set",
			Why:   "A verifier that meets an unknown kid asks for the set once more. If the key is not there then, the token is refused.",
			Ref:   "OIDC Core 1.0 §10.1.1 (rotation of asymmetric signing keys)",
			Set:   shortKeys,
			Takes: func(c lessons.Settings) time.Duration { return 5*pastKey(c) + c.KeyTTL/2 },
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := s.LoginBoth(t, s.Cosmo())
				verified(t, s, tokens.Access)
				for range 2 {
					published(t, s) // so that a copy of the set lies wherever one is kept
					s.Advance(t, pastKey(s.Settings))
					published(t, s)
					next := s.LoginBoth(t, s.Cosmo())
					verified(t, s, next.Access)
					verified(t, s, s.Refresh(t, next).Access)
				}
				// Shortly before the key is replaced somebody asks for the set, and a copy of that
				// is soon out of date.
				s.Advance(t, s.Settings.KeyTTL/2)
				for end := s.Now().Add(pastKey(s.Settings)); s.Now().Before(end); {
					published(t, s)
					s.Advance(t, min(end.Sub(s.Now()), max(time.Second, s.Settings.KeyTTL/10)))
					verified(t, s, s.Login(t, s.Cosmo()).Access)
				}
				// A copy that counts for a few seconds is out of date as well, if it was made in
				// the last one of a key. Where a key's time begins with the login that finds the
				// old one too old, its end is known.
				s.Advance(t, pastKey(s.Settings))
				verified(t, s, s.Login(t, s.Cosmo()).Access)
				s.Advance(t, s.Settings.KeyTTL-time.Second)
				published(t, s)
				s.Advance(t, 2*time.Second)
				verified(t, s, s.Login(t, s.Cosmo()).Access)
			},
		},
		{
			ID: "key-set-is-not-kept-past-a-rotation", Task: 3, Needs: []string{"jwks-is-open-to-everybody"},
			Title: "No cache may keep the key set for as long as a key signs",
			Why:   "A copy that counts for a day does not know today's key, and goes on trusting the one that you took out of the set because it was stolen.",
			Ref:   "RFC 9111 §5.2.2.1 (max-age), OIDC Core 1.0 §10.1.1 (rotation of asymmetric signing keys)",
			Set:   func(c *lessons.Settings) { c.KeyTTL = 24 * time.Hour },
			Check: func(t require.TestingT, s *subject.Session) {
				s.Login(t, s.Cosmo())
				_, a := published(t, s)
				if kept := kept(a, s.Now()); kept >= s.Settings.KeyTTL {
					s.Fail(t, fmt.Sprintf("caches may keep the key set for %v, and KeyTTL is %v", kept, s.Settings.KeyTTL), "Cache-Control: max-age=300, or so, or none", a.Headers("Cache-Control", "Expires"))
				}
			},
		},
		{
			ID: "living-tokens-survive-rotations", Task: 3, Needs: []string{"new-key-signs-every-key-ttl"},
			Title: "An access token works, and its key is published, until it expires, however many keys came after",
			Why:   "A rotation that forgets the old key logs everybody out, every day at the same hour.",
			Ref:   "OIDC Core 1.0 §10.1.1 (keep decommissioned keys for a while)",
			Set:   shortKeys,
			Takes: func(c lessons.Settings) time.Duration { return late(c) + beforeAccess(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				out, everywhere := s.LoginBoth(t, s.Cosmo()), s.LoginBoth(t, s.NewUser(t))
				busy := s.LoginBoth(t, s.Cosmo())
				living := []lasting{lastingOf(s, busy)}
				older := lastingOf(s, everywhere).until
				s.Advance(t, late(s.Settings))
				busy = rotated(t, s, busy)
				living = append(living, lastingOf(s, busy))
				signed := map[string]time.Time{} // when a key was first seen to sign
				turning(t, s, living[1].until, func() {
					busy = rotated(t, s, busy)
					for _, one := range append(living, lastingOf(s, busy)) {
						one.works(t, s)
					}
					kid := show(s.Decode(t, busy.Access).Header["kid"])
					if since, before := signed[kid]; !before {
						signed[kid] = s.Now()
					} else if age := s.Now().Sub(since); age >= pastKey(s.Settings) {
						s.Fail(t, fmt.Sprintf("a key still signs the tokens of /refresh %v later, although KeyTTL is %v", age, s.Settings.KeyTTL), "a token with another kid", "the kid "+kid+" again")
					}
					if s.Now().Before(older) { // once
						older = time.Time{}
						logsOut(t, s, "/logout", out.Access, "a logout with a token of an older key is refused")
						gone(t, s, out, "that was logged out with a token of an older key")
						logsOut(t, s, "/logout-all", everywhere.Access, "a logout-all with a token of an older key is refused")
						gone(t, s, everywhere, "after a /logout-all with a token of an older key")
					}
				})
			},
		},
		{
			ID: "refresh-tokens-survive-rotations", Task: 3, Needs: []string{"living-tokens-survive-rotations", "refresh-token-lives-its-ttl"},
			Title: "A refresh token works until it expires, however many keys came after",
			Why:   "The longest-lived token decides how long an old key is needed. Whoever thinks of access tokens only logs out everybody who was away for lunch.",
			Ref:   "OIDC Core 1.0 §10.1.1 (rotation of asymmetric signing keys), RFC 6749 §1.5 (refresh token)",
			Set:   shortKeys,
			Takes: func(c lessons.Settings) time.Duration { return late(c) + beforeRefresh(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				login := func() (subject.Tokens, time.Time) {
					return s.LoginBoth(t, s.Cosmo()), s.Now().Add(beforeRefresh(s.Settings))
				}
				busy := s.LoginBoth(t, s.Cosmo())
				first, end := login()
				s.Advance(t, late(s.Settings))
				last, lastEnd := login()
				work := func() {
					busy = rotated(t, s, busy)
					verified(t, s, busy.Access)
				}
				turning(t, s, end, work)
				opens(t, s, rotated(t, s, first).Access)
				turning(t, s, lastEnd, work)
				opens(t, s, rotated(t, s, last).Access)
			},
		},
		{
			ID: "retired-key-leaves-the-set", Task: 3, Needs: []string{"new-key-signs-every-key-ttl"},
			Title: "A key whose last token has expired is gone from the set, one KeyTTL later at the latest",
			Why:   "A key that is never taken out is trusted by everybody for ever: the one on the stolen backup of last year, too.",
			Ref:   "OIDC Core 1.0 §10.1.1 (for a reasonable period of time)",
			Takes: func(c lessons.Settings) time.Duration { return pastKey(c) + pastOverlap(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				_, old := verified(t, s, s.Login(t, s.Cosmo()).Access)
				for _, pause := range []time.Duration{pastKey(s.Settings), pastRefresh(s.Settings), pastKey(s.Settings)} {
					s.Advance(t, pause)
					verified(t, s, s.Login(t, s.Cosmo()).Access)
				}
				if left, _ := published(t, s); slices.Contains(kids(left), old.Kid()) {
					s.Fail(t, fmt.Sprintf("a key is in the set %v after its last token has expired", leeway+pastKey(s.Settings)), fmt.Sprintf("no key with the kid %q", old.Kid()), "the kids "+show(kids(left)))
				}
			},
		},
		{
			ID: "older-key-opens-no-more", Task: 3, Needs: []string{"living-tokens-survive-rotations", "private-keys-stay-inside", "public-key-is-no-secret", "key-in-the-token-is-not-trusted"},
			Title: "A token of an older key is asked all that one of the newest is asked, and the private half of that key is still nobody's",
			Why:   "Who verifies the tokens of older keys in a place of their own has a second door, and forgets a lock there: what the token is for, whether it has expired, or who may have signed it.",
			Ref:   "RFC 8725 §3.1 (perform algorithm verification) and §3.12 (mutually exclusive validation rules)",
			Set:   shortKeys,
			Takes: func(c lessons.Settings) time.Duration { return pastKey(c) + pastAccess(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				used := s.LoginBoth(t, s.Cosmo())
				next := rotated(t, s, used)
				out, goes := s.LoginBoth(t, s.Cosmo()), subject.Tokens{}
				logsOut(t, s, "/logout", out.Access, "a logout with a good access token is refused")
				if s.Controlled() {
					goes = s.LoginBoth(t, s.NewUser(t))
				}
				v := victimOf(t, s)
				old := v.tokens.Access
				s.Advance(t, pastKey(s.Settings))
				opens(t, s, s.Login(t, s.Cosmo()).Access) // of the next key
				opens(t, s, v.tokens.Access)
				public, set := published(t, s)
				onlyPublic(t, s, set)
				staysInside(t, s, public)
				stayShut(t, s, v.tokens.Refresh, "a refresh token of an older key opens %s")
				noRefresh(t, s, "/refresh takes an access token of an older key", subject.Bearer(v.tokens.Access))
				for _, mine := range forge.NewKeyPairs() {
					v.refused(t, s, "signed with a stranger's key and "+mine.Alg+", under the kid of an older key of yours", "a token of a stranger's key", mine.Sign)
					v.refused(t, s, "signed with a stranger's key of "+mine.Alg+", which it brings along as jwk, under the kid of an older key of yours", "a token that brings its own key",
						func(honest forge.Token) string { return mine.Sign(honest.WithHeader("jwk", mine.JWK(v.key.Kid()))) })
				}
				for _, one := range v.key.Spellings() {
					v.refused(t, s, "signed with HS256 and, for a secret, an older public key: "+one.What, "a token signed with a public key",
						func(honest forge.Token) string { return honest.Sign("HS256", one.Bytes) })
				}
				gone(t, s, out, "of an older key, whose session was logged out")
				if s.Controlled() {
					opens(t, s, goes.Access)
					s.DeleteUser(t, goes.User)
					gone(t, s, goes, "of an older key, whose user was deleted")
				}
				noRefresh(t, s, "a used refresh token of an older key works again", subject.Bearer(used.Refresh))
				noRefresh(t, s, "a session goes on although a refresh token of an older key was used twice", subject.Bearer(next.Refresh))
				v.unharmed(t, s)
				s.Advance(t, pastAccess(s.Settings))
				stayShut(t, s, old, "an access token opens %s after its time, when another key signs")
				opens(t, s, s.Login(t, s.Cosmo()).Access)
			},
		},
		{
			ID: "rotation-at-once-loses-no-key", Task: 3, Needs: []string{"new-key-is-published-when-it-signs", "living-tokens-survive-rotations"},
			Title: "Logins that come together at the moment of a rotation get tokens that all work, and so do those from before",
			Why:   "Who looks first and turns later makes several keys at once. Each is put in the place of the one before, and the key that signed until now falls out with them (CWE-367).",
			Ref:   "OIDC Core 1.0 §10.1.1 (rotation of asymmetric signing keys), CWE-362 (concurrent execution using a shared resource)",
			Set:   shortKeys,
			Takes: func(c lessons.Settings) time.Duration { return rotations * pastKey(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				crowd := 8
				if !s.Controlled() {
					crowd = 3 // a password that is hashed as it should be takes its time
				}
				for range rotations {
					before := lastingOf(s, s.Login(t, s.Cosmo()))
					s.Advance(t, pastKey(s.Settings))
					var requests []probe.Request
					for range crowd {
						requests = append(requests, subject.Request(http.MethodPost, "/login", s.Cosmo().Credentials()))
					}
					answers := s.Crowd(t, requests)
					set, _ := published(t, s)
					shown := map[string]bool{}
					work := func(token probe.Token) {
						decoded := s.Decode(t, token)
						kid, _ := decoded.Header["kid"].(string)
						at := slices.IndexFunc(set, func(key forge.PublicKey) bool { return key.Kid() == kid })
						if at < 0 || !set[at].Verified(decoded) {
							s.Fail(t, "a key was lost when several logins came at once: that of "+token.What, fmt.Sprintf("the key %q in the set", kid), "the kids "+show(kids(set)))
						}
						if !shown[kid] { // the others of that key work as well
							s.Get(t, "/profile", subject.Bearer(token)).Is(t, http.StatusOK, "a good access token is refused after several logins came at once")
						}
						shown[kid] = true
					}
					for _, a := range answers {
						a.Is(t, http.StatusOK, "a login at the moment of a rotation does not succeed")
						work(forged(a.Text("access_token"), "one of their tokens"))
					}
					if !s.Now().After(before.until) {
						work(before.Token)
					}
				}
			},
		},
	}
}

// onlyPublic wants no key of a set to have a private member.
func onlyPublic(t require.TestingT, s *subject.Session, set *subject.Answer) {
	for _, key := range members(set) {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, there := key[private]; there {
				s.Fail(t, fmt.Sprintf("a key of the set has the member %q, which is private", private), "public members only: kty, crv, x, y, kid, use, alg", "the members "+show(slices.Sorted(maps.Keys(key))))
			}
		}
	}
}

// staysInside wants no answer so far, and no line of the log, to hold the private half
// of one of the keys.
func staysInside(t require.TestingT, s *subject.Session, public []forge.PublicKey) {
	for _, e := range s.Log() {
		answer, _ := e.JSON()
		seen := []any{answer}
		for _, field := range []string{"access_token", "refresh_token"} {
			if token, err := forge.Decode(e.Text(field)); err == nil {
				seen = append(seen, token.Header, token.Claims)
			}
		}
		var headers strings.Builder
		e.ReplyHeader.Write(&headers)
		for _, key := range public {
			if key.PrivateIn(seen) || key.PrivateInText(headers.String()) {
				probe.Fail(t, &probe.Failure{Claim: "the private half of a key is in an answer or in a token", Sent: e, Want: "the public half only", Got: "what the key " + strconv.Quote(key.Kid()) + " signs with"})
			}
		}
	}
	if !s.Controlled() {
		return // nobody sees its log
	}
	for line := range strings.Lines(s.Logged(t)) {
		for _, key := range public {
			if key.PrivateInText(line) {
				s.Fail(t, "the private half of a key is in the log", "a log without it", "a line with what the key "+strconv.Quote(key.Kid())+" signs with")
			}
		}
	}
}

// fits wants a key to be made for the token that names it.
func fits(t require.TestingT, s *subject.Session, token forge.Token, key forge.PublicKey) {
	algs := strings.Join(key.Algs(), " or ")
	if !slices.Contains(key.Algs(), token.Alg()) {
		s.Fail(t, "the token is signed with another algorithm than its key is for", `"alg": `+algs+", in the header", `"alg":`+show(token.Header["alg"]))
	}
	if alg, there := key.JWK["alg"]; there && alg != token.Alg() {
		s.Fail(t, "the set says another algorithm of the key than the token does", `"alg":`+show(token.Alg()), `"alg":`+show(alg))
	}
	if use, there := key.JWK["use"]; there && use != "sig" {
		s.Fail(t, "the set says that the key is not for signatures", `"use":"sig", or no use`, `"use":`+show(use))
	}
	if ops, there := key.JWK["key_ops"]; there {
		if list, _ := ops.([]any); !slices.Contains(list, any("verify")) {
			s.Fail(t, "the set says that the key does not verify", `"key_ops":["verify"], or none`, `"key_ops":`+show(ops))
		}
	}
}

// members are the keys of a set, of whatever kind.
func members(set *subject.Answer) []map[string]any {
	list, _ := set.Field("keys").([]any)
	var keys []map[string]any
	for _, one := range list {
		key, _ := one.(map[string]any)
		keys = append(keys, key)
	}
	return keys
}

// brief is the beginning of a text.
func brief(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

// baited opens a server to which a forged token can point. It has the forger's
// key under that kid, and another, as a JWK Set, as an issuer's metadata and as a
// certificate. That it hears is shown first: its first call is our own.
func baited(t require.TestingT, s *subject.Session, mine forge.KeyPair, kid string) *upstream.Bait {
	certificate := mine.Certificate()
	bait, err := upstream.OpenBait(func(url, path string) []byte {
		if strings.HasSuffix(path, ".pem") {
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
		}
		text, _ := json.Marshal(map[string]any{"issuer": url, "jwks_uri": url + jwksPath, "keys": []any{mine.JWK(kid), mine.JWK("mine")}})
		return text
	})
	require.NoError(t, err)
	answer, err := http.Get(bait.URL + "/control")
	require.NoError(t, err)
	answer.Body.Close()
	require.Len(t, bait.Calls(), 1, "a fault of the checker's own: the bait does not hear")
	s.Reach(strings.TrimPrefix(bait.URL, "http://"))
	return bait
}

// unheard wants nobody but us to have asked the bait.
func unheard(t require.TestingT, s *subject.Session, bait *upstream.Bait, by string) {
	if calls := bait.Calls(); len(calls) > 1 {
		s.Fail(t, "your server fetches what a token points to", "no request to "+bait.URL+", which the "+by+" names", calls[1].Method+" "+calls[1].Path)
	}
}

// kept is how long a cache may keep an answer (RFC 9111 §4.2.1). An Expires counts
// from whichever clock the server goes by.
func kept(a *subject.Answer, now time.Time) time.Duration {
	var longest time.Duration
	stated := false
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(a.ReplyHeader.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age", "s-maxage":
			// A number that is too large counts as the largest there is (RFC 9111 §1.2.2).
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil || errors.Is(err, strconv.ErrRange) {
				longest, stated = max(longest, time.Duration(seconds)*time.Second), true
			}
		}
	}
	if expires, err := http.ParseTime(a.ReplyHeader.Get("Expires")); err == nil && !stated {
		if date, err := http.ParseTime(a.ReplyHeader.Get("Date")); err == nil {
			return min(expires.Sub(date), expires.Sub(now))
		}
	}
	return longest
}
