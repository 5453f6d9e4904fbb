package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/live"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/report"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// A learner sits at a screen whose watcher is the test.
type learner struct {
	*testing.T
	s     *screen
	fakes map[string]*fake // by lesson
	round int
}

// A fake watcher tells what it is given.
type fake struct {
	states chan live.State
	again  int
	closed chan struct{}
}

func (f *fake) States() <-chan live.State { return f.states }
func (f *fake) Again()                    { f.again++ }
func (f *fake) Close()                    { close(f.closed) }

func sit(t *testing.T, lesson string) *learner {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, scratch.Copy(filepath.Join("..", ".."), root))
	l := &learner{T: t, fakes: map[string]*fake{}}
	first, err := lessons.Find(lesson)
	require.NoError(t, err)
	l.s = newScreen(&workbook.Workbook{Root: root}, first, func(one lessons.Lesson) source {
		f := &fake{states: make(chan live.State, 1), closed: make(chan struct{})}
		l.fakes[one.ID] = f
		return f
	})
	l.gets(tea.WindowSizeMsg{Width: 80, Height: 40})
	return l
}

// gets hands the screen a message, and what its commands say but for those that
// wait.
func (l *learner) gets(msg tea.Msg) {
	l.Helper()
	_, cmd := l.s.Update(msg)
	l.does(cmd)
}

func (l *learner) does(cmd tea.Cmd) {
	l.Helper()
	if cmd == nil {
		return
	}
	said := make(chan tea.Msg, 1)
	go func() { said <- cmd() }()
	select {
	case msg := <-said:
		switch msg := msg.(type) {
		case nil:
		case tea.BatchMsg:
			for _, c := range msg {
				l.does(c)
			}
		case tickMsg:
		default:
			l.gets(msg)
		}
	case <-time.After(300 * time.Millisecond): // it listens to a watcher
	}
}

// types presses keys: "h", "enter", "down".
func (l *learner) types(keys ...string) {
	l.Helper()
	codes := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "down": tea.KeyDown, "up": tea.KeyUp, "pgdown": tea.KeyPgDown}
	for _, k := range keys {
		if code, special := codes[k]; special {
			l.gets(tea.KeyPressMsg{Code: code})
		} else {
			l.gets(tea.KeyPressMsg{Code: []rune(k)[0], Text: k})
		}
	}
}

// tells hands the screen a state of its watcher.
func (l *learner) tells(change func(*live.State)) {
	l.Helper()
	s := live.State{Lesson: l.s.lesson, Phase: live.Graded, Began: time.Now(), Verdict: l.s.state.Verdict, Results: l.s.state.Results, Took: time.Second}
	change(&s)
	if s.Phase == live.Building {
		l.round++
	}
	s.Round = max(1, l.round)
	_, _ = l.s.Update(stateMsg{l.s.watcher, s})
}

// verdict tells one: the step of that name fails and those after it are skipped;
// "" passes.
func (l *learner) verdict(failing string) {
	l.Helper()
	l.tells(func(s *live.State) {
		v := grade.Verdict{Lesson: l.s.lesson}
		status := grade.Passed
		for _, step := range suites.For(l.s.lesson).Steps {
			r := grade.Result{Step: step, Status: status}
			if step.ID == failing {
				status = grade.Skipped
				r.Status = grade.Failed
				r.Failure = &probe.Failure{Claim: "it is wrong", Want: "401", Got: "200"}
			}
			v.Results = append(v.Results, r)
		}
		s.Verdict, s.Results = v, v.Results
	})
}

