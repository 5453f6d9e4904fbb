package gradebook

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

//go:embed pages
var pages embed.FS

// A Report writes pages that need nothing but themselves: no script, no font and no
// picture from elsewhere. Beside the escaping of html/template, a policy in each page
// forbids scripts altogether.
type Report struct {
	folder    string
	templates *template.Template
}

// NewReport begins a report in a folder, which it makes anew.
func NewReport(folder string) (*Report, error) {
	style, err := pages.ReadFile("pages/style.css")
	if err != nil {
		return nil, err
	}
	templates, err := template.New("").Funcs(template.FuncMap{
		"short": short,
		"style": func() template.CSS { return template.CSS(style) },
	}).ParseFS(pages, "pages/*.html")
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, err
	}
	for _, sub := range []string{"students", "lessons"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return nil, err
		}
	}
	return &Report{folder: folder, templates: templates}, nil
}

func (r *Report) write(name, templateName string, data any) error {
	f, err := os.Create(filepath.Join(r.folder, name))
	if err != nil {
		return err
	}
	return errors.Join(r.templates.ExecuteTemplate(f, templateName, data), f.Close())
}

var notPlain = regexp.MustCompile(`[^a-z0-9]+`)

// page is the name of a student's page: readable, and nobody else's.
func page(student string) string {
	sum := sha256.Sum256([]byte(student))
	plain := strings.Trim(notPlain.ReplaceAllString(strings.ToLower(student), "-"), "-")
	return strings.Trim(plain[:min(len(plain), 40)]+"-"+hex.EncodeToString(sum[:4]), "-")
}

// Sum is the points of a row.
func (r Row) Sum() string {
	if r.Open > 0 {
		return number(r.Points) + " + ?"
	}
	return number(r.Points)
}

// OfText is what the row's points are out of.
func (r Row) OfText() string { return number(r.Of) }

// Handed is the day on which it was handed in.
func (r Row) Handed() string {
	if r.At.IsZero() {
		return ""
	}
	return r.At.UTC().Format("2 January 2006, 15:04 UTC")
}

// Strip is the cell's steps as a picture: one bar for each.
func (c Cell) Strip() template.HTML {
	if strings.Trim(c.Results, "-") == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="strip" viewBox="0 0 %d 1" preserveAspectRatio="none" role="img" aria-label="%d of %d steps passed">`, len(c.Results), c.Passed, c.Total)
	for from := 0; from < len(c.Results); {
		to := from
		for to < len(c.Results) && c.Results[to] == c.Results[from] {
			to++
		}
		class := string(c.Results[from])
		if class == "-" || class == "n" {
			class = "s"
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%d" width="%d" height="1"/>`, class, from, to-from)
		from = to
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // nothing in it is anybody's text
}

// Says is the cell in words.
func (c Cell) Says() string {
	switch c.State {
	case Missing:
		return "not handed in"
	case Ungraded, ByHand:
		return c.Why
	}
	text := fmt.Sprintf("%d of %d steps passed", c.Passed, c.Total)
	if c.Broken > 0 {
		text += fmt.Sprintf(", %s of earlier lessons broken", plural(c.Broken, "step"))
	}
	if c.Off > 0 {
		text += fmt.Sprintf(", %s late", plural(c.Days, "day"))
	}
	return text
}

// Under is what stands below the strip.
func (c Cell) Under() template.HTML {
	switch c.State {
	case Missing:
		return "–"
	case Ungraded:
		return `<span class="open">look</span>`
	}
	text := number(c.Points)
	if c.Broken > 0 {
		text += fmt.Sprintf(" (%d broken)", c.Broken)
	}
	return template.HTML(text)
}

// Days is how late the latest lesson was handed in, in words.
func (r Row) Days() string {
	days := 0
	for _, c := range r.Cells {
		if c.Off > 0 {
			days = max(days, c.Days)
		}
	}
	switch {
	case days > 0:
		return plural(days, "day") + " late"
	case r.Late:
		return "late"
	}
	return ""
}

