package subject

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
	"jwtworkshop/checker/probe"
	"jwtworkshop/lessons"
)

// A Session is one server under test and the words in which a step talks to it.
// A word that cannot be carried out ends the step: by a failure of the server's,
// by [*Unavailable], or by [*Ungradable].
type Session struct {
	Settings lessons.Settings // what the server was configured with
	Patience time.Duration    // how long one answer may take; 0 is as long as the session

	ctx    context.Context
	addr   string // where the server listens on the loopback; "" elsewhere
	client *probe.Client
	bench  bench         // nil at a URL
	target *Target       // nil elsewhere
	output func() string // what the program printed meanwhile; nil where nobody knows

	beside  Companion                           // nil where there is none
	release func()                              // gives the server back; nil where nobody waits for it
	stuckAt func() string                       // where a server that hangs stands; nil where nobody knows
	lead    func(context.Context, string) error // leads an address into the server's network; nil where it has ours
	source  Source                              // where the lines of the learner's code are; nil at a URL

	before []*probe.Exchange // with the servers that this one has replaced

	group    *group        // the servers of one database
	database string        // where it is; "" where there is no real one
	east     time.Duration // by how much the server's zone is ahead of UTC

	mu      sync.Mutex
	users   int      // how many of the target's were given out
	secrets []string // what no answer may hold
}

// A group is servers that share a database and a clock. It is one, unless a step
// asks for another.
type group struct {
	mu       sync.Mutex
	now      time.Time
	advanced time.Duration
	servers  []*Session
}

// all is the servers of a session's group, the first one first.
func (s *Session) all() []*Session {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return slices.Clone(s.group.servers)
}

// A User can log in.
type User struct {
	ID       int // 0 where it is not known
	Username string
	Password string
}

// Cosmo is in every database.
func (s *Session) Cosmo() User { return User{ID: 1, Username: "cosmo", Password: "space-corgi"} }

// NewUser returns somebody who is not cosmo and whom no other step knows.
func (s *Session) NewUser(t require.TestingT) User {
	if s.target != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.users >= len(s.target.Users) {
			s.unavailable("it needs %s besides cosmo: name them with --user name:password", people(s.users+1))
		}
		s.users++
		return s.target.Users[s.users-1]
	}
	return s.AddUser(t, someName(), somePassword())
}

func someName() string {
	names := []string{"ada", "grace", "alan", "radia", "linus", "katherine", "margaret", "barbara"}
	return names[number(int64(len(names)))] + "-" + strings.ToLower(rand.Text()[:5])
}

func somePassword() string { return "pw-" + rand.Text()[:16] }

func people(n int) string {
	if n == 1 {
		return "a user"
	}
	return fmt.Sprintf("%d users", n)
}

// AddUser inserts a user of that name and password.
func (s *Session) AddUser(t require.TestingT, username, password string) User {
	r := s.command("a user of its own choice", lessons.Command{Op: lessons.OpAddUser, Username: username, Password: password})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, r.Hash)
	return User{ID: r.UserID, Username: username, Password: password}
}

// NeedsDeletion ends the step where no user can be deleted, before it asks for
// users whom it could then do nothing with.
func (s *Session) NeedsDeletion() {
	if s.bench == nil {
		s.unavailable("it needs a user deleted from the database, which a URL cannot give")
	}
}

// DeleteUser removes a user from the server's database.
func (s *Session) DeleteUser(t require.TestingT, u User) {
	r := s.command("a deleted user", lessons.Command{Op: lessons.OpDeleteUser, Username: u.Username})
	if r.Kept != "" {
		s.Fail(t, "a row of the table users cannot be deleted: rows of yours refer to it and stay", "DELETE FROM users WHERE username = …", r.Kept)
	}
}

// Visits is how many dashboards were shown so far.
func (s *Session) Visits(t require.TestingT) int {
	return s.command("a look behind the answers", lessons.Command{Op: lessons.OpReport}).Visits
}

