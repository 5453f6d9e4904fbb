package proof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/labstack/echo-jwt/v4" // only right cases import these two; this keeps them in go.mod
	_ "golang.org/x/sync/singleflight"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/proof"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

const root = "../.."

// load returns the cases of the corpus, the right ones or the wrong ones.
func load(t *testing.T, right bool) []proof.Case {
	cases, err := proof.Load(proof.Corpus, os.DirFS(filepath.Join(root, "solutions")))
	require.NoError(t, err)
	return slices.DeleteFunc(cases, func(c proof.Case) bool { return c.Right != right })
}

// builders bounds how many go commands run at once: each uses all that there is.
var builders = make(chan struct{}, runtime.GOMAXPROCS(0))

func build(t *testing.T, c proof.Case) string {
	builders <- struct{}{}
	defer func() { <-builders }()
	program, err := c.Build(t.Context(), root, t.TempDir())
	require.NoError(t, err)
	return program
}

// grader returns what grades a case, by a program that it builds and may share with
// others. It is to be called before the test runs in parallel.
func grader(t *testing.T, c proof.Case, suite grade.Suite) func() grade.Verdict {
	due, err := programs().Expect(c)
	require.NoError(t, err)
	t.Cleanup(func() { due.Done() })
	return func() grade.Verdict {
		sub, err := due.Subject(t.Context())
		require.NoError(t, err)
		defer sub.Close()
		return grade.Run(t.Context(), suite, sub, grade.Options{})
	}
}

// about is the steps that the case's lesson teaches, those that the case turns red, and
// what they need. Those that the lesson has inherited, `make proof` asks as well.
func about(c proof.Case) grade.Suite {
	ids := c.Red()
	for _, step := range suites.Own(c.Lesson) {
		ids = append(ids, step.ID)
	}
	return suites.For(c.Lesson).With(ids...)
}

// programs are those of the cases that a test of this package grades one by one.
var programs = sync.OnceValue(func() *proof.Programs { return proof.NewPrograms(root, binaries) })

// binaries is a folder that is removed when all tests have ended.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "workshop-proof-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	os.RemoveAll(binaries)
	os.Exit(code)
}

// vet runs go vet on the case: a right solution is one that its author would hand in.
func vet(t *testing.T, c proof.Case) {
	builders <- struct{}{}
	defer func() { <-builders }()
	overlay, err := c.Overlay(root, t.TempDir())
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "vet", "-overlay="+overlay, c.Package())
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// byProgram grades the case as the learner's command does.
func byProgram(t *testing.T, c proof.Case, program string) grade.Verdict {
	sub := subject.Program(program, 1)
	defer sub.Close()
	return grade.Run(t.Context(), suites.For(c.Lesson), sub, grade.Options{})
}

// due is what must become of each of the steps.
func due(c proof.Case, steps []grade.Step) map[string]grade.Status {
	statuses := map[string]grade.Status{}
	for _, step := range steps {
		statuses[step.ID] = grade.Passed
		if slices.Contains(c.Red(), step.ID) {
			statuses[step.ID] = c.Ends
		}
		for _, need := range step.Needs {
			if s, before := statuses[need]; before && s != grade.Passed {
				statuses[step.ID] = grade.Skipped
			}
		}
	}
	return statuses
}

// requireDue wants the verdict to be what is due, and says where it is not.
func requireDue(t *testing.T, c proof.Case, suite grade.Suite, v grade.Verdict) {
	t.Helper()
	for _, problem := range undue(t, c, suite, v) {
		t.Errorf("%s\n%s", c.Title, problem)
	}
}

