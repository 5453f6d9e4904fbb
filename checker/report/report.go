// Package report gives a verdict its faces: cards for a terminal, JSON, and
// JUnit for machines.
package report

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// A Card prints verdicts for a person.
type Card struct {
	Out   io.Writer // what it is written to sorts out colours (see Terminal)
	Width int       // in columns; prose is wrapped, commands never
	All   bool      // every failing step with all that is known of it
	Next  bool      // say what to do about a failure: ask for a hint, or read the task
	Keys  bool      // it is done by the keys of watch, not by commands
	Brief bool      // no card among the steps: it is shown elsewhere
}

var (
	plain = lipgloss.NewStyle().TabWidth(lipgloss.NoTabConversion) // code keeps its tabs
	good  = plain.Foreground(lipgloss.Green)
	bad   = plain.Foreground(lipgloss.Red).Bold(true)
	faint = plain.Faint(true)
	bold  = plain.Bold(true)
)

// Verdict prints the head of a lesson, its steps, and the first failure whole.
// The steps of earlier lessons are one line as long as they hold.
func (c Card) Verdict(v grade.Verdict) {
	c.Head(v)
	c.Steps(v)
}

// Steps prints what is below the head of a lesson. A step that has no status yet
// is one that is still to come.
func (c Card) Steps(v grade.Verdict) {
	if v.Err != nil {
		c.problem(v.Err)
		return
	}
	given := 0
	for _, r := range v.Results {
		if r.Step.Given && r.Status == grade.Passed {
			given++
		}
	}
	if given > 0 {
		c.line("  %s %s", good.Render("✓"), faint.Render(fmt.Sprintf("%s of earlier lessons", steps(given))))
	}
	first, _ := v.First()
	var waiting []string
	for _, r := range v.Results {
		switch {
		case r.Step.Given && (r.Status == grade.Passed || r.Status == ""):
		case r.Status == "":
			c.line("  %s", faint.Render("· "+r.Step.ID))
		case r.Status == grade.Skipped && v.Count(grade.Skipped) > fewSkipped:
			waiting = append(waiting, r.Step.ID)
		case r.Status == grade.Passed:
			c.line("  %s %s", good.Render("✓"), r.Step.ID)
		case r.Status == grade.Skipped || r.Status == grade.NotGraded:
			c.line("  %s %s", faint.Render("–"), faint.Render(fmt.Sprintf("%s   %s: %s", r.Step.ID, word(r.Status), r.Reason)))
		case !c.Brief && (c.All || r.Step.ID == first.Step.ID):
			c.Failure(v, r)
		default:
			c.line("  %s %s", bad.Render("✗"), bold.Render(r.Step.ID))
			if r.Step.ID != first.Step.ID {
				c.field("", headline(r))
			}
		}
	}
	if len(waiting) > 0 {
		text := fmt.Sprintf("%s skipped, for they need what does not pass yet", steps(len(waiting)))
		if len(waiting) <= manySkipped {
			text += ": " + strings.Join(waiting, ", ")
		}
		for i, line := range wrap(text, c.Width-4) {
			mark := " "
			if i == 0 {
				mark = "–"
			}
			c.line("  %s %s", faint.Render(mark), faint.Render(line))
		}
	}
}

// Skipped steps get a line each where they are few, and are only counted where
// they are many.
const (
	fewSkipped  = 3
	manySkipped = 16
)

func word(s grade.Status) string {
	if s == grade.NotGraded {
		return "not graded here"
	}
	return string(s)
}

func headline(r grade.Result) string {
	if r.Failure != nil {
		return r.Failure.Claim
	}
	return "could not be graded: " + r.Reason
}

// Failure prints the card of a step that did not pass.
func (c Card) Failure(v grade.Verdict, r grade.Result) {
	c.line("  %s %s", bad.Render("✗"), bold.Render(r.Step.ID))
	c.failure(r)
	if c.Next {
		c.next(v, r)
	}
}

// Head prints "05 · Refresh      6 of 9 steps  ██████░░░".
func (c Card) Head(v grade.Verdict) {
	title := fmt.Sprintf("%02d · %s", v.Lesson.Number(), v.Lesson.Title)
	if v.Err != nil {
		c.line("%s", bold.Render(title))
		return
	}
	total := len(v.Results)
	passed := v.Count(grade.Passed)
	const cells = 12
	full := cells * passed / max(1, total)
	bar := good.Render(strings.Repeat("█", full)) + faint.Render(strings.Repeat("░", cells-full))
	tally := fmt.Sprintf("%d of %s", passed, steps(total))
	gap := max(2, min(c.Width, 88)-lipgloss.Width(title)-lipgloss.Width(tally)-cells-2)
	c.line("%s%s%s  %s", bold.Render(title), strings.Repeat(" ", gap), tally, bar)
}

func steps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return fmt.Sprintf("%d steps", n)
}

