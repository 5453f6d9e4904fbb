// Given. Measures what a token costs to sign and to verify, by algorithm:
//
//	go test -run - -bench . ./lessons/12-keys
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// An algorithm is how a token is signed and verified, and with which keys.
type algorithm struct {
	method          jwt.SigningMethod
	private, public any
}

func algorithms(b *testing.B) []algorithm {
	secret := []byte(rand.Text() + rand.Text())
	pair := func(key crypto.Signer, err error) (crypto.Signer, crypto.PublicKey) {
		require.NoError(b, err)
		return key, key.Public()
	}
	ec, ecPublic := pair(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rs, rsPublic := pair(rsa.GenerateKey(rand.Reader, 2048))
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	return []algorithm{
		{jwt.SigningMethodHS256, secret, secret},
		{jwt.SigningMethodES256, ec, ecPublic},
		{jwt.SigningMethodEdDSA, ed, edPublic},
		{jwt.SigningMethodRS256, rs, rsPublic},
	}
}

var payload = jwt.RegisteredClaims{
	Issuer: "https://workshop.example", Subject: "cosmo", Audience: jwt.ClaimStrings{"https://api.workshop.example"},
	IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)), ID: rand.Text(),
}

func BenchmarkSign(b *testing.B) {
	for _, a := range algorithms(b) {
		b.Run(a.method.Alg(), func(b *testing.B) {
			for b.Loop() {
				_, err := jwt.NewWithClaims(a.method, payload).SignedString(a.private)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, a := range algorithms(b) {
		b.Run(a.method.Alg(), func(b *testing.B) {
			raw, err := jwt.NewWithClaims(a.method, payload).SignedString(a.private)
			require.NoError(b, err)
			for b.Loop() {
				_, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return a.public, nil })
				require.NoError(b, err)
			}
			b.ReportMetric(float64(len(raw)), "bytes/token")
		})
	}
}
