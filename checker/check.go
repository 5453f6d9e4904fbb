package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// output is how a verdict is told.
type output struct {
	JSON    bool   `help:"Print all that is known as JSON."`
	JUnit   string `name:"junit" placeholder:"FILE" help:"Also write JUnit XML to a file."`
	NoColor bool   `name:"no-color" help:"Print no colours (NO_COLOR does the same)."`
}

type checkCommand struct {
	Lesson   string `arg:"" optional:"" help:"5, 05 or 05-refresh, or all. Unless given: the first that is not done."`
	Solution bool   `help:"Grade the reference solution instead of yours."`
	Step     string `placeholder:"ID" help:"Only this step and those that it needs."`
	DB       string `name:"db" placeholder:"URL" help:"Lesson 13: on this PostgreSQL, postgres://…, in schemas of the checker's own."`
	output
}

func (c *checkCommand) Run(d *desk) error {
	if c.DB != "" && !strings.HasPrefix(c.DB, "postgres://") && !strings.HasPrefix(c.DB, "postgresql://") {
		return fmt.Errorf("--db wants postgres://user@host/name; without it lesson 13 is graded on SQLite")
	}
	d.database = c.DB
	var chosen []lessons.Lesson
	if c.Lesson == "all" {
		chosen = lessons.All()
	} else {
		l, err := d.lesson(c.Lesson)
		if err != nil {
			return err
		}
		if c.Step != "" && c.Lesson == "" {
			if home, _, err := step(c.Step, lessons.All()); err == nil {
				l = home
			}
		}
		chosen = []lessons.Lesson{l}
	}
	if c.Step != "" {
		for _, l := range chosen {
			if _, ok := suites.For(l).Step(c.Step); !ok {
				_, _, err := step(c.Step, []lessons.Lesson{l})
				if err == nil {
					err = fmt.Errorf("lesson %s has no step %q", l.ID, c.Step)
				}
				return err
			}
		}
	}
	verdicts, err := d.gradeAll(chosen, c.Solution, grade.Options{Only: c.Step})
	if err != nil {
		return err
	}
	if err := c.output.write(d, verdicts, c.Step != "", func(v grade.Verdict) string { return d.afterwards(v, c.Solution, len(chosen) > 1) }); err != nil {
		return err
	}
	if code := report.ExitCode(verdicts); code != 0 {
		return exit(code)
	}
	return nil
}

// write tells the verdicts in every way that was asked for.
func (o output) write(d *desk, verdicts []grade.Verdict, all bool, after func(grade.Verdict) string) error {
	if o.JUnit != "" {
		f, err := os.Create(o.JUnit)
		if err != nil {
			return err
		}
		if err := errors.Join(report.JUnit(f, verdicts), f.Close()); err != nil {
			return err
		}
	}
	if o.JSON {
		return report.JSON(d.out, verdicts)
	}
	card := d.card(o.NoColor)
	card.All = all
	card.Next = true
	for i, v := range verdicts {
		if i > 0 {
			fmt.Fprintln(card.Out)
		}
		card.Verdict(v)
		if text := after(v); text != "" {
			fmt.Fprintln(card.Out, text)
		}
	}
	return nil
}

// afterwards is the line below a verdict: what to do now.
func (d *desk) afterwards(v grade.Verdict, solution, many bool) string {
	if solution || many || !v.Passed() {
		return ""
	}
	number := v.Lesson.Number()
	text := fmt.Sprintf("\n  Lesson %02d is done. Compare: make diff LESSON=%02[1]d", number)
	for _, l := range lessons.All() {
		if l.Number() == number+1 {
			return text + fmt.Sprintf("    ·    Next: lessons/%s/README.md", l.ID)
		}
	}
	return text + "    ·    It was the last one."
}

// gradeAll builds and grades lessons, as many at a time as there are cores, and
// remembers the verdicts on the learner's own.
func (d *desk) gradeAll(chosen []lessons.Lesson, solution bool, o grade.Options) ([]grade.Verdict, error) {
	if _, err := d.book.State("bin", "x"); err != nil {
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
			verdicts[i], errs[i] = d.grade(l, solution, overlap, o)
		})
	}
	wg.Wait()
	return verdicts, errors.Join(errs...)
}

// grade builds and grades one lesson in so many processes. What keeps the learner's code from being
// graded is part of the verdict; an error is the checkout's or the machine's.
func (d *desk) grade(l lessons.Lesson, solution bool, overlap int, o grade.Options) (grade.Verdict, error) {
	v := grade.Verdict{Lesson: l}
	program, hash, err := d.build(d.ctx, l, solution)
	var build *subject.BuildError
	if errors.As(err, &build) {
		v.Err = build
	} else if err != nil {
		return v, err
	} else {
		sub := subject.Program(program, overlap)
		if d.database != "" {
			sub = subject.OnDatabase(sub, d.database)
		}
		defer sub.Close()
		v = grade.Run(d.ctx, suites.For(l), sub, o)
	}
	if d.ctx.Err() != nil {
		return v, d.ctx.Err()
	}
	if solution || o.Only != "" {
		return v, nil
	}
	mark := workbook.Mark{Hash: hash, Passed: v.Count(grade.Passed), Total: len(suites.For(l).Steps)}
	if first, ok := v.First(); ok {
		mark.First = first.Step.ID
	}
	return v, d.book.Remember(l, mark)
}

// build compiles a lesson's program and returns its path and, where it is the
// learner's, the hash of the code that went in.
func (d *desk) build(ctx context.Context, l lessons.Lesson, solution bool) (program, hash string, err error) {
	if _, err := d.book.Sources(l, solution); err != nil {
		return "", "", err
	}
	name := l.ID
	if solution {
		name += "-solution"
	} else if hash, err = d.book.Hash(l); err != nil {
		return "", "", err
	}
	if program, err = d.book.State("bin", name+exeSuffix); err != nil {
		return "", "", err
	}
	return program, hash, subject.Build(ctx, d.book.Root, workbook.Package(l, solution), program)
}

var exeSuffix = func() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}()

// say prints a line.
func say(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
