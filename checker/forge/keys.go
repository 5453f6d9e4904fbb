package forge

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrOtherKey is returned, wrapped, by [ReadKey]: the key is of a kind that signs
// neither with EdDSA nor with ES256.
var ErrOtherKey = errors.New("a key of another kind")

// A PublicKey is a key of a JWK Set (RFC 7517): Ed25519 or P-256.
type PublicKey struct {
	JWK  map[string]any  // as it was published
	Text json.RawMessage // the same, byte for byte

	ed *ed25519.PublicKey // one of the two
	ec *ecdsa.PublicKey
}

// ReadKeySet reads a JWK Set (RFC 7517 §5) and returns its keys, unread.
func ReadKeySet(body []byte) ([]json.RawMessage, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("it is no JSON object with a list of keys: %w", err)
	}
	if len(set.Keys) == 0 {
		return nil, errors.New(`there is no key under "keys"`)
	}
	return set.Keys, nil
}

// ReadKey reads a public key: kty OKP with crv Ed25519 (RFC 8037 §2), or kty EC
// with crv P-256 (RFC 7518 §6.2). Of other kinds it returns [ErrOtherKey].
func ReadKey(text json.RawMessage) (PublicKey, error) {
	k := PublicKey{Text: text}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&k.JWK); err != nil || k.JWK == nil {
		return k, fmt.Errorf("it is no JSON object: %s", text)
	}
	switch kty, crv := k.text("kty"), k.text("crv"); {
	case kty == "":
		return k, errors.New("it has no kty")
	case crv == "Ed25519" && kty != "OKP":
		return k, fmt.Errorf("its kty is %q; a key on Ed25519 is of kty OKP", kty)
	case crv == "P-256" && kty != "EC":
		return k, fmt.Errorf("its kty is %q; a key on P-256 is of kty EC", kty)
	case crv == "" && (kty == "OKP" || kty == "EC"):
		return k, errors.New("it has no crv")
	case crv == "Ed25519":
		if whole, err := b64.DecodeString(k.text("x")); err == nil && len(whole) == ed25519.PrivateKeySize {
			return k, errors.New("its x has 64 bytes, wanted are 32: in Go that is the private key, which ends with the public one")
		}
		x, err := k.coordinate("x")
		k.ed = (*ed25519.PublicKey)(&x)
		return k, err
	case crv == "P-256":
		x, err := k.coordinate("x")
		if err != nil {
			return k, err
		}
		y, err := k.coordinate("y")
		if err != nil {
			return k, err
		}
		if k.ec, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
			return k, errors.New("its x and y are no point of P-256")
		}
		return k, nil
	default:
		return k, fmt.Errorf("%w: kty %q, crv %q", ErrOtherKey, kty, crv)
	}
}

func (k PublicKey) text(member string) string {
	s, _ := k.JWK[member].(string)
	return s
}

// coordinate is a member of 32 bytes; no zero may be left out at its front (RFC
// 7518 §6.2.1.2).
func (k PublicKey) coordinate(member string) ([]byte, error) {
	raw, err := b64.Strict().DecodeString(k.text(member))
	if err != nil || k.text(member) == "" {
		return nil, fmt.Errorf("its %s is not base64url without padding", member)
	}
	if len(raw) != 32 {
		return nil, fmt.Errorf("its %s has %d bytes, wanted are 32", member, len(raw))
	}
	return raw, nil
}

// Kid is the key's ID, "" if it has none.
func (k PublicKey) Kid() string { return k.text("kid") }

// Algs are the names of the algorithm that the key is for. EdDSA with Ed25519 has
// two (RFC 8037 §3.1, RFC 9864 §2.2).
func (k PublicKey) Algs() []string {
	if k.ed != nil {
		return []string{"EdDSA", "Ed25519"}
	}
	return []string{"ES256"}
}

// Verified tells whether the token, as it was decoded, is signed with the private
// half of the key and an algorithm of its own.
func (k PublicKey) Verified(t Token) bool {
	if t.raw == "" || !slices.Contains(k.Algs(), t.Alg()) {
		return false
	}
	input := []byte(t.raw[:strings.LastIndex(t.raw, ".")])
	if k.ed != nil {
		return ed25519.Verify(*k.ed, input, t.Signature)
	}
	if len(t.Signature) != 64 { // R and S, of 32 bytes each (RFC 7518 §3.4)
		return false
	}
	hash := sha256.Sum256(input)
	r, s := new(big.Int).SetBytes(t.Signature[:32]), new(big.Int).SetBytes(t.Signature[32:])
	return ecdsa.Verify(k.ec, hash[:], r, s)
}

