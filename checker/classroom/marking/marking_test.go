package marking

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/classroom/build"
	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/sandbox"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/proof"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

const root = "../../.."

// marker returns one that isolates; where the machine cannot, the test is skipped,
// but never where the originals are verified.
func marker(t *testing.T) *Marker {
	t.Helper()
	folder, err := os.MkdirTemp("", "marking-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755))
	top, err := filepath.Abs(root)
	require.NoError(t, err)
	box, err := sandbox.New(context.Background(), top, filepath.Join(folder, "box"))
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("WORKSHOP_PRISTINE") == "" {
		t.Skipf("NOT TESTED: %v", err)
	}
	require.NoError(t, err)
	kit, err := build.Prepare(context.Background(), top, filepath.Join(folder, "kit"), box)
	require.NoError(t, err)
	work := filepath.Join(folder, "w")
	require.NoError(t, os.Mkdir(work, 0o755))
	return &Marker{Kit: kit, Box: box, Folder: work}
}

// solution is the reference of a lesson, with files of its own.
func solution(t *testing.T, id string, more map[string]string) intake.Work {
	t.Helper()
	l, err := lessons.Find(id)
	require.NoError(t, err)
	files, err := proof.Case{Lesson: l}.Files(root)
	require.NoError(t, err)
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return strings.HasSuffix(name, "_test.go") })
	w := intake.Work{Lesson: l, Files: files}
	for name, text := range more {
		w.Files[name] = []byte(text)
	}
	return w
}

// built is a folder for a student's programs, and the one of the lesson in it.
func built(t *testing.T, m *Marker, w intake.Work) (folder string, program build.Program) {
	t.Helper()
	folder, err := os.MkdirTemp(m.Folder, "b")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(folder, 0o755))
	programs, err := m.Kit.Build(context.Background(), filepath.Join(folder, "a"), []intake.Work{w}, true)
	require.NoError(t, err)
	return folder, programs[0]
}

