package proof_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// What judges the starters does so on the packed originals: in a learner's
// checkout the lessons are half solved.

func TestStartersCompileAnswerAndFailEveryStepOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, scratch.Copy(root, dir))
	vet := exec.CommandContext(t.Context(), "go", "vet", "./lessons/...")
	vet.Dir = dir
	output, err := vet.CombinedOutput()
	require.NoError(t, err, "%s", output)
	for _, l := range lessons.All() {
		t.Run(l.ID, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), "server.exe")
			require.NoError(t, subject.Build(t.Context(), dir, workbook.Package(l, false), program))
			sub := subject.Program(program, 1)
			defer sub.Close()
			// Each step by itself: none may pass because another was not run.
			v := grade.Run(t.Context(), suites.For(l), sub, grade.Options{IgnoreNeeds: true})
			require.NoError(t, v.Err)
			for _, r := range v.Results {
				want := grade.Failed
				if r.Step.Given {
					want = grade.Passed
				}
				assert.Equal(t, want, r.Status, "%s: %s %v", r.Step.ID, r.Reason, r.Failure)
			}
		})
	}
}

// What a lesson has besides Go and its texts, such as a page, is given: it is the
// same in the solution.
func TestWhatALessonEmbedsIsTheSolutions(t *testing.T) {
	for _, l := range lessons.All() {
		read := func(folder string) map[string]string {
			files := map[string]string{}
			root := filepath.Join(root, folder, l.ID)
			require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || filepath.Dir(path) == root {
					return err
				}
				text, err := os.ReadFile(path)
				files[strings.TrimPrefix(path, root)] = string(text)
				return err
			}))
			return files
		}
		assert.Equal(t, read("solutions"), read("lessons"), l.ID)
	}
}

func TestOriginalsPassGofmt(t *testing.T) {
	dir := t.TempDir()
	for _, l := range lessons.All() {
		require.NoError(t, scratch.Write(filepath.Join(dir, l.ID), workbook.Originals(l)))
	}
	output, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).CombinedOutput()
	require.NoError(t, err)
	assert.Empty(t, string(output))
}

func TestStartersAreAnEarlierSolutionAndSomeTODOs(t *testing.T) {
	for _, l := range lessons.All() {
		t.Run(l.ID, func(t *testing.T) {
			starter := workbook.Originals(l)
			require.NotEmpty(t, starter, "pack it: make originals")
			solved := solution(t, l)
			if l.Base != "" {
				base, err := lessons.Find(l.Base)
				require.NoError(t, err)
				for name, text := range solution(t, base) {
					if strings.HasSuffix(name, "_test.go") || name == "main.go" {
						continue // they say which lesson it is, and what it is given
					}
					missing := lost(text, string(starter[name]))
					assert.Empty(t, missing, "lessons/%s/%s lacks a line of the solution of %s", l.ID, name, l.Base)
				}
			}
			for name, text := range starter {
				if slices.Contains(l.Edit, name) {
					assert.Contains(t, string(text), fmt.Sprintf("TODO(%s.", l.ID[:2]), "%s/%s is named for editing and asks for nothing", l.ID, name)
					continue
				}
				assert.Equal(t, solved[name], string(text), "%s/%s is given, so starter and solution have the same", l.ID, name)
				assert.True(t, strings.HasPrefix(string(text), "// Given.") || !strings.Contains(string(text), "TODO("), "%s/%s is given", l.ID, name)
			}
			for name := range solved {
				assert.Contains(t, starter, name, "the solution has a file that the starter lacks")
			}
			all := ""
			for _, text := range starter {
				all += string(text)
			}
			for _, s := range suites.Own(l) {
				assert.Contains(t, all, fmt.Sprintf("TODO(%s.%d)", l.ID[:2], s.Task), "no TODO asks for task %d", s.Task)
			}
		})
	}
}

// In the authors' own repository the lessons are the originals. In a learner's
// they are not, and need not be: .ci/run says which one it is.
func TestThePackedOriginalsAreTheLessons(t *testing.T) {
	if os.Getenv("WORKSHOP_PRISTINE") == "" {
		t.Log("not compared: WORKSHOP_PRISTINE is not set, so the lessons may be a learner's")
		return
	}
	book, err := workbook.Open(root)
	require.NoError(t, err)
	for _, l := range lessons.All() {
		for name, text := range workbook.Originals(l) {
			there, err := os.ReadFile(filepath.Join(book.Folder(l, false), name))
			require.NoError(t, err)
			assert.Equal(t, string(text), string(there), "make originals")
		}
	}
}

// solution returns the Go files of a reference solution, by name.
func solution(t *testing.T, l lessons.Lesson) map[string]string {
	files := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(root, "solutions", l.ID, "*.go"))
	require.NoError(t, err)
	for _, p := range paths {
		text, err := os.ReadFile(p)
		require.NoError(t, err)
		files[filepath.Base(p)] = string(text)
	}
	return files
}

// lost returns the first line of before that does not stand in after, in order.
func lost(before, after string) string {
	lines := strings.Split(after, "\n")
	for line := range strings.Lines(before) {
		line = strings.TrimRight(line, "\n")
		at := slices.Index(lines, line)
		if at < 0 {
			return line
		}
		lines = lines[at+1:]
	}
	return ""
}
