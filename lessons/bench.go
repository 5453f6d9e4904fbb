package lessons

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"jwtworkshop/mockdb"
)

// Settings are the part of a [Config] that can be said in words: what a grader
// chooses for a server, and a person by flags.
type Settings struct {
	Start      time.Time // what the clock says at first
	Secret     []byte
	Issuer     string
	Audience   string
	AccessTTL  time.Duration
	RefreshTTL time.Duration
	FreshFor   time.Duration
	SessionTTL time.Duration
	Upstream   string
	KeyTTL     time.Duration
	URL        string      // where the server is reached; "" is where it listens
	Provider   Provider    // where people sign in (lesson 11)
	HashCost   mockdb.Cost // of the passwords of users who are added; zero is mockdb.Cheap
	Database   string      // lesson 13: where it is; "" is a SQLite file of the server's own
}

// Config returns the configuration of a server on that database.
func (s Settings) Config(db *mockdb.DB, now func() time.Time) Config {
	return Config{
		DB: db, Now: now,
		Secret: s.Secret, Issuer: s.Issuer, Audience: s.Audience,
		AccessTTL: s.AccessTTL, RefreshTTL: s.RefreshTTL, FreshFor: s.FreshFor, SessionTTL: s.SessionTTL, KeyTTL: s.KeyTTL,
		Upstream: s.Upstream,
		URL:      s.URL, Provider: s.Provider,
		CountVisit: func(string) {},
		Log:        slog.New(slog.DiscardHandler),
	}
}

// A Command is what a grader may ask of a [Bench].
type Command struct {
	Op       string // one of the Op constants
	Settings Settings
	Listen   string             // OpOpen: "fd:4", a listening socket that the program was started with; empty is loopback TCP
	Reach    []Reach            // OpOpen: what the server is to reach, where it has a network of its own
	Join     bool               // OpOpen: the database is there, another server has it
	By       time.Duration      // OpAdvance
	East     time.Duration      // OpAdvance: by how much the clock's zone is ahead of UTC from now on
	Username string             // OpAddUser, OpDeleteUser
	Password string             // OpAddUser
	Disturb  mockdb.Disturbance // OpDisturb
	Slow     bool               // OpSlow
	Mark     string             // OpMark
}

// Reach makes an address of a loopback that is the program's own lead out of it.
type Reach struct {
	Addr   string // "127.0.0.1:4711"
	Socket string // the path of the unix socket that leads to whoever listens there
}

// What a [Command] can ask.
const (
	OpOpen       = "open"        // close the server there is and start a fresh one
	OpAdvance    = "advance"     // move its clock
	OpAddUser    = "add-user"    // insert a user
	OpDeleteUser = "delete-user" // remove one
	OpReport     = "report"      // what happened behind the server's answers
	OpReach      = "reach"       // let the server reach more
	OpMark       = "mark"        // print a line: where it has arrived, so has all that was printed before
	OpSlow       = "slow"        // let the database and the clock take a moment to answer, as they do over a network

	// For a server with a real database.
	OpClose   = "close"   // close the server; its database stays
	OpAddRow  = "add-row" // insert a user into the table users, and nowhere else
	OpTables  = "tables"  // all that the server has stored
	OpDisturb = "disturb" // let its statements fail
	OpLock    = "lock"    // take the lock for writing until it waits for it
)

// A Reply answers a [Command].
type Reply struct {
	Error   string // the command could not be carried out
	Network string // OpOpen: "tcp" or "unix", where the server listens
	Addr    string // OpOpen
	UserID  int    // OpAddUser
	Hash    string // OpAddUser: the stored hash, which no answer may hold
	Visits  int    // OpReport: dashboards shown
	Logged  string // OpReport: the end of what the server has written to its log
	Panics  []Panic

	Database string         // OpOpen: where the database is, for another server to join
	Tables   []mockdb.Table // OpTables
	Kept     string         // OpDeleteUser: why the database does not let go of the user
}

