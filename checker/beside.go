package main

import (
	"io"
	"slices"
	"strings"
	"time"

	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

// personalLife is how long an access token lives at the provider that a person tries
// their application with: short enough to see a refresh.
const personalLife = time.Minute

// provide starts what a person's server needs beside it and returns the flags that
// tell the server so, and what ends it. Whoever names a provider has one.
func provide(l lessons.Lesson, flags []string, out io.Writer) (more []string, stop func(), err error) {
	named := func(flag string) bool { return strings.HasPrefix(strings.TrimLeft(flag, "-"), "issuer-url") }
	if !l.SignsIn || slices.ContainsFunc(flags, named) || slices.Contains(flags, "-h") || slices.Contains(flags, "--help") {
		return nil, func() {}, nil
	}
	out = &turns{w: out}
	p, err := upstream.ForPeople(personalLife, out)
	if err != nil {
		return nil, nil, err
	}
	client, err := p.Serve()
	if err != nil {
		return nil, nil, err
	}
	say(out, "provider: %s, where cosmo (space-corgi) and seven others can sign in; its access tokens live %v", client.Issuer, personalLife)
	return []string{"-issuer-url", client.Issuer, "-client-id", client.ClientID, "-client-secret", client.ClientSecret}, p.Close, nil
}
