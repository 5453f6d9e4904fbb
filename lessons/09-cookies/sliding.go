// Renewal on the way: whoever uses an access token keeps one, until the session
// ends.
package main

import (
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// newTokenHeader carries a replacement. No standard names one.
const newTokenHeader = "X-New-Access-Token"

// renew adds a new access token to the answer where the one that was sent is past
// half of its life. It stands behind requireToken(verifyAccess), so that it never
// sees a token that was refused.
func (s *server) renew(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		// Before next nobody knows yet whether it will succeed. After next it is
		// too late: the header has gone out with the first byte of the body, and
		// what is set then is never sent. Echo calls this in between.
		c.Response().Before(func() {
			if c.Response().Status < 200 || c.Response().Status > 299 {
				return // a refusal is no use of the session
			}
			s.addNewToken(c)
		})
		return next(c)
	}
}

// TODO(09.2): the new token goes into its cookie.

// addNewToken sets the header, if a new token is due.
func (s *server) addNewToken(c echo.Context) {
	who := from(c)
	// Half of this token's own life, as it says itself. A new one for every
	// request would be as right and 360 times as many in an hour.
	half := who.since.Add(who.until.Sub(who.since) / 2)
	if s.cfg.Now().Before(half) {
		return
	}
	session, ok := s.cfg.DB.Session(who.session)
	if !ok || session.Revoked {
		return // it was logged out while the handler ran
	}
	// A token cannot be extended: its exp is under the signature. This is another
	// one, of the same session, so that a logout ends both and the session's end
	// stays where the login has put it. It is not fresh: nobody gave a password.
	token, err := s.accessToken(who.user, session, false)
	if err != nil {
		s.cfg.Log.Error("no renewal", "reason", err)
		return // the old one is good yet
	}
	header := c.Response().Header()
	header.Set(newTokenHeader, token)
	// Any answer may carry a token now. The browser's cache would keep it on the
	// disk, and a shared one, too, where it says "public" (RFC 9111 §3.5).
	header.Set("Cache-Control", "no-store")
}

// TODO(09.3): who may call us with cookies, and read the answer?

// crossOrigin lets pages of other origins call this server with a token and read
// the header. Without leave a script there sees seven headers of an answer, such
// as Content-Type (Fetch Standard, CORS-safelisted response-header name).
func crossOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		// Any origin may ask, for a token comes only from who has it: no browser
		// adds it by itself, as it adds a cookie. With cookies this line would be
		// a hole (lesson 09).
		AllowOrigins:  []string{"*"},
		AllowHeaders:  []string{echo.HeaderAuthorization, echo.HeaderContentType},
		ExposeHeaders: []string{newTokenHeader},
	})(next)
}
