package marking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"jwtworkshop/checker/classroom/build"
	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/sandbox"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// What a submission's server may use. Ours need less than a tenth of it.
const (
	serverCPU  = 30 * time.Second // for all steps of a lesson
	serverData = 512 << 20
	serverTmp  = 32 << 20
)

// Times that pass on a clock decide nothing by themselves: what runs into one is run
// once more, alone, with the time that a learner's own checker gives.
const (
	wholeTime = 4 * time.Minute // for a lesson among others
	aloneTime = 2 * time.Minute // for a lesson alone
)

// What all of a student's lessons may take, so that one who makes each of them last does
// not hold a class up: alone, everybody else waits.
const (
	studentTime  = 15 * time.Minute
	studentAlone = 2 * time.Minute
)

// A Marker grades submissions on this machine. Its methods may be called at the
// same time.
type Marker struct {
	Kit    *build.Kit
	Box    *sandbox.Box // nil runs servers without isolation
	Folder string       // for what lasts only as long as a submission is graded

	// How long a step may wait for an answer among others, and alone; 0 is twice as
	// long as a learner's own checker gives, and as long.
	Crowded, Alone time.Duration

	// How long all of a student's lessons may take, without building; 0 is
	// [studentTime] and [studentAlone].
	student, studentAlone time.Duration

	Heard func(text string) // is told what servers print, unless nil

	// Those who grade among others hold it for reading; who must be alone, for
	// writing.
	alone sync.RWMutex
}

// Mark builds and grades the works of one student. Where ctx ends, the error says
// so; there is no other.
func (m *Marker) Mark(ctx context.Context, works []intake.Work) ([]Mark, error) {
	marks := make([]Mark, len(works))
	folder, err := os.MkdirTemp(m.Folder, "s")
	if err == nil {
		err = os.Chmod(folder, 0o755)
	}
	if err != nil {
		for i, w := range works {
			marks[i] = Failed(w.Lesson, err)
		}
		return marks, ctx.Err()
	}
	defer os.RemoveAll(folder)
	var taken []intake.Work
	var at []int
	for i, w := range works {
		if len(w.Refused) > 0 {
			marks[i] = Refused(w)
			continue
		}
		taken, at = append(taken, w), append(at, i)
	}
	if len(taken) == 0 {
		return marks, ctx.Err()
	}
	m.alone.RLock()
	programs, err := m.Kit.Build(ctx, filepath.Join(folder, "a"), taken, false)
	m.alone.RUnlock()
	left := &left{crowded: cmp.Or(m.student, studentTime), alone: cmp.Or(m.studentAlone, studentAlone)}
	for i, w := range taken {
		if err != nil {
			marks[at[i]] = Failed(w.Lesson, err)
			continue
		}
		marks[at[i]] = m.lesson(ctx, folder, w, programs[i], left)
	}
	fit(marks)
	return marks, ctx.Err()
}

// left is the time that is left for a student's lessons.
type left struct{ crowded, alone time.Duration }

// spend takes from what is left what passes until it is called.
func spend(from *time.Duration) func() {
	start := time.Now()
	return func() { *from -= time.Since(start) }
}

// lesson grades one lesson among others and, where a step ends without a verdict,
// once more alone.
func (m *Marker) lesson(ctx context.Context, folder string, w intake.Work, p build.Program, left *left) Mark {
	if p.Err == nil && left.crowded <= 0 {
		return Mark{Lesson: w.Lesson.ID, Why: "not run: the lessons before it have used up the student's time"}
	}
	m.alone.RLock()
	spent := spend(&left.crowded)
	v := m.run(ctx, folder, w, p, "", cmp.Or(m.Crowded, 2*grade.DefaultDeadline), min(wholeTime, left.crowded))
	spent()
	m.alone.RUnlock()
	if p.Err != nil || ctx.Err() != nil {
		return of(v)
	}
	if v.Count(grade.Error) == 0 {
		return of(m.again(ctx, folder, w, p, v, left))
	}
	if left.alone <= 0 {
		mark := of(v)
		mark.Detail = "It was not run once more alone: the lessons before it have used up the student's time for that."
		return mark
	}
	m.alone.Lock()
	defer m.alone.Unlock()
	defer spend(&left.alone)()
	if !p.Alone {
		programs, err := m.Kit.Build(ctx, filepath.Join(folder, w.Lesson.ID), []intake.Work{w}, true)
		if err != nil {
			return Failed(w.Lesson, err)
		}
		p = programs[0]
	}
	mark := of(m.run(ctx, folder, w, p, "", cmp.Or(m.Alone, grade.DefaultDeadline), min(aloneTime, left.alone)))
	mark.Alone = true
	return mark
}

