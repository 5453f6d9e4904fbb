package live

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// patience is how long a state may take on a machine that is busy with other tests.
const patience = time.Minute

// A desk is a copy of the workshop and a watcher of its first lesson.
type desk struct {
	*testing.T
	book   *workbook.Workbook
	w      *Watcher
	folder string
}

type grader func(context.Context, func(grade.Result)) (grade.Verdict, error)

// sit copies the workshop. The grader is the real one unless another is made.
func sit(t *testing.T, other func(*desk) grader) *desk {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, scratch.Copy(filepath.Join("..", ".."), root))
	d := &desk{T: t, book: &workbook.Workbook{Root: root}}
	l := lessons.All()[0]
	d.folder = d.book.Folder(l, false)
	if other == nil {
		d.w = Watch(d.book, l)
	} else {
		d.w = watch(d.book, l, other(d))
	}
	t.Cleanup(d.w.Close)
	return d
}

// until reads states until one is as wanted.
func (d *desk) until(what string, wanted func(State) bool) State {
	d.Helper()
	deadline := time.After(patience)
	var last State
	for {
		select {
		case s := <-d.w.States():
			if last = s; wanted(s) {
				return s
			}
		case <-deadline:
			require.Fail(d, "it does not come to this", "%s; the last state is round %d, %s: %v", what, last.Round, last.Phase, last.Verdict.Err)
		}
	}
}

// verdict waits for a verdict whose code is the text. See reader.
func (d *desk) verdict(text string) State {
	d.Helper()
	return d.until("a verdict on "+text, func(s State) bool {
		return s.Phase == Graded && s.Verdict.Err != nil && s.Verdict.Err.Error() == text
	})
}

func (d *desk) path(name string) string { return filepath.Join(d.folder, name) }

// write puts a file there at once, never half of it.
func (d *desk) write(name, text string) {
	d.Helper()
	require.NoError(d, d.save(name, text))
}

// save is write for a goroutine beside the test's.
func (d *desk) save(name, text string) error {
	if err := os.WriteFile(d.path(".new"), []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(d.path(".new"), d.path(name))
}

// reader is a grader that takes no time: its verdict is what stands in login.go.
func reader(d *desk) grader {
	return func(context.Context, func(grade.Result)) (grade.Verdict, error) {
		text, err := os.ReadFile(d.path("login.go"))
		if err != nil {
			return grade.Verdict{}, fmt.Errorf("no login.go")
		}
		return grade.Verdict{Err: fmt.Errorf("%s", text)}, nil
	}
}

// sitWithReader is a desk with that grader, its first verdict taken.
func sitWithReader(t *testing.T) *desk {
	d := sit(t, reader)
	d.until("the first verdict", func(s State) bool { return s.Phase == Graded })
	return d
}

// Each way in which an editor saves ends in a verdict on what was saved.
func TestEditorsSave(t *testing.T) {
	t.Parallel()
	for name, save := range map[string]func(d *desk, text string){
		"in place": func(d *desk, text string) {
			require.NoError(d, os.WriteFile(d.path("login.go"), []byte(text), 0o644))
		},
		"half, and then the rest": func(d *desk, text string) {
			f, err := os.Create(d.path("login.go"))
			require.NoError(d, err)
			_, err = f.WriteString(text[:3])
			require.NoError(d, err)
			require.NoError(d, f.Sync())
			_, err = f.WriteString(text[3:])
			require.NoError(d, err)
			require.NoError(d, f.Close())
		},
		"beside it, and put in its place": func(d *desk, text string) { // VS Code's atomic save, goimports, gopls
			d.write("login.go.tmp-4711", text)
			require.NoError(d, os.Rename(d.path("login.go.tmp-4711"), d.path("login.go")))
		},
		"anew, the old one put aside": func(d *desk, text string) { // vim with backupcopy=no
			d.write(".login.go.swp", "…")
			d.write("4913", "")
			require.NoError(d, os.Remove(d.path("4913")))
			require.NoError(d, os.Rename(d.path("login.go"), d.path("login.go~")))
			d.write("login.go", text)
			require.NoError(d, os.Remove(d.path("login.go~")))
		},
		"in a folder that was deleted and made again": func(d *desk, text string) {
			require.NoError(d, os.RemoveAll(d.folder))
			require.NoError(d, os.Mkdir(d.folder, 0o755))
			d.write("main.go", "package main")
			d.write("login.go", text)
		},
		"in a folder that took the place of another": func(d *desk, text string) { // git checkout, and unpacking
			require.NoError(d, os.RemoveAll(d.folder+"-away"))
			require.NoError(d, os.Rename(d.folder, d.folder+"-away"))
			require.NoError(d, os.Mkdir(d.folder+"-new", 0o755))
			require.NoError(d, os.WriteFile(filepath.Join(d.folder+"-new", "login.go"), []byte(text), 0o644))
			require.NoError(d, os.Rename(d.folder+"-new", d.folder))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := sitWithReader(t)
			for i := range 3 { // and the next save is noticed, too
				text := fmt.Sprintf("package main // %d", i)
				save(d, text)
				d.verdict(text)
			}
		})
	}
}

