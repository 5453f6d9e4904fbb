// Given. The server: what it is given, and its routes.
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

	e.POST("/login", s.login)
	return e
}
