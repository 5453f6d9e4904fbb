package suites

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

const badLogin = "Bad username or password"

// canLogin is the step without which no other can tell anything.
const canLogin = "login-accepts-the-right-password"

// canLogIn is the control of a refused login: the right one succeeds.
func canLogIn(t require.TestingT, s *subject.Session, u subject.User) {
	s.Post(t, "/login", u.Credentials()).Is(t, http.StatusOK, u.Username+" cannot log in with the right password", http.StatusNoContent)
}

// refusedLogin wants the refusal of a login.
func refusedLogin(t require.TestingT, s *subject.Session, u subject.User, claim string) *subject.Answer {
	a := s.Post(t, "/login", u.Credentials()).Is(t, http.StatusUnauthorized, claim)
	return a.Has(t, "error", badLogin, "a refused login is not answered as it should be")
}

func (c credentials) option() subject.Option { return subject.JSON(map[string]any(c)) }

// loginsAtOnce logs two users in eight times each, all at the same time. The answers
// to the first one's logins have even numbers. Whether a database that they crowd is
// the server's fault, a 5xx, is for lesson 13 to ask.
func loginsAtOnce(t require.TestingT, s *subject.Session, one, other subject.User) []*subject.Answer {
	s.Slow(t, true)
	answers := s.LoginsTogether(t, slices.Repeat([]subject.User{one, other}, 8))
	s.Slow(t, false)
	return answers
}

// credentials are the body of a login that a step gets wrong on purpose.
type credentials map[string]any

