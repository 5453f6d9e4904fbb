// Command soak runs every suite against its reference solution many times, in
// random order, and prints the failures, of which there must be none. It does so
// twice: with twice as many suites at a time as there are cores, so that each step
// is kept waiting, and with GOMAXPROCS=1 for servers and graders.
//
//	go run ./checker/proof/soak                        1,000 runs of each, both ways: hours
//	go run ./checker/proof/soak -n 50 -lesson 06       quickly
//	go run ./checker/proof/soak -way one-processor     only one way
//	go run ./checker/proof/soak -race                  the servers under the race detector
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// A way is how the machine is while suites run.
type way struct {
	name string
	jobs int      // suites at a time
	env  []string // of servers and graders
}

var ways = []way{
	{name: "loaded", jobs: 2 * runtime.NumCPU()},
	{name: "one-processor", jobs: runtime.NumCPU(), env: []string{"GOMAXPROCS=1"}},
}

// chunk is how many runs of a suite are made by a process: the machine is busy to
// the end although suites differ in length.
const chunk = 25

func main() {
	n := flag.Int("n", 1000, "runs of each suite")
	name := flag.String("way", "", "only one: loaded or one-processor")
	only := flag.String("lesson", "", "this lesson only")
	race := flag.Bool("race", false, "build the servers with the race detector")
	program := flag.String("program", "", "grade this program of the lesson here and now (what the command starts itself with)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *program != "" {
		if err := json.NewEncoder(os.Stdout).Encode(runs(ctx, *only, *program, *n)); err != nil {
			os.Exit(2)
		}
		return
	}
	failures, err := soak(ctx, *n, *name, *only, *race)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	if failures > 0 {
		os.Exit(1)
	}
}

// runs grades the program n times and returns what went wrong, a line each.
func runs(ctx context.Context, lesson, program string, n int) []string {
	l, err := lessons.Find(lesson)
	if err != nil {
		return []string{err.Error()}
	}
	sub := subject.Program(program, 1)
	defer sub.Close()
	failures := []string{}
	for range n {
		seed := rand.Uint64()
		v := grade.Run(ctx, suites.For(l), sub, grade.Options{Shuffle: rand.New(rand.NewPCG(seed, 0))})
		if v.Err != nil {
			failures = append(failures, fmt.Sprintf("seed %d: %v", seed, v.Err))
		}
		for _, r := range v.Results {
			if r.Status != grade.Passed {
				failures = append(failures, fmt.Sprintf("seed %d: %s %s: %s%v", seed, r.Step.ID, r.Status, r.Reason, r.Failure))
			}
		}
	}
	return failures
}

// A tally is what came of a lesson in a way.
type tally struct {
	lesson   lessons.Lesson
	program  string
	left     int // runs that have not ended
	took     time.Duration
	failures int
}

func soak(ctx context.Context, n int, name, only string, race bool) (failures int, err error) {
	book, err := workbook.Open(".")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "workshop-soak-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	var flags []string
	if race {
		flags = []string{"-race"}
	}
	var all []*tally
	for _, l := range lessons.All() {
		if strings.HasPrefix(l.ID, only) {
			t := &tally{lesson: l, program: filepath.Join(dir, l.ID+".exe")}
			if err := subject.Build(ctx, book.Root, workbook.Package(l, true), t.program, flags...); err != nil {
				return 0, err
			}
			all = append(all, t)
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return name != "" && w.name != name })
	if len(all) == 0 || len(chosen) == 0 {
		return 0, errors.New("there is no such lesson or way")
	}
	for _, w := range chosen {
		fmt.Printf("%s: %d suites at a time %s\n", w.name, w.jobs, strings.Join(slices.Concat(w.env, flags), " "))
		bad, err := w.soak(ctx, all, n)
		failures += bad
		if err != nil {
			return failures, err
		}
		fmt.Printf("%s: %d runs of %d suites, %d failures\n\n", w.name, n*len(all), len(all), bad)
	}
	return failures, nil
}

// report prints what came of those of the n runs that have ended.
func (t *tally) report(n int) {
	ended := n - t.left
	fmt.Printf("%-18s %5d runs of %3d steps, %5.2f s a run, %d failures\n", t.lesson.ID, ended, len(suites.For(t.lesson).Steps), t.took.Seconds()/float64(ended), t.failures)
}

// soak makes n runs of each suite.
func (w way) soak(ctx context.Context, all []*tally, n int) (failures int, err error) {
	for _, t := range all {
		t.left, t.took, t.failures = n, 0, 0
	}
	type job struct {
		*tally
		n int
	}
	var jobs []job
	for began := 0; began < n; began += chunk {
		for _, t := range all {
			jobs = append(jobs, job{t, min(chunk, n-began)})
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, w.jobs)
	for _, j := range jobs {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			start := time.Now()
			lines, failed := w.start(ctx, j.tally, j.n)
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = cmp.Or(err, fmt.Errorf("%s: %w", j.lesson.ID, failed))
				return
			}
			for _, line := range lines {
				fmt.Printf("%s %s\n", j.lesson.ID, line)
			}
			j.failures += len(lines)
			failures += len(lines)
			j.took += time.Since(start)
			if j.left -= j.n; j.left == 0 {
				j.report(n)
			}
		})
	}
	wg.Wait()
	for _, t := range all {
		if t.left > 0 && t.left < n {
			t.report(n) // cut off
		}
	}
	return failures, cmp.Or(err, ctx.Err())
}

// start makes runs in a process of their own.
func (w way) start(ctx context.Context, t *tally, n int) (failures []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-program", t.program, "-lesson", t.lesson.ID, "-n", fmt.Sprint(n))
	cmd.Env = append(os.Environ(), w.env...)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return failures, json.Unmarshal(output, &failures)
}