// undue is where the verdict is not what is due. Steps that are skipped follow from
// the others and are only counted.
func undue(t *testing.T, c proof.Case, suite grade.Suite, v grade.Verdict) (problems []string) {
	t.Helper()
	require.NoError(t, v.Err)
	want := due(c, suite.Steps)
	require.Len(t, v.Results, len(want))
	var skipped []string
	for _, r := range v.Results {
		switch {
		case r.Status == want[r.Step.ID]:
		case r.Status == grade.Skipped:
			skipped = append(skipped, r.Step.ID+" "+r.Reason)
		default:
			problems = append(problems, fmt.Sprintf("%s: %s, wanted is %s\n%s", r.Step.ID, r.Status, want[r.Step.ID], reason(r)))
		}
	}
	if len(skipped) > 0 {
		problems = append(problems, fmt.Sprintf("%d steps were skipped and should not have been, the first: %s", len(skipped), skipped[0]))
	}
	return problems
}

// looks are at wrong servers: many at a time, and the second ones alone.
var looks sync.RWMutex

func reason(r grade.Result) string {
	if r.Failure != nil {
		return r.Failure.Error()
	}
	return r.Reason + "\n" + r.Detail
}

// A wrong solution goes red at the step that is about its mistake, with it go the
// steps that need that one, and no other.
func TestWrongSolutionsGoRedWhereTheyAreWrong(t *testing.T) {
	t.Parallel() // beside what waits at URLs
	for _, c := range load(t, false) {
		t.Run(strings.TrimPrefix(c.Name, "wrong/"), func(t *testing.T) {
			suite := about(c)
			verdict := grader(t, c, suite)
			t.Parallel()
			for _, id := range c.Red() {
				_, known := suite.Step(id)
				require.True(t, known, "the suite of %s has no step %s", c.Lesson.ID, id)
			}
			looks.RLock()
			v := verdict()
			looks.RUnlock()
			if problems := undue(t, c, suite, v); len(problems) > 0 {
				// Some mistakes show only in what comes at the same moment, or in how long it
				// takes: a busy machine can hide them once. This is told, and not hidden.
				looks.Lock()
				v = verdict()
				looks.Unlock()
				t.Logf("NOTE: %s was looked at twice: %s", c.Name, strings.Join(problems, "\n"))
			}
			requireDue(t, c, suite, v)
		})
	}
}

// A right solution passes, however it is made.
func TestRightVariantsPass(t *testing.T) {
	t.Parallel()
	cases := load(t, true)
	require.GreaterOrEqual(t, len(cases), 16)
	for _, c := range cases {
		t.Run(strings.TrimPrefix(c.Name, "right/"), func(t *testing.T) {
			suite := suites.For(c.Lesson)
			verdict := grader(t, c, suite)
			t.Parallel()
			vet(t, c)
			v := verdict()
			requireDue(t, c, suite, v)
			assert.True(t, v.Passed())
		})
	}
}

// A step that no wrong solution turns red may be one that passes by accident.
func TestEveryStepHasAWrongSolution(t *testing.T) {
	caught := map[string]bool{}
	for _, c := range load(t, false) {
		caught[c.Step] = true
	}
	var untried []string
	for _, l := range lessons.All() {
		for _, s := range suites.Own(l) {
			if !caught[s.ID] {
				untried = append(untried, l.ID+" "+s.ID)
			}
		}
	}
	assert.Empty(t, untried, "steps that no case of wrong/ turns red")
}

// everywhere is the wrong cases that TestSameVerdictEverywhere runs: such as show
// themselves to a client that knows the server's settings and two of its users,
// and can neither move its clock nor look behind its answers.
var everywhere = []string{
	"wrong/001-unknown-user-is-404", "wrong/012-trimmed", "wrong/013-get-logs-in",
	"wrong/020-sub-is-user", "wrong/022-hard-coded",
	"wrong/026-parse-unverified", "wrong/027-alg-none", "wrong/033-no-challenge", "wrong/043-no-audience",
	"wrong/029-only-malformed-is-an-error", "wrong/031-begins-with-bearer",
	"wrong/034-not-found", "wrong/043-audience-if-there", "wrong/162-pem-for-any-algorithm",
}

