// Package sqldb opens the databases of lesson 13: SQLite in a file, with nothing
// to install, or PostgreSQL at a URL. Either holds the workshop's people:
//
//	CREATE TABLE users (
//		id            …    PRIMARY KEY,       -- from 1 on, never used twice
//		username      TEXT NOT NULL UNIQUE,   -- compared exactly
//		password_hash TEXT NOT NULL           -- for mockdb.DB.Verify
//	)
//
// Every other table is the server's affair. The same SQL does for both as long as
// it keeps to placeholders $1, $2, …, to TEXT and BIGINT, to RETURNING and ON
// CONFLICT. What differs: SQLite has one writer at a time and no SELECT … FOR
// UPDATE; PostgreSQL takes no NUL byte in a text, and after an error nothing but
// ROLLBACK in a transaction.
package sqldb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"jwtworkshop/mockdb"
)

// openTime is how long a database may take to answer for the first time.
const openTime = 5 * time.Second

// maxConns bounds how many of a server's statements are under way at once. A
// PostgreSQL takes 100 connections unless it is told otherwise.
const maxConns = 24

// A database is one that is open. What the server does goes through the
// disturber, what the grader does past it.
type database struct {
	source    string
	server    *sql.DB
	grader    *sql.DB
	dialect   dialect
	disturber *disturber
	remove    func() error // nil where the database stays
	unlocked  chan struct{}
}

// A dialect is in what the two differ.
type dialect struct {
	users  string // makes the table
	follow string // sees to it that the next id comes after those that were given; may be empty
	tables string // names the others
	lock   func(ctx context.Context, tx *sql.Conn, tables []string) error
	fault  func(mockdb.Fault) error
}

// Open opens a database, makes the table users if there is none, and fills it.
// It is a [mockdb.OpenSQL]. Its errors name the source without its password.
func Open(o mockdb.SQLOptions) (mockdb.SQL, error) {
	d, err := connect(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	if err := d.fill(ctx, o.People); err != nil {
		d.Drop()
		return nil, fmt.Errorf("cannot use the database %s: %s", shown(d.source), oneLine(err))
	}
	return d, nil
}

// shown is a source without its password.
func shown(source string) string {
	if u, err := url.Parse(source); err == nil && u.User != nil {
		return u.Redacted()
	}
	return source
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func isPostgres(source string) bool {
	return strings.HasPrefix(source, "postgres://") || strings.HasPrefix(source, "postgresql://")
}

func connect(o mockdb.SQLOptions) (*database, error) {
	if isPostgres(o.Source) {
		return connectPostgres(o)
	}
	return connectSQLite(o)
}

// newDatabase returns a database whose server's statements are those of the
// connector, disturbed on demand.
func newDatabase(source string, to driver.Connector, d dialect) *database {
	db := &database{source: source, dialect: d, disturber: &disturber{fault: d.fault}}
	db.server = sql.OpenDB(connector{to, db.disturber})
	// Opening a connection costs more than keeping it.
	db.server.SetMaxOpenConns(maxConns)
	db.server.SetMaxIdleConns(maxConns)
	db.grader = sql.OpenDB(to)
	return db
}

func connectSQLite(o mockdb.SQLOptions) (*database, error) {
	file := strings.TrimPrefix(o.Source, "sqlite:")
	var remove func() error
	options := url.Values{
		"_pragma": {
			"busy_timeout(5000)",  // who finds the lock taken waits so many milliseconds for it
			"foreign_keys(ON)",    // SQLite ignores REFERENCES unless it is told not to
			"synchronous(NORMAL)", // enough with a WAL: a crash of the program loses nothing
		},
		"_journal_mode": {"WAL"}, // readers and the one writer do not wait for each other
	}
	if o.Fresh {
		folder, err := os.MkdirTemp("", mockdb.SQLFolder)
		if err != nil {
			return nil, err
		}
		file = filepath.Join(folder, "workshop.db")
		remove = func() error { return os.RemoveAll(folder) }
		options["_pragma"][2] = "synchronous(OFF)"
	}
	if file == "" {
		return nil, errors.New("the database has no name: a file, or postgres://…")
	}
	if there, err := os.Stat(file); err == nil && there.IsDir() {
		return nil, fmt.Errorf("cannot use the database %s: it is a folder", file)
	}
	to, err := sqliteConnector(file, options)
	if err != nil {
		return nil, err
	}
	db := newDatabase(file, to, sqliteDialect)
	db.remove = remove
	return db, nil
}

// sqliteConnector opens connections to a file. What stands in its name is no
// option.
func sqliteConnector(file string, options url.Values) (driver.Connector, error) {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: options.Encode()}
	return dsnConnector{dsn: u.String(), driver: &sqlite.Driver{}}, nil
}

// A dsnConnector connects as sql.Open would.
type dsnConnector struct {
	dsn    string
	driver driver.Driver
}

func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c dsnConnector) Driver() driver.Driver                        { return c.driver }

