// GET /login and GET /callback: to the provider, and back.
package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/gob"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/labstack/echo/v4"
	"golang.org/x/oauth2"

	"jwtworkshop/lessons"
)

// A begun is a sign-in on its way. It waits in the browser's session under its
// state, so that two tabs do not get into each other's way.
type begun struct {
	Nonce    string    // comes back in the ID token
	Verifier string    // proves at the token endpoint that it was we who began (PKCE)
	Next     string    // where the person was going
	At       time.Time // when it began
}

const (
	begunKey = "begun"          // in the session: a map[string]begun, by state
	patience = 10 * time.Minute // for typing a password, and looking for the phone
	maxTabs  = 10               // sign-ins on their way in one browser; one more begins anew
)

// newSessions keeps a session for each browser: in its cookie is a random name, and
// all else stays here.
func newSessions(cfg lessons.Config) *scs.SessionManager {
	gob.Register(map[string]begun{}) // how scs writes what it keeps
	sessions := scs.New()
	sessions.Lifetime = cfg.SessionTTL
	// HttpOnly and Path=/ are set already. Lax is, too: Strict would keep the cookie
	// back when the provider's page leads to /callback, and nobody would be known.
	sessions.Cookie.SameSite = http.SameSiteLaxMode
	sessions.Cookie.Secure = true // this one is not. Browsers make an exception for localhost
	return sessions
}

// login sends the browser to the provider.
func (s *server) login(c echo.Context) error {
	ctx := c.Request().Context()
	p, err := s.discover(ctx)
	if err != nil {
		return s.unavailable(c, err)
	}
	state := rand.Text() // 130 bits that nobody else knows
	sent := begun{
		Nonce:    rand.Text(),
		Verifier: oauth2.GenerateVerifier(),
		Next:     local(c.QueryParam("next")),
		At:       s.cfg.Now(),
	}
	s.begin(ctx, state, sent)
	// The challenge is the verifier's hash: who reads this address, in a log or a
	// history, cannot use the code that it leads to (RFC 7636 §4.2).
	asked := append(slices.Clone(p.offline), oidc.Nonce(sent.Nonce), oauth2.S256ChallengeOption(sent.Verifier))
	return c.Redirect(http.StatusFound, p.oauth.AuthCodeURL(state, asked...))
}

// begin keeps a sign-in until the browser comes back with its state.
func (s *server) begin(ctx context.Context, state string, sent begun) {
	all := map[string]begun{}
	waiting, _ := s.sessions.Get(ctx, begunKey).(map[string]begun)
	for other, b := range waiting {
		if len(waiting) < maxTabs && sent.At.Sub(b.At) < patience {
			all[other] = b
		}
	}
	all[state] = sent
	s.sessions.Put(ctx, begunKey, all)
}

// take returns the sign-in of that state which this browser has begun, once.
func (s *server) take(ctx context.Context, state string) (begun, bool) {
	waiting, _ := s.sessions.Get(ctx, begunKey).(map[string]begun)
	b, ok := waiting[state]
	if !ok {
		return begun{}, false
	}
	rest := map[string]begun{}
	for other, b := range waiting {
		if other != state {
			rest[other] = b
		}
	}
	s.sessions.Put(ctx, begunKey, rest)
	return b, s.cfg.Now().Sub(b.At) < patience
}

// callback is where the provider sends the browser back to.
func (s *server) callback(c echo.Context) error {
	ctx := c.Request().Context()
	// First of all, and before anything in the address is believed: have we sent
	// this browser? Otherwise a link in a mail signs people in as somebody else
	// (RFC 6749 §10.12).
	sent, ok := s.take(ctx, c.QueryParam("state"))
	if !ok {
		return s.page(c, http.StatusBadRequest, "This sign-in was not begun here, or it took too long.", "/login")
	}
	if code := c.QueryParam("error"); code != "" {
		s.cfg.Log.Warn("the provider has signed nobody in", "reason", code, "description", c.QueryParam("error_description"))
		return s.page(c, http.StatusForbidden, "The provider has not signed you in.", "/login")
	}
	p, err := s.discover(ctx)
	if err != nil {
		return s.unavailable(c, err)
	}
	tokens, err := p.oauth.Exchange(s.context(ctx), c.QueryParam("code"), oauth2.VerifierOption(sent.Verifier))
	if reason, refused := refusal(err); refused {
		s.cfg.Log.Warn("the code was refused", "reason", reason.ErrorCode, "description", reason.ErrorDescription)
		return s.page(c, http.StatusBadRequest, "The provider does not know this sign-in any more.", "/login")
	}
	if err != nil {
		return s.unavailable(c, err)
	}
	id, err := s.verify(ctx, p, tokens)
	if err != nil {
		return s.unavailable(c, err)
	}
	// Somebody may have replayed an ID token of another sign-in. This one's carries
	// what we have sent with this one (OIDC Core §3.1.3.7). An absent nonce is "",
	// and that is not what we have sent either.
	if id == nil || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(sent.Nonce)) != 1 {
		return s.unavailable(c, errors.New("there is no ID token of this sign-in"))
	}

	// A new name for the session: whoever knew the old one, because they had planted
	// it, would be signed in, too (OWASP ASVS 5.0 §7.2.4).
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.people.remove(s.sessions.GetString(ctx, personKey))
	now := s.cfg.Now()
	// The sub, and nothing else, says who it is: names and addresses are given again
	// to others, and not every provider checks them (OIDC Core §5.7).
	who := &person{Subject: id.Subject, Name: named(id)}
	who.keep(tokens, now)
	s.sessions.Put(ctx, personKey, s.people.add(who, now, now.Add(s.cfg.SessionTTL)))
	s.cfg.Log.Info("signed in", "sub", id.Subject)
	return c.Redirect(http.StatusFound, sent.Next)
}

// verify returns the ID token that came with the tokens, nil if none did. It checks
// signature, algorithm, issuer, audience and time; whose sign-in it belongs to is
// the caller's to ask.
func (s *server) verify(ctx context.Context, p *endpoints, tokens *oauth2.Token) (*oidc.IDToken, error) {
	raw, ok := tokens.Extra("id_token").(string) // without ok, an answer that lacks it is a panic
	if !ok {
		return nil, nil
	}
	return p.verifier.Verify(s.context(ctx), raw)
}

// named is what to call somebody.
func named(id *oidc.IDToken) string {
	var said struct {
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
	}
	if err := id.Claims(&said); err != nil {
		return id.Subject
	}
	for _, name := range []string{said.Name, said.Username} {
		if name != "" {
			return name
		}
	}
	return id.Subject
}

// local is the path where somebody was going, if it is one of this server's, else
// /home. A path begins with one slash. Browsers take "//", "/\" and a slash with a
// tab behind it for the beginning of a host.
func local(next string) string {
	strange := strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f })
	if strange || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return "/home"
	}
	return next
}