// Logged is the end of what the server has written to its log so far.
func (s *Session) Logged(t require.TestingT) string {
	return s.command("a look into the server's log", lessons.Command{Op: lessons.OpReport}).Logged
}

// NeedsStart ends the step where the server was started by somebody else, at a
// time when nobody looked.
func (s *Session) NeedsStart() {
	if s.bench == nil {
		s.unavailable("it needs a server that starts while it looks on, which a URL cannot give")
	}
}

// Controlled tells whether the server is one that we started: its users, its
// clock and its side effects are at our disposal.
func (s *Session) Controlled() bool { return s.bench != nil }

// Hashes are the password hashes that no answer may hold, as far as known: each as it
// is stored, and its last part alone, which is what a guess is compared with.
func (s *Session) Hashes() []string {
	hashes := slices.Clone(s.secrets)
	for _, hash := range s.secrets {
		if at := strings.LastIndexByte(hash, '$'); at >= 0 {
			hashes = append(hashes, hash[at+1:])
		}
	}
	return hashes
}

// Secret is the key that signs the server's tokens.
func (s *Session) Secret(t require.TestingT) []byte {
	if len(s.Settings.Secret) == 0 {
		s.unavailable("it needs the server's secret: give it with --secret")
	}
	return s.Settings.Secret
}

// Now is the server's clock.
func (s *Session) Now() time.Time {
	if s.target != nil {
		return time.Now()
	}
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.group.now
}

// Advance lets time pass on the server's clock; at a URL it really does. On further
// servers that share its database it passes, too.
func (s *Session) Advance(t require.TestingT, by time.Duration) {
	if s.target != nil {
		select {
		case <-time.After(by):
		case <-s.ctx.Done():
			panic(s.ctx.Err())
		}
	} else {
		for _, one := range s.all() {
			one.command("", lessons.Command{Op: lessons.OpAdvance, By: by, East: one.east})
		}
	}
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	s.group.now = s.group.now.Add(by)
	s.group.advanced += by
}

// Advanced is how much time the step has let pass.
func (s *Session) Advanced() time.Duration {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.group.advanced
}

// ByAddress makes the session call its server by the address at which it listens,
// as others on this machine can, and returns it: "http://127.0.0.1:4711". It is to
// be asked before the first request. At a URL nothing changes.
func (s *Session) ByAddress() string {
	if s.addr != "" {
		s.client = probe.NewClient("", "", "http://"+s.addr)
	}
	return s.client.Base()
}

// Slow makes the server's database and its clock take a moment to answer from now on,
// or no longer, so that others come in between wherever it asks them. At a URL nothing
// changes.
func (s *Session) Slow(t require.TestingT, slow bool) {
	if s.bench == nil {
		return
	}
	for _, one := range s.all() {
		one.command("", lessons.Command{Op: lessons.OpSlow, Slow: slow})
	}
}

// Crowd is Together while the server is slow.
func (s *Session) Crowd(t require.TestingT, requests []probe.Request) []*Answer {
	s.Slow(t, true)
	answers := s.Together(t, requests)
	s.Slow(t, false)
	return answers
}

// Replace ends the server and starts another in its place, as fresh as the first
// was and at the same hour; change makes its settings differ, and nil leaves them.
func (s *Session) Replace(t require.TestingT, change func(*lessons.Settings)) {
	if s.bench == nil {
		s.unavailable("it needs another server of the same program, which a URL cannot give")
	}
	settings := s.Settings
	if change != nil {
		change(&settings)
	}
	command := lessons.Command{Settings: settings}
	if p, ok := s.bench.(*program); ok {
		var err error
		if command, err = p.command(settings); err != nil {
			panic(err)
		}
	}
	another, err := open(s.ctx, s.bench, command, s.source)
	if err != nil {
		panic(err)
	}
	s.before = s.client.Log()
	s.client.Close()
	s.Settings, s.client, s.addr = settings, another.client, another.addr
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	s.group.now = settings.Start
}

// Log returns the exchanges so far, those with a further server after all others.
func (s *Session) Log() []*probe.Exchange {
	log := slices.Clone(s.before)
	for _, one := range s.all() {
		log = append(log, one.client.Log()...)
	}
	return log
}

