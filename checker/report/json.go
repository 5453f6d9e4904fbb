package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
)

// The document that JSON writes. Durations are in milliseconds.
type document struct {
	Passed   bool         `json:"passed"`
	ExitCode int          `json:"exit_code"`
	Lessons  []lessonJSON `json:"lessons"`
}

type lessonJSON struct {
	Lesson   string     `json:"lesson"`
	Title    string     `json:"title"`
	Passed   bool       `json:"passed"`
	ExitCode int        `json:"exit_code"`
	TookMS   float64    `json:"took_ms"`
	Error    string     `json:"error,omitempty"`  // why nothing could be graded
	Output   string     `json:"output,omitempty"` // what the compiler said
	Steps    []stepJSON `json:"steps"`
}

type stepJSON struct {
	ID     string       `json:"id"`
	Title  string       `json:"title"`
	Lesson string       `json:"lesson"` // where it is taught
	Given  bool         `json:"given"`
	Status grade.Status `json:"status"`
	Points int          `json:"points"`
	TookMS float64      `json:"took_ms"`
	Why    string       `json:"why"`
	Ref    string       `json:"ref"`

	Claim   string        `json:"claim,omitempty"`
	Sent    *exchangeJSON `json:"sent,omitempty"`
	Want    string        `json:"want,omitempty"`
	Got     string        `json:"got,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	Detail  string        `json:"detail,omitempty"`
	Printed string        `json:"printed,omitempty"`
}

type exchangeJSON struct {
	Curl    string              `json:"curl"`
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Headers map[string][]string `json:"headers"`
	Body    string              `json:"body"`
	Token   string              `json:"token,omitempty"` // what is in the token
	Status  int                 `json:"status"`
	Answer  map[string][]string `json:"answer_headers"`
	Reply   string              `json:"answer_body"`
}

// ExitCode is that of several verdicts: 2 where one could not be given, else 1
// where one failed, else 0.
func ExitCode(verdicts []grade.Verdict) int {
	code := 0
	for _, v := range verdicts {
		code = max(code, v.ExitCode())
	}
	return code
}

// JSON writes all that is known, whole.
func JSON(w io.Writer, verdicts []grade.Verdict) error {
	doc := document{ExitCode: ExitCode(verdicts), Lessons: []lessonJSON{}}
	doc.Passed = doc.ExitCode == 0
	for _, v := range verdicts {
		l := lessonJSON{Lesson: v.Lesson.ID, Title: v.Lesson.Title, Passed: v.Passed(), ExitCode: v.ExitCode(), TookMS: milli(v.Took), Steps: []stepJSON{}}
		var build *subject.BuildError
		if errors.As(v.Err, &build) {
			l.Error, l.Output = "your code does not compile", build.Output
		} else if v.Err != nil {
			l.Error = v.Err.Error()
		}
		for _, r := range v.Results {
			l.Steps = append(l.Steps, stepOf(r))
		}
		doc.Lessons = append(doc.Lessons, l)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(doc)
}

func stepOf(r grade.Result) stepJSON {
	s := stepJSON{ID: r.Step.ID, Title: r.Step.Title, Lesson: r.Step.Lesson, Given: r.Step.Given, Status: r.Status, Points: max(1, r.Step.Points),
		TookMS: milli(r.Took), Why: r.Step.Why, Ref: r.Step.Ref, Reason: r.Reason, Detail: r.Detail}
	if r.Status != grade.Passed {
		s.Printed = r.Printed
	}
	if f := r.Failure; f != nil {
		s.Claim, s.Want, s.Got = f.Claim, f.Want, f.Got
		if f.Sent != nil {
			s.Sent = exchangeOf(f.Sent)
		}
	}
	return s
}

func exchangeOf(e *probe.Exchange) *exchangeJSON {
	return &exchangeJSON{Curl: e.Curl(), Method: e.Method, Path: e.Path, Headers: e.Header, Body: string(e.Body), Token: e.DescribeToken(),
		Status: e.Status, Answer: e.ReplyHeader, Reply: string(e.ReplyBody)}
}

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// JUnit XML, as CI systems read it: a test suite per lesson, a test case per step.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"` // seconds
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitReason `xml:"failure"`
	Error   *junitReason `xml:"error"`
	Skipped *junitReason `xml:"skipped"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the verdicts as JUnit XML.
func JUnit(w io.Writer, verdicts []grade.Verdict) error {
	var doc junitSuites
	for _, v := range verdicts {
		doc.Suites = append(doc.Suites, suiteOf(v.Lesson.ID, v))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// WriteSuite writes one verdict as a test suite of that name, for documents that are
// too long to be held in memory.
func WriteSuite(e *xml.Encoder, name string, v grade.Verdict) error {
	return e.EncodeElement(suiteOf(name, v), xml.StartElement{Name: xml.Name{Local: "testsuite"}})
}

func suiteOf(name string, v grade.Verdict) junitSuite {
	s := junitSuite{Name: legal(name), Time: seconds(v.Took)}
	if v.Err != nil {
		first, rest, _ := strings.Cut(v.Err.Error(), "\n")
		s.Cases = append(s.Cases, junitCase{Name: "could be graded", Class: s.Name, Time: "0", Error: reason(first, rest)})
		s.Errors++
	}
	for _, r := range v.Results {
		c := junitCase{Name: r.Step.ID, Class: s.Name, Time: seconds(r.Took)}
		switch r.Status {
		case grade.Failed:
			c.Failure = reason(r.Failure.Claim, r.Failure.Error()+"\nwhy   "+r.Step.Why)
			s.Failures++
		case grade.Error:
			c.Error = reason(r.Reason, r.Detail)
			s.Errors++
		case grade.Skipped, grade.NotGraded:
			c.Skipped = reason(word(r.Status)+": "+r.Reason, "")
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	s.Tests = len(s.Cases)
	return s
}

func reason(message, text string) *junitReason {
	return &junitReason{Message: legal(message), Text: legal(text)}
}

// legal leaves out what XML 1.0 cannot hold (§2.2).
func legal(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r != 0xFFFE && r != 0xFFFF {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, "?"))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
