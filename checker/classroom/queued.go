package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"jwtworkshop/checker/classroom/queue"
)

// embedded is the URL of a server in this process.
const embedded = "embedded"

// dialled are the flags that say how a NATS server is reached.
type dialled struct {
	Credentials string `name:"nats-credentials" placeholder:"FILE" help:"Credentials for the NATS server, as nsc makes them."`
	CA          string `name:"nats-ca" placeholder:"FILE" help:"Who signed the NATS server's certificate, PEM."`
	Certificate string `name:"nats-cert" and:"nats-pair" placeholder:"FILE" help:"Our certificate for the NATS server, PEM."`
	Key         string `name:"nats-key" and:"nats-pair" placeholder:"FILE" help:"Its key."`
}

func (f dialled) dial(url, name string) queue.Dial {
	return queue.Dial{URL: url, Credentials: f.Credentials, CA: f.CA, Certificate: f.Certificate, Key: f.Key, Name: name}
}

// queued are the flags of commands that may have others grade.
type queued struct {
	NATS string `name:"nats" placeholder:"URL" help:"Let workers at this NATS server grade; embedded starts a server and workers in this process."`
	dialled
}

// inFlight is how many students wait in a queue at a time: enough for many workers.
const inFlight = 256

// connect chooses who grades: this process, or workers at a queue.
func (s *sitting) connect() error {
	here := &trusted{place: s.place, desk: s.desk, when: s.Selftest}
	if s.NATS == "" {
		s.engine = here
		return nil
	}
	dial := s.dialled.dial(s.NATS, "grader")
	if s.NATS == embedded {
		var stop func() error
		var err error
		if dial, stop, err = queue.Embedded(filepath.Join(s.Out, "queue")); err != nil {
			return err
		}
		s.closers = append(s.closers, stop)
	}
	q, err := queue.Open(s.desk.ctx, dial)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, q.Close)
	run, err := s.run()
	if err != nil {
		return err
	}
	client, err := queue.NewClient(s.desk.ctx, q, s.place.about, run)
	if err != nil {
		return err
	}
	s.engine, s.dead = client, client.Dead
	if s.NATS == embedded {
		// All but the workers' own context ends with them.
		ctx, cancel := context.WithCancel(s.desk.ctx)
		wait := work(ctx, q, s.place.about, here, s.Jobs, func(string) {})
		s.closers = append(s.closers, func() error {
			cancel()
			return wait()
		})
	}
	s.Jobs = inFlight
	return nil
}

// runFact is the ledger's name for the run that has not ended: when it goes on, its
// jobs are those that wait already.
const runFact = "run"

func (s *sitting) run() (string, error) {
	run, err := s.ledger.Fact(s.desk.ctx, runFact)
	if err != nil || run != "" {
		return run, err
	}
	run = rand.Text()
	return run, s.ledger.Remember(s.desk.ctx, runFact, run)
}

// work starts so many workers and returns what waits for them to end: because ctx does,
// or with an error of the queue's.
func work(ctx context.Context, q *queue.Queue, about string, marker queue.Marker, n int, tell func(string)) (wait func() error) {
	var wg errgroup.Group
	for range max(1, n) {
		wg.Go(func() error {
			err := q.Work(ctx, about, marker, tell)
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
	return wg.Wait
}

type workerCommand struct {
	NATS     string `name:"nats" required:"" placeholder:"URL" help:"The NATS server."`
	Jobs     int    `short:"j" help:"Students at a time; twice as many as there are cores unless given."`
	Selftest string `enum:"once,always,never" default:"once" help:"When to see first that this machine holds hostile submissions: once, always or never."`
	isolated
	dialled
}

// Run grades what comes until it is interrupted.
func (c *workerCommand) Run(d *desk) error {
	here, err := newPlace(d.ctx, c.Isolation)
	if err != nil {
		return err
	}
	defer here.Close()
	q, err := queue.Open(d.ctx, c.dial(c.NATS, "worker"))
	if err != nil {
		return err
	}
	defer q.Close()
	engine := &trusted{place: here, desk: d, when: c.Selftest}
	if _, err := engine.Mark(d.ctx, nil); err != nil { // before the first job is taken
		return err
	}
	d.say("takes jobs for %s", here.about)
	var mu sync.Mutex
	return work(d.ctx, q, here.about, engine, atOnce(c.Jobs), func(text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(d.out, text)
	})()
}
