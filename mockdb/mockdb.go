// Package mockdb is the workshop's mock database: people with hashed passwords,
// and the sessions that later lessons keep for them.
//
//	db := mockdb.New(mockdb.OWASP)
//	cosmo, ok := db.Lookup("cosmo")                 // {ID: 1, Username: "cosmo", …}, true
//	db.Verify(cosmo.PasswordHash, "space-corgi")    // true
//
// It lives in memory, forgets everything when the program ends, and may be used
// by any number of goroutines at once. Lesson 13 replaces it by a real database.
package mockdb

import (
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Errors that the methods of a [DB] return.
var (
	ErrUserExists = errors.New("mockdb: the username is taken")
	ErrNoUser     = errors.New("mockdb: no such user")
	ErrNoSession  = errors.New("mockdb: no such session")
)

// A User is one row of the table of people. It is a copy: changing it changes
// nothing in the database.
type User struct {
	ID           int    // from 1 on, never used twice
	Username     string // compared exactly: "Cosmo" is not "cosmo"
	Email        string // personal: no business of a token's
	PasswordHash string // Argon2id in the PHC format, see [DB.Verify]
}

// people are in every new database, in this order: cosmo has ID 1.
var people = []struct{ username, password string }{
	{"cosmo", "space-corgi"},
	{"ada", "analytical-engine-1843"},
	{"grace", "a moth in relay 70"},
	{"alan", "bombe & Christopher"},
	{"katherine", "orbit-by-hand-1962"},
	{"linus", "just-a-hobby-not-big"},
	{"margaret", "priority-display-1202"},
	{"radia", "I think that I shall never see"},
}

// A DB holds users and sessions. Make one with [New].
type DB struct {
	cost  Cost
	decoy string

	afterLook func() // nil for people

	mu       sync.RWMutex
	users    map[string]User
	nextID   int
	sessions map[string]Session
}

// New returns a database that holds the workshop's eight people, their
// passwords hashed at the given cost. With [OWASP] that takes a fraction of a
// second: it is what a hash is for. New panics where the cost is not usable
// (see [Cost]).
func New(cost Cost) *DB {
	db := &DB{
		cost:     cost,
		users:    make(map[string]User),
		nextID:   1,
		sessions: make(map[string]Session),
	}
	db.decoy = hash(randomPassword(), cost)
	for _, p := range people {
		if _, err := db.Add(p.username, p.password); err != nil {
			panic(err) // two people of one name in the table above
		}
	}
	return db
}

// Clone returns a database of its own with the same users, sessions and cost.
// Where many are needed it spares hashing the same passwords again.
func (db *DB) Clone() *DB {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return &DB{cost: db.cost, decoy: db.decoy, users: maps.Clone(db.users), nextID: db.nextID, sessions: maps.Clone(db.sessions)}
}

// SetCost sets what hashes cost from now on, the decoy's among them. Those that
// were made before keep theirs. It is to be called before the database is shared.
func (db *DB) SetCost(cost Cost) {
	db.cost = cost
	db.decoy = hash(randomPassword(), cost)
}

// Lookup returns the user of that name and true, or false if there is none.
// It takes the same short time either way; checking the password does not,
// unless you see to it (see [DB.DecoyHash]).
func (db *DB) Lookup(username string) (User, bool) {
	db.mu.RLock()
	u, ok := db.users[username]
	db.mu.RUnlock()
	db.looked()
	return u, ok
}

// Add inserts a user with the next free ID and returns it.
// It returns [ErrUserExists] where the name is taken.
func (db *DB) Add(username, password string) (User, error) {
	hashed := hash(password, db.cost) // outside the lock: it is slow by design
	db.mu.Lock()
	defer db.mu.Unlock()
	if _, taken := db.users[username]; taken {
		return User{}, fmt.Errorf("%w: %q", ErrUserExists, username)
	}
	u := User{ID: db.nextID, Username: username, Email: username + "@corgi.example", PasswordHash: hashed}
	db.nextID++
	db.users[username] = u
	return u, nil
}

// Delete removes a user and their sessions.
// It returns [ErrNoUser] where there is none of that name.
func (db *DB) Delete(username string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if _, ok := db.users[username]; !ok {
		return fmt.Errorf("%w: %q", ErrNoUser, username)
	}
	delete(db.users, username)
	for id, s := range db.sessions {
		if s.Username == username {
			delete(db.sessions, id)
		}
	}
	return nil
}

// SetPassword gives a user another password. What follows for the sessions that
// are open is the caller's decision.
// It returns [ErrNoUser] where there is none of that name.
func (db *DB) SetPassword(username, password string) error {
	hashed := hash(password, db.cost)
	db.mu.Lock()
	defer db.mu.Unlock()
	u, ok := db.users[username]
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoUser, username)
	}
	u.PasswordHash = hashed
	db.users[username] = u
	return nil
}
