// The session at the upstream: its two tokens, how long the one is good, and how
// the other gets a new one.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"jwtworkshop/lessons"
)

// A session is one login. Safe for concurrent use.
type session struct {
	cfg      lessons.Config
	upstream *upstream

	mu      sync.Mutex
	access  string
	refresh string
	expires time.Time // of the access token, by our clock; zero where it does not say
	renewAt time.Time // when to get another, somewhat before; likewise
	ended   bool      // for good: the upstream has refused the refresh token
	flight  *flight   // the refresh that is under way; nil where none is
}

// A flight is a refresh that is under way, for all who wait for it.
type flight struct {
	landed chan struct{} // closed at its end
	err    error         // to be read after that
}

// tokens is what the upstream answers to a login and to a refresh.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// readTokens returns an error where there is no access token in the body.
func readTokens(body []byte) (tokens, error) {
	var got tokens
	if err := json.Unmarshal(body, &got); err != nil {
		return tokens{}, fmt.Errorf("the upstream's tokens cannot be read: %w", err)
	}
	if got.Access == "" {
		return tokens{}, errors.New("the upstream gave no access token")
	}
	return got, nil
}

// keep takes the tokens of a login or a refresh. It wants the lock, or a session
// that nobody else knows yet.
func (s *session) keep(got tokens) {
	s.access = got.Access
	if got.Refresh != "" {
		// A server that rotates takes the old one for stolen from now on (lesson 06).
		// One that does not rotate may leave it out: then the old one goes on.
		s.refresh = got.Refresh
	}
	s.expires, s.renewAt = time.Time{}, time.Time{}
	if life, ok := lifetime(got.Access, s.cfg.Now()); ok {
		s.expires = s.cfg.Now().Add(life)
		s.renewAt = s.expires.Add(-min(life/10, 30*time.Second)) // a request takes time, too
	}
}

// lifetime reads how long a token is good from now on, false where it does not say.
// Nothing is verified: the token is for the upstream, we have no key, and whoever
// lies to us here makes us refresh too early or too late, no more.
func lifetime(token string, now time.Time) (time.Duration, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, false // no JWT; nobody has promised one (RFC 6749 §1.4)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, false
	}
	var claims struct{ Exp, Iat *float64 }
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Exp == nil {
		return 0, false
	}
	// exp is a time of the upstream's clock. Ours may be a minute off: but how long
	// is between iat and exp both clocks agree on.
	from := float64(now.Unix())
	if claims.Iat != nil {
		from = *claims.Iat
	}
	seconds := *claims.Exp - from
	if seconds <= 0 || seconds > 1e9 {
		return 0, false // no life that a token has
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// token returns an access token to send, a new one where the old one is about to
// expire.
func (s *session) token(ctx context.Context) (string, error) {
	s.mu.Lock()
	access, ended := s.access, s.ended
	now := s.cfg.Now()
	due := !s.renewAt.IsZero() && !now.Before(s.renewAt)
	lives := now.Before(s.expires)
	s.mu.Unlock()
	if ended {
		return "", errNotLoggedIn
	}
	if !due {
		return access, nil
	}
	renewed, err := s.renew(ctx, access)
	if err != nil && lives && !errors.Is(err, errNotLoggedIn) {
		return access, nil // the refresh can wait: the old one is still good
	}
	// Not looked at again: if a new token seems to have expired, a clock is wrong,
	// and the next one will seem so, too.
	return renewed, err
}

// renew returns another access token than the one that no longer will do. All who
// ask while a refresh is under way get what it brings.
func (s *session) renew(ctx context.Context, old string) (string, error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return "", errNotLoggedIn
	}
	if s.access != old {
		// Somebody has renewed it since this request was sent: its 401 was about a
		// token that nobody uses any more.
		defer s.mu.Unlock()
		return s.access, nil
	}
	f := s.flight
	if f == nil {
		f = &flight{landed: make(chan struct{})}
		s.flight = f
		// In nobody's name: if it ended with the request that happened to be the
		// first, one caller who hangs up would take all others along, and the refresh
		// token with them, if the upstream has rotated it already.
		go s.fly(f, s.refresh)
	}
	s.mu.Unlock()

	select {
	case <-f.landed:
	case <-ctx.Done():
		return "", ctx.Err() // this caller has gone; the others wait on
	}
	if f.err != nil {
		return "", f.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.access, nil
}

// fly asks the upstream for new tokens and keeps them.
func (s *session) fly(f *flight, refresh string) {
	got, err := s.ask(refresh)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.keep(got)
	case errors.Is(err, errNotLoggedIn):
		s.ended = true
		s.access, s.refresh = "", ""
		s.cfg.Log.Info("the session has ended", "reason", "the upstream refuses its refresh token")
	}
	f.err = err
	s.flight = nil
	close(f.landed)
}

// ask sends the refresh token. It returns errNotLoggedIn where the upstream
// refuses it, and another error where nothing is known.
func (s *session) ask(refresh string) (tokens, error) {
	a, err := s.upstream.post(context.Background(), "/refresh", refresh, nil)
	switch {
	case err != nil:
		return tokens{}, err // a tunnel, a restart: no reason to log anybody out
	case refused(a):
		return tokens{}, errNotLoggedIn
	case a.status != http.StatusOK:
		return tokens{}, fmt.Errorf("the upstream answers %d to a refresh", a.status)
	}
	return readTokens(a.body)
}

// refused tells whether the answer is about the refresh token. An API such as ours
// says 401, OAuth's servers say 400 and invalid_grant (RFC 6749 §5.2). Another 400 is
// about the request, and none is a reason to log anybody out.
func refused(a answer) bool {
	if a.status == http.StatusBadRequest {
		var said struct{ Error string }
		return json.Unmarshal(a.body, &said) == nil && said.Error == "invalid_grant"
	}
	return a.status == http.StatusUnauthorized
}

// slide takes an access token that came with the answer to a request. It does not
// put it in the place of one that is newer than the one that the request had.
func (s *session) slide(sent, slid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.access == sent && !s.ended {
		s.keep(tokens{Access: slid})
	}
}
