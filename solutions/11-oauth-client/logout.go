// POST /logout: out, here and at the provider.
package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/oauth2"
)

// logout ends the browser's session, and has the provider forget the refresh token.
// A form of another site cannot send it: the cookie is SameSite=Lax, and does not go
// along with a POST from there.
func (s *server) logout(c echo.Context) error {
	who := s.people.find(s.sessions.GetString(c.Request().Context(), personKey))
	if err := s.signOut(c); err != nil {
		return err
	}
	if who != nil {
		// Behind the answer: a provider that is slow or down keeps nobody in.
		go s.revoke(who)
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

// signOut ends the browser's session. Both are gone when it returns: the session,
// from the store, and the person with their tokens.
func (s *server) signOut(c echo.Context) error {
	ctx := c.Request().Context()
	s.people.remove(s.sessions.GetString(ctx, personKey))
	return s.sessions.Destroy(ctx)
}

// revoke asks the provider to forget the refresh token (RFC 7009 §2.1). Where it has
// no endpoint for that, as Entra ID has none, the token lives until it expires, and
// nobody has it any more.
func (s *server) revoke(who *person) {
	// A refresh that is under way ends first: the token that comes of it is the one
	// to revoke.
	who.Lock()
	defer who.Unlock()
	p, err := s.discover(context.Background())
	if err != nil || p.revocation == "" || who.Refresh == "" {
		return
	}
	form := url.Values{"token": {who.Refresh}, "token_type_hint": {"refresh_token"}}
	client := s.cfg.Provider
	basic := p.oauth.Endpoint.AuthStyle == oauth2.AuthStyleInHeader
	if !basic {
		form.Set("client_id", client.ClientID)
		if client.ClientSecret != "" {
			form.Set("client_secret", client.ClientSecret)
		}
	}
	req, err := http.NewRequest(http.MethodPost, p.revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		// Encoded before they are joined by a colon (RFC 6749 §2.3.1).
		req.SetBasicAuth(url.QueryEscape(client.ClientID), url.QueryEscape(client.ClientSecret))
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.cfg.Log.Warn("the refresh token was not revoked", "reason", err)
		return
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.cfg.Log.Warn("the refresh token was not revoked", "status", res.Status)
	}
}
