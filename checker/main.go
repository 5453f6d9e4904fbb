// Command checker is the learner's: it grades lessons, starts them, gives hints.
//
//	go run ./checker                 check the first lesson that is not done
//	go run ./checker check 05        check that lesson
//	go run ./checker --help          everything else
//
// It exits with 0 where all that was asked passed, with 1 where a step failed,
// and with 2 where there is no verdict or the command was wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

type commands struct {
	Check   checkCommand   `cmd:"" default:"withargs" help:"Grade a lesson: yours, or the reference."`
	Watch   watchCommand   `cmd:"" help:"Grade a lesson whenever you save, and keep it on the screen."`
	URL     urlCommand     `cmd:"" name:"url" help:"Grade a server that is listening, in any language."`
	Run     runCommand     `cmd:"" help:"Start your server of a lesson."`
	List    listCommand    `cmd:"" help:"Show the lessons and how far you are."`
	Hint    hintCommand    `cmd:"" help:"Give the next hint for the first step that fails."`
	Diff    diffCommand    `cmd:"" help:"Compare your files with the reference."`
	Reset   resetCommand   `cmd:"" help:"Put a lesson back to its start; yours is kept in .workshop/backup."`
	Explain explainCommand `cmd:"" help:"Tell what a step is about and what it sends."`

	Originals originalsCommand `cmd:"" hidden:"" help:"For authors: pack the starters."`
}

// desk is what every command works with.
type desk struct {
	ctx  context.Context
	book *workbook.Workbook
	out  io.Writer
}

// exit is an exit code for which everything has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	debug.SetGCPercent(400) // a short life and a small heap: collect seldom
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, ".", os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole command, for the checkout that the folder lies in; errors are
// one line each.
func run(ctx context.Context, folder string, args []string, stdout, stderr io.Writer) int {
	code := -1
	parser, err := kong.New(&commands{},
		kong.Name("checker"),
		kong.Description("The JWT Workshop. Without a command: check the first lesson that is not done."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code = c }),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help was printed
	}
	if err == nil {
		var book *workbook.Workbook
		if book, err = workbook.Open(folder); err == nil {
			err = parsed.Run(&desk{ctx: ctx, book: book, out: stdout})
		}
	}
	var done exit
	switch {
	case errors.As(err, &done):
		return int(done)
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "interrupted")
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "checker:", err)
		return 2
	}
	return 0
}

// lesson finds a lesson by what somebody typed; empty is the current one.
func (d *desk) lesson(name string) (lessons.Lesson, error) {
	if name == "" {
		return d.book.Current(), nil
	}
	l, err := lessons.Find(name)
	if err != nil {
		ids := []string{"all", "check", "watch", "url", "run", "list", "hint", "diff", "reset", "explain"}
		for _, l := range lessons.All() {
			ids = append(ids, l.ID)
		}
		return l, fmt.Errorf("%w; did you mean %s? (checker list shows them all)", err, nearest(name, ids, 2))
	}
	return l, nil
}

// step finds a step of any lesson.
func step(id string, in []lessons.Lesson) (lessons.Lesson, grade.Step, error) {
	var ids []string
	for _, l := range in {
		for _, s := range suites.For(l).Steps {
			if s.ID == id {
				home, err := lessons.Find(s.Lesson)
				return home, s, err
			}
			ids = append(ids, s.ID)
		}
	}
	return lessons.Lesson{}, grade.Step{}, fmt.Errorf("no such step: %q; did you mean %s?", id, nearest(id, ids, 3))
}

// nearest names the n candidates that are likest to what was typed.
func nearest(typed string, candidates []string, n int) string {
	slices.Sort(candidates)
	candidates = slices.Compact(candidates)
	distance := func(c string) int {
		if strings.Contains(c, strings.ToLower(typed)) {
			return 0
		}
		d := levenshtein.ComputeDistance(strings.ToLower(typed), c)
		if number, _, ok := strings.Cut(c, "-"); ok && len(number) == 2 {
			d = min(d, levenshtein.ComputeDistance(typed, number))
		}
		return d
	}
	slices.SortStableFunc(candidates, func(a, b string) int { return distance(a) - distance(b) })
	return strings.Join(candidates[:min(n, len(candidates))], " or ")
}

// card returns what prints verdicts to the command's output.
func (d *desk) card(plain bool) report.Card {
	if f, ok := d.out.(*os.File); ok {
		out, width := report.Terminal(f, plain)
		return report.Card{Out: out, Width: width}
	}
	return report.Card{Out: report.Plain(d.out), Width: report.DefaultWidth}
}
