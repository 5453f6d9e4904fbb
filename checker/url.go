package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

type urlCommand struct {
	URL        string        `arg:"" help:"Where the server listens, such as http://localhost:5000."`
	Lesson     string        `required:"" help:"The lesson that it is to be graded by: 5, 05 or 05-refresh."`
	Secret     string        `help:"What signs its tokens. Without it no token can be forged, and those steps are not graded."`
	Issuer     string        `help:"The iss that it was configured with."`
	Audience   string        `help:"The aud that it was configured with."`
	AccessTTL  time.Duration `name:"access-ttl" help:"How long its access tokens live: 2s, 15m (default: the lesson's)."`
	RefreshTTL time.Duration `name:"refresh-ttl" help:"How long its refresh tokens live: 6s, 1h (default: the lesson's)."`
	FreshFor   time.Duration `name:"fresh-for" help:"How long a login counts as fresh (default: the lesson's)."`
	SessionTTL time.Duration `name:"session-ttl" help:"When its sessions end for good (default: the lesson's)."`
	KeyTTL     time.Duration `name:"key-ttl" help:"How long a key of lesson 12 signs before the next one does (default: the lesson's)."`
	Provider   string        `name:"provider-listen" placeholder:"HOST:PORT" help:"Where the checker's identity provider is to listen (lesson 11): 127.0.0.1:9000. Its issuer is http://HOST:PORT."`
	ClientID   string        `name:"client-id" help:"What the server is called at that provider."`
	Client     string        `name:"client-secret" help:"The server's secret there; none is a public client."`
	User       []string      `sep:"none" placeholder:"NAME:PASSWORD" help:"A user besides cosmo; may be given several times."`
	Upstream   string        `name:"upstream-listen" default:"127.0.0.1:9000" placeholder:"HOST:PORT" help:"Where the checker's API listens, for a lesson whose server logs in at one: start the server with http://HOST:PORT for its upstream."`
	Patience   time.Duration `default:"3m" help:"The longest that a step may let pass on the real clock."`
	Step       string        `placeholder:"ID" help:"Only this step and those that it needs."`
	output
}

func (c *urlCommand) Run(d *desk) error {
	l, err := d.lesson(c.Lesson)
	if err != nil {
		return err
	}
	suite := suites.For(l)
	if c.Step != "" {
		if _, ok := suite.Step(c.Step); !ok {
			return fmt.Errorf("lesson %s has no step %q", l.ID, c.Step)
		}
	}
	target := subject.Target{URL: c.URL, Settings: l.Settings(), Patience: c.Patience}
	s := &target.Settings
	s.Secret, s.Issuer, s.Audience = []byte(c.Secret), c.Issuer, c.Audience
	if l.Upstream {
		s.Upstream = "http://" + c.Upstream
		if err := free(c.Upstream); err != nil {
			return err
		}
	}
	for _, ttl := range []struct {
		given   time.Duration
		setting *time.Duration
	}{{c.AccessTTL, &s.AccessTTL}, {c.RefreshTTL, &s.RefreshTTL}, {c.FreshFor, &s.FreshFor}, {c.SessionTTL, &s.SessionTTL}, {c.KeyTTL, &s.KeyTTL}} {
		switch {
		case ttl.given < 0:
			return errors.New("a lifetime must be more than zero")
		case ttl.given > 0:
			*ttl.setting = ttl.given
		}
	}
	if s.RefreshTTL < s.AccessTTL {
		return fmt.Errorf("the refresh token (%v) dies before the access token (%v): give both --access-ttl and --refresh-ttl as the server has them", s.RefreshTTL, s.AccessTTL)
	}
	s.URL = strings.TrimSuffix(c.URL, "/")
	if l.SignsIn {
		if c.Provider == "" || c.ClientID == "" {
			return errors.New("the server is to let people sign in at the checker's own provider: tell it the issuer http://127.0.0.1:9000, say, with a client ID and a secret, and say here --provider-listen 127.0.0.1:9000 --client-id … --client-secret …")
		}
		s.Provider = lessons.Provider{Issuer: "http://" + c.Provider, ClientID: c.ClientID, ClientSecret: c.Client}
	}
	for _, u := range c.User {
		name, password, ok := strings.Cut(u, ":")
		if !ok || name == "" || password == "" {
			return fmt.Errorf("--user wants name:password, and got %q", u)
		}
		target.Users = append(target.Users, subject.User{Username: name, Password: password})
	}
	sub, err := subject.URL(target)
	if err != nil {
		return err
	}
	defer sub.Close()
	if !c.JSON {
		say(d.card(c.NoColor).Out, "Grading %s by lesson %s on the real clock: %s.\n", c.URL, l.ID, announce(suite, target))
	}
	verdict := grade.Run(d.ctx, suite, sub, grade.Options{Only: c.Step})
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	if err := c.output.write(d, []grade.Verdict{verdict}, c.Step != "", notGraded); err != nil {
		return err
	}
	if code := report.ExitCode([]grade.Verdict{verdict}); code != 0 {
		return exit(code)
	}
	return nil
}

// free returns an error where nobody can listen at the address.
func free(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the upstream cannot listen on %s (%w): say where with --upstream-listen", addr, err)
	}
	return l.Close()
}

// announce says how long a grading will take. Steps that wait do so beside each
// other: it takes as long as the longest that patience allows. Where they share a
// companion they take turns.
func announce(suite grade.Suite, t subject.Target) string {
	var longest, all time.Duration
	for _, s := range suite.Steps {
		if s.Takes != nil {
			if takes := s.Takes(t.Settings); takes <= t.Patience {
				longest, all = max(longest, takes), all+takes
			}
		}
	}
	if suite.Beside != nil {
		longest = all
	}
	return "about " + (longest + time.Second).Round(time.Second).String()
}

// notGraded counts what the verdict says nothing about.
func notGraded(v grade.Verdict) string {
	if n := v.Count(grade.NotGraded); n > 0 {
		return fmt.Sprintf("\n  %d of %d steps were not graded here, so nothing is said about them.", n, len(v.Results))
	}
	return ""
}
