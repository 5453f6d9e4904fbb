package proof_test

import (
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/proof"
)

// What an author typed is a case or says what is wrong with it; its files stay in
// the folder that they are meant for.
func FuzzLoad(f *testing.F) {
	entries, err := fs.Glob(proof.Corpus, "wrong/0[12]*.txtar")
	require.NoError(f, err)
	for _, name := range entries {
		text, err := fs.ReadFile(proof.Corpus, name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("wrong: x\nmistake: 0\nlesson: 03-protect\nover: right/b\nstep: y\n-- new.go.edit --\n<<<\nvar n = 1\n===\nvar n = 2\n>>>\n"))
	right := &fstest.MapFile{Data: []byte("right: other\nlesson: 03-protect\n-- new.go --\npackage main\n\nvar n = 1\n")}
	solutions := fstest.MapFS{"03-protect/token.go": {Data: []byte("package main\n\nvar a = 1\n")}}
	f.Fuzz(func(t *testing.T, text []byte) {
		cases, err := proof.Load(fstest.MapFS{"right/b.txtar": right, "wrong/a.txtar": {Data: text}}, solutions)
		if err != nil {
			var invalid *proof.Invalid
			assert.ErrorAs(t, err, &invalid)
			return
		}
		dir := t.TempDir()
		for _, c := range cases {
			_, err := c.Overlay(dir, dir)
			require.NoError(t, err)
		}
		outside, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*.go"))
		require.NoError(t, err)
		assert.Empty(t, outside)
	})
}
