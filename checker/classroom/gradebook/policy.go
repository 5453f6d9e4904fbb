// Package gradebook makes grades of marks, and of grades the files that a teacher
// takes away: CSV, a Canvas export filled in, JSON, JUnit, and pages to read. Names
// and messages in them are students' and are treated so.
package gradebook

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// A Policy says what steps are worth and what lateness costs. The zero value: each
// step its own points, nothing for lateness. checker/classroom/README.md has its
// schema.
type Policy struct {
	Title    string             `yaml:"title"`
	Points   map[string]float64 `yaml:"points"`  // by lesson: what all of it is worth
	Steps    map[string]float64 `yaml:"steps"`   // by step: what it weighs in its lesson
	Missing  string             `yaml:"missing"` // what a lesson counts that was not handed in: blank (unless set) or zero
	Late     Late               `yaml:"late"`
	Students map[string]Student `yaml:"students"`
}

// Late says what lateness costs.
type Late struct {
	Due    map[string]When `yaml:"due"`     // by lesson; "all" is every other
	Grace  Span            `yaml:"grace"`   // after it, that costs nothing
	PerDay float64         `yaml:"per_day"` // percent of the points, for each day that has begun
	AtMost float64         `yaml:"at_most"` // percent in all; 0 is 100
}

// A Student is what a teacher knows about one.
type Student struct {
	Name     string            `yaml:"name"`      // in place of what the submission is called
	Canvas   string            `yaml:"canvas"`    // their ID there
	HandedIn When              `yaml:"handed_in"` // in place of the submission's date
	Points   map[string]Points `yaml:"points"`    // by lesson: in place of what was graded
}

// A When is a time as RFC 3339 writes it; a Span is one as Go writes durations. They
// are read as text, so that a wrong one is told with its line.
type (
	When string
	Span string
)

func (w When) time() (time.Time, error) { return time.Parse(time.RFC3339, string(w)) }

func (s Span) duration() (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	return time.ParseDuration(string(s))
}

// Points are given by hand.
type Points struct {
	Points float64 `yaml:"points"`
	Why    string  `yaml:"why"`
}

// ReadPolicy reads a policy from a YAML file. Errors name the file, the line and the
// column; there is one for each mistake that it can tell.
func ReadPolicy(path string) (Policy, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Policy{}, err
	}
	return parsePolicy(path, text)
}

func parsePolicy(path string, text []byte) (p Policy, err error) {
	if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil {
		return Policy{}, located(path, err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return Policy{}, located(path, err)
	}
	c := checker{path: path, file: file}
	if len(file.Docs) > 1 {
		at := file.Docs[1].Start.Position
		return Policy{}, fmt.Errorf("%s:%d:%d: a policy is one document, and here begins another", path, at.Line, at.Column)
	}
	c.check(p)
	if len(c.problems) > 0 {
		return Policy{}, errors.Join(c.problems...)
	}
	return p, nil
}

// located puts before an error where it is.
func located(path string, err error) error {
	line, column, said := 1, 1, err.Error()
	var at yaml.Error
	if errors.As(err, &at) {
		said = at.GetMessage()
		if token := at.GetToken(); token != nil && token.Position != nil {
			line, column = token.Position.Line, token.Position.Column
		}
	}
	return fmt.Errorf("%s:%d:%d: %s", path, line, column, strings.ReplaceAll(said, "\n", " "))
}

// A checker looks for what can be read and makes no sense.
type checker struct {
	path     string
	file     *ast.File
	problems []error
}

// wrong notes a mistake at the value that the keys lead to.
func (c *checker) wrong(keys []string, format string, args ...any) {
	at := c.path
	if len(c.file.Docs) > 0 {
		if node := find(c.file.Docs[0].Body, keys); node != nil {
			at = fmt.Sprintf("%s:%d:%d", c.path, node.GetToken().Position.Line, node.GetToken().Position.Column)
		}
	}
	shown := make([]string, len(keys))
	for i, key := range keys {
		if shown[i] = key; strconv.Quote(key) != `"`+key+`"` {
			shown[i] = strconv.Quote(key)
		}
	}
	c.problems = append(c.problems, fmt.Errorf("%s: %s: %s", at, strings.Join(shown, "."), fmt.Sprintf(format, args...)))
}

// find is the key's node that the keys lead to, or the nearest above it.
func find(node ast.Node, keys []string) ast.Node {
	if len(keys) == 0 {
		return node
	}
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	}
	for _, pair := range pairs {
		if pair.Key.GetToken().Value == keys[0] {
			if len(keys) == 1 {
				return pair.Key
			}
			return find(pair.Value, keys[1:])
		}
	}
	return node
}

