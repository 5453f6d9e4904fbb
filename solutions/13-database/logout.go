// POST /logout and POST /logout-all: the end of a session, and of all of them.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// logout ends the session of the token that was sent. A client that only throws
// its tokens away leaves them good for whoever has a copy (OWASP ASVS 5.0 §7.4.1).
func (s *server) logout(c echo.Context) error {
	// Every server asks the same table, so every server knows at once. A list in
	// this process's memory would be known to this process.
	if err := s.endSession(c.Request().Context(), from(c).session.id); err != nil {
		return err // 5xx: "you are logged out" would be a lie
	}
	return c.NoContent(http.StatusNoContent)
}

// logoutAll ends all sessions of the user: those that are, not those to come.
func (s *server) logoutAll(c echo.Context) error {
	if err := s.endSessionsOf(c.Request().Context(), user(c).ID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
