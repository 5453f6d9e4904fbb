// Command verify is `make test`: it verifies the whole workshop and says what it
// did. It judges the starters as they were at first, so it is green in a
// learner's checkout, too, whatever state the lessons are in.
//
// It prints each part with its time, and in the end how many tests ran, and
// exits with 1 where one failed.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"jwtworkshop/checker/workbook"
)

// staticcheck is pinned: another release is another opinion.
const staticcheck = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"

// ours are the packages that are not a learner's to change.
var ours = []string{"./mockdb/...", "./lessons", "./solutions/...", "./checker/..."}

func main() {
	short := flag.Bool("short", false, "leave out staticcheck and the other systems' builds")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	book, err := workbook.Open(".")
	if err == nil {
		err = os.Chdir(book.Root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	}
	v := &verifier{ctx: ctx}
	v.part("gofmt", func() error {
		return v.silent("gofmt", "-l", "mockdb", "lessons/bench.go", "lessons/lessons.go", "lessons/serve.go", "solutions", "checker")
	})
	v.part("go vet", func() error { return v.run(nil, "go", append([]string{"vet"}, ours...)...) })
	if !*short {
		v.part("staticcheck", func() error { return v.run(nil, "go", append([]string{"run", staticcheck}, ours...)...) })
		for _, system := range []string{"windows", "darwin"} {
			env := []string{"GOOS=" + system, "CGO_ENABLED=0"}
			// What it compiles for that is never run, and need not be fast.
			v.part("go vet for "+system, func() error { return v.run(env, "go", append([]string{"vet", "-gcflags=all=-N -l"}, ours...)...) })
		}
	}
	v.part("go mod verify", func() error { return v.run(nil, "go", "mod", "verify") })
	v.part("tests", v.tests)
	v.part("exam", v.exam)

	fmt.Printf("\n%d parts of the verification, %d of them bad\n", v.parts, v.bad)
	// The closing line is for machines: tests, and parts that failed without one.
	failed := v.failed
	if failed == 0 {
		failed = v.bad
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", v.passed, failed, v.skipped)
	if v.bad > 0 || v.passed == 0 {
		os.Exit(1)
	}
}

type verifier struct {
	ctx                     context.Context
	parts, bad              int
	passed, failed, skipped int
}

// part runs one part and says how it went.
func (v *verifier) part(name string, do func() error) {
	if v.ctx.Err() != nil {
		return
	}
	v.parts++
	start := time.Now()
	err := do()
	mark := "ok  "
	if err != nil {
		mark = "FAIL"
		v.bad++
	}
	fmt.Printf("%s  %-22s %6.1f s\n", mark, name, time.Since(start).Seconds())
	if err != nil {
		fmt.Printf("      %s\n", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n      "))
	}
}

// run wants a command to succeed; its output is the error otherwise.
func (v *verifier) run(env []string, name string, args ...string) error {
	cmd := exec.CommandContext(v.ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// silent wants a command to succeed and print nothing.
func (v *verifier) silent(name string, args ...string) error {
	output, err := exec.CommandContext(v.ctx, name, args...).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(output)) > 0 {
		return fmt.Errorf("%s lists %s", name, bytes.TrimSpace(output))
	}
	return nil
}

// An event is a line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// unraced are the packages whose tests run without the race detector, in half the
// time or less. The programs of those that grade the known servers are built without
// it, and what grades them is raced by the solutions' own tests; much of it is waiting,
// at URLs. The intake reads one archive after the other, and some are large.
var unraced = []string{"jwtworkshop/checker/proof", "jwtworkshop/checker/classroom/intake"}

// tests runs all the others, with the race detector where there is one.
func (v *verifier) tests() error {
	listed, err := exec.CommandContext(v.ctx, "go", append([]string{"list"}, ours...)...).Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	packages := slices.DeleteFunc(strings.Fields(string(listed)), func(p string) bool { return slices.Contains(unraced, p) })
	var race []string
	if v.run([]string{"CGO_ENABLED=1"}, "go", "build", "-race", "-o", os.DevNull, "./mockdb") == nil {
		race = []string{"-race"}
	} else {
		fmt.Printf("NOTE: no race detector on this machine (%s, it needs cgo): the tests run without it\n", runtime.GOOS)
	}
	return v.test(append(race, packages...)...)
}

func (v *verifier) exam() error {
	return v.test(append([]string{"-parallel", strconv.Itoa(3 * runtime.GOMAXPROCS(0))}, unraced...)...)
}

// test runs go test with the arguments.
func (v *verifier) test(args ...string) error {
	cmd := exec.CommandContext(v.ctx, "go", append([]string{"test", "-json", "-timeout", "75m"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	failed := v.failed
	complaints := v.follow(stdout)
	err = cmd.Wait()
	if err != nil || v.failed > failed {
		return errors.Join(err, errors.New(complaints))
	}
	return nil
}

// follow counts the tests, prints a line for each package, names those that were
// skipped, and returns what the failing ones said.
func (v *verifier) follow(stdout io.Reader) string {
	said := map[string]*strings.Builder{}
	var complaints strings.Builder
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			complaints.WriteString(lines.Text() + "\n") // what go itself says
			continue
		}
		key := e.Package + " " + e.Test
		if said[key] == nil {
			said[key] = &strings.Builder{}
		}
		switch e.Action {
		case "output", "build-output":
			said[key].WriteString(e.Output)
			if _, note, noted := strings.Cut(e.Output, "NOTE: "); noted {
				fmt.Print("NOTE: " + note)
			}
			if e.Action == "build-output" {
				complaints.WriteString(e.Output)
			}
		case "pass", "fail", "skip":
			v.count(e, said[key].String(), &complaints)
			delete(said, key)
		}
	}
	return complaints.String()
}

func (v *verifier) count(e event, said string, complaints *strings.Builder) {
	switch {
	case e.Test == "" && e.Action == "pass":
		fmt.Printf("      %-60s %6.1f s\n", e.Package, e.Elapsed)
	case e.Test == "" && e.Action == "fail":
		fmt.Printf("      %-60s FAIL\n", e.Package)
		complaints.WriteString(said)
	case e.Test == "": // a package without tests
	case e.Action == "pass":
		v.passed++
	case e.Action == "skip":
		v.skipped++
		fmt.Printf("SKIPPED: %s %s\n%s", e.Package, e.Test, said)
	case e.Action == "fail":
		v.failed++
		complaints.WriteString(said)
	}
}