func login() []grade.Step {
	return []grade.Step{
		{
			ID: "login-accepts-the-right-password", Task: 1,
			Title: "POST /login with the right password answers 200, in JSON",
			Why:   "Everything in this workshop begins with a server that knows who is talking to it.",
			Ref:   "RFC 9110 §15.3.1 (200 OK)",
			Check: func(t require.TestingT, s *subject.Session) {
				s.Post(t, "/login", s.Cosmo().Credentials()).
					Is(t, http.StatusOK, "cosmo cannot log in with the right password").
					JSONBody(t, "the answer to a login is not JSON")
			},
		},
		{
			ID: "login-returns-id-and-username", Task: 1, Needs: []string{canLogin},
			Title: "The answer says who it was: id and username",
			Why:   "A client that has to remember what name it sent shows the name as it was typed, not as it is.",
			Ref:   "RFC 8259 §4 (JSON objects)",
			Check: func(t require.TestingT, s *subject.Session) {
				a := s.Post(t, "/login", s.Cosmo().Credentials()).Is(t, http.StatusOK, "cosmo cannot log in with the right password")
				a.Has(t, "id", 1, "the answer to a login has the wrong id")
				a.Has(t, "username", "cosmo", "the answer to a login has the wrong username")
			},
		},
		{
			ID: "login-works-for-every-user", Task: 1, Needs: []string{"login-returns-id-and-username"},
			Title: "Every user of the database can log in, and is told who they are",
			Why:   "A name that is written into the code is the only one that works.",
			Ref:   "RFC 8259 §4 (JSON objects)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				a := s.Post(t, "/login", u.Credentials()).Is(t, http.StatusOK, "somebody who is not cosmo cannot log in")
				a.Has(t, "username", u.Username, "the answer to a login names somebody else")
				if u.ID != 0 {
					a.Has(t, "id", u.ID, "the answer to a login has somebody else's id")
				}
				users := []subject.User{s.Cosmo(), u}
				for i, a := range loginsAtOnce(t, s, users[0], users[1]) {
					if a.Status >= 500 {
						continue
					}
					a.Is(t, http.StatusOK, users[i%2].Username+" cannot log in while others do").
						Has(t, "username", users[i%2].Username, "the answer to a login names somebody else who logged in at the same time")
				}
			},
		},
		{
			ID: "malformed-body-is-a-bad-request", Task: 2, Needs: []string{canLogin},
			Title: "What is no JSON object is answered 400",
			Why:   "A handler that ignores the error goes on with empty strings; one that does not expect it answers 500 and wakes somebody up.",
			Ref:   "RFC 9110 §15.5.1 (400 Bad Request)",
			Check: func(t require.TestingT, s *subject.Session) {
				canLogIn(t, s, s.Cosmo())
				for _, body := range []string{`{"username":`, ``, `null`, `[]`, `"cosmo"`, `42`, `cosmo:space-corgi`,
					`{"username":"cosmo","password":"space-corgi"`, `[{"username":"cosmo","password":"space-corgi"}]`} {
					s.Post(t, "/login", subject.Body(body)).
						Is(t, http.StatusBadRequest, "a body that is no JSON object is not a bad request").
						HasSome(t, "error", "a bad request is not answered in the shape of a login error").
						JSONBody(t, "a bad request is not answered in JSON")
				}
				for _, form := range []subject.Option{
					subject.Form("username=cosmo&password=space-corgi"),
					multipartForm("username", "cosmo", "password", "space-corgi"),
				} {
					s.Post(t, "/login", form).
						Is(t, http.StatusBadRequest, "a form logs in, and any page on the web can send one", http.StatusUnsupportedMediaType)
				}
				inURL := "/login?username=cosmo&password=space-corgi"
				s.Post(t, inURL).Is(t, http.StatusBadRequest, "an empty body and a name and a password in the URL log in", http.StatusUnsupportedMediaType)
				s.Post(t, inURL, subject.Body("")).Is(t, http.StatusBadRequest, "an empty body and a name and a password in the URL log in")
			},
		},
		{
			ID: "missing-field-is-named", Task: 2, Needs: []string{canLogin},
			Title: "A missing field is answered 400 and named",
			Why:   "A missing password that becomes an empty one is a login attempt that nobody made; a client that is not told which field is missing can only guess.",
			Ref:   "OWASP ASVS 5.0 §2.2.1 (input validation)",
			Check: func(t require.TestingT, s *subject.Session) {
				canLogIn(t, s, s.Cosmo())
				badField(t, s, credentials{"username": "cosmo"}, "password", "a login without a password is not refused as such")
				badField(t, s, credentials{"password": "space-corgi"}, "username", "a login without a username is not refused as such")
				badField(t, s, credentials{"username": "laika"}, "password", "a login without a password tells by its answer that nobody has the name")
				a := s.Post(t, "/login", credentials{}.option())
				a.Is(t, http.StatusBadRequest, "an empty object is not a bad request").HasSome(t, "error", "a bad request is not answered in the shape of a login error")
				s.Post(t, "/login?username=cosmo&password=space-corgi", credentials{}.option()).
					Is(t, http.StatusBadRequest, "a name and a password in the URL log in")
				basic := base64.StdEncoding.EncodeToString([]byte("cosmo:space-corgi"))
				s.Post(t, "/login", credentials{}.option(), subject.Header("Authorization", "Basic "+basic)).
					Is(t, http.StatusBadRequest, "a name and a password in the header Authorization log in")
			},
		},
		{
			ID: "empty-field-is-named", Task: 2, Needs: []string{"missing-field-is-named"},
			Title: "An empty field is answered 400 and named",
			Why:   "An LDAP directory takes a name with an empty password for a bind without authentication, and reports success: applications that trusted it let everybody in (RFC 4513 §5.1.2).",
			Ref:   "OWASP ASVS 5.0 §2.2.1 (input validation)",
			Check: func(t require.TestingT, s *subject.Session) {
				canLogIn(t, s, s.Cosmo())
				badField(t, s, credentials{"username": "cosmo", "password": ""}, "password", "an empty password is not refused as such")
				badField(t, s, credentials{"username": "laika", "password": ""}, "password", "an empty password tells by its answer that nobody has the name")
				badField(t, s, credentials{"username": "", "password": "space-corgi"}, "username", "an empty username is not refused as such")
			},
		},
		{
			ID: "mistyped-field-is-named", Task: 2, Needs: []string{"missing-field-is-named"},
			Title: "A field of the wrong type is answered 400 and named",
			Why:   "Loosely typed backends have compared true, 0 or {\"$ne\": \"\"} with a password and found them equal.",
			Ref:   "OWASP ASVS 5.0 §2.2.1 (input validation)",
			Check: func(t require.TestingT, s *subject.Session) {
				canLogIn(t, s, s.Cosmo())
				for _, wrong := range []any{42, true, []string{"space-corgi"}, map[string]string{"$ne": ""}, nil} {
					badField(t, s, credentials{"username": "cosmo", "password": wrong}, "password", "a password that is no string is not refused as such")
					badField(t, s, credentials{"username": wrong, "password": "space-corgi"}, "username", "a username that is no string is not refused as such")
				}
			},
		},
		{
			ID: "oversized-body-is-refused", Task: 2, Needs: []string{canLogin},
			Title: "A body over 1 MiB is answered 413",
			Why:   "A server that reads whatever it is sent can be sent all the memory it has.",
			Ref:   "RFC 9110 §15.5.14 (413 Content Too Large)",
			Check: func(t require.TestingT, s *subject.Session) {
				canLogIn(t, s, s.Cosmo())
				// Spaces, mostly. It is not as long as a body may be: some count a megabyte otherwise.
				all := `{"username":"cosmo","password":"space-corgi"}`
				full := strings.Replace(all, ",", ","+strings.Repeat(" ", 900_000), 1)
				s.Post(t, "/login", subject.Body(full)).Is(t, http.StatusOK, "a body of less than 1 MiB is refused", http.StatusNoContent)
				big := `{"username":"cosmo","password":"` + strings.Repeat("a", 1<<20+64<<10) + `"}`
				r := subject.Request(http.MethodPost, "/login", subject.Body(big))
				s.Do(t, r).Is(t, http.StatusRequestEntityTooLarge, "a body of more than 1 MiB is read")
				r.Stream = true
				s.Do(t, r).Is(t, http.StatusRequestEntityTooLarge, "a body of more than 1 MiB is read where the client does not say its length")
				canLogIn(t, s, s.Cosmo())
			},
		},
		{
			ID: "other-methods-are-not-allowed", Task: 2, Needs: []string{canLogin},
			Title: "/login answers 405 to everything but POST",
			Why:   "A login by GET puts the password into the URL, and so into every log on the way.",
			Ref:   "RFC 9110 §15.5.6 (405 Method Not Allowed)",
			Check: func(t require.TestingT, s *subject.Session) {
				cosmo := s.Cosmo()
				canLogIn(t, s, cosmo)
				for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
					s.Do(t, subject.Request(method, "/login?username=cosmo&password=space-corgi", cosmo.Credentials())).
						Is(t, http.StatusMethodNotAllowed, method+" /login is not refused")
				}
			},
		},
		{
			ID: "wrong-password-is-refused", Task: 3, Needs: []string{canLogin},
			Title: "A wrong password is answered 401",
			Why:   "This is the whole point of a password.",
			Ref:   "RFC 9110 §15.5.2 (401 Unauthorized)",
			Check: func(t require.TestingT, s *subject.Session) {
				cosmo := s.Cosmo()
				canLogIn(t, s, cosmo)
				cosmo.Password = "space-cat"
				refusedLogin(t, s, cosmo, "a wrong password is accepted").JSONBody(t, "a refused login is not answered in JSON")
			},
		},
		{
			ID: "another-users-password-is-refused", Task: 3, Needs: []string{"wrong-password-is-refused"},
			Title: "A password opens its owner's account only",
			Why:   "A password that opens every account is a back door for whoever reads the code. One that is remembered longer than its user opens the account of whoever gets the name next.",
			Ref:   "CWE-798 (use of hard-coded credentials)",
			Check: func(t require.TestingT, s *subject.Session) {
				cosmo, other := s.Cosmo(), s.NewUser(t)
				canLogIn(t, s, cosmo)
				canLogIn(t, s, other)
				claim := "somebody else's password opens the account of "
				refusedLogin(t, s, subject.User{Username: other.Username, Password: cosmo.Password}, claim+other.Username)
				refusedLogin(t, s, subject.User{Username: cosmo.Username, Password: other.Password}, claim+cosmo.Username)
				if !s.Controlled() {
					return // nobody else's user can be deleted
				}
				gone := s.NewUser(t)
				canLogIn(t, s, gone)
				s.DeleteUser(t, gone)
				shutOut(t, s, gone, "a user who no longer exists logs in with the password of old")
				comes := s.AddUser(t, gone.Username, somethingElse)
				shutOut(t, s, gone, "a password that was right once opens the account of another user of that name")
				canLogIn(t, s, comes)
			},
		},
		{
			ID: "unknown-user-looks-like-wrong-password", Task: 3, Needs: []string{"wrong-password-is-refused"},
			Title: "An unknown user and a wrong password get the same answer",
			Why:   "\"No such user\" tells whoever asks which e-mail addresses have an account here: a list to sell, and to phish.",
			Ref:   "OWASP Authentication Cheat Sheet (Authentication and Error Messages), OWASP ASVS 5.0 §6.3.8 (valid users cannot be deduced)",
			Check: func(t require.TestingT, s *subject.Session) {
				canLogIn(t, s, s.Cosmo())
				known := s.Post(t, "/login", subject.User{Username: "cosmo", Password: "space-cat"}.Credentials())
				unknown := s.Post(t, "/login", subject.User{Username: "laika-" + known.Method, Password: "space-cat"}.Credentials())
				unknown.Is(t, known.Status, "an unknown user is told apart by the status")
				unknown.Has(t, "error", known.Field("error"), "an unknown user is told apart by the message")
				again := s.Post(t, "/login", subject.User{Username: "cosmo", Password: "space-cat"}.Credentials())
				if want, got := keys(known), keys(unknown); want != got {
					s.Fail(t, "an unknown user is told apart by a field", "the fields "+want, "the fields "+got)
				}
				if want, got := telling(known), telling(unknown); want != got && want == telling(again) {
					probe.Fail(t, &probe.Failure{Claim: "an unknown user is told apart by a header", Sent: unknown.Exchange, Want: want, Got: got})
				}
				constant := string(known.ReplyBody) == string(again.ReplyBody) // no request number, no time
				if constant && string(known.ReplyBody) != string(unknown.ReplyBody) {
					s.Fail(t, "an unknown user is told apart by the body", known.Summary(), unknown.Summary())
				}
			},
		},
		{
			ID: "unknown-user-takes-as-long", Task: 3, Timed: true, Needs: []string{"unknown-user-looks-like-wrong-password"},
			Title: "An unknown user is refused after as much work as a known one",
			Why:   "Checking a hash takes milliseconds, not checking one takes none: the clock tells what the message hides (CVE-2016-6210, OpenSSH).",
			Ref:   "OWASP Authentication Cheat Sheet (Authentication and Error Messages), OWASP ASVS 5.0 §6.3.8 (valid users cannot be deduced)",
			Set:   func(c *lessons.Settings) { c.HashCost = mockdb.Cost{Memory: 4 << 10, Time: 1, Threads: 1} },
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.Cosmo()
				if s.Controlled() {
					u = s.NewUser(t) // whose hash is as dear as we want it
				}
				canLogIn(t, s, u)
				// The fastest of some tells how much work there is: other load on the
				// machine only ever adds to it. How much it adds is told by a request
				// that is no work. Only when that was far faster some times, or where the
				// answers are so slow that load makes no difference, are the two alike
				// because they are; and where they are not, it takes thirty to say so, for
				// a busy machine can hold up one of the two nine times in a row.
				const enough, most, alike, limit, slow = 6, 30, 2, 5, 100 * time.Millisecond
				attempt := func(name string, i int) time.Duration {
					return s.Post(t, "/login", subject.User{Username: name, Password: fmt.Sprint("wrong", i)}.Credentials()).Took
				}
				known, unknown := time.Hour, time.Hour
				less, more := known, unknown
				var idle []time.Duration
				for i := range most {
					known = min(known, attempt(u.Username, i))
					// Whoever comes after work may have to wait for a turn.
					if i%2 == 0 {
						unknown = min(unknown, attempt(fmt.Sprint("nobody", i), i))
					}
					idle = append(idle, s.Get(t, "/nothing-is-here").Took)
					if i%2 == 1 {
						unknown = min(unknown, attempt(fmt.Sprint("nobody", i), i))
					}
					less, more = min(known, unknown), max(known, unknown)
					slices.Sort(idle)
					clear := i >= 2 && less > slow || i+1 >= enough && idle[enough-1] < less/alike
					if clear && more < alike*less {
						return
					}
				}
				if more < alike*less || more < limit*less && less > alike*idle[0] {
					return
				}
				s.Fail(t, "the time of the answer tells whether a user exists",
					"about the same time for a user who exists and one who does not",
					fmt.Sprintf("%v for %s with a wrong password, %v for a user who does not exist", known.Round(10*time.Microsecond), u.Username, unknown.Round(10*time.Microsecond)))
			},
		},
		{
			ID: "whole-password-counts", Task: 3, Needs: []string{"wrong-password-is-refused"},
			Title: "Case, spaces, signs and a trailing zero byte count",
			Why:   "Each change that a server makes to a password before it checks it is a password that was never chosen and works. PBKDF2 and scrypt pad with zero bytes: to them the last one here is the right one.",
			Ref:   "NIST SP 800-63B-4 §3.1.1.2 (password verifiers: the entire password), OWASP ASVS 5.0 §6.2.8 (exactly as received)",
			Check: func(t require.TestingT, s *subject.Session) {
				cosmo := s.Cosmo()
				canLogIn(t, s, cosmo)
				for _, wrong := range []struct{ password, how string }{
					{"Space-Corgi", "in another case"}, {" space-corgi", "with a space before it"}, {"space-corgi ", "with a space after it"},
					{"space-corgi\x00", "with a zero byte after it"}, {"space-corg", "without its last letter"}, {"space-corgi!", "with more after it"},
					{"space-corgi\n", "with a line's end after it"}, {"\tspace-corgi", "with a tab before it"}, {"space-\x7fcorgi", "with a control character in it"},
					{"space-corgié", "with a letter after it that is not ASCII"}, {"space-corgi'", "with a quote after it"}, {"space%2Dcorgi", "with a letter of it written as in a URL"},
				} {
					refusedLogin(t, s, subject.User{Username: "cosmo", Password: wrong.password}, "the password is accepted "+wrong.how)
				}
				if s.Controlled() {
					short := s.AddUser(t, s.NewUser(t).Username+"-short", `é  &+"1`)
					s.Post(t, "/login", short.Credentials()).Is(t, http.StatusOK, "a short password of spaces, signs and a letter that is not ASCII is not taken as it is", http.StatusNoContent)
				}
			},
		},
		{
			ID: "long-password-counts-to-the-end", Task: 3, Needs: []string{"wrong-password-is-refused"},
			Title: "The 73rd byte of a password counts",
			Why:   "bcrypt reads 72 bytes. Okta put the user's name before the password and lost the password: a long name alone opened the account (2024).",
			Ref:   "OWASP Password Storage Cheat Sheet (Input Limits of bcrypt), OWASP ASVS 5.0 §6.2.9 (64 characters and more)",
			Check: func(t require.TestingT, s *subject.Session) {
				long := strings.Repeat("correct-horse-", 7) // 98 bytes
				u := s.AddUser(t, s.NewUser(t).Username+"-long", long)
				canLogIn(t, s, u)
				for _, at := range []int{len(long) - 1, 72} {
					u.Password = long[:at] + "#" + long[at+1:]
					refusedLogin(t, s, u, fmt.Sprintf("a password whose byte %d is wrong is accepted", at+1))
				}
				u.Password = long[:72]
				refusedLogin(t, s, u, "the first 72 bytes of a password are accepted for all of it")
			},
		},
		{
			ID: "username-means-one-user", Task: 3, Needs: []string{"unknown-user-looks-like-wrong-password"},
			Title: "A name in another case is the same user everywhere, or nobody",
			Why:   "Folded for the look-up and not for the answer, \"Cosmo\" passes cosmo's password and is another person to everything behind it.",
			Ref:   "RFC 8265 §3 (usernames: compared in one way everywhere)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				right := s.Post(t, "/login", u.Credentials()).Is(t, http.StatusOK, u.Username+" cannot log in with the right password", http.StatusNoContent)
				shout := strings.ToUpper(u.Username)
				for _, like := range []struct{ name, how string }{
					{shout, "in another case"}, {u.Username + " ", "with a space after it"}, {"\t" + u.Username, "with a tab before it"}, {u.Username + "\x00", "with a zero byte after it"},
				} {
					if like.name == u.Username {
						continue
					}
					a := s.Post(t, "/login", subject.User{Username: like.name, Password: u.Password}.Credentials()).
						Is(t, http.StatusOK, "a username "+like.how+" is neither the user's nor a stranger's", http.StatusNoContent, http.StatusUnauthorized, http.StatusBadRequest)
					if a.Status < 300 && identity(right) != identity(a) {
						s.Fail(t, fmt.Sprintf("%q and %q are one user to the password and two to the answer", u.Username, like.name), right.Summary(), a.Summary())
					}
				}
				if !s.Controlled() || shout == u.Username || !strings.Contains(identity(right), u.Username) {
					return // what says nothing about its user cannot be told from another's
				}
				// To a server that folds names in all places the second of the two is nobody.
				two := s.AddUser(t, shout, somethingElse)
				if a := s.Post(t, "/login", two.Credentials()); a.Status < 300 && identity(a) != "" && identity(right) == identity(a) {
					s.Fail(t, fmt.Sprintf("%s and %s are two users of the database and one to the answer", u.Username, shout), "an answer that is about "+shout, a.Summary())
				}
			},
		},
		{
			ID: "no-answer-holds-a-password", Task: 3, Needs: []string{canLogin},
			Title: "Neither an answer of /login nor the log holds a password or a hash",
			Why:   "What is in an answer is in the client's log, the proxy's, and the crash report. A hash can be guessed at home, a billion times a second.",
			Ref:   "OWASP ASVS 5.0 §15.3.1 (only the fields that are needed)",
			Check: func(t require.TestingT, s *subject.Session) {
				u := s.NewUser(t)
				secrets := append(s.Hashes(), u.Password, "argon2id")
				hides := func(a *subject.Answer, claim string) { keptOut(t, s, a, claim, secrets) }
				hides(s.Post(t, "/login", u.Credentials()).Is(t, http.StatusOK, u.Username+" cannot log in with the right password", http.StatusNoContent),
					"the answer to a login holds the password or its hash")
				hides(s.Post(t, "/login", subject.User{Username: u.Username, Password: "typo-" + u.Password}.Credentials()),
					"a refused login is answered with the password that was tried, or a hash")
				for _, c := range []credentials{
					{"username": u.Username, "password": []string{u.Password}},
					{"username": 7, "password": u.Password},
					{"username": "", "password": u.Password},
				} {
					hides(s.Post(t, "/login", c.option()), "a bad request is answered with the password that was in it")
				}
				hides(s.Post(t, "/login", subject.Body(`{"password":"`+u.Password+`"`)), "a bad request is answered with the password that was in it")
			},
		},
	}
}

