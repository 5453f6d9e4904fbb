package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// An opinion is what a lesson's server says to a token. It is found out by asking:
// the program is started with the page's secret and clock and its own lifetimes,
// and the token is sent to it. First it is asked with a token of its own, for a
// server that refuses everything says nothing about this token.
type opinion struct {
	Lesson   string   `json:"lesson"`
	Solution bool     `json:"solution"`
	Reason   string   `json:"reason,omitempty"` // why it was not asked
	Answers  []answer `json:"answers"`
}

// An answer at one door.
type answer struct {
	Door    string `json:"door"` // "GET /profile"
	Status  int    `json:"status"`
	Text    string `json:"text"`    // the answer in a line
	Own     int    `json:"own"`     // the status that a token of its own gets there
	OwnText string `json:"ownText"` // likewise
}

// askTime is how long a lesson's server may take for all of it, without its build.
const askTime = 10 * time.Second

// An asker starts servers of lessons and asks them about a token.
type asker struct {
	server *server
	turn   sync.Mutex // one at a time: each is a build and a process
}

// ask asks a lesson's server, the reference's or the learner's.
func (a *asker) ask(ctx context.Context, l lessons.Lesson, solution bool, raw string) (opinion, error) {
	out := opinion{Lesson: l.ID, Solution: solution, Answers: []answer{}}
	suite := suites.For(l)
	if suite.Beside != nil {
		out.Reason = "It is a client of other servers: nobody shows it a token."
		return out, nil
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	program, _, err := a.server.build(ctx, l, solution)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	sub := subject.Program(program, 1)
	defer sub.Close()
	session, err := grade.Fresh(ctx, suite, grade.Step{}, sub, a.server.settings(l, a.server.clock()))
	if err != nil {
		return out, err
	}
	defer session.End()
	failure, err := grade.Attempt(session, func(t require.TestingT, s *subject.Session) {
		out.Answers = doors(t, s, raw)
	})
	if err != nil {
		return out, err
	}
	if failure != nil {
		out.Reason = failure.Claim
	}
	if len(out.Answers) == 0 && out.Reason == "" {
		out.Reason = "Its login gives no token yet."
	}
	return out, nil
}

// doors asks at /profile with an access token and at /refresh with a refresh token,
// as far as the lesson has these: once with the server's own, once with raw. Where
// the login sets cookies, tokens travel in cookies.
func doors(t require.TestingT, s *subject.Session, raw string) []answer {
	given := probe.Token{Raw: raw, What: "the token in question"}
	page := s.Browser()
	login := page.Post(t, "/login", s.Cosmo().Credentials())
	var out []answer
	for _, door := range []struct{ method, path, cookie, field string }{
		{http.MethodGet, "/profile", subject.AccessCookie, "access_token"},
		{http.MethodPost, "/refresh", subject.RefreshCookie, "refresh_token"},
	} {
		var with func(probe.Token) *subject.Answer
		var own string
		if c, ok := page.Cookie(door.cookie); ok {
			own = c.Value
			with = func(token probe.Token) *subject.Answer {
				return s.Do(t, page.Request(door.method, door.path, subject.WithCookie(door.cookie, token)))
			}
		} else if own = login.Text(door.field); own != "" {
			with = func(token probe.Token) *subject.Answer {
				return s.Do(t, subject.Request(door.method, door.path, subject.Bearer(token)))
			}
		} else {
			continue
		}
		asked := with(given)
		control := with(probe.Token{Raw: own})
		out = append(out, answer{
			Door: door.method + " " + door.path, Status: asked.Status, Text: line(asked),
			Own: control.Status, OwnText: line(control),
		})
	}
	return out
}

// line is the answer without the status, folded.
func line(a *subject.Answer) string {
	const status = len("200 ")
	return a.Summary()[status:]
}

// askRunning asks the learner's running server itself, which knows its sessions. It
// is asked at /profile alone: at /refresh a token would be used up.
func (s *server) askRunning(raw string) (opinion, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	r := s.running
	s.mu.Unlock()
	if r == nil {
		return opinion{}, errNotRunning
	}
	out := opinion{Lesson: r.lesson.ID, Solution: r.solution, Answers: []answer{}}
	failure, err := grade.Attempt(r.session, func(t require.TestingT, session *subject.Session) {
		s.tick(t, r)
		request := subject.Request(http.MethodGet, "/profile", subject.Bearer(probe.Token{Raw: raw}))
		if _, cookies := r.browser.Cookie(subject.AccessCookie); cookies {
			request = r.browser.Clone().Request(http.MethodGet, "/profile", subject.WithCookie(subject.AccessCookie, probe.Token{Raw: raw}))
		}
		a := session.Do(t, request)
		out.Answers = append(out.Answers, answer{Door: "GET /profile", Status: a.Status, Text: line(a)})
	})
	r.session.TakeLog()
	if err != nil {
		s.end(err.Error())
		s.changed()
		return out, err
	}
	if failure != nil {
		out.Reason = failure.Claim
	}
	return out, nil
}

// keysPath is where lesson 12's server publishes its keys. (Another path, which its
// discovery may name, is not looked for here.)
const keysPath = "/.well-known/jwks.json"

// publicKeys are those that the running server publishes, none where there is none.
func (s *server) publicKeys() []forge.PublicKey {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	r := s.running
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	var keys []forge.PublicKey
	_, err := grade.Attempt(r.session, func(t require.TestingT, session *subject.Session) {
		s.tick(t, r)
		a := session.Get(t, keysPath)
		set, err := forge.ReadKeySet(a.ReplyBody)
		if a.Status != http.StatusOK || err != nil {
			return
		}
		for _, text := range set {
			if k, err := forge.ReadKey(text); err == nil {
				keys = append(keys, k)
			}
		}
	})
	r.session.TakeLog()
	if err != nil {
		s.end(err.Error())
		s.changed()
	}
	return keys
}
