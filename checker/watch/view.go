package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/live"
	"jwtworkshop/checker/report"
	"jwtworkshop/lessons"
)

var (
	good  = lipgloss.NewStyle().Foreground(lipgloss.Green)
	faint = lipgloss.NewStyle().Faint(true)
	bold  = lipgloss.NewStyle().Bold(true)
)

// slow is how long a grading may take before its steps are shown one by one,
// instead of the last verdict: something is not answering.
const slow = time.Second

// widest is how wide texts get on a wide terminal, in columns: as cards do.
const widest = report.DefaultWidth

func (s *screen) View() tea.View {
	lines := []string{s.head(), "", s.views[s.page].View(), s.status(), s.keys()}
	if s.roomy() {
		lines = slices.Insert(lines, 3, "")
	}
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	v.WindowTitle = s.title()
	return v
}

// title is for the terminal's window: a glance from the editor will do.
func (s *screen) title() string {
	v := s.state.Verdict
	switch {
	case s.state.Phase != live.Graded:
		return fmt.Sprintf("… %02d · %s", s.lesson.Number(), s.lesson.Title)
	case v.Passed():
		return fmt.Sprintf("✓ %02d · %s", s.lesson.Number(), s.lesson.Title)
	}
	return fmt.Sprintf("✗ %d/%d %02d · %s", v.Count(grade.Passed), len(s.state.Results), s.lesson.Number(), s.lesson.Title)
}

// roomy tells whether there is a line to spare below the page.
func (s *screen) roomy() bool { return s.height >= 28 }

// layout gives the page its room and fills it.
func (s *screen) layout() {
	v := s.views[s.page]
	v.SetWidth(s.width)
	room := s.height - 4
	if s.roomy() {
		room--
	}
	v.SetHeight(max(1, room))
	switch s.page {
	case home:
		v.SetContent(s.homePage())
	case list:
		v.SetContent(s.listPage())
		v.EnsureVisible(s.cursor, 0, 0)
	case text:
		v.SetContent(s.textPage())
	case diff:
		v.SetContent(s.card(func(c report.Card) { c.Diff(s.difference) }))
	case help:
		v.SetContent(s.helpPage())
	}
}

// card prints into a text, at the width of the screen.
func (s *screen) card(print func(report.Card)) string {
	var b strings.Builder
	print(report.Card{Out: &b, Width: min(s.width, widest), Next: true, Keys: true, Brief: true})
	return fit(strings.TrimRight(b.String(), "\n"), s.width)
}

// fit breaks lines that are wider than so many columns, between words where it
// can, and sets what follows in below where the line's text begins.
func fit(text string, width int) string {
	var out []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\t", "    "), "\n") {
		if ansi.StringWidth(line) <= width {
			out = append(out, line)
			continue
		}
		hang := min(begins(ansi.Strip(line)), width/3)
		before := ansi.Truncate(line, hang, "")
		for i, part := range strings.Split(wrap(ansi.TruncateLeft(line, hang, ""), width-hang), "\n") {
			if i > 0 {
				before = strings.Repeat(" ", hang)
			}
			out = append(out, before+part)
		}
	}
	return strings.Join(out, "\n")
}

// wrap breaks a line between words, and within one that is longer than a line. It
// never breaks at a hyphen: what is wrapped here is code as often as not.
func wrap(line string, width int) string {
	const hyphen = "\u2011" // that does not break
	return strings.ReplaceAll(ansi.Wrap(strings.ReplaceAll(line, "-", hyphen), width, ""), hyphen, "-")
}

// begins is the column where the text of a line begins: after the label of a
// card's field, after the mark of a list's item, of a command, or of a changed line.
func begins(line string) int {
	at := len(line) - len(strings.TrimLeft(line, " "))
	if at == cardIndent {
		return at + labelWidth
	}
	return at + ansi.StringWidth(itemMark.FindString(line[at:]))
}

var itemMark = regexp.MustCompile(`^(• |\d+\. |\$ |[-+] +)`)

// narrowest is as narrow as lines are made, in columns: a terminal that is narrower
// cuts them.
const narrowest = 40

// How the fields of a card are set in: see package report.
const (
	cardIndent = 6
	labelWidth = 6
)

// asked is the verdict as far as this round has come.
func (s *screen) asked() grade.Verdict {
	return grade.Verdict{Lesson: s.lesson, Results: s.state.Results}
}

// first tells whether there is no verdict on this lesson yet.
func (s *screen) first() bool { return s.state.Verdict.Lesson.ID == "" }

