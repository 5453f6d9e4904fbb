// The provider: what its discovery document says.
package main

import (
	"context"
	"errors"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A provider is what its discovery document says, once it has been read.
type provider struct {
	mu    sync.Mutex
	found *endpoints // nil until it has answered
}

type endpoints struct {
	oauth      oauth2.Config
	verifier   *oidc.IDTokenVerifier
	userinfo   string
	revocation string // "" where the provider has none
}

// context returns one in which both libraries ask the provider with our client, and
// its time limit.
func (s *server) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, s.client)
}

// discover returns what the provider says of itself.
//
// TODO(11.1): ask it, for s.cfg.Provider.Issuer, and keep the answer.
func (s *server) discover(ctx context.Context) (*endpoints, error) {
	return nil, errors.New("not implemented yet")
}
