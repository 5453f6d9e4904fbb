// Command soak runs every suite against its reference solution many times, in
// random order, built with the race detector where there is one, while every
// core is kept busy. It prints the failures, of which there must be none.
//
//	go run ./checker/proof/soak             200 runs of each
//	go run ./checker/proof/soak -n 1000 -procs 1
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

func main() {
	if os.Getenv(spinEnv) != "" {
		spin()
		return
	}
	n := flag.Int("n", 200, "runs of each suite")
	procs := flag.Int("procs", 0, "GOMAXPROCS of the graded servers and of the grader; 0 leaves it")
	only := flag.String("lesson", "", "this lesson only")
	load := flag.Bool("load", true, "keep every core busy meanwhile")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *procs > 0 {
		os.Setenv("GOMAXPROCS", strconv.Itoa(*procs))
		runtime.GOMAXPROCS(*procs)
	}
	failures, err := soak(ctx, *n, *only, *load)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	if failures > 0 {
		os.Exit(1)
	}
}

// spinEnv makes this program do nothing but keep a core busy.
const spinEnv = "WORKSHOP_SOAK_SPIN"

// spin keeps a core busy for as long as there is somebody to do it for.
func spin() {
	for parent := os.Getppid(); os.Getppid() == parent; {
		for range 100_000_000 {
		}
	}
}

// keepBusy keeps every core busy by processes of their own, which the system makes
// share fairly, until rest is called.
func keepBusy(ctx context.Context) (rest func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var spinners []*exec.Cmd
	for range runtime.NumCPU() {
		spinner := exec.CommandContext(ctx, self)
		spinner.Env = append(os.Environ(), spinEnv+"=1", "GOMAXPROCS=1")
		if err := spinner.Start(); err != nil {
			cancel()
			return nil, err
		}
		spinners = append(spinners, spinner)
	}
	return func() {
		cancel()
		for _, spinner := range spinners {
			spinner.Wait()
		}
	}, nil
}

func soak(ctx context.Context, n int, only string, load bool) (failures int, err error) {
	book, err := workbook.Open(".")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "workshop-soak-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if load {
		rest, err := keepBusy(ctx)
		if err != nil {
			return 0, err
		}
		defer rest()
	}
	total := 0
	for _, l := range lessons.All() {
		if only != "" && !strings.HasPrefix(l.ID, only) {
			continue
		}
		program := filepath.Join(dir, l.ID+".exe")
		race := []string{"-race"}
		if subject.Build(ctx, book.Root, workbook.Package(l, true), program, race...) != nil {
			race = nil
			if err := subject.Build(ctx, book.Root, workbook.Package(l, true), program); err != nil {
				return failures, err
			}
		}
		start := time.Now()
		sub := subject.Program(program, 1)
		bad := 0
		for i := range n {
			seed := uint64(time.Now().UnixNano())
			v := grade.Run(ctx, suites.For(l), sub, grade.Options{Shuffle: rand.New(rand.NewPCG(seed, uint64(i)))})
			if ctx.Err() != nil {
				sub.Close()
				return failures, ctx.Err()
			}
			total++
			for _, r := range v.Results {
				if r.Status != grade.Passed {
					bad++
					fmt.Printf("%s run %d: %s %s: %s%v\n", l.ID, i, r.Step.ID, r.Status, r.Reason, r.Failure)
				}
			}
		}
		sub.Close()
		failures += bad
		fmt.Printf("%-18s %5d runs of %d steps %s in %5.1f s, %d failures\n", l.ID, n, len(suites.For(l).Steps), strings.Join(race, ""), time.Since(start).Seconds(), bad)
	}
	fmt.Printf("%d runs, %d failures\n", total, failures)
	return failures, nil
}