// sees is the screen without its colours.
func (l *learner) sees() string {
	lines := strings.Split(ansi.Strip(l.s.View().Content), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func TestFailuresAndHints(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	l.types("h")
	assert.Contains(t, l.sees(), "there is no verdict yet")

	l.verdict("whole-password-counts")
	screen := l.sees()
	assert.Contains(t, screen, "01 · Log in")
	assert.Contains(t, screen, "13 of 17 steps")
	assert.Contains(t, screen, "✗ whole-password-counts\n      it is wrong\n      want  401\n      got   200\n")
	assert.Contains(t, screen, "next  h for a hint · lessons/01-login/README.md#task-3")
	assert.Contains(t, screen, "✓ login-accepts-the-right-password")

	all, err := workbook.Hints(l.s.lesson)
	require.NoError(t, err)
	hints := all["whole-password-counts"]
	begins := func(text string) string { return text[:30] }
	for i, hint := range hints {
		l.types("h")
		screen := l.sees()
		for _, given := range hints[:i+1] {
			assert.Contains(t, screen, begins(given), "hint %d", i+1)
		}
		assert.NotContains(t, l.s.homePage(), begins(append(hints, "of which there is none, and never was one")[i+1]))
		assert.Contains(t, screen, begins(hint))
	}
	l.types("h")
	assert.Contains(t, l.sees(), "that was the last hint")

	l.verdict("long-password-counts-to-the-end")
	assert.NotContains(t, l.sees(), begins(hints[0]), "the hints of a step go with it")
	l.types("h")
	assert.Contains(t, l.sees(), "hint 1 of 3")
	l.verdict("whole-password-counts")
	l.types("h")
	assert.Contains(t, l.sees(), begins(hints[0]), "what was given once is shown again")
}

func TestNothingMovesOnByItself(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	l.verdict("whole-password-counts")
	l.types("n")
	assert.Contains(t, l.sees(), "n goes on once lesson 01 has passed")
	l.types("d")
	assert.Contains(t, l.sees(), "once the lesson has passed")

	l.verdict("")
	assert.Contains(t, l.sees(), "✓ Lesson 01 is done.")
	assert.Contains(t, l.sees(), "n  goes on to 02 · The access token")
	l.types("h")
	assert.Contains(t, l.sees(), "nothing to hint at")
	l.types("n")
	<-l.fakes["01-login"].closed
	assert.Contains(t, l.sees(), "02 · The access token")
	assert.NotContains(t, l.sees(), "is done")

	// What the old watcher still had to say is not about this lesson.
	_, _ = l.s.Update(stateMsg{l.fakes["01-login"], live.State{Phase: live.Graded}})
	assert.NotContains(t, l.sees(), "graded at")

	last := sit(t, lessons.All()[len(lessons.All())-1].ID)
	last.verdict("")
	last.types("n")
	assert.Contains(t, last.sees(), "it was the last one")
}

func TestListAndTextAndHelp(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	l.verdict("missing-field-is-named")
	l.types("l")
	assert.Contains(t, l.sees(), "→ 01-login            30 min   ·  not checked")
	l.types("down", "down", "up", "enter")
	assert.Contains(t, l.sees(), "02 · The access token")

	l.types("o")
	assert.Contains(t, l.sees(), "The problem")
	assert.NotContains(t, l.sees(), "<!--")
	assert.NotContains(t, l.sees(), "<a id")
	l.types("G")
	assert.Contains(t, l.sees(), "the end")
	l.types("t")
	assert.Contains(t, l.sees(), "no step of this lesson fails")
	l.types("q")
	l.verdict("every-token-has-its-own-jti")
	l.types("o", "t")
	page := l.s.views[text]
	assert.Contains(t, ansi.Strip(strings.SplitN(page.View(), "\n", 2)[0]), "Task 2")
	l.types("esc", "?")
	assert.Contains(t, l.sees(), "Save a file of lessons/02-access-token, and it is graded.")
	assert.Contains(t, l.sees(), "The lesson is about token.go, login.go")
	l.types("?")
	assert.Contains(t, l.sees(), "every-token-has-its-own-jti")
	l.types("enter")
	assert.Equal(t, 1, l.fakes["02-access-token"].again)
}

func TestResetAsks(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	l.verdict("missing-field-is-named")
	file := filepath.Join(l.s.book.Folder(l.s.lesson, false), "login.go")
	require.NoError(t, os.WriteFile(file, []byte("package main // mine"), 0o644))
	l.types("r")
	assert.Contains(t, l.sees(), "Start lesson 01 over? Yours is kept.")
	l.types("n")
	assert.Contains(t, l.sees(), "nothing was changed")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "package main // mine", string(text))

	l.types("r", "y")
	assert.Contains(t, l.sees(), "reset; yours: .workshop/backup/01-login-")
	text, err = os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(text), "TODO(01.1)")
	l.verdict("login-accepts-the-right-password")
	assert.Contains(t, l.sees(), "reset; yours:", "it stays when the verdict comes")
}

