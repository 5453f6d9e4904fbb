// The tokens of this server.
package main

import (
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// TODO(05.1): an access token and a refresh token look alike. Give each a mark
// that says what it is for, and a life of its own, and check the mark below.

// accessToken returns a JWT that says who the user is, signed with our secret.
func (s *server) accessToken(user mockdb.User) (string, error) {
	now := s.cfg.Now()
	claims := jwt.RegisteredClaims{
		// A client can read all of this. So: no password, no e-mail address,
		// nothing that the bearer or a proxy's log must not know.
		Issuer:   s.cfg.Issuer,                     // who says so
		Subject:  user.Username,                    // about whom; a string (RFC 7519 §4.1.2)
		Audience: jwt.ClaimStrings{s.cfg.Audience}, // to whom: a token for another API is none for ours
		IssuedAt: jwt.NewNumericDate(now),          // when, by the clock that we were given
		// A stolen token is good for this long and no longer.
		ExpiresAt: jwt.NewNumericDate(now.Add(s.cfg.AccessTTL)),
		ID:        rand.Text(), // 130 random bits: no two tokens are the same
	}
	// HMAC with the configured secret. One that is written into the code is
	// known to everybody who can read the code, and cannot be changed in a hurry.
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.cfg.Secret)
}

// welcome answers a login that succeeded.
func (s *server) welcome(c echo.Context, user mockdb.User) error {
	// TODO(05.1): and a refresh token.
	access, err := s.accessToken(user)
	if err != nil {
		return err
	}
	// Whoever reads a cache that kept this answer is logged in (RFC 6749 §5.1).
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]string{"access_token": access})
}

// verifyAccess returns the user whom an access token of ours names, or an error
// if it is none of ours, or no longer good.
func (s *server) verifyAccess(raw string) (mockdb.User, error) {
	// A struct, not a map: "sub": 7 or a missing claim is an error here, and no
	// type assertion that panics later.
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(raw, &claims, s.key,
		// The token does not choose how it is checked: neither "none" nor
		// another algorithm (RFC 8725 §3.1).
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(s.cfg.Issuer),
		jwt.WithAudience(s.cfg.Audience),
		// The library checks "exp" where there is one. That there is one, we say:
		// a token without it would live for ever.
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(s.cfg.Now), // "nbf" and "exp" by our clock, with no leeway
	)
	if err != nil {
		// ParseWithClaims returns a token even now. It is not to be used.
		return mockdb.User{}, err
	}
	// No token of ours lives longer than AccessTTL. One that says so was not
	// made by this code: "exp" in milliseconds lies 50,000 years ahead.
	if claims.ExpiresAt.After(s.cfg.Now().Add(s.cfg.AccessTTL)) {
		return mockdb.User{}, fmt.Errorf("the token lives longer than ours do")
	}
	// A signature says that the token was good once. Whether the user still
	// exists, only the database knows.
	user, ok := s.cfg.DB.Lookup(claims.Subject)
	if !ok {
		return mockdb.User{}, fmt.Errorf("the user of this token does not exist")
	}
	return user, nil
}

func (s *server) key(*jwt.Token) (any, error) { return s.cfg.Secret, nil }

// verifyRefresh is the same for a refresh token.
//
// TODO(05.2): accept a refresh token of ours for as long as it lives.
// TODO(05.3): accept nothing else.
func (s *server) verifyRefresh(raw string) (mockdb.User, error) {
	return mockdb.User{}, fmt.Errorf("not implemented yet")
}
