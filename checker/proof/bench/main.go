// Command bench prints what grading costs, in a copy of the workshop, as medians
// and as ratios of medians taken in turn: machines differ, ratios hold.
//
//	go run ./checker/proof/bench            7 runs of each, 3 of the cold ones
//	go run ./checker/proof/bench -cold 0    without the cold ones
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/live"
	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

func main() {
	runs := flag.Int("n", 7, "runs of each figure")
	cold := flag.Int("cold", 3, "runs with an empty build cache; they take a minute each")
	flag.Parse()
	if err := bench(*runs, *cold); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(runs, cold int) error {
	book, err := workbook.Open(".")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "workshop-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bencher{dir: dir, runs: runs}
	if err := scratch.Copy(book.Root, dir); err != nil {
		return err
	}
	l, err := lessons.Find("05")
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d cores, %s; medians of %d\n\n", runtime.GOOS, runtime.NumCPU(), runtime.Version(), runs)
	if err := scratch.Solve(dir, l); err != nil {
		return err
	}
	if err := b.edits(l, "edit → verdict, lesson 05 passing"); err != nil {
		return err
	}
	if err := scratch.Write(filepath.Join(dir, "lessons", l.ID), workbook.Originals(l)); err != nil {
		return err
	}
	if err := b.edits(l, "edit → verdict, lesson 05 failing"); err != nil {
		return err
	}
	if err := b.suites(); err != nil {
		return err
	}
	return b.cold(cold)
}

type bencher struct {
	dir  string
	runs int
	edit int
}

// time runs a command in the copy and returns how long it took. Its exit code
// does not matter: a failing lesson is one of the things that are measured.
func (b *bencher) time(env []string, name string, args ...string) (time.Duration, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), env...)
	start := time.Now()
	output, err := cmd.CombinedOutput()
	took := time.Since(start)
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		return 0, fmt.Errorf("%s: %w\n%s", name, err, output)
	}
	return took, nil
}

// touch makes a real change to a file of the lesson: another build.
func (b *bencher) touch(l lessons.Lesson) error {
	b.edit++
	path := filepath.Join(b.dir, "lessons", l.ID, "bench.go")
	return os.WriteFile(path, fmt.Appendf(nil, "package main\n\nfunc edit%d() int { return %d }\n\nvar _ = edit%d()\n", b.edit, b.edit, b.edit), 0o644)
}

// A contender is a way to a verdict after an edit.
type contender struct {
	name    string
	command []string // nil is a watcher that has been there before the edit
	took    []time.Duration
}

func (b *bencher) edits(l lessons.Lesson, title string) error {
	folder := "./lessons/" + l.ID
	contenders := []*contender{
		{name: "make check", command: []string{"make", "check", "LESSON=" + l.ID}},
		{name: "go run ./checker check", command: []string{"go", "run", "./checker", "check", l.ID}},
		{name: "go build", command: []string{"go", "build", "-o", os.DevNull, folder}},
		{name: "go test", command: []string{"go", "test", folder}},
		{name: "watch"},
	}
	for round := range b.runs + 1 { // the first warms up
		for _, c := range contenders {
			took, err := b.after(l, c)
			if err != nil {
				return err
			}
			if round > 0 {
				c.took = append(c.took, took)
			}
		}
	}
	test, build := median(contenders[3].took), median(contenders[2].took)
	fmt.Println(title)
	for _, c := range contenders {
		m := median(c.took)
		fmt.Printf("  %-24s %6.2f s   %5.2f × go test   %5.2f × go build\n", c.name, m.Seconds(), float64(m)/float64(test), float64(m)/float64(build))
	}
	fmt.Printf("  %-24s %6.2f × make check\n\n", "watch", float64(median(contenders[4].took))/float64(median(contenders[0].took)))
	return nil
}

// after times a contender from an edit to its verdict.
func (b *bencher) after(l lessons.Lesson, c *contender) (time.Duration, error) {
	if c.command != nil {
		if err := b.touch(l); err != nil {
			return 0, err
		}
		return b.time(nil, c.command[0], c.command[1:]...)
	}
	w := live.Watch(&workbook.Workbook{Root: b.dir}, l)
	defer w.Close()
	verdict := func(round int) error {
		for s := range w.States() {
			if s.Round == round && s.Phase == live.Graded {
				return nil
			}
		}
		return errors.New("the watcher has ended")
	}
	if err := verdict(1); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := b.touch(l); err != nil {
		return 0, err
	}
	err := verdict(2)
	return time.Since(start), err
}

// suites times the suites alone: each by itself, as checking one lesson runs it,
// and all at once, as checking all of them does.
func (b *bencher) suites() error {
	fmt.Println("the suites, once their programs are built (starting them included)")
	program := func(l lessons.Lesson) string { return filepath.Join(b.dir, ".workshop", l.ID+".exe") }
	run := func(l lessons.Lesson, overlap int) error {
		sub := subject.Program(program(l), overlap)
		defer sub.Close()
		if v := grade.Run(context.Background(), suites.For(l), sub, grade.Options{}); !v.Passed() {
			return fmt.Errorf("the solution of %s does not pass", l.ID)
		}
		return nil
	}
	for _, l := range lessons.All() {
		if err := subject.Build(context.Background(), b.dir, workbook.Package(l, true), program(l)); err != nil {
			return err
		}
		m, err := b.median(func() error { return run(l, runtime.NumCPU()) })
		if err != nil {
			return err
		}
		fmt.Printf("  %-24s %6.0f ms   %d steps\n", l.ID, ms(m), len(suites.For(l).Steps))
	}
	for _, n := range []int{5, len(lessons.All())} {
		m, err := b.median(func() error {
			slots := make(chan struct{}, runtime.NumCPU())
			errs := make([]error, n)
			var wg sync.WaitGroup
			for i, l := range lessons.All()[:n] {
				wg.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					errs[i] = run(l, 1)
				})
			}
			wg.Wait()
			return errors.Join(errs...)
		})
		if err != nil {
			return err
		}
		fmt.Printf("  %-24s %6.0f ms\n", fmt.Sprintf("the first %d together", n), ms(m))
	}
	fmt.Println()
	return nil
}

// median runs something several times and returns the median of its times.
func (b *bencher) median(do func() error) (time.Duration, error) {
	var took []time.Duration
	for range b.runs {
		start := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	return median(took), nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// cold times a learner's very first check against go test of the same lesson,
// both with an empty build cache and a full module cache.
func (b *bencher) cold(runs int) error {
	if runs == 0 {
		return nil
	}
	contenders := []*contender{
		{name: "make check", command: []string{"make", "check", "LESSON=01"}},
		{name: "go test", command: []string{"go", "test", "./lessons/01-login"}},
	}
	for range runs {
		for _, c := range contenders {
			cache, err := os.MkdirTemp("", "workshop-cache-")
			if err != nil {
				return err
			}
			if err := os.RemoveAll(filepath.Join(b.dir, ".workshop")); err != nil {
				return err
			}
			took, err := b.time([]string{"GOCACHE=" + cache}, c.command[0], c.command[1:]...)
			os.RemoveAll(cache)
			if err != nil {
				return err
			}
			c.took = append(c.took, took)
		}
	}
	check, test := median(contenders[0].took), median(contenders[1].took)
	fmt.Printf("the first check of all, empty build cache; medians of %d\n  %-24s %6.1f s   %5.2f × go test\n  %-24s %6.1f s\n", runs,
		contenders[0].name, check.Seconds(), float64(check)/float64(test), contenders[1].name, test.Seconds())
	return nil
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
