// The keys of this server: one signs, and those before it still verify.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"jwtworkshop/lessons"
)

// A key is a pair. The private half signs and is seen by nobody; the public half
// verifies and is for everybody.
type key struct {
	id         string
	private    ed25519.PrivateKey // nil once the key has signed its last token
	public     ed25519.PublicKey
	signsUntil time.Time
	goneAt     time.Time // when the last token that it signed has expired
}

// A keyring makes keys and forgets them. It may be used by many requests at once.
type keyring struct {
	cfg lessons.Config

	mu   sync.RWMutex
	keys []key // the oldest first; the last one signs
}

func newKeyring(cfg lessons.Config) *keyring {
	r := &keyring{cfg: cfg}
	r.signing(cfg.Now()) // whoever asks for the JWKS before the first login finds a key
	return r
}

// signing returns the key that signs now: the newest, or a new one if that has
// signed for KeyTTL. Nothing has to wait for that moment, no goroutine and no
// timer: a key is only needed when somebody comes.
func (r *keyring) signing(now time.Time) key {
	// Looking at the newest and replacing it are one. Otherwise each of several
	// logins at that moment makes a key, and all but the last are lost.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = slices.DeleteFunc(r.keys, func(k key) bool { return !now.Before(k.goneAt) })
	if last := len(r.keys) - 1; last >= 0 {
		if now.Before(r.keys[last].signsUntil) {
			return r.keys[last]
		}
		r.keys[last].private = nil // what is no longer there cannot be stolen
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	signsUntil := now.Add(r.cfg.KeyTTL)
	r.keys = append(r.keys, key{
		id: rand.Text(), private: private, public: public,
		signsUntil: signsUntil,
		// Its last token may be a refresh token, and these live longest. Who counts
		// from the beginning of the key, or by AccessTTL, logs people out.
		goneAt: signsUntil.Add(r.cfg.RefreshTTL),
	})
	return r.keys[len(r.keys)-1]
}

// public returns the public half of the key of that ID, and whether there is one.
func (r *keyring) public(id string) (ed25519.PublicKey, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if k.id == id {
			return k.public, true
		}
	}
	return nil, false
}

// A jwk is a public key as RFC 7517 and RFC 8037 §2 write it. A type of its own
// has no place for the private half ("d"), so none can get in by mistake.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"` // belongs to the key, whatever a token says
}

// published returns all keys that a living token may be signed with.
func (r *keyring) published() []jwk {
	r.signing(r.cfg.Now()) // what is due to come comes, what is due to go goes
	r.mu.RLock()
	defer r.mu.RUnlock()
	set := []jwk{}
	for _, k := range r.keys {
		set = append(set, jwk{
			Type: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k.public),
			ID: k.id, Use: "sig", Algorithm: "EdDSA",
		})
	}
	return set
}

// jwks answers GET /.well-known/jwks.json.
func (s *server) jwks(c echo.Context) error {
	// A verifier need not ask for each token. But a key that we take out of the set
	// because it was stolen is trusted for as long as somebody's copy counts.
	copyFor := min(5*time.Minute, s.cfg.KeyTTL/2)
	c.Response().Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(copyFor.Seconds())))
	return c.JSON(http.StatusOK, map[string]any{"keys": s.keys.published()})
}
