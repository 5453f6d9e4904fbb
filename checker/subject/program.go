package subject

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

// startTime is how long a lesson's program may take to call back.
const startTime = 10 * time.Second

// A program is a lesson's program that runs beside the grader and does what it
// says over a control connection (see lessons.Command).
type program struct {
	path string
	args []string

	mu    sync.Mutex // one command at a time
	run   *run       // nil where none is running
	other *program   // nil until it is needed
}

// A run is one process of the program.
type run struct {
	cmd    *exec.Cmd
	conn   net.Conn
	in     *json.Decoder
	out    *json.Encoder
	output *tail
	gone   chan struct{} // closed when the process has ended

	database string // of the server that is open; "" where it has none
}

// Program returns the subject that runs the program at path, in as many processes
// as sessions are to overlap. A process is started when it is needed, and again if
// it dies or hangs.
func Program(path string, overlap int) Subject {
	p := &pool{idle: make(chan *program, overlap)}
	for range overlap {
		p.idle <- &program{path: path}
	}
	return p
}

// A pool is programs that take turns. One process serves one session at a time,
// so that a server which keeps its state in package variables is served as well.
type pool struct {
	controlled
	idle chan *program
}

func (p *pool) Overlap() int            { return cap(p.idle) }
func (p *pool) Patience() time.Duration { return 0 }

func (p *pool) Fresh(ctx context.Context, s lessons.Settings) (*Session, error) {
	one := <-p.idle
	session, err := one.Fresh(ctx, s)
	if err != nil {
		p.idle <- one
		return nil, err
	}
	session.release = func() { p.idle <- one }
	return session, nil
}

// Close ends all processes; those of sessions that have not ended when they do.
func (p *pool) Close() error {
	for range cap(p.idle) {
		(<-p.idle).Close()
	}
	return nil
}

func (p *program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		p.run.conn.Close() // a lesson's program ends when its grader hangs up
		if p.run.database != "" {
			select { // it has that to clear away
			case <-p.run.gone:
			case <-time.After(time.Second):
			}
		}
	}
	p.end()
	if p.other != nil {
		p.other.Close()
	}
	return nil
}

func (p *program) end() {
	if p.run == nil {
		return
	}
	p.run.conn.Close()
	p.run.cmd.Process.Kill()
	<-p.run.gone
	// Who was killed has left its database behind. Only what is certainly one is removed.
	folder := filepath.Dir(p.run.database)
	if filepath.Dir(folder) == filepath.Clean(os.TempDir()) && strings.HasPrefix(filepath.Base(folder), mockdb.SQLFolder) {
		os.RemoveAll(folder)
	}
	p.run = nil
}

// ready starts the program unless it is running. Where the last session left it
// dead or hanging, it is started again.
func (p *program) ready(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil && p.run.ended() {
		p.end()
	}
	if p.run == nil {
		r, err := start(ctx, p.path, p.args)
		if err != nil {
			return err
		}
		p.run = r
	}
	return nil
}

func (p *program) twin(ctx context.Context) (*program, error) {
	p.mu.Lock()
	if p.other == nil {
		p.other = &program{path: p.path, args: p.args}
	}
	p.mu.Unlock()
	return p.other, p.other.ready(ctx)
}

// Fresh opens a fresh server in the program that runs.
func (p *program) Fresh(ctx context.Context, s lessons.Settings) (*Session, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	session, err := open(ctx, p, lessons.Command{Settings: s})
	if err != nil {
		return nil, err
	}
	session.output = p.output
	session.stuckAt = p.stuckAt
	return session, nil
}

// stuckAt ends the program in the way that makes Go print where it stands, and
// returns the first place in the learner's code. Not every system can do that.
func (p *program) stuckAt() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil || p.run.cmd.Process.Signal(syscall.SIGQUIT) != nil {
		return ""
	}
	select {
	case <-p.run.gone:
	case <-time.After(time.Second):
	}
	trace := p.run.output.String()
	p.end()
	for _, m := range learnersFrame.FindAllStringSubmatch(trace, -1) {
		if m[2] != "main.go" { // there it waits for its grader
			return "it stands at " + SourceLine(m[1], m[3])
		}
	}
	return ""
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return ""
	}
	return p.run.output.take()
}