// public is the key as crypto/x509 takes it.
func (k PublicKey) public() crypto.PublicKey {
	if k.ed != nil {
		return *k.ed
	}
	return k.ec
}

// point is the key without any frame: 32 bytes of Ed25519, 65 of P-256.
func (k PublicKey) point() []byte {
	if k.ed != nil {
		return *k.ed
	}
	return must(k.ec.Bytes())
}

// A Spelling is one way to write a public key down.
type Spelling struct {
	What  string
	Bytes []byte
}

// Spellings are the ways in which a server may hold the key, and so what it would
// take for an HMAC secret if a token could tell it to.
func (k PublicKey) Spellings() []Spelling {
	der := must(x509.MarshalPKIXPublicKey(k.public()))
	framed := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	point := k.point()
	sorted := must(json.Marshal(k.JWK))
	list := []Spelling{
		{"its PEM", framed},
		{"its PEM without the last newline", bytes.TrimSpace(framed)},
		{"its PEM with CR LF", bytes.ReplaceAll(framed, []byte("\n"), []byte("\r\n"))},
		{"the DER in its PEM", der},
		{"that DER in base64", []byte(base64.StdEncoding.EncodeToString(der))},
		{"its bytes", point},
		{"its bytes in hex", []byte(hex.EncodeToString(point))},
		{"its bytes in base64", []byte(base64.StdEncoding.EncodeToString(point))},
		{"its bytes in base64url", []byte(b64.EncodeToString(point))},
		{"its x", []byte(k.text("x"))},
		{"its JWK", k.Text},
		{"its JWK with the members in order", sorted},
		{"its kid", []byte(k.Kid())},
		{"its bytes as JSON", must(json.Marshal(point))},
		{"its bytes as Go prints them", fmt.Append(nil, point)},
	}
	if k.ec != nil {
		list = append(list,
			Spelling{"the bytes of its x", point[1:33]},
			Spelling{"its x and y", point[1:]},
			Spelling{"its compressed point", append([]byte{2 + point[64]&1}, point[1:33]...)},
		)
	}
	return list
}

// PrivateIn tells whether a JSON value, numbers of it json.Number, holds the private
// half of the key, whatever it is called and however it is written: in base64 or
// hex, as PEM or DER, as a number or as a list of bytes.
func (k PublicKey) PrivateIn(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			if k.PrivateIn(member) {
				return true
			}
		}
	case []any:
		return k.isHalf(octets(v)) || slices.ContainsFunc(v, k.PrivateIn)
	case string:
		return k.halfIn(v)
	case json.Number:
		n, ok := new(big.Int).SetString(v.String(), 10)
		return ok && n.Sign() > 0 && n.BitLen() > 128 && n.BitLen() <= 256 && k.isHalf(n.FillBytes(make([]byte, 32)))
	}
	return false
}

// keyRun is what may be a key in base64 or hex, or as a number.
var keyRun = regexp.MustCompile(`[A-Za-z0-9+/_-]{32,}`)

// byteList is a list of numbers as Go's %v and JSON write it.
var byteList = regexp.MustCompile(`\[\d+(?:[ ,]+\d+)+\]`)

// quoted is a text as Go quotes it.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// PrivateInText is PrivateIn for what is no JSON: a line of a log, a header.
func (k PublicKey) PrivateInText(text string) bool {
	for _, one := range quoted.FindAllString(text, -1) { // package log/slog writes bytes so
		if raw, err := strconv.Unquote(one); err == nil && k.halfIn(raw) {
			return true
		}
	}
	for _, run := range keyRun.FindAllString(text, -1) {
		if k.halfIn(run) || k.PrivateIn(json.Number(strings.TrimLeft(run, "+"))) { // %+v of a big.Int
			return true
		}
	}
	for _, list := range byteList.FindAllString(text, -1) {
		var raw []any
		for _, number := range strings.FieldsFunc(list, func(r rune) bool { return r < '0' || r > '9' }) {
			raw = append(raw, json.Number(number))
		}
		if k.isHalf(octets(raw)) {
			return true
		}
	}
	return false
}

// octets is a list of numbers as bytes, nil if it is none: a Go array is written so.
func octets(list []any) []byte {
	var raw []byte
	for _, one := range list {
		n, ok := one.(json.Number)
		if !ok {
			return nil
		}
		b, err := strconv.ParseUint(n.String(), 10, 8)
		if err != nil {
			return nil
		}
		raw = append(raw, byte(b))
	}
	return raw
}

