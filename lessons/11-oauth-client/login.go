// GET /login and GET /callback: to the provider, and back.
package main

import (
	"encoding/gob"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/labstack/echo/v4"

	"jwtworkshop/lessons"
)

// A begun is a sign-in on its way.
type begun struct {
	Nonce    string    // comes back in the ID token
	Verifier string    // proves at the token endpoint that it was we who began (PKCE)
	Next     string    // where the person was going
	At       time.Time // when it began
}

// newSessions keeps a session for each browser: in its cookie is a random name, and
// all else stays here.
//
// TODO(11.2): look at sessions.Cookie and sessions.Lifetime.
func newSessions(cfg lessons.Config) *scs.SessionManager {
	gob.Register(map[string]begun{}) // how scs writes what it keeps
	return scs.New()
}

// login sends the browser to the provider.
//
// TODO(11.1): with a state, a nonce and a challenge of its own.
func (s *server) login(c echo.Context) error {
	return echo.NewHTTPError(http.StatusNotImplemented, "not implemented yet")
}

// callback is where the provider sends the browser back to.
//
// TODO(11.2): have we sent this browser? Who is it? Then lead it to where it was going.
func (s *server) callback(c echo.Context) error {
	return echo.NewHTTPError(http.StatusNotImplemented, "not implemented yet")
}
