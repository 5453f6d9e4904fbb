// POST /logout and POST /logout-all: the end of a session, and of all of them.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// logout ends the session of the token that was sent.
//
// TODO(06.3): end it in s.cfg.DB, and answer 204.
func (s *server) logout(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"msg": "not implemented yet"})
}

// logoutAll ends all sessions of the user: those that are, not those to come.
//
// TODO(06.4): end them in s.cfg.DB, and answer 204.
func (s *server) logoutAll(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"msg": "not implemented yet"})
}
