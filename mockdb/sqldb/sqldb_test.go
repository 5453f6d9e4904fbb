package sqldb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/mockdb"
	"jwtworkshop/mockdb/sqldb"
	"jwtworkshop/mockdb/sqldb/postgres"
)

var people = mockdb.New(mockdb.Cheap).Users()

// both runs a test on SQLite and on PostgreSQL. open opens the database at a source,
// or a fresh one where that is empty.
func both(t *testing.T, test func(t *testing.T, open func(source string) mockdb.SQL)) {
	on := func(t *testing.T, server string) {
		test(t, func(source string) mockdb.SQL {
			o := mockdb.SQLOptions{Source: source, People: people}
			if source == "" {
				o.Source, o.Fresh = server, true
			}
			db, err := sqldb.Open(o)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, db.Drop()) })
			return db
		})
	}
	t.Run("sqlite", func(t *testing.T) { on(t, "") })
	t.Run("postgres", func(t *testing.T) { on(t, privatePostgres(t)) })
}

// privatePostgres starts a server for one test. Where there are no binaries, the
// test is skipped, but not where the whole workshop is verified.
func privatePostgres(t *testing.T) string {
	server, err := postgres.Start(t.Context())
	if errors.Is(err, postgres.ErrNone) && os.Getenv("WORKSHOP_PRISTINE") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return server.URL
}

func TestPeopleAreInTheTable(t *testing.T) {
	both(t, func(t *testing.T, open func(string) mockdb.SQL) {
		db := open("")
		var id int
		var hash string
		require.NoError(t, db.DB().QueryRow("SELECT id, password_hash FROM users WHERE username = $1", "cosmo").Scan(&id, &hash))
		assert.Equal(t, 1, id)
		assert.True(t, mockdb.New(mockdb.Cheap).Verify(hash, "space-corgi"))

		id, err := db.AddUser(`o'hara "x"; --`, "h")
		require.NoError(t, err)
		assert.Equal(t, len(people)+1, id)
		_, err = db.AddUser(`o'hara "x"; --`, "h")
		assert.ErrorIs(t, err, mockdb.ErrUserExists)
		require.NoError(t, db.DeleteUser(`o'hara "x"; --`))
		assert.ErrorIs(t, db.DeleteUser(`o'hara "x"; --`), mockdb.ErrNoUser)
		id, err = db.AddUser("laika", "h")
		require.NoError(t, err)
		assert.Greater(t, id, len(people)+1, "an id is not used twice")
	})
}

func TestTwoOpenOneDatabase(t *testing.T) {
	both(t, func(t *testing.T, open func(string) mockdb.SQL) {
		one := open("")
		other := open(one.Source())
		_, err := one.DB().Exec("CREATE TABLE sessions (id TEXT PRIMARY KEY, user_id BIGINT NOT NULL REFERENCES users(id), at BIGINT)")
		require.NoError(t, err)
		_, err = other.DB().Exec("INSERT INTO sessions VALUES ($1, $2, $3)", "s1", 1, nil)
		require.NoError(t, err)
		assert.ErrorIs(t, one.DeleteUser("cosmo"), mockdb.ErrReferenced)
		tables, err := other.Tables()
		require.NoError(t, err)
		assert.Equal(t, []mockdb.Table{{Name: "sessions", Rows: [][][]byte{{[]byte("s1"), []byte("1"), nil}}}}, tables)
		_, err = one.DB().Exec("ALTER TABLE users ADD COLUMN note TEXT")
		require.NoError(t, err)
		_, err = one.DB().Exec("UPDATE users SET note = $1 WHERE id = 2", "n")
		require.NoError(t, err)
		tables, err = one.Tables()
		require.NoError(t, err)
		require.Len(t, tables, 2)
		assert.Contains(t, tables[1].Rows, [][]byte{[]byte("n")}, "of users, what was added to it")
		var n int
		require.NoError(t, open("").DB().QueryRow("SELECT count(*) FROM users").Scan(&n), "a fresh one is another")
		assert.Equal(t, len(people), n)
		fresh, err := open("").Tables()
		require.NoError(t, err)
		assert.Empty(t, fresh)
	})
}

