// Package live turns the saves of a lesson's folder into verdicts: the newest
// content is built and graded, and what is known so far is told at each moment.
//
//	w := live.Watch(book, lesson)
//	defer w.Close()
//	for s := range w.States() { … }
package live

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// A Phase is what a watcher is at.
type Phase string

// The phases, in their order. A save begins anew at Building, from any of them.
const (
	Building Phase = "building"
	Grading  Phase = "grading"
	Graded   Phase = "graded" // Verdict is that of the files as they are
)

// A State is what is known of a lesson at a moment. It is the reader's own.
type State struct {
	Lesson lessons.Lesson
	Phase  Phase
	Began  time.Time // when this phase did
	Round  int       // counts builds, from 1 on

	// Results are those of this round, one for each step of the suite in its order;
	// a step that has not ended has no status yet. Running names those that are
	// being asked. Where the code does not compile, none begins.
	Results []grade.Result
	Running []string

	// Verdict is the last whole one: of this round once it is Graded, of the round
	// before it until then, and empty in the first round. Its Err is a
	// *subject.BuildError where the code does not compile, and a sentence where
	// nothing could be graded at all: the folder is missing, say.
	Verdict grade.Verdict
	Took    time.Duration // from the save to that verdict
}

const (
	// quiet is how long nothing may have happened before a build begins: an editor
	// writes a file in several moves.
	quiet = 20 * time.Millisecond

	// burst is the same where the save before has no verdict yet.
	burst = 150 * time.Millisecond

	// longest is how long saves that never stop can put a build off.
	longest = 2 * time.Second

	// poll is how often the files are looked at in any case: network drives and
	// containers' mounts may tell of no change, and a system's watches run out.
	poll = time.Second
)

// A Watcher watches one lesson of a checkout.
type Watcher struct {
	book   *workbook.Workbook
	lesson lessons.Lesson
	grade  func(context.Context, func(grade.Result)) (grade.Verdict, error)

	asked  chan struct{}
	ended  chan outcome
	states chan State
	stop   context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	state State // as it was told last; its slices are the watcher's own
}

// An outcome is how a round ended.
type outcome struct {
	verdict grade.Verdict
	err     error
}

// Watch begins to watch a lesson, and builds and grades it at once.
func Watch(book *workbook.Workbook, l lessons.Lesson) *Watcher {
	return watch(book, l, func(ctx context.Context, tell func(grade.Result)) (grade.Verdict, error) {
		verdicts, err := book.Grade(ctx, []lessons.Lesson{l}, false, grade.Options{Tell: tell})
		if err != nil {
			return grade.Verdict{}, err
		}
		return verdicts[0], nil
	})
}

func watch(book *workbook.Workbook, l lessons.Lesson, grade func(context.Context, func(grade.Result)) (grade.Verdict, error)) *Watcher {
	ctx, stop := context.WithCancel(context.Background())
	w := &Watcher{
		book: book, lesson: l, grade: grade,
		asked: make(chan struct{}, 1), ended: make(chan outcome), states: make(chan State, 1),
		stop: stop, done: make(chan struct{}),
		state: State{Lesson: l},
	}
	go w.loop(ctx)
	return w
}

// States returns the channel that the newest state is to be had from. Whoever
// reads slowly misses states, but never the last one. It is closed by Close.
func (w *Watcher) States() <-chan State { return w.states }

// Again builds and grades although nothing was saved.
func (w *Watcher) Again() {
	select {
	case w.asked <- struct{}{}:
	default: // it is going to happen
	}
}

// Close ends the watcher and what it has running, and waits for it.
func (w *Watcher) Close() {
	w.stop()
	<-w.done
}

// A round is one build and the grading after it.
type round struct {
	content string    // what is built, see content
	saved   time.Time // when it was
	cancel  context.CancelFunc
	over    *outcome // how it ended; nil as long as it runs
	told    bool     // its verdict is out
}

