package suites

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

// minBits is what an attacker must at least have to guess (RFC 6749 §10.10).
const minBits = 128

// sqlWords are what somebody types who hopes that it becomes a part of a statement.
var sqlWords = []string{
	`' OR 1=1 --`, `' OR '1'='1`, `") OR ("1"="1`, `'; DELETE FROM users; --`, `' UNION SELECT 1, 'cosmo', password_hash FROM users --`,
	`\' OR 1=1 --`, `''''`, `"`, "`", `$1`, `%s`, `;`,
}

// oddWords are no SQL, and no name of anybody's.
var oddWords = []string{
	"cosmo\x00", "\x00", "\u0000cosmo", "cosmo\u200b", "\ufeffcosmo", "ＣＯＳＭＯ", "\U0001F680", "\u202e", "\n", strings.Repeat("x", 1<<16), "%", "_", "*", "?",
}

// noLogin wants no login, and no fault either.
func noLogin(t require.TestingT, s *subject.Session, u subject.User, claim string) {
	a := s.Post(t, "/login", u.Credentials()).Is(t, http.StatusUnauthorized, claim, http.StatusBadRequest)
	a.HasNone(t, "access_token", "a refused login carries a token")
}

// ended is how long it takes until a session has ended for every right server.
func ended(c lessons.Settings) time.Duration { return c.SessionTTL + leeway + time.Second }

// oneLife lets a session end when its first refresh token does.
func oneLife(c *lessons.Settings) { c.SessionTTL = c.RefreshTTL }

// A stored is what is in a database, to look for something in.
type stored []mockdb.Table

// holds tells in which table the secret is, as it is or in a usual spelling.
func (s stored) holds(secret string) (string, bool) {
	forms := [][]byte{[]byte(secret)}
	for _, raw := range decoded(secret) {
		forms = append(forms, raw, []byte(hex.EncodeToString(raw)), []byte(strings.ToUpper(hex.EncodeToString(raw))),
			[]byte(base64.RawStdEncoding.EncodeToString(raw)), []byte(base64.RawURLEncoding.EncodeToString(raw)))
	}
	plain := []byte(secret)
	forms = append(forms, []byte(hex.EncodeToString(plain)), []byte(base64.RawStdEncoding.EncodeToString(plain)), []byte(base64.RawURLEncoding.EncodeToString(plain)))
	for _, table := range s {
		for _, row := range table.Rows {
			for _, cell := range row {
				for _, form := range forms {
					if bytes.Contains(cell, form) {
						return table.Name, true
					}
				}
			}
		}
	}
	return "", false
}

// decoded are the bytes that a text may stand for.
func decoded(text string) (all [][]byte) {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.RawURLEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.StdEncoding.DecodeString,
		base32.StdEncoding.DecodeString, base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString,
	} {
		if raw, err := decode(text); err == nil && len(raw) >= 8 {
			all = append(all, raw)
		}
	}
	return all
}

// holdsToken tells in which table a token is, so that a reader could put it
// together. Of one that has several parts, such as a name and a secret, all parts
// must be there.
func (s stored) holdsToken(token string) (string, bool) {
	where := ""
	for _, part := range strings.FieldsFunc(token, func(r rune) bool { return strings.ContainsRune(".:|~ ", r) }) {
		table, there := s.holds(part)
		if !there {
			return "", false
		}
		where = table
	}
	return where, where != ""
}

