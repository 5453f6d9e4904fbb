package workbook

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"jwtworkshop/lessons"
)

// hintStart is the "1. " of a hint.
var hintStart = regexp.MustCompile(`^([1-9])\. +`)

// Hints returns the hints for each step of a lesson, gentlest first, as its
// hints.md has them: a "## step-id" heading, then numbered paragraphs.
func Hints(l lessons.Lesson) (map[string][]string, error) {
	text, err := fs.ReadFile(l.Texts(), "hints.md")
	if err != nil {
		return nil, fmt.Errorf("lesson %s has no hints: %w", l.ID, err)
	}
	return parseHints(string(text)), nil
}

func parseHints(text string) map[string][]string {
	hints := map[string][]string{}
	step := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch heading, isHeading := strings.CutPrefix(line, "## "); {
		case isHeading:
			step = strings.Trim(strings.TrimSpace(heading), "`")
		case step == "":
		case hintStart.MatchString(line):
			hints[step] = append(hints[step], hintStart.ReplaceAllString(line, ""))
		case strings.TrimSpace(line) != "" && len(hints[step]) > 0:
			last := len(hints[step]) - 1
			hints[step][last] += " " + strings.TrimSpace(line)
		}
	}
	return hints
}

// NextHint returns the next hint for a step and notes that it was given: its
// level, from 1, how many there are, and its text. After the last one it returns
// the last one again.
func (w *Workbook) NextHint(l lessons.Lesson, step string) (level, of int, text string, err error) {
	all, err := Hints(l)
	if err != nil {
		return 0, 0, "", err
	}
	hints := all[step]
	if len(hints) == 0 {
		return 0, 0, "", fmt.Errorf("there are no hints for %s", step)
	}
	err = w.change(func(n *notes) {
		level = min(n.Hints[step]+1, len(hints))
		n.Hints[step] = level
	})
	if err != nil {
		return 0, 0, "", err
	}
	return level, len(hints), hints[level-1], nil
}

// GivenHints returns the hints for a step that were given so far, and how many
// there are.
func (w *Workbook) GivenHints(l lessons.Lesson, step string) (given []string, of int, err error) {
	all, err := Hints(l)
	if err != nil {
		return nil, 0, err
	}
	hints := all[step]
	return hints[:min(w.load().Hints[step], len(hints))], len(hints), nil
}
