// The tokens of this server.
package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// What a token is for stands in its "typ" header, under the signature. Both
// kinds have the same key, issuer and user, so without it each would pass for
// the other (RFC 8725 §3.11).
const (
	accessType  = "at+jwt" // RFC 9068 §2.1
	refreshType = "rt+jwt" // no standard names it; it need only be another word
)

func (s *server) accessToken(user mockdb.User) (string, error) {
	return s.sign(user, accessType, s.cfg.AccessTTL)
}

func (s *server) refreshToken(user mockdb.User) (string, error) {
	return s.sign(user, refreshType, s.cfg.RefreshTTL)
}

// TODO(06.1): a token has to say which session it belongs to.
// TODO(06.1): and it must not outlive its session, which ends s.cfg.SessionTTL
// after the login.

// sign returns a JWT that says who the user is and what it is for.
func (s *server) sign(user mockdb.User, typ string, ttl time.Duration) (string, error) {
	now := s.cfg.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer:    s.cfg.Issuer,
		Subject:   user.Username,
		Audience:  jwt.ClaimStrings{s.cfg.Audience},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)), // from now: a copied "exp" would renew nothing
		ID:        rand.Text(),
	})
	token.Header["typ"] = typ
	return token.SignedString(s.cfg.Secret)
}

// welcome answers a login that succeeded.
//
// TODO(06.1): begin a session: s.cfg.DB.CreateSession.
func (s *server) welcome(c echo.Context, user mockdb.User) error {
	access, err := s.accessToken(user)
	if err != nil {
		return err
	}
	refresh, err := s.refreshToken(user)
	if err != nil {
		return err
	}
	// Whoever reads a cache that kept this answer is logged in (RFC 6749 §5.1).
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]string{"access_token": access, "refresh_token": refresh})
}

// TODO(06.3): an access token is good only while its session is.

// verifyAccess returns the user whom an access token of ours names, or an error
// if it is none of ours, or no longer good.
func (s *server) verifyAccess(raw string) (mockdb.User, error) {
	return s.verify(raw, accessType, s.cfg.AccessTTL)
}

// verifyRefresh is the same for a refresh token.
func (s *server) verifyRefresh(raw string) (mockdb.User, error) {
	return s.verify(raw, refreshType, s.cfg.RefreshTTL)
}

func (s *server) verify(raw, typ string, ttl time.Duration) (mockdb.User, error) {
	var claims jwt.RegisteredClaims
	token, err := jwt.ParseWithClaims(raw, &claims, s.key,
		// The token does not choose how it is checked: neither "none" nor
		// another algorithm (RFC 8725 §3.1).
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(s.cfg.Issuer),
		jwt.WithAudience(s.cfg.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(s.cfg.Now),
	)
	if err != nil {
		return mockdb.User{}, err
	}
	// Asking for the right word, not for the absence of the wrong one: a token
	// with no "typ" at all opens nothing either.
	if token.Header["typ"] != typ {
		return mockdb.User{}, fmt.Errorf("this is a %v token, wanted is %s", token.Header["typ"], typ)
	}
	if claims.ExpiresAt.After(s.cfg.Now().Add(ttl)) {
		return mockdb.User{}, fmt.Errorf("the token lives longer than ours do")
	}
	// An account that was closed an hour ago must not refresh itself for ever.
	user, ok := s.cfg.DB.Lookup(claims.Subject)
	if !ok {
		return mockdb.User{}, fmt.Errorf("the user of this token does not exist")
	}
	return user, nil
}

func (s *server) key(*jwt.Token) (any, error) { return s.cfg.Secret, nil }

// verifyForLogout takes an access token that has expired, too.
//
// TODO(06.3): verify all but the dates.
func (s *server) verifyForLogout(raw string) (mockdb.User, error) {
	return mockdb.User{}, fmt.Errorf("not implemented yet")
}