func (s *screen) head() string {
	v := s.state.Verdict
	if s.state.Phase == live.Grading || s.first() {
		v = s.asked()
	}
	if s.state.Round == 0 { // it has not begun
		return bold.Render(fmt.Sprintf("%02d · %s", s.lesson.Number(), s.lesson.Title))
	}
	line, _, _ := strings.Cut(s.card(func(c report.Card) { c.Head(v) }), "\n")
	return line
}

// homePage is the lesson: what fails first, its hints, and all steps.
func (s *screen) homePage() string {
	if s.first() || s.state.Phase == live.Grading && time.Since(s.state.Began) > slow {
		steps := s.card(func(c report.Card) { c.Steps(s.asked()) })
		for _, id := range s.state.Running {
			steps = strings.Replace(steps, "· "+id+"\x1b", s.turn()+" "+id+"\x1b", 1)
		}
		return steps
	}
	v := s.state.Verdict
	var parts []string
	first, failing := s.failing()
	switch {
	case v.Passed():
		parts = append(parts, s.done(), "")
	case failing:
		parts = append(parts, s.card(func(c report.Card) { c.Failure(v, first) }))
		parts = append(parts, s.hintLines()...)
		parts = append(parts, "", faint.Render(strings.Repeat("─", min(s.width, widest))))
	}
	return strings.Join(append(parts, s.card(func(c report.Card) { c.Steps(v) })), "\n")
}

// done says that the lesson has passed, and what there is to do now.
func (s *screen) done() string {
	lines := []string{
		"  " + good.Bold(true).Render(fmt.Sprintf("✓ Lesson %02d is done.", s.lesson.Number())),
		"    d  compares your files with the reference",
	}
	if after, ok := s.lesson.Next(); ok {
		lines = append(lines, fmt.Sprintf("    n  goes on to %02d · %s", after.Number(), after.Title))
	} else {
		lines = append(lines, "    It was the last one.")
	}
	return strings.Join(lines, "\n")
}

func (s *screen) hintLines() []string {
	var lines []string
	for i, h := range s.hints {
		title := fmt.Sprintf("hint %d of %d", i+1, s.hintOf)
		lines = append(lines, "", strings.Repeat(" ", cardIndent)+bold.Render(title), report.Wrap(h, cardIndent, min(s.width, widest)))
	}
	return lines
}

// showHint scrolls to the last hint.
func (s *screen) showHint() {
	v := s.views[home]
	title := fmt.Sprintf("hint %d of %d", len(s.hints), s.hintOf)
	lines := strings.Split(ansi.Strip(v.GetContent()), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(l) == title })
	if at < 0 {
		return
	}
	end := at + 1
	for end < len(lines) && lines[end] != "" {
		end++
	}
	if end > v.YOffset()+v.Height() {
		v.SetYOffset(min(at, end-v.Height()))
	}
}

func (s *screen) listPage() string {
	var lines []string
	for i, l := range lessons.All() {
		state := ""
		if s.marks != nil {
			state = s.marks[l.ID].String()
		}
		line := fmt.Sprintf("  %-18s %3d min   %s", l.ID, l.Minutes, state)
		switch {
		case i == s.cursor:
			line = bold.Render("→" + line[1:])
		case s.marks[l.ID].Done():
			line = strings.Replace(line, "✓", good.Render("✓"), 1)
		}
		lines = append(lines, ansi.Truncate(line, s.width, "…"))
	}
	return strings.Join(lines, "\n")
}

// status is the line above the keys: a question, what a key has to say, or what
// the watcher is at.
func (s *screen) status() string {
	switch {
	case s.asking:
		return bold.Render(fmt.Sprintf("Start lesson %02d over? Yours is kept.  y yes · other keys no", s.lesson.Number()))
	case s.note != "":
		return bold.Render(ansi.Truncate(s.note, s.width, "…"))
	}
	right := ""
	if v := s.views[s.page]; !v.AtBottom() {
		right = fmt.Sprintf("↓ %d more", v.TotalLineCount()-v.YOffset()-v.VisibleLineCount())
	} else if !v.AtTop() {
		right = "the end"
	}
	return s.ends(s.doing(), faint.Render(right))
}

// ends puts one text to the left end of a line and another to the right.
func (s *screen) ends(left, right string) string {
	width := min(s.width, widest)
	left = ansi.Truncate(left, max(0, width-ansi.StringWidth(right)-1), "…")
	return left + strings.Repeat(" ", max(0, width-ansi.StringWidth(left)-ansi.StringWidth(right))) + right
}

