// Command mutants is `make mutants`: it lets gremlins (go-gremlins/gremlins) change
// the reference solutions, one operator at a time, and grades each change by the
// lesson's own suite. A mutant that lives has passed a suite although it is no
// longer the solution: either a step is missing, or the change makes no difference
// that HTTP could show. Those stand in equivalent.txt, each with its reason.
//
//	go run ./checker/proof/mutants               every lesson; a minute or two each
//	go run ./checker/proof/mutants -lesson 05    one
//
// Changed is what learners write, in this lesson or in one that it goes on from, and
// not what they are given.
//
// It prints for each lesson how many were killed, lived and timed out, and names the
// survivors. It exits with 1 where fewer than 97 of 100 that are not equivalent were
// killed in a lesson, and where equivalent.txt names one that did not survive.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// gremlins is pinned: another release makes other mutants.
const gremlins = "github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0"

// goal is how many of a lesson's mutants must be killed, of those that are not
// equivalent.
const goal = 0.97

//go:embed equivalent.txt
var equivalents string

func main() {
	if filepath.Base(os.Args[0]) == shim {
		os.Exit(goCommand(os.Args[1:]))
	}
	only := flag.String("lesson", "", "this lesson only")
	workers := flag.Int("workers", runtime.NumCPU(), "mutants that are graded at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	met, err := run(ctx, *only, *workers)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if !met {
		os.Exit(1)
	}
}

// A mutant is one change of a solution's file, as gremlins reports it.
type mutant struct {
	File   string
	Type   string // CONDITIONALS_NEGATION, …
	Status string // KILLED, LIVED, TIMED OUT, NOT COVERED, NOT VIABLE
	Line   int
	Column int
	Source string // the line that was changed, as it stands in the solution
}

// name is how equivalent.txt calls it: by the text of its line, for line numbers
// drift.
func (m mutant) name(l lessons.Lesson) string {
	return strings.Join([]string{l.ID, m.File, m.Type, m.Source}, " | ")
}

func run(ctx context.Context, only string, workers int) (met bool, err error) {
	book, err := workbook.Open(".")
	if err != nil {
		return false, err
	}
	known, err := readEquivalents(equivalents)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "workshop-mutants-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	tool, err := install(ctx, dir)
	if err != nil {
		return false, err
	}
	met = true
	total := tally{}
	for _, l := range lessons.All() {
		if only != "" {
			if one, err := lessons.Find(only); err != nil {
				return false, err
			} else if one.ID != l.ID {
				continue
			}
		}
		start := time.Now()
		mutants, err := grade(ctx, tool, book.Root, filepath.Join(dir, l.ID), l, workers)
		if err != nil {
			return false, fmt.Errorf("%s: %w", l.ID, err)
		}
		t := tally{}
		for _, m := range mutants {
			t.count(m, known[m.name(l)] != "")
		}
		total.add(t)
		fmt.Printf("%-18s %s   %4.0f s\n", l.ID, t, time.Since(start).Seconds())
		for _, m := range mutants {
			if m.Status == "LIVED" || m.Status == "NOT COVERED" || m.Status == "TIMED OUT" {
				reason := known[m.name(l)]
				if reason != "" {
					reason = "   equivalent: " + reason
				}
				fmt.Printf("    %-11s %s:%d:%d %s   %s%s\n", strings.ToLower(m.Status), m.File, m.Line, m.Column, m.Type, m.Source, reason)
			}
		}
		for name := range known {
			lived := slices.ContainsFunc(mutants, func(m mutant) bool { return m.name(l) == name && m.survived() })
			if strings.HasPrefix(name, l.ID+" | ") && !lived {
				fmt.Printf("    equivalent.txt names one that does not survive: %s\n", name)
				met = false
			}
		}
		met = met && t.rate() >= goal
	}
	fmt.Printf("\n%-18s %s\n", "all", total)
	if !met {
		fmt.Printf("wanted in every lesson: %.0f %% killed of those that are not equivalent\n", goal*100)
	}
	return met, nil
}

func (m mutant) survived() bool { return m.Status == "LIVED" || m.Status == "NOT COVERED" }

// A tally counts mutants by what became of them.
type tally struct{ killed, timedOut, lived, notCovered, equivalent, notViable int }

func (t *tally) count(m mutant, equivalent bool) {
	switch {
	case m.survived() && equivalent:
		t.equivalent++
	case m.Status == "KILLED":
		t.killed++
	case m.Status == "TIMED OUT":
		t.timedOut++ // the suite did not end: nobody would call that passed
	case m.Status == "LIVED":
		t.lived++
	case m.Status == "NOT COVERED":
		t.notCovered++
	default:
		t.notViable++
	}
}

func (t *tally) add(o tally) {
	t.killed += o.killed
	t.timedOut += o.timedOut
	t.lived += o.lived
	t.notCovered += o.notCovered
	t.equivalent += o.equivalent
	t.notViable += o.notViable
}

// rate is the part of the mutants that are not equivalent which was found out.
func (t tally) rate() float64 {
	found, all := t.killed+t.timedOut, t.killed+t.timedOut+t.lived+t.notCovered
	if all == 0 {
		return 1
	}
	return float64(found) / float64(all)
}

func (t tally) String() string {
	return fmt.Sprintf("%5.1f %%   %3d killed  %2d lived  %2d timed out  %2d not covered  %2d equivalent  %2d do not compile",
		100*t.rate(), t.killed, t.lived, t.timedOut, t.notCovered, t.equivalent, t.notViable)
}

