package subject

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

// startTime is how long a lesson's program may take to call back.
const startTime = 10 * time.Second

// markTime is how long what a program has printed may take to arrive.
const markTime = time.Second

// A program is a lesson's program that runs beside the grader and does what it
// says over a control connection (see lessons.Command).
type program struct {
	seat   func() (*Seat, error)
	source Source

	mu    sync.Mutex // one command at a time
	run   *run       // nil where none is running
	other *program   // nil until it is needed
}

// A run is one process of the program.
type run struct {
	*Seat
	conn   net.Conn
	quota  *io.LimitedReader // what may still be read of the control connection
	in     *json.Decoder
	out    *json.Encoder
	output *tail
	mute   bool          // a mark that it was to print has not come
	gone   chan struct{} // closed when the process has ended

	database string // of the server that is open; "" where it has none
}

// Program returns the subject that runs the program at path, in as many processes
// as sessions are to overlap, in our environment and with what env ("NAME=value")
// adds to it. A process is started when it is needed, and again if
// it dies or hangs.
func Program(path string, overlap int, env ...string) Subject {
	return Seated(here(env, path), ownSource, overlap)
}

// here is the seat of a program that runs as this one does, but for what env adds.
func here(env []string, path string, args ...string) func() (*Seat, error) {
	return func() (*Seat, error) {
		cmd := exec.Command(path, args...)
		cmd.Env = append(os.Environ(), env...)
		return &Seat{Cmd: cmd}, nil
	}
}

// Seated returns the subject that runs a program where seat puts it, as [Program]
// does; source shows the lines that its traces name.
func Seated(seat func() (*Seat, error), source Source, overlap int) Subject {
	p := &pool{idle: make(chan *program, overlap)}
	for range overlap {
		p.idle <- &program{seat: seat, source: source}
	}
	return p
}

// A Seat is where a program is to run: the command, not started yet, and how it is
// talked to. With nothing but the command, that is over TCP.
type Seat struct {
	Cmd *exec.Cmd // its ExtraFiles are closed on our side once it runs

	// Control is our end of the control connection, where the program was given the
	// other.
	Control net.Conn

	// Listen is what the program is told of where to listen (see lessons.Command);
	// Network and Addr are where that is reached. What the program says itself is
	// not asked then: it could send us anywhere.
	Listen, Network, Addr string

	// Reach leads the addresses of companions on our loopback to a program that has
	// another, besides those before or, for a fresh server, in place of them; nil
	// where it has ours.
	Reach func(fresh bool, addrs []string) ([]lessons.Reach, error)

	// Started is told that Cmd runs, unless it is nil.
	Started func()

	// Dump makes the program print where it stands and end; nil sends SIGQUIT.
	Dump func() error

	// Close frees what belongs to the seat, once the program has ended.
	Close func()
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
	p.run.kill()
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
		r, err := start(ctx, p.seat, p.source)
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
		p.other = &program{seat: p.seat, source: p.source}
	}
	p.mu.Unlock()
	return p.other, p.other.ready(ctx)
}

// command is how a server is opened in the program that runs.
func (p *program) command(s lessons.Settings) (lessons.Command, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := lessons.Command{Settings: s}
	if p.run == nil {
		return c, nil
	}
	c.Listen = p.run.Listen
	if p.run.Reach != nil {
		ways, err := p.run.Reach(true, companions(s))
		if err != nil {
			return c, fmt.Errorf("a fault of the checker's own: %w", err)
		}
		c.Reach = append([]lessons.Reach{}, ways...) // not nil where there is none yet: see elsewhere
	}
	return c, nil
}

// Fresh opens a fresh server in the program that runs.
func (p *program) Fresh(ctx context.Context, s lessons.Settings) (*Session, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	command, err := p.command(s)
	if err != nil {
		return nil, err
	}
	session, err := open(ctx, p, command, p.source)
	if err != nil {
		return nil, err
	}
	session.output = p.output
	session.stuckAt = p.stuckAt
	session.lead = p.elsewhere(command)
	return session, nil
}

