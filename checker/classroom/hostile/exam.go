package hostile

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/grade"
)

// An Outcome is what became of a case.
type Outcome struct {
	Case  Case
	Ended string
	Bad   []string // what must not be
	Took  time.Duration
}

// An Exam grades hostile submissions as a class is graded, with traps laid for those
// that break out, and the honest solution between any two of them.
type Exam struct {
	Marker *marking.Marker
	Root   string // the workshop
	Folder string // for the submissions and the traps; new
	Slots  int    // cases at a time
}

// patience is what a step may take among others: the honest solution needs a
// hundredth. Who needs longer is asked once more, alone.
const patience = 3 * time.Second

// Run grades the cases, tells each outcome as it comes, and returns how many cases
// there were and how many went wrong.
func (e *Exam) Run(ctx context.Context, cases []Case, tell func(Outcome)) (n, bad int, err error) {
	t, err := lay(e.Folder)
	if err != nil {
		return 0, 0, err
	}
	defer t.close()
	defer func(heard func(string), crowded time.Duration) {
		e.Marker.Heard, e.Marker.Crowded = heard, crowded
	}(e.Marker.Heard, e.Marker.Crowded)
	e.Marker.Heard, e.Marker.Crowded = t.hear, patience
	honest, err := e.honest()
	if err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan Case)
	for range max(1, e.Slots) {
		wg.Go(func() {
			for c := range next {
				o := e.one(ctx, c, t, honest)
				mu.Lock()
				n++
				if len(o.Bad) > 0 {
					bad++
				}
				tell(o)
				mu.Unlock()
			}
		})
	}
	for _, c := range cases {
		if ctx.Err() != nil {
			break
		}
		next <- c
	}
	close(next)
	wg.Wait()
	if left := remains(e.Marker.Folder); len(left) > 0 {
		bad++
		tell(Outcome{Case: Case{Name: "after all of them"}, Bad: []string{"processes were left behind: " + strings.Join(left, ", ")}})
	}
	if what := t.sprung(); what != "" {
		bad++
		tell(Outcome{Case: Case{Name: "after all of them"}, Bad: []string{what}})
	}
	return n, bad, ctx.Err()
}

// honest is the solution of the lesson, as a student would hand it in.
func (e *Exam) honest() (intake.Work, error) {
	w := intake.Work{Lesson: honestLesson(), Files: map[string][]byte{}}
	names, err := filepath.Glob(filepath.Join(e.Root, "solutions", w.Lesson.ID, "*.go"))
	if err != nil {
		return w, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if w.Files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			return w, err
		}
	}
	if len(w.Files) == 0 {
		return w, fmt.Errorf("solutions/%s is missing: there is no honest submission to grade between the others", w.Lesson.ID)
	}
	return w, nil
}

func (e *Exam) one(ctx context.Context, c Case, t *traps, honest intake.Work) Outcome {
	start := time.Now()
	o := Outcome{Case: c}
	wrong := func(format string, args ...any) { o.Bad = append(o.Bad, fmt.Sprintf(format, args...)) }
	folder, err := os.MkdirTemp(e.Folder, "case")
	if err != nil {
		o.Bad = []string{err.Error()}
		return o
	}
	defer os.RemoveAll(folder)
	token := rand.Text()
	p, err := c.Lay(folder, e.Root, t.replacer(e.Root, token))
	if err != nil {
		wrong("it cannot be written: %v", err)
		return o
	}
	t.expect(token)
	handed, err := intake.List(folder, "")
	if err != nil || len(handed) != 1 {
		wrong("%s is listed as %d submissions: %v", p, len(handed), err)
		return o
	}
	var marks []marking.Mark
	works, err := intake.Read(handed[0])
	if err != nil {
		o.Ended = Refused
	} else if marks, err = e.Marker.Mark(ctx, works); err != nil {
		wrong("%v", err)
	}
	for _, m := range marks {
		switch m.Lesson {
		case c.Lesson.ID:
			o.Ended = Ended(m)
		case c.Sibling:
			if what := shortcoming(m); what != "" {
				wrong("its sibling %s did not pass: %s", m.Lesson, what)
			}
		}
	}
	if !slices.Contains(c.Ends, o.Ended) {
		wrong("it ended %s, not %s", o.Ended, strings.Join(c.Ends, " or "))
	}
	text, _ := json.Marshal(marks)
	if what := t.reveals(string(text)+strings.Join(reasons(err), ""), token); what != "" {
		wrong("%s", what)
	}
	if what := t.sprung(); what != "" {
		wrong("%s", what)
	}
	after, err := e.Marker.Mark(ctx, []intake.Work{honest})
	if err != nil {
		wrong("the honest submission after it: %v", err)
	} else if what := shortcoming(after[0]); what != "" {
		wrong("the honest submission after it did not pass: %s", what)
	}
	o.Took = time.Since(start)
	return o
}

