// The session at the upstream: its two tokens, how long the one is good, and how
// the other gets a new one.
package main

import (
	"sync"

	"jwtworkshop/lessons"
)

// A session is one login. Safe for concurrent use.
type session struct {
	cfg      lessons.Config
	upstream *upstream

	mu      sync.Mutex
	access  string
	refresh string

	// TODO(10.3): what else there is to know of an access token.
	// TODO(10.4): and of a refresh that is under way.
	// TODO(10.5): and of a session that has ended.
}

// tokens is what the upstream answers to a login and to a refresh.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// TODO(10.2): refresh: s.upstream.post sends the refresh token to /refresh. Keep
// the new access token, and the new refresh token where one comes.
//
// TODO(10.3): decode exp, and refresh before the access token has expired, by
// s.cfg.Now. A token that cannot be decoded works until it is refused.
//
// TODO(10.4): one refresh for all who need it, and in nobody's name. Whoever was
// refused with a token that has been replaced since needs none.
//
// TODO(10.5): 401 to a refresh, or 400 with invalid_grant, is the end: errNotLoggedIn
// from then on. Everything else that goes wrong is another error, and the session
// goes on.
