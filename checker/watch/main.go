// Command watch grades a lesson whenever one of its files is saved, and shows how
// it stands: the steps, the first failure, hints, the text, the way to the
// reference, each at a key.
//
//	go run ./checker/watch        the first lesson that is not done
//	go run ./checker/watch 05     that lesson
//
// Where it writes to no terminal, or to one that can do nothing, it prints each
// verdict as checker check does. It is a command of its own, for what draws it and
// renders texts is as large as all that checker is made of.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/live"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

func main() {
	debug.SetGCPercent(200)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		os.Exit(2)
	}
}

// run watches until it is told to end. Errors are of one line.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	problems := flags.Bool("problems", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 1 {
		return errors.New("wants a lesson, 5, 05 or 05-refresh, or nothing; before it perhaps -problems, to print what editors read")
	}
	book, err := workbook.Open(".")
	if err != nil {
		return err
	}
	lesson := book.Current()
	if flags.NArg() == 1 {
		if lesson, err = lessons.Find(flags.Arg(0)); err != nil {
			return err
		}
	}
	switch {
	case *problems:
		return lines(ctx, os.Stdout, book.Root, live.Watch(book, lesson))
	case !term.IsTerminal(os.Stdin.Fd()) || !term.IsTerminal(os.Stdout.Fd()) || os.Getenv("TERM") == "dumb":
		out, width := report.Terminal(os.Stdout, false)
		return cards(ctx, report.Card{Out: out, Width: width, Next: true}, live.Watch(book, lesson))
	}
	s := newScreen(book, lesson, func(l lessons.Lesson) source { return live.Watch(book, l) })
	_, err = tea.NewProgram(s, tea.WithContext(ctx)).Run()
	s.watcher.Close()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil
	}
	return err
}

// cards prints each verdict until ctx ends, or nobody reads any more.
func cards(ctx context.Context, card report.Card, w source) error {
	first := true
	return each(ctx, w, nil, func(v grade.Verdict) error {
		if !first {
			fmt.Fprintln(card.Out)
		}
		first = false
		card.Verdict(v)
		what := "save a file of"
		if v.Passed() {
			what = "it is done; still watching"
		}
		_, err := fmt.Fprintf(card.Out, "\n  %s lessons/%s · Ctrl-C ends\n", what, v.Lesson.ID)
		return err
	})
}

// lines prints each verdict as editors read it, between a line when its grading
// begins and one when it has ended (see .vscode/tasks.json).
func lines(ctx context.Context, out io.Writer, root string, w source) error {
	begins := func(l lessons.Lesson) error {
		_, err := fmt.Fprintf(out, "grading lessons/%s\n", l.ID)
		return err
	}
	return each(ctx, w, begins, func(v grade.Verdict) error {
		if err := report.Problems(out, root, []grade.Verdict{v}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "graded lessons/%s: %d steps passed\n", v.Lesson.ID, v.Count(grade.Passed))
		return err
	})
}

// each calls ended for each verdict, and begins, unless nil, before it. It returns
// when ctx ends, and when one of them fails.
func each(ctx context.Context, w source, begins func(lessons.Lesson) error, ended func(grade.Verdict) error) error {
	defer w.Close()
	begun, told := 0, 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-w.States():
			if begins != nil && s.Round > begun {
				if err := begins(s.Lesson); err != nil {
					return err
				}
			}
			begun = s.Round
			if s.Phase == live.Graded && s.Round > told {
				told = s.Round
				if err := ended(s.Verdict); err != nil {
					return err
				}
			}
		}
	}
}
