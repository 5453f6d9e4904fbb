package proof

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"jwtworkshop/checker/classroom/build"
	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/subject"
)

// Programs builds many cases with few links, as the classroom builds what a class
// has handed in: a case takes the place of a lesson, a batch that of a student.
type Programs struct {
	root, folder string
	kit          func() (*build.Kit, error)

	mu      sync.Mutex
	due     int
	open    []*batch // one for each core and, of a lesson that is in it already, one after the other
	batches int
}

// A batch is cases of different lessons, which share a program.
type batch struct {
	folder  string
	lane    int
	works   []intake.Work
	once    sync.Once
	built   []build.Program
	err     error
	waiting int // cases that are not graded yet
}

// Due is a case whose program will be asked for.
type Due struct {
	from *Programs
	in   *batch
	at   int // in works
}

// NewPrograms builds cases of the module at root, in folder, which must be empty.
func NewPrograms(root, folder string) *Programs {
	p := &Programs{root: root, folder: folder}
	p.kit = sync.OnceValues(func() (*build.Kit, error) {
		return build.Prepare(context.Background(), root, filepath.Join(folder, "kit"), nil)
	})
	return p
}

// Expect announces a case. Those that are announced before the first program is
// asked for share the most.
func (p *Programs) Expect(c Case) (*Due, error) {
	files, err := c.folder(p.root)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Neighbours are in different batches, so that as many are built at once.
	lane := p.due % runtime.GOMAXPROCS(0)
	p.due++
	at := slices.IndexFunc(p.open, func(b *batch) bool {
		return b.lane == lane && !slices.ContainsFunc(b.works, func(w intake.Work) bool { return w.Lesson.ID == c.Lesson.ID })
	})
	if at < 0 {
		p.batches++
		at = len(p.open)
		p.open = append(p.open, &batch{lane: lane, folder: filepath.Join(p.folder, fmt.Sprint("batch", p.batches))})
	}
	b := p.open[at]
	b.works = append(b.works, intake.Work{Lesson: c.Lesson, Files: files})
	b.waiting++
	return &Due{from: p, in: b, at: len(b.works) - 1}, nil
}

// Subject builds the program, if no other case of its batch has done so, and runs
// it. Closing the subject is left to the caller, as is Done. Where the case does not
// compile, the error is a [*subject.BuildError].
func (d *Due) Subject(ctx context.Context) (subject.Subject, error) {
	d.in.once.Do(func() {
		d.from.mu.Lock()
		d.from.open = slices.DeleteFunc(d.from.open, func(b *batch) bool { return b == d.in })
		d.from.mu.Unlock()
		kit, err := d.from.kit()
		if err == nil {
			// Not by ctx: others wait for it, too.
			d.in.built, err = kit.Build(context.WithoutCancel(ctx), d.in.folder, d.in.works, false)
		}
		d.in.err = err
	})
	if d.in.err != nil {
		return nil, d.in.err
	}
	program := d.in.built[d.at]
	if program.Err != nil {
		return nil, program.Err
	}
	seat := func() (*subject.Seat, error) {
		cmd := exec.Command(program.Path)
		cmd.Env = append(os.Environ(), build.LessonEnv+"="+program.Lesson.ID)
		return &subject.Seat{Cmd: cmd}, nil
	}
	source := func(file, line string) string { return subject.Line(build.Sources(d.in.folder), file, line) }
	return subject.Seated(seat, source, 1), nil
}

// Done removes the program with the last of its cases.
func (d *Due) Done() error {
	d.from.mu.Lock()
	defer d.from.mu.Unlock()
	if d.in.waiting--; d.in.waiting > 0 {
		return nil
	}
	return os.RemoveAll(d.in.folder)
}

// folder is the solution's folder with the case laid over it, without its tests.
func (c Case) folder(root string) (map[string][]byte, error) {
	solution := filepath.Join(root, "solutions", c.Lesson.ID)
	entries, err := os.ReadDir(solution)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(solution, e.Name()))
		if err != nil {
			return nil, err
		}
		files[e.Name()] = text
	}
	maps.Copy(files, c.files)
	maps.DeleteFunc(files, func(_ string, text []byte) bool { return text == nil })
	return files, nil
}
