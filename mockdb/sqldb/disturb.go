package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"jwtworkshop/mockdb"
)

// A disturber stands between a server and its driver. The errors that it gives are
// the driver's own, and a statement that fails was not carried out.
type disturber struct {
	fault     func(mockdb.Fault) error
	afterLook func() // nil where nobody asked for it

	mu       sync.Mutex
	now      mockdb.Disturbance
	waits    chan struct{}   // closed by the next statement that writes; nil where nobody waits
	unlocked <-chan struct{} // closed when what waits for that statement has let go of its lock
}

func (d *disturber) set(to mockdb.Disturbance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = to
}

// nextWrite returns what is closed when the server's next statement that writes
// begins. The one after it begins when the lock is gone: who tries again at once may
// be turned away once, and not more often the busier the machine is.
func (d *disturber) nextWrite(unlocked <-chan struct{}) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waits, d.unlocked = make(chan struct{}), unlocked
	return d.waits
}

// before is asked before each statement, and before a transaction begins or ends.
func (d *disturber) before(statement string) error {
	reads := readsOnly(statement)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waits != nil && !reads {
		close(d.waits)
		d.waits = nil
	} else if d.unlocked != nil && !reads {
		unlocked := d.unlocked
		d.mu.Unlock()
		<-unlocked
		d.mu.Lock()
	}
	// Who reads meets neither a lock nor a full disk.
	if d.now.Fault == "" || d.now.Fault != mockdb.Gone && reads {
		return nil
	}
	if d.now.After > 0 {
		d.now.After--
		return nil
	}
	return d.fault(d.now.Fault)
}

func (d *disturber) isGone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now.Fault == mockdb.Gone
}

// after is asked after each statement, so that others can come in between a look and
// what follows it. What writes keeps others waiting by itself.
func (d *disturber) after(statement string) {
	if d.afterLook != nil && readsOnly(statement) {
		d.afterLook()
	}
}

// The statements that begin and end a transaction.
const (
	begin  = "BEGIN"
	commit = "COMMIT"
)

// readsOnly tells whether a statement asks for no lock for writing. Of what begins
// with WITH it is not known, and it is taken for one that does.
func readsOnly(statement string) bool {
	words := strings.Fields(strings.ToUpper(strings.TrimRight(strings.TrimSpace(statement), ";")))
	if len(words) == 0 {
		return true
	}
	switch words[0] {
	case begin, "START":
		return len(words) == 1 || words[1] == "DEFERRED" || words[1] == "TRANSACTION"
	case "SELECT", "PRAGMA", "SHOW", "EXPLAIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "VALUES":
		return true
	}
	return false
}

// sqliteFault returns an error that SQLite itself has given.
func sqliteFault(f mockdb.Fault) error { return sqliteFaults()[f] }

// sqliteFaults provokes each error once.
var sqliteFaults = sync.OnceValue(func() map[mockdb.Fault]error {
	folder, err := os.MkdirTemp("", mockdb.SQLFolder)
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	open := func(file, pragma string) *sql.DB {
		to, err := sqliteConnector(filepath.Join(folder, file), url.Values{"_pragma": {pragma}})
		if err != nil {
			panic(err)
		}
		db := sql.OpenDB(to)
		db.SetMaxOpenConns(1)
		return db
	}
	provoke := func(db *sql.DB, statements ...string) (err error) {
		for _, s := range statements {
			_, err = db.Exec(s)
		}
		var known *sqlite.Error
		if !errors.As(err, &known) {
			panic("sqldb: SQLite gave no error of its own")
		}
		return err
	}
	one, other := open("a.db", "busy_timeout(0)"), open("a.db", "busy_timeout(0)")
	full, gone := open("b.db", "max_page_count(2)"), open("nowhere/c.db", "busy_timeout(0)")
	defer one.Close()
	defer other.Close()
	defer full.Close()
	defer gone.Close()
	if _, err := one.Exec("BEGIN IMMEDIATE"); err != nil {
		panic(err)
	}
	return map[mockdb.Fault]error{
		mockdb.Locked: provoke(other, "BEGIN IMMEDIATE"),
		mockdb.Full:   provoke(full, "CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(100000))"),
		mockdb.Gone:   provoke(gone, "CREATE TABLE t (a)"),
	}
})

// postgresFault returns the error that PostgreSQL would give (its manual,
// appendix A).
func postgresFault(f mockdb.Fault) error {
	return map[mockdb.Fault]*pgconn.PgError{
		mockdb.Locked: {Severity: "ERROR", Code: "55P03", Message: "canceling statement due to lock timeout"},
		mockdb.Full:   {Severity: "ERROR", Code: "53100", Message: "could not extend file: No space left on device"},
		mockdb.Gone:   {Severity: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"},
	}[f]
}

// A connector connects with a disturber in between.
type connector struct {
	driver.Connector
	*disturber
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{full: inner.(fullConn), disturber: c.disturber}, nil
}

// A fullConn is what the connections of both drivers are.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
}

type full = fullConn

type conn struct {
	full
	*disturber
	dead bool // the database went away while it was in use
}

// before fails where the database does. A connection to one that is gone is not
// used again, and what was begun on it ends with it.
func (c *conn) before(statement string) error {
	err := c.disturber.before(statement)
	if err != nil && c.isGone() {
		c.dead = true
	}
	return err
}

// IsValid tells whether the connection may be used again.
func (c *conn) IsValid() bool {
	if v, ok := c.full.(driver.Validator); ok && !v.IsValid() {
		return false
	}
	return !c.dead
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.before(query); err != nil {
		return nil, err
	}
	defer c.after(query)
	return c.full.ExecContext(ctx, query, args)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.before(query); err != nil {
		return nil, err
	}
	defer c.after(query)
	return c.full.QueryContext(ctx, query, args)
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner, err := c.full.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &stmt{fullStmt: inner.(fullStmt), conn: c, query: query}, nil
}

func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.before(begin); err != nil {
		return nil, err
	}
	inner, err := c.full.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &tx{inner, c}, nil
}

func (c *conn) Ping(ctx context.Context) error {
	if err := c.before("SELECT"); err != nil {
		return err
	}
	return c.full.Ping(ctx)
}

// CheckNamedValue is the driver's own, where it has one.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.full.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type stmt struct {
	fullStmt
	conn  *conn
	query string
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.conn.before(s.query); err != nil {
		return nil, err
	}
	defer s.conn.after(s.query)
	return s.fullStmt.ExecContext(ctx, args)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.conn.before(s.query); err != nil {
		return nil, err
	}
	defer s.conn.after(s.query)
	return s.fullStmt.QueryContext(ctx, args)
}

type tx struct {
	driver.Tx
	conn *conn
}

// Commit fails as a whole or not at all.
func (t *tx) Commit() error {
	if err := t.conn.before(commit); err != nil {
		t.Tx.Rollback()
		return err
	}
	return t.Tx.Commit()
}