func (c *checker) check(p Policy) {
	lesson := func(id string, keys ...string) {
		if l, err := lessons.Find(id); err != nil || l.ID != id {
			c.wrong(keys, "there is no lesson %q; write it as in 05-refresh", id)
		}
	}
	number := func(n float64, keys ...string) {
		if math.IsNaN(n) || n < 0 || n > 1e6 {
			c.wrong(keys, "points are from 0 to a million, not %v", n)
		}
	}
	when := func(w When, keys ...string) {
		if _, err := w.time(); err != nil {
			c.wrong(keys, "write it as in 2026-11-30T23:59:00+01:00, not %q", string(w))
		}
	}
	for id, n := range p.Points {
		lesson(id, "points", id)
		number(n, "points", id)
	}
	var known []string
	for _, l := range lessons.All() {
		for _, s := range suites.Own(l) {
			known = append(known, s.ID)
		}
	}
	for id, n := range p.Steps {
		if !slices.Contains(known, id) {
			c.wrong([]string{"steps", id}, "there is no step of that name")
		}
		number(n, "steps", id)
	}
	if p.Missing != "" && p.Missing != "blank" && p.Missing != "zero" {
		c.wrong([]string{"missing"}, "it is blank or zero, not %q", p.Missing)
	}
	for id, due := range p.Late.Due {
		if id != "all" {
			lesson(id, "late", "due", id)
		}
		when(due, "late", "due", id)
	}
	if grace, err := p.Late.Grace.duration(); err != nil || grace < 0 {
		c.wrong([]string{"late", "grace"}, "write it as in 15m or 2h, not %q", p.Late.Grace)
	}
	for key, percent := range map[string]float64{"per_day": p.Late.PerDay, "at_most": p.Late.AtMost} {
		if math.IsNaN(percent) || percent < 0 || percent > 100 {
			c.wrong([]string{"late", key}, "a percentage is from 0 to 100, not %v", percent)
		}
	}
	for name, s := range p.Students {
		if s.HandedIn != "" {
			when(s.HandedIn, "students", name, "handed_in")
		}
		for id, given := range s.Points {
			lesson(id, "students", name, "points", id)
			number(given.Points, "students", name, "points", id, "points")
		}
	}
	slices.SortFunc(c.problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}

// weight is what a step weighs.
func (p Policy) weight(s grade.Step) float64 {
	if w, ok := p.Steps[s.ID]; ok {
		return w
	}
	return float64(max(1, s.Points))
}

// worth is what a lesson's own steps weigh together, and what all of it is worth.
func (p Policy) worth(l lessons.Lesson) (weight, points float64) {
	for _, s := range suites.For(l).Steps {
		if !s.Given {
			weight += p.weight(s)
		}
	}
	if points, ok := p.Points[l.ID]; ok {
		return weight, points
	}
	return weight, weight
}

// lateness is what is taken off for a lesson that was handed in at a time: the days
// that had begun, and the percentage.
func (p Policy) lateness(l lessons.Lesson, at time.Time) (days int, percent float64) {
	due, ok := p.Late.Due[l.ID]
	if !ok {
		due, ok = p.Late.Due["all"]
	}
	if !ok || at.IsZero() {
		return 0, 0
	}
	end, err := due.time()
	grace, graceErr := p.Late.Grace.duration()
	if err != nil || graceErr != nil || at.Sub(end) <= grace {
		return 0, 0
	}
	days = int(math.Ceil(float64(at.Sub(end)) / float64(24*time.Hour)))
	most := p.Late.AtMost
	if most == 0 {
		most = 100
	}
	return days, min(most, float64(days)*p.Late.PerDay)
}