// TakeLog returns the exchanges so far and forgets them, for a session without end.
func (s *Session) TakeLog() []*probe.Exchange { return s.client.Take() }

// Printed is what the server's program printed since it was last asked, "" where
// nobody knows.
func (s *Session) Printed() string {
	printed := ""
	for _, one := range s.all() {
		if one.output != nil {
			printed += one.output()
		}
	}
	return printed
}

// Accompany gives the session a companion, which ends with it.
func (s *Session) Accompany(c Companion) {
	s.beside = c
	c.Meet(s)
}

// Reach lets the server reach a server of ours that was opened after it: an address
// such as "127.0.0.1:4711". Each that a step opens has to be named, or a server in a
// sandbox calls in vain and nobody hears it.
func (s *Session) Reach(addr string) {
	if s.lead == nil {
		return
	}
	if err := s.lead(s.ctx, addr); err != nil {
		panic(err)
	}
}

// Beside is the session's companion, nil where there is none.
func (s *Session) Beside() Companion { return s.beside }

// End drops the connections and lets the server go.
func (s *Session) End() {
	for i, one := range s.all() {
		one.client.Close()
		if i > 0 {
			one.bench.do(s.ctx, lessons.Command{Op: lessons.OpClose})
		}
	}
	if s.beside != nil {
		s.beside.Close()
	}
	if s.release != nil {
		s.release()
	}
}

func (s *Session) unavailable(format string, args ...any) {
	panic(&Unavailable{Reason: fmt.Sprintf(format, args...)})
}

// command needs a server that we control.
func (s *Session) command(what string, c lessons.Command) lessons.Reply {
	if s.bench == nil {
		s.unavailable("it needs %s, which a URL cannot give", what)
	}
	r, err := s.bench.do(s.ctx, c)
	if err == nil && r.Error != "" {
		err = fmt.Errorf("the checker's own command failed: %s: %s", c.Op, r.Error)
	}
	if err != nil {
		panic(err)
	}
	return r
}

// An Option changes a request before it is sent.
type Option func(*probe.Request)

// Bearer sends the token as RFC 6750 §2.1 says.
func Bearer(token probe.Token) Option {
	return Authorization("Bearer "+token.Raw, token)
}

// Authorization sends that very header; token says what is in it.
func Authorization(header string, token probe.Token) Option {
	return func(r *probe.Request) {
		r.Header["Authorization"] = []string{header}
		r.Token = token
	}
}

// Header sends one more header.
func Header(name, value string) Option {
	return func(r *probe.Request) { r.Header.Add(name, value) }
}

// Body sends these bytes as JSON.
func Body(raw string) Option {
	return func(r *probe.Request) {
		r.Body = []byte(raw)
		r.Header.Set("Content-Type", "application/json")
	}
}

// Form sends fields as a page's form does: "name=cosmo&age=7".
func Form(fields string) Option {
	return func(r *probe.Request) {
		r.Body = []byte(fields)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
}

// JSON sends a value as JSON.
func JSON(v any) Option {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // a value that a step wrote
	}
	return Body(string(raw))
}

// Request makes a request, to be sent later or by many at once.
func Request(method, path string, options ...Option) probe.Request {
	r := probe.Request{Method: method, Path: path, Header: http.Header{}}
	for _, o := range options {
		o(&r)
	}
	return r
}

// Get sends a GET request.
func (s *Session) Get(t require.TestingT, path string, options ...Option) *Answer {
	return s.Do(t, Request(http.MethodGet, path, options...))
}

// Post sends a POST request.
func (s *Session) Post(t require.TestingT, path string, options ...Option) *Answer {
	return s.Do(t, Request(http.MethodPost, path, options...))
}

// Do sends a request and returns the answer. No answer is a failure.
func (s *Session) Do(t require.TestingT, r probe.Request) *Answer {
	e, err := s.send(r)
	if err != nil {
		s.noAnswer(t, e, err)
	}
	return &Answer{Exchange: e}
}

