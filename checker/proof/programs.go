package proof

import (
	"context"
	"fmt"
	"maps"
	"os"
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

	mu   sync.Mutex
	due  int      // cases that were announced
	open []*batch // not built yet: of cases of one lesson, each core has one after the other
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
	files, err := c.Files(p.root)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return strings.HasSuffix(name, "_test.go") })
	p.mu.Lock()
	defer p.mu.Unlock()
	// Neighbours are in different batches, so that as many are built at once.
	lane := p.due % runtime.GOMAXPROCS(0)
	p.due++
	at := slices.IndexFunc(p.open, func(b *batch) bool {
		return b.lane == lane && !slices.ContainsFunc(b.works, func(w intake.Work) bool { return w.Lesson.ID == c.Lesson.ID })
	})
	if at < 0 {
		at = len(p.open)
		p.open = append(p.open, &batch{lane: lane, folder: filepath.Join(p.folder, fmt.Sprint("batch", p.due))})
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
	return subject.Program(program.Path, 1, build.LessonEnv+"="+program.Lesson.ID), nil
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
