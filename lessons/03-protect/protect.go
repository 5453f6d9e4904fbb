// The door to the protected routes, and the rooms behind it.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// requireToken lets a request through if it bears a token that verify accepts,
// and tells the handlers behind it whose it is (see user).
func (s *server) requireToken(verify func(raw string) (mockdb.User, error)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			// TODO(03.1): take the token from the Authorization header, verify
			// it, and keep its user with c.Set("user", …) before next.
			// TODO(03.2): no header, or one that is no bearer token: 401.
			// TODO(03.3): a token that verify refuses: 401, with invalid_token.
			return c.JSON(http.StatusNotImplemented, map[string]string{"msg": "not implemented yet"})
		}
	}
}

// user returns whose token opened the door.
func user(c echo.Context) mockdb.User { return c.Get("user").(mockdb.User) }

// TODO(03.1): answer 200 and {"id": …, "username": …} of user(c).
func (s *server) profile(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"msg": "not implemented yet"})
}

// TODO(03.1): count the visit with s.cfg.CountVisit, then answer 200 and a
// {"message": …} that greets user(c) by name.
func (s *server) dashboard(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"msg": "not implemented yet"})
}
