package mockdb

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// A Cost says how much work one Argon2id hash is (RFC 9106 §3.1).
type Cost struct {
	Memory  uint32 // in KiB, at least 8 for each thread
	Time    uint32 // passes over the memory, at least 1
	Threads uint8  // lanes, at least 1
}

var (
	// OWASP is the first choice of OWASP's Password Storage Cheat Sheet:
	// 19 MiB, two passes, one lane. It is for databases that people use.
	OWASP = Cost{Memory: 19 * 1024, Time: 2, Threads: 1}

	// Cheap protects nothing and takes microseconds. It is for graders, which
	// build a database for every step.
	Cheap = Cost{Memory: 8, Time: 1, Threads: 1}
)

const (
	saltBytes = 16
	keyBytes  = 32
)

var b64 = base64.RawStdEncoding

// Verify tells whether the hash was made from the password. It works for as
// long as the hash's own cost says (milliseconds with [OWASP]), and compares in
// constant time. A string that is no hash of this package's matches nothing,
// and that answer comes at once.
func (db *DB) Verify(passwordHash, password string) bool {
	cost, salt, key, err := parse(passwordHash)
	if err != nil {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, cost.Time, cost.Memory, cost.Threads, uint32(len(key)))
	db.looked()
	return subtle.ConstantTimeCompare(got, key) == 1
}

// DecoyHash returns the hash of a password that nobody knows, at this
// database's cost. Verifying against it takes as long as against anybody's.
func (db *DB) DecoyHash() string { return db.decoy }

func randomPassword() string { return rand.Text() }

// hash returns the PHC string $argon2id$v=19$m=…,t=…,p=…$salt$key.
func hash(password string, c Cost) string {
	if c.Time < 1 || c.Threads < 1 || c.Memory < 8*uint32(c.Threads) {
		panic(fmt.Sprintf("mockdb: unusable cost %+v", c))
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails (crypto/rand)
	key := argon2.IDKey([]byte(password), salt, c.Time, c.Memory, c.Threads, keyBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, c.Memory, c.Time, c.Threads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

func parse(s string) (c Cost, salt, key []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return c, nil, nil, fmt.Errorf("mockdb: no argon2id hash")
	}
	var version int
	if _, err = fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return c, nil, nil, fmt.Errorf("mockdb: not version %d of argon2id", argon2.Version)
	}
	if _, err = fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Time, &c.Threads); err != nil {
		return c, nil, nil, fmt.Errorf("mockdb: cost: %w", err)
	}
	if c.Time < 1 || c.Threads < 1 || c.Memory < 8*uint32(c.Threads) {
		return c, nil, nil, fmt.Errorf("mockdb: unusable cost %+v", c)
	}
	if salt, err = b64.DecodeString(parts[4]); err != nil {
		return c, nil, nil, fmt.Errorf("mockdb: salt: %w", err)
	}
	if key, err = b64.DecodeString(parts[5]); err != nil {
		return c, nil, nil, fmt.Errorf("mockdb: key: %w", err)
	}
	if len(key) < 16 {
		return c, nil, nil, fmt.Errorf("mockdb: a key of %d bytes", len(key))
	}
	return c, salt, key, nil
}
