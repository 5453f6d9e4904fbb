package proof

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is the corpus as a page of Markdown: each mistake with the wrong
// solutions that make it and the steps that catch them, then the right variants.
func Table(cases []Case) string {
	var b strings.Builder
	wrong, right := 0, 0
	byMistake := map[int][]Case{}
	for _, c := range cases {
		if c.Right {
			right++
			continue
		}
		wrong++
		if len(c.Mistakes) == 0 {
			byMistake[0] = append(byMistake[0], c)
		}
		for _, n := range c.Mistakes {
			byMistake[n] = append(byMistake[n], c)
		}
	}
	fmt.Fprintf(&b, "# What the graders were tested on\n\n%d wrong servers, each of which goes red at the step that is named here and nowhere else, and %d right ones that pass.\n", wrong, right)
	b.WriteString("`make proof` builds and grades them all and prints the result. This page is written by `go test ./checker/proof -run Table -update`.\n")
	b.WriteString("A wrong server is the reference solution of its lesson with a mistake in it or, where it says so, one of the right servers below.\n")
	row := func(c Case) {
		design := ""
		if c.Over != "" {
			design = ", over `" + strings.TrimPrefix(c.Over, "right/") + "`"
		}
		fmt.Fprintf(&b, "- %s: `%s` (%s%s) → `%s`\n", cell(c.Title), strings.TrimPrefix(c.Name, "wrong/"), c.Lesson.ID[:2], design, strings.Join(c.Red(), "`, `"))
	}
	for _, n := range slices.Sorted(maps.Keys(Mistakes)) {
		if n == 0 {
			continue
		}
		m := Mistakes[n]
		fmt.Fprintf(&b, "\n## %d · %s\n\n", n, cell(m.Text))
		if m.Elsewhere != "" {
			fmt.Fprintf(&b, "No step is about it: %s.\n", cell(m.Elsewhere))
		}
		for _, c := range byMistake[n] {
			row(c)
		}
	}
	b.WriteString("\n## Others\n\n")
	for _, c := range byMistake[0] {
		row(c)
	}
	b.WriteString("\n## Right variants\n\n")
	for _, c := range cases {
		if c.Right {
			fmt.Fprintf(&b, "- %s: `%s` (%s)\n", cell(c.Title), strings.TrimPrefix(c.Name, "right/"), c.Lesson.ID[:2])
		}
	}
	return b.String()
}

// cell keeps what a case says of itself from being read as Markdown or HTML.
func cell(s string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "|", `\|`, "*", `\*`, "_", `\_`).Replace(s)
}
