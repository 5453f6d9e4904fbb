package forge_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
)

func read(t *testing.T, jwk map[string]any) forge.PublicKey {
	text, err := json.Marshal(jwk)
	require.NoError(t, err)
	key, err := forge.ReadKey(text)
	require.NoError(t, err)
	return key
}

func signed(t *testing.T, raw string) forge.Token {
	token, err := forge.Decode(raw)
	require.NoError(t, err)
	return token
}

// The example of RFC 8037 appendix A: the two halves of a key.
func TestTheKeyOfTheStandard(t *testing.T) {
	key := read(t, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
	assert.True(t, key.PrivateIn(map[string]any{"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}))
	assert.False(t, key.PrivateIn(map[string]any{"d": "oWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}))
}

// Another implementation reads what we sign, and we read what it signs.
func TestKeyPairsAreKeysToOthers(t *testing.T) {
	for _, pair := range forge.NewKeyPairs() {
		key := read(t, pair.JWK("k1"))
		assert.Equal(t, "k1", key.Kid())
		ours := pair.Sign(forge.Token{Header: map[string]any{"kid": "k1"}, Claims: map[string]any{"sub": "ada"}})
		assert.True(t, key.Verified(signed(t, ours)), pair.Alg)
		assert.False(t, key.Verified(signed(t, forge.TamperSignature(ours))), pair.Alg)
		assert.False(t, key.Verified(signed(t, ours).With("sub", "grace")), "a changed token has no signature yet")

		certificate, err := x509.ParseCertificate(pair.Certificate())
		require.NoError(t, err)
		parsed, err := jwt.Parse(ours, func(*jwt.Token) (any, error) { return certificate.PublicKey, nil }, jwt.WithValidMethods([]string{pair.Alg}))
		require.NoError(t, err, pair.Alg)
		assert.Equal(t, "k1", parsed.Header["kid"])
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for _, theirs := range []struct {
		method  jwt.SigningMethod
		private crypto.Signer
		jwk     map[string]any
	}{
		{jwt.SigningMethodEdDSA, ed, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64url(edPublic)}},
		{jwt.SigningMethodES256, ec, map[string]any{"kty": "EC", "crv": "P-256", "x": base64url(point(t, ec)[1:33]), "y": base64url(point(t, ec)[33:])}},
	} {
		raw, err := jwt.NewWithClaims(theirs.method, jwt.MapClaims{"sub": "ada"}).SignedString(theirs.private)
		require.NoError(t, err)
		token := signed(t, raw)
		key := read(t, theirs.jwk)
		assert.True(t, key.Verified(token))
		for _, stranger := range forge.NewKeyPairs() {
			assert.False(t, read(t, stranger.JWK("k1")).Verified(token))
		}
		assert.False(t, key.Verified(signed(t, token.Sign("HS256", key.Spellings()[0].Bytes))), "the algorithm belongs to the key")

		der, err := x509.MarshalPKCS8PrivateKey(theirs.private)
		require.NoError(t, err)
		for _, leak := range []string{string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), base64.StdEncoding.EncodeToString(der), hex.EncodeToString(der)} {
			assert.True(t, key.PrivateIn([]any{map[string]any{"note": []any{leak}}}))
		}
		assert.False(t, key.PrivateIn(key.JWK))
		for _, spelling := range key.Spellings() {
			assert.False(t, key.PrivateIn(string(spelling.Bytes)), spelling.What)
		}
	}
	whole := read(t, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64url(edPublic)})
	assert.True(t, whole.PrivateIn(base64.StdEncoding.EncodeToString(ed)), "both halves, as Go keeps them")
	var list []any
	for _, b := range ed.Seed() {
		list = append(list, json.Number(strconv.Itoa(int(b))))
	}
	assert.True(t, whole.PrivateIn(map[string]any{"seed": list}), "as json.Marshal writes an array")
	scalar, err := ec.Bytes()
	require.NoError(t, err)
	number := read(t, map[string]any{"kty": "EC", "crv": "P-256", "x": base64url(point(t, ec)[1:33]), "y": base64url(point(t, ec)[33:])})
	assert.True(t, number.PrivateIn(json.Number(new(big.Int).SetBytes(scalar).String())), "as json.Marshal writes a big.Int")

	der, err := x509.MarshalPKCS8PrivateKey(ec)
	require.NoError(t, err)
	framed := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, lines := range []struct {
		key     forge.PublicKey
		private []any
		public  any
	}{
		{whole, []any{ed, ed.Seed(), base64url(ed), hex.EncodeToString(ed.Seed()), fmt.Sprint(ed), fmt.Sprintf("%+v", struct{ Key []byte }{ed})}, edPublic},
		{number, []any{framed, scalar, hex.EncodeToString(scalar), fmt.Sprintf("{D:%+d}", new(big.Int).SetBytes(scalar))}, point(t, ec)},
	} {
		logged := func(value any) string {
			var line strings.Builder
			slog.New(slog.NewTextHandler(&line, nil)).Info("a new key", "kid", "k1", "key", value)
			return line.String()
		}
		for _, private := range lines.private {
			assert.True(t, lines.key.PrivateInText(logged(private)), logged(private))
		}
		assert.False(t, lines.key.PrivateInText(logged(lines.public)), logged(lines.public))
	}
}

func base64url(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func point(t *testing.T, key *ecdsa.PrivateKey) []byte {
	raw, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	return raw
}

// An ES256 signature in ASN.1, as crypto libraries give it, is none to others.
func TestASN1IsNoSignature(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key := read(t, map[string]any{"kty": "EC", "crv": "P-256", "x": base64url(point(t, ec)[1:33]), "y": base64url(point(t, ec)[33:])})
	honest := forge.Token{Header: map[string]any{}, Claims: map[string]any{"sub": "ada"}}
	input := strings.TrimSuffix(forge.Signed(honest, "ES256", nil), ".")
	h := crypto.SHA256.New()
	h.Write([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, ec, h.Sum(nil))
	require.NoError(t, err)
	assert.False(t, key.Verified(signed(t, input+"."+base64url(der))))
}

func TestKeysThatCannotBeRead(t *testing.T) {
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	x := base64url(make([]byte, 32))
	for _, bad := range []struct{ text, says string }{
		{`[]`, "no JSON object"},
		{`null`, "no JSON object"},
		{`{}`, "no kty"},
		{`{"kty":"OKP"}`, "no crv"},
		{`{"kty":"EC","crv":"Ed25519","x":"` + x + `"}`, "kty OKP"},
		{`{"kty":"OKP","crv":"P-256","x":"` + x + `"}`, "kty EC"},
		{`{"kty":"OKP","crv":"Ed25519"}`, "its x is not base64url"},
		{`{"kty":"OKP","crv":"Ed25519","x":"` + x + `="}`, "its x is not base64url"},
		{`{"kty":"OKP","crv":"Ed25519","x":"` + base64url(make([]byte, 64)) + `"}`, "64 bytes"},
		{`{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + base64url(make([]byte, 31)) + `"}`, "its y has 31 bytes"},
		{`{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `"}`, "no point"},
	} {
		_, err := forge.ReadKey([]byte(bad.text))
		require.ErrorContains(t, err, bad.says, bad.text)
		assert.NotErrorIs(t, err, forge.ErrOtherKey)
	}
	for _, other := range []string{`{"kty":"RSA","n":"` + base64url(rs.N.Bytes()) + `","e":"AQAB"}`, `{"kty":"oct","k":"AAAA"}`, `{"kty":"EC","crv":"P-384"}`, `{"kty":"OKP","crv":"X25519"}`} {
		_, err := forge.ReadKey([]byte(other))
		assert.ErrorIs(t, err, forge.ErrOtherKey, other)
	}
	for _, set := range []string{``, `[]`, `{}`, `{"keys":[]}`, `{"keys":{}}`, `null`} {
		_, err := forge.ReadKeySet([]byte(set))
		assert.Error(t, err, set)
	}
}
