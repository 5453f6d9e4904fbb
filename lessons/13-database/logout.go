// POST /logout and POST /logout-all: the end of a session, and of all of them.
package main

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// logout ends the session of the token that was sent. A client that only throws
// its tokens away leaves them good for whoever has a copy (OWASP ASVS 5.0 §7.4.1).
func (s *server) logout(c echo.Context) error {
	// TODO(13.2): end it in your table.
	err := s.cfg.DB.UpdateSession(from(c).session, func(session *mockdb.Session) error {
		session.Revoked = true // twice is no harm
		return nil
	})
	if err != nil && !errors.Is(err, mockdb.ErrNoSession) {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// logoutAll ends all sessions of the user: those that are, not those to come.
func (s *server) logoutAll(c echo.Context) error {
	// TODO(13.2): end them in your table.
	s.cfg.DB.UpdateSessionsOf(user(c).Username, func(session *mockdb.Session) { session.Revoked = true })
	return c.NoContent(http.StatusNoContent)
}
