// GET /home: what the provider knows of whoever is signed in.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// home shows what userinfo says: s.showHome(c, who, said). It stands behind
// requireLogin.
//
// TODO(11.2): name who is signed in.
// TODO(11.4): ask userinfo with the access token, and show what it says.
func (s *server) home(c echo.Context) error {
	return echo.NewHTTPError(http.StatusNotImplemented, "not implemented yet")
}