// Whether a server is graded in the process of go test, as a program, or at a
// URL: what is graded gets the same verdict.
func TestSameVerdictEverywhere(t *testing.T) {
	t.Parallel()
	var targets []proof.Case
	for _, l := range lessons.All() {
		targets = append(targets, proof.Case{Name: "solutions/" + l.ID, Right: true, Title: "the reference solution", Lesson: l})
	}
	for _, c := range load(t, false) {
		if slices.Contains(everywhere, c.Name) {
			targets = append(targets, c)
		}
	}
	require.Len(t, targets, len(lessons.All())+len(everywhere), "a case of the list above is not in wrong/")

	programs := make([]string, len(targets))
	remote := make([]grade.Verdict, len(targets))
	var waiting sync.WaitGroup
	for i, c := range targets {
		programs[i] = build(t, c)
		sub := listening(t, c, programs[i])
		// Here the time really passes, for all of them together.
		waiting.Go(func() { remote[i] = grade.Run(t.Context(), suites.For(c.Lesson), sub, grade.Options{}) })
	}
	inProcess, program := make([]map[string]grade.Status, len(targets)), make([]grade.Verdict, len(targets))
	for i, c := range targets {
		inProcess[i], program[i] = goTest(t, c), byProgram(t, c, programs[i])
	}
	waiting.Wait()

	for i, c := range targets {
		t.Run(c.Name, func(t *testing.T) {
			requireDue(t, c, suites.For(c.Lesson), program[i])
			url := statuses(remote[i])
			graded := 0
			for _, r := range program[i].Results {
				id := r.Step.ID
				assert.Equal(t, r.Status, inProcess[i][id], "%s: by program, and in process", id)
				if _, left := leftOut(c.Lesson, id, url); !left {
					assert.Equal(t, r.Status, url[id], "%s: by program, and at a URL", id)
					graded++
				}
			}
			assert.Greater(t, graded, len(program[i].Results)/2, "most steps can be graded at a URL")
			if t.Failed() {
				for _, r := range remote[i].Results {
					if r.Status != grade.Passed {
						t.Logf("at a URL: %s %s %s", r.Step.ID, r.Status, reason(r))
					}
				}
			}
		})
	}
}

// leftOut tells whether a step, or one that it needs, could not be graded.
func leftOut(l lessons.Lesson, id string, became map[string]grade.Status) (string, bool) {
	if became[id] == grade.NotGraded {
		return id, true
	}
	step, _ := suites.For(l).Step(id)
	for _, need := range step.Needs {
		if which, left := leftOut(l, need, became); left {
			return which, true
		}
	}
	return "", false
}

func statuses(v grade.Verdict) map[string]grade.Status {
	all := map[string]grade.Status{}
	for _, r := range v.Results {
		all[r.Step.ID] = r.Status
	}
	return all
}

// goTest runs the lesson's own test over the case and returns what became of the
// steps.
func goTest(t *testing.T, c proof.Case) map[string]grade.Status {
	builders <- struct{}{}
	defer func() { <-builders }()
	overlay, err := c.Overlay(root, t.TempDir())
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-json", "-run=^TestLesson$", "-overlay="+overlay, c.Package())
	cmd.Dir = root
	out, _ := cmd.Output() // it is an error if a step fails
	ended := map[string]grade.Status{"pass": grade.Passed, "fail": grade.Failed, "skip": grade.Skipped}
	all := map[string]grade.Status{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var event struct{ Action, Test, Output string }
		if err := d.Decode(&event); err == io.EOF {
			break
		} else {
			require.NoError(t, err, "%s", out)
		}
		id, isStep := strings.CutPrefix(event.Test, "TestLesson/")
		if status, isEnd := ended[event.Action]; isStep && isEnd && all[id] != grade.Error {
			all[id] = status
		}
		if isStep && strings.Contains(event.Output, "could not be graded") {
			all[id] = grade.Error
		}
	}
	require.NotEmpty(t, all, "%s", out)
	return all
}

