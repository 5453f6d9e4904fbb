package forge_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
)

// The example of RFC 7515 appendix A.1: a token and the key that signed it.
const (
	rfcToken = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcKey   = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
)

func TestTheExampleOfTheStandard(t *testing.T) {
	key, err := base64.RawURLEncoding.DecodeString(rfcKey)
	require.NoError(t, err)
	token, err := forge.Decode(rfcToken)
	require.NoError(t, err)
	assert.Equal(t, "HS256", token.Alg())
	assert.Equal(t, "joe", token.Text("iss"))
	exp, ok := token.Time("exp")
	assert.True(t, ok)
	assert.Equal(t, time.Unix(1300819380, 0).UTC(), exp)
	assert.True(t, token.Verifies(key))
	assert.False(t, token.Verifies(key[1:]))
	assert.False(t, token.Verifies(nil))
}

// Another implementation reads what we sign, and we read what it signs.
func TestSignedTokensAreTokensToOthers(t *testing.T) {
	key := []byte(strings.Repeat("k", 64))
	for _, alg := range forge.HMACs {
		theirs, err := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{"sub": "ada", "exp": 4102444800}).SignedString(key)
		require.NoError(t, err)
		token, err := forge.Decode(theirs)
		require.NoError(t, err)
		assert.True(t, token.Verifies(key), alg)

		ours := token.With("sub", "grace").Without("nothing").Sign(alg, key)
		parsed, err := jwt.Parse(ours, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithValidMethods([]string{alg}))
		require.NoError(t, err)
		sub, err := parsed.Claims.GetSubject()
		require.NoError(t, err)
		assert.Equal(t, "grace", sub)
		assert.Equal(t, "ada", token.Text("sub"), "the original is as it was")
		assert.False(t, token.With("sub", "grace").Verifies(key), "a changed token has no signature yet")
	}
}

func TestEachForgeryIsRefusedByALibrary(t *testing.T) {
	key := []byte(strings.Repeat("k", 64))
	honest, err := forge.Decode(forge.Sign(nil, []byte(`{"sub":"ada"}`), "HS256", key))
	require.NoError(t, err)
	raw := honest.Sign("HS256", key)
	accepts := func(raw string) bool {
		_, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithValidMethods([]string{"HS256"}))
		return err == nil
	}
	require.True(t, accepts(raw), "the control")
	for name, evil := range map[string]string{
		"none":             honest.Sign("none", nil),
		"another hash":     honest.Sign("HS512", key),
		"another name":     forge.SignAs(honest, "RS256", key),
		"another key":      honest.Sign("HS256", key[1:]),
		"tampered":         forge.Tamper(raw),
		"signature":        forge.TamperSignature(raw),
		"replaced payload": forge.ReplacePayload(raw, honest.With("sub", "grace").Claims),
		"replaced header":  forge.ReplaceHeader(raw, map[string]any{"alg": "HS256", "kid": "another"}),
	} {
		assert.False(t, accepts(evil), name)
		assert.NotEqual(t, raw, evil, name)
	}
}

func TestTamperingAlwaysChangesSomething(t *testing.T) {
	for _, raw := range []string{"", "A", ".", "..", "a.b.c", "AAAA.AAAA.AAAA", "AAA...", rfcToken, "opaque-token-with-A-in-the-middle"} {
		assert.NotEqual(t, raw, forge.Tamper(raw), "%q", raw)
		assert.NotEqual(t, raw, forge.TamperSignature(raw), "%q", raw)
	}
	assert.Equal(t, strings.Count(rfcToken, "."), strings.Count(forge.TamperSignature(rfcToken), "."))
}

func TestWhatIsNoJWT(t *testing.T) {
	for _, raw := range []string{"", "a", "a.b", "a.b.c", "a.b.c.d", "e30", "e30.e30", "e30.bnVsbA.", "W10.e30.", "e30.W10.", "e30.e30.!", "e30=.e30.", strings.Repeat(".", 1000)} {
		_, err := forge.Decode(raw)
		assert.ErrorIs(t, err, forge.ErrNotJWT, "%q", raw)
	}
	_, err := forge.Decode("e30.e30.")
	assert.NoError(t, err, "an empty header, no claims and no signature are a JWT's form")
}

func TestDatesAndAudiences(t *testing.T) {
	decode := func(claims string) forge.Token {
		token, err := forge.Decode(forge.Sign(nil, []byte(claims), "HS256", nil))
		require.NoError(t, err)
		return token
	}
	at, ok := decode(`{"exp":1300819380.5}`).Time("exp")
	assert.True(t, ok)
	assert.Equal(t, 500*time.Millisecond, time.Duration(at.Nanosecond()))
	for _, odd := range []string{`"1300819380"`, `null`, `true`, `[1]`, `1e300`, `-1e300`} {
		_, ok := decode(`{"exp":` + odd + `}`).Time("exp")
		assert.False(t, ok, odd)
	}
	assert.Equal(t, []string{"a"}, decode(`{"aud":"a"}`).Audience())
	assert.Equal(t, []string{"a", "b"}, decode(`{"aud":["a",1,"b"]}`).Audience())
	assert.Empty(t, decode(`{"aud":7}`).Audience())
}

func FuzzDecode(f *testing.F) {
	f.Add(rfcToken)
	f.Add("e30.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := forge.Decode(raw)
		if err != nil {
			return
		}
		token.Time("exp")
		token.Audience()
		again, err := forge.Decode(token.Sign("HS256", []byte("k")))
		if err != nil || len(again.Claims) != len(token.Claims) {
			t.Fatalf("signed anew it is another token: %v", err)
		}
	})
}

func TestAnotherSpellingIsTheSameSignature(t *testing.T) {
	raw := forge.Sign(nil, []byte(`{"sub":"ada"}`), "HS256", []byte("secret"))
	other, there := forge.Respell(raw)
	assert.True(t, there)
	assert.NotEqual(t, raw, other)
	assert.Equal(t, decoded(t, raw).Signature, decoded(t, other).Signature)

	whole := forge.Sign(nil, []byte(`{"sub":"ada"}`), "HS384", []byte("secret")) // 48 bytes: each bit of 64 characters counts
	same, there := forge.Respell(whole)
	assert.False(t, there)
	assert.Equal(t, whole, same)
}

func TestReplaceAlgChangesTheHeaderAlone(t *testing.T) {
	raw := forge.Sign(nil, []byte(`{"sub":"ada"}`), "HS256", []byte("secret"))
	evil := forge.ReplaceAlg(raw, "none")
	assert.Equal(t, "none", decoded(t, evil).Alg())
	assert.Equal(t, strings.SplitN(raw, ".", 2)[1], strings.SplitN(evil, ".", 2)[1])
}

// Hexadecimal digits mean the same in capitals.
func TestWhatIsTamperedWithDiffersInEitherCase(t *testing.T) {
	for _, raw := range []string{"aaaa", "AAAA", "bbbb", "e3e3", "0a0a"} {
		assert.False(t, strings.EqualFold(raw, forge.Tamper(raw)), raw)
	}
}

func decoded(t *testing.T, raw string) forge.Token {
	token, err := forge.Decode(raw)
	require.NoError(t, err)
	return token
}
