// POST /password and POST /reauth: what a token alone is not enough for.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// requireFresh lets a request through if its token was given for a password, and
// not long ago. It stands behind requireToken.
//
// TODO(07.1): refuse all others: 401, "Fresh token required".
func (s *server) requireFresh(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		return next(c)
	}
}

// password changes the user's password: {"current": …, "new": …}.
//
// TODO(07.2): check the current one, set the new one, and end every session but
// this one.
func (s *server) password(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"error": "not implemented yet"})
}

// reauth gives a fresh access token for the user's password: {"password": …}.
//
// TODO(07.3): check it, and answer 200 and {"access_token": …} of this session.
func (s *server) reauth(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"error": "not implemented yet"})
}