func (w *Watcher) loop(ctx context.Context) {
	defer close(w.done)
	defer close(w.states)

	// Without a notifier, where a system has no watches left, the poll remains.
	var events <-chan fsnotify.Event
	var troubles <-chan error
	notifier, err := fsnotify.NewWatcher()
	if err == nil {
		defer notifier.Close()
		events, troubles = notifier.Events, notifier.Errors
	}
	w.rewatch(notifier)
	ticker := time.NewTicker(poll)
	defer ticker.Stop()

	settle := time.NewTimer(0) // the first round begins at once
	defer settle.Stop()
	var (
		pending = time.Now() // when the first save came that no round knows of; zero is none
		wait    time.Duration
		look    string // of the files, when a round last began
		now     *round
	)
	saved := func() {
		t := time.Now()
		if pending.IsZero() {
			pending, wait = t, quiet
			if now != nil && !now.told {
				wait = burst
			}
		}
		settle.Reset(max(0, min(wait, longest-t.Sub(pending))))
	}
	for {
		select {
		case <-ctx.Done():
			w.end(now)
			return

		case e := <-events:
			if e.Name == w.folder() {
				w.rewatch(notifier)
			}
			if w.counts(e) {
				saved()
			}
		case <-troubles: // events were lost
			saved()
		case <-ticker.C:
			if w.rewatch(notifier) || pending.IsZero() && w.look() != look {
				saved()
			}
		case <-w.asked:
			if pending.IsZero() && (now == nil || now.over != nil) {
				pending = time.Now()
				settle.Reset(0)
			}

		case <-settle.C:
			look = w.look()
			content := w.content()
			same := now != nil && !now.told && now.content == content
			if !same {
				w.end(now)
				now = w.begin(ctx, content, pending)
			}
			pending = time.Time{}
			w.settle(now) // it may have ended while nobody knew whether it still counts
		case o := <-w.ended:
			now.over = &o
			if pending.IsZero() {
				w.settle(now)
			}
		}
	}
}

// begin starts a round for the content as it is.
func (w *Watcher) begin(ctx context.Context, content string, saved time.Time) *round {
	ctx, cancel := context.WithCancel(ctx)
	steps := suites.For(w.lesson).Steps
	at := make(map[string]int, len(steps))
	w.tell(func(s *State) {
		s.enter(Building)
		s.Round++
		s.Running, s.Results = nil, make([]grade.Result, len(steps))
		for i, step := range steps {
			at[step.ID], s.Results[i].Step = i, step
		}
	})
	go func() {
		var o outcome
		o.verdict, o.err = w.grade(ctx, func(r grade.Result) {
			w.tell(func(s *State) {
				if s.Phase == Building {
					s.enter(Grading)
				}
				s.Results[at[r.Step.ID]] = r
				if r.Status == "" {
					s.Running = append(s.Running, r.Step.ID)
				} else {
					s.Running = slices.DeleteFunc(s.Running, func(id string) bool { return id == r.Step.ID })
				}
			})
		})
		w.ended <- o
	}()
	return &round{content: content, saved: saved, cancel: cancel}
}

// end ends a round that is running. Its program is gone when it returns, so that
// the next can be built in its place.
func (w *Watcher) end(r *round) {
	if r == nil {
		return
	}
	r.cancel()
	if r.over == nil {
		o := <-w.ended
		r.over = &o
	}
}

// settle tells the verdict of a round that has ended.
func (w *Watcher) settle(r *round) {
	if r.over == nil || r.told {
		return
	}
	r.cancel()
	r.told = true
	w.tell(func(s *State) {
		s.enter(Graded)
		s.Verdict = r.over.verdict
		if r.over.err != nil {
			s.Verdict = grade.Verdict{Lesson: w.lesson, Err: r.over.err}
		}
		s.Running, s.Took = nil, time.Since(r.saved)
	})
}

func (s *State) enter(p Phase) { s.Phase, s.Began = p, time.Now() }

// tell changes the state and puts it where the reader finds it, in place of the
// one that is there.
func (w *Watcher) tell(change func(*State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
	told := w.state
	told.Results, told.Running = slices.Clone(told.Results), slices.Clone(told.Running)
	select {
	case <-w.states:
	default:
	}
	w.states <- told
}

// counts tells whether an event may have changed what is built: it is of a Go file
// in the lesson's folder, or of the folder itself. What editors leave beside the
// files that they save is neither.
func (w *Watcher) counts(e fsnotify.Event) bool {
	return e.Op != fsnotify.Chmod &&
		(e.Name == w.folder() || filepath.Dir(e.Name) == w.folder() && workbook.IsSource(filepath.Base(e.Name)))
}

func (w *Watcher) folder() string { return w.book.Folder(w.lesson, false) }

// rewatch watches the lesson's folder, and the one above it, which tells when the
// lesson's is made again. It returns whether the lesson's was not watched before.
func (w *Watcher) rewatch(n *fsnotify.Watcher) (anew bool) {
	if n == nil {
		return false
	}
	watched := n.WatchList()
	for _, folder := range []string{filepath.Dir(w.folder()), w.folder()} {
		if !slices.Contains(watched, folder) && n.Add(folder) == nil {
			anew = folder == w.folder()
		}
	}
	return anew
}

// look is a glance at the files: it changes when they do.
func (w *Watcher) look() string {
	entries, err := os.ReadDir(w.folder())
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range entries {
		if !workbook.IsSource(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil {
			fmt.Fprintln(&b, e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// content identifies what a build would find.
func (w *Watcher) content() string {
	hash, err := w.book.Hash(w.lesson)
	if err != nil {
		return err.Error()
	}
	return hash
}
