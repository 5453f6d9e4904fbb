package gradebook

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/suites"
)

type summaryStream struct{ out io.Writer }

// Summary begins a page in Markdown with each student's points and the first card of
// the first lesson that did not pass, and of others that are begun: for the summary of
// a run of GitHub Actions. What is a student's stands in code blocks.
func Summary(w io.Writer) (Stream, error) { return &summaryStream{w}, nil }

func (s *summaryStream) Add(b *Book, row *Row, marks map[string]marking.Mark) error {
	var out strings.Builder
	fmt.Fprintf(&out, "## %s of %s points\n\n", row.Sum(), number(row.Of))
	if b.Isolation == "none" {
		out.WriteString("**Graded without isolation.**\n\n")
	}
	if row.Problem != "" {
		out.WriteString("Nothing of it could be graded:\n\n" + block(row.Problem))
	}
	out.WriteString("| lesson | steps | points |\n|---|---|---|\n")
	var cards strings.Builder
	for i, l := range b.Lessons {
		c := row.Cells[i]
		switch c.State {
		case Missing:
			continue
		case Ungraded:
			fmt.Fprintf(&out, "| %s | could not be graded | |\n", l.ID)
			fmt.Fprintf(&cards, "\n### %s\n\n%s", l.ID, block(c.Why+"\n"+marks[l.ID].Detail))
			continue
		}
		fmt.Fprintf(&out, "| %s | %d of %d | %s of %s |\n", l.ID, c.Passed, c.Total, number(c.Points), number(c.Of))
		for _, step := range marks[l.ID].Steps {
			if step.Status != grade.Failed {
				continue
			}
			if c.Passed == 0 && cards.Len() > 0 {
				break // a starter, which waits for its turn
			}
			about, _ := suites.For(l).Step(step.ID)
			text := step.Claim
			for _, line := range [][2]string{{"sent", step.Sent}, {"token", step.Token}, {"want", step.Want}, {"got", step.Got}, {"why", about.Why}, {"ref", about.Ref}} {
				if line[1] != "" {
					text += fmt.Sprintf("\n%-5s %s", line[0], line[1])
				}
			}
			fmt.Fprintf(&cards, "\n### %s: `%s`\n\n%s\nRead `lessons/%s/README.md`, task %d.\n", l.ID, step.ID, block(text), about.Lesson, about.Task)
			break
		}
	}
	_, err := io.WriteString(s.out, out.String()+cards.String()+"\n")
	return err
}

func (s *summaryStream) Close() error { return nil }

var backticks = regexp.MustCompile("`+")

// block is a text in a fence that it cannot close.
func block(text string) string {
	fence := "```"
	for _, run := range backticks.FindAllString(text, -1) {
		if len(run) >= len(fence) {
			fence = run + "`"
		}
	}
	return fence + "text\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}
