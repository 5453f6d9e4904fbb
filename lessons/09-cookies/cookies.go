// The cookies that the tokens travel in, and what keeps other people's pages from
// making use of them.
package main

import (
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

// newCookie returns a cookie of ours.
//
// TODO(09.1): give it its attributes. They are not the same for all three.
func newCookie(name, value string) *http.Cookie {
	return &http.Cookie{Name: name, Value: value}
}

// TODO(09.1): let refresh.go put both tokens, and the CSRF token of the session,
// into cookies, and none into the body.

// requireCSRF lets a request through if it repeats, in csrfHeader, what the login
// has put into the session: its CSRFToken. It stands behind requireToken, which
// says which session that is.
//
// TODO(09.3): refuse all others with 403.
func (s *server) requireCSRF(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		return next(c)
	}
}

// clearCookies tells the browser to forget what the login has set. logout.go calls
// it.
//
// TODO(09.4): do so.
func clearCookies(c echo.Context) {
}
