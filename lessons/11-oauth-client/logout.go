// POST /logout: out, here and at the provider.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// logout ends the browser's session, and has the provider forget the refresh token.
//
// TODO(11.5): the session first.
func (s *server) logout(c echo.Context) error {
	return echo.NewHTTPError(http.StatusNotImplemented, "not implemented yet")
}