// readEquivalents reads lines of "lesson | file | type | the line of code  # why".
func readEquivalents(text string) (map[string]string, error) {
	known := map[string]string{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, "  # ")
		if at < 0 || strings.Count(line[:at], " | ") < 3 {
			return nil, fmt.Errorf("equivalent.txt:%d: wanted is \"lesson | file | type | line of code  # why\"", number)
		}
		known[strings.TrimSpace(line[:at])] = strings.TrimSpace(line[at+len("  # "):])
	}
	return known, nil
}

// install builds gremlins into the folder, and beside it this program under the
// name of the go command (see goCommand).
func install(ctx context.Context, dir string) (tool string, err error) {
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "install", gremlins)
	cmd.Env = append(os.Environ(), "GOBIN="+bin)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", gremlins, err, output)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	return filepath.Join(bin, "gremlins"), os.WriteFile(filepath.Join(bin, shim), text, 0o755)
}

// shim is what the go command is called on the path that gremlins gets.
const shim = "go"

// realGo is the environment variable that says where the go command is.
const realGo = "WORKSHOP_MUTANTS_GO"

// goCommand does what the go command does, but for two things. A test that does not
// compile ends with 2: go test ends with 1 for that as for a test that fails, and
// gremlins would take what does not compile for killed. And each line counts as
// covered: Go's profile leaves out the conditions of a switch and constants, and
// gremlins would not try mutants there.
func goCommand(args []string) int {
	cmd := exec.Command(os.Getenv(realGo), args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	os.Stdout.Write(output.Bytes())
	var ended *exec.ExitError
	switch {
	case err == nil:
		if err := coverAll(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		return 0
	case !errors.As(err, &ended):
		fmt.Fprintln(os.Stderr, err)
		return 2
	case len(args) > 0 && args[0] == "test" && (bytes.Contains(output.Bytes(), []byte("[build failed]")) || bytes.Contains(output.Bytes(), []byte("[setup failed]"))):
		return 2
	}
	return ended.ExitCode()
}

// coverAll makes each line of the files in a coverage profile a covered one, if
// these are the arguments of a go test that writes one.
func coverAll(args []string) error {
	at := slices.Index(args, "-coverprofile")
	if at < 0 || at+1 >= len(args) {
		return nil
	}
	profile, err := os.ReadFile(args[at+1])
	if err != nil {
		return err
	}
	var all strings.Builder
	all.WriteString("mode: set\n")
	var seen []string
	for line := range strings.Lines(string(profile)) {
		file, _, found := strings.Cut(line, ".go:")
		if found && !slices.Contains(seen, file) {
			seen = append(seen, file)
			fmt.Fprintf(&all, "%s.go:1.1,100000.1 1 1\n", file)
		}
	}
	return os.WriteFile(args[at+1], []byte(all.String()), 0o644)
}

// learners are the files that a learner has written when the lesson is done.
func learners(l lessons.Lesson) []string {
	files := l.Edit
	for l.Base != "" {
		base, err := lessons.Find(l.Base)
		if err != nil {
			break
		}
		l, files = base, slices.Concat(files, base.Edit)
	}
	return files
}

// grade makes and grades the mutants of one solution, in a copy of the workshop
// that holds nothing else with tests.
func grade(ctx context.Context, tool, root, dir string, l lessons.Lesson, workers int) ([]mutant, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := scratch.Copy(root, dir); err != nil {
		return nil, err
	}
	if err := strip(dir, l); err != nil {
		return nil, err
	}
	real, err := exec.LookPath("go")
	if err != nil {
		return nil, err
	}
	report := filepath.Join(dir, "mutants.json")
	// "-i" makes it run "go test ./..." in the solution's folder; without, it calls
	// the package by the module's name alone, which does not exist.
	cmd := exec.CommandContext(ctx, tool, "unleash", "./solutions/"+l.ID, "-i",
		"--workers", strconv.Itoa(workers), "--timeout-coefficient", "20", "--output", report,
		"--invert-logical", "--invert-loopctrl", "--invert-assignments", "--remove-self-assignments", "--invert-bitwise", "--invert-bwassign")
	written := learners(l)
	files, err := filepath.Glob(filepath.Join(root, "solutions", l.ID, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if name := filepath.Base(file); !slices.Contains(written, name) {
			cmd.Args = append(cmd.Args, "--exclude-files", "(^|/)"+regexp.QuoteMeta(name)+"$")
		}
	}
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), realGo+"="+real, "PATH="+filepath.Dir(tool)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gremlins: %w\n%s", err, output)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	var found struct {
		Files []struct {
			Name      string `json:"file_name"`
			Mutations []mutant
		}
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, err
	}
	var mutants []mutant
	for _, f := range found.Files {
		source, err := os.ReadFile(filepath.Join(root, "solutions", l.ID, filepath.Base(f.Name)))
		if err != nil {
			return nil, err
		}
		lines := strings.Split(string(source), "\n")
		for _, m := range f.Mutations {
			m.File = filepath.Base(f.Name)
			if m.Line >= 1 && m.Line <= len(lines) {
				m.Source = strings.TrimSpace(lines[m.Line-1])
			}
			mutants = append(mutants, m)
		}
	}
	if len(mutants) == 0 {
		return nil, errors.New("gremlins made no mutant")
	}
	return mutants, nil
}

// strip removes from a copy of the workshop what takes time and has no part in
// grading the lesson: other tests, other solutions, commands.
func strip(dir string, l lessons.Lesson) error {
	for _, other := range lessons.All() {
		if other.ID == l.ID {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, "solutions", other.ID)); err != nil {
			return err
		}
	}
	for _, folder := range []string{"proof", "web", "classroom", "watch"} {
		if err := os.RemoveAll(filepath.Join(dir, "checker", folder)); err != nil {
			return err
		}
	}
	kept := filepath.Join(dir, "solutions", l.ID, "lesson_test.go")
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == kept || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		return os.Remove(path)
	})
}