// A Panic of the learner's code.
type Panic struct {
	Value string // what it said
	Stack string // debug.Stack at that point
	In    string // the request, or "New"
}

// A Bench runs a learner's server for a grader: a fresh one at each [OpOpen],
// on a clock that moves only when it is told to. One server lives at a time, so
// code that keeps its state in package variables is served as well as any.
type Bench struct {
	New     New
	OpenSQL mockdb.OpenSQL // nil where the lesson has no real database

	pristine *mockdb.DB // what each server's database is a clone of
	given    *os.File   // the listening socket that the program was started with, if it was asked for
	ways     []net.Listener
	slow     atomic.Bool
	crowd    crowd

	mu     sync.Mutex
	clock  time.Time
	db     *mockdb.DB
	sql    mockdb.SQL // nil where there is none
	http   *http.Server
	visits int
	logged []byte
	panics []Panic
}

// Do carries out one command. Commands are carried out one at a time.
func (b *Bench) Do(c Command) Reply {
	switch c.Op {
	case OpOpen:
		return b.open(c)
	case OpAdvance:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.clock = b.clock.Add(c.By).In(zone(c.East))
		return Reply{}
	case OpAddUser, OpAddRow:
		return b.addUser(c)
	case OpDeleteUser:
		return b.deleteUser(c.Username)
	case OpReach:
		return Reply{Error: message(b.reach(c.Reach))}
	case OpReport:
		b.mu.Lock()
		defer b.mu.Unlock()
		return Reply{Visits: b.visits, Logged: string(b.logged), Panics: b.panics}
	case OpMark:
		_, err := fmt.Fprintln(os.Stderr, c.Mark)
		return Reply{Error: message(err)}
	case OpClose:
		b.stop()
		return Reply{}
	case OpSlow:
		b.slow.Store(c.Slow)
		return Reply{}
	}
	if b.sql == nil {
		return Reply{Error: fmt.Sprintf("unknown command %q, or no real database", c.Op)}
	}
	switch c.Op {
	case OpTables:
		tables, err := b.sql.Tables()
		return Reply{Tables: tables, Error: message(err)}
	case OpDisturb:
		b.sql.Disturb(c.Disturb)
		return Reply{}
	case OpLock:
		return Reply{Error: message(b.sql.Lock())}
	}
	return Reply{Error: fmt.Sprintf("unknown command %q", c.Op)}
}

// addUser inserts a user into all tables that there are, or into that of the real
// database alone.
func (b *Bench) addUser(c Command) Reply {
	u, err := b.db.Add(c.Username, c.Password)
	r := Reply{UserID: u.ID, Hash: u.PasswordHash}
	if err == nil && c.Op == OpAddRow {
		err = b.db.Delete(c.Username)
	}
	if err == nil && b.sql != nil {
		r.UserID, err = b.sql.AddUser(c.Username, u.PasswordHash)
	}
	r.Error = message(err)
	return r
}

func (b *Bench) deleteUser(username string) Reply {
	if b.sql == nil {
		return Reply{Error: message(b.db.Delete(username))}
	}
	err := b.sql.DeleteUser(username)
	if errors.Is(err, mockdb.ErrReferenced) {
		return Reply{Kept: err.Error()}
	}
	if err == nil {
		if err = b.db.Delete(username); errors.Is(err, mockdb.ErrNoUser) {
			err = nil // it was only in the table
		}
	}
	return Reply{Error: message(err)}
}