// elsewhere is what leads addresses to a program that has a loopback of its own, nil
// for one that has ours.
func (p *program) elsewhere(opened lessons.Command) func(context.Context, string) error {
	if opened.Reach == nil {
		return nil
	}
	return p.lead
}

// stuckAt ends the program in the way that makes Go print where it stands, and
// returns the first place in the learner's code. Not every system can do that.
func (p *program) stuckAt() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil || p.run.dump() != nil {
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
			return "it stands at " + sourceLine(m[1], m[3], p.source)
		}
	}
	return ""
}

// lead leads one more address into the program's loopback.
func (p *program) lead(ctx context.Context, addr string) error {
	p.mu.Lock()
	if p.run == nil {
		p.mu.Unlock()
		return &Ungradable{What: "your server is not running"}
	}
	ways, err := p.run.Reach(false, []string{addr})
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("a fault of the checker's own: %w", err)
	}
	r, err := p.do(ctx, lessons.Command{Op: lessons.OpReach, Reach: ways})
	if err == nil && r.Error != "" {
		err = fmt.Errorf("the checker's own command failed: %s: %s", lessons.OpReach, r.Error)
	}
	return err
}

// output is what the program has printed since it was last asked. An answer can
// overtake what was printed before it, and the log is what explains a 500. So the
// program is told to print a mark, and that is waited for.
func (p *program) output() string {
	p.mu.Lock()
	r := p.run
	asked := r != nil && !r.mute && !r.ended()
	p.mu.Unlock()
	if r == nil {
		return ""
	}
	if !asked {
		return r.output.take("")
	}
	mark := rand.Text()
	arrived := r.output.await(mark)
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if reply, err := p.do(ctx, lessons.Command{Op: lessons.OpMark, Mark: mark}); err == nil && reply.Error == "" {
		select {
		case <-arrived:
		case <-r.gone:
		case <-time.After(markTime):
			p.mu.Lock()
			r.mute = true // it has turned os.Stderr elsewhere, and is not waited for again
			p.mu.Unlock()
		}
	}
	return r.output.take(mark)
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
		p.run.quota.N = maxReply
		err = p.run.in.Decode(&r)
	}
	if err == nil {
		if c.Op == lessons.OpOpen && p.run.Control == nil { // who sits elsewhere does not tell us what to remove
			p.run.database = r.Database
			if c.Join {
				p.run.database = ""
			}
		}
		if p.run.Network != "" {
			r.Network, r.Addr = p.run.Network, p.run.Addr
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
	err = p.run.obituary(p.source)
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

func (r *run) dump() error {
	if r.Seat.Dump != nil {
		return r.Seat.Dump()
	}
	return r.Cmd.Process.Signal(syscall.SIGQUIT)
}

// kill ends the process and waits until it has ended.
func (r *run) kill() {
	r.Cmd.Process.Kill()
	<-r.gone
}

// obituary says how the process ended.
func (r *run) obituary(source Source) error {
	what := "your server's program closed its connection to the checker"
	if r.ended() {
		what = "your server's program ended: " + r.Cmd.ProcessState.String()
	}
	return &Ungradable{What: what, Detail: lastWords(r.output.String(), source)}
}

// lastWords is the end of what a program printed; of a panic's trace, the message
// and the frame in the learner's code.
func lastWords(output string, source Source) string {
	for _, sign := range []string{"panic: ", "fatal error: "} {
		if i := strings.LastIndex(output, sign); i >= 0 {
			first, _, _ := strings.Cut(output[i:], "\n")
			if m := learnersFrame.FindStringSubmatch(output[i:]); m != nil {
				return first + "\n" + sourceLine(m[1], m[3], source)
			}
			return first
		}
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// loopback finds addresses of this machine's own in URLs.
var loopback = regexp.MustCompile(`"https?://((?:127\.0\.0\.1|localhost):\d+)`)

// companions are the loopback addresses that a server with these settings is to
// reach: those of the URLs anywhere in them.
func companions(s lessons.Settings) []string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // it is sent to the program as JSON, too
	}
	var addrs []string
	for _, m := range loopback.FindAllSubmatch(text, -1) {
		if addr := string(m[1]); !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// start runs the program and waits until it has called back.
func start(ctx context.Context, newSeat func() (*Seat, error), source Source) (*run, error) {
	seat, err := newSeat()
	if err != nil {
		return nil, &Ungradable{What: "there is no place to run your server in: " + err.Error()}
	}
	r := &run{Seat: seat, output: &tail{}, gone: make(chan struct{})}
	token := rand.Text()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	calls := func() (net.Conn, error) { return seat.Control, nil }
	hangUp := func() {}
	target := "fd:3"
	if seat.Control == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, &Ungradable{What: "no port to listen on: " + err.Error()}
		}
		defer listener.Close()
		calls, hangUp = listener.Accept, func() { listener.Close() }
		target = "tcp:" + listener.Addr().String()
	} else {
		hangUp = func() { seat.Control.SetDeadline(time.Unix(1, 0)) }
	}
	seat.Cmd.Env = append(seat.Cmd.Env, lessons.ControlEnv+"="+target, lessons.TokenEnv+"="+token)
	seat.Cmd.Stdout, seat.Cmd.Stderr = r.output, r.output
	seat.Cmd.WaitDelay = time.Second
	err = seat.Cmd.Start()
	for _, f := range seat.Cmd.ExtraFiles {
		f.Close()
	}
	if err != nil {
		r.close()
		return nil, &Ungradable{What: "your server's program cannot be started: " + err.Error()}
	}
	if seat.Started != nil {
		seat.Started()
	}
	go func() {
		seat.Cmd.Wait()
		r.close()
		close(r.gone)
		hangUp()
	}()
	defer context.AfterFunc(ctx, hangUp)()
	for {
		conn, err := calls()
		if err != nil {
			break
		}
		if r.greet(conn, token) {
			return r, nil
		}
		conn.Close()
		if seat.Control != nil {
			break
		}
	}
	late := ctx.Err()
	if late == nil && seat.Control != nil { // it hung up, so it is about to end
		select {
		case <-r.gone:
		case <-ctx.Done():
		}
	}
	if late == nil && r.ended() {
		return nil, &Ungradable{What: "your server's program ended before it served: " + r.Cmd.ProcessState.String(), Detail: lastWords(r.output.String(), source)}
	}
	r.kill()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, &Ungradable{What: "your server's program does not start: main does not reach lessons.Serve", Detail: lastWords(r.output.String(), source)}
	}
	return nil, ctx.Err()
}

func (r *run) close() {
	if r.Seat.Close != nil {
		r.Seat.Close()
	}
}

// maxReply bounds what one reply of a program may be, in bytes.
const maxReply = 4 << 20

// greet takes the connection if the first thing that it says is the token.
func (r *run) greet(conn net.Conn, token string) bool {
	conn.SetDeadline(time.Now().Add(startTime))
	r.quota = &io.LimitedReader{R: conn, N: maxReply}
	in := json.NewDecoder(r.quota)
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
	mu      sync.Mutex
	text    []byte
	mark    string        // what is waited for, "" where nothing is
	arrived chan struct{} // closed when it is there
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if t.mark != "" && bytes.Contains(t.text, []byte(t.mark)) {
		close(t.arrived)
		t.mark = ""
	}
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

// await returns a channel that is closed when the mark has been written.
func (t *tail) await(mark string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mark, t.arrived = mark, make(chan struct{})
	return t.arrived
}

// take returns what was written before the mark, all where it has not come, and
// forgets it.
func (t *tail) take(mark string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := string(t.text)
	t.text, t.mark = nil, ""
	if mark != "" {
		s, _, _ = strings.Cut(s, mark)
	}
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
	if os.Getenv("GOGC") == "" {
		cmd.Env = append(cmd.Env, "GOGC=400") // compiler and linker end before collecting pays
	}
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
