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
	book, err := workbook.Open(".")
	if err != nil {
		return err
	}
	lesson := book.Current()
	switch {
	case len(args) > 1 || len(args) == 1 && len(args[0]) > 0 && args[0][0] == '-':
		return errors.New("wants a lesson, 5, 05 or 05-refresh, or nothing")
	case len(args) == 1:
		if lesson, err = lessons.Find(args[0]); err != nil {
			return err
		}
	}
	if !term.IsTerminal(os.Stdin.Fd()) || !term.IsTerminal(os.Stdout.Fd()) || os.Getenv("TERM") == "dumb" {
		out, width := report.Terminal(os.Stdout, false)
		return plain(ctx, report.Card{Out: out, Width: width, Next: true}, live.Watch(book, lesson))
	}
	s := newScreen(book, lesson, func(l lessons.Lesson) source { return live.Watch(book, l) })
	_, err = tea.NewProgram(s, tea.WithContext(ctx)).Run()
	s.watcher.Close()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil
	}
	return err
}

// plain prints each verdict until ctx ends.
func plain(ctx context.Context, card report.Card, w source) error {
	defer w.Close()
	last := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-w.States():
			if s.Phase != live.Graded || s.Round == last {
				continue
			}
			if last > 0 {
				fmt.Fprintln(card.Out)
			}
			last = s.Round
			card.Verdict(s.Verdict)
			if err := closing(card.Out, s.Verdict); err != nil {
				return nil // nobody reads any more
			}
		}
	}
}

// closing is the line below a verdict that stands in a row of them.
func closing(out io.Writer, v grade.Verdict) error {
	what := "save a file of"
	if v.Passed() {
		what = "it is done; still watching"
	}
	_, err := fmt.Fprintf(out, "\n  %s lessons/%s · Ctrl-C ends\n", what, v.Lesson.ID)
	return err
}
