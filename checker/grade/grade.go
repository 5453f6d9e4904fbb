// Package grade runs a lesson's steps against a server and says what came out.
//
// A [Step] is data and one function; a [Suite] is the steps of a lesson; [Run]
// turns a suite and a subject into a [Verdict]. It passes only if exactly the
// steps of the suite ran and passed.
package grade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// A Step is one rule that a lesson's server must keep.
type Step struct {
	ID     string   // the rule as a sentence in kebab case
	Title  string   // the same for reading
	Why    string   // what goes wrong in the world where it is broken
	Ref    string   // the standard's section, in words too: "RFC 6750 §3.1 (error codes)"
	Task   int      // the task of its lesson's README that asks for it
	Needs  []string // steps without which this one can tell nothing
	Points int      // what it counts in a gradebook; 0 means 1
	Given  bool     // the starter passes it already
	Lesson string   // whose README teaches it; set by the suite
	Timed  bool     // the real clock decides it, so a failure on a busy machine is to be seen twice

	// Takes is how much time the step lets pass on the server's clock, at these
	// lifetimes; nil is none. A test holds it against what Check really does.
	Takes func(lessons.Settings) time.Duration

	// Set changes the settings of the step's server; nil leaves them.
	Set func(*lessons.Settings)

	// Before tells the companion how to behave while the server starts; nil is as ever.
	Before func(subject.Companion)

	// Check asks the server and ends through t where it breaks the rule.
	Check func(t require.TestingT, s *subject.Session)
}

// A Suite is what a lesson asks, in the order in which it is shown.
type Suite struct {
	Lesson lessons.Lesson
	Steps  []Step

	// Beside makes the server of the grader's own that the graded one talks to: a
	// new one for each step. Nil is none.
	Beside func() subject.Companion
}

// Step returns the step of that ID.
func (s Suite) Step(id string) (Step, bool) {
	for _, step := range s.Steps {
		if step.ID == id {
			return step, true
		}
	}
	return Step{}, false
}

// With returns the suite with these steps and those that they need alone, in the
// suite's order.
func (s Suite) With(ids ...string) Suite {
	wanted := ids
	var kept []Step
	for _, step := range slices.Backward(s.Steps) { // what a step needs stands before it
		if slices.Contains(wanted, step.ID) {
			kept, wanted = append(kept, step), slices.Concat(wanted, step.Needs)
		}
	}
	slices.Reverse(kept)
	s.Steps = kept
	return s
}

// A Status is what became of a step.
type Status string

// The statuses of a step.
const (
	Passed    Status = "passed"
	Failed    Status = "failed"     // the server broke the rule
	Skipped   Status = "skipped"    // a step that it needs did not pass
	NotGraded Status = "not graded" // this subject cannot give what it needs
	Error     Status = "error"      // no verdict: the server hangs, dies, …
)

// A Result is what became of one step.
type Result struct {
	Step    Step
	Status  Status
	Failure *probe.Failure // of a failed one
	Reason  string         // of any other that did not pass
	Detail  string         // of an error: the program's words
	Took    time.Duration
	Log     []*probe.Exchange // what was said on the wire
	Printed string            // what the server's program printed meanwhile
	Clock   time.Duration     // how much time the step let pass on the server's clock
}

// A Verdict is what became of a suite.
type Verdict struct {
	Lesson  lessons.Lesson
	Results []Result
	Err     error // nothing could be graded at all: *subject.BuildError, …
	Took    time.Duration
}

// Count is how many steps have the status.
func (v Verdict) Count(s Status) int {
	n := 0
	for _, r := range v.Results {
		if r.Status == s {
			n++
		}
	}
	return n
}

// Passed tells whether all that was asked was answered rightly. Steps that could
// not be graded here are not counted, but one must have passed.
func (v Verdict) Passed() bool {
	return v.Err == nil && v.Count(Passed) > 0 && v.Count(Passed)+v.Count(NotGraded) == len(v.Results)
}

// ExitCode is 0 where the suite passed, 1 where a step failed, 2 where there is
// no verdict.
func (v Verdict) ExitCode() int {
	switch {
	case v.Passed():
		return 0
	case v.Count(Failed) > 0:
		return 1
	}
	return 2
}

// First is the first result that is to be mended: a failed step or an error.
func (v Verdict) First() (Result, bool) {
	for _, r := range v.Results {
		if r.Status == Failed || r.Status == Error {
			return r, true
		}
	}
	return Result{}, false
}