// failure prints what is known of a step that did not pass.
func (c Card) failure(r grade.Result) {
	c.field("", headline(r))
	if f := r.Failure; f != nil {
		if f.Sent != nil {
			c.verbatim("sent", f.Sent.ShortCurl())
			c.field("token", f.Sent.DescribeToken())
		}
		c.field("want", f.Want)
		c.field("got", f.Got)
	}
	c.field("", Harmless(r.Detail))
	c.field("why", r.Step.Why)
	c.field("ref", r.Step.Ref)
	if r.Printed != "" {
		c.field("log", Harmless(LastLines(r.Printed, 8)))
	}
}

// next says what to do about a failure. A step of an earlier lesson held when this
// one began.
func (c Card) next(v grade.Verdict, r grade.Result) {
	if r.Step.Given {
		c.field("note", "this held when the lesson began: something that you have changed since has broken it")
	}
	ask := fmt.Sprintf("make hint LESSON=%02d", v.Lesson.Number())
	if c.Keys {
		ask = "h for a hint"
	}
	c.field("next", fmt.Sprintf("%s · lessons/%s/README.md#task-%d", ask, r.Step.Lesson, r.Step.Task))
}

// LastLines is the last n lines of a text.
func LastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// problem prints why there is no verdict at all.
func (c Card) problem(err error) {
	c.line("  %s %s", bad.Render("✗"), bold.Render("could not be graded"))
	if build, ok := err.(*subject.BuildError); ok {
		c.field("", "your code does not compile")
		for _, line := range CompilerErrors(build) {
			c.field("", line)
		}
		return
	}
	c.field("", Harmless(err.Error()))
}

// Harmless takes out of a program's own words what would move the cursor, change
// colours, or do worse to a terminal.
func Harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, ansi.Strip(text))
}

const indent = 6

// field prints a labelled text, wrapped; lines that are there stay. Nothing is
// printed for an empty text.
func (c Card) field(label, text string) {
	if text == "" {
		return
	}
	at := indent
	if label != "" {
		at += 6
	}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		for j, part := range wrap(line, max(30, c.Width-at)) {
			l := ""
			if i == 0 && j == 0 {
				l = label
			}
			c.labelled(l, part, at)
		}
	}
}

// verbatim prints a labelled text in one line, however long: it is to be copied.
func (c Card) verbatim(label, text string) { c.labelled(label, text, indent+6) }

func (c Card) labelled(label, text string, at int) {
	pad := strings.Repeat(" ", max(0, at-indent-len(label)))
	c.line("%s%s%s%s", strings.Repeat(" ", indent), faint.Render(label), pad, text)
}

// wrap breaks a line between words, and within a word that is longer than a line.
func wrap(line string, width int) []string {
	width = max(1, width)
	var out []string
	current := ""
	for _, w := range strings.Fields(line) {
		for lipgloss.Width(w) > width {
			room := width
			if current != "" {
				room -= lipgloss.Width(current) + 1
				current += " "
			}
			if room > 0 {
				start := ansi.Truncate(w, room, "")
				current += start
				w = w[len(start):]
			}
			out = append(out, strings.TrimRight(current, " "))
			current = ""
		}
		if current != "" && lipgloss.Width(current)+1+lipgloss.Width(w) > width {
			out = append(out, current)
			current = ""
		}
		if current != "" {
			current += " "
		}
		current += w
	}
	if leading := len(line) - len(strings.TrimLeft(line, " \t")); leading > 0 && len(out) == 0 {
		return []string{line} // code: leave it as it stands
	}
	return append(out, current)
}

func (c Card) line(format string, args ...any) {
	fmt.Fprintln(c.Out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// Explain prints what a step is about.
func (c Card) Explain(s grade.Step, home lessons.Lesson) {
	c.line("%s", bold.Render(s.ID))
	c.line("  %s", faint.Render(fmt.Sprintf("lesson %s, task %d", home.ID, s.Task)))
	c.field("rule", s.Title+".")
	c.field("why", s.Why)
	c.field("ref", s.Ref)
	c.field("needs", strings.Join(s.Needs, ", "))
}

// Exchanges prints what a step sent to the reference solution and what came back.
func (c Card) Exchanges(r grade.Result) {
	c.line("")
	c.line("  What it sends, and what the reference answers:")
	for _, e := range r.Log {
		c.line("")
		c.verbatim("sent", e.ShortCurl())
		c.field("token", e.DescribeToken())
		c.field("got", e.Summary())
	}
	if r.Status != grade.Passed {
		c.failure(r)
	}
}

// Diff prints a unified diff.
func (c Card) Diff(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
			line = bold.Render(line)
		case strings.HasPrefix(line, "+"):
			line = good.Render(line)
		case strings.HasPrefix(line, "-"):
			line = bad.Render(line)
		case strings.HasPrefix(line, "@@"):
			line = faint.Render(line)
		}
		c.line("%s", line)
	}
}

// Wrap breaks a text into lines of at most width columns, indented.
func Wrap(text string, indent, width int) string {
	pad := strings.Repeat(" ", indent)
	return pad + strings.Join(wrap(text, width-indent), "\n"+pad)
}
