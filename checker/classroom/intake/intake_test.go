package intake_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/classroom/hostile"
	"jwtworkshop/checker/classroom/intake"
)

const server = "package main\n\n// mine\n"

// hand writes a submission: a folder where the name has no end, else an archive.
func hand(t *testing.T, folder, name string, files ...string) {
	t.Helper()
	to := filepath.Join(folder, name)
	switch {
	case strings.HasSuffix(name, ".zip"):
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for _, f := range files {
			w, err := z.Create(f)
			require.NoError(t, err)
			_, err = w.Write([]byte(server))
			require.NoError(t, err)
		}
		require.NoError(t, z.Close())
		require.NoError(t, os.WriteFile(to, out.Bytes(), 0o644))
	case strings.HasSuffix(name, ".tar.gz"):
		var out bytes.Buffer
		g := gzip.NewWriter(&out)
		w := tar.NewWriter(g)
		for _, f := range files {
			require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f, Mode: 0o644, Size: int64(len(server))}))
			_, err := w.Write([]byte(server))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		require.NoError(t, g.Close())
		require.NoError(t, os.WriteFile(to, out.Bytes(), 0o644))
	default:
		for _, f := range files {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(to, f)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(to, f), []byte(server), 0o644))
		}
	}
}

func TestSubmissionsComeInManyForms(t *testing.T) {
	for name, files := range map[string][]string{
		"checkout":                       {"README.md", "go.mod", "lessons/01-login/login.go", "solutions/01-login/login.go"},
		"bare":                           {"01-login/login.go"},
		"github.zip":                     {"jwt-ada-main/lessons/01-login/login.go", "jwt-ada-main/.git/lessons/01-login/login.go"},
		"deep.tar.gz":                    {"./jwt-main/lessons/01-login/login.go"},
		"mac.zip":                        {"lessons/01-login/login.go", "__MACOSX/lessons/01-login/._login.go"},
		"lovelaceada_12_34_01-login.zip": {"login.go"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			hand(t, folder, name, files...)
			handed, err := intake.List(folder, "")
			require.NoError(t, err)
			require.Len(t, handed, 1)
			works, err := intake.Read(handed[0])
			require.NoError(t, err)
			require.Len(t, works, 1)
			assert.Equal(t, "01-login", works[0].Lesson.ID)
			assert.Empty(t, works[0].Refused)
			assert.Equal(t, server, string(works[0].Files["login.go"]), "theirs")
			assert.Contains(t, string(works[0].Files["main.go"]), "lessons.Serve(New)", "ours")
			assert.NotContains(t, works[0].Files, "lesson_test.go")
		})
	}
}

func TestStudentsAreNamedByTheirSubmissions(t *testing.T) {
	folder := t.TempDir()
	hand(t, folder, "jwt-ada", "01-login/login.go")
	hand(t, folder, "lovelaceada_LATE_12_34_lessons.zip", "01-login/login.go")
	hand(t, folder, "lovelaceada_12_35_lessons-1.zip", "02-access-token/token.go")
	hand(t, folder, ".DS_Store", "x")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "roster.csv"), nil, 0o644))
	handed, err := intake.List(folder, "jwt-")
	require.NoError(t, err)
	require.Len(t, handed, 2)
	assert.Equal(t, "ada", handed[0].Student)
	assert.Equal(t, "lovelaceada", handed[1].Student)
	assert.Equal(t, "12", handed[1].Canvas)
	assert.True(t, handed[1].Late)
	works, err := intake.Read(handed[1])
	require.NoError(t, err)
	assert.Len(t, works, 2, "what was handed in at two times is one submission")
}

func TestAWholeFolderIsTakenAsItIs(t *testing.T) {
	folder := t.TempDir()
	hand(t, folder, "whole", "01-login/main.go", "01-login/own.go")
	hand(t, folder, "part", "01-login/own.go")
	handed, err := intake.List(folder, "")
	require.NoError(t, err)
	for i, want := range [][]string{{"login.go", "main.go", "own.go", "server.go"}, {"main.go", "own.go"}} {
		works, err := intake.Read(handed[i])
		require.NoError(t, err)
		var names []string
		for name := range works[0].Files {
			names = append(names, name)
		}
		slices.Sort(names)
		assert.Equal(t, want, names, handed[i].Student)
		assert.NotEqual(t, server, string(works[0].Files["main.go"]))
	}
}

// The cases that the intake refuses need no sandbox to be refused.
func TestHostileSubmissionsAreRefused(t *testing.T) {
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	cases, err := hostile.Cases()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(cases), 45)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			folder, outside := t.TempDir(), t.TempDir()
			secret := filepath.Join(outside, "file")
			require.NoError(t, os.WriteFile(secret, []byte("the teacher's"), 0o644))
			_, err := c.Lay(folder, root, strings.NewReplacer("{{ROOT}}", root, "{{FILE}}", secret, "{{DIR}}", outside))
			require.NoError(t, err)
			handed, err := intake.List(folder, "")
			require.NoError(t, err)
			require.Len(t, handed, 1)
			works, err := intake.Read(handed[0])
			refused := err != nil
			for _, w := range works {
				refused = refused || w.Lesson.ID == c.Lesson.ID && len(w.Refused) > 0
				for name, text := range w.Files {
					assert.NotContains(t, string(text), "the teacher's", name)
				}
			}
			assert.Equal(t, slices.Contains(c.Ends, hostile.Refused), refused, "%v %v", err, works)
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			assert.Len(t, entries, 1, "nothing is written elsewhere")
		})
	}
}

func TestNamesAreFitToPrint(t *testing.T) {
	for name, want := range map[string]string{
		"Ada Lovelace":                           "Ada Lovelace",
		"a\x1b[2Jb\u202e":                        "a·[2Jb·",
		"\xff":                                   "·",
		" ":                                      "·",
		"\u3164\u2800":                           "··",
		"a" + strings.Repeat("\u0335", 50) + "b": "a" + strings.Repeat("\u0335", 4) + "b",
	} {
		assert.Equal(t, want, intake.Printable(name))
	}
	assert.Len(t, []rune(intake.Printable(strings.Repeat("x", 1000))), 80)
}
