// Command drill puts the classroom to the test on a made-up class.
//
//	drill bench          what grading costs, against a loop of go test
//	drill kill           kill -9 of grader, worker and queue at random moments
//
// bench grades -n students, and ten of them alone; it wants an otherwise idle machine.
// kill grades -n students with -kills interruptions. Both want Linux and bubblewrap.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"jwtworkshop/checker/classroom/synthetic"
	"jwtworkshop/checker/proof/scratch"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "drill: bench or kill")
		os.Exit(2)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	n := flags.Int("n", map[string]int{"bench": 200, "kill": 12}[os.Args[1]], "students")
	kills := flags.Int("kills", 20, "interruptions")
	loop := flags.Int("loop", 3, "students whom the loop of go test grades")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of the class and of the moments")
	flags.Parse(os.Args[2:])
	d, err := setUp(ctx, *seed)
	if err == nil {
		switch os.Args[1] {
		case "bench":
			err = d.bench(*n, *loop)
		case "kill":
			err = d.kill(*n, *kills)
		default:
			err = fmt.Errorf("%q is neither bench nor kill", os.Args[1])
		}
	}
	if d != nil {
		os.RemoveAll(d.dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "drill:", err)
		os.Exit(1)
	}
}

type drill struct {
	ctx       context.Context
	root, dir string
	classroom string // the command, built
	seed      uint64
}

func setUp(ctx context.Context, seed uint64) (*drill, error) {
	book, err := workbook.Open(".")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "classroom-drill-")
	if err != nil {
		return nil, err
	}
	d := &drill{ctx: ctx, root: book.Root, dir: dir, classroom: filepath.Join(dir, "classroom"), seed: seed}
	fmt.Printf("%s, %d cores, %s; seed %d\n\n", runtime.GOOS, runtime.NumCPU(), runtime.Version(), seed)
	return d, d.build("./checker/classroom", d.classroom)
}

func (d *drill) build(pkg, to string) error {
	cmd := exec.CommandContext(d.ctx, "go", "build", "-o", to, pkg)
	cmd.Dir = d.root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, output)
	}
	return nil
}

func (d *drill) class(name string, n int) (string, error) {
	folder := filepath.Join(d.dir, name)
	return folder, synthetic.Class(d.root, folder, n, d.seed)
}

// grading is the command that grades a class.
func (d *drill) grading(class, out string, more ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.ctx, d.classroom, append([]string{"grade", class, "--out", out, "--selftest", "never"}, more...)...)
	cmd.Dir = d.root
	return cmd
}

// A cost is what one run has used.
type cost struct {
	wall   time.Duration
	cpu    time.Duration // of the whole machine: servers are killed, and who is killed in a sandbox leaves no account
	memory int64         // bytes, the most that the grader itself had
}

// run runs a command that grades; lessons that could not be graded are no error.
func (d *drill) run(cmd *exec.Cmd) (cost, error) {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	start, before := time.Now(), busy()
	if err := cmd.Start(); err != nil {
		return cost{}, err
	}
	var c cost
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			c.memory = max(c.memory, peak(cmd.Process.Pid))
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	<-watched
	c.wall, c.cpu = time.Since(start), busy()-before
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		return c, fmt.Errorf("%w\n%s", err, said.String())
	}
	return c, nil
}

// busy is how long the processors of this machine have worked since it was started
// (proc(5), stat: hundredths of a second).
func busy() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	total := time.Duration(0)
	for i, field := range strings.Fields(line) {
		if i == 4 || i == 5 || i > 7 { // idle, waiting for a disk; not ours
			continue
		}
		ticks, _ := strconv.ParseInt(field, 10, 64) // the first is the line's name
		total += time.Duration(ticks) * 10 * time.Millisecond
	}
	return total
}

// peak is the most memory that a process has had, in bytes (VmHWM, proc(5)).
func peak(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func (d *drill) bench(n, loop int) error {
	each := len(lessons.All())
	few, err := d.class("few", 10)
	if err != nil {
		return err
	}
	many, err := d.class("many", n)
	if err != nil {
		return err
	}
	rate := func(students int, c cost) float64 { return float64(students*each) / c.wall.Minutes() }
	say := func(name string, students int, c cost) {
		fmt.Printf("%-34s %7.1f s   %6.0f lessons a minute   %5.2f s of processor a student   %4d MiB\n",
			name, c.wall.Seconds(), rate(students, c), c.cpu.Seconds()/float64(students), c.memory>>20)
	}
	if _, err := d.run(d.grading(few, filepath.Join(d.dir, "warm"), "--lesson", "01")); err != nil { // the build cache is warm afterwards
		return err
	}
	tested, err := d.loop(few, loop)
	if err != nil {
		return err
	}
	say(fmt.Sprintf("a loop of go test, %d students", loop), loop, tested)
	first, err := d.run(d.grading(few, filepath.Join(d.dir, "out-few")))
	if err != nil {
		return err
	}
	say("classroom, 10 students", 10, first)
	all, err := d.run(d.grading(many, filepath.Join(d.dir, "out-many")))
	if err != nil {
		return err
	}
	say(fmt.Sprintf("classroom, %d students", n), n, all)
	again, err := d.run(d.grading(many, filepath.Join(d.dir, "out-many")))
	if err != nil {
		return err
	}
	say("the same class again", n, again)
	fmt.Printf("\n%5.1f × the lessons a minute of the loop\n%5.2f × the processor time a student of 10 students\n%5.1f %% of the first run, the second\n",
		rate(n, all)/rate(loop, tested), (all.cpu.Seconds()/float64(n))/(first.cpu.Seconds()/10), 100*again.wall.Seconds()/all.wall.Seconds())
	return nil
}

// loop grades students as a teacher without a classroom would: their files over a
// checkout, and go test for each lesson.
func (d *drill) loop(class string, n int) (cost, error) {
	tree := filepath.Join(d.dir, "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return cost{}, err
	}
	if err := scratch.Copy(d.root, tree); err != nil {
		return cost{}, err
	}
	students, err := os.ReadDir(class)
	if err != nil {
		return cost{}, err
	}
	test := func(l lessons.Lesson) error {
		cmd := exec.CommandContext(d.ctx, "go", "test", "./lessons/"+l.ID)
		cmd.Dir = tree
		output, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return fmt.Errorf("%w\n%s", err, output)
		}
		return nil
	}
	if err := test(lessons.All()[0]); err != nil { // the first compiles the suites
		return cost{}, err
	}
	var c cost
	for _, s := range students[:min(n, len(students))] {
		for _, l := range lessons.All() {
			to := filepath.Join(tree, "lessons", l.ID)
			old, err := filepath.Glob(filepath.Join(to, "*.go"))
			if err != nil {
				return c, err
			}
			for _, name := range old {
				if !strings.HasSuffix(name, "_test.go") {
					os.Remove(name)
				}
			}
			names, err := filepath.Glob(filepath.Join(class, s.Name(), "lessons", l.ID, "*.go"))
			if err != nil {
				return c, err
			}
			for _, name := range names {
				text, err := os.ReadFile(name)
				if err == nil && !strings.HasSuffix(name, "_test.go") {
					err = os.WriteFile(filepath.Join(to, filepath.Base(name)), text, 0o644)
				}
				if err != nil {
					return c, err
				}
			}
			start, before := time.Now(), busy()
			if err := test(l); err != nil {
				return c, err
			}
			c.wall, c.cpu = c.wall+time.Since(start), c.cpu+busy()-before
		}
	}
	return c, nil
}
