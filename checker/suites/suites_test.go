package suites_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

func TestSuitesAreWellFormed(t *testing.T) {
	homes := map[string]string{}
	for _, l := range lessons.All() {
		require.NotEmpty(t, suites.Own(l), l.ID)
		for _, s := range suites.Own(l) {
			assert.Regexp(t, `^[a-z0-9]+(-[a-z0-9]+)+$`, s.ID)
			assert.NotContains(t, homes, s.ID, "an ID is used once")
			homes[s.ID] = l.ID
			assert.NotEmpty(t, s.Title, s.ID)
			assert.NotEmpty(t, s.Why, s.ID)
			assert.NotEmpty(t, s.Ref, s.ID)
			assert.NotRegexp(t, `§[0-9.]+([,;]|$)`, s.Ref, "%s: a section is named in words, too", s.ID)
			assert.Positive(t, s.Task, s.ID)
			assert.NotNil(t, s.Check, s.ID)
		}
		before := map[string]bool{}
		for _, s := range suites.For(l).Steps {
			for _, n := range s.Needs {
				assert.True(t, before[n] || homes[n] != "", "%s needs %s, which does not come before it", s.ID, n)
			}
			before[s.ID] = true
			assert.Equal(t, s.Lesson != l.ID, s.Given, "%s: what an earlier lesson teaches is given", s.ID)
		}
	}
}

// A step says how long it takes on the server's clock, so that a grading by URL
// can be announced. What it says must be what it does.
func TestStepsTakeTheTimeThatTheySay(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, l := range lessons.All() {
		t.Run(l.ID, func(t *testing.T) {
			t.Parallel()
			bin := filepath.Join(t.TempDir(), "server.exe")
			require.NoError(t, subject.Build(context.Background(), root, "./solutions/"+l.ID, bin))
			sub := subject.Program(bin, 1)
			defer sub.Close()
			var settings lessons.Settings
			suite := suites.For(l)
			asked := suites.For(l)
			for i := range suite.Steps {
				set := suite.Steps[i].Set
				suite.Steps[i].Set = func(s *lessons.Settings) {
					if settings.AccessTTL != 0 {
						*s = settings
					}
					settings = *s // every step's server has the same, but for its own Set
					if set != nil {
						set(s)
					}
				}
			}
			v := grade.Run(context.Background(), suite, sub, grade.Options{})
			first, _ := v.First()
			require.True(t, v.Passed(), "%s: %s %v", first.Step.ID, first.Reason, first.Failure)
			for _, r := range v.Results {
				var says time.Duration
				if r.Step.Takes != nil {
					s := settings
					if step, _ := asked.Step(r.Step.ID); step.Set != nil {
						step.Set(&s)
					}
					says = r.Step.Takes(s)
				}
				assert.Equal(t, says, r.Clock, r.Step.ID)
			}
		})
	}
}
