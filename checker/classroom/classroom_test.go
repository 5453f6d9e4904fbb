package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/classroom/hostile"
	"jwtworkshop/checker/classroom/sandbox"
)

// room returns a place to grade in; where the machine cannot isolate, the test is
// skipped, but never where the originals are verified.
func room(t *testing.T) *place {
	t.Helper()
	p, err := newPlace(context.Background(), bwrap)
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	_, err = p.setUp(context.Background())
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("WORKSHOP_PRISTINE") == "" {
		t.Skipf("NOT TESTED: %v", err)
	}
	require.NoError(t, err)
	return p
}

// class writes three students: one who has solved lessons 01 and 02, one who has
// begun, one whose code does not compile.
func class(t *testing.T, root string) string {
	t.Helper()
	folder := t.TempDir()
	copyLesson := func(student, from, lesson string) {
		to := filepath.Join(folder, student, "lessons", lesson)
		require.NoError(t, os.MkdirAll(to, 0o755))
		require.NoError(t, os.CopyFS(to, os.DirFS(filepath.Join(root, from, lesson))))
	}
	for _, l := range []string{"01-login", "02-access-token"} {
		copyLesson("ada", "solutions", l)
	}
	copyLesson("=bob", "solutions", "01-login")
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "cy", "01-login"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "cy", "01-login", "login.go"), []byte("package main\n\nvar x int = \"no\"\n"), 0o644))
	return folder
}

// say runs the command and returns its exit code and what it printed.
func say(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(context.Background(), args, &out, &out)
	return code, out.String()
}

func TestAClassIsGraded(t *testing.T) {
	p := room(t)
	folder := class(t, p.root)
	grade := func(out string, more ...string) (int, string) {
		return say(t, append([]string{"grade", folder, "--out", out, "--selftest", "never", "--lesson", "1", "--lesson", "2"}, more...)...)
	}
	here, there := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "out")
	code, said := grade(here)
	require.Equal(t, 1, code, said) // cy's cannot be graded
	read := func(out, name string) string {
		text, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		return string(text)
	}
	table := strings.Split(strings.TrimSpace(read(here, "gradebook.csv")), "\n")
	require.Len(t, table, 4)
	assert.Regexp(t, `^"'=bob","","[^"]+",17,,17,17,"bwrap",""$`, table[1])
	assert.Regexp(t, `^"ada","","[^"]+",17,10,27,27,"bwrap",""$`, table[2])
	assert.Regexp(t, `^"cy","","[^"]+",,,0,17,"bwrap","01-login: it does not compile"$`, table[3])

	t.Run("a second time nothing is graded", func(t *testing.T) {
		before := read(here, "gradebook.csv")
		_, said := grade(here)
		assert.NotContains(t, said, "lessons a minute", said)
		assert.Equal(t, before, read(here, "gradebook.csv"))
	})
	t.Run("by a queue the grades are the same", func(t *testing.T) {
		code, said := grade(there, "--nats", "embedded")
		require.Equal(t, 1, code, said)
		assert.Equal(t, read(here, "gradebook.csv"), read(there, "gradebook.csv"))
	})
	t.Run("grades can be derived again", func(t *testing.T) {
		code, said := say(t, "verify", "--out", here, "--selftest", "never")
		assert.Equal(t, 0, code, said)
		assert.Contains(t, said, "4 grades derived again, 0 others came out")
	})
	t.Run("regrade shows before it applies", func(t *testing.T) {
		later := filepath.Join(folder, "=bob", "lessons", "01-login", "login.go")
		text, err := os.ReadFile(later)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(later, bytes.Replace(text, []byte("Bad username or password"), []byte("no"), 1), 0o644))
		before := read(here, "gradebook.csv")
		args := []string{"regrade", folder, "--out", here, "--selftest", "never", "--lesson", "1", "--lesson", "2"}
		_, said := say(t, args...)
		assert.Contains(t, said, "=bob, 01-login")
		assert.Contains(t, said, "1 lessons change")
		assert.Equal(t, before, read(here, "gradebook.csv"), "nothing yet")
		_, said = say(t, append(args, "--apply")...)
		assert.NotEqual(t, before, read(here, "gradebook.csv"), said)
	})
}

func TestWithoutBubblewrapNothingIsGraded(t *testing.T) {
	p, err := newPlace(context.Background(), bwrap)
	require.NoError(t, err)
	folder := class(t, p.root)
	t.Run("unless asked for by name", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out")
		code, said := say(t, "grade", folder, "--out", out, "--isolation", "none", "--lesson", "1")
		require.Equal(t, 1, code, said)
		assert.Contains(t, said, "WARNING: no isolation")
		text, err := os.ReadFile(filepath.Join(out, "report", "index.html"))
		require.NoError(t, err)
		assert.Contains(t, string(text), "Graded without isolation")
	})
	goTool, err := filepath.EvalSymlinks(mustLook(t, "go"))
	require.NoError(t, err)
	tools := t.TempDir()
	require.NoError(t, os.Symlink(goTool, filepath.Join(tools, "go")))
	t.Setenv("PATH", tools)
	code, said := say(t, "grade", folder, "--out", filepath.Join(t.TempDir(), "out"))
	assert.Equal(t, 2, code)
	assert.Contains(t, said, "cannot isolate submissions")
	assert.Contains(t, said, "--isolation none")
}

func mustLook(t *testing.T, tool string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, tool)); err == nil {
			return filepath.Join(dir, tool)
		}
	}
	t.Fatalf("%s is not on PATH", tool)
	return ""
}

// The whole corpus is what `make selftest` grades; these are its quickest, one of
// each kind.
func TestHostileSubmissionsGetNowhere(t *testing.T) {
	p := room(t)
	marker, err := p.setUp(context.Background())
	require.NoError(t, err)
	quick := []string{"breaks-its-siblings", "control-leads-elsewhere", "environment", "exec", "exit-in-new", "forged-pass-lines", "forged-trace-of-a-handler",
		"fork", "internal-package", "message-markup", "network-abstract", "network-loopback", "network-vsock", "proc-self-mem", "ptrace", "reads-others", "writes"}
	all, err := hostile.Cases()
	require.NoError(t, err)
	cases := slices.DeleteFunc(all, func(c hostile.Case) bool { return !slices.Contains(quick, c.Name) })
	require.Len(t, cases, len(quick))
	folder, err := os.MkdirTemp("", "hostile-")
	require.NoError(t, err)
	defer os.RemoveAll(folder)
	require.NoError(t, os.Chmod(folder, 0o755))
	e := &hostile.Exam{Marker: marker, Root: p.root, Folder: folder, Slots: 2}
	n, bad, err := e.Run(context.Background(), cases, func(o hostile.Outcome) {
		for _, what := range o.Bad {
			t.Errorf("%s: %s", o.Case.Name, what)
		}
	})
	require.NoError(t, err)
	assert.Equal(t, len(quick), n)
	assert.Zero(t, bad)
}
