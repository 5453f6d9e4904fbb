package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"jwtworkshop/checker/grade"
	"jwtworkshop/lessons"
)

// What a server prints reaches the terminal as text, whatever it is.
func TestAServersWordsAreHarmless(t *testing.T) {
	t.Parallel()
	hostile := "\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\rover\x08\u009b2J\tand\nnext\x1b"
	var out bytes.Buffer
	Card{Out: Plain(&out), Width: DefaultWidth}.Verdict(grade.Verdict{Lesson: lessons.All()[0], Results: []grade.Result{
		{Status: grade.Error, Reason: "your server died", Detail: hostile, Printed: hostile},
	}})
	text := out.String()
	assert.NotContains(t, text, "title")
	assert.NotContains(t, text, "\x1b")
	assert.NotContains(t, text, "\r")
	assert.NotContains(t, text, "\u009b")
	assert.Contains(t, text, "redover")
}