// Lifetimes for the real clock: short, and yet longer than a step that lets no
// time pass may take on a busy machine.
const (
	shortAccess  = 8 * time.Second
	shortRefresh = 14 * time.Second
	shortKey     = 5 * time.Second
)

// remoteSettings are what a server at a URL is started with.
func remoteSettings(l lessons.Lesson) lessons.Settings {
	s := l.Settings()
	s.Secret = []byte("what-a-person-would-type-for-a-secret-0123456789")
	s.Issuer, s.Audience = "https://issuer-at-a-url.example", "https://api-at-a-url.example"
	s.AccessTTL, s.RefreshTTL = shortAccess, shortRefresh
	return s
}

var remoteUsers = []subject.User{
	{ID: 2, Username: "ada", Password: "analytical-engine-1843"},
	{ID: 3, Username: "grace", Password: "a moth in relay 70"},
}

// patience is how long a step at a URL may take.
func patience() time.Duration {
	if testing.Short() {
		return shortRefresh + time.Second
	}
	return shortAccess + leeway + 2*time.Second
}

// listening starts the case's program as a person would and returns the subject at
// its URL.
func listening(t *testing.T, c proof.Case, program string) subject.Subject {
	s := remoteSettings(c.Lesson)
	args := []string{"-addr", "127.0.0.1:0", "-secret", string(s.Secret), "-issuer", s.Issuer, "-audience", s.Audience,
		"-access-ttl", s.AccessTTL.String(), "-refresh-ttl", s.RefreshTTL.String()}
	if c.Lesson.Keys {
		s.KeyTTL = shortKey
		args = append(args, "-key-ttl", s.KeyTTL.String())
	}
	if c.Lesson.Upstream {
		s.Upstream = "http://" + freeAddress(t)
		args = append(args, "-upstream", s.Upstream)
	}
	if c.Lesson.SignsIn {
		s.Provider = lessons.Provider{Issuer: "http://" + freeAddress(t), ClientID: "app-at-a-url", ClientSecret: "a-secret-of-the-app-at-a-url"}
		args = append(args, "-issuer-url", s.Provider.Issuer, "-client-id", s.Provider.ClientID, "-client-secret", s.Provider.ClientSecret)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir() // where it may leave files
	address := start(t, cmd)
	s.URL = address
	sub, err := subject.URL(subject.Target{URL: address, Settings: s, Patience: patience(), Users: remoteUsers})
	require.NoError(t, err)
	return sub
}

// freeAddress is one at which nobody listened a moment ago, and which no system
// gives to whoever asks for any port.
func freeAddress(t *testing.T) string {
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(10_000)))
		if err == nil {
			require.NoError(t, l.Close())
			return l.Addr().String()
		}
	}
	require.Fail(t, "no port is free")
	return ""
}

// leeway is what the suites wait for beyond a lifetime.
const leeway = time.Minute

