package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/suites"
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
	Problems bool   `help:"Print a line for each failing step and each compiler error, as editors read them."`
	output
}

func (c *checkCommand) Run(d *desk) error {
	if c.DB != "" && !strings.HasPrefix(c.DB, "postgres://") && !strings.HasPrefix(c.DB, "postgresql://") {
		return fmt.Errorf("--db wants postgres://user@host/name; without it lesson 13 is graded on SQLite")
	}
	d.book.Database = c.DB
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
	verdicts, err := d.book.Grade(d.ctx, chosen, c.Solution, grade.Options{Only: c.Step})
	if err != nil {
		return err
	}
	if c.Problems {
		err = report.Problems(d.out, d.book.Root, verdicts)
	} else {
		err = c.output.write(d, verdicts, c.Step != "", func(v grade.Verdict) string { return d.afterwards(v, c.Solution, len(chosen) > 1) })
	}
	if err != nil {
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
	text := fmt.Sprintf("\n  Lesson %02d is done. Compare: make diff LESSON=%02[1]d", v.Lesson.Number())
	if next, ok := v.Lesson.Next(); ok {
		return text + fmt.Sprintf("    ·    Next: lessons/%s/README.md", next.ID)
	}
	return text + "    ·    It was the last one."
}

// say prints a line.
func say(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// turns is a writer for several who do not wait for each other.
type turns struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *turns) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(text)
}