// again runs those steps once more alone that have failed by the real clock: among
// others a right server may be slow. Where one passes that others wait for, all of the
// lesson is run once more.
func (m *Marker) again(ctx context.Context, folder string, w intake.Work, p build.Program, v grade.Verdict, left *left) grade.Verdict {
	once := func(only string) grade.Verdict {
		m.alone.Lock()
		defer m.alone.Unlock()
		defer spend(&left.alone)()
		return m.run(ctx, folder, w, p, only, cmp.Or(m.Alone, grade.DefaultDeadline), min(aloneTime, left.alone))
	}
	for i, r := range v.Results {
		if r.Status != grade.Failed || !r.Step.Timed || left.alone <= 0 {
			continue
		}
		for _, now := range once(r.Step.ID).Results {
			if now.Step.ID != r.Step.ID || now.Status != grade.Passed {
				continue
			}
			v.Results[i] = now
			waits := func(other grade.Result) bool {
				return other.Status == grade.Skipped && slices.Contains(other.Step.Needs, now.Step.ID)
			}
			if left.alone > 0 && slices.ContainsFunc(v.Results, waits) {
				return once("")
			}
		}
	}
	return v
}

// run grades a lesson, or only one step of it and what that needs, within a time, and
// waits for an answer until the deadline.
func (m *Marker) run(ctx context.Context, folder string, w intake.Work, p build.Program, only string, deadline, whole time.Duration) grade.Verdict {
	if p.Err != nil {
		return grade.Verdict{Lesson: w.Lesson, Err: p.Err}
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, whole, fmt.Errorf("not run: the steps before it have used up the lesson's time, %v", whole.Round(time.Second)))
	defer cancel()
	suite := suites.For(w.Lesson)
	var shared *shared
	if m.Box != nil && strings.Contains(string(w.Files["main.go"]), databases) {
		var err error
		if shared, err = share(folder); err != nil {
			return grade.Verdict{Lesson: w.Lesson, Err: err}
		}
		defer os.RemoveAll(shared.folder)
		go shared.watch(ctx, end)
	}
	sub := subject.Seated(func() (*subject.Seat, error) { return m.seat(folder, shared, p) }, source(w), 1)
	defer sub.Close()
	v := grade.Run(ctx, suite, sub, grade.Options{Only: only, Deadline: deadline})
	if m.Heard != nil {
		for _, r := range v.Results {
			m.Heard(r.Printed + "\n" + r.Detail)
		}
	}
	return v
}

// databases is what the main.go of a lesson imports whose servers share a database:
// two programs, and so two sandboxes, open one file.
const databases = "/mockdb/sqldb"

// shared is the folder for that, and the sandboxes that see it. No other submission
// does, and we open nothing in it.
type shared struct {
	folder string

	mu   sync.Mutex
	pids map[int]bool
}

func share(folder string) (*shared, error) {
	dir, err := os.MkdirTemp(folder, "d")
	if err != nil {
		return nil, err
	}
	return &shared{folder: dir, pids: map[int]bool{}}, sandbox.Own(dir)
}

// enter adds a sandbox by the process ID of its command, until leave is called.
func (s *shared) enter(pid int) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids[pid] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pids, pid)
	}
}

// What a shared folder may hold, and what a server may write in all: a file that was
// removed is in no folder, and on the disk for as long as it is open. Ours write 30 MiB.
const (
	sharedSize    = 2 * serverTmp
	sharedFiles   = 1000
	sharedWritten = 256 << 20
)

// watch ends a lesson whose servers fill the folder that they share: unlike their
// own, it is on the disk.
func (s *shared) watch(ctx context.Context, end func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
		if err := s.full(); err != nil {
			end(err)
			return
		}
	}
}