func TestFaultsEndAndWhatFailedWasNotDone(t *testing.T) {
	both(t, func(t *testing.T, open func(string) mockdb.SQL) {
		o := open("")
		db := o.DB()
		_, err := db.Exec("CREATE TABLE t (a BIGINT)")
		require.NoError(t, err)
		count := func() (n int) {
			require.NoError(t, db.QueryRow("SELECT count(*) FROM t").Scan(&n))
			return n
		}
		for fault, says := range map[mockdb.Fault]string{mockdb.Locked: "lock", mockdb.Full: "full|space", mockdb.Gone: "open|terminating"} {
			o.Disturb(mockdb.Disturbance{Fault: fault})
			_, err := db.Exec("INSERT INTO t VALUES (1)")
			require.Error(t, err)
			assert.Regexp(t, says, strings.ToLower(err.Error()))
			err = db.QueryRow("SELECT count(*) FROM t").Scan(new(int))
			assert.Equal(t, fault == mockdb.Gone, err != nil, "%s: who reads meets neither a lock nor a full disk", fault)
			o.Disturb(mockdb.Disturbance{})
			assert.Equal(t, 0, count(), fault)

			tx, err := db.Begin()
			require.NoError(t, err)
			o.Disturb(mockdb.Disturbance{Fault: fault, After: 1})
			_, err = tx.Exec("INSERT INTO t VALUES (2)")
			require.NoError(t, err)
			assert.Error(t, tx.Commit(), fault)
			o.Disturb(mockdb.Disturbance{})
			assert.Equal(t, 0, count(), "%s: a commit that fails leaves nothing", fault)
			_, err = db.Exec("DELETE FROM t")
			require.NoError(t, err, "and no lock")
		}
	})
}

func TestEachLookIsToldOf(t *testing.T) {
	both(t, func(t *testing.T, open func(string) mockdb.SQL) {
		o := open("")
		looks := 0
		o.AfterLook(func() { looks++ })
		require.NoError(t, o.DB().QueryRow("SELECT count(*) FROM users").Scan(new(int)))
		assert.Equal(t, 1, looks)
		_, err := o.DB().Exec("UPDATE users SET username = username")
		require.NoError(t, err)
		assert.Equal(t, 1, looks, "what writes is no look")
	})
}

func TestALockIsWaitedFor(t *testing.T) {
	both(t, func(t *testing.T, open func(string) mockdb.SQL) {
		o := open("")
		db := o.DB()
		_, err := db.Exec("CREATE TABLE t (a BIGINT)")
		require.NoError(t, err)
		require.NoError(t, o.Lock())
		require.NoError(t, db.QueryRow("SELECT count(*) FROM t").Scan(new(int)), "readers do not wait")
		_, err = db.ExecContext(context.Background(), "INSERT INTO t VALUES (1)")
		require.NoError(t, err)
	})
}

// Who reads first and writes later in one transaction meets the error of his
// database, at once: the one that lesson 13 is about.
func TestAReaderThatWritesLaterIsTurnedAwayBySQLite(t *testing.T) {
	o, err := sqldb.Open(mockdb.SQLOptions{Fresh: true, People: people})
	require.NoError(t, err)
	defer o.Drop()
	_, err = o.DB().Exec("CREATE TABLE t (a BIGINT)")
	require.NoError(t, err)
	tx, err := o.DB().Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM t").Scan(new(int)))
	require.NoError(t, o.Lock())
	_, err = tx.Exec("INSERT INTO t VALUES (1)")
	assert.ErrorContains(t, err, "database is locked")
}

func TestSourcesThatOpenNothing(t *testing.T) {
	for _, source := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "no", "such", "folder.db"), "postgres://ada:secret@127.0.0.1:1/none", "postgres://%zz"} {
		_, err := sqldb.Open(mockdb.SQLOptions{Source: source, People: people})
		require.Error(t, err, source)
		assert.NotContains(t, err.Error(), "\n", source)
		assert.NotContains(t, err.Error(), "secret", source)
	}
}

func TestAFileMayHaveAnyName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b?mode=memory&x#y%20.db")
	o, err := sqldb.Open(mockdb.SQLOptions{Source: "sqlite:" + file, People: people})
	require.NoError(t, err)
	require.NoError(t, o.Drop(), "what is no fresh one stays")
	_, err = os.Stat(file)
	require.NoError(t, err)
	again, err := sqldb.Open(mockdb.SQLOptions{Source: file, People: people})
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func BenchmarkFresh(b *testing.B) {
	for b.Loop() {
		o, err := sqldb.Open(mockdb.SQLOptions{Fresh: true, People: people})
		require.NoError(b, err)
		_, err = o.DB().Exec("CREATE TABLE t (a BIGINT)")
		require.NoError(b, err)
		require.NoError(b, o.Drop())
	}
}