// keptOut wants none of the secrets in an answer, nor in what the server has logged.
func keptOut(t require.TestingT, s *subject.Session, a *subject.Answer, claim string, secrets []string) {
	a.Hides(t, claim, secrets...)
	unlogged(t, s, "a password, a hash or the secret is in the log", secrets...)
}

// unlogged wants none of the secrets in what the server has written to its log.
func unlogged(t require.TestingT, s *subject.Session, claim string, secrets ...string) {
	if !s.Controlled() {
		return // nobody sees its log
	}
	for line := range strings.Lines(s.Logged(t)) {
		for _, secret := range secrets {
			if secret != "" && strings.Contains(line, secret) {
				s.Fail(t, claim, "a log without it", strings.ReplaceAll(strings.TrimSpace(line), secret, "[here]"))
			}
		}
	}
}

// shutOut wants a login to fail, however it is refused: the words and the time are other
// steps' affair.
func shutOut(t require.TestingT, s *subject.Session, u subject.User, claim string) {
	if a := s.Post(t, "/login", u.Credentials()); a.Status/100 == 2 {
		a.Is(t, http.StatusUnauthorized, claim)
	}
}

// multipartForm sends names and values as a page's form does that can send files, too.
func multipartForm(fields ...string) subject.Option {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i+1 < len(fields); i += 2 {
		form.WriteField(fields[i], fields[i+1]) // a buffer takes everything
	}
	form.Close()
	return func(r *probe.Request) {
		r.Body = body.Bytes()
		r.Header.Set("Content-Type", form.FormDataContentType())
	}
}

