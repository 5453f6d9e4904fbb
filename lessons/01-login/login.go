// POST /login: a name and a password for an identity.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// credentials are the body of POST /login.
type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// TODO(01.1): read the credentials, look the user up in s.cfg.DB, check the
// password, and answer who it was.
// TODO(01.2): before that, refuse what is no login: 400, naming the field.
// TODO(01.3): refuse a wrong login with 401, and tell nothing by it.
func (s *server) login(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]any{"error": "not implemented yet"})
}