func (k PublicKey) halfIn(text string) bool {
	if k.isHalf([]byte(text)) {
		return true
	}
	if block, _ := pem.Decode([]byte(text)); block != nil && k.isHalf(block.Bytes) {
		return true
	}
	for _, decode := range []func(string) ([]byte, error){
		base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString, hex.DecodeString,
	} {
		if raw, err := decode(text); err == nil && k.isHalf(raw) {
			return true
		}
	}
	return false
}

func (k PublicKey) isHalf(raw []byte) bool {
	if len(raw) < 32 || len(raw) > 4096 {
		return false
	}
	parsed, err := x509.ParsePKCS8PrivateKey(raw)
	if err != nil {
		parsed, err = x509.ParseECPrivateKey(raw)
	}
	if signer, ok := parsed.(crypto.Signer); ok && err == nil {
		same, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
		return ok && same.Equal(k.public())
	}
	switch {
	case k.ed != nil && (len(raw) == ed25519.SeedSize || len(raw) == ed25519.PrivateKeySize):
		return ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]).Public().(ed25519.PublicKey).Equal(*k.ed)
	case k.ec != nil && len(raw) == 32:
		private, err := ecdh.P256().NewPrivateKey(raw)
		return err == nil && bytes.Equal(private.PublicKey().Bytes(), k.point())
	}
	return false
}

// A KeyPair is a key of the grader's own, which no server knows.
type KeyPair struct {
	Alg     string // "EdDSA" or "ES256"
	private crypto.Signer
}

// NewKeyPairs returns a fresh key for each algorithm that [PublicKey] knows.
func NewKeyPairs() []KeyPair {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	ec, ecErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil || ecErr != nil {
		panic(errors.Join(err, ecErr)) // crypto/rand never fails
	}
	return []KeyPair{{"EdDSA", ed}, {"ES256", ec}}
}

// JWK is the public half, under that kid.
func (k KeyPair) JWK(kid string) map[string]any {
	jwk := map[string]any{"kid": kid, "use": "sig", "alg": k.Alg}
	switch public := k.private.Public().(type) {
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64.EncodeToString(public)
	case *ecdsa.PublicKey:
		point := must(public.Bytes())
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
	}
	return jwk
}

// Certificate is a certificate of the public half that it has signed itself, DER.
func (k KeyPair) Certificate() []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cosmo"}, KeyUsage: x509.KeyUsageDigitalSignature}
	return must(x509.CreateCertificate(rand.Reader, template, template, k.private.Public(), k.private))
}

// Sign returns the token signed anew with the key, under the header that it has but
// for "alg".
func (k KeyPair) Sign(t Token) string {
	input := signingInput(t, k.Alg)
	message, hash := []byte(input), crypto.Hash(0)
	if k.Alg == "ES256" {
		sum := sha256.Sum256(message)
		message, hash = sum[:], crypto.SHA256
	}
	signature := must(k.private.Sign(rand.Reader, message, hash))
	if k.Alg == "ES256" {
		signature = fixed(signature)
	}
	return input + "." + b64.EncodeToString(signature)
}

// fixed makes R and S of 32 bytes each out of an ASN.1 signature.
func fixed(der []byte) []byte {
	var r, s = new(big.Int), new(big.Int)
	rest := der[2:] // SEQUENCE, and its length in one byte
	for _, n := range []*big.Int{r, s} {
		size := int(rest[1])
		n.SetBytes(rest[2 : 2+size])
		rest = rest[2+size:]
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// Signed returns the token with that alg in its header, which need be no string, and
// that signature.
func Signed(t Token, alg any, signature []byte) string {
	return signingInput(t, alg) + "." + b64.EncodeToString(signature)
}

func signingInput(t Token, alg any) string {
	h := maps.Clone(t.Header)
	h["alg"] = alg
	return b64.EncodeToString(must(json.Marshal(h))) + "." + b64.EncodeToString(must(json.Marshal(t.Claims)))
}

// WithHeader returns a copy in which the header parameter has another value.
func (t Token) WithHeader(name string, value any) Token {
	c := Token{Header: maps.Clone(t.Header), Claims: maps.Clone(t.Claims)}
	c.Header[name] = value
	return c
}

// WithoutHeader returns a copy that lacks the header parameter.
func (t Token) WithoutHeader(name string) Token {
	c := Token{Header: maps.Clone(t.Header), Claims: maps.Clone(t.Claims)}
	delete(c.Header, name)
	return c
}
