// Package forge takes tokens apart and puts them together again, legal and
// illegal ones alike. It uses no JWT library: a fault in the one that a server
// uses must not hide in the one that attacks it.
//
//	honest, err := forge.Decode(raw)
//	evil := honest.With("sub", "grace").Sign("HS256", secret)
package forge

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// ErrNotJWT is returned, wrapped, by [Decode]: the string is not three
// base64url parts of which the first two are JSON objects (RFC 7519 §3.1).
var ErrNotJWT = errors.New("not a JWT")

// A Token is a JWT taken apart. Methods return changed copies.
type Token struct {
	Header    map[string]any // numbers are json.Number
	Claims    map[string]any // likewise
	Signature []byte
	raw       string // as it came, "" once it was changed
}

var b64 = base64.RawURLEncoding

// Decode takes a token apart. It verifies nothing.
func Decode(raw string) (Token, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("%w: %d parts with dots between them, wanted 3", ErrNotJWT, len(parts))
	}
	t := Token{raw: raw}
	for i, into := range []*map[string]any{&t.Header, &t.Claims} {
		name := []string{"header", "payload"}[i]
		text, err := b64.Strict().DecodeString(parts[i])
		if err != nil {
			return Token{}, fmt.Errorf("%w: its %s is not base64url: %w", ErrNotJWT, name, err)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(into); err != nil || *into == nil {
			return Token{}, fmt.Errorf("%w: its %s is not a JSON object: %s", ErrNotJWT, name, text)
		}
	}
	var err error
	if t.Signature, err = b64.DecodeString(parts[2]); err != nil {
		return Token{}, fmt.Errorf("%w: its signature is not base64url: %w", ErrNotJWT, err)
	}
	return t, nil
}

// Alg is the algorithm that the header names, "" if it names none.
func (t Token) Alg() string {
	s, _ := t.Header["alg"].(string)
	return s
}

// Text is a claim that is a string, or "".
func (t Token) Text(claim string) string {
	s, _ := t.Claims[claim].(string)
	return s
}

// Time is a NumericDate claim (RFC 7519 §2: seconds, a fraction is allowed).
// It is false where the claim is missing or no number.
func (t Token) Time(claim string) (time.Time, bool) {
	n, ok := t.Claims[claim].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || math.Abs(f) > 1e15 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), true
}

// Audience is the "aud" claim as a list; it may stand as a single string.
func (t Token) Audience() []string {
	switch v := t.Claims["aud"].(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

// With returns a copy in which the claim has another value.
func (t Token) With(claim string, value any) Token {
	c := Token{Header: maps.Clone(t.Header), Claims: maps.Clone(t.Claims)}
	c.Claims[claim] = value
	return c
}

// Without returns a copy that lacks the claim.
func (t Token) Without(claim string) Token {
	c := Token{Header: maps.Clone(t.Header), Claims: maps.Clone(t.Claims)}
	delete(c.Claims, claim)
	return c
}

// Sign returns the token signed anew: "HS256", "HS384" or "HS512" under the key.
// Any other alg, such as "none", stands in the header and gets an empty
// signature. Sign panics where a claim cannot be written as JSON.
func (t Token) Sign(alg string, key []byte) string {
	return Sign(t.Header, must(json.Marshal(t.Claims)), alg, key)
}

// Sign signs any payload, JSON object or not, under the header and alg.
func Sign(header map[string]any, payload []byte, alg string, key []byte) string {
	h := maps.Clone(header)
	if h == nil {
		h = map[string]any{"typ": "JWT"}
	}
	h["alg"] = alg
	input := b64.EncodeToString(must(json.Marshal(h))) + "." + b64.EncodeToString(payload)
	return input + "." + b64.EncodeToString(mac(alg, input, key))
}

// Verifies tells whether the token, as it was decoded, is signed with its own
// HMAC algorithm under the key.
func (t Token) Verifies(key []byte) bool {
	if t.raw == "" || !slices.Contains(HMACs, t.Alg()) {
		return false
	}
	input := t.raw[:strings.LastIndex(t.raw, ".")]
	return hmac.Equal(t.Signature, mac(t.Alg(), input, key))
}

// HMACs are the algorithms that [Token.Sign] knows.
var HMACs = []string{"HS256", "HS384", "HS512"}

func mac(alg, input string, key []byte) []byte {
	var h func() hash.Hash
	switch alg {
	case "HS256":
		h = sha256.New
	case "HS384":
		h = sha512.New384
	case "HS512":
		h = sha512.New
	default:
		return nil
	}
	m := hmac.New(h, key)
	m.Write([]byte(input))
	return m.Sum(nil)
}

// TamperSignature changes the first character of the last part. (The last
// character would not do: some of its bits mean nothing, RFC 4648 §3.5.)
func TamperSignature(raw string) string {
	i := strings.LastIndex(raw, ".") + 1
	return swap(raw, i)
}

// TamperSignatureMiddle changes a character in the middle of the last part.
func TamperSignatureMiddle(raw string) string {
	i := strings.LastIndex(raw, ".") + 1
	return swap(raw, i+(len(raw)-i)/2)
}

// TamperSignatureEnd changes the third character from the end, which means
// something in any signature.
func TamperSignatureEnd(raw string) string {
	return swap(raw, max(strings.LastIndex(raw, ".")+1, len(raw)-3))
}

// Respell returns the token in another spelling of the same bytes, and false where
// there is none: bits of its last character that mean nothing (RFC 4648 §3.5).
func Respell(raw string) (string, bool) {
	last := strings.LastIndex(raw, ".") + 1
	signature, err := b64.DecodeString(raw[last:])
	if err != nil || len(signature)%3 == 0 {
		return raw, false
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + string(alphabet[at^1]), true
}

// Tamper changes one character in the middle of a token of any kind.
func Tamper(raw string) string { return swap(raw, len(raw)/2) }

func swap(raw string, i int) string {
	if i >= len(raw) {
		return raw + "A"
	}
	c := byte('A')
	if raw[i] == 'A' || raw[i] == 'a' {
		c = 'B' // in hexadecimal, both are one digit
	}
	if raw[i] == '.' {
		return swap(raw, i+1)
	}
	return raw[:i] + string(c) + raw[i+1:]
}

// ReplacePayload keeps header and signature and puts other claims between them:
// what somebody does who can write JSON and knows no secret.
func ReplacePayload(raw string, claims map[string]any) string {
	parts := strings.Split(raw, ".")
	return parts[0] + "." + b64.EncodeToString(must(json.Marshal(claims))) + "." + parts[2]
}

// ReplaceHeader keeps payload and signature and puts another header before them.
func ReplaceHeader(raw string, header map[string]any) string {
	return b64.EncodeToString(must(json.Marshal(header))) + raw[strings.Index(raw, "."):]
}

// ReplaceAlg keeps payload and signature as they are, and lets the header name
// another algorithm.
func ReplaceAlg(raw, alg string) string {
	t, err := Decode(raw)
	if err != nil {
		return raw
	}
	header := maps.Clone(t.Header)
	header["alg"] = alg
	return ReplaceHeader(raw, header)
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err) // a value that a step wrote, not one that a server sent
	}
	return text
}

// SignAs signs with HS256 and names another algorithm in the header.
func SignAs(t Token, alg string, key []byte) string {
	return Signed(t, alg, mac("HS256", signingInput(t, alg), key))
}
