// POST /refresh: a refresh token for a new pair of tokens.
package main

import (
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

var (
	errEnded  = errors.New("the session has ended")
	errReplay = errors.New("a refresh token was used twice: its session is ended")
)

// refresh answers whoever came past requireToken(verifyRefresh).
func (s *server) refresh(c echo.Context) error {
	session, err := s.rotate(from(c))
	if err != nil {
		s.cfg.Log.Warn("refresh refused", "user", user(c).Username, "reason", err)
		return unauthorized(c, "invalid_token", "Token is not valid")
	}
	return s.answerTokens(c, user(c), session)
}

// rotate makes another refresh token the living one of the session, and ends the
// session if the one that was sent is dead already.
func (s *server) rotate(who bearer) (mockdb.Session, error) {
	var rotated mockdb.Session
	replayed := false
	// Looking and writing are one: of twenty that come at once with one token,
	// the first finds it alive and the others do not.
	err := s.cfg.DB.UpdateSession(who.session, func(session *mockdb.Session) error {
		if session.Revoked || !s.cfg.Now().Before(session.ExpiresAt) {
			return errEnded
		}
		if session.RefreshToken != who.token {
			// It is ours, it is signed, and it was used before. Either the thief
			// comes second or the owner does: nobody can tell, so both must log
			// in anew (RFC 9700 §4.14.2). The comparison knows every generation,
			// for all but one of them are dead.
			session.Revoked = true
			replayed = true
			return nil // an error would undo it
		}
		session.RefreshToken = rand.Text()
		rotated = *session
		return nil
	})
	if replayed {
		return mockdb.Session{}, errReplay
	}
	return rotated, err
}

// answerTokens answers 200 and a pair of tokens of the session.
func (s *server) answerTokens(c echo.Context, user mockdb.User, session mockdb.Session) error {
	access, err := s.accessToken(user, session)
	if err != nil {
		return err
	}
	refresh, err := s.refreshToken(user, session)
	if err != nil {
		return err
	}
	// Whoever reads a cache that kept this answer is logged in (RFC 6749 §5.1).
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]string{"access_token": access, "refresh_token": refresh})
}
