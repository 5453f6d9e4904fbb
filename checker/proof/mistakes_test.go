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

// gravest are the mistakes that open a server to others, or sign people out who
// have done nothing.
var gravest = []int{27, 45, 46, 55, 56, 58, 67, 69, 74, 92, 96, 97, 98, 114, 127, 134, 139, 142, 144, 163}

// Whoever makes one of the gravest mistakes seldom makes it in our design, so each
// is made twice at least in another.
func TestTheGravestMistakesAreMadeInOtherDesigns(t *testing.T) {
	designs := map[int][]string{}
	for _, c := range load(t, false) {
		for _, n := range c.Mistakes {
			if c.Over != "" {
				designs[n] = append(designs[n], c.Name)
			}
		}
	}
	for _, n := range gravest {
		assert.GreaterOrEqual(t, len(designs[n]), 2, "mistake %d, %s Laid over a right case are %v", n, proof.Mistakes[n].Text, designs[n])
	}
}
