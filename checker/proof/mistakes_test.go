package proof_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"jwtworkshop/checker/proof"
)

// A mistake has a wrong solution, or says why it has none.
func TestEveryMistakeHasAWrongSolution(t *testing.T) {
	cases := map[int][]string{}
	for _, c := range load(t, false) {
		for _, n := range c.Mistakes {
			assert.Contains(t, proof.Mistakes, n, "%s is about a mistake that is not in the table", c.Name)
			cases[n] = append(cases[n], c.Name)
		}
	}
	for n, mistake := range proof.Mistakes {
		assert.NotEmpty(t, mistake.Text, n)
		if mistake.Elsewhere == "" {
			assert.NotEmpty(t, cases[n], "mistake %d: %s", n, mistake.Text)
		} else {
			assert.Empty(t, cases[n], "mistake %d is said to be held elsewhere: %s", n, mistake.Elsewhere)
		}
	}
}
