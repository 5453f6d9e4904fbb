// Given. The server: what it is given, and its routes.
package main

import (
	"context"
	"fmt"
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
	if err := s.migrate(context.Background()); err != nil {
		panic(fmt.Errorf("the tables cannot be made: %w", err)) // without them there is nothing to serve
	}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if _, meant := err.(*echo.HTTPError); !meant {
			cfg.Log.Error("a handler failed", "path", c.Path(), "error", err) // for you; the client sees a bare 500
		}
		e.DefaultHTTPErrorHandler(err, c)
	}
	e.Use(middleware.BodyLimit("1MiB")) // a longer body is refused with 413, unread

	e.POST("/login", s.login)
	e.GET("/profile", s.profile, s.requireToken(s.verifyAccess))
	e.GET("/dashboard", s.dashboard, s.requireToken(s.verifyAccess))
	e.POST("/refresh", s.refresh, s.requireToken(s.verifyRefresh))
	e.POST("/logout", s.logout, s.requireToken(s.verifyForLogout))
	e.POST("/logout-all", s.logoutAll, s.requireToken(s.verifyAccess))
	return e
}