// A case that is written wrongly is told as such: a wrong solution that changes
// nothing would pass, and prove nothing.
func TestLoadRefusesWhatIsWrittenWrongly(t *testing.T) {
	solutions := fstest.MapFS{
		"03-protect/token.go": {Data: []byte("package main\n\nvar a = 1\nvar b = a\nvar b2 = a\n}\n}\n")},
		"03-protect/gone.go":  {Data: []byte("package main\n")},
	}
	const right = "right: other\nlesson: 03-protect\n-- token.go.edit --\n<<<\nvar a = 1\n===\nvar a = 7\n>>>\n-- gone.go.delete --\n-- new.go --\npackage main\n"
	const head = "wrong: x\nmistake: 27\nlesson: 03-protect\nstep: a-step\n"
	const over = head + "over: right/b\n"
	edit := func(blocks string) string { return head + "-- token.go.edit --\n" + blocks }
	for _, one := range []struct{ name, file, text, want string }{
		{"unknown key", "wrong/a.txtar", "color: red\n" + edit("<<<\nvar a = 1\n===\nvar a = 2\n>>>\n"), `wrong/a.txtar:1: unknown key "color"`},
		{"no key", "wrong/a.txtar", "hello\n" + edit("<<<\nvar a = 1\n===\nvar a = 2\n>>>\n"), `wrong/a.txtar:1: this line is no "key: value"`},
		{"key twice", "wrong/a.txtar", head + "step: b\n-- a.go --\n", `wrong/a.txtar:5: "step" for the second time`},
		{"key missing", "wrong/a.txtar", "wrong: x\nlesson: 03-protect\nstep: y\n-- a.go --\n", `wrong/a.txtar: its header has no "mistake"`},
		{"no number", "wrong/a.txtar", strings.Replace(head, "27", "alg", 1) + "-- a.go --\n", `wrong/a.txtar:2: "alg" is no number of a mistake`},
		{"no lesson", "wrong/a.txtar", strings.Replace(head, "03-protect", "03", 1) + "-- a.go --\n", `wrong/a.txtar:3: there is no lesson "03"`},
		{"no end", "wrong/a.txtar", head + "ends: well\n-- a.go --\n", `wrong/a.txtar:5: a step ends failed or error, not well`},
		{"no file", "wrong/a.txtar", head, `wrong/a.txtar: it changes no file`},
		{"no txtar", "wrong/a.txt", head, `wrong/a.txt: a case is a .txtar file`},
		{"right with a step", "right/a.txtar", "right: x\nlesson: 03-protect\nstep: y\n-- a.go --\n", `right/a.txtar:3: unknown key "step"`},
		{"a folder", "wrong/a.txtar", head + "-- ../04-expiry/token.go --\n", `wrong/a.txtar:5: "../04-expiry/token.go" is no Go file`},
		{"file twice", "wrong/a.txtar", head + "-- a.go --\npackage main\n-- a.go.delete --\n", `wrong/a.txtar:7: a.go for the second time`},
		{"deletes nothing", "wrong/a.txtar", head + "-- a.go.delete --\n", `wrong/a.txtar:5: the solution of 03-protect has no a.go`},
		{"deletes text", "wrong/a.txtar", head + "-- token.go.delete --\nx\n", `wrong/a.txtar:6: text after the marker`},
		{"edits nothing", "wrong/a.txtar", head + "-- a.go.edit --\n", `wrong/a.txtar:5: the solution of 03-protect has no a.go`},
		{"no block", "wrong/a.txtar", edit(""), `wrong/a.txtar:5: the edit of the solution's token.go has no block`},
		{"open block", "wrong/a.txtar", edit("<<<\nvar a = 1\n===\n"), `wrong/a.txtar:6: this block has no end`},
		{"stray text", "wrong/a.txtar", edit("\nvar a = 1\n"), `wrong/a.txtar:7: text outside`},
		{"empty old text", "wrong/a.txtar", edit("<<<\n===\nvar a = 2\n>>>\n"), `wrong/a.txtar:6: this block has no old text`},
		{"not there", "wrong/a.txtar", edit("<<<\nvar c = 1\n===\nvar c = 2\n>>>\n"), `wrong/a.txtar:6: the old text is in the solution's token.go 0 times`},
		{"there twice", "wrong/a.txtar", edit("<<<\n= a\n===\n= 2\n>>>\n"), `wrong/a.txtar:6: the old text is in the solution's token.go 2 times`},
		{"line there twice", "wrong/a.txtar", edit("<<<\n}\n===\n{\n>>>\n"), `wrong/a.txtar:6: the old text is in the solution's token.go 2 times`},
		{"changes nothing", "wrong/a.txtar", edit("<<<\nvar a = 1\n===\nvar a = 1\n>>>\n"), `wrong/a.txtar:6: this block changes nothing`},
		{"overlap", "wrong/a.txtar", edit("<<<\nvar a = 1\n===\nvar a = 2\n>>>\n<<<\na = 1\nvar\n===\nx\n>>>\n"), `two blocks for the solution's token.go change the same text`},
		{"over nothing", "wrong/a.txtar", head + "over: right/c\n-- a.go --\n", `wrong/a.txtar:5: there is no right case "right/c"`},
		{"over without its folder", "wrong/a.txtar", head + "over: b\n-- a.go --\n", `wrong/a.txtar:5: there is no right case "b"`},
		{"over itself", "wrong/a.txtar", head + "over: wrong/a\n-- a.go --\n", `wrong/a.txtar:5: there is no right case "wrong/a"`},
		{"over another lesson's", "wrong/a.txtar", strings.Replace(over, "03-protect", "04-expiry", 1) + "-- a.go --\n", `wrong/a.txtar:5: right/b is of lesson "03-protect", not of "04-expiry"`},
		{"right over right", "right/c.txtar", "right: x\nlesson: 03-protect\nover: right/b\n-- a.go --\n", `right/c.txtar:3: unknown key "over"`},
		{"edits what the right one deletes", "wrong/a.txtar", over + "-- gone.go.edit --\n<<<\nx\n===\ny\n>>>\n", `wrong/a.txtar:6: right/b of 03-protect has no gone.go`},
		{"deletes it once more", "wrong/a.txtar", over + "-- gone.go.delete --\n", `wrong/a.txtar:6: right/b of 03-protect has no gone.go`},
		{"not there any more", "wrong/a.txtar", over + "-- token.go.edit --\n<<<\nvar a = 1\n===\nvar a = 2\n>>>\n", `wrong/a.txtar:7: the old text is in right/b's token.go 0 times`},
	} {
		t.Run(one.name, func(t *testing.T) {
			_, err := proof.Load(fstest.MapFS{"right/b.txtar": {Data: []byte(right)}, one.file: {Data: []byte(one.text)}}, solutions)
			assert.ErrorContains(t, err, one.want)
			var invalid *proof.Invalid
			assert.ErrorAs(t, err, &invalid)
		})
	}
}