// remotePatience is how long a server at a URL may take for one answer.
const remotePatience = 10 * time.Second

func (s *Session) send(r probe.Request) (*probe.Exchange, error) { return s.sendIn(s.ctx, r) }

func (s *Session) sendIn(ctx context.Context, r probe.Request) (*probe.Exchange, error) {
	if s.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Patience)
		defer cancel()
	}
	e, err := s.client.Do(ctx, r, s.Now())
	if err == nil {
		answered(ctx)
	}
	return e, err
}

// An At is a request and the server that it is for.
type At struct {
	Server  *Session
	Request probe.Request
}

// Together sends requests at the same time and returns their answers in the
// order of the requests.
func (s *Session) Together(t require.TestingT, requests []probe.Request) []*Answer {
	var here []At
	for _, r := range requests {
		here = append(here, At{s, r})
	}
	return s.Everywhere(t, here)
}

// Everywhere is Together at several servers.
func (s *Session) Everywhere(t require.TestingT, requests []At) []*Answer {
	answers := make([]*Answer, len(requests))
	errs := make([]error, len(requests))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() {
			<-start
			var e *probe.Exchange
			e, errs[i] = r.Server.send(r.Request)
			answers[i] = &Answer{Exchange: e}
		})
	}
	close(start)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			requests[i].Server.noAnswer(t, answers[i].Exchange, err)
		}
	}
	return answers
}

// A Pending is a request that was sent and whose answer nobody has asked for yet.
type Pending struct {
	session  *Session
	exchange *probe.Exchange
	err      error
	answered chan struct{}
	cancel   context.CancelFunc
}

// Begin sends a request and does not wait for the answer.
func (s *Session) Begin(r probe.Request) *Pending {
	ctx, cancel := context.WithCancel(s.ctx)
	p := &Pending{session: s, answered: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(p.answered)
		p.exchange, p.err = s.sendIn(ctx, r)
	}()
	return p
}

// Cancel hangs up, as a person does who has waited long enough. No answer is to
// be asked for afterwards.
func (p *Pending) Cancel() { p.cancel() }

// Within waits so long at most and tells whether the answer is there.
func (p *Pending) Within(limit time.Duration) bool {
	select {
	case <-p.answered:
		return true
	case <-time.After(limit):
		return false
	}
}

// Answer waits for the answer. No answer is a failure.
func (p *Pending) Answer(t require.TestingT) *Answer {
	<-p.answered
	p.cancel()
	if p.err != nil {
		p.session.noAnswer(t, p.exchange, p.err)
	}
	return &Answer{Exchange: p.exchange}
}

// Context ends when the step's time is up.
func (s *Session) Context() context.Context { return s.ctx }

// noAnswer finds out why no answer came. A handler that panics has answered
// wrongly; a server that hangs or dies cannot be graded.
func (s *Session) noAnswer(t require.TestingT, e *probe.Exchange, err error) {
	ended := s.ctx.Err()
	if s.bench != nil && s.Patience > 0 && errors.Is(err, context.DeadlineExceeded) {
		ended = context.DeadlineExceeded
	}
	if ended != nil {
		err := hangs(ended, e.Method+" "+e.Path)
		var hung *Ungradable
		if errors.As(err, &hung) && s.stuckAt != nil {
			hung.Detail = s.stuckAt()
		}
		panic(err)
	}
	if s.bench == nil {
		panic(&Ungradable{What: fmt.Sprintf("%s did not answer %s %s: %v", e.Base, e.Method, e.Path, rootCause(err))})
	}
	r, died := s.bench.do(s.ctx, lessons.Command{Op: lessons.OpReport})
	if died != nil {
		panic(died)
	}
	if len(r.Panics) > 0 {
		p := r.Panics[len(r.Panics)-1]
		probe.Fail(t, &probe.Failure{Claim: "your server panicked on " + p.In, Sent: e, Want: "an answer, whatever a client sends", Got: frame(p, s.source)})
	}
	probe.Fail(t, &probe.Failure{Claim: "your server closed the connection without an answer", Sent: e, Want: "an answer, whatever a client sends", Got: rootCause(err).Error()})
}