func (p *program) do(ctx context.Context, c lessons.Command) (lessons.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return lessons.Reply{}, &Ungradable{What: "your server is not running"}
	}
	stop := context.AfterFunc(ctx, func() { p.run.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var r lessons.Reply
	err := p.run.out.Encode(c)
	if err == nil {
		err = p.run.in.Decode(&r)
	}
	if err == nil {
		if c.Op == lessons.OpOpen {
			p.run.database = r.Database
			if c.Join {
				p.run.database = ""
			}
		}
		return r, nil
	}
	if ctx.Err() != nil {
		p.end()
		return r, hangs(ctx.Err(), "New")
	}
	// It hung up: it is ending, or has ended.
	select {
	case <-p.run.gone:
	case <-time.After(time.Second):
	}
	err = p.run.obituary()
	p.end()
	return r, err
}

func (r *run) ended() bool {
	select {
	case <-r.gone:
		return true
	default:
		return false
	}
}

// obituary says how the process ended.
func (r *run) obituary() error {
	what := "your server's program closed its connection to the checker"
	if r.ended() {
		what = "your server's program ended: " + r.cmd.ProcessState.String()
	}
	return &Ungradable{What: what, Detail: lastWords(r.output.String())}
}

// lastWords is the end of what a program printed; of a panic's trace, the message
// and the frame in the learner's code.
func lastWords(output string) string {
	for _, sign := range []string{"panic: ", "fatal error: "} {
		if i := strings.LastIndex(output, sign); i >= 0 {
			first, _, _ := strings.Cut(output[i:], "\n")
			if m := learnersFrame.FindStringSubmatch(output[i:]); m != nil {
				return first + "\n" + SourceLine(m[1], m[3])
			}
			return first
		}
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// start runs the program and waits until it has called back.
func start(ctx context.Context, path string, args []string) (*run, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, &Ungradable{What: "no port to listen on: " + err.Error()}
	}
	defer listener.Close()
	token := rand.Text()
	r := &run{cmd: exec.Command(path, args...), output: &tail{}, gone: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), lessons.ControlEnv+"=tcp:"+listener.Addr().String(), lessons.TokenEnv+"="+token)
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	r.cmd.WaitDelay = time.Second
	if err := r.cmd.Start(); err != nil {
		return nil, &Ungradable{What: "your server's program cannot be started: " + err.Error()}
	}
	go func() {
		r.cmd.Wait()
		close(r.gone)
		listener.Close()
	}()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		if r.greet(conn, token) {
			return r, nil
		}
		conn.Close()
	}
	if ctx.Err() == nil && r.ended() {
		return nil, &Ungradable{What: "your server's program ended before it served: " + r.cmd.ProcessState.String(), Detail: lastWords(r.output.String())}
	}
	r.cmd.Process.Kill()
	<-r.gone
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, &Ungradable{What: "your server's program does not start: main does not reach lessons.Serve", Detail: lastWords(r.output.String())}
	}
	return nil, ctx.Err()
}

// greet takes the connection if the first thing that it says is the token.
func (r *run) greet(conn net.Conn, token string) bool {
	conn.SetDeadline(time.Now().Add(startTime))
	in := json.NewDecoder(conn)
	var said string
	if err := in.Decode(&said); err != nil || subtle.ConstantTimeCompare([]byte(said), []byte(token)) != 1 {
		return false
	}
	conn.SetDeadline(time.Time{})
	r.conn, r.in, r.out = conn, in, json.NewEncoder(conn)
	return true
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// take returns what there is and forgets it.
func (t *tail) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := string(t.text)
	t.text = nil
	return s
}

// A BuildError is what the compiler said.
type BuildError struct {
	Root    string // the module that the paths in Output are relative to
	Package string
	Output  string // as go build printed it
}

func (e *BuildError) Error() string { return e.Package + " does not compile\n" + e.Output }

// ErrNoGo means that there is no go command to build with.
var ErrNoGo = errors.New("the go command was not found: install Go (https://go.dev/dl) and see that it is on your PATH")

// Build compiles a package of the module at root to the file out. It returns a
// [*BuildError] where the code is at fault, and [ErrNoGo]. Flags, such as -race,
// go to go build.
func Build(ctx context.Context, root, pkg, out string, flags ...string) error {
	// Debug information is most of the linking, and nobody debugs this binary;
	// the traces of panics do without it.
	// Nor does anybody ask it for its commit.
	args := append([]string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = root
	endsWhole(cmd)
	// A build that is ended leaves its files behind: it gets a folder of its own for
	// them.
	scratch, err := os.MkdirTemp("", "workshop-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	cmd.Env = append(os.Environ(), "GOTMPDIR="+scratch)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return ErrNoGo
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &BuildError{Root: root, Package: pkg, Output: output.String()}
	}
	if err != nil {
		return fmt.Errorf("go build %s: %w", pkg, err)
	}
	return nil
}
