package mockdb

import (
	"database/sql"
	"errors"
	"maps"
	"slices"
)

// ErrReferenced is returned, wrapped, where a user cannot be deleted because
// another table's rows refer to them and do not go with them.
var ErrReferenced = errors.New("mockdb: other rows refer to this user")

// SQL is a database that speaks SQL, as the server of lesson 13 is given one. It
// holds the table users and what the server itself creates. Package sqldb opens
// them; what follows DB is for graders.
type SQL interface {
	// DB is what the server is given.
	DB() *sql.DB

	// Source is where another program finds the same database.
	Source() string

	// AddUser inserts a row into the table users and returns its id. It returns
	// [ErrUserExists] where the name is taken.
	AddUser(username, passwordHash string) (int, error)

	// DeleteUser removes a row of the table users. It returns [ErrNoUser] where
	// there is none, and [ErrReferenced].
	DeleteUser(username string) error

	// Tables are all that the server has created, with their rows: tables, and
	// columns that it has added to users.
	Tables() ([]Table, error)

	// AfterLook has f called after each statement of the server's that only reads,
	// by whoever sent it. It is to be called before the server is there.
	AfterLook(f func())

	// Disturb has the server's statements fail from now on; the zero value ends
	// that.
	Disturb(Disturbance)

	// Lock takes the lock for writing and writes something. It lets go of it soon
	// after a statement of the server's has begun to wait for it.
	Lock() error

	// Close closes all connections.
	Close() error

	// Drop closes the database and removes it, if it was opened as a fresh one.
	Drop() error
}

// SQLOptions say which database is to be opened.
type SQLOptions struct {
	// Source is a file for SQLite, or the URL of a database for PostgreSQL:
	// "workshop.db", "postgres://ada@localhost/workshop".
	Source string

	// Fresh makes a new database: for SQLite a temporary file, for PostgreSQL a
	// schema of its own in the database at Source. It is made for speed and need
	// not survive the machine.
	Fresh bool

	// People are who is in the table users, if it has to be made.
	People []User
}

// SQLFolder is how the name of a temporary folder begins that holds a fresh
// database.
const SQLFolder = "workshop-db-"

// OpenSQL opens a database that speaks SQL. Its errors are of one line.
type OpenSQL func(SQLOptions) (SQL, error)

// A Table is one that the server has created.
type Table struct {
	Name string
	Rows [][][]byte // each cell as its bytes, or as it is printed
}

// A Disturbance is what can happen to a database.
type Disturbance struct {
	Fault Fault // what statements end with
	After int   // how many of them go well before that
}

// A Fault is an error that a database has.
type Fault string

// The faults. The errors are those of the driver at hand.
const (
	Locked Fault = "locked" // somebody keeps the lock for writing for longer than anybody waits
	Full   Fault = "full"   // there is no room for what is written
	Gone   Fault = "gone"   // it cannot be reached
)

// Users are all users, in the order of their IDs.
func (db *DB) Users() []User {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return slices.SortedFunc(maps.Values(db.users), func(a, b User) int { return a.ID - b.ID })
}
