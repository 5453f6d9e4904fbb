package subject

import (
	"context"
	"sync"
	"time"
)

// A silence is the context of a step: a server that answers is slow, one that does
// not hangs.
type silence struct {
	context.Context
	longest time.Duration

	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
	err   error
}

// UntilSilence returns a context that ends with [context.DeadlineExceeded] when the
// servers of its sessions have answered nothing for so long, and when latest has
// passed in any case.
func UntilSilence(parent context.Context, longest, latest time.Duration) (context.Context, context.CancelFunc) {
	whole, cancel := context.WithTimeout(parent, latest)
	s := &silence{Context: whole, longest: longest, done: make(chan struct{})}
	s.mu.Lock() // end asks for the timer
	s.timer = time.AfterFunc(longest, func() { s.end(context.DeadlineExceeded) })
	s.mu.Unlock()
	context.AfterFunc(whole, func() { s.end(whole.Err()) })
	return s, cancel
}

func (s *silence) Done() <-chan struct{} { return s.done }

func (s *silence) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// silenceKey is what a silence finds itself by, from the contexts made of it.
type silenceKey struct{}

func (s *silence) Value(key any) any {
	if key == (silenceKey{}) {
		return s
	}
	return s.Context.Value(key)
}

func (s *silence) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.timer.Stop()
		close(s.done)
	}
}

// answered tells the silence that a context was made of, if there is one, that a
// server has answered.
func answered(ctx context.Context) {
	s, ok := ctx.Value(silenceKey{}).(*silence)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.timer.Reset(s.longest)
	}
}
