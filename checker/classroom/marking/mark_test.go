package marking

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
)

// What a server says stands beside what it should have said, for somebody to compare.
func TestWhatIsKeptShowsAllThatItHolds(t *testing.T) {
	m := of(grade.Verdict{Results: []grade.Result{{Status: grade.Failed, Printed: "\x1b[2Jline\nnext\r", Failure: &probe.Failure{Got: "200 \u202eKO\u200b\tOK"}}}})
	assert.Equal(t, "200 ·KO·\tOK", m.Steps[0].Got)
	assert.Equal(t, "·[2Jline\nnext·", m.Steps[0].Log)
}
