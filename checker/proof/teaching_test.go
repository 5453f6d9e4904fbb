package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/proof"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

var (
	toldStep   = regexp.MustCompile("(?m)^\\| .* \\| `([a-z0-9-]+)` \\|$")
	aLesson    = regexp.MustCompile(`\b\d\d-[a-z-]+\b`)
	plannedFor = regexp.MustCompile(`(?m)^\| \d\d:\d\d \| \[([^\]]+)\]\([^)]+\) \| (\d+) min \|$`)
)

// The plan for the classroom has a section on each lesson, and what it says of
// lessons, steps and minutes is so. A mistake that it tells is one that a wrong
// server of the corpus makes.
func TestTheTeachingPlanIsTrue(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "lessons", "TEACHING.md"))
	require.NoError(t, err)
	text := string(raw)
	ids := map[string]int{}
	for _, l := range lessons.All() {
		ids[l.ID] = l.Minutes
		_, after, found := strings.Cut(text, fmt.Sprintf("\n### [%s](%[1]s/README.md) · %d minutes\n", l.ID, l.Minutes))
		if !assert.True(t, found, "there is no section on %s with its %d minutes", l.ID, l.Minutes) {
			continue
		}
		section, _, _ := strings.Cut(strings.Split(after, "\n### ")[0], "\n## ")
		told := firsts(toldStep.FindAllStringSubmatch(section, -1))
		assert.NotEmpty(t, told, "%s: which mistakes are to be expected?", l.ID)
		for _, id := range told {
			_, there := suites.For(l).Step(id)
			assert.True(t, there, "%s: %s is no step of it", l.ID, id)
			assert.True(t, slices.ContainsFunc(load(t, false), func(c proof.Case) bool { return slices.Contains(c.Red(), id) }), "%s: no wrong server goes red at %s", l.ID, id)
		}
		for _, word := range []string{"Aim: ", "To discuss: "} {
			assert.Contains(t, section, "\n"+word, l.ID)
		}
	}
	for _, id := range aLesson.FindAllString(text, -1) {
		assert.Contains(t, ids, id, "there is no such lesson")
	}
	for _, row := range plannedFor.FindAllStringSubmatch(text, -1) {
		assert.Equal(t, fmt.Sprint(ids[row[1]]), row[2], "the day's plan gives %s another time", row[1])
	}
	for _, l := range link.FindAllStringSubmatch(text, -1) {
		_, err := os.Stat(filepath.Join(root, "lessons", l[1]))
		assert.NoError(t, err, "a link leads nowhere")
	}
}