func TestMarking(t *testing.T) {
	m := marker(t)
	t.Run("right ones pass, each lesson by itself", func(t *testing.T) {
		marks, err := m.Mark(context.Background(), []intake.Work{
			solution(t, "01", nil),
			solution(t, "02", map[string]string{"broken.go": "package main\n\nvar x int = \"no\"\n"}),
			solution(t, "03", map[string]string{"init.go": "package main\n\nimport \"os\"\n\nfunc init() { os.Exit(3) }\n"}),
			solution(t, "04", map[string]string{"server.go": "package main\n\nimport (\n\t\"net/http\"\n\n\t\"jwtworkshop/lessons\"\n)\n\nfunc New(lessons.Config) http.Handler {\n\tvar m map[string]int\n\tm[\"x\"]++\n\treturn nil\n}\n", "token.go": "package main\n", "protect.go": "package main\n", "login.go": "package main\n"}),
		})
		require.NoError(t, err)
		assert.Equal(t, len(marks[0].Steps), marks[0].Count(grade.Passed), marks[0])
		assert.Equal(t, Uncompiled, marks[1].Why)
		assert.Contains(t, marks[1].Detail, "lessons/02-access-token/broken.go:3")
		assert.Contains(t, marks[1].Detail, `var x int = "no"`, "the line of code")
		assert.False(t, marks[2].Graded(), "it dies")
		assert.Contains(t, marks[2].Steps[0].Reason, "ended")
		assert.False(t, marks[3].Graded(), "it panics")
		assert.Contains(t, marks[3].Steps[0].Detail, `lessons/04-expiry/server.go:11: m["x"]++`)
		for _, mark := range marks {
			assert.False(t, mark.Ours, mark.Detail)
		}
	})
	t.Run("every reference passes, whatever it has to reach", func(t *testing.T) {
		var works []intake.Work
		for _, l := range lessons.All() {
			works = append(works, solution(t, l.ID, nil))
		}
		marks, err := m.Mark(context.Background(), works)
		require.NoError(t, err)
		for _, mark := range marks {
			assert.Empty(t, mark.Why, mark.Lesson)
			for _, s := range mark.Steps {
				assert.Equal(t, grade.Passed, s.Status, "%s: %s: %s %s %s", mark.Lesson, s.ID, s.Claim, s.Reason, s.Got)
			}
		}
	})
	t.Run("one who hangs has so much time and no more", func(t *testing.T) {
		hangs := map[string]string{"server.go": "package main\n\nimport (\n\t\"net/http\"\n\t\"time\"\n\n\t\"jwtworkshop/lessons\"\n)\n\nfunc New(lessons.Config) http.Handler {\n\ttime.Sleep(24 * time.Hour)\n\treturn nil\n}\n", "login.go": "package main\n", "token.go": "package main\n", "protect.go": "package main\n"}
		m := &Marker{Kit: m.Kit, Box: m.Box, Folder: m.Folder, Crowded: time.Second, Alone: time.Second, studentAlone: time.Millisecond}
		works := []intake.Work{solution(t, "01", hangs), solution(t, "02", hangs), solution(t, "03", hangs)}
		marks, err := m.Mark(context.Background(), works)
		require.NoError(t, err)
		for i, mark := range marks {
			assert.False(t, mark.Graded(), "never 0")
			assert.False(t, mark.Ours)
			assert.Equal(t, i == 0, mark.Alone)
			assert.Equal(t, i != 0, strings.HasPrefix(mark.Detail, "It was not run once more alone"), mark.Detail)
		}
		assert.Contains(t, marks[1].Steps[0].Reason, "your server hangs")

		m.student, m.studentAlone = 500*time.Millisecond, time.Minute
		marks, err = m.Mark(context.Background(), works)
		require.NoError(t, err)
		assert.Contains(t, marks[0].Steps[0].Reason, "your server hangs")
		for _, mark := range marks[1:] {
			assert.Equal(t, "not run: the lessons before it have used up the student's time", mark.Why, "%+v", marks)
		}
	})
	t.Run("a step that finds no time left says so", func(t *testing.T) {
		w := solution(t, "01", nil)
		folder, program := built(t, m, w)
		v := m.run(context.Background(), folder, w, program, "", time.Minute, time.Nanosecond)
		assert.Equal(t, "not run: the steps before it have used up the lesson's time, 0s", v.Results[0].Reason)
	})
	t.Run("what the clock decides is seen twice", func(t *testing.T) {
		const timed, other = "unknown-user-takes-as-long", "whole-password-counts"
		w := solution(t, "01", nil)
		folder, program := built(t, m, w)
		v := grade.Verdict{Lesson: w.Lesson}
		for _, s := range suites.For(w.Lesson).Steps {
			r := grade.Result{Step: s, Status: grade.Passed}
			if s.ID == timed || s.ID == other {
				r.Status = grade.Failed
			}
			v.Results = append(v.Results, r)
		}
		status := func(v grade.Verdict, id string) grade.Status {
			return v.Results[slices.IndexFunc(v.Results, func(r grade.Result) bool { return r.Step.ID == id })].Status
		}
		none := m.again(context.Background(), folder, w, program, grade.Verdict{Lesson: w.Lesson, Results: slices.Clone(v.Results)}, &left{})
		assert.Equal(t, grade.Failed, status(none, timed), "there is no time for it")
		got := m.again(context.Background(), folder, w, program, v, &left{alone: time.Minute})
		assert.Equal(t, grade.Passed, status(got, timed))
		assert.Equal(t, grade.Failed, status(got, other), "the clock has nothing to do with it")
	})
	t.Run("a server reaches its companion and nobody else", func(t *testing.T) {
		answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the companion") }))
		defer answering.Close()
		later := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "opened later") }))
		defer later.Close()
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("somebody else was reached") }))
		defer other.Close()
		asks := `package main

import (
	"io"
	"net/http"

	"jwtworkshop/lessons"
)

func New(cfg lessons.Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		url := cfg.Issuer
		if r.URL.Query().Get("other") != "" {
			url = r.URL.Query().Get("other")
		}
		answer, err := http.Get(url)
		if err != nil {
			http.Error(w, "nobody", http.StatusBadGateway)
			return
		}
		io.Copy(w, answer.Body)
	})
}
`
		w := intake.Work{Lesson: lessons.All()[0], Files: map[string][]byte{"server.go": []byte(asks), "main.go": solution(t, "01", nil).Files["main.go"]}}
		folder, program := built(t, m, w)
		require.NoError(t, program.Err)
		sub := subject.Seated(func() (*subject.Seat, error) { return m.seat(folder, nil, program) }, source(w), 1)
		defer sub.Close()
		for _, host := range []string{"127.0.0.1", "localhost"} {
			settings := sub.Settings(w.Lesson)
			settings.Issuer = strings.Replace(answering.URL, "127.0.0.1", host, 1)
			session, err := sub.Fresh(context.Background(), settings)
			require.NoError(t, err)
			for range 3 {
				assert.Equal(t, "the companion", string(session.Get(t, "/").ReplyBody))
			}
			assert.Equal(t, http.StatusBadGateway, session.Get(t, "/?other="+other.URL).Status)
			session.Reach(strings.TrimPrefix(later.URL, "http://"))
			assert.Equal(t, "opened later", string(session.Get(t, "/?other="+later.URL).ReplyBody))
			session.End()
		}
	})
}

