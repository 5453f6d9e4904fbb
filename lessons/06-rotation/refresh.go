// POST /refresh: a refresh token for a new access token.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// TODO(06.1): answer with a new pair, and let the old refresh token die.
// TODO(06.2): if the one that was sent is dead already, end its session. Looking
// and writing must be one: s.cfg.DB.UpdateSession.

// refresh answers whoever came past requireToken(verifyRefresh). Neither a
// password nor an access token is asked for: the refresh token stands for both,
// and the access token has probably expired.
func (s *server) refresh(c echo.Context) error {
	// Whose it is was decided by the refresh token. The old access token, if the
	// client sends it along, says nothing: it may be anybody's.
	access, err := s.accessToken(user(c))
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]string{"access_token": access})
}
