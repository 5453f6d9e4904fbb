package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

type runCommand struct {
	Lesson   string   `arg:"" optional:"" help:"5, 05 or 05-refresh. Unless given: the first that is not done."`
	Flags    []string `arg:"" optional:"" passthrough:"" help:"For the server, after --: -addr, -access-ttl, … (-h lists them)."`
	Solution bool     `help:"Start the reference solution instead of yours."`

	UpstreamTTL time.Duration `name:"upstream-ttl" default:"30s" help:"How long the access tokens of the upstream live, for a lesson that has one."`
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
	if l.Upstream && !names(flags, "upstream") {
		api, err := c.upstream(d)
		if err != nil {
			return err
		}
		defer api.Close()
		flags = append(flags, "-upstream", api.URL())
	}
	more, stop, err := provide(l, flags, d.out)
	if err != nil {
		return err
	}
	defer stop()
	return d.hand(nil, program, append(more, flags...)...)
}

// hand gives the terminal to a program until it ends, or is told to by Ctrl-C.
func (d *desk) hand(stdin io.Reader, program string, args ...string) error {
	cmd := exec.CommandContext(d.ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && d.ctx.Err() == nil {
		return exit(2) // it has said why
	}
	if d.ctx.Err() != nil {
		return nil
	}
	return err
}

// upstream starts an API for the lesson's server to log in at, and tells of its calls.
func (c *runCommand) upstream(d *desk) (*upstream.API, error) {
	if c.UpstreamTTL < time.Second {
		return nil, errors.New("--upstream-ttl wants a second at least")
	}
	out := &turns{w: d.card(false).Out}
	api := upstream.NewAPI()
	api.Lives(c.UpstreamTTL)
	api.Gives(upstream.Rotated)
	api.Watch = func(call upstream.Call) {
		say(out, "  upstream  %s %s  %d", call.Method, call.Path, call.Status)
	}
	if err := api.Open(&lessons.Settings{Upstream: "http://" + personsUpstream}); err != nil {
		if err := api.Open(&lessons.Settings{}); err != nil { // that port is taken: any other
			return nil, err
		}
	}
	say(out, "The upstream listens on %s. Its access tokens live %v.", api.URL(), c.UpstreamTTL)
	return api, nil
}

// personsUpstream is where a person finds the upstream of make run.
const personsUpstream = "127.0.0.1:9000"

// names tells whether a flag is among the arguments.
func names(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return strings.HasPrefix(arg, "-") && name == flag
	})
}

type watchCommand struct {
	Lesson   string `arg:"" optional:"" help:"5, 05 or 05-refresh. Unless given: the first that is not done."`
	Problems bool   `help:"Print lines as check --problems does, without a screen: for editors."`
}

// Run hands over to checker/watch, which is a program of its own: see there.
func (c *watchCommand) Run(d *desk) error {
	var args []string
	if c.Problems {
		args = append(args, "-problems")
	}
	if c.Lesson != "" {
		l, err := d.lesson(c.Lesson)
		if err != nil {
			return err
		}
		args = append(args, l.ID)
	}
	program, err := d.book.State("bin", "watch"+workbook.Exe)
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		say(d.out, "Building what watches; the next time it is there.")
	}
	if err := subject.Build(d.ctx, d.book.Root, "./checker/watch", program); err != nil {
		return err
	}
	return d.hand(os.Stdin, program, args...)
}

type listCommand struct{}

func (c *listCommand) Run(d *desk) error {
	marks := d.book.Marks()
	current := d.book.Current()
	out := d.card(false).Out
	for _, l := range lessons.All() {
		arrow := " "
		if l.ID == current.ID {
			arrow = "→"
		}
		say(out, "%s %-18s %3d min   %s", arrow, l.ID, l.Minutes, marks[l.ID])
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