// token68 is what may stand in an Authorization header (RFC 9110 §11.2), long enough
// to be a token or the hash of one.
var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/:|-]{16,}=*$`)

// maxTexts bounds how many values of a database are tried as a token.
const maxTexts = 64

// texts are the values that could be sent as a token, each once: as they are, and
// bytes in hex and in base64url.
func (s stored) texts() []string {
	seen := map[string]bool{}
	for _, table := range s {
		for _, row := range table.Rows {
			for _, cell := range row {
				forms := []string{string(cell)}
				if !utf8.Valid(cell) {
					forms = []string{hex.EncodeToString(cell), base64.RawURLEncoding.EncodeToString(cell)}
				}
				for _, form := range forms {
					if token68.MatchString(form) && len(seen) < maxTexts {
						seen[form] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// rows is how many rows each table has.
func (s stored) rows() map[string]int {
	n := map[string]int{}
	for _, table := range s {
		n[table.Name] = len(table.Rows)
	}
	return n
}

// faults are in which ways a database fails.
var faults = []mockdb.Fault{mockdb.Gone, mockdb.Locked, mockdb.Full}

// few rows are no growth, whatever they are.
const few = 4

// maxStatements bounds how many statements a login or a refresh may take.
const maxStatements = 40

func database() []grade.Step {
	return []grade.Step{
		{
			ID: "newcomer-can-log-in", Task: 1, Needs: []string{"login-returns-both-tokens"},
			Title: "Who is put into the table users can log in at once, and who is deleted cannot",
			Why:   "A server that keeps a copy of the users goes by what was true when it was started.",
			Ref:   "OWASP ASVS 5.0 §7.4.2 (end all sessions of a deleted user)",
			Check: func(t require.TestingT, s *subject.Session) {
				u, goes := s.Newcomer(t), s.Newcomer(t)
				own(t, s.Get(t, "/profile", subject.Bearer(s.LoginBoth(t, u).Access)), u)
				noLogin(t, s, subject.User{Username: u.Username, Password: goes.Password}, "a user of the table logs in with another one's password")
				if s.Controlled() {
					early := subject.User{Username: "early-" + u.Username, Password: u.Password}
					noLogin(t, s, early, "somebody logs in who is not in the table yet")
					early = s.AddRow(t, early.Username, early.Password)
					own(t, s.Get(t, "/profile", subject.Bearer(s.LoginBoth(t, early).Access)), early)
				}
				s.NeedsDeletion()
				tokens := s.LoginBoth(t, goes)
				s.DeleteUser(t, goes)
				noLogin(t, s, goes, "a user who was deleted from the table can log in")
				gone(t, s, tokens, "of a user who was deleted from the table")
				alive(t, s, s.LoginBoth(t, u))
			},
		},
		{
			ID: "quotes-in-a-login-are-harmless", Task: 1, Needs: []string{"newcomer-can-log-in"},
			Title: "SQL in a username or a password is a username or a password",
			Why:   "A name that is pasted into a statement is a part of the statement. ' OR 1=1 -- is then a login without a password.",
			Ref:   "CWE-89 (SQL injection), OWASP ASVS 5.0 §1.2.4 (parameterized queries)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				s.LoginBoth(t, u)
				for _, word := range sqlWords {
					for _, name := range []string{word, u.Username + word, u.Username + "' --" + word} {
						noLogin(t, s, subject.User{Username: name, Password: u.Password}, "a username with SQL in it is neither refused nor a bad request")
					}
					noLogin(t, s, subject.User{Username: u.Username, Password: word}, "a password with SQL in it is neither refused nor a bad request")
				}
				s.LoginBoth(t, u)
				if s.Controlled() {
					for _, name := range []string{`o'hara`, `x"; DROP TABLE users; --`, `50%_off\`, `x' OR '1'='1' OR 'x`, `%`} {
						named := s.AddRow(t, name+u.Username, u.Password)
						stays, tokens := s.LoginBoth(t, u), rotated(t, s, s.LoginBoth(t, named))
						own(t, s.Get(t, "/profile", subject.Bearer(tokens.Access)), named)
						logsOut(t, s, "/logout-all", tokens.Access, "a user with such a name cannot log out everywhere")
						gone(t, s, tokens, "after /logout-all of a user with such a name")
						alive(t, s, stays)
					}
				}
			},
		},
		{
			ID: "odd-characters-are-no-error", Task: 1, Needs: []string{"newcomer-can-log-in"},
			Title: "Whatever characters a name has, the answer is 401 or 400",
			Why:   "PostgreSQL takes no NUL byte in a text, LIKE has signs that stand for others, and what one database forgives is a 500 on the other.",
			Ref:   "OWASP ASVS 5.0 §16.5.1 (a generic message on an unexpected error), CWE-158 (neutralization of NUL)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				s.LoginBoth(t, u)
				for _, word := range oddWords {
					for _, name := range []string{word, u.Username + word, "%" + u.Username[1:], "_" + u.Username[1:]} {
						noLogin(t, s, subject.User{Username: name, Password: u.Password}, "a login with a strange name is neither refused nor a bad request")
					}
					noLogin(t, s, subject.User{Username: u.Username, Password: u.Password + word}, "a login with a strange password is neither refused nor a bad request")
				}
				s.LoginBoth(t, u)
			},
		},
		{
			ID: "sessions-survive-a-restart", Task: 2, Needs: []string{"newcomer-can-log-in"},
			Title: "After a restart, access tokens and refresh tokens work as before",
			Why:   "What is kept in a variable is gone with the process: each deployment logs everybody out.",
			Ref:   "The Twelve-Factor App, VI. Processes (stateless, share-nothing)",
			Check: func(t require.TestingT, s *subject.Session) {
				first, second := s.LoginBoth(t, s.Newcomer(t)), rotated(t, s, s.LoginBoth(t, s.Newcomer(t)))
				s = s.Restart(t)
				for _, tokens := range []subject.Tokens{first, second} {
					opens(t, s, tokens.Access)
					alive(t, s, rotated(t, s, tokens))
				}
			},
		},
		{
			ID: "end-of-a-session-survives-a-restart", Task: 2, Needs: []string{"sessions-survive-a-restart"},
			Title: "A session that was logged out stays so after a restart, and a used refresh token stays used",
			Why:   "A list of the dead that is kept in memory is empty after a restart, and the dead are back.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				out, everywhere, stolen, stays := s.LoginBoth(t, u), s.LoginBoth(t, s.Newcomer(t)), s.LoginBoth(t, u), s.LoginBoth(t, u)
				logsOut(t, s, "/logout", out.Access, "a logout with a good access token is refused")
				logsOut(t, s, "/logout-all", everywhere.Access, "a logout-all with a good access token is refused")
				next := rotated(t, s, stolen)
				s = s.Restart(t)
				gone(t, s, out, "of a session that was logged out before a restart")
				gone(t, s, everywhere, "after /logout-all and a restart")
				noRefresh(t, s, "a refresh token works again after a restart", subject.Bearer(stolen.Refresh))
				noRefresh(t, s, "a session goes on although one of its refresh tokens was used before a restart and again after it", subject.Bearer(next.Refresh))
				alive(t, s, stays)
			},
		},
		{
			ID: "two-servers-share-sessions", Task: 2, Needs: []string{"sessions-survive-a-restart"},
			Title: "Two servers on one database take each other's tokens",
			Why:   "Behind a load balancer each request may come to another process. A session that one of them keeps for itself is there every other time.",
			Ref:   "The Twelve-Factor App, VI. Processes (sticky sessions are a violation)",
			Check: func(t require.TestingT, s *subject.Session) {
				other := s.Another(t)
				u := s.Newcomer(t)
				tokens := s.LoginBoth(t, u)
				opens(t, s, tokens.Access)
				own(t, other.Get(t, "/profile", subject.Bearer(tokens.Access)), u)
				for range 2 {
					tokens = rotated(t, other, tokens)
					opens(t, s, tokens.Access)
					tokens = rotated(t, s, tokens)
					opens(t, other, tokens.Access)
				}
				alive(t, s, other.LoginBoth(t, u))
			},
		},
		{
			ID: "logout-counts-on-every-server", Task: 2, Needs: []string{"two-servers-share-sessions"},
			Title: "A logout on one server ends the session on the other, at once",
			Why:   "A server that remembers for a while who is logged in lets in who has just left elsewhere.",
			Ref:   "OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				other := s.Another(t)
				u, second := s.Newcomer(t), s.Newcomer(t)
				phone, laptop, theirs := s.LoginBoth(t, u), other.LoginBoth(t, u), s.LoginBoth(t, second)
				for _, one := range []*subject.Session{s, other} { // each has seen them all
					opens(t, one, phone.Access)
					opens(t, one, laptop.Access)
				}
				logsOut(t, other, "/logout", phone.Access, "a logout on another server than that of the login is refused")
				gone(t, s, phone, "that was logged out on another server")
				opens(t, s, laptop.Access)
				logsOut(t, s, "/logout-all", laptop.Access, "a logout-all with a good access token is refused")
				gone(t, other, laptop, "after /logout-all on another server")
				alive(t, other, theirs)
				s.NeedsDeletion()
				tokens := other.LoginBoth(t, u)
				opens(t, s, tokens.Access)
				s.DeleteUser(t, u)
				gone(t, other, tokens, "of a user who was deleted")
			},
		},
		{
			ID: "ended-session-stays-ended", Task: 2, Needs: []string{"newcomer-can-log-in"},
			Title: "A session that has ended does not come back with the next login, of whomever",
			Why:   "Who deletes the row of a session and lets the database count gives its number away again: SQLite's INTEGER PRIMARY KEY takes the highest one plus one. The old token then belongs to the new session.",
			Ref:   "SQLite, ROWIDs and the INTEGER PRIMARY KEY (AUTOINCREMENT prevents the reuse), OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				u, second := s.Newcomer(t), s.Newcomer(t)
				for _, path := range []string{"/logout", "/logout-all"} {
					for _, next := range []subject.User{u, second} {
						old := s.LoginBoth(t, u) // the newest of all
						opens(t, s, old.Access)
						logsOut(t, s, path, old.Access, "a logout with a good access token is refused")
						begun := alive(t, s, s.LoginBoth(t, next))
						gone(t, s, old, "of a session that was logged out, after the next login")
						alive(t, s, begun)
					}
				}
			},
		},
		{
			ID: "old-name-brings-no-old-session", Task: 2, Needs: []string{"newcomer-can-log-in"},
			Title: "Who gets the name of a deleted user gets none of their sessions",
			Why:   "Names are given again, in companies and in forums. Sessions that are found by name are then somebody else's.",
			Ref:   "OWASP ASVS 5.0 §7.4.2 (end all sessions of a deleted user), OIDC Core 1.0 §5.7 (claim stability)",
			Check: func(t require.TestingT, s *subject.Session) {
				s.NeedsDeletion()
				u := s.Newcomer(t)
				old := s.LoginBoth(t, u)
				opens(t, s, old.Access)
				s.DeleteUser(t, u)
				next := s.AddRow(t, u.Username, "another-"+u.Password)
				gone(t, s, old, "of a deleted user, to whoever has the name now")
				own(t, s.Get(t, "/profile", subject.Bearer(alive(t, s, s.LoginBoth(t, next)).Access)), next)
				gone(t, s, old, "of a deleted user, to whoever has the name now")
			},
		},
		{
			ID: "refresh-token-cannot-be-guessed", Task: 3, Needs: []string{"newcomer-can-log-in"},
			Title: "A refresh token has more random bits than anybody can guess",
			Why:   "A number that counts up, or the time of day, is guessed by whoever has one of their own. A UUID of version 4 has 122 random bits, which is less than the standard wants.",
			Ref:   "RFC 6749 §10.10 (credentials-guessing attacks: at most 2⁻¹²⁸)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				var tokens []string
				for range 24 {
					tokens = append(tokens, s.LoginBoth(t, u).Refresh.Raw)
				}
				for range 8 {
					tokens = append(tokens, rotated(t, s, s.LoginBoth(t, u)).Refresh.Raw)
				}
				// Letters that count in either case are guessed sooner, and there are others than
				// the right token that do. In hexadecimal it may be so.
				for part := range strings.Count(tokens[0], ".") + 1 {
					one := s.LoginBoth(t, u)
					if changed, ok := inOtherCase(one.Refresh.Raw, part); ok {
						noRefresh(t, s, "/refresh takes a refresh token whose letters are in the other case", subject.Bearer(forged(changed, "with capital letters for small ones, and the other way round")))
					}
				}
				if s.Controlled() { // the generator of another server begins anew, and so does one that was given a seed
					s.Replace(t, nil)
					u := s.Newcomer(t)
					for range 8 {
						if again := s.LoginBoth(t, u).Refresh.Raw; slices.Contains(tokens, again) {
							s.Fail(t, "another server gives the same refresh tokens", "random bytes of crypto/rand", again+" in both")
						}
					}
				}
				if got := bits(tokens); got < minBits {
					s.Fail(t, "refresh tokens differ from each other in too little", fmt.Sprintf("%d random bits or more", minBits), fmt.Sprintf("%.0f at most: %s", got, tokens[0]))
				}
			},
		},
		{
			ID: "database-holds-no-token", Task: 3, Needs: []string{"sessions-survive-a-restart"},
			Title: "In no table is there a token or a password that could be used",
			Why:   "A backup goes to more places than its database: whoever reads one would be logged in as everybody.",
			Ref:   "RFC 6819 §5.1.4.1.3 (no cleartext storage of credentials), OWASP ASVS 5.0 §11.4 (hashing and hash-based functions)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				tokens := s.LoginBoth(t, u)
				line := []subject.Tokens{tokens, rotated(t, s, tokens)}
				line = append(line, rotated(t, s, line[1]))
				dump := stored(s.Tables(t))
				for i, tokens := range line {
					for what, token := range map[string]string{"a refresh token": tokens.Refresh.Raw, "an access token": tokens.Access.Raw} {
						if i < 2 && what == "a refresh token" {
							what = "a used refresh token"
						}
						if table, there := dump.holdsToken(token); there {
							s.Fail(t, what+" can be read in the table "+table, "a hash of it, or nothing", token)
						}
					}
				}
				if table, there := dump.holds(u.Password); there {
					s.Fail(t, "a password can be read in the table "+table, "no password in any table", "the password of "+u.Username)
				}
				for _, found := range dump.texts() {
					noRefresh(t, s, "what is stored in the database is taken for a refresh token", subject.Bearer(forged(found, "a value from one of your tables")))
				}
				alive(t, s, line[2])
			},
		},
		{
			ID: "quotes-in-a-refresh-token-are-harmless", Task: 3, Needs: []string{"newcomer-can-log-in"},
			Title: "SQL in a refresh token is refused as any wrong token is",
			Why:   "What looks like a token comes from outside like everything else.",
			Ref:   "CWE-89 (SQL injection), OWASP ASVS 5.0 §1.2.4 (parameterized queries)",
			Check: func(t require.TestingT, s *subject.Session) {
				tokens := rotated(t, s, s.LoginBoth(t, s.Newcomer(t)))
				raw := tokens.Refresh.Raw
				for _, word := range sqlWords {
					odd := []string{word, raw + word, word + raw}
					if at := strings.LastIndexAny(raw, ".:|~"); at > 0 {
						odd = append(odd, raw[:at]+word+raw[at:], word+raw[at:], raw[:at+1]+word)
					}
					for _, o := range odd {
						noRefresh(t, s, "/refresh takes a token with SQL in it", subject.Bearer(forged(o, "with SQL in it")))
					}
				}
				alive(t, s, tokens)
			},
		},
		{
			ID: "replay-is-seen-on-every-server", Task: 4, Needs: []string{"two-servers-share-sessions"},
			Title: "A refresh token that was used at one server and comes again at the other ends its session",
			Why:   "The thief need not come to the server that the owner came to.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Check: func(t require.TestingT, s *subject.Session) {
				other := s.Another(t)
				u := s.Newcomer(t)
				for _, at := range [][2]*subject.Session{{s, other}, {other, s}} {
					first, stays := s.LoginBoth(t, u), s.LoginBoth(t, u)
					second := rotated(t, at[0], first)
					third := rotated(t, at[1], second)
					noRefresh(t, at[1], "a refresh token works a second time, at another server", subject.Bearer(first.Refresh))
					noRefresh(t, at[0], "a session goes on after one of its refresh tokens was used twice, at two servers", subject.Bearer(third.Refresh))
					alive(t, at[0], stays)
				}
			},
		},
		{
			ID: "one-winner-across-two-servers", Task: 4, Needs: []string{"two-servers-share-sessions"},
			Title: "Of twenty refreshes at once at two servers, one succeeds at most, and none is a 5xx",
			Why:   "A lock in one process keeps out the requests of that process. Only the database sees all of them.",
			Ref:   "CWE-367 (time-of-check to time-of-use race), RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Check: func(t require.TestingT, s *subject.Session) {
				servers := []*subject.Session{s, s.Another(t)}
				u := s.Newcomer(t)
				for range 5 {
					tokens := s.LoginBoth(t, u)
					requests := make([]subject.At, 20)
					for i := range requests {
						requests[i] = subject.At{Server: servers[i%2], Request: subject.Request(http.MethodPost, "/refresh", subject.Bearer(tokens.Refresh))}
					}
					won := 0
					s.Slow(t, true)
					answers := s.Everywhere(t, requests)
					s.Slow(t, false)
					for _, a := range answers {
						if a.Status == http.StatusOK {
							won++
						} else if a.Status < 400 || a.Status >= 500 {
							a.Is(t, http.StatusUnauthorized, "a refresh token that is used twice at once is not refused as such")
						}
					}
					if won > 1 {
						s.Fail(t, "one refresh token worked several times at once, at two servers", "one 200 at most", fmt.Sprintf("%d", won))
					}
				}
				rotated(t, s, s.LoginBoth(t, u))
			},
		},
		{
			ID: "refresh-brings-no-session-back", Task: 4, Needs: []string{"logout-counts-on-every-server"},
			Title: "A refresh that is under way does not undo a logout",
			Why:   "Who reads the row of a session, changes it and writes all of it back writes what it said before the logout. That the token was rotated in one statement does not help.",
			Ref:   "CWE-367 (time-of-check to time-of-use race), OWASP ASVS 5.0 §7.4.1 (logout disallows further use of the session)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				var all []subject.Tokens
				for range 25 { // one by one: what happens to a crowd at the login is another step's affair
					all = append(all, s.LoginBoth(t, u))
				}
				logoutWins(t, s, "/logout", all)
			},
		},
		{
			ID: "lock-is-waited-for", Task: 4, Needs: []string{"sessions-survive-a-restart"},
			Title: "While somebody else writes, a request waits and then succeeds",
			Why:   "SQLite has one writer at a time. Who reads first and wants to write later in one transaction is turned away at once when somebody has written in between, however long he is ready to wait.",
			Ref:   "SQLite, Transactions §2.1 (read transactions versus write transactions: SQLITE_BUSY_SNAPSHOT)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				tokens := s.LoginBoth(t, u)
				s.Lock(t)
				tokens = rotated(t, s, tokens)
				s.Lock(t)
				s.LoginBoth(t, u)
				s.Lock(t)
				logsOut(t, s, "/logout", tokens.Access, "a logout is refused while somebody else writes")
				gone(t, s, tokens, "that was logged out while somebody else wrote")
				tokens = s.LoginBoth(t, u)
				s.Lock(t)
				logsOut(t, s, "/logout-all", tokens.Access, "a logout-all is refused while somebody else writes")
				gone(t, s, tokens, "after a /logout-all while somebody else wrote")
			},
		},
		{
			ID: "failing-database-is-a-5xx", Task: 5, Needs: []string{"sessions-survive-a-restart"},
			Title: "While the database fails, the answer is a 5xx, and afterwards all is as before",
			Why:   "\"Your token is not valid\" is a statement about the token. A client believes it, throws the token away, and an outage of a minute has logged everybody out.",
			Ref:   "RFC 9110 §15.6 (server error 5xx), RFC 6750 §3.1 (invalid_token)",
			Check: func(t require.TestingT, s *subject.Session) {
				u, second := s.Newcomer(t), s.Newcomer(t)
				tokens := s.LoginBoth(t, u)
				for _, fault := range faults {
					out, everywhere := s.LoginBoth(t, u), s.LoginBoth(t, second)
					opens(t, s, tokens.Access)
					asked := []probe.Request{
						subject.Request(http.MethodPost, "/refresh", subject.Bearer(tokens.Refresh)),
						subject.Request(http.MethodPost, "/logout", subject.Bearer(out.Access)),
						subject.Request(http.MethodPost, "/logout-all", subject.Bearer(everywhere.Access)),
					}
					if fault == mockdb.Gone { // who reads meets neither a lock nor a full disk
						for _, door := range doors {
							asked = append(asked, subject.Request(http.MethodGet, door, subject.Bearer(tokens.Access)))
						}
					}
					s.Disturb(t, mockdb.Disturbance{Fault: fault})
					for _, r := range asked {
						if a := s.Do(t, r); a.Status < 500 {
							s.Fail(t, fmt.Sprintf("%s %s is answered as if the database were well, which is %s", r.Method, r.Path, fault), "500 or 503", a.Summary())
						}
					}
					back := s.Post(t, "/login", u.Credentials())
					s.Disturb(t, mockdb.Disturbance{})
					if back.Status == http.StatusOK { // then it must be as good as any
						alive(t, s, subject.Tokens{User: u, Access: forged(back.Text("access_token"), "what /login gave"), Refresh: forged(back.Text("refresh_token"), "what /login gave")})
					} else if back.Status < 500 {
						s.Fail(t, fmt.Sprintf("POST /login is answered as if the database were well, which is %s", fault), "500 or 503", back.Summary())
					}
					tokens = alive(t, s, tokens)
					// And a login whose first statements still succeed.
					for well := 1; ; well++ {
						s.Disturb(t, mockdb.Disturbance{Fault: fault, After: well})
						a := s.Post(t, "/login", u.Credentials())
						s.Disturb(t, mockdb.Disturbance{})
						how := fmt.Sprintf("where the database is %s after %d statements of it", fault, well)
						if a.Status == http.StatusOK {
							alive(t, s, subject.Tokens{User: u, Access: forged(a.Text("access_token"), "what /login gave "+how), Refresh: forged(a.Text("refresh_token"), "what /login gave "+how)})
							break
						}
						if a.Status < 500 || well >= maxStatements {
							s.Fail(t, "a login is refused, or takes too many statements, "+how, "500 or 503", a.Summary())
						}
					}
					// And one that has ended some sessions before the database failed.
					for well := 1; ; well++ {
						third := s.Newcomer(t) // it may take a statement for each session
						phone, desk := s.LoginBoth(t, third), s.LoginBoth(t, third)
						s.Disturb(t, mockdb.Disturbance{Fault: fault, After: well})
						a := s.Post(t, "/logout-all", subject.Bearer(desk.Access))
						s.Disturb(t, mockdb.Disturbance{})
						how := fmt.Sprintf("where the database is %s after %d statements of it", fault, well)
						if a.Status < 500 {
							a.Is(t, http.StatusNoContent, "a logout-all is refused "+how, http.StatusOK, http.StatusSeeOther)
							gone(t, s, desk, "after a /logout-all that succeeded "+how)
							gone(t, s, phone, "after a /logout-all that succeeded "+how)
							break
						}
						if well >= maxStatements {
							s.Fail(t, fmt.Sprintf("a logout-all takes more than %d statements", maxStatements), "a handful", "more")
						}
					}
					logsOut(t, s, "/logout", out.Access, "a logout is refused once the database is back")
					gone(t, s, out, "that was logged out once the database was back")
				}
				s.LoginBoth(t, u)
			},
		},
		{
			ID: "failing-refresh-loses-nothing", Task: 5, Needs: []string{"failing-database-is-a-5xx"},
			Title: "A refresh that fails half-way has done nothing",
			Why:   "The old token used up and the new one not stored: the user is out. The new one stored and the old one alive: there are two.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation), PostgreSQL manual §3.4 (transactions)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				for _, fault := range faults {
					for well := 0; ; well++ {
						tokens := s.LoginBoth(t, u)
						s.Disturb(t, mockdb.Disturbance{Fault: fault, After: well})
						a := s.Post(t, "/refresh", subject.Bearer(tokens.Refresh))
						s.Disturb(t, mockdb.Disturbance{})
						how := fmt.Sprintf("where the database is %s after %d statements of a refresh", fault, well)
						if a.Status == http.StatusOK {
							alive(t, s, subject.Tokens{User: u, Access: forged(a.Text("access_token"), "what /refresh gave "+how), Refresh: forged(a.Text("refresh_token"), "what /refresh gave "+how)})
							noRefresh(t, s, "the old refresh token is alive as well as the new one "+how, subject.Bearer(tokens.Refresh))
							break
						}
						if a.Status < 500 {
							s.Fail(t, "a refresh is refused "+how, "500 or 503", a.Summary())
						}
						if well >= maxStatements {
							s.Fail(t, fmt.Sprintf("a refresh takes more than %d statements", maxStatements), "a handful", "more")
						}
						again := s.Post(t, "/refresh", subject.Bearer(tokens.Refresh)).
							Is(t, http.StatusOK, "a refresh token is lost "+how)
						alive(t, s, subject.Tokens{User: u, Access: forged(again.Text("access_token"), "the access token of the second try"), Refresh: forged(again.Text("refresh_token"), "the refresh token of the second try")})
					}
					// That a token comes twice is something to be stored, too.
					for well := 0; ; well++ {
						used := s.LoginBoth(t, u)
						next := rotated(t, s, used)
						s.Disturb(t, mockdb.Disturbance{Fault: fault, After: well})
						a := s.Post(t, "/refresh", subject.Bearer(used.Refresh))
						s.Disturb(t, mockdb.Disturbance{})
						if a.Status < 500 {
							how := fmt.Sprintf("where the database is %s after %d statements of the second refresh", fault, well)
							a.Refused(t, "a refresh token works twice "+how)
							noRefresh(t, s, "a session goes on although one of its refresh tokens was used twice, and the second was refused, "+how, subject.Bearer(next.Refresh))
							break
						}
						if well >= maxStatements {
							s.Fail(t, fmt.Sprintf("a refusal takes more than %d statements", maxStatements), "a handful", "more")
						}
						alive(t, s, next)
					}
				}
			},
		},
		{
			ID: "failure-is-logged", Task: 5, Needs: []string{"failing-database-is-a-5xx"},
			Title: "The log says that the database failed, and holds no token and no password",
			Why:   "The client may not know what is wrong, but whoever is called at night must. The log is read by more people than the database.",
			Ref:   "OWASP ASVS 5.0 §16.2.5 (no credentials in logs) and §16.3.4 (unexpected errors are logged)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				tokens := s.LoginBoth(t, u)
				for _, fault := range faults {
					requests := []probe.Request{
						subject.Request(http.MethodPost, "/refresh", subject.Bearer(tokens.Refresh)),
						subject.Request(http.MethodPost, "/login", u.Credentials()),
					}
					for _, door := range doors { // another handler, and perhaps another way to fail
						requests = append(requests, subject.Request(http.MethodGet, door, subject.Bearer(tokens.Access)))
					}
					for _, r := range requests {
						before := s.Warned(t)
						s.Disturb(t, mockdb.Disturbance{Fault: fault})
						a := s.Do(t, r)
						said := strings.TrimPrefix(s.Warned(t), before)
						s.Disturb(t, mockdb.Disturbance{})
						if a.Status >= 500 && !strings.Contains(strings.ToLower(said), sayings[fault]) && !logsCode(said) {
							s.Fail(t, fmt.Sprintf("the database is %s, %s %s is answered %d, and the log does not say what the database said", fault, r.Method, r.Path, a.Status), "a line in cfg.Log with the database's error", lastLine(said))
						}
					}
				}
				// And what is written when all is well, or when only the request is wrong: a
				// token that comes to the wrong door is as good as before.
				next := alive(t, s, tokens)
				stayShut(t, s, next.Refresh, "a refresh token opens %s")
				noRefresh(t, s, "/refresh takes an access token", subject.Bearer(next.Access))
				logsOut(t, s, "/logout", s.LoginBoth(t, u).Access, "a logout with a good access token is refused")
				log := s.Logged(t)
				for what, secret := range map[string]string{
					"a refresh token": tokens.Refresh.Raw, "the refresh token of a /refresh": next.Refresh.Raw,
					"an access token": tokens.Access.Raw, "the access token of a /refresh": next.Access.Raw, "a password": u.Password,
				} {
					if strings.Contains(log, secret) {
						s.Fail(t, what+" is in the log", "no credential in any line", what)
					}
				}
				for _, hash := range s.Hashes() {
					if strings.Contains(log, hash) {
						s.Fail(t, "the hash of a password is in the log", "no credential in any line", "a hash")
					}
				}
				alive(t, s, next)
			},
		},
		{
			ID: "expiry-holds-in-every-time-zone", Task: 6, Needs: []string{"two-servers-share-sessions"},
			Title: "A moment is the same moment in every time zone, and when summer time ends",
			Why:   "\"2026-10-25 02:10\" comes before \"2026-10-25 02:30\" for whoever compares the words, and in the night when summer time ends that can be wrong. Two servers need not even be in one zone.",
			Ref:   "RFC 3339 §5.1 (ordering: only in the same time zone), RFC 7519 §2 (NumericDate)",
			Set:   oneLife,
			Takes: ended,
			Check: func(t require.TestingT, s *subject.Session) {
				other := s.Another(t)
				u := s.Newcomer(t)
				s.Travel(t, 13*time.Hour)
				other.Travel(t, -11*time.Hour)
				var east, west []subject.Tokens
				for range 2 {
					east, west = append(east, s.LoginBoth(t, u)), append(west, other.LoginBoth(t, u))
				}
				s.Travel(t, 2*time.Hour) // and where summer time ends
				summer := []subject.Tokens{s.LoginBoth(t, u), s.LoginBoth(t, u)}
				s.Travel(t, time.Hour)
				for _, one := range []struct {
					at     *subject.Session
					tokens []subject.Tokens
				}{{other, east}, {s, west}, {s, summer}} {
					opens(t, one.at, one.tokens[0].Access)
				}
				s.Travel(t, 13*time.Hour)
				s.Advance(t, beforeRefresh(s.Settings))
				s.Post(t, "/refresh", subject.Bearer(west[0].Refresh)).Is(t, http.StatusOK, "a refresh token is refused before its time, at a server 24 hours to the east")
				other.Post(t, "/refresh", subject.Bearer(east[0].Refresh)).Is(t, http.StatusOK, "a refresh token is refused before its time, at a server 24 hours to the west")
				s.Travel(t, time.Hour)
				s.Post(t, "/refresh", subject.Bearer(summer[0].Refresh)).Is(t, http.StatusOK, "a refresh token of the summer is refused before its time")
				s.Advance(t, ended(s.Settings)-beforeRefresh(s.Settings))
				noRefresh(t, s, "/refresh takes a refresh token of the summer after its time", subject.Bearer(summer[1].Refresh))
				noRefresh(t, other, "/refresh takes a refresh token after its time, at a server to the west", subject.Bearer(east[1].Refresh))
				s.Travel(t, 13*time.Hour)
				noRefresh(t, s, "/refresh takes a refresh token after its time, at a server to the east", subject.Bearer(west[1].Refresh))
				alive(t, other, s.LoginBoth(t, u))
			},
		},
		{
			ID: "expired-rows-are-pruned", Task: 6, Needs: []string{"sessions-survive-a-restart"},
			Title: "What has expired is forgotten: the tables do not grow for ever",
			Why:   "A row for each login and each refresh is millions a year, in each query and each backup.",
			Ref:   "OWASP ASVS 5.0 §14.2.7 (outdated data is deleted)",
			Set:   oneLife,
			Takes: func(c lessons.Settings) time.Duration { return 2 * ended(c) },
			Check: func(t require.TestingT, s *subject.Session) {
				busy := func() map[string]int {
					for i := range 6 {
						u := s.Newcomer(t) // whoever had the sessions before may never come again
						tokens := rotated(t, s, rotated(t, s, s.LoginBoth(t, u)))
						if i%2 == 0 {
							logsOut(t, s, "/logout", tokens.Access, "a logout with a good access token is refused")
						}
					}
					return stored(s.Tables(t)).rows()
				}
				first := busy()
				s.Advance(t, ended(s.Settings))
				busy()
				s.Advance(t, ended(s.Settings))
				// Table by table: one that grows is not made up for by one that does not.
				for table, rows := range busy() {
					if was := first[table]; rows > max(was*3/2, few) {
						s.Fail(t, "rows of sessions that ended long ago are still there after many a login", fmt.Sprintf("about %d rows in the table %s", was, table), fmt.Sprintf("%d", rows))
					}
				}
				alive(t, s, s.LoginBoth(t, s.Newcomer(t)))
			},
		},
		{
			ID: "living-session-is-not-pruned", Task: 6, Needs: []string{"sessions-survive-a-restart"},
			Title: "A session that is refreshed in time lives until its end, however many others log in meanwhile",
			Why:   "Who deletes sessions by when they began, or by the end of their first token, logs out those who are busy.",
			Ref:   "RFC 9700 §4.14.2 (refresh token protection), OWASP ASVS 5.0 §7.3.2 (absolute maximum session lifetime)",
			Set:   shortSessions,
			Takes: func(c lessons.Settings) time.Duration { return c.SessionTTL - 2*time.Second },
			Check: func(t require.TestingT, s *subject.Session) {
				tokens, other := s.LoginBoth(t, s.Newcomer(t)), s.Newcomer(t)
				pauses := chain(s.Settings)
				for _, pause := range pauses[:len(pauses)-1] {
					s.Advance(t, pause)
					rotated(t, s, s.LoginBoth(t, other))
					tokens = rotated(t, s, tokens)
				}
				opens(t, s, tokens.Access)
			},
		},
		{
			ID: "replay-is-known-until-the-end", Task: 6, Needs: []string{"newcomer-can-log-in"},
			Title: "A used refresh token is known for as long as it would have lived",
			Why:   "Who deletes used tokens to save rows no longer knows a stolen one when it comes: it is one among all that never were.",
			Ref:   "RFC 9700 §4.14.2 (recommendations: refresh token rotation)",
			Set:   oneLife,
			Takes: beforeRefresh,
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Newcomer(t)
				first := s.LoginBoth(t, u)
				soon := rotated(t, s, first)
				for range 3 { // each of them may tidy up
					rotated(t, s, s.LoginBoth(t, u))
				}
				noRefresh(t, s, "a refresh token works twice", subject.Bearer(first.Refresh))
				noRefresh(t, s, "a session goes on after one of its refresh tokens was used again, and others logged in meanwhile", subject.Bearer(soon.Refresh))

				first = s.LoginBoth(t, u)
				late := rotated(t, s, first)
				stays := s.LoginBoth(t, u)
				for _, pause := range []time.Duration{betweenLives(s.Settings), beforeRefresh(s.Settings) - betweenLives(s.Settings)} {
					s.Advance(t, pause)
					rotated(t, s, s.LoginBoth(t, s.Newcomer(t)))
				}
				noRefresh(t, s, "a refresh token works twice", subject.Bearer(first.Refresh))
				noRefresh(t, s, "a session goes on after one of its refresh tokens was used again shortly before its end", subject.Bearer(late.Refresh))
				rotated(t, s, stays)
			},
		},
	}
}

// sayings are a word of what either database says.
var sayings = map[mockdb.Fault]string{mockdb.Gone: "open", mockdb.Locked: "lock", mockdb.Full: "full"}

// logsCode tells whether a line has a code of PostgreSQL's.
func logsCode(said string) bool {
	for _, code := range []string{"55P03", "53100", "57P01"} {
		if strings.Contains(said, code) {
			return true
		}
	}
	return false
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return "nothing"
}

// inOtherCase turns the case of the letters in one part of a token, of those that dots
// divide. It is false where the case says nothing: in digits, or letters of one case.
func inOtherCase(raw string, part int) (string, bool) {
	parts := strings.Split(raw, ".")
	if part >= len(parts) || strings.ToLower(parts[part]) == parts[part] || strings.ToUpper(parts[part]) == parts[part] {
		return raw, false
	}
	parts[part] = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return unicode.ToLower(r)
	}, parts[part])
	return strings.Join(parts, "."), true
}
