// The keys of this server, and GET /.well-known/jwks.json.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"jwtworkshop/lessons"
)

// A keyring holds the key that signs, and those before it that still verify. Many
// requests use it at once.
//
// TODO(12.1): make a key pair, and give it an ID.
// TODO(12.3): after cfg.KeyTTL, by cfg.Now, another key signs. Keep the old one for
// as long as a token that it has signed may live, and no longer.
type keyring struct {
	cfg lessons.Config
}

func newKeyring(cfg lessons.Config) *keyring { return &keyring{cfg: cfg} }

// jwks answers GET /.well-known/jwks.json.
//
// TODO(12.1): answer 200 and the public halves of the keys, as a JWK Set.
func (s *server) jwks(c echo.Context) error {
	return c.JSON(http.StatusNotImplemented, map[string]string{"msg": "not implemented yet"})
}
