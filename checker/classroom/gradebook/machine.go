package gradebook

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"io"

	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// A Stream writes a class student by student, so that it need not be held in memory.
type Stream interface {
	Add(b *Book, row *Row, marks map[string]marking.Mark) error
	Close() error
}

type jsonStream struct {
	out  *bufio.Writer
	some bool
}

// JSON begins a document with all that is known.
func JSON(b *Book, w io.Writer) (Stream, error) {
	s := &jsonStream{out: bufio.NewWriter(w)}
	head, err := json.Marshal(map[string]any{"title": b.Title, "made": b.Made, "graded_with": b.About, "isolation": b.Isolation})
	if err != nil {
		return nil, err
	}
	s.out.Write(head[:len(head)-1])
	s.out.WriteString(`,"students":[`)
	return s, nil
}

type studentJSON struct {
	Student  string       `json:"student"`
	Canvas   string       `json:"canvas,omitempty"`
	HandedIn string       `json:"handed_in,omitempty"`
	Problem  string       `json:"problem,omitempty"`
	Notes    []string     `json:"notes,omitempty"`
	Points   float64      `json:"points"`
	Of       float64      `json:"of"`
	Lessons  []lessonJSON `json:"lessons"`
}

type lessonJSON struct {
	Lesson string         `json:"lesson"`
	State  State          `json:"state"`
	Why    string         `json:"why,omitempty"`
	Points *float64       `json:"points"` // null where there is no grade
	Of     float64        `json:"of"`
	Days   int            `json:"days_late,omitempty"`
	Off    float64        `json:"percent_off,omitempty"`
	Detail string         `json:"detail,omitempty"`
	Alone  bool           `json:"graded_twice,omitempty"`
	Steps  []marking.Step `json:"steps,omitempty"`
}

func (s *jsonStream) Add(b *Book, row *Row, marks map[string]marking.Mark) error {
	one := studentJSON{Student: row.Student, Canvas: row.Canvas, HandedIn: date(row.At), Problem: row.Problem, Notes: row.Notes, Points: row.Points, Of: row.Of}
	for i, l := range b.Lessons {
		c, m := row.Cells[i], marks[l.ID]
		j := lessonJSON{Lesson: l.ID, State: c.State, Why: c.Why, Of: c.Of, Days: c.Days, Off: c.Off, Detail: m.Detail, Alone: m.Alone, Steps: m.Steps}
		if c.field() != "" {
			j.Points = &c.Points
		}
		one.Lessons = append(one.Lessons, j)
	}
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	if s.some {
		s.out.WriteByte(',')
	}
	s.some = true
	s.out.WriteByte('\n')
	_, err = s.out.Write(text)
	return err
}

func (s *jsonStream) Close() error {
	s.out.WriteString("\n]}\n")
	return s.out.Flush()
}

type junitStream struct {
	out *bufio.Writer
	xml *xml.Encoder
}

// JUnit begins JUnit XML: a test suite for each student and lesson.
func JUnit(w io.Writer) (Stream, error) {
	out := bufio.NewWriter(w)
	out.WriteString(xml.Header + "<testsuites>\n")
	e := xml.NewEncoder(out)
	e.Indent("  ", "  ")
	return &junitStream{out, e}, nil
}

func (s *junitStream) Add(b *Book, row *Row, marks map[string]marking.Mark) error {
	if row.Problem != "" {
		if err := report.WriteSuite(s.xml, row.Student, grade.Verdict{Err: problem{row.Problem}}); err != nil {
			return err
		}
	}
	for _, l := range b.Lessons {
		m, there := marks[l.ID]
		if !there {
			continue
		}
		if err := report.WriteSuite(s.xml, row.Student+" / "+l.ID, verdict(l, m)); err != nil {
			return err
		}
	}
	return nil
}

func (s *junitStream) Close() error {
	if err := s.xml.Flush(); err != nil {
		return err
	}
	s.out.WriteString("\n</testsuites>\n")
	return s.out.Flush()
}

// problem is why there is no verdict.
type problem struct{ text string }

func (p problem) Error() string { return p.text }

// verdict is the verdict that a mark was made of, as far as it was kept.
func verdict(l lessons.Lesson, m marking.Mark) grade.Verdict {
	v := grade.Verdict{Lesson: l}
	if m.Why != "" {
		v.Err = problem{m.Why + "\n" + m.Detail}
	}
	suite := suites.For(l)
	for _, s := range m.Steps {
		step, known := suite.Step(s.ID)
		if !known {
			step.ID = s.ID
		}
		r := grade.Result{Step: step, Status: s.Status, Reason: s.Reason, Detail: s.Detail}
		if s.Status == grade.Failed {
			r.Failure = &probe.Failure{Claim: s.Claim, Want: s.Want, Got: s.Got}
		}
		v.Results = append(v.Results, r)
	}
	return v
}