func connectPostgres(o mockdb.SQLOptions) (*database, error) {
	u, err := url.Parse(o.Source)
	if err != nil {
		return nil, errors.New("the URL of the database is none: postgres://user@host/name")
	}
	var remove func() error
	if o.Fresh {
		schema := "workshop_" + strings.ToLower(rand.Text())
		outside := o.Source
		if err := once(outside, "CREATE SCHEMA "+schema); err != nil {
			return nil, fmt.Errorf("cannot use the database %s: %s", shown(o.Source), oneLine(err))
		}
		remove = func() error { return once(outside, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") }
		query := u.Query()
		query.Set("search_path", schema)
		u.RawQuery = query.Encode()
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("the URL of the database is none: %s", oneLine(err))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = openTime
	}
	db := newDatabase(u.String(), stdlib.GetConnector(*config), postgresDialect)
	db.remove = remove
	return db, nil
}

// once carries out one statement on a connection of its own.
func once(source, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, source)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

var sqliteDialect = dialect{
	users: `CREATE TABLE IF NOT EXISTS users (
		id            INTEGER PRIMARY KEY AUTOINCREMENT,
		username      TEXT NOT NULL UNIQUE,
		password_hash TEXT NOT NULL
	)`,
	tables: `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
	lock: func(ctx context.Context, conn *sql.Conn, _ []string) error {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err
	},
	fault: sqliteFault,
}

var postgresDialect = dialect{
	users: `CREATE TABLE IF NOT EXISTS users (
		id            BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
		username      TEXT NOT NULL UNIQUE,
		password_hash TEXT NOT NULL
	)`,
	follow: `SELECT setval(pg_get_serial_sequence('users', 'id'), (SELECT max(id) FROM users))`,
	tables: `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name`,
	lock: func(ctx context.Context, conn *sql.Conn, tables []string) error {
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil || len(tables) == 0 {
			return err
		}
		// It keeps writers out and lets readers in, as SQLite's does.
		_, err := conn.ExecContext(ctx, "LOCK TABLE "+strings.Join(tables, ", ")+" IN SHARE ROW EXCLUSIVE MODE")
		return err
	},
	fault: postgresFault,
}

// fill makes the table users and puts the people in, unless it is there.
func (d *database) fill(ctx context.Context, people []mockdb.User) error {
	var n int
	if d.grader.QueryRowContext(ctx, "SELECT count(*) FROM users").Scan(&n) == nil && n > 0 {
		return nil
	}
	tx, err := d.grader.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, d.dialect.users); err != nil {
		return err
	}
	for _, u := range people {
		if _, err := tx.ExecContext(ctx, "INSERT INTO users (id, username, password_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", u.ID, u.Username, u.PasswordHash); err != nil {
			return err
		}
	}
	if d.dialect.follow != "" {
		if _, err := tx.ExecContext(ctx, d.dialect.follow); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (d *database) DB() *sql.DB                  { return d.server }
func (d *database) Source() string               { return d.source }
func (d *database) AfterLook(f func())           { d.disturber.afterLook = f }
func (d *database) Disturb(t mockdb.Disturbance) { d.disturber.set(t) }

func (d *database) AddUser(username, passwordHash string) (int, error) {
	var id int
	err := d.grader.QueryRow("INSERT INTO users (username, password_hash) VALUES ($1, $2) RETURNING id", username, passwordHash).Scan(&id)
	if violates(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE, "23505") {
		return 0, fmt.Errorf("%w: %q", mockdb.ErrUserExists, username)
	}
	return id, err
}

func (d *database) DeleteUser(username string) error {
	result, err := d.grader.Exec("DELETE FROM users WHERE username = $1", username)
	if violates(err, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, "23503") {
		return fmt.Errorf("%w: %s", mockdb.ErrReferenced, oneLine(err))
	}
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("%w: %q", mockdb.ErrNoUser, username))
	}
	return nil
}

// violates tells whether an error is the violation of a constraint, by SQLite's
// code or PostgreSQL's.
func violates(err error, code int, sqlState string) bool {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	return errors.As(err, &lite) && lite.Code() == code || errors.As(err, &pg) && pg.Code == sqlState
}

func (d *database) tableNames(ctx context.Context) ([]string, error) {
	rows, err := d.grader.QueryContext(ctx, d.dialect.tables)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, `"`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	}
	return names, rows.Err()
}

func (d *database) Tables() ([]mockdb.Table, error) {
	ctx := context.Background()
	names, err := d.tableNames(ctx)
	if err != nil {
		return nil, err
	}
	var tables []mockdb.Table
	for _, name := range names {
		table, err := d.table(ctx, name)
		if err != nil {
			return nil, err
		}
		if table != nil {
			tables = append(tables, *table)
		}
	}
	return tables, nil
}

// given are the columns of the table users that the server has not made.
var given = []string{"id", "username", "password_hash"}

// table returns a table, without what is given; nil if nothing is left of it.
func (d *database) table(ctx context.Context, quoted string) (*mockdb.Table, error) {
	rows, err := d.grader.QueryContext(ctx, "SELECT * FROM "+quoted)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	table := &mockdb.Table{Name: strings.Trim(quoted, `"`)}
	ours := func(column string) bool { return table.Name == "users" && slices.Contains(given, column) }
	if !slices.ContainsFunc(columns, func(c string) bool { return !ours(c) }) {
		return nil, nil
	}
	for rows.Next() {
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var row [][]byte
		for i, c := range cells {
			switch raw, isBytes := c.([]byte); {
			case ours(columns[i]):
			case c == nil || isBytes:
				row = append(row, raw)
			default:
				row = append(row, fmt.Append(nil, c))
			}
		}
		table.Rows = append(table.Rows, row)
	}
	return table, rows.Err()
}

// lockTime bounds how long a lock is held for a statement that never comes.
const lockTime = time.Second

func (d *database) Lock() error {
	ctx := context.Background()
	names, err := d.tableNames(ctx)
	if err != nil {
		return err
	}
	conn, err := d.grader.Conn(ctx)
	if err != nil {
		return err
	}
	if err := d.dialect.lock(ctx, conn, names); err != nil {
		return errors.Join(err, conn.Close())
	}
	if _, err := conn.ExecContext(ctx, "UPDATE users SET username = username"); err != nil {
		conn.ExecContext(ctx, "ROLLBACK")
		return errors.Join(err, conn.Close())
	}
	d.unlocked = make(chan struct{})
	waits := d.disturber.nextWrite(d.unlocked)
	go func() {
		defer close(d.unlocked)
		defer conn.Close()
		select {
		case <-waits:
			time.Sleep(2 * time.Millisecond) // it is about to wait
		case <-time.After(lockTime):
		}
		conn.ExecContext(ctx, "COMMIT")
	}()
	return nil
}

func (d *database) Close() error {
	if d.unlocked != nil {
		<-d.unlocked
	}
	return errors.Join(d.server.Close(), d.grader.Close())
}

func (d *database) Drop() error {
	err := d.Close()
	if d.remove != nil {
		err = errors.Join(err, d.remove())
	}
	return err
}
