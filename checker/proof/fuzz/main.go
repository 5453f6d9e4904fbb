// Command fuzz is `make fuzz`: it runs every fuzz target of the workshop in turn,
// those that read what a learner's server, an author or a submission wrote. What
// it finds go test keeps as a seed beside the target.
//
//	go run ./checker/proof/fuzz               a minute each
//	go run ./checker/proof/fuzz -time 1h      an hour each
package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"regexp"
	"sort"
	"strings"
	"time"

	"jwtworkshop/checker/workbook"
)

func main() {
	each := flag.Duration("time", time.Minute, "for each target")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	found, err := run(ctx, *each)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(2)
	}
	if found > 0 {
		os.Exit(1)
	}
}

// A target is one Fuzz function.
type target struct{ folder, name string }

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

func run(ctx context.Context, each time.Duration) (found int, err error) {
	book, err := workbook.Open(".")
	if err != nil {
		return 0, err
	}
	targets, err := list(book.Root)
	if err != nil {
		return 0, err
	}
	for _, t := range targets {
		start := time.Now()
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), "-timeout", "0", "./"+t.folder)
		cmd.Dir = book.Root
		output, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		mark := "ok  "
		// Where the machine is slow to stop, go test calls the end of the time a
		// failure; a real one names the input.
		if err != nil && !(bytes.Contains(output, []byte("context deadline exceeded")) && !bytes.Contains(output, []byte("Failing input"))) {
			mark = "FAIL"
			found++
		}
		fmt.Printf("%s  %-28s %-28s %6.0f s   %s\n", mark, t.folder, t.name, time.Since(start).Seconds(), execs(output))
		if mark == "FAIL" {
			fmt.Printf("%s\n", output)
		}
	}
	fmt.Printf("\n%d targets, %d with findings\n", len(targets), found)
	return found, nil
}

// list finds the targets of all packages.
func list(root string) ([]target, error) {
	tree := os.DirFS(root)
	var targets []target
	err := fs.WalkDir(tree, "checker", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "node_modules" {
			return cmp.Or(err, fs.SkipDir)
		}
		if d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			targets = append(targets, target{path.Dir(name), m[1]})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(targets, func(i, j int) bool {
		a, b := targets[i], targets[j]
		return a.folder < b.folder || a.folder == b.folder && a.name < b.name
	})
	return targets, nil
}

var counted = regexp.MustCompile(`execs: (\d+)`)

// execs is how many inputs were tried, as go test said last.
func execs(output []byte) string {
	all := counted.FindAllSubmatch(output, -1)
	if len(all) == 0 {
		return ""
	}
	return string(all[len(all)-1][1]) + " inputs"
}