// A real vim, both ways that it can save.
func TestVimSaves(t *testing.T) {
	vim, err := exec.LookPath("vim")
	if err != nil {
		t.Skip("left out: there is no vim here")
	}
	t.Parallel()
	for _, backupcopy := range []string{"yes", "no"} {
		t.Run(backupcopy, func(t *testing.T) {
			t.Parallel()
			d := sitWithReader(t)
			d.write("login.go", "package main // 1\n")
			d.verdict("package main // 1\n")
			for i := range 3 {
				cmd := exec.Command(vim, "-u", "NONE", "-n", "-es", "+set backupcopy="+backupcopy,
					fmt.Sprintf("+s/[0-9]/%d/", i+2), "+wq", d.path("login.go"))
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				d.verdict(fmt.Sprintf("package main // %d\n", i+2))
			}
		})
	}
}

func TestWhatEditorsLeaveIsNoSave(t *testing.T) {
	t.Parallel()
	w := &Watcher{book: &workbook.Workbook{Root: "root"}, lesson: lessons.All()[0]}
	for name, counts := range map[string]bool{
		"login.go": true, "new.go": true, "lesson_test.go": true,
		".login.go.swp": false, "4913": false, "login.go~": false, ".#login.go": false, "#login.go#": false,
		"login.go.tmp-12": false, "login.go___jb_tmp___": false, ".goutputstream-XYZ": false, "README.md": false, "_draft.go": false,
	} {
		assert.Equal(t, counts, w.counts(fsnotify.Event{Name: filepath.Join(w.folder(), name), Op: fsnotify.Write}), name)
	}
	assert.True(t, w.counts(fsnotify.Event{Name: w.folder(), Op: fsnotify.Rename}))
	assert.False(t, w.counts(fsnotify.Event{Name: filepath.Join(w.folder(), "login.go"), Op: fsnotify.Chmod}))
	assert.False(t, w.counts(fsnotify.Event{Name: filepath.Join(w.folder(), "sub", "login.go"), Op: fsnotify.Write}))
	assert.False(t, w.counts(fsnotify.Event{Name: filepath.Join(filepath.Dir(w.folder()), "02-access-token"), Op: fsnotify.Create}))
}

// A save ends what runs for an older one, and its verdict is never told.
func TestANewerSaveCancels(t *testing.T) {
	t.Parallel()
	cancelled := make(chan struct{}, 1)
	d := sit(t, func(d *desk) grader {
		return func(ctx context.Context, tell func(grade.Result)) (grade.Verdict, error) {
			text, _ := os.ReadFile(d.path("login.go"))
			if strings.Contains(string(text), "slow") {
				tell(grade.Result{Step: suites.For(lessons.All()[0]).Steps[0]})
				<-ctx.Done()
				cancelled <- struct{}{}
				return grade.Verdict{}, ctx.Err()
			}
			return reader(d)(ctx, tell)
		}
	})
	d.until("the first verdict", func(s State) bool { return s.Phase == Graded })
	d.write("login.go", "package main // slow")
	d.until("a round for the slow one", func(s State) bool { return s.Round == 2 && s.Phase == Grading })
	d.write("login.go", "package main // quick")
	s := d.verdict("package main // quick")
	assert.Equal(t, 3, s.Round)
	<-cancelled

	d.write("login.go", "package main // slow")
	d.until("a round for the slow one", func(s State) bool { return s.Round == 4 && s.Phase == Grading })
	d.w.Close()
	<-cancelled
}

