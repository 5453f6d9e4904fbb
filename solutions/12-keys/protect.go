// The door to the protected routes, and the rooms behind it.
package main

import (
	"errors"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// A bearer is what a good token says of whoever sent it.
type bearer struct {
	user    mockdb.User
	session string // the ID of the session that the token belongs to
	token   string // the token's own ID
}

// requireToken lets a request through if it bears a token that verify accepts,
// and tells the handlers behind it whose it is (see user and from).
func (s *server) requireToken(verify func(raw string) (bearer, error)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			// Only this header: what stands in a URL ends up in logs, histories
			// and Referer headers (RFC 6750 §5.3).
			header := c.Request().Header.Get("Authorization")
			if header == "" {
				return unauthorized(c, "", "Missing Authorization Header")
			}
			// Cut cannot run past the end of a short header, header[7:] can.
			scheme, raw, _ := strings.Cut(header, " ")
			if !strings.EqualFold(scheme, "Bearer") { // any case (RFC 9110 §11.1)
				return unauthorized(c, "", "Authorization must be a Bearer token")
			}
			who, err := verify(raw)
			if err != nil {
				// The reason stays here. It would tell a forger what to mend.
				s.cfg.Log.Info("token refused", "reason", err)
				msg := "Token is not valid"
				// The library checks the signature before the dates, so a forged
				// token is never called expired.
				if errors.Is(err, jwt.ErrTokenExpired) {
					msg = "Token has expired" // a client may now refresh, or ask for the password
				}
				return unauthorized(c, "invalid_token", msg)
			}
			c.Set("bearer", who)
			return next(c)
		}
	}
}

// unauthorized answers 401 with the challenge that RFC 6750 §3 wants: with an
// error code only where a token was sent. Its caller returns what it returns,
// or the handler would run after all.
func unauthorized(c echo.Context, code, msg string) error {
	challenge := `Bearer realm="workshop"`
	if code != "" {
		challenge += `, error="` + code + `"`
	}
	c.Response().Header().Set("WWW-Authenticate", challenge)
	return c.JSON(http.StatusUnauthorized, map[string]string{"msg": msg})
}

// user returns whose token opened the door: from the token alone. A name in the
// query, the body or another header is only what somebody says.
func user(c echo.Context) mockdb.User { return from(c).user }

// from returns all that the token said.
func from(c echo.Context) bearer { return c.Get("bearer").(bearer) }

func (s *server) profile(c echo.Context) error {
	u := user(c)
	return c.JSON(http.StatusOK, map[string]any{"id": u.ID, "username": u.Username})
}

func (s *server) dashboard(c echo.Context) error {
	u := user(c)
	s.cfg.CountVisit(u.Username)
	return c.JSON(http.StatusOK, map[string]string{"message": "Welcome back, " + u.Username + "!"})
}
