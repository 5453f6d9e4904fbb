package grade_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// server answers 200 to /good, 500 to /bad, panics at /panic and hangs at /hang.
func server(lessons.Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { panic("boom") })
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}

// wants is a step that wants 200 of a path.
func wants(id, path string, needs ...string) grade.Step {
	return grade.Step{ID: id, Needs: needs, Check: func(t require.TestingT, s *subject.Session) {
		s.Get(t, path).Is(t, 200, path+" is not answered 200")
	}}
}

func run(t *testing.T, o grade.Options, steps ...grade.Step) grade.Verdict {
	sub := subject.InProcess(server, nil)
	t.Cleanup(func() { sub.Close() })
	return grade.Run(t.Context(), grade.Suite{Lesson: lessons.All()[0], Steps: steps}, sub, o)
}

func statuses(v grade.Verdict) string {
	text := ""
	for _, r := range v.Results {
		text += fmt.Sprintf("%s:%s ", r.Step.ID, r.Status)
	}
	return text
}

func TestOneRedNotFifteen(t *testing.T) {
	v := run(t, grade.Options{}, wants("a", "/good"), wants("b", "/bad"), wants("c", "/good", "b"), wants("d", "/good", "c"), wants("e", "/good", "a"))
	assert.Equal(t, "a:passed b:failed c:skipped d:skipped e:passed ", statuses(v))
	assert.Equal(t, "needs b", v.Results[2].Reason)
	first, ok := v.First()
	assert.True(t, ok)
	assert.Equal(t, "b", first.Step.ID)
	assert.Equal(t, "/bad is not answered 200", first.Failure.Claim)
	assert.Equal(t, 1, v.ExitCode())
	assert.False(t, v.Passed())

	v = run(t, grade.Options{IgnoreNeeds: true}, wants("b", "/bad"), wants("c", "/good", "b"))
	assert.Equal(t, "b:failed c:passed ", statuses(v))
	v = run(t, grade.Options{Only: "e"}, wants("a", "/good"), wants("b", "/bad"), wants("e", "/good", "a"))
	assert.Equal(t, "a:passed e:passed ", statuses(v), "a step and what it needs")
}

func TestNothingPassesByAccident(t *testing.T) {
	assert.False(t, grade.Verdict{}.Passed())
	assert.Equal(t, 2, grade.Verdict{}.ExitCode())
	assert.False(t, grade.Verdict{Err: fmt.Errorf("x"), Results: []grade.Result{{Status: grade.Passed}}}.Passed())
	assert.False(t, grade.Verdict{Results: []grade.Result{{Status: grade.NotGraded}}}.Passed(), "nothing was graded")
	assert.True(t, grade.Verdict{Results: []grade.Result{{Status: grade.NotGraded}, {Status: grade.Passed}}}.Passed())
	assert.False(t, grade.Verdict{Results: []grade.Result{{Status: grade.Skipped}, {Status: grade.Passed}}}.Passed())
}

func TestAPanicIsAWrongAnswerAndAHangIsNone(t *testing.T) {
	v := run(t, grade.Options{Deadline: 300 * time.Millisecond}, wants("a", "/panic"), wants("b", "/hang"), wants("c", "/good"))
	assert.Equal(t, "a:failed b:error c:passed ", statuses(v))
	assert.Contains(t, v.Results[0].Failure.Got, "panic: boom")
	assert.Contains(t, v.Results[1].Reason, "your server hangs")
	assert.Equal(t, 1, v.ExitCode())
	v = run(t, grade.Options{Deadline: 100 * time.Millisecond}, wants("a", "/hang"), wants("b", "/hang"), wants("c", "/good"))
	assert.Equal(t, "a:error b:error c:skipped ", statuses(v), "two are enough: the learner is waiting")
	assert.Equal(t, 2, v.ExitCode())
}

func TestAFaultOfTheCheckersIsNotTheLearners(t *testing.T) {
	fault := grade.Step{ID: "fault", Check: func(require.TestingT, *subject.Session) { panic("oops") }}
	v := run(t, grade.Options{}, fault)
	assert.Equal(t, "fault:error ", statuses(v))
	assert.Contains(t, v.Results[0].Reason, "checker's own")
}

func TestPlainAssertionsCount(t *testing.T) {
	plain := grade.Step{ID: "plain", Check: func(t require.TestingT, s *subject.Session) {
		require.Equal(t, 1, 2, "numbers differ")
	}}
	v := run(t, grade.Options{}, plain)
	assert.Equal(t, "plain:failed ", statuses(v))
	assert.Contains(t, v.Results[0].Failure.Claim, "numbers differ")
}

func TestShuffledRunsAreWhole(t *testing.T) {
	steps := []grade.Step{wants("a", "/good"), wants("b", "/good", "c"), wants("c", "/good"), wants("d", "/good")}
	orders := map[string]bool{}
	for seed := range uint64(20) {
		v := run(t, grade.Options{Shuffle: rand.New(rand.NewPCG(seed, 1))}, steps...)
		assert.True(t, v.Passed())
		assert.Len(t, v.Results, len(steps))
		orders[statuses(v)] = true
	}
	assert.Greater(t, len(orders), 1)
	assert.Equal(t, "a", steps[0].ID, "the suite itself is left in order")
}

func TestAnInterruptionIsNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sub := subject.InProcess(server, nil)
	defer sub.Close()
	v := grade.Run(ctx, grade.Suite{Steps: []grade.Step{wants("a", "/good")}}, sub, grade.Options{})
	assert.Equal(t, "a:error ", statuses(v))
	assert.Equal(t, 2, v.ExitCode())
}
