package marking

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// What a server says stands beside what it should have said, for somebody to compare.
func TestWhatIsKeptShowsAllThatItHolds(t *testing.T) {
	m := of(grade.Verdict{Results: []grade.Result{{Status: grade.Failed, Printed: "\x1b[2Jline\nnext\r", Failure: &probe.Failure{Got: "200 \u202eKO\u200b\tOK"}}}})
	assert.Equal(t, "200 ·KO·\tOK", m.Steps[0].Got)
	assert.Equal(t, "·[2Jline\nnext·", m.Steps[0].Log)
}

// A server prints and says what it likes at each step of each lesson. The marks of all are
// one message of the queue, which takes a MiB (max_payload, docs.nats.io).
func TestAStudentsMarksFitAMessage(t *testing.T) {
	var marks []Mark
	for _, l := range lessons.All() {
		v := grade.Verdict{Lesson: l}
		for _, s := range suites.For(l).Steps {
			long := strings.Repeat("x", 2*maxText)
			v.Results = append(v.Results, grade.Result{Step: s, Status: grade.Failed, Reason: long, Detail: long, Printed: long, Failure: &probe.Failure{Claim: long, Want: "401", Got: long}})
		}
		marks = append(marks, of(v))
	}
	fit(marks)
	assert.Equal(t, "401", marks[0].Steps[0].Want, "what is short stays")
	assert.NotEmpty(t, marks[0].Steps[0].Got)
	text, err := json.Marshal(marks)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(text), 1<<20)
}
