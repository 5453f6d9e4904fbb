package mockdb

import (
	"fmt"
	"time"
)

// A Session is what a server remembers of one login, from lesson 06 on. The
// database keeps it and decides nothing: which refresh token is the living
// one, when a session ends and whose fault it was is the server's to say.
type Session struct {
	ID           string    // unguessable, chosen by the server
	Username     string    // whose it is
	StartedAt    time.Time // the login
	ExpiresAt    time.Time // the absolute end; nothing extends it
	RefreshToken string    // identifies the one refresh token that still works
	CSRFToken    string    // lesson 09
	Revoked      bool      // logged out, or ended for a reason
}

// CreateSession stores a new session. It replaces none: an ID that is taken is
// an error, for it means that the IDs can be guessed.
func (db *DB) CreateSession(s Session) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if _, taken := db.sessions[s.ID]; taken || s.ID == "" {
		return fmt.Errorf("mockdb: session ID %q is empty or taken", s.ID)
	}
	db.sessions[s.ID] = s
	return nil
}

// Session returns a copy of the session and true, or false if there is none.
func (db *DB) Session(id string) (Session, bool) {
	db.mu.RLock()
	s, ok := db.sessions[id]
	db.mu.RUnlock()
	db.looked()
	return s, ok
}

// AfterLook has f called after each look at a user, a password or a session, by
// [DB.Lookup], [DB.Verify] or [DB.Session]. It is for graders, which let others in
// there, and is to be called before the database is shared.
func (db *DB) AfterLook(f func()) { db.afterLook = f }

func (db *DB) looked() {
	if db.afterLook != nil {
		db.afterLook()
	}
}

// UpdateSession calls change with the stored session and keeps what it leaves
// there, all under one lock: nobody reads or writes a session in between. If
// change returns an error, nothing is kept and the error is returned as it is.
// It returns [ErrNoSession] where there is none of that ID. Change must not call
// the database.
func (db *DB) UpdateSession(id string, change func(*Session) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	s, ok := db.sessions[id]
	if !ok {
		return ErrNoSession
	}
	if err := change(&s); err != nil {
		return err
	}
	s.ID = id
	db.sessions[id] = s
	return nil
}

// UpdateSessionsOf calls change with each session of a user, under one lock,
// and keeps what it leaves there. It returns how many there were. Change must
// not call the database.
func (db *DB) UpdateSessionsOf(username string, change func(*Session)) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	n := 0
	for id, s := range db.sessions {
		if s.Username != username {
			continue
		}
		change(&s)
		s.ID = id
		db.sessions[id] = s
		n++
	}
	return n
}

// PruneSessions forgets the sessions whose absolute end lies before now and
// returns how many they were. A revoked session stays until then, so that its
// refresh tokens are still known when somebody replays one.
func (db *DB) PruneSessions(now time.Time) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	n := 0
	for id, s := range db.sessions {
		if s.ExpiresAt.Before(now) {
			delete(db.sessions, id)
			n++
		}
	}
	return n
}