// What a server does where the grader listens has to be seen from inside a sandbox,
// too: these are found out by servers of ours that a step opens, or by a second
// server on the same database.
func TestWrongServersAreFoundOutInASandbox(t *testing.T) {
	m := marker(t)
	all, err := proof.Load(proof.Corpus, os.DirFS(filepath.Join(root, "solutions")))
	require.NoError(t, err)
	chosen := []string{"wrong/165-jku-is-fetched-and-not-trusted", "wrong/137-token-of-another-host"}
	for _, c := range all {
		number := len(c.Mistakes) > 0 && c.Mistakes[0] == 174 // lost on restart
		if !slices.Contains(chosen, c.Name) && !number {
			continue
		}
		chosen = slices.DeleteFunc(chosen, func(name string) bool { return name == c.Name })
		w := solution(t, c.Lesson.ID, nil)
		dir := t.TempDir()
		file, err := c.Overlay(root, dir)
		require.NoError(t, err)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var overlay struct{ Replace map[string]string }
		require.NoError(t, json.Unmarshal(text, &overlay))
		for original, changed := range overlay.Replace {
			delete(w.Files, filepath.Base(original))
			if changed != "" {
				w.Files[filepath.Base(original)], err = os.ReadFile(changed)
				require.NoError(t, err)
			}
		}
		marks, err := m.Mark(context.Background(), []intake.Work{w})
		require.NoError(t, err)
		var red []string
		for _, s := range marks[0].Steps {
			if s.Status == grade.Failed || s.Status == grade.Error {
				red = append(red, s.ID)
			}
		}
		assert.Contains(t, red, c.Step, "%s: %s %s", c.Name, marks[0].Why, marks[0].Detail)
	}
	assert.Empty(t, chosen, "these are no cases any more")
}

func TestSourceShowsTheSubmissionOnly(t *testing.T) {
	w := intake.Work{Lesson: lessons.All()[0], Files: map[string][]byte{"login.go": []byte("package main\n\n// mine")}}
	show := source(w)
	assert.Equal(t, "// mine", show("jwtworkshop/lessons/01-login/login.go", "3"), "the control")
	for _, other := range []string{root + "/solutions/01-login/server.go", "/etc/passwd", "/etc/lessons/01-login/../../passwd", "x/lessons/02-access-token/login.go"} {
		assert.Empty(t, show(other, "1"), other)
	}
	for _, line := range []string{"0", "4", "-1", "x"} {
		assert.Empty(t, show("lessons/01-login/login.go", line), line)
	}
}