// Options change how a suite is run. The zero value runs all of it in order.
type Options struct {
	Only        string        // this step and those that it needs; empty is all
	Deadline    time.Duration // without an answer; 0 is [DefaultDeadline], less than 0 is none
	IgnoreNeeds bool          // run every step, whatever came before
	Shuffle     *rand.Rand    // run in random order; implies IgnoreNeeds

	// Tell, unless nil, hears of each step when it begins, with no status yet, and
	// when it has ended; of one that is not run, only the latter. It is called by
	// several goroutines at a time.
	Tell func(Result)
}

// DefaultDeadline is the time that a step waits for an answer. At a URL, where time
// really passes, each request has its own (see subject.URL).
const DefaultDeadline = 5 * time.Second

// longestStep is how many deadlines a step may take whose server answers, slowly.
const longestStep = 6

// maxStuck is how many steps may run into their deadline before the rest is
// given up: the learner is waiting.
const maxStuck = 2

// Run runs the suite against the subject. It does not close the subject.
func Run(ctx context.Context, suite Suite, sub subject.Subject, o Options) Verdict {
	start := time.Now()
	v := Verdict{Lesson: suite.Lesson}
	if o.Only != "" {
		suite = suite.With(o.Only)
	}
	steps := suite.Steps
	if o.Shuffle != nil {
		o.IgnoreNeeds = true
		steps = slices.Clone(steps)
		o.Shuffle.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	}
	v.Results = NewRunner(suite, sub, o).all(ctx, steps)
	v.Took = time.Since(start)
	return v
}

// A Runner runs the steps of a suite one by one and remembers how they ended.
type Runner struct {
	suite   Suite
	subject subject.Subject
	options Options

	mu    sync.Mutex
	done  map[string]Status
	stuck int
}

// NewRunner returns a runner that has run nothing yet.
func NewRunner(suite Suite, sub subject.Subject, o Options) *Runner {
	return &Runner{suite: suite, subject: sub, options: o, done: map[string]Status{}}
}

// Run runs one step, or says why it is not run: a step that it needs has not
// passed, or the server has hung or died too often.
func (r *Runner) Run(ctx context.Context, step Step) Result {
	result := Result{Step: step}
	r.mu.Lock()
	need, blocked := r.blocked(step)
	stuck := r.stuck >= maxStuck
	r.mu.Unlock()
	switch {
	case blocked:
		result.Status, result.Reason = Skipped, "needs "+need
	case ctx.Err() != nil:
		result.Status, result.Reason = Error, interrupted(ctx)
	case stuck:
		result.Status, result.Reason = Skipped, "not run: your server has hung or died before"
	default:
		r.tell(result)
		result = r.try(ctx, step)
	}
	r.mu.Lock()
	r.done[step.ID] = result.Status
	if result.Status == Error {
		r.stuck++
	}
	r.mu.Unlock()
	r.tell(result)
	return result
}

func (r *Runner) tell(result Result) {
	if r.options.Tell != nil {
		r.options.Tell(result)
	}
}

// blocked names a step that this one needs and that has run and not passed. One
// that could not be graded here is given the benefit of the doubt.
func (r *Runner) blocked(step Step) (string, bool) {
	if r.options.IgnoreNeeds {
		return "", false
	}
	for _, n := range step.Needs {
		if s, ran := r.done[n]; ran && s != Passed && s != NotGraded {
			return n, true
		}
	}
	return "", false
}

// all runs the steps, as many at a time as the subject allows. A step begins when
// those that it needs have ended. On the real clock, where some take minutes, only
// these run beside each other, after the rest.
func (r *Runner) all(ctx context.Context, steps []Step) []Result {
	results := make([]Result, len(steps))
	ended := make(map[string]chan struct{}, len(steps))
	for _, step := range steps {
		ended[step.ID] = make(chan struct{})
	}
	run := func(i int) {
		defer close(ended[steps[i].ID])
		results[i] = r.Run(ctx, steps[i])
	}
	realClock := r.subject.Patience() > 0
	overlap := r.subject.Overlap()
	if realClock && r.suite.Beside != nil {
		overlap = 1 // a server at a URL knows one companion, at one address
	}
	slots := make(chan struct{}, overlap)
	var wait sync.WaitGroup
	begin := func(i int) {
		slots <- struct{}{}
		if !r.options.IgnoreNeeds {
			for _, need := range steps[i].Needs {
				if there, ok := ended[need]; ok {
					<-there // it stands before this one, so it has begun
				}
			}
		}
		wait.Go(func() {
			defer func() { <-slots }()
			run(i)
		})
	}
	for i, step := range steps {
		switch {
		case !realClock:
			begin(i)
		case step.Takes == nil:
			run(i)
		}
	}
	for i, step := range steps {
		if realClock && step.Takes != nil {
			begin(i)
		}
	}
	wait.Wait()
	return results
}

