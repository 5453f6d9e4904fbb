// The door: who is signed in stays signed in.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/oauth2"
)

var (
	errRefused   = errors.New("the provider refuses to go on")
	errNoRefresh = errors.New("the access token has expired, and there is no refresh token")
)

// early is how long before its end an access token counts as expired: it still has
// to travel.
const early = 5 * time.Second

// requireLogin lets whoever is signed in through, with an access token that is good:
// it renews one that has expired on the way. Whoever is not signed in goes to the
// login, and comes back to where they were going.
func (s *server) requireLogin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who := s.people.find(s.sessions.GetString(c.Request().Context(), personKey))
		if who == nil {
			return s.toLogin(c)
		}
		token, err := s.accessToken(c.Request().Context(), who, "")
		if err != nil {
			return s.stopped(c, who, err)
		}
		c.Set("person", who)
		c.Set("token", token)
		return next(c)
	}
}

func (s *server) toLogin(c echo.Context) error {
	return c.Redirect(http.StatusFound, "/login?"+url.Values{"next": {c.Request().URL.RequestURI()}}.Encode())
}

// stopped answers whoever has got no access token.
func (s *server) stopped(c echo.Context, who *person, err error) error {
	switch {
	case errors.Is(err, errNoRefresh):
		return s.toLogin(c) // nothing has gone wrong
	case errors.Is(err, errRefused):
		// It will be refused the next time, too: with the session kept, every page
		// would lead here for ever.
		if err := s.signOut(c); err != nil {
			return err
		}
		s.cfg.Log.Warn("signed out by the provider", "sub", who.Subject, "reason", err)
		return c.Redirect(http.StatusFound, "/")
	}
	// It may be over in a minute. What we have of the person is as good as before.
	return s.unavailable(c, err)
}

// accessToken returns a good access token of a person: the one that there is or, if
// it has expired or is the one that was refused, a new one. The error is errNoRefresh
// or errRefused where only another login helps; any other may pass.
func (s *server) accessToken(ctx context.Context, who *person, refused string) (string, error) {
	// Six tabs that wake up at once come here at once. The first one refreshes; the
	// others wait, and find its token. A refresh token that came twice would look
	// stolen, and end the session (RFC 9700 §4.14.2).
	who.Lock()
	defer who.Unlock()
	expired := !who.Expires.IsZero() && !s.cfg.Now().Before(who.Expires.Add(-early))
	if !expired && who.Access != refused {
		return who.Access, nil
	}
	if who.Refresh == "" {
		return "", errNoRefresh
	}
	// Not the request's own context: when its tab is closed, the old refresh token is
	// spent already, and the answer with the new one must not be lost.
	ctx = context.WithoutCancel(ctx)
	p, err := s.discover(ctx)
	if err != nil {
		return "", err
	}
	// A token without an access token is none that TokenSource could give back.
	tokens, err := p.oauth.TokenSource(s.context(ctx), &oauth2.Token{RefreshToken: who.Refresh}).Token()
	if reason, is := refusal(err); is {
		return "", fmt.Errorf("%w: %w", errRefused, reason)
	}
	if err != nil {
		return "", err
	}
	// There need not be an ID token, and it need not have a nonce. If there is one it
	// is about the same person (OIDC Core §12.2).
	id, err := s.verify(ctx, p, tokens)
	if err != nil {
		return "", err
	}
	if id != nil && id.Subject != who.Subject {
		return "", fmt.Errorf("%w: these are the tokens of another person", errRefused)
	}
	who.keep(tokens, s.cfg.Now())
	who.Refreshed++
	return who.Access, nil
}

// keep takes over what the provider has given.
func (who *person) keep(tokens *oauth2.Token, now time.Time) {
	who.Access = tokens.AccessToken
	who.Expires = time.Time{}
	if tokens.ExpiresIn > 0 {
		who.Expires = now.Add(time.Duration(tokens.ExpiresIn) * time.Second)
	}
	if tokens.RefreshToken != "" {
		who.Refresh = tokens.RefreshToken // where none comes, the old one goes on (RFC 6749 §6)
	}
}

// refusal tells whether an error of the token endpoint is final: what we have sent
// is not good any more, and never will be (RFC 6749 §5.2). All else is an outage, or
// a mistake in our configuration, and no reason to sign anybody out.
func refusal(err error) (*oauth2.RetrieveError, bool) {
	var reason *oauth2.RetrieveError
	if errors.As(err, &reason) && reason.ErrorCode == "invalid_grant" {
		return reason, true
	}
	return nil, false
}

// unavailable answers 503, and logs why.
func (s *server) unavailable(c echo.Context, err error) error {
	s.cfg.Log.Error("the provider is of no help", "path", c.Path(), "reason", cause(err))
	return s.page(c, http.StatusServiceUnavailable, "The provider does not answer as it should. Try again in a minute.", "/home")
}

// cause is an error without what the provider has said beside it: the answer of a
// token endpoint may hold a token.
func cause(err error) string {
	var reason *oauth2.RetrieveError
	if errors.As(err, &reason) && reason.ErrorCode == "" {
		return "the token endpoint answered " + reason.Response.Status
	}
	return err.Error()
}
