package workbook

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/lessons"
)

// A hint is one paragraph, whatever its author typed.
func FuzzHints(f *testing.F) {
	for _, l := range lessons.All() {
		text, err := fs.ReadFile(l.Texts(), "hints.md")
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Add("## `a`\r\n1. x\r\n\r\n2.  y\nz\n## \n3. w")
	f.Fuzz(func(t *testing.T, text string) {
		for _, hints := range parseHints(text) {
			for _, h := range hints {
				assert.False(t, strings.Contains(h, "\n"), "%q", h)
			}
		}
	})
}
