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
		// The cookies stay. Of two tabs that refresh at once one loses, and its
		// answer may come last: it would clear what the other has just been given.
		return unauthorized(c, "invalid_token", "Token is not valid")
	}
	return s.answerTokens(c, user(c), session, false) // this was a token, not a password
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

// answerTokens puts a pair of tokens of the session into cookies, and answers 200
// and whose they are. No token is in the body: there a script could read it.
func (s *server) answerTokens(c echo.Context, user mockdb.User, session mockdb.Session, fresh bool) error {
	access, err := s.accessToken(user, session, fresh)
	if err != nil {
		return err
	}
	refresh, err := s.refreshToken(user, session)
	if err != nil {
		return err
	}
	setCookie(c, accessCookie, access)
	setCookie(c, refreshCookie, refresh)
	setCookie(c, csrfCookie, session.CSRFToken)
	return c.JSON(http.StatusOK, map[string]any{"id": user.ID, "username": user.Username})
}
