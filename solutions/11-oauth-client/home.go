// GET /home: what the provider knows of whoever is signed in.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
)

var errUnauthorized = errors.New("the access token was refused")

// home shows what userinfo says. It stands behind requireLogin.
func (s *server) home(c echo.Context) error {
	ctx := c.Request().Context()
	who, token := c.Get("person").(*person), c.Get("token").(string)
	said, err := s.userinfo(ctx, who, token)
	if errors.Is(err, errUnauthorized) {
		// It has expired sooner than we knew, or was revoked. One new token, and one
		// more try: an API that refuses that one, too, would have us go round for ever.
		if token, err = s.accessToken(ctx, who, token); err != nil {
			return s.stopped(c, who, err)
		}
		said, err = s.userinfo(ctx, who, token)
	}
	if err != nil {
		return s.unavailable(c, err)
	}
	return s.showHome(c, who, said)
}

// userinfo asks the provider about the bearer of the token. The error is
// errUnauthorized where the token is refused.
func (s *server) userinfo(ctx context.Context, who *person, token string) (map[string]any, error) {
	p, err := s.discover(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.userinfo, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return nil, errUnauthorized
	default:
		return nil, fmt.Errorf("userinfo answered %s", res.Status)
	}
	var said map[string]any
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&said); err != nil {
		return nil, fmt.Errorf("userinfo answered no JSON: %w", err)
	}
	// An access token that was swapped on the way would show us somebody else (OIDC
	// Core §5.3.2).
	if said["sub"] != who.Subject {
		return nil, errors.New("userinfo is about another person")
	}
	return said, nil
}