// full says why the folder holds too much, nil where it does not.
func (s *shared) full() error {
	size, files := int64(0), 0
	err := filepath.WalkDir(s.folder, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has just gone
		}
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		if files++; files > sharedFiles {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return errors.New("its servers have locked up the folder that they share")
	}
	if size > sharedSize || files > sharedFiles {
		return fmt.Errorf("its servers have filled the folder that they share: %d MiB, %d files", size>>20, files)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid := range s.pids {
		if n, err := sandbox.Written(pid); err == nil && n > sharedWritten { // it may just have ended
			return fmt.Errorf("one of its servers has written %d MiB to the folder that they share", n>>20)
		}
	}
	return nil
}

// source shows the lines of the submission, and of nothing else on this machine.
func source(w intake.Work) subject.Source {
	return func(file, line string) string {
		dir, name := path.Split(strings.ReplaceAll(file, `\`, "/"))
		n, err := strconv.Atoi(line)
		if path.Base(dir) != w.Lesson.ID || err != nil {
			return ""
		}
		lines := strings.Split(string(w.Files[name]), "\n")
		if n < 1 || n > len(lines) {
			return ""
		}
		return lines[n-1]
	}
}

// seat puts a server into a sandbox. It has a connection to us and a socket to serve
// on, both made here; no file of this machine's is shared with it but its program, and
// a folder, read-only, with the sockets that lead to the companions of a step.
func (m *Marker) seat(folder string, shared *shared, p build.Program) (*subject.Seat, error) {
	env := []string{build.LessonEnv + "=" + p.Lesson.ID, "GOMAXPROCS=2", "GOMEMLIMIT=" + strconv.Itoa(serverData/2), "HOME=/tmp", "TZ=UTC"}
	if m.Box == nil {
		cmd := exec.Command(p.Path)
		cmd.Env = append(os.Environ(), env[:1]...)
		return &subject.Seat{Cmd: cmd}, nil
	}
	dir, err := os.MkdirTemp(folder, "p")
	if err != nil {
		return nil, err
	}
	seat := &subject.Seat{Listen: "fd:4", Network: "unix", Addr: filepath.Join(dir, "http")}
	var closers []io.Closer
	leave := func() {}
	seat.Close = func() {
		leave()
		for _, c := range closers {
			c.Close()
		}
		os.RemoveAll(dir)
	}
	fail := func(err error) (*subject.Seat, error) {
		seat.Close()
		return nil, err
	}
	control, theirs, err := sandbox.Pair()
	if err != nil {
		return fail(err)
	}
	closers = append(closers, theirs, control)
	seat.Control = control
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: seat.Addr, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	l.SetUnlinkOnClose(false) // the server goes on listening when we do not
	listening, err := l.File()
	l.Close()
	if err != nil {
		return fail(err)
	}
	closers = append(closers, listening)
	spec := sandbox.Spec{
		Args: []string{"/server"}, Env: env, Files: []*os.File{theirs, listening}, Tmp: serverTmp,
		Mounts: []sandbox.Mount{{From: p.Path, To: "/server"}},
		Limits: sandbox.Limits{CPU: serverCPU, Data: serverData, File: serverTmp, Open: 512, Tasks: 128},
	}
	if shared != nil {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{From: shared.folder, To: "/data", Write: true})
		spec.Env = append(spec.Env, "TMPDIR=/data")
		seat.Started = func() { leave = shared.enter(seat.Cmd.Process.Pid) }
	}
	b := &bridge{folder: filepath.Join(dir, "beside"), conns: map[net.Conn]bool{}}
	if err := errors.Join(os.Mkdir(b.folder, 0o755), os.Chmod(dir, 0o711)); err != nil {
		return fail(err)
	}
	closers = append(closers, b)
	spec.Mounts = append(spec.Mounts, sandbox.Mount{From: b.folder, To: b.folder})
	seat.Reach = b.reach
	// No context: who sits there is ended by its subject.
	seat.Cmd, err = m.Box.Command(context.Background(), spec)
	if err != nil {
		return fail(err)
	}
	seat.Dump = func() error { return sandbox.Quit(seat.Cmd) }
	return seat, nil
}

// A bridge leads a sandbox to the companions of a step: for each of their addresses
// there is a unix socket in its folder.
type bridge struct {
	folder string

	mu        sync.Mutex
	listeners []net.Listener
	made      int
	conns     map[net.Conn]bool
}

// maxConns is how many connections may cross a bridge at a time.
const maxConns = 256

// reach leads to these addresses, besides those before or, for a fresh server, in
// place of them.
func (b *bridge) reach(fresh bool, addrs []string) ([]lessons.Reach, error) {
	if fresh {
		b.Close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var places []lessons.Reach
	for _, addr := range addrs {
		b.made++
		socket := filepath.Join(b.folder, strconv.Itoa(b.made))
		l, err := net.Listen("unix", socket)
		if err != nil {
			return nil, err
		}
		b.listeners = append(b.listeners, l)
		if err := os.Chmod(socket, 0o666); err != nil {
			return nil, err
		}
		go b.serve(l, addr)
		places = append(places, lessons.Reach{Addr: addr, Socket: socket})
	}
	return places, nil
}

func (b *bridge) serve(l net.Listener, addr string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go b.cross(from, addr)
	}
}

func (b *bridge) cross(from net.Conn, addr string) {
	defer from.Close()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	b.mu.Lock()
	full := len(b.conns) >= 2*maxConns
	if !full {
		b.conns[from], b.conns[to] = true, true
	}
	b.mu.Unlock()
	if full {
		return
	}
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, from)
		delete(b.conns, to)
	}()
	done := make(chan struct{}, 2)
	join := func(a, b net.Conn) {
		io.Copy(a, b)
		done <- struct{}{}
	}
	go join(to, from)
	go join(from, to)
	<-done
}

// Close ends what crosses.
func (b *bridge) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, l := range b.listeners {
		errs = append(errs, l.Close())
	}
	b.listeners = nil
	for c := range b.conns {
		c.Close()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the bridge: %w", err)
	}
	return nil
}
