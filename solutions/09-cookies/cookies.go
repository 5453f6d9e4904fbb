// The cookies that the tokens travel in, and what keeps other people's pages from
// making use of them.
package main

import (
	"crypto/subtle"
	"net/http"

	"github.com/labstack/echo/v4"
)

// The cookies. A script of ours reads the third and repeats it in csrfHeader.
const (
	accessCookie  = "access_token"
	refreshCookie = "refresh_token"
	csrfCookie    = "csrf_token"

	csrfHeader = "X-CSRF-Token"
)

// newCookie returns a cookie of ours. All attributes are written here and nowhere
// else: name, path and domain together say which cookie it is (RFC 10025 §5.7), so
// one that is cleared with another path than it was set with stays.
func newCookie(name, value string) *http.Cookie {
	cookie := &http.Cookie{
		Name: name, Value: value,
		// No Domain: then it goes to this host only. With one it goes to every
		// host below it, to the blog and to whoever has taken over the old shop.
		Path:     "/",
		Secure:   true,                 // TLS only. Chrome, Firefox and curl make an exception for localhost
		HttpOnly: name != csrfCookie,   // what a script cannot read, an injected one cannot send away
		SameSite: http.SameSiteLaxMode, // not with other sites' forms. Hosts below our domain are no other site
	}
	if name == refreshCookie {
		// It is needed in one place only, and a cookie that is not sent is in no
		// log and in no crash report.
		cookie.Path = "/refresh"
	}
	// No Max-Age: the browser may forget them when it is closed. When they end the
	// token says, and only that is checked.
	return cookie
}

func setCookie(c echo.Context, name, value string) {
	c.SetCookie(newCookie(name, value))
	// The answer carries a token now, whatever its body is (RFC 6749 §5.1).
	c.Response().Header().Set("Cache-Control", "no-store")
}

// clearCookies tells the browser to forget what the login has set.
func clearCookies(c echo.Context) {
	for _, name := range []string{accessCookie, refreshCookie, csrfCookie} {
		cookie := newCookie(name, "")
		cookie.MaxAge = -1 // Max-Age: 0 on the wire; 0 here would mean none
		c.SetCookie(cookie)
	}
}

// requireCSRF lets a request through if it repeats, in a header, what the login
// has put into the session. It stands behind requireToken, which says which
// session that is.
func (s *server) requireCSRF(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		sent := c.Request().Header.Get(csrfHeader)
		// What is compared with is our own copy, not the cookie. A host below our
		// domain can set a cookie of that name, and then header and cookie agree.
		session, _ := s.cfg.DB.Session(from(c).session)
		// A session without a token, from before this lesson say, has "": that is
		// equal to no header at all.
		if session.CSRFToken == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(session.CSRFToken)) != 1 {
			// 403, not 401: we know who it is, and logging in again is no help.
			return c.JSON(http.StatusForbidden, map[string]string{"msg": "CSRF token is missing or wrong"})
		}
		return next(c)
	}
}
