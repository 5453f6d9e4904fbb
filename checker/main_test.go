package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/lessons"
)

// A learner has a copy of the workshop and types commands.
type learner struct {
	t      *testing.T
	folder string
}

func newLearner(t *testing.T) *learner {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "mein Ordner – наш класс [1]")
	require.NoError(t, scratch.Copy("..", folder))
	return &learner{t, folder}
}

func (l *learner) types(args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), l.folder, args, &out, &err)
	return code, out.String(), err.String()
}

// complains wants exit code 2 and one line on stderr that says all this.
func (l *learner) complains(says []string, args ...string) {
	l.t.Helper()
	code, stdout, stderr := l.types(args...)
	assert.Equal(l.t, 2, code, "%v: %s%s", args, stdout, stderr)
	assert.Equal(l.t, 1, strings.Count(stderr, "\n"), "one line: %q", stderr)
	for _, s := range says {
		assert.Contains(l.t, stderr, s)
	}
}

func (l *learner) solves(name string) {
	l.t.Helper()
	lesson, err := lessons.Find(name)
	require.NoError(l.t, err)
	require.NoError(l.t, scratch.Solve(l.folder, lesson))
}

func (l *learner) edits(path string, change func(string) string) {
	l.t.Helper()
	path = filepath.Join(l.folder, path)
	text, err := os.ReadFile(path)
	require.NoError(l.t, err)
	require.NoError(l.t, os.WriteFile(path, []byte(change(string(text))), 0o644))
}

func TestTheWayThroughALesson(t *testing.T) {
	l := newLearner(t)
	code, out, _ := l.types()
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "01 · Log in")
	assert.Contains(t, out, "✗ login-accepts-the-right-password")
	assert.Contains(t, out, "sent  curl -i -X POST http://localhost:8080/login")
	assert.Contains(t, out, "lessons/01-login/README.md#task-1")
	assert.NotContains(t, out, "\x1b[", "no colours where there is no terminal")

	_, first, _ := l.types("hint")
	_, second, _ := l.types("hint")
	assert.Contains(t, first, "login-accepts-the-right-password   hint 1 of 3")
	assert.Contains(t, second, "hint 2 of 3")

	code, _, stderr := l.types("diff", "1")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "--spoil")
	code, out, _ = l.types("diff", "1", "--spoil")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "+++ solutions/01-login/login.go")

	l.solves("01")
	code, out, _ = l.types("check", "1")
	assert.Equal(t, 0, code, out)
	assert.Contains(t, out, "Lesson 01 is done")
	_, out, _ = l.types("list")
	assert.Contains(t, out, "01-login            30 min   ✓  done")
	assert.Contains(t, out, "→ 02-access-token")
	_, out, _ = l.types()
	assert.Contains(t, out, "02 · The access token", "the first that is not done")
	code, out, _ = l.types("diff", "01-login")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "the same")

	l.edits("lessons/01-login/login.go", func(s string) string { return s + "\n// mine\n" })
	_, out, _ = l.types("list")
	assert.Contains(t, out, "→ 01-login            30 min   ·  not checked", "progress is of the code that is there")
	code, out, _ = l.types("reset", "01")
	assert.Equal(t, 0, code)
	backup := strings.TrimSpace(out[strings.LastIndex(out, ": ")+2:])
	saved, err := os.ReadFile(filepath.Join(l.folder, backup, "login.go"))
	require.NoError(t, err)
	assert.Contains(t, string(saved), "// mine")
	code, _, _ = l.types("check", "01")
	assert.Equal(t, 1, code)
}

func TestRunStartsWhatTheServerLogsInAt(t *testing.T) {
	l := newLearner(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := listener.Addr().String()
	listener.Close()
	var out, stderr bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, l.folder, []string{"run", "10", "--solution", "--", "-addr", at}, &out, &stderr)
	}()
	assert.Eventually(t, func() bool {
		res, err := http.Post("http://"+at+"/login", "application/json", strings.NewReader(`{"username":"cosmo","password":"space-corgi"}`))
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusNoContent
	}, time.Minute, 20*time.Millisecond)
	stop()
	assert.Equal(t, 0, <-ended, stderr.String())
	assert.Contains(t, out.String(), "Its access tokens live 30s.")
	assert.Contains(t, out.String(), "  upstream  POST /login  200\n")

	l.complains([]string{"--upstream-ttl"}, "run", "10", "--solution", "--upstream-ttl", "0s")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	l.complains([]string{"--upstream-listen"}, "url", "http://127.0.0.1:1", "--lesson", "10", "--upstream-listen", taken.Addr().String())
}

