// The tokens of this server.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
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

// claims are what our tokens say.
type claims struct {
	jwt.RegisteredClaims
	// Whatever is signed is true until it expires. What can be taken back is in
	// the database, and this is where to look it up. The name is OpenID Connect's
	// (Front-Channel Logout 1.0 §3).
	Session string `json:"sid"`
}

func (s *server) accessToken(user mockdb.User, session mockdb.Session) (string, error) {
	return s.sign(user, session, accessType, rand.Text(), s.cfg.AccessTTL)
}

// TODO(13.3): give a random refresh token and store its hash. It need not be a JWT
// any more.

// refreshToken returns the one refresh token of the session that works.
func (s *server) refreshToken(user mockdb.User, session mockdb.Session) (string, error) {
	return s.sign(user, session, refreshType, session.RefreshToken, s.cfg.RefreshTTL)
}

// sign returns a JWT that says who the user is, which session it belongs to and
// what it is for.
func (s *server) sign(user mockdb.User, session mockdb.Session, typ, id string, ttl time.Duration) (string, error) {
	now := s.cfg.Now()
	expires := now.Add(ttl)
	if expires.After(session.ExpiresAt) {
		// However often a session is renewed, its end stays where it was.
		expires = session.ExpiresAt
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		Session: session.ID,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.cfg.Issuer,
			Subject:   user.Username,
			Audience:  jwt.ClaimStrings{s.cfg.Audience},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(expires),
			ID:        id,
		},
	})
	token.Header["typ"] = typ
	return token.SignedString(s.cfg.Secret)
}

// welcome answers a login that succeeded: with the first pair of a new session.
func (s *server) welcome(c echo.Context, user mockdb.User) error {
	now := s.cfg.Now()
	session := mockdb.Session{
		ID:           rand.Text(),
		Username:     user.Username,
		StartedAt:    now,
		ExpiresAt:    now.Add(s.cfg.SessionTTL),
		RefreshToken: rand.Text(),
	}
	// TODO(13.2): begin the session in your table.
	if err := s.cfg.DB.CreateSession(session); err != nil {
		return err
	}
	return s.answerTokens(c, user, session)
}

// verifyAccess returns whose access token of ours this is, or an error if it is
// none of ours, or no longer good.
func (s *server) verifyAccess(raw string) (bearer, error) {
	who, err := s.verify(raw, accessType, s.cfg.AccessTTL)
	if err != nil {
		return bearer{}, err
	}
	// TODO(13.2): ask your table, for the session of this very user.
	session, ok := s.cfg.DB.Session(who.session)
	if !ok || session.Revoked || !s.cfg.Now().Before(session.ExpiresAt) {
		return bearer{}, errEnded // the token is good; its session is not
	}
	return who, nil
}

// verifyRefresh is the same for a refresh token. Whether it is the living one of
// its session only rotate can say, for only there looking and writing are one.
func (s *server) verifyRefresh(raw string) (bearer, error) {
	return s.verify(raw, refreshType, s.cfg.RefreshTTL)
}

// verifyForLogout takes an access token that has expired, too, and one whose
// session has ended: to leave, one need not be in. It takes no forged one. (To
// ask errors.Is(err, jwt.ErrTokenExpired) would not do: an expired token for
// another audience answers yes to it as well, CVE-2024-51744.)
func (s *server) verifyForLogout(raw string) (bearer, error) {
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
	return bearer{user: mockdb.User{Username: c.Subject}, session: c.Session, token: c.ID}, nil
}

func (s *server) verify(raw, typ string, ttl time.Duration) (bearer, error) {
	var c claims
	token, err := s.parse(raw, &c, jwt.WithTimeFunc(s.cfg.Now))
	if err != nil {
		return bearer{}, err
	}
	// Asking for the right word, not for the absence of the wrong one: a token
	// with no "typ" at all opens nothing either.
	if token.Header["typ"] != typ {
		return bearer{}, fmt.Errorf("this is a %v token, wanted is %s", token.Header["typ"], typ)
	}
	if c.ExpiresAt.After(s.cfg.Now().Add(ttl)) {
		return bearer{}, fmt.Errorf("the token lives longer than ours do")
	}
	// An account that was closed an hour ago must not refresh itself for ever.
	// TODO(13.1): ask the table users.
	user, ok := s.cfg.DB.Lookup(c.Subject)
	if !ok {
		return bearer{}, fmt.Errorf("the user of this token does not exist")
	}
	return bearer{user: user, session: c.Session, token: c.ID}, nil
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