func TestAgain(t *testing.T) {
	t.Parallel()
	d := sitWithReader(t)
	for round := 2; round < 5; round++ {
		d.w.Again()
		d.until("one more round", func(s State) bool { return s.Phase == Graded && s.Round == round })
	}
}

// A burst of saves ends in one verdict, of what was saved last. A burst is what comes
// without a gap: on a machine that made one, it is begun anew.
func TestABurstIsOneVerdict(t *testing.T) {
	t.Parallel()
	d := sit(t, nil)
	first := d.until("the first verdict", func(s State) bool { return s.Phase == Graded })
	require.True(t, first.Verdict.Count(grade.Failed) > 0, "the starter fails")

	starter, err := os.ReadFile(d.path("login.go"))
	require.NoError(t, err)
	solution, err := os.ReadFile(filepath.Join(d.book.Folder(d.w.lesson, true), "login.go"))
	require.NoError(t, err)
	verdicts := map[int]grade.Verdict{} // by their round
	for tries := 1; ; tries++ {
		clear(verdicts)
		whole := make(chan bool, 1)
		go func() { whole <- d.burst(starter, solution) }()
		read := func(s State) bool {
			if s.Phase == Graded {
				verdicts[s.Round] = s.Verdict
			}
			return s.Phase == Graded && s.Verdict.Passed()
		}
		d.until("the verdict on the last save", read)
		if <-whole {
			break
		}
		require.Less(t, tries, 10, "this machine has no two seconds without a gap")
		d.write("login.go", string(starter)+"// again\n")
		d.until("a verdict on the starter", func(s State) bool { return s.Phase == Graded && !s.Verdict.Passed() })
	}
	assert.Len(t, verdicts, 1, "that of the burst")
	hash, err := d.book.Hash(d.w.lesson)
	require.NoError(t, err)
	assert.Equal(t, hash, d.book.Marks()[d.w.lesson.ID].Hash, "progress is of the last content")
	assert.True(t, d.book.Marks()[d.w.lesson.ID].Done())
}

// burst saves a hundred times in a second, the last time what passes. It returns
// whether no gap was long enough for a round to begin and end in it.
func (d *desk) burst(starter, solution []byte) (whole bool) {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	whole = true
	last := time.Now()
	for i := range 100 {
		<-pace.C
		text := starter
		if i == 99 {
			text = solution
		}
		assert.NoError(d, d.save("login.go", fmt.Sprintf("%s// %d\n", text, i)))
		whole = whole && time.Since(last) < burst
		last = time.Now()
	}
	return whole
}

// What is told of a round while it runs. The grader goes on when the test has seen
// where it is.
func TestStepsAreToldAsTheyEnd(t *testing.T) {
	t.Parallel()
	steps := suites.For(lessons.All()[0]).Steps
	goOn := make(chan struct{})
	d := sit(t, func(*desk) grader {
		return func(ctx context.Context, tell func(grade.Result)) (grade.Verdict, error) {
			wait := func() {
				select {
				case <-goOn:
				case <-ctx.Done():
				}
			}
			v := grade.Verdict{Lesson: lessons.All()[0]}
			wait()
			for _, step := range steps {
				r := grade.Result{Step: step}
				tell(r)
				wait()
				r.Status = grade.Passed
				tell(r)
				v.Results = append(v.Results, r)
			}
			return v, nil
		}
	})
	s := d.until("building", func(s State) bool { return s.Phase == Building })
	assert.Equal(t, 1, s.Round)
	assert.Len(t, s.Results, len(steps))
	assert.Empty(t, s.Running)
	goOn <- struct{}{}
	for i, step := range steps {
		s := d.until(step.ID, func(s State) bool { return s.Phase == Grading && slices.Equal(s.Running, []string{step.ID}) })
		if i > 0 {
			assert.Equal(t, grade.Passed, s.Results[i-1].Status)
		}
		assert.Equal(t, step.ID, s.Results[i].Step.ID)
		assert.Empty(t, s.Results[i].Status)
		assert.Empty(t, s.Verdict.Results, "there is none yet")
		goOn <- struct{}{}
	}
	s = d.until("a verdict", func(s State) bool { return s.Phase == Graded })
	assert.True(t, s.Verdict.Passed())
	assert.Empty(t, s.Running)
}

