package mockdb_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/mockdb"
)

func TestANewDatabaseHoldsCosmoFirstAndSevenOthers(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	cosmo, ok := db.Lookup("cosmo")
	require.True(t, ok)
	assert.Equal(t, 1, cosmo.ID)
	assert.True(t, db.Verify(cosmo.PasswordHash, "space-corgi"))
	next, err := db.Add("next", "x")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, next.ID, 9, "cosmo and seven others came first")
}

func TestPasswordsAreStoredHashedAtTheCostAskedFor(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	u, _ := db.Lookup("cosmo")
	assert.NotContains(t, u.PasswordHash, "space-corgi")
	assert.True(t, strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=8,t=1,p=1$"), u.PasswordHash)
	again, err := db.Add("twin", "space-corgi")
	require.NoError(t, err)
	assert.NotEqual(t, u.PasswordHash, again.PasswordHash, "two salts")
	assert.Equal(t, mockdb.Cost{Memory: 19456, Time: 2, Threads: 1}, mockdb.OWASP)
}

func TestTheWholePasswordCounts(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	long := strings.Repeat("p", 100)
	for _, right := range []string{"space-corgi", long, "", "naïve 🐕", "a\x00b"} {
		u, err := db.Add("user of "+right, right)
		require.NoError(t, err)
		assert.True(t, db.Verify(u.PasswordHash, right))
		for _, wrong := range []string{right + "\x00", right + " ", " " + right, strings.ToUpper(right) + "!", long[:72]} {
			assert.False(t, db.Verify(u.PasswordHash, wrong), "%q for %q", wrong, right)
		}
	}
}

func TestWhatIsNoHashMatchesNothing(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	good, _ := db.Lookup("cosmo")
	for _, bad := range []string{
		"", "space-corgi", "$", "$argon2id$", "$2a$10$abcdefghijklmnopqrstuv",
		strings.Replace(good.PasswordHash, "v=19", "v=18", 1),
		strings.Replace(good.PasswordHash, "m=8", "m=0", 1),
		strings.Replace(good.PasswordHash, "t=1", "t=0", 1),
		strings.Replace(good.PasswordHash, "p=1", "p=0", 1),
		strings.Replace(good.PasswordHash, "argon2id", "argon2i", 1),
		good.PasswordHash[:strings.LastIndex(good.PasswordHash, "$")+1],
		good.PasswordHash + "!",
	} {
		assert.False(t, db.Verify(bad, "space-corgi"), bad)
		assert.False(t, db.Verify(bad, ""), bad)
	}
}

func TestNobodysPasswordFitsTheDecoy(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	assert.NotEmpty(t, db.DecoyHash())
	for _, p := range []string{"", "space-corgi", db.DecoyHash()} {
		assert.False(t, db.Verify(db.DecoyHash(), p))
	}
	u, _ := db.Lookup("cosmo")
	cost := func(h string) string { return strings.Join(strings.Split(h, "$")[:4], "$") }
	assert.Equal(t, cost(u.PasswordHash), cost(db.DecoyHash()), "as dear as anybody's")
}

func TestACloneIsIndependent(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	copied := db.Clone()
	require.NoError(t, copied.Delete("cosmo"))
	require.NoError(t, copied.CreateSession(mockdb.Session{ID: "s", Username: "ada"}))
	_, ok := db.Lookup("cosmo")
	assert.True(t, ok)
	_, ok = db.Session("s")
	assert.False(t, ok)
	u, err := copied.Add("laika", "first-orbit")
	require.NoError(t, err)
	assert.Equal(t, 9, u.ID)
}

func TestTheCostCanBeRaised(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	db.SetCost(mockdb.Cost{Memory: 64, Time: 1, Threads: 1})
	u, err := db.Add("laika", "first-orbit")
	require.NoError(t, err)
	for _, hash := range []string{u.PasswordHash, db.DecoyHash()} {
		assert.Contains(t, hash, "$m=64,t=1,p=1$")
	}
	assert.True(t, db.Verify(u.PasswordHash, "first-orbit"))
	cosmo, _ := db.Lookup("cosmo")
	assert.True(t, db.Verify(cosmo.PasswordHash, "space-corgi"), "older hashes still fit")
}

func TestUsersComeAndGo(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	_, err := db.Add("cosmo", "x")
	assert.ErrorIs(t, err, mockdb.ErrUserExists)
	_, ok := db.Lookup("Cosmo")
	assert.False(t, ok, "names are compared exactly")

	u, err := db.Add("laika", "first-orbit")
	require.NoError(t, err)
	require.NoError(t, db.SetPassword("laika", "second-orbit"))
	changed, _ := db.Lookup("laika")
	assert.Equal(t, u.ID, changed.ID)
	assert.True(t, db.Verify(changed.PasswordHash, "second-orbit"))
	assert.False(t, db.Verify(changed.PasswordHash, "first-orbit"))

	require.NoError(t, db.CreateSession(mockdb.Session{ID: "s", Username: "laika"}))
	require.NoError(t, db.Delete("laika"))
	_, ok = db.Lookup("laika")
	assert.False(t, ok)
	_, ok = db.Session("s")
	assert.False(t, ok, "sessions go with their user")
	assert.ErrorIs(t, db.Delete("laika"), mockdb.ErrNoUser)
	assert.ErrorIs(t, db.SetPassword("laika", "x"), mockdb.ErrNoUser)
	reborn, err := db.Add("laika", "x")
	require.NoError(t, err)
	assert.NotEqual(t, u.ID, reborn.ID, "an ID is never used twice")
}

func TestASessionIsChangedAtOnceOrNotAtAll(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, db.CreateSession(mockdb.Session{ID: "a", Username: "cosmo", ExpiresAt: start.Add(time.Hour), RefreshToken: "0"}))
	assert.Error(t, db.CreateSession(mockdb.Session{ID: "a"}), "taken")
	assert.Error(t, db.CreateSession(mockdb.Session{}), "empty")

	refuse := fmt.Errorf("refused")
	err := db.UpdateSession("a", func(s *mockdb.Session) error { s.Revoked = true; return refuse })
	assert.Equal(t, refuse, err)
	s, _ := db.Session("a")
	assert.False(t, s.Revoked)
	assert.ErrorIs(t, db.UpdateSession("b", func(*mockdb.Session) error { return nil }), mockdb.ErrNoSession)

	var wg sync.WaitGroup
	winners := make(chan int, 20)
	for i := range 20 {
		wg.Go(func() {
			err := db.UpdateSession("a", func(s *mockdb.Session) error {
				if s.RefreshToken != "0" {
					return refuse
				}
				s.RefreshToken = fmt.Sprint("by ", i)
				return nil
			})
			if err == nil {
				winners <- i
			}
		})
	}
	wg.Wait()
	assert.Len(t, winners, 1)
}

