// The tables of this server, and every word that it says to its database.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"jwtworkshop/mockdb"
)

// tables makes what is not there yet. Moments are seconds since 1970 in UTC: a
// number has no time zone and no summer time, and is compared as what it is.
var tables = []string{
	// A deleted user takes their sessions along. Whoever gets the name later
	// begins with none.
	`CREATE TABLE IF NOT EXISTS sessions (
		id         TEXT PRIMARY KEY,
		user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
		expires_at BIGINT NOT NULL,
		revoked    BOOLEAN NOT NULL DEFAULT FALSE
	)`,
	// Every refresh token that was ever given stays here until its session ends:
	// one that comes twice is known, however old it is.
	`CREATE TABLE IF NOT EXISTS refresh_tokens (
		token_hash TEXT PRIMARY KEY,
		session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
		expires_at BIGINT NOT NULL,
		used_at    BIGINT
	)`,
	`CREATE INDEX IF NOT EXISTS sessions_of ON sessions (user_id)`,
	`CREATE INDEX IF NOT EXISTS sessions_end ON sessions (expires_at)`,
	`CREATE INDEX IF NOT EXISTS tokens_of ON refresh_tokens (session_id)`,
}

// A session is one row, as far as handlers need it.
type session struct {
	id        string
	expiresAt time.Time // the absolute end; nothing extends it
}

// What the database answers, and what is the matter with it.
var (
	errNone     = errors.New("no such row")
	errReplay   = errors.New("a refresh token was used twice: its session is ended")
	errDatabase = errors.New("the database failed")
)

// failed marks an error as the database's. It says nothing about the client, and
// must not reach it as "your token is not valid".
func failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return errNone
	}
	return fmt.Errorf("%w: %w", errDatabase, err)
}

// migrate makes the tables, unless they are there: a server is started more often
// than once on the same database.
func (s *server) migrate(ctx context.Context) error {
	for _, t := range tables {
		if _, err := s.cfg.SQL.ExecContext(ctx, t); err != nil {
			return failed(err)
		}
	}
	return nil
}

// newToken returns a refresh token and what is stored of it. Its 32 random bytes
// cannot be guessed, so one round of SHA-256 is enough: a slow hash is for
// passwords, which can. Whoever reads the table, or a backup of it, has no token.
func newToken() (token, hash string) {
	raw := make([]byte, 32)
	rand.Read(raw)
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, hashOf(token)
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// userByName returns a user and the hash of their password, or errNone.
func (s *server) userByName(ctx context.Context, name string) (mockdb.User, error) {
	u := mockdb.User{Username: name}
	if strings.ContainsRune(name, 0) {
		return u, errNone // nobody has such a name, and PostgreSQL would call it an error to ask
	}
	// The name goes beside the statement, not into it. Whatever quotes it has, it
	// is compared and never read as SQL (CWE-89).
	err := s.cfg.SQL.QueryRowContext(ctx, `SELECT id, password_hash FROM users WHERE username = $1`, name).
		Scan(&u.ID, &u.PasswordHash)
	return u, failed(err)
}

// createSession begins a session of the user's and returns it with its first
// refresh token.
func (s *server) createSession(ctx context.Context, user mockdb.User) (session, string, error) {
	now := s.cfg.Now()
	if err := s.prune(ctx, now); err != nil {
		s.cfg.Log.Error("expired sessions stay", "error", err) // no reason to turn anybody away
	}
	created := session{id: rand.Text(), expiresAt: now.Add(s.cfg.SessionTTL)}
	token, hash := newToken()
	tx, err := s.cfg.SQL.BeginTx(ctx, nil)
	if err != nil {
		return created, "", failed(err)
	}
	defer tx.Rollback() // after a Commit it does nothing
	if _, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, user_id, expires_at) VALUES ($1, $2, $3)`,
		created.id, user.ID, created.expiresAt.Unix()); err != nil {
		return created, "", failed(err)
	}
	if err := s.insertToken(ctx, tx, hash, created); err != nil {
		return created, "", err
	}
	return created, token, failed(tx.Commit())
}

func (s *server) insertToken(ctx context.Context, tx *sql.Tx, hash string, of session) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES ($1, $2, $3)`,
		hash, of.id, earlier(s.cfg.Now().Add(s.cfg.RefreshTTL), of.expiresAt).Unix())
	return failed(err)
}