// The way of a learner, with real builds and servers.
func TestStates(t *testing.T) {
	t.Parallel()
	d := sit(t, nil)
	s := d.until("a verdict", func(s State) bool { return s.Phase == Graded })
	assert.Equal(t, s.Verdict.Results[3].Status, s.Results[3].Status)
	assert.Positive(t, s.Verdict.Count(grade.Failed))

	d.write("login.go", "package main\n\nfunc (s *server) login(c echo")
	s = d.until("a compile error", func(s State) bool { return s.Phase == Graded })
	var build *subject.BuildError
	require.ErrorAs(t, s.Verdict.Err, &build)
	assert.Contains(t, build.Output, "login.go:3")
	assert.Empty(t, s.Results[0].Status, "no step begins")

	require.NoError(t, os.Rename(d.folder, d.folder+"-away"))
	s = d.until("no folder", func(s State) bool { return s.Phase == Graded })
	assert.ErrorContains(t, s.Verdict.Err, "lessons/01-login is missing")
	require.NoError(t, os.Rename(d.folder+"-away", d.folder))
	s = d.until("the folder again", func(s State) bool { return s.Phase == Graded })
	require.ErrorAs(t, s.Verdict.Err, &build)

	require.NoError(t, scratch.Solve(d.book.Root, d.w.lesson))
	s = d.until("all passes", func(s State) bool { return s.Phase == Graded && s.Verdict.Err == nil })
	assert.True(t, s.Verdict.Passed())
	assert.Positive(t, s.Took)

	// A server that hangs is told as one while it does, and a save ends that.
	hanging := "package main\n\nimport \"github.com/labstack/echo/v4\"\n\nfunc (s *server) login(c echo.Context) error { select {} }\n"
	d.write("login.go", hanging)
	s = d.until("a step that runs", func(s State) bool { return s.Phase == Grading && len(s.Running) > 0 })
	assert.True(t, s.Verdict.Passed(), "the last verdict is still there")
	require.NoError(t, scratch.Solve(d.book.Root, d.w.lesson))
	d.until("the verdict on the save", func(s State) bool { return s.Phase == Graded && s.Verdict.Passed() })
}

// A watcher of a long evening: it holds no more after 1,000 saves than before.
func TestAThousandSavesLeaveNothingBehind(t *testing.T) {
	d := sitWithReader(t)
	save := func(from, to int) {
		for i := from; i < to; i++ {
			text := fmt.Sprintf("package main // %d", i)
			d.write("login.go", text)
			d.verdict(text)
		}
	}
	save(0, 50)
	before, goroutines := heap(), runtime.NumGoroutine()
	save(50, 1050)
	assert.Less(t, heap(), before+1<<20, "bytes")
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines+1)
	d.w.Close()
	assert.Less(t, runtime.NumGoroutine(), goroutines)
}

// The same with real builds and servers, fewer of them.
func TestRealSavesLeaveNothingBehind(t *testing.T) {
	d := sit(t, nil)
	d.until("the first verdict", func(s State) bool { return s.Phase == Graded })
	round := 1
	save := func(from, to int) {
		for i := from; i < to; i++ {
			d.write("more.go", fmt.Sprintf("package main\n\nconst more = %d\n", i))
			round = d.until("a verdict", func(s State) bool { return s.Phase == Graded && s.Round > round }).Round
		}
	}
	save(0, 5)
	before, goroutines := heap(), runtime.NumGoroutine()
	save(5, 25)
	assert.Less(t, heap(), before+2<<20, "bytes")
	d.w.Close()
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	if runtime.GOOS == "linux" {
		links, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, link := range links {
			exe, _ := os.Readlink(link)
			assert.False(t, strings.HasPrefix(exe, d.book.Root), "%s is left behind", exe)
		}
	}
}

// heap is how many bytes are held.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
