// Renewal on the way: whoever uses an access token keeps one, until the session
// ends.
package main

import "github.com/labstack/echo/v4"

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

// addNewToken sets the cookie, if a new token is due. The browser takes it and no
// script has to: that is what cookies are good for.
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
	setCookie(c, accessCookie, token)
}