// zone is the time zone that is so far ahead of UTC.
func zone(east time.Duration) *time.Location {
	if east == 0 {
		return time.UTC
	}
	return time.FixedZone("", int(east/time.Second))
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Close ends the server that is running, if one is, and what was made for it.
func (b *Bench) Close() {
	b.stop()
	if b.sql != nil {
		b.sql.Drop()
		b.sql = nil
	}
}

// stop ends the server and leaves its database as it is.
func (b *Bench) stop() {
	if b.http != nil {
		b.http.Close()
		b.http = nil
	}
	if b.sql != nil {
		b.sql.Close()
	}
	for _, way := range b.ways {
		way.Close()
	}
	b.ways = nil
}

func (b *Bench) open(c Command) (r Reply) {
	b.Close()
	b.slow.Store(false)
	b.mu.Lock()
	b.clock, b.visits, b.logged, b.panics = c.Settings.Start.In(zone(c.East)), 0, nil, nil
	b.mu.Unlock()

	if b.pristine == nil {
		b.pristine = mockdb.New(mockdb.Cheap)
	}
	b.db = b.pristine.Clone()
	if c.Settings.HashCost != (mockdb.Cost{}) {
		b.db.SetCost(c.Settings.HashCost)
	}
	if err := b.reach(c.Reach); err != nil {
		return Reply{Error: err.Error()}
	}
	l, err := b.listen(c.Listen)
	if err != nil {
		return Reply{Error: err.Error()}
	}
	defer func() {
		if b.http == nil {
			l.Close() // there is no server to serve it
		}
	}()
	cfg := c.Settings.Config(b.db, b.now)
	if cfg.URL == "" {
		cfg.URL = baseURL(l)
	}
	b.db.AfterLook(b.aMoment)
	cfg.Now = func() time.Time {
		defer b.aMoment()
		return b.now()
	}
	if b.OpenSQL != nil {
		b.sql, err = b.OpenSQL(mockdb.SQLOptions{Source: c.Settings.Database, Fresh: !c.Join, People: b.db.Users()})
		if err != nil {
			return Reply{Error: err.Error()}
		}
		b.sql.AfterLook(b.aStatement)
		cfg.SQL, r.Database = b.sql.DB(), b.sql.Source()
	}
	cfg.Log = slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}),
		slog.NewTextHandler(logbook{b}, &slog.HandlerOptions{Level: slog.LevelDebug}),
	))
	cfg.CountVisit = func(string) {
		b.aMoment()
		b.mu.Lock()
		b.visits++
		b.mu.Unlock()
		// A handler that keeps its user in a place which it shares with others is
		// likelier to be found out if these may go first.
		for range 20 {
			runtime.Gosched()
		}
	}
	if err := cfg.Validate(); err != nil {
		return Reply{Error: err.Error()}
	}

	defer func() {
		if v := recover(); v != nil {
			r = Reply{Panics: []Panic{{Value: fmt.Sprint(v), Stack: string(debug.Stack()), In: "New"}}}
		}
	}()
	handler := b.New(cfg)
	if handler == nil {
		return Reply{Error: "New returned no handler"}
	}
	b.http = &http.Server{Handler: b.watch(handler), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go b.http.Serve(l)
	r.Network, r.Addr = l.Addr().Network(), l.Addr().String()
	return r
}

func (b *Bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

// A logbook keeps the end of what a server logs.
type logbook struct{ *Bench }

const logbookBytes = 64 << 10

func (b logbook) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logged = append(b.logged, line...)
	if over := len(b.logged) - logbookBytes; over > 0 {
		b.logged = b.logged[over:]
	}
	return len(line), nil
}

// aMoment is, while the server is slow, long enough for others to come in between:
// where looking and writing are two things, it shows. To yield is not enough, for
// their requests may still be on the way.
func (b *Bench) aMoment() {
	if b.slow.Load() {
		b.crowd.wait()
	}
}

// aStatement is aMoment for a database that others reach, too. Who has looked may hold
// a lock: it does not wait for those whom it keeps out.
func (b *Bench) aStatement() {
	if b.slow.Load() {
		time.Sleep(2 * moment)
	}
}

// A crowd is those who wait at the same time. They go on together, so that on a busy
// machine, too, some do the next thing at once.
type crowd struct {
	mu    sync.Mutex
	goOn  chan struct{} // closed when they do; nil while nobody waits
	late  time.Time     // when they do, whoever comes
	timer *time.Timer
}

