package main

import (
	"errors"
	"fmt"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/live"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// A verdict is a lesson's state as the page shows it: what the terminal's card says,
// in parts.
type verdict struct {
	Lesson  string     `json:"lesson"`
	Phase   live.Phase `json:"phase"`
	Known   bool       `json:"known"` // false until the first verdict
	Passed  bool       `json:"passed"`
	Done    int        `json:"done"`            // steps that passed
	Total   int        `json:"total"`           // steps in all
	Asked   int        `json:"asked"`           // steps of this round that have ended
	Problem string     `json:"problem"`         // why nothing could be graded; "" where something was
	Blocks  []string   `json:"blocks"`          // what the compiler said, each with its line of code
	Given   int        `json:"given"`           // steps of earlier lessons that hold
	Steps   []step     `json:"steps"`           // all others
	First   string     `json:"first,omitempty"` // the step to mend first
	TookMS  float64    `json:"took"`            // from the save to the verdict
	Next    string     `json:"next,omitempty"`  // the lesson after this one
}

// A step with what is known of it.
type step struct {
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Status  grade.Status `json:"status"`
	Given   bool         `json:"given"` // of an earlier lesson: it held when this one began
	Claim   string       `json:"claim,omitempty"`
	Sent    string       `json:"sent,omitempty"` // the curl command with long tokens folded
	Curl    string       `json:"curl,omitempty"` // the same, whole
	Token   string       `json:"token,omitempty"`
	Raw     string       `json:"raw,omitempty"` // the token itself
	Want    string       `json:"want,omitempty"`
	Got     string       `json:"got,omitempty"`
	Detail  string       `json:"detail,omitempty"`
	Why     string       `json:"why"`
	Ref     string       `json:"ref"`
	Printed string       `json:"printed,omitempty"` // the end of what the program printed
	Read    string       `json:"read"`              // where the task is described
	Hints   []string     `json:"hints"`             // those that were given
	HintsOf int          `json:"hintsOf"`
}

// hintsOf returns the hints for a step that were given, and how many there are.
type hintsOf func(l lessons.Lesson, step string) (given []string, of int, err error)

// show turns a state into what the page shows.
func show(s live.State, hints hintsOf) verdict {
	v := s.Verdict
	out := verdict{Lesson: s.Lesson.ID, Phase: s.Phase, Blocks: []string{}, Steps: []step{}, Next: after(s.Lesson)}
	for _, r := range s.Results {
		if r.Status != "" {
			out.Asked++
		}
	}
	out.Known = len(v.Results) > 0 || v.Err != nil
	if !out.Known {
		out.Total = len(s.Results)
		return out
	}
	out.Passed, out.Done, out.Total = v.Passed(), v.Count(grade.Passed), len(v.Results)
	out.TookMS = float64(s.Took.Round(time.Millisecond).Milliseconds())
	var build *subject.BuildError
	if errors.As(v.Err, &build) {
		out.Problem, out.Blocks = "Your code does not compile.", report.CompilerErrors(build)
	} else if v.Err != nil {
		out.Problem = v.Err.Error()
	}
	if first, ok := v.First(); ok {
		out.First = first.Step.ID
	}
	for _, r := range v.Results {
		if r.Step.Given && r.Status == grade.Passed {
			out.Given++
			continue
		}
		out.Steps = append(out.Steps, stepOf(s.Lesson, r, hints))
	}
	return out
}

func stepOf(l lessons.Lesson, r grade.Result, hints hintsOf) step {
	out := step{ID: r.Step.ID, Title: r.Step.Title, Status: r.Status, Given: r.Step.Given, Why: r.Step.Why, Ref: r.Step.Ref, Read: read(l, r.Step), Hints: []string{}}
	switch r.Status {
	case grade.Passed:
		return out
	case grade.Failed:
		out.Claim = r.Failure.Claim
		out.Want, out.Got = r.Failure.Want, r.Failure.Got
		if sent := r.Failure.Sent; sent != nil {
			out.Sent, out.Curl, out.Token, out.Raw = sent.ShortCurl(), sent.Curl(), sent.DescribeToken(), sent.Token.Raw
			if len(out.Curl) > maxShown { // a body of megabytes, for one step
				out.Curl = out.Sent
			}
		}
	case grade.Skipped, grade.NotGraded:
		out.Claim = r.Reason
		return out
	default:
		out.Claim, out.Detail = "could not be graded: "+r.Reason, r.Detail
	}
	out.Detail, out.Printed = report.Harmless(out.Detail), report.Harmless(report.LastLines(r.Printed, 8))
	home, err := lessons.Find(r.Step.Lesson)
	if err != nil {
		home = l
	}
	if given, of, err := hints(home, r.Step.ID); err == nil {
		out.HintsOf = of
		out.Hints = append(out.Hints, given...)
	}
	return out
}

// read is where the task that asks for a step is described: "#task-3", or another
// lesson's page.
func read(l lessons.Lesson, s grade.Step) string {
	anchor := fmt.Sprintf("#task-%d", s.Task)
	if s.Lesson == l.ID {
		return anchor
	}
	return "/lessons/" + s.Lesson + anchor
}

// after is the ID of the lesson that follows, "" after the last one.
func after(l lessons.Lesson) string {
	for _, next := range lessons.All() {
		if next.Number() == l.Number()+1 {
			return next.ID
		}
	}
	return ""
}
