package report

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// Problems writes a line for whatever keeps a lesson from passing, in the form in
// which editors read compilers (see .vscode/tasks.json):
//
//	lessons/05-refresh/refresh.go:12:1: error: step-id: what is wrong: want …, got …
//
// Paths are relative to root, the checkout. A failing step stands where its server
// panicked, else at the TODO of its task, else at the task in the README. Steps
// that were skipped have no line: they wait for one that has.
func Problems(w io.Writer, root string, verdicts []grade.Verdict) error {
	for _, v := range verdicts {
		for _, line := range problems(root, v) {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

func problems(root string, v grade.Verdict) (lines []string) {
	if build, ok := v.Err.(*subject.BuildError); ok {
		for line := range strings.Lines(build.Output) {
			if m := compilerLine.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
				lines = append(lines, problem(slashed(m[1]), m[2], max(1, atoi(m[3])), m[4]))
			}
		}
		if len(lines) > 0 {
			return lines
		}
	}
	if v.Err != nil {
		return []string{problem("lessons/"+v.Lesson.ID+"/README.md", "1", 1, v.Err.Error())}
	}
	for _, r := range v.Results {
		if r.Status == grade.Failed || r.Status == grade.Error {
			file, line := place(root, v.Lesson, r)
			lines = append(lines, problem(file, line, 1, r.Step.ID+": "+inALine(r)))
		}
	}
	return lines
}

func problem(file, line string, column int, text string) string {
	return fmt.Sprintf("%s:%s:%d: error: %s", file, line, column, strings.Join(strings.Fields(text), " "))
}

// inALine is what a card says, shortened to a line.
func inALine(r grade.Result) string {
	text := headline(r)
	if f := r.Failure; f != nil && f.Want != "" {
		text += ": want " + f.Want + ", got " + f.Got
	}
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	return text
}

// learnersLine is a place in a learner's file, as panics and hanging servers are
// told: see subject.SourceLine.
var learnersLine = regexp.MustCompile(`\b(lessons/\d\d-[^/\s]+/[^/\s:]+\.go):(\d+)`)

// place is where a failing step is to be looked at.
func place(root string, l lessons.Lesson, r grade.Result) (file, line string) {
	said := r.Reason + "\n" + r.Detail
	if r.Failure != nil {
		said += "\n" + r.Failure.Got
	}
	if m := learnersLine.FindStringSubmatch(said); m != nil {
		return m[1], m[2]
	}
	todo := fmt.Sprintf("TODO(%02d.%d)", number(r.Step.Lesson), r.Step.Task)
	for _, name := range l.Edit {
		file := path.Join("lessons", l.ID, name)
		if n := lineOf(root, file, todo); n > 0 {
			return file, strconv.Itoa(n)
		}
	}
	readme := path.Join("lessons", r.Step.Lesson, "README.md")
	return readme, strconv.Itoa(max(1, lineOf(root, readme, fmt.Sprintf("### Task %d:", r.Step.Task))))
}

// lineOf is the number of the first line of a file that holds the text, from 1 on;
// 0 is none.
func lineOf(root, file, text string) int {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return 0
	}
	return 1 + slices.IndexFunc(strings.Split(string(source), "\n"), func(l string) bool { return strings.Contains(l, text) })
}

func number(lesson string) int {
	l, err := lessons.Find(lesson)
	if err != nil {
		return 0
	}
	return l.Number()
}

func slashed(file string) string {
	return strings.TrimPrefix(strings.ReplaceAll(file, `\`, "/"), "./")
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