const (
	moment        = time.Millisecond      // they go on when nobody came for so long
	longestMoment = 10 * time.Millisecond // and at last when the first one waited so long
)

func (c *crowd) wait() {
	c.mu.Lock()
	now := time.Now()
	if c.goOn == nil {
		c.goOn, c.late = make(chan struct{}), now.Add(longestMoment)
		c.timer = time.AfterFunc(moment, c.leave)
	} else {
		c.timer.Reset(min(moment, c.late.Sub(now)))
	}
	goOn := c.goOn
	c.mu.Unlock()
	<-goOn
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.goOn != nil { // the timer may have been set once more while it went off
		close(c.goOn)
		c.goOn = nil
	}
}

// watch notes a panic of the handler before net/http cuts the connection.
func (b *Bench) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v != http.ErrAbortHandler {
				p := Panic{Value: fmt.Sprint(v), Stack: string(debug.Stack()), In: r.Method + " " + r.URL.Path}
				b.mu.Lock()
				b.panics = append(b.panics, p)
				b.mu.Unlock()
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

func (b *Bench) listen(where string) (net.Listener, error) {
	if where == "" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	if b.given == nil {
		f, err := inherited(where)
		if err != nil {
			return nil, err
		}
		b.given = f
	}
	return net.FileListener(b.given) // a copy: closing it leaves the socket for the next server
}

// inherited is the file "fd:4" that the program was started with.
func inherited(name string) (*os.File, error) {
	number, err := strconv.ParseUint(strings.TrimPrefix(name, "fd:"), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q names no file descriptor", name)
	}
	return os.NewFile(uintptr(number), name), nil
}

// reach listens where the server will look for others, and leads whoever calls
// there to them. It returns an error where something listens there already.
func (b *Bench) reach(places []Reach) error {
	for _, place := range places {
		l, err := net.Listen("tcp", place.Addr)
		if err != nil {
			return err
		}
		b.ways = append(b.ways, l)
		go func() {
			for {
				inside, err := l.Accept()
				if err != nil {
					return
				}
				go lead(inside, place.Socket)
			}
		}()
	}
	return nil
}

// lead joins a connection to a unix socket until either side is done, so that each
// sees the other hang up.
func lead(inside net.Conn, socket string) {
	defer inside.Close()
	outside, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer outside.Close()
	done := make(chan struct{}, 2)
	join := func(to, from net.Conn) {
		io.Copy(to, from)
		done <- struct{}{}
	}
	go join(outside, inside)
	go join(inside, outside)
	<-done
}

// baseURL is the URL of the server that serves on the listener. Behind a unix
// socket it is called as a learner's own would be.
func baseURL(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "http://localhost:8080"
	}
	return "http://" + l.Addr().String()
}

// The environment of a lesson's program that a grader has started. A person's
// run has neither; the program then serves on the real clock.
const (
	ControlEnv = "WORKSHOP_CONTROL" // where the grader listens: "tcp:127.0.0.1:4711"; or "fd:3", a connection to it
	TokenEnv   = "WORKSHOP_TOKEN"   // said once, first, to prove who is calling
)

// serveControl calls the grader back and does what it says until it hangs up.
// One JSON value each way, in turn: the token first, then [Command] and [Reply].
func serveControl(target, token string, newServer New, open mockdb.OpenSQL) error {
	debug.SetGCPercent(400) // a short life and a small heap: collect seldom
	conn, err := call(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	if err := out.Encode(token); err != nil {
		return err
	}
	b := &Bench{New: newServer, OpenSQL: open}
	defer b.Close()
	for {
		var c Command
		if err := in.Decode(&c); err != nil {
			return nil // the grader is done with us, or gone
		}
		if err := out.Encode(b.Do(c)); err != nil {
			return nil
		}
	}
}

// call returns the connection to the grader.
func call(target string) (net.Conn, error) {
	network, addr, _ := strings.Cut(target, ":")
	if network != "fd" {
		return net.Dial(network, addr)
	}
	f, err := inherited(target)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileConn(f)
}
