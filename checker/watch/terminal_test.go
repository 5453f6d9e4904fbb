package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// A terminal is a tmux with the command in it: a real one, keys and screen.
type terminal struct {
	*testing.T
	socket string
	root   string // the learner's copy of the workshop
}

// open starts the command in a terminal of that size.
func open(t *testing.T, width, height int, environment ...string) *terminal {
	t.Helper()
	tmux, err := exec.LookPath("tmux")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("left out: there is no tmux here to be the terminal")
	}
	require.NoError(t, err)
	root := t.TempDir()
	require.NoError(t, scratch.Copy(filepath.Join("..", ".."), root))
	program := filepath.Join(t.TempDir(), "watch")
	require.NoError(t, subject.Build(t.Context(), filepath.Join("..", ".."), "./checker/watch", program))
	short, err := os.MkdirTemp("", "tty") // the name of a socket has at most 100 letters
	require.NoError(t, err)
	x := &terminal{T: t, socket: filepath.Join(short, "s"), root: root}
	t.Cleanup(func() {
		x.tmux("kill-server")
		os.RemoveAll(short)
	})
	command := append([]string{tmux, "-u", "-f", os.DevNull, "-S", x.socket, "new-session", "-d", "-c", root,
		"-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "env"}, environment...)
	// What stands there when the command has ended is how it has ended.
	command = append(command, "sh", "-c", `trap : INT; "$0"; echo "ended with $?"; read -r line`, program)
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return x
}

func (x *terminal) tmux(args ...string) string {
	out, _ := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...).CombinedOutput()
	return string(out)
}

func (x *terminal) types(keys ...string) {
	for _, k := range keys {
		x.tmux("send-keys", k)
	}
}

// shows waits until the screen holds the text, and returns it.
func (x *terminal) shows(text string) string {
	x.Helper()
	deadline := time.After(time.Minute)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		screen := x.tmux("capture-pane", "-p")
		if strings.Contains(screen, text) {
			return screen
		}
		select {
		case <-look.C:
		case <-deadline:
			require.Fail(x, "the screen does not show it", "%s\n%s", text, screen)
		}
	}
}

func (x *terminal) path(l lessons.Lesson, name string) string {
	return filepath.Join(x.root, "lessons", l.ID, name)
}

func (x *terminal) saves(l lessons.Lesson, name, text string) {
	x.Helper()
	require.NoError(x, os.WriteFile(x.path(l, name), []byte(text), 0o644))
}

// The way of a learner through lesson 01, by keys and saves alone.
func TestOnATerminal(t *testing.T) {
	t.Parallel()
	x := open(t, 80, 30, "TERM=screen-256color")
	first, second := lessons.All()[0], lessons.All()[1]

	x.shows("0 of 17 steps")
	x.shows("next  h for a hint")
	x.types("h")
	x.shows("hint 1 of 3")
	x.types("o")
	x.shows("The problem")
	x.types("t")
	x.shows("Task 1: Let the right people in")
	x.types("q", "?")
	x.shows("Save a file of lessons/01-login, and it is graded.")
	x.types("q", "n")
	x.shows("n goes on once lesson 01 has passed")

	solution, err := os.ReadFile(filepath.Join(x.root, "solutions", first.ID, "login.go"))
	require.NoError(t, err)
	x.saves(first, "login.go", string(solution[:len(solution)/2])) // half of it
	x.shows("your code does not compile")
	x.saves(first, "login.go", strings.Replace(string(solution), "!known", "known", 1))
	x.shows("✗ ")
	x.saves(first, "login.go", "// Mine.\n"+string(solution))
	x.shows("✓ Lesson 01 is done.")
	book := &workbook.Workbook{Root: x.root}
	assert.True(t, book.Marks()[first.ID].Done(), "and it is noted")
	x.types("d")
	x.shows("-// Mine.")
	x.types("q", "n")
	x.shows("02 · The access token")
	x.shows("✗ login-returns-an-access-token")

	// A server that hangs, and keys meanwhile.
	x.saves(second, "login.go", `package main

import "github.com/labstack/echo/v4"

func (s *server) login(c echo.Context) error { select {} }
`)
	x.shows("no answer yet for ")
	x.types("l")
	x.shows("→ 02-access-token")
	x.types("q")
	x.shows("lessons/02-access-token/login.go:5")
	x.types("r")
	x.shows("Start lesson 02 over?")
	x.types("y")
	x.shows("reset; yours: .workshop/backup/02-access-token-")
	x.shows("✗ login-returns-an-access-token")

	require.NoError(t, os.RemoveAll(filepath.Join(x.root, "lessons", second.ID)))
	x.shows("lessons/02-access-token is missing")
	x.types("r", "y")
	x.shows("✗ login-returns-an-access-token")

	for _, width := range []int{60, 120, 40} {
		x.tmux("resize-window", "-x", strconv.Itoa(width), "-y", "24")
		x.shows("\n" + strings.Repeat("─", min(width, widest)) + "\n")
		x.shows("02 · The access token")
	}
	x.types("q")
	x.shows("ended with 0")
	assert.Empty(t, running(x.root), "no process is left behind")
}

func TestOnATerminalWithoutColours(t *testing.T) {
	t.Parallel()
	coloured := func(x *terminal) bool {
		x.shows("next  h for a hint")
		screen := x.tmux("capture-pane", "-p", "-e")
		return strings.Contains(screen, "\x1b[31m") || strings.Contains(screen, "\x1b[1m\x1b[31m") || strings.Contains(screen, ";31m")
	}
	assert.True(t, coloured(open(t, 80, 24, "TERM=screen-256color")), "the control: with colours")
	assert.False(t, coloured(open(t, 80, 24, "TERM=screen-256color", "NO_COLOR=1")))

	x := open(t, 80, 50, "TERM=dumb")
	x.shows("save a file of lessons/01-login · Ctrl-C ends")
	x.types("C-c")
	x.shows("ended with 0")
}

// running lists the processes whose program lies in the folder, where the system
// tells.
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
