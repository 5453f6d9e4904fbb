package upstream

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"jwtworkshop/checker/forge"
)

// Making an RSA key takes longer than all that a step does with it, so the keys of
// the graders' providers are here for everybody to read. They sign nothing else.
//
//go:embed keys/*.pem
var pems embed.FS

func pemBytes(name string) []byte {
	text, err := pems.ReadFile("keys/" + name + ".pem")
	if err != nil {
		panic(err) // it is embedded above
	}
	block, _ := pem.Decode(bytes.TrimSpace(text))
	return block.Bytes
}

func testingKey(name string) func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey {
		key, err := x509.ParsePKCS1PrivateKey(pemBytes(name))
		if err != nil {
			panic(err) // likewise
		}
		return key
	})
}

var (
	firstKey   = testingKey("first")
	secondKey  = testingKey("second")
	foreignKey = testingKey("foreign") // not the provider's
)

// A Key signs ID tokens with RS256, as every provider can (OIDC Core §15.1).
type Key struct {
	ID      string // its "kid"
	private *rsa.PrivateKey
}

// Foreign is a key that no provider publishes, under an ID of one's choice.
func Foreign(id string) Key { return Key{ID: id, private: foreignKey()} }

// Sign returns the token under the header with this key's alg and kid, unless the
// header says others.
func (k Key) Sign(header, claims map[string]any) string {
	h := map[string]any{"typ": "JWT", "kid": k.ID}
	for name, value := range header {
		h[name] = value
	}
	input := strings.TrimSuffix(forge.Token{Header: h, Claims: claims}.Sign("RS256", nil), ".")
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, digest[:])
	if err != nil {
		panic(err) // the key is long enough
	}
	return input + "." + b64(signature)
}

// JWK is the public part (RFC 7517).
func (k Key) JWK() map[string]any {
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.ID,
		"n": b64(k.private.N.Bytes()), "e": b64(big.NewInt(int64(k.private.E)).Bytes()),
	}
}

// PEM is the public part in the form in which it is mistaken for a secret.
func (k Key) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(&k.private.PublicKey)
	if err != nil {
		panic(err) // an RSA key
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// decoys are keys that stand in a real provider's set beside the one that signs:
// one for encryption, and one of another kind.
var decoys = sync.OnceValue(func() []any {
	encryption, err := x509.ParsePKCS1PublicKey(pemBytes("encryption"))
	if err != nil {
		panic(err) // it is embedded above
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	point, err := other.PublicKey.Bytes()
	if err != nil {
		panic(fmt.Errorf("a key that was just made: %w", err))
	}
	return []any{
		map[string]any{
			"kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": rand.Text(),
			"n": b64(encryption.N.Bytes()), "e": b64(big.NewInt(int64(encryption.E)).Bytes()),
		},
		map[string]any{
			"kty": "EC", "use": "sig", "alg": "ES256", "kid": rand.Text(), "crv": "P-256",
			"x": b64(point[1:33]), "y": b64(point[33:]),
		},
	}
})

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
