// POST /refresh: a refresh token for a new access token.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// refresh answers whoever came past requireToken(verifyRefresh).
//
// TODO(05.2): answer 200 and a new access token for user(c).
func (s *server) refresh(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"msg": "not implemented yet"})
}
