package gradebook

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// A Book is a class's grades.
type Book struct {
	Title     string
	Made      time.Time
	About     string // what was graded with
	Isolation string // "bwrap", or "none"
	Lessons   []lessons.Lesson
	Rows      []Row
	Failures  []Failure // the most common first

	policy   Policy
	failures map[string]*Failure
}

// A Row is a student's grades.
type Row struct {
	Student string
	Page    string // the name of its page's file
	Canvas  string
	At      time.Time // when it was handed in
	Late    bool      // Canvas says so
	Problem string    // why nothing of it could be taken
	Notes   []string
	Cells   []Cell // one for each of the book's lessons
	Points  float64
	Of      float64
	Open    int // lessons that could not be graded
}

// A Cell is a student's grade for a lesson.
type Cell struct {
	State   State
	Why     string // why it is not graded, or what was done by hand
	Passed  int    // of the lesson's own steps
	Total   int
	Broken  int // steps of earlier lessons that held at its start and no longer do
	Points  float64
	Of      float64
	Days    int     // late
	Off     float64 // percent that lateness costs
	Results string  // a letter for each of the lesson's own steps, in order: p f s n e, as their statuses begin
}

// A State is what is known of a cell.
type State string

// The states of a cell. Only a graded one has points of its own; what could not be
// graded is never 0.
const (
	Graded   State = "graded"
	Ungraded State = "not graded" // there is something to look at
	Missing  State = "missing"    // the lesson was not handed in
	ByHand   State = "by hand"
)

// A Failure is one card, and who has it.
type Failure struct {
	Lesson   string
	Step     string
	Title    string
	Claim    string
	Card     marking.Step // the first that was met
	Students []string
}

// maxFailures bounds the cards that are told apart: messages may be students'.
const maxFailures = 5000

// New begins a book.
func New(policy Policy, about, isolation string, chosen []lessons.Lesson) *Book {
	return &Book{Title: cmp.Or(policy.Title, "The JWT Workshop"), Made: time.Now().UTC().Truncate(time.Second), About: about, Isolation: isolation,
		Lessons: chosen, policy: policy, failures: map[string]*Failure{}}
}

// Add adds a student's marks, one for each lesson that was handed in. Row says what
// is known besides.
func (b *Book) Add(r Row, marks map[string]marking.Mark) *Row {
	known := b.policy.Students[r.Student]
	handle := r.Student
	r.Canvas = cmp.Or(known.Canvas, r.Canvas)
	if at, err := known.HandedIn.time(); err == nil {
		r.At, r.Late = at, false
	}
	r.Student = cmp.Or(known.Name, r.Student)
	r.Page = page(handle)
	r.Cells = make([]Cell, len(b.Lessons))
	for i, l := range b.Lessons {
		m, there := marks[l.ID]
		c := b.cell(l, m, there, r)
		if given, ok := known.Points[l.ID]; ok {
			c.State, c.Points, c.Why, c.Off = ByHand, given.Points, cmp.Or(given.Why, "given by hand"), 0
		}
		if there {
			b.collect(l, m, r.Student)
		}
		switch {
		case c.State == Ungraded:
			r.Open++
		default:
			r.Points += c.Points
		}
		r.Of += c.Of
		r.Cells[i] = c
	}
	r.Points, r.Of = round(r.Points), round(r.Of)
	b.Rows = append(b.Rows, r)
	return &b.Rows[len(b.Rows)-1]
}

func (b *Book) cell(l lessons.Lesson, m marking.Mark, there bool, r Row) Cell {
	weight, points := b.policy.worth(l)
	c := Cell{Of: round(points)}
	status := map[string]grade.Status{}
	for _, s := range m.Steps {
		status[s.ID] = s.Status
	}
	got := 0.0
	var results strings.Builder
	for _, s := range suites.For(l).Steps {
		switch {
		case !s.Given:
			c.Total++
			letter := byte('-')
			if st := status[s.ID]; st != "" {
				letter = st[0]
			}
			results.WriteByte(letter)
			if status[s.ID] == grade.Passed {
				c.Passed++
				got += b.policy.weight(s)
			}
		case status[s.ID] == grade.Failed:
			c.Broken++
			got -= b.policy.weight(s)
		}
	}
	switch {
	case !there && r.Problem != "":
		c.State, c.Why = Ungraded, r.Problem
		return c
	case !there:
		c.State = Missing
		if b.policy.Missing != "zero" {
			c.Of = 0
		}
		return c
	}
	c.Results = results.String()
	if !m.Graded() {
		c.State, c.Why = Ungraded, m.Why
		if c.Why == "" {
			n := m.Count(grade.Error)
			first := ""
			for _, s := range m.Steps {
				if s.Status == grade.Error {
					first = s.Reason
					break
				}
			}
			c.Why = fmt.Sprintf("%s could not be graded: %s", plural(n, "step"), first)
		}
		return c
	}
	c.State = Graded
	c.Days, c.Off = b.policy.lateness(l, r.At)
	if weight > 0 {
		c.Points = round(points * max(0, got) / weight * (1 - c.Off/100))
	}
	return c
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// made finds the names of users that a session makes up: cards that differ in nothing
// else are the same.
var made = regexp.MustCompile(`\b[a-z]{3,9}-[a-z2-7]{5}(-long)?\b`)

// collect counts a student's failing cards.
func (b *Book) collect(l lessons.Lesson, m marking.Mark, student string) {
	for _, s := range m.Steps {
		if s.Status != grade.Failed {
			continue
		}
		claim := made.ReplaceAllString(s.Claim, "somebody")
		key := l.ID + "\x00" + s.ID + "\x00" + claim
		f := b.failures[key]
		if f == nil {
			if len(b.failures) >= maxFailures {
				continue
			}
			step, _ := suites.For(l).Step(s.ID)
			f = &Failure{Lesson: l.ID, Step: s.ID, Title: step.Title, Claim: claim, Card: s}
			b.failures[key] = f
		}
		f.Students = append(f.Students, student)
	}
}

// Close sorts what was collected; it comes after the last Add.
func (b *Book) Close() {
	slices.SortFunc(b.Rows, func(x, y Row) int {
		return cmp.Or(strings.Compare(strings.ToLower(x.Student), strings.ToLower(y.Student)), strings.Compare(x.Page, y.Page))
	})
	b.Failures = nil
	for _, f := range b.failures {
		b.Failures = append(b.Failures, *f)
	}
	slices.SortFunc(b.Failures, func(x, y Failure) int {
		return cmp.Or(len(y.Students)-len(x.Students), strings.Compare(x.Lesson, y.Lesson), strings.Compare(x.Step, y.Step), strings.Compare(x.Claim, y.Claim))
	})
}

// round rounds points to hundredths.
func round(points float64) float64 { return math.Round(points*100) / 100 }