// recorder is the t of a step.
type recorder struct {
	mu      sync.Mutex
	failure *probe.Failure
}

func (r *recorder) Record(f *probe.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = f
	}
}

func (r *recorder) Errorf(format string, args ...any) {
	r.Record(&probe.Failure{Claim: fmt.Sprintf(format, args...)})
}

func (r *recorder) FailNow() { runtime.Goexit() }

// Helper makes testify look for the caller further up.
func (r *recorder) Helper() {}

// try runs a step against a fresh server.
func (r *Runner) try(ctx context.Context, step Step) Result {
	start := time.Now()
	settings := r.subject.Settings(r.suite.Lesson)
	if step.Set != nil {
		step.Set(&settings)
	}
	if deadline := cmp.Or(r.options.Deadline, DefaultDeadline); deadline > 0 && r.subject.Patience() == 0 {
		var cancel context.CancelFunc
		ctx, cancel = subject.UntilSilence(ctx, deadline, longestStep*deadline)
		defer cancel()
	}
	result := Result{Step: step}
	session, err := Fresh(ctx, r.suite, step, r.subject, settings)
	if err != nil {
		result.settle(ctx, err)
		result.Took = time.Since(start)
		return result
	}
	defer session.End()
	if patience := r.subject.Patience(); patience > 0 && step.Takes != nil {
		if takes := step.Takes(session.Settings); takes > patience {
			result.Status, result.Reason = NotGraded, fmt.Sprintf("%v would have to pass, and --patience is %v", takes, patience)
			return result
		}
	}

	result.Failure, err = Attempt(session, step.Check)
	switch {
	case err != nil:
		result.settle(ctx, err)
	case result.Failure != nil:
		result.Status = Failed
	default:
		result.Status = Passed
	}
	result.Took, result.Log, result.Printed, result.Clock = time.Since(start), session.Log(), session.Printed(), session.Advanced()
	return result
}

// Attempt lets check talk to the server of a session and returns how that ended:
// with the failure that it recorded, with what kept it from its end (such as
// [*subject.Ungradable]), or with neither.
func Attempt(s *subject.Session, check func(require.TestingT, *subject.Session)) (*probe.Failure, error) {
	rec := &recorder{}
	ended := make(chan any, 1)
	go func() {
		var panicked any
		defer func() { ended <- panicked }()
		defer func() { panicked = recover() }()
		check(rec, s)
	}()
	panicked := <-ended
	switch err, isErr := panicked.(error); {
	case isErr:
		return nil, err
	case panicked != nil:
		return nil, fmt.Errorf("a fault of the checker's own: %v", panicked)
	}
	return rec.failure, nil
}

// Fresh starts a server of the suite's lesson, for a step, and what it is to have
// beside it. The caller ends the session.
func Fresh(ctx context.Context, suite Suite, step Step, sub subject.Subject, settings lessons.Settings) (*subject.Session, error) {
	if suite.Beside == nil {
		return sub.Fresh(ctx, settings)
	}
	beside := suite.Beside()
	if err := beside.Open(&settings); err != nil {
		return nil, fmt.Errorf("a fault of the checker's own: %w", err)
	}
	if step.Before != nil {
		step.Before(beside)
	}
	session, err := sub.Fresh(ctx, settings)
	if err != nil {
		beside.Close()
		return nil, err
	}
	session.Accompany(beside)
	return session, nil
}

// settle sorts out what kept a step from its end.
func (r *Result) settle(ctx context.Context, err error) {
	var unavailable *subject.Unavailable
	var ungradable *subject.Ungradable
	switch {
	case errors.As(err, &unavailable):
		r.Status, r.Reason = NotGraded, unavailable.Reason
	case errors.As(err, &ungradable):
		r.Status, r.Reason, r.Detail = Error, ungradable.What, ungradable.Detail
	case errors.Is(err, context.Canceled):
		r.Status, r.Reason = Error, interrupted(ctx)
	default:
		r.Status, r.Reason = Error, err.Error()
	}
}

// interrupted says why a context has ended: as who ended it says, if they do.
func interrupted(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && cause != ctx.Err() {
		return cause.Error()
	}
	return "interrupted"
}