func TestACaseIsLaidOverItsSolution(t *testing.T) {
	solutions := fstest.MapFS{
		"03-protect/token.go": {Data: []byte("package main\n\nvar a = 1\nvar ab = 1\n\nvar c = 3\n")},
		"03-protect/login.go": {Data: []byte("package main\n")},
	}
	corpus := fstest.MapFS{
		"right/b.txtar": {Data: []byte("right: other\nlesson: 03-protect\n-- new.go --\npackage main\n")},
		"wrong/a.txtar": {Data: []byte("wrong: x\nmistake: 0, 27\nlesson: 03-protect\nstep: a-step\nalso: b-step, c-step\nends: error\n" +
			"-- token.go.edit --\n<<<\nvar c = 3\n===\nvar c = 4\nvar d = 5\n>>>\n\n<<<\nvar a = 1\n===\n>>>\n" +
			"-- login.go.delete --\n")},
	}
	cases, err := proof.Load(corpus, solutions)
	require.NoError(t, err)
	require.Len(t, cases, 2)
	assert.True(t, cases[0].Right)
	assert.Equal(t, "right/b", cases[0].Name)
	assert.Empty(t, cases[0].Red())

	c := cases[1]
	assert.Equal(t, []string{"a-step", "b-step", "c-step"}, c.Red())
	assert.Equal(t, []int{27}, c.Mistakes)
	assert.Equal(t, grade.Error, c.Ends)
	assert.Empty(t, c.Over)
	assert.Equal(t, map[string]string{
		"token.go": "package main\n\n\nvar ab = 1\n\nvar c = 4\nvar d = 5\n",
		"login.go": gone,
	}, laid(t, c))
}

