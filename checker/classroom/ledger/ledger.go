// Package ledger keeps marks in a SQLite file, each under the hash of what was
// graded, so that nothing is graded twice, nothing is lost when the grader is
// killed, and each mark can be derived again.
package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/lessons"
)

// A Ledger is one file. Its methods may be called at the same time; a second
// process that opens the file waits for the first to finish writing.
type Ledger struct {
	db *sql.DB
	mu sync.Mutex // one writer: SQLite has no more
}

const schema = `
create table if not exists marks (
	key     text primary key, -- Key of the work and of what it was graded with
	lesson  text not null,
	work    text not null,    -- the work's own hash: its files are in works
	about   text not null,    -- what it was graded with
	mark    blob not null,    -- JSON
	graded  text not null     -- when, RFC 3339
) strict;
create table if not exists works (
	hash  text primary key,
	files blob not null       -- JSON, gzip
) strict;
create table if not exists grades (
	student text not null,
	lesson  text not null,
	key     text not null references marks (key),
	primary key (student, lesson)
) strict;
create table if not exists facts (
	name  text primary key,
	value text not null
) strict;
`

// Open opens the file and makes it if need be.
func Open(path string) (*Ledger, error) {
	// Full: what was said to be graded is on the disk, whatever happens next.
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("?", "%3f", "#", "%23", "%", "%25").Replace(path)+
		"?_pragma=busy_timeout(60000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec(schema); err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Ledger{db: db}, nil
}

// Close closes the file.
func (l *Ledger) Close() error { return l.db.Close() }

// Hash identifies a work by its lesson, its files, and why it is refused.
func Hash(w intake.Work) string {
	h := sha256.New()
	say := func(text string) { fmt.Fprintf(h, "%d:%s", len(text), text) } // no two works read the same
	say(w.Lesson.ID)
	for _, name := range slices.Sorted(maps.Keys(w.Files)) {
		say(name)
		say(string(w.Files[name]))
	}
	say("refused")
	for _, reason := range w.Refused {
		say(reason)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Key identifies a mark: the work's hash, and what it is graded with.
func Key(hash, about string) string {
	sum := sha256.Sum256([]byte(hash + " " + about))
	return hex.EncodeToString(sum[:])
}

// Mark returns the mark under a key; ok tells whether there is one.
func (l *Ledger) Mark(ctx context.Context, key string) (m marking.Mark, ok bool, err error) {
	var raw []byte
	err = l.db.QueryRowContext(ctx, "select mark from marks where key = ?", key).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	return m, true, json.Unmarshal(raw, &m)
}

// An Entry is a mark and what it belongs to.
type Entry struct {
	Key    string
	Hash   string // of the work
	About  string // what it was graded with
	Mark   marking.Mark
	Graded time.Time
	Work   intake.Work // not filled in by [Ledger.All]
}

// Keep writes marks and their works down, all or none. A mark that is there already
// stays: the first counts. Marks that are the classroom's own fault are not kept.
func (l *Ledger) Keep(ctx context.Context, entries []Entry) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		for _, e := range entries {
			if e.Mark.Ours {
				continue
			}
			raw, err := json.Marshal(e.Mark)
			if err != nil {
				return err
			}
			files, err := Pack(e.Work)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "insert or ignore into works (hash, files) values (?, ?)", e.Hash, files); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "insert or ignore into marks (key, lesson, work, about, mark, graded) values (?, ?, ?, ?, ?, ?)",
				e.Key, e.Mark.Lesson, e.Hash, e.About, raw, time.Now().UTC().Format(time.RFC3339)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Replace writes a mark down in place of the one that is there.
func (l *Ledger) Replace(ctx context.Context, e Entry) error {
	err := l.write(ctx, func(tx *sql.Tx) error {
		raw, err := json.Marshal(e.Mark)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "update marks set mark = ?, graded = ? where key = ?", raw, time.Now().UTC().Format(time.RFC3339), e.Key)
		return err
	})
	if err != nil {
		return err
	}
	return l.Keep(ctx, []Entry{e})
}

// A Grade says which mark a student has for a lesson.
type Grade struct{ Student, Lesson, Key string }

// Grade puts grades in place of all those before for the same lessons.
func (l *Ledger) Grade(ctx context.Context, of []lessons.Lesson, grades []Grade) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		for _, lesson := range of {
			if _, err := tx.ExecContext(ctx, "delete from grades where lesson = ?", lesson.ID); err != nil {
				return err
			}
		}
		for _, g := range grades {
			if _, err := tx.ExecContext(ctx, "insert into grades (student, lesson, key) values (?, ?, ?)", g.Student, g.Lesson, g.Key); err != nil {
				return err
			}
		}
		return nil
	})
}

// Grades returns the grades in force, by student and lesson.
func (l *Ledger) Grades(ctx context.Context) ([]Grade, error) {
	rows, err := l.db.QueryContext(ctx, "select student, lesson, key from grades order by student, lesson")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Grade
	for rows.Next() {
		var g Grade
		if err := rows.Scan(&g.Student, &g.Lesson, &g.Key); err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, rows.Err()
}

// Entry returns what is known under a key, the work included.
func (l *Ledger) Entry(ctx context.Context, key string) (Entry, error) {
	e := Entry{Key: key}
	var raw, files []byte
	var graded string
	err := l.db.QueryRowContext(ctx, "select m.work, m.about, m.mark, m.graded, w.files from marks m join works w on w.hash = m.work where key = ?", key).
		Scan(&e.Hash, &e.About, &raw, &graded, &files)
	if err != nil {
		return e, fmt.Errorf("mark %.12s: %w", key, err)
	}
	e.Graded, _ = time.Parse(time.RFC3339, graded)
	if err := json.Unmarshal(raw, &e.Mark); err != nil {
		return e, err
	}
	e.Work, err = Unpack(files)
	return e, err
}

// Fact returns what was remembered under a name, "" if nothing was.
func (l *Ledger) Fact(ctx context.Context, name string) (string, error) {
	var value string
	err := l.db.QueryRowContext(ctx, "select value from facts where name = ?", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// Remember remembers a fact.
func (l *Ledger) Remember(ctx context.Context, name, value string) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "insert into facts (name, value) values (?, ?) on conflict (name) do update set value = excluded.value", name, value)
		return err
	})
}

func (l *Ledger) write(ctx context.Context, do func(*sql.Tx) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// packed is a work as it is stored and sent.
type packed struct {
	Lesson  string            `json:"lesson"`
	Files   map[string][]byte `json:"files"`
	Refused []string          `json:"refused,omitempty"`
}

// Pack writes a work down to be stored or sent.
func Pack(w intake.Work) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if err := json.NewEncoder(z).Encode(packed{Lesson: w.Lesson.ID, Files: w.Files, Refused: w.Refused}); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// maxPacked bounds what a packed work unpacks to, in bytes.
const maxPacked = 2 * intake.MaxFiles * intake.MaxFile

// Unpack reads what [Pack] wrote.
func Unpack(raw []byte) (intake.Work, error) {
	var p packed
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return intake.Work{}, err
	}
	if err := json.NewDecoder(io.LimitReader(z, maxPacked)).Decode(&p); err != nil {
		return intake.Work{}, err
	}
	lesson, err := lessons.Find(p.Lesson)
	return intake.Work{Lesson: lesson, Files: p.Files, Refused: p.Refused}, err
}