func TestDiff(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	require.NoError(t, scratch.Solve(l.s.book.Root, l.s.lesson))
	l.verdict("")
	l.types("d")
	assert.Contains(t, l.sees(), "your files and the reference are the same")
	file := filepath.Join(l.s.book.Folder(l.s.lesson, false), "login.go")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append([]byte("// mine\n"), text...), 0o644))
	l.types("d")
	assert.Contains(t, l.sees(), "--- lessons/01-login/login.go")
	assert.Contains(t, l.sees(), "-// mine")
	l.types("d")
	assert.Contains(t, l.sees(), "is done")
}

func TestWhatTheWatcherIsAt(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	steps := suites.For(l.s.lesson).Steps
	at := func(phase live.Phase, since time.Duration, ended int) {
		l.tells(func(s *live.State) {
			s.Phase, s.Began = phase, time.Now().Add(-since)
			s.Results, s.Running = nil, nil
			for i, step := range steps {
				r := grade.Result{Step: step}
				if i < ended {
					r.Status = grade.Passed
				}
				s.Results = append(s.Results, r)
			}
			if phase == live.Grading {
				s.Running = []string{steps[ended].ID}
			}
		})
	}
	at(live.Building, 0, 0)
	assert.Contains(t, l.sees(), "building")
	assert.Contains(t, l.sees(), "· whole-password-counts", "the steps that are to come")
	at(live.Building, 0, 0) // another save, before any verdict
	assert.Contains(t, l.sees(), "· whole-password-counts")
	at(live.Grading, 0, 5)
	assert.Contains(t, l.sees(), "5 of 17 steps")
	assert.Contains(t, l.sees(), "grading, 5 of 17")

	// Later a save leaves the last verdict where it is, unless something hangs.
	l.verdict("whole-password-counts")
	at(live.Building, 0, 0)
	at(live.Building, 0, 0)
	assert.Contains(t, l.sees(), "it is wrong")
	at(live.Grading, 0, 5)
	assert.Contains(t, l.sees(), "it is wrong")
	at(live.Grading, 3*time.Second, 5)
	assert.NotContains(t, l.sees(), "it is wrong")
	assert.Contains(t, l.sees(), "no answer yet for 3 s")
	assert.Regexp(t, "[◐◓◑◒] "+steps[5].ID, l.sees())
	l.types("l")
	assert.Contains(t, l.sees(), "02-access-token", "keys work meanwhile")
	l.types("q")

	l.tells(func(s *live.State) {
		s.Verdict = grade.Verdict{Lesson: l.s.lesson, Err: &subject.BuildError{Root: l.s.book.Root, Output: "lessons/01-login/login.go:21:2: undefined: d\n"}}
	})
	assert.Contains(t, l.sees(), "lessons/01-login/login.go:21: undefined: d")
	l.types("h")
	assert.Contains(t, l.sees(), "no hint for this")
	l.tells(func(s *live.State) {
		s.Verdict = grade.Verdict{Lesson: l.s.lesson, Err: errors.New("lessons/01-login is missing")}
	})
	assert.Contains(t, l.sees(), "lessons/01-login is missing")
}

