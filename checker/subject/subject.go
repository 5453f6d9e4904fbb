// Package subject holds a server under test: in this process, as a program that
// was built for it, or at a URL. A [Session] is one fresh server and the words
// in which a step talks to it; the words are the same for all three.
package subject

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"jwtworkshop/checker/probe"
	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

// A Subject is a server that can be had afresh, time and again.
type Subject interface {
	// Settings are what a server of the lesson is configured with before a step
	// changes some of it.
	Settings(l lessons.Lesson) lessons.Settings

	// Fresh starts a server with nothing of the last one left in it and returns
	// a session with it, which the caller ends. It returns an [*Ungradable] where
	// that cannot be done.
	Fresh(ctx context.Context, s lessons.Settings) (*Session, error)

	// Overlap is how many sessions there can be at a time.
	Overlap() int

	// Patience is the longest that a step may take where the clock is the real one
	// and Advance waits; 0 is where the clock is moved.
	Patience() time.Duration

	// Close ends the server and what belongs to it.
	Close() error
}

// A Companion is a server of the grader's own that the graded one talks to: an API
// that a client calls, an identity provider that an application signs in at.
type Companion interface {
	// Open starts it and writes into the settings how it is reached. Where they say
	// that already, for a server at a URL that was told once, it listens there.
	Open(s *lessons.Settings) error

	// Meet tells it whose clock is its own, too.
	Meet(s *Session)

	Close()
}

// An Ungradable says why there can be no verdict: the server does not build, does
// not start, hangs or dies. It is not the answer to any question, so it is no
// failure either.
type Ungradable struct {
	What   string // "your server hangs"
	Detail string // the compiler's or the program's own words, of several lines
}

func (u *Ungradable) Error() string {
	if u.Detail == "" {
		return u.What
	}
	return u.What + "\n" + u.Detail
}

// An Unavailable says what a step needs and this subject cannot give, such as
// deleting a user behind a URL.
type Unavailable struct{ Reason string }

func (u *Unavailable) Error() string { return u.Reason }

// controlled is what the subjects that we start ourselves have in common.
type controlled struct{}

func (controlled) Settings(l lessons.Lesson) lessons.Settings { return Settings(l) }

// Settings returns what a grader configures a server of the lesson with: a
// random secret, issuer and audience, and lifetimes a little off the usual ones,
// so that what is written into the code shows.
func Settings(l lessons.Lesson) lessons.Settings {
	s := l.Settings()
	s.Start = time.Now().UTC().Truncate(time.Second).Add(1000*time.Hour + time.Duration(number(1e6))*time.Second)
	s.Secret = make([]byte, 48)
	rand.Read(s.Secret)
	name := strings.ToLower(rand.Text()[:8])
	s.Issuer = "https://issuer-" + name + ".example"
	s.Audience = "https://api-" + name + ".example"
	scale := func(d time.Duration) time.Duration {
		return d / 20 * []time.Duration{17, 18, 19, 21, 22, 23}[number(6)] // never the usual one
	}
	s.AccessTTL, s.FreshFor, s.KeyTTL = scale(s.AccessTTL), scale(s.FreshFor), scale(s.KeyTTL)
	s.RefreshTTL = max(scale(s.RefreshTTL), s.AccessTTL)
	return s
}

// number is random, from 0 to n-1.
func number(n int64) int64 {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return v.Int64()
}

// bench is what the two subjects with a control have in common.
type bench interface {
	do(context.Context, lessons.Command) (lessons.Reply, error)

	// twin is a process of the same program beside this one. It is started when it
	// is first needed.
	twin(context.Context) (*program, error)
}

