package subject

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"jwtworkshop/checker/probe"
	"jwtworkshop/lessons"
)

// A Target is a server that is listening already, in whatever language, and what
// is known of it.
type Target struct {
	URL      string
	Settings lessons.Settings // as far as known; empty strings and zero times are not
	Users    []User           // besides cosmo
	Patience time.Duration    // the longest that one step may wait on the real clock
}

type remote struct{ target Target }

// URL returns the subject of a server that is listening already. It cannot be
// had afresh, its clock is the real one, and its users are those that it has.
// It returns an error where the URL is none.
func URL(t Target) (Subject, error) {
	u, err := url.Parse(t.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a server, such as http://localhost:5000", t.URL)
	}
	return &remote{t}, nil
}

// Settings are the target's, as far as known.
func (r *remote) Settings(lessons.Lesson) lessons.Settings { return r.target.Settings }

func (r *remote) Fresh(ctx context.Context, _ lessons.Settings) (*Session, error) {
	s := &Session{
		Settings: r.target.Settings, Patience: remotePatience,
		ctx: ctx, target: &r.target,
		client: probe.NewClient("", "", r.target.URL),
	}
	s.group = &group{now: time.Now(), servers: []*Session{s}}
	return s, nil
}

// Overlap is high: the steps only wait, and do so beside each other.
func (r *remote) Overlap() int            { return 100 }
func (r *remote) Patience() time.Duration { return r.target.Patience }
func (r *remote) Close() error            { return nil }
