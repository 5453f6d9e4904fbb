// POST /password and POST /reauth: what a token alone is not enough for.
package main

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"jwtworkshop/mockdb"
)

// requireFresh lets a request through if its token was given for a password, and
// not long ago. It stands behind requireToken.
func (s *server) requireFresh(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who := from(c)
		// Both: a token that was fresh an hour ago lies on a desk by now.
		if !who.fresh || s.cfg.Now().Sub(who.since) > s.cfg.FreshFor {
			// The token is good and not good enough: RFC 9470 §3 has a word for
			// that, so that a client asks for the password instead of a login.
			c.Response().Header().Set("WWW-Authenticate", fmt.Sprintf(
				`Bearer realm="workshop", error="insufficient_user_authentication", max_age="%.0f"`, s.cfg.FreshFor.Seconds()))
			return c.JSON(http.StatusUnauthorized, map[string]string{"msg": "Fresh token required"})
		}
		return next(c)
	}
}

// passwords are the body of POST /password.
type passwords struct {
	Current string `json:"current" validate:"required"`
	New     string `json:"new" validate:"required"`
}

func (s *server) password(c echo.Context) error {
	var sent passwords
	if err := c.Bind(&sent); err != nil {
		return badBody(c, err)
	}
	if err := validate.Struct(sent); err != nil {
		return badFields(c, err)
	}
	who := from(c)
	if !s.knows(who.user, sent.Current) {
		return wrongPassword(c)
	}
	if err := s.cfg.DB.SetPassword(who.user.Username, sent.New); err != nil {
		return err
	}
	// People change their password because somebody else has it. That somebody
	// must not stay: every session but this one ends (OWASP ASVS 5.0 §7.4.3). By
	// name and not by date: a login in this very second is told apart, too.
	s.cfg.DB.UpdateSessionsOf(who.user.Username, func(session *mockdb.Session) {
		if session.ID != who.session {
			session.Revoked = true
		}
	})
	return c.NoContent(http.StatusNoContent)
}

// confirmation is the body of POST /reauth. It has no username: the token says
// who is asked.
type confirmation struct {
	Password string `json:"password" validate:"required"`
}

// TODO(09.2): the fresh token goes into its cookie, and the answer is 204.

// reauth gives a fresh access token for the password. It is of the session that
// there is, so that its end stays where it was.
func (s *server) reauth(c echo.Context) error {
	var sent confirmation
	if err := c.Bind(&sent); err != nil {
		return badBody(c, err)
	}
	if err := validate.Struct(sent); err != nil {
		return badFields(c, err)
	}
	who := from(c)
	if !s.knows(who.user, sent.Password) {
		return wrongPassword(c)
	}
	session, ok := s.cfg.DB.Session(who.session)
	if !ok {
		return unauthorized(c, "invalid_token", "Token is not valid") // ended meanwhile
	}
	access, err := s.accessToken(who.user, session, true)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]string{"access_token": access})
}

// knows tells whether the password is the user's.
func (s *server) knows(user mockdb.User, password string) bool {
	return s.cfg.DB.Verify(user.PasswordHash, password)
}

// wrongPassword answers 401 in the shape of a login's error: it is the password
// that was wrong, not the token.
func wrongPassword(c echo.Context) error {
	c.Response().Header().Set("WWW-Authenticate", `Bearer realm="workshop"`)
	return c.JSON(http.StatusUnauthorized, map[string]any{"error": "Bad username or password"})
}
