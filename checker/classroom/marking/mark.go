// Package marking builds and grades what one student handed in and keeps what is
// worth keeping of the verdicts.
package marking

import (
	"encoding/json"
	"errors"
	"strings"

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// A Mark is the verdict on one student's lesson, as it is kept and shown. All texts
// in it may be a student's.
type Mark struct {
	Lesson string `json:"lesson"`
	Why    string `json:"why,omitempty"`    // why there is no verdict, in a line; empty where there is one
	Detail string `json:"detail,omitempty"` // the same at length: the compiler's words
	Ours   bool   `json:"ours,omitempty"`   // it is not the submission's fault; it is to be tried again
	Steps  []Step `json:"steps,omitempty"`
	Alone  bool   `json:"alone,omitempty"` // run once more with nothing beside it
}

// A Step is what became of one step.
type Step struct {
	ID     string       `json:"id"`
	Status grade.Status `json:"status"`
	Claim  string       `json:"claim,omitempty"` // what is wrong, in a sentence
	Sent   string       `json:"sent,omitempty"`  // as curl
	Token  string       `json:"token,omitempty"`
	Want   string       `json:"want,omitempty"`
	Got    string       `json:"got,omitempty"`
	Reason string       `json:"reason,omitempty"` // why it is neither passed nor failed
	Detail string       `json:"detail,omitempty"`
	Log    string       `json:"log,omitempty"` // the last that the server printed
}

// Uncompiled is the Why of a lesson that the compiler or the linker refuses.
const Uncompiled = "it does not compile"

// Count is how many steps have the status.
func (m Mark) Count(s grade.Status) int {
	n := 0
	for _, step := range m.Steps {
		if step.Status == s {
			n++
		}
	}
	return n
}

// Graded tells whether each step has a verdict: passed, failed, or skipped because
// of one that failed.
func (m Mark) Graded() bool { return m.Why == "" && m.Count(grade.Error) == 0 && len(m.Steps) > 0 }

// Refused is the mark of a work that was not taken.
func Refused(w intake.Work) Mark {
	return Mark{Lesson: w.Lesson.ID, Why: "refused: " + w.Refused[0], Detail: short(strings.Join(w.Refused, "\n"))}
}

// Failed is the mark where the classroom itself is at fault.
func Failed(l lessons.Lesson, err error) Mark {
	return Mark{Lesson: l.ID, Why: "the classroom could not grade it", Detail: short(err.Error()), Ours: true}
}

// What a mark's texts may take, in bytes. A NATS server takes a MiB at a time unless it is
// told otherwise, and the marks of all of a student's lessons are one answer.
const (
	maxText = 8 << 10   // one of them
	maxAll  = 768 << 10 // all that a student's marks are as JSON
)

// short is a text as it is kept: what would turn its direction or drive a terminal is
// shown as a dot.
func short(s string) string { return cut(intake.Legible(cut(s, maxText)), maxText) }

func cut(s string, size int) string {
	if len(s) > size {
		s = strings.ToValidUTF8(s[:size], "") + "…"
	}
	return s
}

// fit cuts the longest texts of a student's marks until all of them fit.
func fit(marks []Mark) {
	for size := maxText / 2; size > 0; size /= 2 {
		if text, err := json.Marshal(marks); err != nil || len(text) <= maxAll {
			return
		}
		for _, m := range marks {
			for i := range m.Steps {
				s := &m.Steps[i]
				for _, text := range []*string{&s.Claim, &s.Sent, &s.Token, &s.Want, &s.Got, &s.Reason, &s.Detail, &s.Log} {
					*text = cut(*text, size)
				}
			}
		}
	}
}

// of keeps a verdict.
func of(v grade.Verdict) Mark {
	m := Mark{Lesson: v.Lesson.ID}
	var build *subject.BuildError
	switch {
	case errors.As(v.Err, &build):
		m.Why, m.Detail = Uncompiled, short(strings.Join(report.CompilerErrors(build), "\n"))
	case v.Err != nil:
		m.Why, m.Detail = "it could not be built", short(v.Err.Error())
	}
	for _, r := range v.Results {
		s := Step{ID: r.Step.ID, Status: r.Status, Reason: short(r.Reason), Detail: short(r.Detail)}
		if f := r.Failure; f != nil {
			s.Claim, s.Want, s.Got = short(f.Claim), short(f.Want), short(f.Got)
			if f.Sent != nil {
				s.Sent, s.Token = short(f.Sent.ShortCurl()), short(f.Sent.DescribeToken())
			}
		}
		if r.Status == grade.Failed || r.Status == grade.Error {
			s.Log = report.LastLines(short(r.Printed), 8)
		}
		m.Steps = append(m.Steps, s)
	}
	return m
}