// turn is a wheel that turns as long as a phase lasts.
func (s *screen) turn() string {
	return []string{"◐", "◓", "◑", "◒"}[int(time.Since(s.state.Began)/(150*time.Millisecond))%4]
}

// doing says what the watcher is at, or when it was through.
func (s *screen) doing() string {
	took := time.Since(s.state.Began)
	seconds := ""
	if took > slow {
		seconds = fmt.Sprintf(" for %d s", int(took.Seconds()))
	}
	switch s.state.Phase {
	case live.Building:
		return s.turn() + " building" + seconds
	case live.Grading:
		ended := 0
		for _, r := range s.state.Results {
			if r.Status != "" {
				ended++
			}
		}
		line := fmt.Sprintf("%s grading, %d of %d", s.turn(), ended, len(s.state.Results))
		if seconds != "" && len(s.state.Running) > 0 {
			line += "; no answer yet" + seconds
		}
		return line
	case live.Graded:
		return faint.Render(fmt.Sprintf("graded at %s, in %.1f s", s.state.Began.Format("15:04:05"), s.state.Took.Seconds()))
	}
	return ""
}

// A binding is a key and what it does, in a word and in a sentence.
type binding struct{ key, word, sentence string }

var (
	hintKey  = binding{"h", "hint", "the next hint for the step that fails, gentlest first"}
	textKey  = binding{"o", "text", "read the lesson's text"}
	listKey  = binding{"l", "list", "all lessons, and how far you are"}
	copyKey  = binding{"c", "copy", "copy the request that failed, as a curl line"}
	nextKey  = binding{"n", "next", "on to the next lesson, once this one has passed"}
	diffKey  = binding{"d", "diff", "compare your files with the reference, once the lesson has passed"}
	resetKey = binding{"r", "reset", "put the lesson back to its start; yours is kept in .workshop/backup"}
	againKey = binding{"enter", "again", "grade again although nothing was saved"}
	helpKey  = binding{"?", "help", "this page"}
	quitKey  = binding{"q", "quit", "end; in a page, back to the lesson"}
)

// keys is the last line: what there is to do here. What does not fit is left out;
// the page of help has it.
func (s *screen) keys() string {
	var shown []binding
	switch {
	case s.page == home && s.state.Verdict.Passed():
		shown = []binding{nextKey, diffKey, textKey, listKey, helpKey, quitKey, againKey, resetKey}
	case s.page == home && s.state.Verdict.Err != nil:
		shown = []binding{textKey, listKey, againKey, resetKey, helpKey, quitKey}
	case s.page == home:
		shown = []binding{hintKey, textKey, listKey, copyKey, helpKey, quitKey, againKey, resetKey}
	case s.page == list:
		shown = []binding{{key: "↑↓", word: "choose"}, {key: "enter", word: "watch it"}, {key: "q", word: "back"}}
	case s.page == text:
		shown = []binding{{key: "↑↓ space b", word: "scroll"}, {key: "t", word: "the task that fails"}, {key: "q", word: "back"}}
	default:
		shown = []binding{{key: "↑↓ space b", word: "scroll"}, {key: "q", word: "back"}}
	}
	line := ""
	for _, k := range shown {
		part := bold.Render(k.key) + " " + faint.Render(k.word)
		if line != "" {
			part = faint.Render(" · ") + part
		}
		if ansi.StringWidth(line)+ansi.StringWidth(part) > s.width {
			break
		}
		line += part
	}
	return line
}

func (s *screen) helpPage() string {
	lines := []string{bold.Render("Save a file of lessons/" + s.lesson.ID + ", and it is graded."), ""}
	if len(s.lesson.Edit) > 0 {
		lines = append(lines, "The lesson is about "+strings.Join(s.lesson.Edit, ", ")+"; all other files are given.", "")
	}
	for _, k := range []binding{hintKey, textKey, copyKey, nextKey, diffKey, listKey, againKey, resetKey, helpKey, quitKey} {
		text := report.Wrap(k.sentence, 9, min(s.width, widest))
		lines = append(lines, "  "+bold.Render(fmt.Sprintf("%-5s", k.key))+"  "+strings.TrimLeft(text, " "))
	}
	lines = append(lines, "", faint.Render("What is longer than the screen is scrolled with ↑ ↓, page up and page down."))
	return strings.Join(lines, "\n")
}
