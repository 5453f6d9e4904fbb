package subject

import (
	"context"
	"sync"
	"time"
)

// A silence is the context of a step: a server that answers is slow, one that does
// not hangs. A machine that stands still for a while, because somebody has closed the
// laptop or a host has other guests, is no server that hangs: time counts in slices,
// and of whatever passes between two looks at the clock no more than one counts.
type silence struct {
	context.Context
	longest, latest, slice time.Duration

	mu           sync.Mutex
	timer        *time.Timer
	last         time.Time     // the last look at the clock
	whole, heard time.Duration // what has counted in all, and of it up to the last answer
	done         chan struct{}
	err          error
}

// UntilSilence returns a context that ends with [context.DeadlineExceeded] when the
// servers of its sessions have answered nothing for so long, and when latest has
// passed in any case.
func UntilSilence(parent context.Context, longest, latest time.Duration) (context.Context, context.CancelFunc) {
	whole, cancel := context.WithCancel(parent)
	s := &silence{Context: whole, longest: longest, latest: latest, slice: longest / 10, last: time.Now(), done: make(chan struct{})}
	s.mu.Lock() // look asks for the timer
	s.timer = time.AfterFunc(s.slice, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.look(time.Now(), false)
	})
	s.mu.Unlock()
	context.AfterFunc(whole, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(whole.Err())
	})
	return s, cancel
}

// look counts what has passed, notes whether it ended with an answer, and comes back
// when the next slice has passed. The lock is held.
func (s *silence) look(now time.Time, answer bool) {
	if s.err != nil {
		return
	}
	s.whole += min(now.Sub(s.last), s.slice)
	s.last = now
	if answer {
		s.heard = s.whole
	}
	left := min(s.longest-(s.whole-s.heard), s.latest-s.whole)
	if left <= 0 {
		s.end(context.DeadlineExceeded)
		return
	}
	s.timer.Reset(min(left, s.slice))
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

// end ends the context, once. The lock is held.
func (s *silence) end(err error) {
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
	s.look(time.Now(), true)
}