// shortcoming is what keeps a mark from being one that passed, "" where nothing does.
func shortcoming(m marking.Mark) string {
	for _, step := range m.Steps {
		if step.Status != grade.Passed {
			return fmt.Sprintf("%s %s: %s%s %s", step.ID, step.Status, step.Claim, step.Reason, step.Detail)
		}
	}
	if len(m.Steps) == 0 {
		return m.Why + ": " + m.Detail
	}
	return ""
}

func reasons(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

// traps are what a submission must not reach.
type traps struct {
	folder   string
	secret   string // stands in files and in our environment
	port     int
	abstract string
	close    func()

	called atomic.Int64 // calls that arrived at a listener
	mu     sync.Mutex
	tokens []string
	heard  string // a token that was printed
}

// secretEnv is a variable of our environment that no submission may see.
const secretEnv = "CLASSROOM_EXAM_SECRET"

func lay(folder string) (*traps, error) {
	t := &traps{folder: filepath.Join(folder, "traps"), secret: "secret-" + rand.Text(), abstract: "classroom-" + rand.Text()}
	lesson := filepath.Join(t.folder, "lessons", honestLesson().ID)
	if err := os.MkdirAll(lesson, 0o777); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(t.folder, 0o777), os.WriteFile(filepath.Join(t.folder, "file"), []byte(t.secret), 0o666),
		os.WriteFile(filepath.Join(lesson, "secret.go"), []byte(t.secret), 0o666), os.Setenv(secretEnv, t.secret)); err != nil {
		return nil, err
	}
	var listeners []net.Listener
	t.close = func() {
		for _, l := range listeners {
			l.Close()
		}
	}
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", "@" + t.abstract}, {"unix", filepath.Join(t.folder, "socket")}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			t.close()
			return nil, err
		}
		listeners = append(listeners, l)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				t.called.Add(1)
				c.Close()
			}
		}()
	}
	t.port = listeners[0].Addr().(*net.TCPAddr).Port
	return t, os.Chmod(filepath.Join(t.folder, "socket"), 0o666)
}

func (t *traps) replacer(root, token string) *strings.Replacer {
	return strings.NewReplacer("{{ROOT}}", root, "{{FILE}}", filepath.Join(t.folder, "file"), "{{DIR}}", t.folder,
		"{{PORT}}", strconv.Itoa(t.port), "{{ABSTRACT}}", t.abstract, "{{PID}}", strconv.Itoa(os.Getpid()), "{{TOKEN}}", token)
}

func (t *traps) expect(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens = append(t.tokens, token)
}

// hear is given what servers print.
func (t *traps) hear(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, token := range append(t.tokens, t.secret) {
		if at := strings.Index(text, token); at >= 0 {
			t.heard, _, _ = strings.Cut(text[at:], "\n")
		}
	}
}

// reveals tells what a text gives away.
func (t *traps) reveals(text, token string) string {
	switch {
	case strings.Contains(text, t.secret):
		return "it has read what is not its own"
	case strings.Contains(text, token):
		return "it says that it got out"
	}
	return ""
}

// sprung tells which trap has caught somebody.
func (t *traps) sprung() string {
	if t.called.Swap(0) > 0 {
		return "it has called a server on this machine"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if heard := t.heard; heard != "" {
		t.heard = "" // once is enough
		return fmt.Sprintf("it says that it got out, or read what is not its own: %q", heard)
	}
	for name, want := range map[string]string{"file": t.secret, filepath.Join("lessons", honestLesson().ID, "secret.go"): t.secret} {
		if text, err := os.ReadFile(filepath.Join(t.folder, name)); err != nil || string(text) != want {
			return "it has changed a file of this machine"
		}
	}
	entries, _ := os.ReadDir(t.folder)
	if len(entries) != 3 {
		return "it has left a file on this machine"
	}
	return ""
}

// remains names the processes of sandboxes that are still there a moment after the
// last has been ended: those that folder is said to, or in whose world a part of it
// is mounted, whatever they call themselves.
func remains(folder string) []string {
	var left []string
	for range 50 {
		left = nil
		processes, _ := filepath.Glob("/proc/[0-9]*")
		for _, p := range processes {
			said, _ := os.ReadFile(filepath.Join(p, "cmdline"))
			mounted, _ := os.ReadFile(filepath.Join(p, "mountinfo"))
			if (strings.Contains(string(said), folder) || strings.Contains(string(mounted), "/"+filepath.Base(folder)+"/")) && filepath.Base(p) != fmt.Sprint(os.Getpid()) {
				left = append(left, filepath.Base(p))
			}
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return left
}