// open starts a fresh server on a bench.
func open(ctx context.Context, b bench, c lessons.Command, source Source) (*Session, error) {
	c.Op = lessons.OpOpen
	r, err := b.do(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := notOpen(r, source); err != nil {
		return nil, err
	}
	s := &Session{
		Settings: c.Settings,
		ctx:      ctx, bench: b, database: r.Database, source: source,
		client: probe.NewClient(r.Network, r.Addr, ""),
	}
	if r.Network == "tcp" {
		s.addr = r.Addr
	}
	s.group = &group{now: c.Settings.Start, servers: []*Session{s}}
	return s, nil
}

// notOpen says why a server could not be opened; nil where it was.
func notOpen(r lessons.Reply, source Source) error {
	switch {
	case len(r.Panics) > 0:
		return &Ungradable{What: "your server does not start: New panics", Detail: frame(r.Panics[0], source)}
	case r.Error != "":
		return &Ungradable{What: "your server does not start: " + r.Error}
	}
	return nil
}

// OnDatabase returns a subject whose servers keep what they know in that database:
// each in a part of its own that is made for it. It is for lessons with a real one.
func OnDatabase(s Subject, source string) Subject { return onDatabase{s, source} }

type onDatabase struct {
	Subject
	source string
}

func (d onDatabase) Settings(l lessons.Lesson) lessons.Settings {
	s := d.Subject.Settings(l)
	s.Database = d.source
	return s
}

// inProcess serves New in the process that grades: for go test and its debugger.
type inProcess struct {
	controlled
	bench *lessons.Bench
	other *program
}

// InProcess returns the subject that runs a learner's New in this process. Where a
// second server is wanted, it starts this program once more, with the arguments:
// they must lead it to [lessons.ServeGrader].
func InProcess(n lessons.New, open mockdb.OpenSQL, arguments ...string) Subject {
	p := &inProcess{bench: &lessons.Bench{New: n, OpenSQL: open}}
	if self, err := os.Executable(); err == nil {
		p.other = &program{seat: here(nil, self, arguments...), source: ownSource}
	}
	return p
}

func (p *inProcess) twin(ctx context.Context) (*program, error) {
	if p.other == nil {
		return nil, &Ungradable{What: "the test's program cannot be started a second time: its file is not known"}
	}
	return p.other, p.other.ready(ctx)
}

func (p *inProcess) do(ctx context.Context, c lessons.Command) (lessons.Reply, error) {
	done := make(chan lessons.Reply, 1)
	go func() { done <- p.bench.Do(c) }()
	select {
	case r := <-done:
		return r, nil
	case <-ctx.Done():
		return lessons.Reply{}, hangs(ctx.Err(), "New")
	}
}

func (p *inProcess) Fresh(ctx context.Context, s lessons.Settings) (*Session, error) {
	return open(ctx, p, lessons.Command{Settings: s}, ownSource)
}

func (p *inProcess) Overlap() int            { return 1 }
func (p *inProcess) Patience() time.Duration { return 0 }

func (p *inProcess) Close() error {
	p.bench.Close()
	if p.other != nil {
		p.other.Close()
	}
	return nil
}

// hangs is what there is to say when a step's time, or an answer's, has run out.
func hangs(ended error, in string) error {
	if errors.Is(ended, context.DeadlineExceeded) {
		return &Ungradable{What: fmt.Sprintf("your server hangs: no answer in time from %s", in)}
	}
	return ended
}

// learnersFrame finds a frame of the code that a learner writes in a Go stack.
var learnersFrame = regexp.MustCompile(`(?m)^\t(.*[/\\](?:lessons|solutions)[/\\]\d\d-[^/\\]+[/\\]([^/\\]+\.go)):(\d+)`)

// A Source returns a line of a file that a program's trace names, or "" if there
// is none. What a program prints is its own choice: a Source for programs that are
// not trusted gives nothing away that is not theirs.
type Source func(file, line string) string

// ownSource reads any file that this process can: the program is the reader's own.
func ownSource(file, line string) string { return Line("", file, line) }

// frame is a panic in two lines: what it said, and where in the learner's code.
func frame(p lessons.Panic, source Source) string {
	text := "panic: " + p.Value
	if m := learnersFrame.FindStringSubmatch(p.Stack); m != nil {
		text += "\n" + sourceLine(m[1], m[3], source)
	}
	return text
}

// sourceLine is "lessons/05-refresh/login.go:33: " and the line of code there.
func sourceLine(file, line string, source Source) string {
	short := file
	if at := strings.LastIndexAny(file, `/\`); at >= 0 {
		if dir := strings.LastIndexAny(file[:at], `/\`); dir >= 0 {
			if top := strings.LastIndexAny(file[:dir], `/\`); top >= 0 {
				short = strings.ReplaceAll(file[top+1:], `\`, "/")
			}
		}
	}
	text := short + ":" + line
	if code := strings.TrimSpace(source(file, line)); code != "" {
		text += ": " + code
	}
	return text
}

// Line is that line of a source file, or "" if there is none. A relative path
// starts at root.
func Line(root, file, line string) string {
	if !filepath.IsAbs(file) {
		file = filepath.Join(root, file)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	var n int
	if _, err := fmt.Sscan(line, &n); err != nil {
		return ""
	}
	lines := strings.Split(string(source), "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[n-1], "\r")
}