func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Tokens are what a login or a refresh gave.
type Tokens struct {
	User    User
	Access  probe.Token
	Refresh probe.Token // empty before lesson 05
}

// Credentials is the body of a login.
func (u User) Credentials() Option {
	return JSON(map[string]string{"username": u.Username, "password": u.Password})
}

// Login logs a user in and returns the tokens. No access token is a failure.
func (s *Session) Login(t require.TestingT, u User) Tokens {
	return s.tokens(t, s.Post(t, "/login", u.Credentials()), u, "/login")
}

// LoginBoth is Login where a refresh token is due, too.
func (s *Session) LoginBoth(t require.TestingT, u User) Tokens {
	return s.both(t, s.Post(t, "/login", u.Credentials()), u)
}

// LoginsTogether sends the logins of several users, or of one several times, at the
// same time and returns the answers in the order of the users.
func (s *Session) LoginsTogether(t require.TestingT, users []User) []*Answer {
	var requests []probe.Request
	for _, u := range users {
		requests = append(requests, Request(http.MethodPost, "/login", u.Credentials()))
	}
	return s.Together(t, requests)
}

// LoginAll is LoginBoth for users who log in at the same time.
func (s *Session) LoginAll(t require.TestingT, users []User) []Tokens {
	var all []Tokens
	for i, a := range s.LoginsTogether(t, users) {
		all = append(all, s.both(t, a, users[i]))
	}
	return all
}

func (s *Session) both(t require.TestingT, a *Answer, u User) Tokens {
	got := s.tokens(t, a, u, "/login")
	if got.Refresh.Raw == "" {
		a.fail(t, "/login gave no refresh token", `200 {"access_token":…,"refresh_token":…}`)
	}
	return got
}

// Refresh sends a refresh token to /refresh and returns the tokens that are good
// from now on: the new access token, and the new refresh token or, where there
// is none, the old one.
func (s *Session) Refresh(t require.TestingT, old Tokens) Tokens {
	got := s.tokens(t, s.Post(t, "/refresh", Bearer(old.Refresh)), old.User, "/refresh")
	if got.Refresh.Raw == "" {
		got.Refresh = old.Refresh
	}
	return got
}

func (s *Session) tokens(t require.TestingT, a *Answer, u User, from string) Tokens {
	a.Is(t, http.StatusOK, fmt.Sprintf("%s of %s did not succeed", from, u.Username))
	token := func(field, what string) probe.Token {
		return probe.Token{Raw: a.Text(field), What: fmt.Sprintf("the %s token that %s gave %s", what, from, u.Username)}
	}
	got := Tokens{User: u, Access: token("access_token", "access"), Refresh: token("refresh_token", "refresh")}
	if got.Access.Raw == "" {
		a.fail(t, from+" gave no access token", `200 {"access_token":…}`)
	}
	return got
}

// Decode takes an access token apart. What is no JWT is a failure.
func (s *Session) Decode(t require.TestingT, token probe.Token) forge.Token {
	f, err := forge.Decode(token.Raw)
	if err != nil {
		probe.Fail(t, &probe.Failure{Claim: "the access token is not a JWT", Sent: s.last(), Want: "three base64url parts with dots between them (RFC 7519 §3)", Got: err.Error()})
	}
	return f
}

// last is the exchange that ended last.
func (s *Session) last() *probe.Exchange {
	if log := s.client.Log(); len(log) > 0 {
		return log[len(log)-1]
	}
	return nil
}

// Fail ends the step with a failure that the last exchange shows.
func (s *Session) Fail(t require.TestingT, claim, want, got string) {
	probe.Fail(t, &probe.Failure{Claim: claim, Sent: s.last(), Want: want, Got: got})
}

// NeedsSetting returns a setting of the server's, which at a URL has to be named.
func (s *Session) NeedsSetting(value, what, flag string) string {
	if value == "" {
		s.unavailable("it needs %s: give it with %s", what, flag)
	}
	return value
}
