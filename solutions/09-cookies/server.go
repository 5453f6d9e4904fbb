// The server: what it is given, and its routes.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"jwtworkshop/lessons"
)

type server struct {
	cfg lessons.Config
}

// New builds the server. Every route of the lesson is here.
func New(cfg lessons.Config) http.Handler {
	s := &server{cfg: cfg}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if _, meant := err.(*echo.HTTPError); !meant {
			cfg.Log.Error("a handler failed", "path", c.Path(), "error", err) // for you; the client sees a bare 500
		}
		e.DefaultHTTPErrorHandler(err, c)
	}
	e.Use(middleware.BodyLimit("1MiB")) // a longer body is refused with 413, unread
	// No headers for other origins any more: a page that may call us with cookies
	// may read every answer. Ours comes from this origin.

	e.POST("/login", s.login)
	access := s.requireToken(accessCookie, s.verifyAccess)
	e.GET("/profile", s.profile, access, s.renew)
	e.GET("/dashboard", s.dashboard, access, s.renew)
	// Whatever changes something wants the CSRF token. It stands right behind the
	// guard: nothing is renewed for a page that is not ours. A GET needs none, for
	// it changes nothing, and its answer stays with us.
	//
	// Four do not renew. A logout is not to be answered with a new token, and
	// /refresh and /reauth answer with one already.
	e.POST("/refresh", s.refresh, s.requireToken(refreshCookie, s.verifyRefresh), s.requireCSRF)
	e.POST("/logout", s.logout, s.requireToken(accessCookie, s.verifyForLogout), s.requireCSRF)
	e.POST("/logout-all", s.logoutAll, access, s.requireCSRF)
	e.POST("/password", s.password, access, s.requireCSRF, s.renew, s.requireFresh)
	e.POST("/reauth", s.reauth, access, s.requireCSRF)
	return e
}
