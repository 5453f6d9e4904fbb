// Command exam is `make proof`: it builds and grades every case of the corpus and
// prints what became of it. It exits with 1 where a wrong server passes a step
// that is about its mistake or fails another, or a right one does not pass.
//
//	go run ./checker/proof/exam            all of it
//	go run ./checker/proof/exam 055        the cases whose names contain that
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/proof"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	filter := ""
	if len(os.Args) > 1 {
		filter = os.Args[1]
	}
	bad, err := exam(ctx, filter)
	if err != nil {
		fmt.Fprintln(os.Stderr, "exam:", err)
		os.Exit(2)
	}
	if bad > 0 {
		os.Exit(1)
	}
}

// An outcome is what became of a case.
type outcome struct {
	red []string // the steps that went red
	err error
}

func exam(ctx context.Context, filter string) (bad int, err error) {
	book, err := workbook.Open(".")
	if err != nil {
		return 0, err
	}
	cases, err := proof.Load(proof.Corpus, os.DirFS(filepath.Join(book.Root, "solutions")))
	if err != nil {
		return 0, err
	}
	cases = slices.DeleteFunc(cases, func(c proof.Case) bool { return !strings.Contains(c.Name, filter) })
	folder, err := os.MkdirTemp("", "workshop-exam-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	programs, due := proof.NewPrograms(book.Root, folder), make([]*proof.Due, len(cases))
	for i, c := range cases {
		if due[i], err = programs.Expect(c); err != nil {
			return 0, err
		}
	}
	outcomes := make([]outcome, len(cases))
	slots := make(chan struct{}, runtime.NumCPU())
	var wg sync.WaitGroup
	for i, c := range cases {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			outcomes[i] = sit(ctx, due[i], suites.For(c.Lesson))
		})
	}
	wg.Wait()
	killed, passed := 0, 0
	for i, c := range cases {
		o := outcomes[i]
		verdict := "killed"
		switch {
		case o.err != nil:
			verdict = "ERROR " + o.err.Error()
			bad++
		case c.Right && len(o.red) == 0:
			verdict = "passed"
			passed++
		case c.Right:
			verdict = "WRONGLY REFUSED by " + strings.Join(o.red, ", ")
			bad++
		case !slices.Contains(o.red, c.Step):
			verdict = "LIVED; red: " + strings.Join(o.red, ", ")
			bad++
		case slices.ContainsFunc(o.red, func(id string) bool { return !slices.Contains(c.Red(), id) }):
			verdict = "RED ELSEWHERE, TOO: " + strings.Join(o.red, ", ")
			bad++
		default:
			killed++
		}
		fmt.Printf("%-10s %-58s %-44s %s\n", mistakes(c), c.Name, c.Step, verdict)
	}
	fmt.Printf("\n%d wrong servers killed, %d right ones passed, %d bad\n", killed, passed, bad)
	return bad, ctx.Err()
}

func mistakes(c proof.Case) string {
	var numbers []string
	for _, n := range c.Mistakes {
		numbers = append(numbers, fmt.Sprint(n))
	}
	return strings.Join(numbers, ",")
}

// sit builds and grades one case.
func sit(ctx context.Context, c *proof.Due, suite grade.Suite) (o outcome) {
	defer c.Done()
	sub, err := c.Subject(ctx)
	if err != nil {
		return outcome{err: err}
	}
	defer sub.Close()
	v := grade.Run(ctx, suite, sub, grade.Options{})
	for _, r := range v.Results {
		if r.Status == grade.Failed || r.Status == grade.Error {
			o.red = append(o.red, r.Step.ID)
		}
	}
	return o
}
