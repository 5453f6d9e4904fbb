// The tokens of this server.
package main

import (
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// accessToken returns a JWT that says who the user is, signed with our secret.
func (s *server) accessToken(user mockdb.User) (string, error) {
	claims := jwt.RegisteredClaims{
		// A client can read all of this. So: no password, no e-mail address,
		// nothing that the bearer or a proxy's log must not know.
		Issuer:   s.cfg.Issuer,                     // who says so
		Subject:  user.Username,                    // about whom; a string (RFC 7519 §4.1.2)
		Audience: jwt.ClaimStrings{s.cfg.Audience}, // to whom: a token for another API is none for ours
		IssuedAt: jwt.NewNumericDate(s.cfg.Now()),  // when, by the clock that we were given
		ID:       rand.Text(),                      // 130 random bits: no two tokens are the same
	}
	// HMAC with the configured secret. One that is written into the code is
	// known to everybody who can read the code, and cannot be changed in a hurry.
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.cfg.Secret)
}

// welcome answers a login that succeeded.
func (s *server) welcome(c echo.Context, user mockdb.User) error {
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
//
// TODO(03.1): parse the token and look its user up in s.cfg.DB.
// TODO(03.3): say which algorithm, issuer and audience it must have.
func (s *server) verifyAccess(raw string) (mockdb.User, error) {
	return mockdb.User{}, errors.New("not implemented yet")
}