func TestAllLessonsAtOnce(t *testing.T) {
	l := newLearner(t)
	for _, one := range lessons.All() {
		l.solves(one.ID)
	}
	code, out, _ := l.types("check", "all")
	assert.Equal(t, 0, code, out)
	for _, one := range lessons.All() {
		assert.Contains(t, out, one.Title)
	}
}

func TestVerdictsForMachines(t *testing.T) {
	l := newLearner(t)
	junit := filepath.Join(t.TempDir(), "junit.xml")
	code, out, _ := l.types("check", "01", "--json", "--junit", junit)
	assert.Equal(t, 1, code)
	var doc struct {
		ExitCode int `json:"exit_code"`
		Lessons  []struct {
			Lesson string
			Steps  []struct {
				ID, Status, Claim, Reason string
				Sent                      struct{ Curl string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	assert.Equal(t, 1, doc.ExitCode)
	first := doc.Lessons[0].Steps[0]
	assert.Equal(t, "failed", first.Status)
	assert.NotEmpty(t, first.Claim)
	assert.Contains(t, first.Sent.Curl, "space-corgi")
	assert.Equal(t, "skipped", doc.Lessons[0].Steps[1].Status)

	text, err := os.ReadFile(junit)
	require.NoError(t, err)
	var xmlDoc struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal(text, &xmlDoc))
	assert.Equal(t, len(doc.Lessons[0].Steps), xmlDoc.Suites[0].Tests)
	assert.Equal(t, 1, xmlDoc.Suites[0].Failures)
}

// What --problems prints is what the matchers of .vscode/tasks.json read.
func TestProblemsForEditors(t *testing.T) {
	l := newLearner(t)
	text, err := os.ReadFile(filepath.Join(l.folder, ".vscode", "tasks.json"))
	require.NoError(t, err)
	var file struct {
		Tasks []struct {
			Label   string
			Matcher json.RawMessage `json:"problemMatcher"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &file))
	var matchers []*regexp.Regexp
	for _, task := range file.Tasks {
		var m struct{ Pattern struct{ Regexp string } }
		if json.Unmarshal(task.Matcher, &m) == nil { // an empty list is none
			matchers = append(matchers, regexp.MustCompile(m.Pattern.Regexp))
		}
	}
	require.Len(t, matchers, 3)
	reads := func(stdout string, file string, line string, message string) {
		t.Helper()
		for _, m := range matchers {
			found := m.FindStringSubmatch(strings.TrimSuffix(stdout, "\n"))
			require.NotNil(t, found, "%q", stdout)
			assert.Equal(t, []string{file, line}, found[1:3])
			assert.Contains(t, found[5], message)
		}
	}
	lineOf := func(path, text string) string {
		t.Helper()
		source, err := os.ReadFile(filepath.Join(l.folder, path))
		require.NoError(t, err)
		before, _, found := strings.Cut(string(source), text)
		require.True(t, found)
		return strconv.Itoa(1 + strings.Count(before, "\n"))
	}
	const login, readme = "lessons/01-login/login.go", "lessons/01-login/README.md"

	code, out, _ := l.types("check", "01", "--problems")
	assert.Equal(t, 1, code)
	reads(out, login, lineOf(login, "TODO(01.1)"), "login-accepts-the-right-password: POST /login is not written yet: want 200 OK, got 501")

	l.solves("01")
	code, out, _ = l.types("check", "01", "--problems")
	assert.Equal(t, 0, code)
	assert.Empty(t, out)

	l.edits(login, func(s string) string { return strings.Replace(s, "Bad username or password", "Bad", 1) })
	_, out, _ = l.types("check", "01", "--problems")
	reads(out, readme, lineOf(readme, "### Task 3:"), "wrong-password-is-refused")

	l.edits(login, func(s string) string {
		return strings.Replace(s, "var sent credentials", "panic(42)\n\tvar sent credentials", 1)
	})
	_, out, _ = l.types("check", "01", "--problems")
	first, _, _ := strings.Cut(out, "\n")
	reads(first, login, lineOf(login, "panic(42)"), "panicked")

	l.edits(login, func(s string) string { return strings.Replace(s, "panic(42)", "panik(42)", 1) })
	code, out, _ = l.types("check", "01", "--problems")
	assert.Equal(t, 2, code)
	reads(out, login, lineOf(login, "panik(42)"), "undefined: panik")

	for _, name := range []string{".vscode/launch.json", ".vscode/extensions.json", ".devcontainer/devcontainer.json"} {
		text, err := os.ReadFile(filepath.Join(l.folder, name))
		require.NoError(t, err)
		assert.True(t, json.Valid(text), name)
	}
}

func TestOneStep(t *testing.T) {
	l := newLearner(t)
	l.solves("05")
	code, out, _ := l.types("check", "--step", "refresh-token-is-refused-at-the-doors")
	assert.Equal(t, 0, code, out)
	assert.Contains(t, out, "05 · Refresh", "the lesson that the step is of")
	code, out, _ = l.types("explain", "refresh-token-is-refused-at-the-doors")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "RFC 8725")
	assert.Contains(t, out, "curl -i http://localhost:8080/dashboard")
}

func TestUnknownNamesNameTheNearest(t *testing.T) {
	l := newLearner(t)
	l.complains([]string{`no such lesson: "5-refrsh"`, "05-refresh"}, "check", "5-refrsh")
	l.complains([]string{`no such lesson: "99"`}, "check", "99")
	l.complains([]string{`no such lesson: "chekc"`, "check"}, "chekc")
	l.complains([]string{"no such step", "whole-password-counts"}, "explain", "whole-passwd-counts")
	l.complains([]string{"no such step", "token-names-its-user"}, "check", "02", "--step", "token-names-user")
	l.complains([]string{"unknown flag --jsn"}, "check", "--jsn")
	l.complains([]string{"is not the URL of a server"}, "url", "localhost", "--lesson", "5")
	l.complains([]string{"--user wants name:password"}, "url", "http://127.0.0.1:1", "--lesson", "5", "--user", "ada")
}

func TestCodeThatDoesNotCompileIsShown(t *testing.T) {
	l := newLearner(t)
	l.edits("lessons/01-login/login.go", func(s string) string {
		return strings.Replace(s, "return c.JSON", "return d.JSON", 1)
	})
	code, out, _ := l.types("check", "01")
	assert.Equal(t, 2, code)
	assert.Contains(t, out, "lessons/01-login/login.go:21: undefined: d")
	assert.Contains(t, out, "return d.JSON(http.StatusNotImplemented")
	assert.Contains(t, out, "^")
	_, out, _ = l.types("list")
	assert.Contains(t, out, "does not compile")
}

// What a server does that cannot be graded, and what is said of it.
func TestServersThatCannotBeGraded(t *testing.T) {
	for name, c := range map[string]struct {
		body string // of login
		main string // of main
		code int
		says []string
	}{
		"panics on a request": {body: `var m map[string]int; m["x"] = 1`, code: 1, says: []string{"your server panicked on POST /login", "assignment to entry in nil map", "lessons/01-login/login.go:"}},
		"ends the process":    {body: `os.Exit(3)`, code: 2, says: []string{"could not be graded", "exit status 3"}},
		"dies in a goroutine": {body: `go panic("boom"); select {}`, code: 2, says: []string{"panic: boom", "lessons/01-login/login.go:"}},
		"hangs":               {body: `select {}`, code: 2, says: []string{"your server hangs", "it stands at lessons/01-login/login.go:"}},
		"does not start":      {main: `os.Exit(0)`, code: 2, says: []string{"ended before it served"}},
		"panics in New":       {main: `lessons.Serve(func(lessons.Config) http.Handler { panic("no") })`, code: 2, says: []string{"does not start: New panics", "panic: no"}},
		"has no handler":      {main: `lessons.Serve(func(lessons.Config) http.Handler { return nil })`, code: 2, says: []string{"New returned no handler"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLearner(t)
			if c.body != "" {
				l.edits("lessons/01-login/login.go", func(s string) string {
					s = strings.Replace(s, "error {\n", "error {\n\t_ = os.Args\n\t"+c.body+"\n", 1)
					return strings.Replace(s, `"net/http"`, "\"net/http\"\n\t\"os\"", 1)
				})
			} else {
				l.edits("lessons/01-login/main.go", func(string) string {
					return "package main\n\nimport (\n\t\"net/http\"\n\t\"os\"\n\n\t\"jwtworkshop/lessons\"\n)\n\nvar _ = http.StatusOK\n\nfunc main() {\n\t_ = os.Args\n\t_ = New\n\t_ = lessons.All\n\t" + c.main + "\n}\n"
				})
			}
			code, out, stderr := l.types("check", "01")
			assert.Equal(t, c.code, code, out+stderr)
			for _, s := range c.says {
				assert.Contains(t, out, s)
			}
		})
	}
}

func TestWindowsLineEndings(t *testing.T) {
	l := newLearner(t)
	l.solves("01")
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	for _, f := range []string{"main.go", "server.go", "login.go"} {
		l.edits("lessons/01-login/"+f, crlf)
	}
	code, out, _ := l.types("check", "01")
	assert.Equal(t, 0, code, out)
	_, out, _ = l.types("diff", "01")
	assert.Contains(t, out, "the same", "line endings are no difference")
}

func TestFilesThatAreMissing(t *testing.T) {
	l := newLearner(t)
	folder := filepath.Join(l.folder, "lessons", "05-refresh")
	require.NoError(t, os.Rename(folder, folder+"-away"))
	l.complains([]string{"lessons/05-refresh is missing", "reset 05"}, "check", "05")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	l.complains([]string{"lessons/05-refresh holds no Go program", "reset 05"}, "check", "05")
	code, _, _ := l.types("reset", "05")
	assert.Equal(t, 0, code)
	code, out, _ := l.types("check", "05")
	assert.Equal(t, 1, code, "the starter is back: %s", out)

	require.NoError(t, os.RemoveAll(filepath.Join(l.folder, "solutions")))
	l.complains([]string{"comes without solutions"}, "check", "05", "--solution")
	code, out, _ = l.types("explain", "login-returns-both-tokens")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "comes without solutions")
}

func TestALessonThatIsNoProgram(t *testing.T) {
	l := newLearner(t)
	for _, f := range []string{"main.go", "server.go", "login.go", "lesson_test.go"} {
		l.edits("lessons/01-login/"+f, func(s string) string { return strings.Replace(s, "package main", "package login", 1) })
	}
	l.complains([]string{"lessons/01-login holds no Go program (package main)"}, "check", "01")
}

func TestOutsideTheWorkshop(t *testing.T) {
	var out, stderr bytes.Buffer
	assert.Equal(t, 2, run(context.Background(), t.TempDir(), []string{"check"}, &out, &stderr))
	assert.Contains(t, stderr.String(), "not the workshop's folder")
}

func TestWithoutGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	folder := t.TempDir()
	require.NoError(t, scratch.Copy("..", folder))
	l := &learner{t, folder}
	l.complains([]string{"the go command was not found"}, "check", "01")
}

func TestWhereNothingCanBeWritten(t *testing.T) {
	l := newLearner(t)
	// A file where the folder should be: that stops root, too.
	require.NoError(t, os.WriteFile(filepath.Join(l.folder, ".workshop"), nil, 0o444))
	l.complains([]string{"cannot write there"}, "check", "01")
	l.complains([]string{"cannot write there"}, "reset", "01")
	text, err := os.ReadFile(filepath.Join(l.folder, "lessons", "01-login", "login.go"))
	require.NoError(t, err)
	assert.NotEmpty(t, text, "nothing is lost")
}

func TestInterrupted(t *testing.T) {
	l := newLearner(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, stderr bytes.Buffer
	assert.Equal(t, 2, run(ctx, l.folder, []string{"check", "01"}, &out, &stderr))
	assert.Equal(t, "interrupted\n", stderr.String())
	if runtime.GOOS == "linux" {
		assert.Empty(t, running(l.folder), "no process is left behind")
	}
}

// running lists the processes whose program lies in the folder.
func running(folder string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, folder) {
			found = append(found, exe)
		}
	}
	return found
}
