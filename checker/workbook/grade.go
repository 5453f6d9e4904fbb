package workbook

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// Grade builds and grades lessons, as many at a time as there are cores, and
// remembers the verdicts on the learner's own. What keeps a learner's code from
// being graded is part of its verdict; an error is the checkout's or the
// machine's, or the context's.
func (w *Workbook) Grade(ctx context.Context, chosen []lessons.Lesson, solution bool, o grade.Options) ([]grade.Verdict, error) {
	if _, err := w.State("bin", "x"); err != nil {
		return nil, err
	}
	verdicts := make([]grade.Verdict, len(chosen))
	errs := make([]error, len(chosen))
	slots := make(chan struct{}, runtime.NumCPU())
	// A single lesson has all cores to itself; a few processes use them up.
	overlap := min(max(1, runtime.NumCPU()/len(chosen)), 4)
	var wg sync.WaitGroup
	for i, l := range chosen {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			verdicts[i], errs[i] = w.grade(ctx, l, solution, overlap, o)
		})
	}
	wg.Wait()
	return verdicts, errors.Join(errs...)
}

// grade builds and grades one lesson in so many processes.
func (w *Workbook) grade(ctx context.Context, l lessons.Lesson, solution bool, overlap int, o grade.Options) (grade.Verdict, error) {
	v := grade.Verdict{Lesson: l}
	program, hash, err := w.Build(ctx, l, solution)
	var build *subject.BuildError
	if errors.As(err, &build) {
		v.Err = build
	} else if err != nil {
		return v, err
	} else {
		sub := subject.Program(program, overlap)
		if w.Database != "" {
			sub = subject.OnDatabase(sub, w.Database)
		}
		defer sub.Close()
		v = grade.Run(ctx, suites.For(l), sub, o)
	}
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	if solution || o.Only != "" {
		return v, nil
	}
	if now, err := w.Hash(l); err != nil || now != hash {
		return v, nil // a file was saved meanwhile: nobody knows whose verdict this is
	}
	mark := Mark{Hash: hash, Passed: v.Count(grade.Passed), Total: len(suites.For(l).Steps)}
	if first, ok := v.First(); ok {
		mark.First = first.Step.ID
	}
	return v, w.Remember(l, mark)
}

// Build compiles a lesson's program and returns its path and, where it is the
// learner's, the hash of the code that went in. It returns a [*subject.BuildError]
// where the code is at fault.
func (w *Workbook) Build(ctx context.Context, l lessons.Lesson, solution bool) (program, hash string, err error) {
	return w.build(ctx, l, solution, "")
}

// BuildBeside is Build to another file: for a program that is to run on while the
// lesson is built anew and graded.
func (w *Workbook) BuildBeside(ctx context.Context, l lessons.Lesson, solution bool) (program, hash string, err error) {
	return w.build(ctx, l, solution, "-beside")
}

func (w *Workbook) build(ctx context.Context, l lessons.Lesson, solution bool, suffix string) (program, hash string, err error) {
	if _, err := w.Sources(l, solution); err != nil {
		return "", "", err
	}
	name := l.ID
	if solution {
		name += "-solution"
	} else if hash, err = w.Hash(l); err != nil {
		return "", "", err
	}
	if program, err = w.State("bin", name+suffix+Exe); err != nil {
		return "", "", err
	}
	return program, hash, subject.Build(ctx, w.Root, Package(l, solution), program)
}

// Exe is how the name of a program ends on this system.
var Exe = func() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}()