// prune forgets the sessions that have ended by their time, and their tokens with
// them. One that was revoked stays until then, as do used tokens: what a table
// has forgotten it cannot recognise.
func (s *server) prune(ctx context.Context, now time.Time) error {
	_, err := s.cfg.SQL.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= $1`, now.Unix())
	return failed(err)
}

// userOfSession returns the user of that name if the living session is theirs, or
// errNone.
func (s *server) userOfSession(ctx context.Context, id, name string) (mockdb.User, error) {
	u := mockdb.User{Username: name}
	err := s.cfg.SQL.QueryRowContext(ctx, `
		SELECT users.id FROM sessions JOIN users ON users.id = sessions.user_id
		WHERE sessions.id = $1 AND users.username = $2 AND NOT sessions.revoked AND sessions.expires_at > $3`,
		id, name, s.cfg.Now().Unix()).Scan(&u.ID)
	return u, failed(err)
}

// ownerOfToken returns whose refresh token that is, alive or dead, or errNone.
func (s *server) ownerOfToken(ctx context.Context, hash string) (mockdb.User, session, error) {
	var u mockdb.User
	var of session
	var expires int64
	err := s.cfg.SQL.QueryRowContext(ctx, `
		SELECT users.id, users.username, sessions.id, sessions.expires_at
		FROM refresh_tokens
		JOIN sessions ON sessions.id = refresh_tokens.session_id
		JOIN users ON users.id = sessions.user_id
		WHERE refresh_tokens.token_hash = $1`, hash).
		Scan(&u.ID, &u.Username, &of.id, &expires)
	of.expiresAt = time.Unix(expires, 0)
	return u, of, failed(err)
}

// rotate uses up the refresh token with that hash and returns its successor. It
// returns errNone where the token has expired or its session has ended, and
// errReplay where it was used before: then the session is ended.
func (s *server) rotate(ctx context.Context, hash string, of session) (string, error) {
	now := s.cfg.Now().Unix()
	// Both statements or neither. If the second fails, the old token is good again:
	// the client has no other.
	tx, err := s.cfg.SQL.BeginTx(ctx, nil)
	if err != nil {
		return "", failed(err)
	}
	defer tx.Rollback()
	// Looking and writing are one statement. Of twenty that come at once, to any
	// number of servers, the database lets one find used_at empty. It comes first
	// in the transaction, for SQLite turns away who has read before and writes
	// after somebody else has written.
	result, err := tx.ExecContext(ctx, `
		UPDATE refresh_tokens SET used_at = $1
		WHERE token_hash = $2 AND used_at IS NULL AND expires_at > $1
		AND EXISTS (SELECT 1 FROM sessions WHERE id = session_id AND NOT revoked AND expires_at > $1)`, now, hash)
	if err != nil {
		return "", failed(err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return "", failed(err)
	} else if n == 0 {
		return "", s.endIfReplayed(ctx, tx, hash, of)
	}
	token, next := newToken()
	if err := s.insertToken(ctx, tx, next, of); err != nil {
		return "", err
	}
	return token, failed(tx.Commit())
}

// endIfReplayed ends the session if the token, which was not to be had, was used
// before (RFC 9700 §4.14.2).
func (s *server) endIfReplayed(ctx context.Context, tx *sql.Tx, hash string, of session) error {
	result, err := tx.ExecContext(ctx, `
		UPDATE sessions SET revoked = TRUE
		WHERE id = $1 AND EXISTS (SELECT 1 FROM refresh_tokens WHERE token_hash = $2 AND used_at IS NOT NULL)`, of.id, hash)
	if err != nil {
		return failed(err)
	}
	if err := tx.Commit(); err != nil {
		return failed(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errNone
	}
	return errReplay
}

// endSession ends one session; endSessionsOf all of a user's.
func (s *server) endSession(ctx context.Context, id string) error {
	_, err := s.cfg.SQL.ExecContext(ctx, `UPDATE sessions SET revoked = TRUE WHERE id = $1`, id)
	return failed(err)
}

func (s *server) endSessionsOf(ctx context.Context, userID int) error {
	_, err := s.cfg.SQL.ExecContext(ctx, `UPDATE sessions SET revoked = TRUE WHERE user_id = $1`, userID)
	return failed(err)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
