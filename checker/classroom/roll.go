package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/ledger"
	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/lessons"
)

// An engine grades the works of one student, here or elsewhere.
type engine interface {
	Mark(ctx context.Context, works []intake.Work) ([]marking.Mark, error)
}

// A roll grades a class over a ledger.
type roll struct {
	ledger  *ledger.Ledger
	engine  engine
	about   string           // what marks depend on besides the works
	lessons []lessons.Lesson // those that are graded; others are left out
	slots   int              // how many students at a time
}

// A pupil is one student and what they have.
type pupil struct {
	intake.HandedIn
	Err    error             // nothing of it could be taken
	Keys   map[string]string // by lesson: the mark's key in the ledger
	Notes  []string          // by the intake
	Failed map[string]error  // by lesson: what the classroom could not do
}

// progress is told of each student who is done.
type progress interface {
	Done(p *pupil, graded, known int)
}

// call grades all that was handed in and is not in the ledger yet. The error is the
// classroom's own: what could not be graded is told student by student. It keeps
// what it has even when ctx ends.
func (r *roll) call(ctx context.Context, handed []intake.HandedIn, told progress) ([]*pupil, error) {
	pupils := make([]*pupil, len(handed))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var broken error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range max(1, r.slots) {
		wg.Go(func() {
			for i := range next {
				p, graded, known, err := r.one(ctx, handed[i])
				mu.Lock()
				pupils[i] = p
				if err != nil {
					if broken == nil || errors.Is(broken, context.Canceled) {
						broken = err
					}
					cancel()
				} else {
					told.Done(p, graded, known)
				}
				mu.Unlock()
			}
		})
	}
	for i := range handed {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return pupils, broken
}

// one grades what one student handed in, as far as the ledger does not know it.
func (r *roll) one(ctx context.Context, h intake.HandedIn) (p *pupil, graded, known int, err error) {
	p = &pupil{HandedIn: h, Keys: map[string]string{}, Failed: map[string]error{}}
	if ctx.Err() != nil {
		return p, 0, 0, ctx.Err()
	}
	works, err := intake.Read(h)
	if err != nil {
		p.Err = err
		return p, 0, 0, nil
	}
	works = slices.DeleteFunc(works, func(w intake.Work) bool {
		return !slices.ContainsFunc(r.lessons, func(l lessons.Lesson) bool { return l.ID == w.Lesson.ID })
	})
	var missing []intake.Work
	var entries []ledger.Entry
	for _, w := range works {
		for _, note := range w.Notes {
			p.Notes = append(p.Notes, w.Lesson.ID+": "+note)
		}
		e := ledger.Entry{Hash: ledger.Hash(w), About: r.about, Work: w}
		e.Key = ledger.Key(e.Hash, r.about)
		p.Keys[w.Lesson.ID] = e.Key
		_, ok, err := r.ledger.Mark(ctx, e.Key)
		switch {
		case err != nil:
			return p, 0, 0, err
		case ok:
			known++
		default:
			missing, entries = append(missing, w), append(entries, e)
		}
	}
	if len(missing) == 0 {
		return p, 0, known, nil
	}
	marks, err := r.engine.Mark(ctx, missing)
	if err != nil {
		return p, 0, 0, err
	}
	if len(marks) != len(missing) {
		return p, 0, 0, fmt.Errorf("%d marks for %d lessons", len(marks), len(missing))
	}
	for i, m := range marks {
		entries[i].Mark = m
		if m.Ours {
			p.Failed[m.Lesson] = fmt.Errorf("%s: %s", m.Why, m.Detail)
			delete(p.Keys, m.Lesson)
		} else {
			graded++
		}
	}
	return p, graded, known, r.ledger.Keep(ctx, entries)
}
