// Given. The server: what it is given, and its routes.
package main

import (
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"jwtworkshop/lessons"
)

type server struct {
	cfg      lessons.Config
	client   *http.Client        // for all requests to the provider
	provider provider            // what the provider says of itself (provider.go)
	sessions *scs.SessionManager // what the server keeps for each browser (login.go)
	people   people              // who is signed in, and their tokens (people.go)
}

// New builds the server. Every route of the lesson is here. It asks the provider
// nothing: that may be down while this starts.
func New(cfg lessons.Config) http.Handler {
	s := &server{
		cfg: cfg,
		// The default client waits for ever.
		client:   &http.Client{Timeout: 10 * time.Second},
		sessions: newSessions(cfg),
	}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if _, meant := err.(*echo.HTTPError); !meant {
			cfg.Log.Error("a handler failed", "path", c.Path(), "error", err) // for you; the client sees a bare 500
		}
		e.DefaultHTTPErrorHandler(err, c)
	}
	e.Use(middleware.BodyLimit("1MiB")) // a longer body is refused with 413, unread

	e.GET("/", s.index)
	e.GET("/home", s.home, s.requireLogin)
	e.GET("/login", s.login)
	e.GET("/callback", s.callback)
	e.POST("/logout", s.logout)
	// It reads the browser's session from its cookie before a handler runs, and
	// writes what the handler has changed before the answer goes out.
	return s.sessions.LoadAndSave(e)
}
