// The tokens of this server.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// What a token is for stands in its "typ" header, under the signature. Here the
// access token is the only JWT: a refresh token is looked up anyway, so it need
// say nothing, and is a random number.
const accessType = "at+jwt" // RFC 9068 §2.1

// claims are what our tokens say.
type claims struct {
	jwt.RegisteredClaims
	// Whatever is signed is true until it expires. What can be taken back is in
	// the database, and this is where to look it up. The name is OpenID Connect's
	// (Front-Channel Logout 1.0 §3).
	Session string `json:"sid"`
}

// accessToken returns a JWT that says who the user is and which session it belongs
// to.
func (s *server) accessToken(user mockdb.User, of session) (string, error) {
	now := s.cfg.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		Session: of.id,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.cfg.Issuer,
			Subject:   user.Username,
			Audience:  jwt.ClaimStrings{s.cfg.Audience},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(earlier(now.Add(s.cfg.AccessTTL), of.expiresAt)),
			ID:        rand.Text(),
		},
	})
	token.Header["typ"] = accessType
	return token.SignedString(s.cfg.Secret)
}

// welcome answers a login that succeeded: with the first pair of a new session.
func (s *server) welcome(c echo.Context, user mockdb.User) error {
	created, refresh, err := s.createSession(c.Request().Context(), user)
	if err != nil {
		return err
	}
	return s.answerTokens(c, user, created, refresh)
}

// verifyAccess returns whose access token of ours this is, or an error if it is
// none of ours, or no longer good.
func (s *server) verifyAccess(ctx context.Context, raw string) (bearer, error) {
	var c claims
	token, err := s.parse(raw, &c, jwt.WithTimeFunc(s.cfg.Now))
	if err != nil {
		return bearer{}, err
	}
	if token.Header["typ"] != accessType {
		return bearer{}, fmt.Errorf("this is a %v token, wanted is %s", token.Header["typ"], accessType)
	}
	if c.ExpiresAt.After(s.cfg.Now().Add(s.cfg.AccessTTL)) {
		return bearer{}, fmt.Errorf("the token lives longer than ours do")
	}
	// One question for all that may have changed since it was signed: the session
	// was ended, the user deleted, the name given to somebody else.
	user, err := s.userOfSession(ctx, c.Session, c.Subject)
	if err != nil {
		return bearer{}, err
	}
	return bearer{user: user, session: session{id: c.Session}, token: c.ID}, nil
}

// verifyRefresh returns whose refresh token of ours this is or was. Whether it is
// still good only rotate can say, for only there looking and writing are one.
func (s *server) verifyRefresh(ctx context.Context, raw string) (bearer, error) {
	// What is asked for is the hash: letters and digits, whatever was sent.
	hash := hashOf(raw)
	user, of, err := s.ownerOfToken(ctx, hash)
	if err != nil {
		return bearer{}, err
	}
	return bearer{user: user, session: of, token: hash}, nil
}

// verifyForLogout takes an access token that has expired, too, and one whose
// session has ended: to leave, one need not be in. It takes no forged one. (To
// ask errors.Is(err, jwt.ErrTokenExpired) would not do: an expired token for
// another audience answers yes to it as well, CVE-2024-51744.)
func (s *server) verifyForLogout(_ context.Context, raw string) (bearer, error) {
	var c claims
	token, err := s.parse(raw, &c, jwt.WithTimeFunc(func() time.Time {
		// The moment at which the token was issued: nothing has expired then.
		if c.IssuedAt != nil {
			return c.IssuedAt.Time
		}
		return s.cfg.Now()
	}))
	if err != nil {
		return bearer{}, err
	}
	if token.Header["typ"] != accessType {
		return bearer{}, errors.New("only an access token can log out")
	}
	return bearer{user: mockdb.User{Username: c.Subject}, session: session{id: c.Session}, token: c.ID}, nil
}

// parse checks what is the same for all our tokens: signature, algorithm, issuer,
// audience and dates.
func (s *server) parse(raw string, c *claims, clock jwt.ParserOption) (*jwt.Token, error) {
	return jwt.ParseWithClaims(raw, c, s.key,
		// The token does not choose how it is checked: neither "none" nor
		// another algorithm (RFC 8725 §3.1).
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(s.cfg.Issuer),
		jwt.WithAudience(s.cfg.Audience),
		jwt.WithExpirationRequired(),
		clock,
	)
}

func (s *server) key(*jwt.Token) (any, error) { return s.cfg.Secret, nil }
