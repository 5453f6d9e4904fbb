// Renewal on the way: whoever uses an access token keeps one, until the session
// ends.
package main

import "github.com/labstack/echo/v4"

// newTokenHeader carries a replacement. No standard names one.
const newTokenHeader = "X-New-Access-Token"

// renew adds a new access token to the answer. It stands behind requireToken, so
// that it never sees a token that was refused.
//
// TODO(08.1): put a new token into newTokenHeader for every request that succeeds,
// and see what that costs: go test -run TestCost -v ./lessons/08-sliding
//
// TODO(08.2): only for a token that is past half of its life.
//
// TODO(08.3): look where a session ends, and who keeps to it.
func (s *server) renew(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		return next(c)
	}
}

// crossOrigin lets pages of other origins call this server and read the header.
//
// TODO(08.4): a script there does not see the header yet, and caches may keep it.
func crossOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return next
}