// Whatever the size, no line is wider than the screen and there are not more of
// them, with every page.
func TestEverySize(t *testing.T) {
	t.Parallel()
	l := sit(t, "09")
	l.verdict(suites.Own(l.s.lesson)[3].ID)
	l.types("h", "h", "h")
	for _, size := range [][2]int{{60, 24}, {80, 24}, {120, 50}, {200, 60}, {20, 5}, {1, 1}} {
		for _, key := range []string{"", "l", "o", "?"} {
			if key != "" {
				l.types(key)
			}
			l.gets(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			lines := strings.Split(l.sees(), "\n")
			assert.LessOrEqual(t, len(lines), max(5, size[1]), "%v %q", size, key)
			for _, line := range lines {
				if size[0] >= 60 {
					assert.LessOrEqual(t, ansi.StringWidth(line), size[0], "%v %q: %q", size, key, line)
				}
			}
			l.types("esc")
		}
	}
}

func TestWithoutColoursCodeIsMarked(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	l.types("o")
	assert.NotContains(t, l.sees(), "`letmein`")
	l.gets(tea.ColorProfileMsg{Profile: colorprofile.ASCII})
	assert.Contains(t, l.sees(), "`letmein`")
}

func TestCopyIsTheWholeRequest(t *testing.T) {
	t.Parallel()
	l := sit(t, "01")
	l.types("c")
	assert.Contains(t, l.sees(), "there is no request to copy")
	l.verdict("whole-password-counts")
	for i := range l.s.state.Verdict.Results {
		if f := l.s.state.Verdict.Results[i].Failure; f != nil {
			f.Sent = &probe.Exchange{Request: probe.Request{Method: "GET", Path: "/x"}}
		}
	}
	_, cmd := l.s.Update(tea.KeyPressMsg{Code: 'c', Text: "c"})
	require.NotNil(t, cmd)
	assert.Equal(t, tea.SetClipboard(l.s.state.Verdict.Results[13].Failure.Sent.Curl())(), cmd())
}

// Where there is no terminal, each verdict is printed once.
func TestWithoutATerminal(t *testing.T) {
	t.Parallel()
	l := lessons.All()[0]
	failed := grade.Verdict{Lesson: l, Results: []grade.Result{{Step: suites.For(l).Steps[0], Status: grade.Failed, Failure: &probe.Failure{Claim: "it is wrong"}}}}
	passed := grade.Verdict{Lesson: l, Results: []grade.Result{{Step: suites.For(l).Steps[0], Status: grade.Passed}}}
	told := []live.State{
		{Lesson: l, Phase: live.Building, Round: 1},
		{Lesson: l, Phase: live.Graded, Round: 1, Verdict: failed},
		{Lesson: l, Phase: live.Grading, Round: 2, Verdict: failed},
		{Lesson: l, Phase: live.Graded, Round: 2, Verdict: passed},
	}
	printed := func(print func(context.Context, source)) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{states: make(chan live.State), closed: make(chan struct{})}
		go func() {
			for _, s := range told {
				f.states <- s
			}
			cancel()
		}()
		print(ctx, f)
		<-f.closed
	}
	var out bytes.Buffer
	printed(func(ctx context.Context, f source) {
		assert.NoError(t, cards(ctx, report.Card{Out: report.Plain(&out), Width: 80}, f))
	})
	assert.Equal(t, 1, strings.Count(out.String(), "it is wrong"))
	assert.Contains(t, out.String(), "save a file of lessons/01-login · Ctrl-C ends")
	assert.Contains(t, out.String(), "it is done; still watching lessons/01-login")
	assert.NotContains(t, out.String(), "\x1b[")

	out.Reset()
	printed(func(ctx context.Context, f source) {
		assert.NoError(t, lines(ctx, &out, t.TempDir(), f))
	})
	assert.Equal(t, `grading lessons/01-login
lessons/01-login/README.md:1:1: error: login-accepts-the-right-password: it is wrong
graded lessons/01-login: 0 steps passed
grading lessons/01-login
graded lessons/01-login: 1 steps passed
`, out.String())
}

// Every lesson's text fits, tables and all, and holds nothing for browsers.
func TestEveryTextFits(t *testing.T) {
	t.Parallel()
	for _, l := range lessons.All() {
		for _, width := range []int{60, widest} {
			page, err := readme(l, width, true)
			require.NoError(t, err)
			for line := range strings.SplitSeq(ansi.Strip(page), "\n") {
				assert.LessOrEqual(t, ansi.StringWidth(line), width, "%s: %q", l.ID, line)
			}
			assert.NotContains(t, page, "<!--", l.ID)
			assert.NotContains(t, page, "](", l.ID)
			assert.Contains(t, ansi.Strip(page), "Task 1: ", l.ID)
		}
	}
}
