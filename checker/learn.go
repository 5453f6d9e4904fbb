package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

type runCommand struct {
	Lesson   string   `arg:"" optional:"" help:"5, 05 or 05-refresh. Unless given: the first that is not done."`
	Flags    []string `arg:"" optional:"" passthrough:"" help:"For the server, after --: -addr, -access-ttl, … (-h lists them)."`
	Solution bool     `help:"Start the reference solution instead of yours."`
}

func (c *runCommand) Run(d *desk) error {
	l, err := d.lesson(c.Lesson)
	if err != nil {
		return err
	}
	program, _, err := d.book.Build(d.ctx, l, c.Solution)
	var build *subject.BuildError
	if errors.As(err, &build) {
		d.card(false).Verdict(grade.Verdict{Lesson: l, Err: build})
		return exit(2)
	}
	if err != nil {
		return err
	}
	flags := c.Flags
	if len(flags) > 0 && flags[0] == "--" {
		flags = flags[1:]
	}
	server := exec.CommandContext(d.ctx, program, flags...)
	server.Stdin, server.Stdout, server.Stderr = nil, os.Stdout, os.Stderr
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.WaitDelay = 5 * time.Second
	err = server.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && d.ctx.Err() == nil {
		return exit(2) // the server has said why
	}
	if d.ctx.Err() != nil {
		return nil
	}
	return err
}

type listCommand struct{}

func (c *listCommand) Run(d *desk) error {
	marks := d.book.Marks()
	current := d.book.Current()
	out := d.card(false).Out
	for _, l := range lessons.All() {
		m, known := marks[l.ID]
		state := "·  not checked"
		switch {
		case known && m.Done():
			state = "✓  done"
		case known && m.Total > 0:
			state = fmt.Sprintf("%d of %d steps, next: %s", m.Passed, m.Total, m.First)
			if m.First == "" {
				state = "does not compile"
			}
		}
		arrow := " "
		if l.ID == current.ID {
			arrow = "→"
		}
		say(out, "%s %-18s %3d min   %s", arrow, l.ID, l.Minutes, state)
	}
	return nil
}

type hintCommand struct {
	Lesson string `arg:"" optional:"" help:"5, 05 or 05-refresh. Unless given: the first that is not done."`
	Step   string `placeholder:"ID" help:"A hint for this step, whether it fails or not."`
}

func (c *hintCommand) Run(d *desk) error {
	l, err := d.lesson(c.Lesson)
	if err != nil {
		return err
	}
	wanted, home := c.Step, l
	out := d.card(false).Out
	if wanted == "" {
		verdicts, err := d.book.Grade(d.ctx, []lessons.Lesson{l}, false, grade.Options{})
		if err != nil {
			return err
		}
		v := verdicts[0]
		first, failing := v.First()
		switch {
		case v.Passed():
			say(out, "%s has passed: there is nothing to hint at.", l.ID)
			return nil
		case v.Err != nil || !failing || first.Status == grade.Error:
			d.card(false).Verdict(v)
			return exit(2)
		}
		wanted = first.Step.ID
	}
	home, s, err := step(wanted, append([]lessons.Lesson{l}, lessons.All()...))
	if err != nil {
		return err
	}
	level, of, text, err := d.book.NextHint(home, s.ID)
	if err != nil {
		return err
	}
	say(out, "%s   hint %d of %d", s.ID, level, of)
	say(out, "%s", report.Wrap(text, 2, report.DefaultWidth))
	if level < of {
		say(out, "\nThe same command again gives the next one.")
	}
	return nil
}

type diffCommand struct {
	Lesson string `arg:"" optional:"" help:"5, 05 or 05-refresh. Unless given: the first that is not done."`
	Spoil  bool   `help:"Show it although the lesson has not passed yet."`
}

func (c *diffCommand) Run(d *desk) error {
	l, err := d.lesson(c.Lesson)
	if err != nil {
		return err
	}
	if !c.Spoil && !d.book.Marks()[l.ID].Done() {
		verdicts, err := d.book.Grade(d.ctx, []lessons.Lesson{l}, false, grade.Options{})
		if err != nil {
			return err
		}
		if !verdicts[0].Passed() {
			return fmt.Errorf("%s has not passed yet, and this would show how: add --spoil if you want that", l.ID)
		}
	}
	text, err := d.book.Diff(l)
	if err != nil {
		return err
	}
	card := d.card(false)
	if text == "" {
		say(card.Out, "Your files and the reference are the same.")
		return nil
	}
	card.Diff(text)
	return nil
}

type resetCommand struct {
	Lesson string `arg:"" help:"5, 05 or 05-refresh."`
}

func (c *resetCommand) Run(d *desk) error {
	l, err := d.lesson(c.Lesson)
	if err != nil {
		return err
	}
	backup, err := d.book.Reset(l, time.Now())
	if err != nil {
		return err
	}
	say(d.out, "lessons/%s is as it was at first.", l.ID)
	if backup != "" {
		say(d.out, "What was there before: %s", backup)
	}
	return nil
}

type explainCommand struct {
	Step string `arg:"" help:"The step's ID, as it stands on the card."`
}

func (c *explainCommand) Run(d *desk) error {
	home, s, err := step(c.Step, lessons.All())
	if err != nil {
		return err
	}
	card := d.card(false)
	card.Explain(s, home)

	// What the step does is best said by what it sends: so it is run against the
	// reference.
	if _, err := d.book.Sources(home, true); err != nil {
		say(card.Out, "\n  (%v, so what the step sends cannot be shown)", err)
		return nil
	}
	program, _, err := d.book.Build(d.ctx, home, true)
	if err != nil {
		return err
	}
	sub := subject.Program(program, 1)
	defer sub.Close()
	card.Exchanges(grade.NewRunner(suites.For(home), sub, grade.Options{}).Run(d.ctx, s))
	return nil
}

type originalsCommand struct {
	Write bool `help:"Write the archive instead of printing whether it is current."`
}

func (c *originalsCommand) Run(d *desk) error {
	packed, err := d.book.Pack()
	if err != nil {
		return err
	}
	path := d.book.Root + "/checker/workbook/originals.txtar"
	if c.Write {
		return os.WriteFile(path, packed, 0o644)
	}
	have, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, packed) {
		return errors.New(strings.TrimPrefix(path, d.book.Root+"/") + " is not what the lessons are: make originals")
	}
	return nil
}
