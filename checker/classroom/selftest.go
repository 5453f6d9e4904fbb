package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"jwtworkshop/checker/classroom/hostile"
)

type selftestCommand struct {
	Case string `arg:"" optional:"" help:"Only the cases whose names contain this."`
	Jobs int    `short:"j" help:"Cases at a time; twice as many as there are cores unless given."`
	isolated
}

func (c *selftestCommand) Run(d *desk) error {
	start := time.Now()
	here, err := newPlace(d.ctx, c.Isolation)
	if err != nil {
		return err
	}
	defer here.Close()
	n, bad, err := selftest(d, here, c.Case, c.Jobs, func(o hostile.Outcome) {
		verdict := "ok  "
		if len(o.Bad) > 0 {
			verdict = "BAD "
		}
		fmt.Fprintf(d.out, "%s %-28s %-10s %5.1f s  %s\n", verdict, o.Case.Name, o.Ended, o.Took.Seconds(), o.Case.Title)
		for _, what := range o.Bad {
			fmt.Fprintf(d.out, "       %s\n", what)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\n%d hostile submissions, %d of them got somewhere; isolation %s, %.0f s\n", n, bad, c.Isolation, time.Since(start).Seconds())
	if bad > 0 || n == 0 {
		return exit(1)
	}
	return nil
}

// selftest grades the hostile submissions whose names contain a text.
func selftest(d *desk, here *place, name string, jobs int, tell func(hostile.Outcome)) (n, bad int, err error) {
	all, err := hostile.Cases()
	if err != nil {
		return 0, 0, err
	}
	var cases []hostile.Case
	for _, one := range all {
		if strings.Contains(one.Name, name) {
			cases = append(cases, one)
		}
	}
	marker, err := here.setUp(d.ctx)
	if err != nil {
		return 0, 0, err
	}
	folder, err := os.MkdirTemp("", "classroom-exam-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // its traps are to be within reach of who gets out
		return 0, 0, err
	}
	e := &hostile.Exam{Marker: marker, Root: here.root, Folder: folder, Slots: atOnce(jobs)}
	return e.Run(d.ctx, cases, tell)
}