// A case over a right one changes what that made of the solution, and leaves it
// as it was for others.
func TestACaseIsLaidOverARightOne(t *testing.T) {
	solutions := fstest.MapFS{
		"03-protect/token.go":  {Data: []byte("package main\n\nvar a = 1\n")},
		"03-protect/login.go":  {Data: []byte("package main\n\nvar l = 1\n")},
		"03-protect/server.go": {Data: []byte("package main\n\nvar s = 1\n")},
		"03-protect/back.go":   {Data: []byte("package main\n")},
	}
	const over = "wrong: x\nmistake: 27\nlesson: 03-protect\nover: right/z\nstep: a-step\n"
	corpus := fstest.MapFS{
		"right/z.txtar": {Data: []byte("right: other\nlesson: 03-protect\n-- token.go.edit --\n<<<\na = 1\n===\na = 2\n>>>\n" +
			"-- server.go.delete --\n-- back.go.delete --\n-- new.go --\npackage main\n\nvar n = 1\n-- old.go --\npackage main\n")},
		"wrong/a.txtar": {Data: []byte(over + "-- token.go.edit --\n<<<\na = 2\n===\na = 3\n>>>\n" +
			"-- new.go.edit --\n<<<\nn = 1\n===\nn = 2\n>>>\n-- login.go.edit --\n<<<\nl = 1\n===\nl = 2\n>>>\n" +
			"-- old.go.delete --\n-- back.go --\npackage main // again\n")},
		"wrong/b.txtar": {Data: []byte(over + "-- more.go --\npackage main\n")},
	}
	cases, err := proof.Load(corpus, solutions)
	require.NoError(t, err)
	require.Len(t, cases, 3)
	right, a, b := cases[0], cases[1], cases[2]
	assert.Equal(t, "right/z", a.Over)
	assert.Equal(t, map[string]string{
		"token.go": "package main\n\nvar a = 3\n", "new.go": "package main\n\nvar n = 2\n", "login.go": "package main\n\nvar l = 2\n",
		"old.go": gone, "back.go": "package main // again\n", "server.go": gone,
	}, laid(t, a))
	want := map[string]string{
		"token.go": "package main\n\nvar a = 2\n", "new.go": "package main\n\nvar n = 1\n", "old.go": "package main\n",
		"server.go": gone, "back.go": gone,
	}
	assert.Equal(t, want, laid(t, right))
	want["more.go"] = "package main\n"
	assert.Equal(t, want, laid(t, b))

	assert.Contains(t, proof.Table(cases), "- x: `a` (03, over `z`) → `a-step`\n")
}

// gone stands for a file that an overlay takes away.
const gone = "gone"

// laid is what the overlay of the case makes of the solution's folder: by the names
// of the files that change, what they say then.
func laid(t *testing.T, c proof.Case) map[string]string {
	t.Helper()
	file, err := c.Overlay(root, t.TempDir())
	require.NoError(t, err)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var overlay struct{ Replace map[string]string }
	require.NoError(t, json.Unmarshal(text, &overlay))
	folder, err := filepath.Abs(filepath.Join(root, "solutions", c.Lesson.ID))
	require.NoError(t, err)
	files := map[string]string{}
	for original, changed := range overlay.Replace {
		require.Equal(t, folder, filepath.Dir(original))
		files[filepath.Base(original)] = gone
		if changed != "" {
			text, err := os.ReadFile(changed)
			require.NoError(t, err)
			files[filepath.Base(original)] = string(text)
		}
	}
	return files
}

func TestACaseThatDoesNotCompileSaysSo(t *testing.T) {
	corpus := fstest.MapFS{"wrong/a.txtar": {Data: []byte("wrong: x\nmistake: 0\nlesson: 01-login\nstep: a-step\n-- extra.go --\npackage main\n\nvar x int = \"\"\n")}}
	cases, err := proof.Load(corpus, os.DirFS(filepath.Join(root, "solutions")))
	require.NoError(t, err)
	_, err = cases[0].Build(context.Background(), root, t.TempDir())
	var broken *subject.BuildError
	require.ErrorAs(t, err, &broken)
	assert.Contains(t, broken.Output, "extra.go:3")
	assert.Contains(t, fmt.Sprint(err), "does not compile")
}
