package subject

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is printed before a mark is what there is to take, however the writes were
// cut, and however much of it there is.
func TestATailIsCutAtItsMark(t *testing.T) {
	for name, writes := range map[string][]string{
		"a line of its own": {"said\n", "MARK\n", "later\n"},
		"within a line":     {"saidMARK\n"},
		"in two writes":     {"said\nMA", "RK\n"},
		"after a flood":     {strings.Repeat("x", 2*tailBytes), "MARK\n"},
		"before a flood":    {"said\n", "MARK\n" + strings.Repeat("x", 2*tailBytes)},
	} {
		t.Run(name, func(t *testing.T) {
			var out tail
			arrived := out.await("MARK")
			for i, w := range writes {
				select {
				case <-arrived:
					assert.NotZero(t, i, "nothing was written yet")
				default:
				}
				out.Write([]byte(w))
			}
			select {
			case <-arrived:
			default:
				assert.Fail(t, "the mark was not noticed")
			}
			taken := out.take("MARK")
			assert.NotContains(t, taken, "MARK")
			assert.NotContains(t, taken, "later")
			assert.Empty(t, out.take("MARK"), "what was taken is still there")
		})
	}
	var out tail
	out.Write([]byte("said\n"))
	assert.Equal(t, "said\n", out.take("MARK"), "a mark that did not come cuts nothing off")
}
