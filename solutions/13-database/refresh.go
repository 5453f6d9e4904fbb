// POST /refresh: a refresh token for a new pair of tokens.
package main

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// refresh answers whoever came past requireToken(verifyRefresh).
func (s *server) refresh(c echo.Context) error {
	who := from(c)
	// Whatever else may fail was done before: who it is, is known. Once the old
	// token is used up, nothing may come between that and the answer.
	next, err := s.rotate(c.Request().Context(), who.token, who.session)
	if errors.Is(err, errDatabase) {
		return err // the old token is as good as before; a 401 would have it thrown away
	}
	if err != nil {
		s.cfg.Log.Warn("refresh refused", "user", who.user.Username, "reason", err)
		return unauthorized(c, "invalid_token", "Token is not valid")
	}
	return s.answerTokens(c, who.user, who.session, next)
}

// answerTokens answers 200 and a pair of tokens of the session.
func (s *server) answerTokens(c echo.Context, user mockdb.User, of session, refresh string) error {
	access, err := s.accessToken(user, of)
	if err != nil {
		return err
	}
	// Whoever reads a cache that kept this answer is logged in (RFC 6749 §5.1).
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]string{"access_token": access, "refresh_token": refresh})
}
