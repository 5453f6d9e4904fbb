// What goes upstream: each request with the session's access token.
package main

import (
	"net/http"
	"sync"

	"jwtworkshop/lessons"
)

// slidHeader carries a new access token with the answer to any request (lesson 08).
const slidHeader = "X-New-Access-Token"

// transport is an http.RoundTripper that keeps its caller logged in.
type transport struct {
	cfg      lessons.Config
	upstream *upstream

	mu      sync.Mutex
	current *session // nil until somebody has logged in
}

func newTransport(cfg lessons.Config, up *upstream) *transport {
	return &transport{cfg: cfg, upstream: up}
}

// begin makes the answer of a login that succeeded the session from now on.
func (t *transport) begin(body []byte) error {
	got, err := readTokens(body)
	if err != nil {
		return err
	}
	s := &session{cfg: t.cfg, upstream: t.upstream}
	s.keep(got)
	t.mu.Lock()
	defer t.mu.Unlock()
	// Another session, not other tokens in the old one: what is still on its way for
	// the old one, a refresh say, ends there and cannot log its user in again.
	t.current = s
	return nil
}

// RoundTrip sends a request and returns its answer (see http.RoundTripper). Where
// the access token is refused, it tries once more with another.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	// An http.Client that follows a redirect drops the Authorization header on the
	// way to another host. It does not know of ours, which is added here: so this
	// must ask itself where the request goes. The port belongs to it (RFC 6454 §4).
	if req.URL.Scheme != t.upstream.base.Scheme || req.URL.Host != t.upstream.base.Host {
		return t.upstream.wire.RoundTrip(req)
	}
	t.mu.Lock()
	s := t.current
	t.mu.Unlock()
	if s == nil {
		return nil, closing(req, errNotLoggedIn)
	}
	access, err := s.token(req.Context())
	if err != nil {
		return nil, closing(req, err)
	}
	res, err := t.send(req, s, access)
	// Only a 401 is about the token. A 403 says that this user may not, a 500 that
	// the upstream has a fault: another token changes neither (RFC 6750 §3.1). And
	// after an error nobody knows whether the request was carried out: a POST that
	// is sent again may order twice (RFC 9110 §9.2.2). A 401 was not carried out.
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return res, err
	}
	again := req.Clone(req.Context())
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return res, nil // it cannot be sent twice
		}
		// The first try has read the body to its end.
		if again.Body, err = req.GetBody(); err != nil {
			return res, nil
		}
	}
	res.Body.Close()
	if access, err = s.renew(req.Context(), access); err != nil {
		return nil, closing(again, err)
	}
	// Whatever the answer is this time: a token that is new and refused will not be
	// helped by a newer one.
	return t.send(again, s, access)
}

// send sends the request with the access token, and keeps the one that slides in
// with the answer. It changes a copy: the request is its caller's, who may use it
// again (http.RoundTripper says so).
func (t *transport) send(req *http.Request, s *session, access string) (*http.Response, error) {
	sent := req.Clone(req.Context())
	sent.Header.Set("Authorization", "Bearer "+access)
	res, err := t.upstream.wire.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	if slid := res.Header.Get(slidHeader); slid != "" {
		s.slide(access, slid)
		res.Header.Del(slidHeader) // it is ours, not the caller's
	}
	return res, nil
}

// closing closes the body, as a RoundTripper must also where it fails.
func closing(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close()
	}
	return err
}