func badField(t require.TestingT, s *subject.Session, c credentials, field, claim string) {
	s.Post(t, "/login", c.option()).
		Is(t, http.StatusBadRequest, claim).
		HasObject(t, "error", field, "a bad request does not name the field that is wrong").
		Alone(t)
}

// somethingElse is a password that is nobody's unless a step gives it to somebody.
const somethingElse = "something-else-entirely"

// telling is what the headers of a refused login say: which there are, and of those
// that do not change from one request to the next what is in them.
func telling(a *subject.Answer) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(a.ReplyHeader)) {
		if name == "Date" || name == "Content-Length" {
			continue
		}
		if slices.Contains([]string{"Content-Type", "Cache-Control", "Www-Authenticate"}, name) {
			name += ": " + a.ReplyHeader.Get(name)
		}
		lines = append(lines, name)
	}
	return "the headers " + strings.Join(lines, ", ")
}

// keys lists the fields of an answer.
func keys(a *subject.Answer) string {
	v, _ := a.JSON()
	object, _ := v.(map[string]any)
	return strings.Join(slices.Sorted(maps.Keys(object)), ", ")
}

// identity is whom the answer to a login speaks of: the fields of lesson 01, or
// the sub of the token.
func identity(a *subject.Answer) string {
	if raw := a.Text("access_token"); raw != "" {
		return subjectOf(raw)
	}
	return fmt.Sprint(a.Field("id"), a.Field("username"))
}