// Names lists who has a failure, the first dozen.
func (f Failure) Names() string {
	const some = 12
	text := strings.Join(f.Students[:min(some, len(f.Students))], ", ")
	if more := len(f.Students) - some; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// A sheet is one lesson on a student's page.
type sheet struct {
	Lesson  lessons.Lesson
	Cell    Cell
	Strip   template.HTML
	Badge   template.HTML
	Score   string
	Detail  string
	Cards   []card
	Waiting string
}

type card struct {
	marking.Step
	Title, Why, Ref, Read string
}

func (s sheet) Lateness() string {
	return fmt.Sprintf("Handed in %s late: %s %% of the points are taken off.", plural(s.Cell.Days, "day"), number(s.Cell.Off))
}

func badge(c Cell) template.HTML {
	class, word := "s", string(c.State)
	switch {
	case c.State == Ungraded:
		class = "e"
	case c.State == Graded && c.Passed == c.Total && c.Broken == 0:
		class, word = "p", "passed"
	case c.State == Graded:
		class, word = "f", fmt.Sprintf("%d of %d steps", c.Passed, c.Total)
	}
	return template.HTML(fmt.Sprintf(`<span class="badge m-%s">%s</span>`, class, word))
}

// Student writes a student's page, which shows nobody else.
func (r *Report) Student(b *Book, row *Row, marks map[string]marking.Mark) error {
	var sheets []sheet
	for i, l := range b.Lessons {
		c := row.Cells[i]
		if c.State == Missing {
			continue
		}
		m := marks[l.ID]
		s := sheet{Lesson: l, Cell: c, Strip: c.Strip(), Badge: badge(c), Detail: m.Detail}
		if c.State != Ungraded {
			s.Score = number(c.Points) + " of " + number(c.Of) + " points"
		}
		skipped := 0
		suite := suites.For(l)
		for _, step := range m.Steps {
			switch step.Status {
			case grade.Skipped:
				skipped++
			case grade.Failed, grade.Error:
				about, _ := suite.Step(step.ID)
				if step.Status == grade.Error {
					step.Claim = "could not be graded: " + step.Reason
				}
				s.Cards = append(s.Cards, card{Step: step, Title: about.Title, Why: about.Why, Ref: about.Ref,
					Read: fmt.Sprintf("lessons/%s/README.md, task %d", about.Lesson, about.Task)})
			}
		}
		if skipped > 0 {
			s.Waiting = plural(skipped, "step") + " skipped: they need what does not pass yet."
		}
		sheets = append(sheets, s)
	}
	return r.write(filepath.Join("students", row.Page+".html"), "student.html", map[string]any{"Book": b, "Row": row, "Sheets": sheets})
}

// short is a lesson in the head of a column: its number, and what it is about.
func short(l lessons.Lesson) [2]string {
	number, name, _ := strings.Cut(l.ID, "-")
	return [2]string{number, name}
}

// spread is how a lesson went.
type spread struct {
	Lesson  lessons.Lesson
	N       int
	Picture template.HTML
}

// Class writes the pages about the class and each lesson, after the last student's.
// dead names the jobs that were given up.
func (r *Report) Class(b *Book, dead []string) error {
	for i, l := range b.Lessons {
		if err := r.lesson(b, i, l); err != nil {
			return err
		}
	}
	type open struct{ Student, Page, Lesson, Why string }
	var ungraded []open
	var shares []float64
	finished, begun := 0, 0
	for _, row := range b.Rows {
		all, any := true, false
		for i, c := range row.Cells {
			all = all && c.State == Graded && c.Passed == c.Total && c.Broken == 0
			any = any || c.Passed > 0
			if c.State == Ungraded && row.Problem == "" {
				ungraded = append(ungraded, open{row.Student, row.Page, b.Lessons[i].ID, c.Why})
			}
		}
		if row.Problem != "" {
			ungraded = append(ungraded, open{row.Student, row.Page, "all", row.Problem})
		}
		if all {
			finished++
		}
		if any {
			begun++
		}
		if row.Of > 0 {
			shares = append(shares, row.Points/row.Of)
		}
	}
	median := "–"
	if slices.Sort(shares); len(shares) > 0 {
		median = strconv.Itoa(int(100*shares[len(shares)/2])) + " %"
	}
	const shown = 20
	return r.write("index.html", "index.html", map[string]any{
		"Title": b.Title, "Rows": b.Rows, "Lessons": b.Lessons, "Made": b.Made, "Isolation": b.Isolation, "About": b.About,
		"Median": median, "Finished": finished, "Begun": begun, "Open": len(ungraded), "Ungraded": ungraded, "Dead": dead,
		"Spread": b.spreads(), "Failures": b.Failures[:min(shown, len(b.Failures))], "More": max(0, len(b.Failures)-shown),
	})
}

func (b *Book) spreads() []spread {
	var all []spread
	for i, l := range b.Lessons {
		var tenths [11]int // the last for those who passed all
		s := spread{Lesson: l}
		for _, row := range b.Rows {
			if c := row.Cells[i]; c.State == Graded && c.Total > 0 {
				tenths[10*c.Passed/c.Total]++
				s.N++
			}
		}
		most := max(1, slices.Max(tenths[:]))
		var p strings.Builder
		fmt.Fprintf(&p, `<svg viewBox="0 0 110 60" preserveAspectRatio="none" role="img" aria-label="%d of %d passed all">`, tenths[10], s.N)
		for t, n := range tenths {
			height := 56 * n / most
			if n > 0 {
				height = max(2, height)
			}
			fmt.Fprintf(&p, `<rect x="%d" y="%d" width="9" height="%d" rx="1"><title>%d</title></rect>`, 10*t, 59-height, height, n)
		}
		p.WriteString(`<line x1="0" x2="110" y1="59.5" y2="59.5"/></svg>`)
		s.Picture = template.HTML(p.String())
		all = append(all, s)
	}
	return all
}

// marks are what a result is called on a lesson's page, and read out as.
var letterMarks = map[byte][2]string{'p': {"✓", "passed"}, 'f': {"✗", "failed"}, 's': {"–", "skipped"}, 'n': {"–", "not graded here"}, 'e': {"?", "could not be graded"}, '-': {"", "not run"}}

func (r *Report) lesson(b *Book, at int, l lessons.Lesson) error {
	type row struct {
		Student, Page, Sum string
		Marks              template.HTML
	}
	var steps []grade.Step
	for _, s := range suites.For(l).Steps {
		if !s.Given {
			steps = append(steps, s)
		}
	}
	passed := make([]int, len(steps))
	var rows []row
	for _, from := range b.Rows {
		c := from.Cells[at]
		if c.State == Missing {
			continue
		}
		one := row{Student: from.Student, Page: from.Page, Sum: c.field()}
		var marks strings.Builder
		for i := range steps {
			letter := byte('-')
			switch {
			case i < len(c.Results) && strings.Trim(c.Results, "-") != "":
				letter = c.Results[i]
			case c.State == Ungraded: // there is nothing of it
				letter = 'e'
			}
			if letter == 'p' {
				passed[i]++
			}
			fmt.Fprintf(&marks, `<td class="mark m-%c"><span title="%s" aria-label="%[2]s">%s</span></td>`, letter, letterMarks[letter][1], letterMarks[letter][0])
		}
		one.Marks = template.HTML(marks.String())
		rows = append(rows, one)
	}
	var failures []Failure
	for _, f := range b.Failures {
		if f.Lesson == l.ID {
			failures = append(failures, f)
		}
	}
	return r.write(filepath.Join("lessons", l.ID+".html"), "lesson.html", map[string]any{
		"Book": b, "Lesson": l, "Steps": steps, "Rows": rows, "Passed": passed, "Failures": failures[:min(50, len(failures))]})
}
