package subject

import (
	"errors"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/probe"
	"jwtworkshop/lessons"
	"jwtworkshop/mockdb"
)

// What a step can do with a server that has a real database.

// Newcomer returns a user whom an administrator has just put into the table users.
// A server that looks elsewhere does not know them. At a URL it is anybody.
func (s *Session) Newcomer(t require.TestingT) User {
	if s.target != nil {
		return s.NewUser(t)
	}
	return s.AddRow(t, someName(), somePassword())
}

// AddRow puts a user of that name and password into the table users.
func (s *Session) AddRow(t require.TestingT, username, password string) User {
	r := s.command("a row in the table users", lessons.Command{Op: lessons.OpAddRow, Username: username, Password: password})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, r.Hash)
	return User{ID: r.UserID, Username: username, Password: password}
}

// Another returns a second server on the same database and by the same clock. It is
// another process, so that nothing is shared but what is stored. It ends with the
// session, and there can be one.
func (s *Session) Another(t require.TestingT) *Session {
	if s.bench == nil {
		s.unavailable("it needs a second server on the same database, which a URL cannot give")
	}
	program, err := s.bench.twin(s.ctx)
	if err != nil {
		panic(err)
	}
	settings := s.Settings
	settings.Start, settings.Database = s.Now(), s.database
	command, err := program.command(settings)
	if err != nil {
		panic(err)
	}
	command.Op, command.Join = lessons.OpOpen, true
	r, err := program.do(s.ctx, command)
	if err != nil {
		panic(err)
	}
	var ungradable *Ungradable
	if errors.As(notOpen(r, s.source), &ungradable) {
		s.Fail(t, "a server does not start on a database that another one has begun", "a server like the first", ungradable.What+" "+ungradable.Detail)
	}
	other := &Session{
		Settings: s.Settings,
		ctx:      s.ctx, bench: program, output: program.output, stuckAt: program.stuckAt, source: s.source,
		group: s.group, database: s.database, lead: program.elsewhere(command),
		client: probe.NewClient(r.Network, r.Addr, "").Called("http://localhost:8081"),
	}
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	s.group.servers = append(s.group.servers, other)
	return other
}

// Restart ends the server and returns what is started in its place, on the same
// database.
func (s *Session) Restart(t require.TestingT) *Session {
	s.command("a server to end", lessons.Command{Op: lessons.OpClose})
	return s.Another(t)
}

// Travel has the server's clock show the time of a zone that is so far ahead of UTC
// from now on. The moment stays the same.
func (s *Session) Travel(t require.TestingT, east time.Duration) {
	s.east = east
	s.command("a clock in another time zone", lessons.Command{Op: lessons.OpAdvance, East: east})
}

// Disturb has the server's database fail from now on, until it is told otherwise.
func (s *Session) Disturb(t require.TestingT, d mockdb.Disturbance) {
	s.command("a database that fails", lessons.Command{Op: lessons.OpDisturb, Disturb: d})
}

// Lock takes the database's lock for writing, until the server has begun to wait
// for it.
func (s *Session) Lock(t require.TestingT) {
	s.command("the lock of the database", lessons.Command{Op: lessons.OpLock})
}

// Tables are all that the server has stored; of the table users, what it has added.
func (s *Session) Tables(t require.TestingT) []mockdb.Table {
	return s.command("a look into the database", lessons.Command{Op: lessons.OpTables}).Tables
}

// Warned is what the server has logged so far, warnings and worse.
func (s *Session) Warned(t require.TestingT) string {
	var lines strings.Builder
	for line := range strings.Lines(s.Logged(t)) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}
