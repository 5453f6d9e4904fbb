// The provider: what its discovery document says.
package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A provider is what its discovery document says, once it has been read. Nothing of
// it is written into this program: an issuer is all that it knows of Entra ID, of
// Keycloak or of Google (OIDC Discovery 1.0 §4).
type provider struct {
	mu    sync.Mutex
	found *endpoints // nil until it has answered
}

type endpoints struct {
	oauth      oauth2.Config
	verifier   *oidc.IDTokenVerifier // keeps the provider's keys, and fetches them again when it meets an unknown kid
	userinfo   string
	revocation string // "" where the provider has none

	offline []oauth2.AuthCodeOption // what else is to be asked for, to get a refresh token
}

// context returns one in which both libraries ask the provider with our client, and
// its time limit.
func (s *server) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, s.client)
}

// discover returns what the provider says of itself. It is asked once; while it does
// not answer, each call asks again and returns the error.
func (s *server) discover(ctx context.Context) (*endpoints, error) {
	s.provider.mu.Lock()
	found := s.provider.found
	s.provider.mu.Unlock()
	if found != nil {
		return found, nil
	}
	// Not under the lock: whoever waits for a provider that is down waits alone.
	// NewProvider compares the issuer in the document with ours: one that calls
	// itself by another name would be believed in that name later (§4.3).
	p, err := oidc.NewProvider(s.context(ctx), s.cfg.Provider.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var more struct {
		Scopes     []string `json:"scopes_supported"`
		Revocation string   `json:"revocation_endpoint"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	found = &endpoints{
		oauth: oauth2.Config{
			ClientID:     s.cfg.Provider.ClientID,
			ClientSecret: s.cfg.Provider.ClientSecret,
			Endpoint:     p.Endpoint(),
			RedirectURL:  s.cfg.URL + "/callback",
			Scopes:       []string{oidc.ScopeOpenID, "profile"},
		},
		// Now is ours; the algorithms are those that the document names, never the
		// token's own choice.
		verifier:   p.Verifier(&oidc.Config{ClientID: s.cfg.Provider.ClientID, Now: s.cfg.Now}),
		userinfo:   p.UserInfoEndpoint(),
		revocation: more.Revocation,
	}
	// Without offline_access there is no refresh token (OIDC Core §11). A provider that
	// lists its scopes and has no such one is Google, or does as Google does.
	if len(more.Scopes) == 0 || slices.Contains(more.Scopes, oidc.ScopeOfflineAccess) {
		found.oauth.Scopes = append(found.oauth.Scopes, oidc.ScopeOfflineAccess)
	} else {
		found.offline = []oauth2.AuthCodeOption{oauth2.AccessTypeOffline, oauth2.SetAuthURLParam("prompt", "consent")}
	}
	// Unless it is told, the library tries one way after the other, and sends each
	// request that fails a second time: a code or a refresh token that works once.
	found.oauth.Endpoint.AuthStyle = authStyle(more.Methods, s.cfg.Provider.ClientSecret)

	s.provider.mu.Lock()
	defer s.provider.mu.Unlock()
	s.provider.found = found
	return found, nil
}

// authStyle is how the client proves who it is: by HTTP Basic, which a provider that
// says nothing takes (OIDC Discovery §3), else in the form.
func authStyle(methods []string, secret string) oauth2.AuthStyle {
	basic := len(methods) == 0 || slices.Contains(methods, "client_secret_basic")
	if secret == "" || !basic {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}