func TestSessionsOfAUserAndPruning(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for id, who := range map[string]string{"a": "cosmo", "b": "cosmo", "c": "ada"} {
		require.NoError(t, db.CreateSession(mockdb.Session{ID: id, Username: who, ExpiresAt: start.Add(time.Hour)}))
	}
	assert.Equal(t, 2, db.UpdateSessionsOf("cosmo", func(s *mockdb.Session) { s.Revoked = true }))
	for id, revoked := range map[string]bool{"a": true, "b": true, "c": false} {
		s, ok := db.Session(id)
		require.True(t, ok)
		assert.Equal(t, revoked, s.Revoked, id)
	}
	assert.Equal(t, 0, db.PruneSessions(start.Add(time.Hour)), "revoked ones stay until their end")
	assert.Equal(t, 3, db.PruneSessions(start.Add(time.Hour+1)))
}

func TestManyAtOnce(t *testing.T) {
	db := mockdb.New(mockdb.Cheap)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			name := fmt.Sprint("user", i)
			u, err := db.Add(name, name)
			assert.NoError(t, err)
			assert.True(t, db.Verify(u.PasswordHash, name))
			assert.NoError(t, db.CreateSession(mockdb.Session{ID: name, Username: name}))
			assert.NoError(t, db.SetPassword(name, "other"))
			db.UpdateSessionsOf(name, func(s *mockdb.Session) { s.Revoked = true })
			db.PruneSessions(time.Time{})
			assert.NoError(t, db.Delete(name))
		})
	}
	wg.Wait()
}
