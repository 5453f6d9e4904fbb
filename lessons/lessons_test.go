package lessons

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/mockdb"
)

func TestLessonsAreFoundByWhatPeopleType(t *testing.T) {
	for _, name := range []string{"5", "05", "05-refresh", " 05 ", "lessons/05-refresh", "./lessons/05-refresh/", `lessons\05-refresh`} {
		l, err := Find(name)
		require.NoError(t, err, name)
		assert.Equal(t, "05-refresh", l.ID)
	}
	for _, name := range []string{"", "0", "99", "-5", "refresh", "05-", ".", ".."} {
		_, err := Find(name)
		assert.ErrorIs(t, err, ErrUnknown, name)
	}
	for i, l := range All() {
		assert.Equal(t, i+1, l.Number())
	}
}

func good() Config {
	s := All()[0].Settings()
	s.Secret = bytes.Repeat([]byte("k"), 32)
	return s.Config(mockdb.New(mockdb.Cheap), time.Now)
}

func TestUnsafeConfigurationsAreRefusedInOneLine(t *testing.T) {
	require.NoError(t, good().Validate())
	for name, spoil := range map[string]func(*Config){
		"31 bytes":   func(c *Config) { c.Secret = c.Secret[:31] },
		"no secret":  func(c *Config) { c.Secret = nil },
		"access 0":   func(c *Config) { c.AccessTTL = 0 },
		"access -1":  func(c *Config) { c.AccessTTL = -time.Second },
		"refresh 0":  func(c *Config) { c.RefreshTTL = 0 },
		"short life": func(c *Config) { c.RefreshTTL = c.AccessTTL - 1 },
		"fresh 0":    func(c *Config) { c.FreshFor = 0 },
		"session 0":  func(c *Config) { c.SessionTTL = 0 },
		"session -":  func(c *Config) { c.SessionTTL = c.RefreshTTL - 1 },
		"key 0":      func(c *Config) { c.KeyTTL = 0 },
	} {
		c := good()
		spoil(&c)
		err := c.Validate()
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "\n", name)
	}
}

// buffer may be written and read at once.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// echoed answers with the request's body.
func echoed(Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
}

var address = regexp.MustCompile(`http://([0-9.:]+),`)

func TestAPersonsServer(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out buffer
	ended := make(chan error, 1)
	var cfg Config
	build := func(c Config) http.Handler { cfg = c; return echoed(c) }
	go func() {
		ended <- serve(ctx, All()[4], build, nil, []string{"-addr", "127.0.0.1:0", "-access-ttl", "30s"}, &out)
	}()
	require.Eventually(t, func() bool { return address.MatchString(out.String()) }, 10*time.Second, time.Millisecond)
	at := address.FindStringSubmatch(out.String())[1]
	assert.Contains(t, out.String(), "curl -i http://"+at+"/login")

	res, err := http.Post("http://"+at+"/login?token=query-secret", "application/json", strings.NewReader("body-secret"))
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, 30*time.Second, cfg.AccessTTL)
	assert.Equal(t, time.Hour, cfg.RefreshTTL)
	assert.GreaterOrEqual(t, len(cfg.Secret), 32)

	err = serve(t.Context(), All()[4], echoed, nil, []string{"-addr", at}, io.Discard)
	require.Error(t, err, "the port is taken")
	assert.Contains(t, err.Error(), "-addr 127.0.0.1:8081")
	assert.NotContains(t, err.Error(), "\n")

	stop()
	require.NoError(t, <-ended)
	log := out.String()
	assert.Contains(t, log, "method=POST path=/login status=200")
	assert.Contains(t, log, "shutting down")
	for _, secret := range []string{"query-secret", "body-secret", string(cfg.Secret)} {
		assert.NotContains(t, log, secret)
	}
	_, err = net.Dial("tcp", at)
	assert.Error(t, err, "nobody listens any more")
}

func TestEveryRunHasASecretOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		ctx, stop := context.WithCancel(t.Context())
		build := func(c Config) http.Handler { seen[string(c.Secret)] = true; stop(); return echoed(c) }
		require.NoError(t, serve(ctx, All()[0], build, nil, []string{"-addr", "127.0.0.1:0"}, io.Discard))
	}
	assert.Len(t, seen, 3)
}

func TestFlagsThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{{"-secret", "short"}, {"-access-ttl", "0s"}, {"-access-ttl", "2h"}, {"-access-ttl", "fast"}, {"-nonsense"}, {"extra"}, {"-addr", "nowhere:99999"}} {
		err := serve(t.Context(), All()[4], echoed, nil, args, io.Discard)
		require.Error(t, err, "%v", args)
		assert.NotContains(t, err.Error(), "\n", "%v", args)
	}
}

func TestAServerThatLogsInAtAnUpstream(t *testing.T) {
	l, err := Find("10")
	require.NoError(t, err)
	for _, args := range [][]string{
		{}, {"-upstream", "nonsense"}, {"-upstream", "http://127.0.0.1:9000/"}, {"-upstream", "http://127.0.0.1:9000/api"},
		{"-upstream", "ftp://127.0.0.1"}, {"-upstream", "http://"}, {"-upstream", "http://me@127.0.0.1:9000"},
	} {
		err := serve(t.Context(), l, echoed, nil, append(args, "-addr", "127.0.0.1:0"), io.Discard)
		require.Error(t, err, "%v", args)
		assert.NotContains(t, err.Error(), "\n", "%v", args)
	}
	assert.Error(t, serve(t.Context(), All()[0], echoed, nil, []string{"-upstream", "http://127.0.0.1:9000"}, io.Discard), "other lessons have none")

	ctx, stop := context.WithCancel(t.Context())
	var out buffer
	build := func(c Config) http.Handler {
		assert.Equal(t, "http://127.0.0.1:9000", c.Upstream)
		stop()
		return echoed(c)
	}
	require.NoError(t, serve(ctx, l, build, nil, []string{"-addr", "127.0.0.1:0", "-upstream", "http://127.0.0.1:9000"}, &out))
	assert.Contains(t, out.String(), "/profile")
	assert.Contains(t, out.String(), "/app/")
}

// grader listens as the checker does and returns the first connection.
func grader(t *testing.T, token string, newServer New) (*json.Encoder, *json.Decoder, func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- serveControl("tcp:"+l.Addr().String(), token, newServer, nil) }()
	conn, err := l.Accept()
	require.NoError(t, err)
	l.Close()
	in := json.NewDecoder(conn)
	var said string
	require.NoError(t, in.Decode(&said))
	assert.Equal(t, token, said, "the token is the first thing that is said")
	return json.NewEncoder(conn), in, func() {
		conn.Close()
		require.NoError(t, <-ended, "a program ends when its grader hangs up")
	}
}

func TestAGradersServer(t *testing.T) {
	var cfg Config
	out, in, hangUp := grader(t, "once", func(c Config) http.Handler {
		cfg = c
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.CountVisit("cosmo")
			io.WriteString(w, c.Now().UTC().Format(time.RFC3339))
		})
	})
	do := func(c Command) (r Reply) {
		require.NoError(t, out.Encode(c))
		require.NoError(t, in.Decode(&r))
		return r
	}
	settings := All()[4].Settings()
	settings.Secret = bytes.Repeat([]byte("k"), 32)
	settings.Start = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	opened := do(Command{Op: OpOpen, Settings: settings})
	require.Empty(t, opened.Error)
	get := func() string {
		res, err := http.Get("http://" + opened.Addr)
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(text)
	}
	assert.Equal(t, "2031-02-03T04:05:06Z", get(), "the clock stands")
	assert.Equal(t, "2031-02-03T04:05:06Z", get())
	do(Command{Op: OpAdvance, By: time.Hour})
	assert.Equal(t, "2031-02-03T05:05:06Z", get())
	assert.Equal(t, 3, do(Command{Op: OpReport}).Visits)

	added := do(Command{Op: OpAddUser, Username: "laika", Password: "first-orbit"})
	u, ok := cfg.DB.Lookup("laika")
	require.True(t, ok)
	assert.Equal(t, u.ID, added.UserID)
	assert.NotEmpty(t, do(Command{Op: OpAddUser, Username: "laika", Password: "x"}).Error)
	assert.Empty(t, do(Command{Op: OpDeleteUser, Username: "laika"}).Error)
	assert.NotEmpty(t, do(Command{Op: "dance"}).Error)

	again := do(Command{Op: OpOpen, Settings: settings})
	require.Empty(t, again.Error)
	assert.Equal(t, 0, do(Command{Op: OpReport}).Visits, "nothing of the last server is left")
	_, err := net.Dial(opened.Network, opened.Addr)
	assert.Error(t, err, "the last server is closed")
	hangUp()
	_, err = net.Dial(again.Network, again.Addr)
	assert.Error(t, err)
}

func TestAServerThatSaysWhyItDoesNotStart(t *testing.T) {
	args := []string{"-addr", "127.0.0.1:0"}
	says := func(Config) http.Handler { panic(errors.New("the tables cannot be made")) }
	assert.EqualError(t, serve(t.Context(), All()[0], says, nil, args, io.Discard), "the tables cannot be made")
	assert.Panics(t, func() {
		serve(t.Context(), All()[0], func(c Config) http.Handler { var none []int; _ = none[len(c.Secret)]; return nil }, nil, args, io.Discard)
	}, "a fault of the code keeps its trace")
	refuses := func(mockdb.SQLOptions) (mockdb.SQL, error) { return nil, errors.New("no such database") }
	assert.EqualError(t, serve(t.Context(), All()[0], echoed, refuses, append(args, "-db", "nowhere"), io.Discard), "no such database")
	assert.Error(t, serve(t.Context(), All()[0], echoed, nil, append(args, "-db", "nowhere"), io.Discard), "lessons without a database have no such flag")
}

func TestServersThatDoNotOpen(t *testing.T) {
	settings := All()[0].Settings()
	settings.Secret = bytes.Repeat([]byte("k"), 32)
	b := &Bench{New: func(Config) http.Handler { panic("no") }}
	r := b.Do(Command{Op: OpOpen, Settings: settings})
	require.Len(t, r.Panics, 1)
	assert.Equal(t, "no", r.Panics[0].Value)
	b = &Bench{New: func(Config) http.Handler { return nil }}
	assert.Contains(t, b.Do(Command{Op: OpOpen, Settings: settings}).Error, "no handler")
	settings.Secret = nil
	assert.Contains(t, b.Do(Command{Op: OpOpen, Settings: settings}).Error, "secret", "an unsafe configuration opens nothing")
}

// A server that lets people sign in elsewhere is told where, and where it is itself.
func TestTheProviderIsNamedByFlags(t *testing.T) {
	l, err := Find("11-oauth-client")
	require.NoError(t, err)
	got := make(chan Config, 1)
	build := func(c Config) http.Handler {
		got <- c
		return http.NotFoundHandler()
	}
	for _, args := range [][]string{nil, {"-issuer-url", "https://login.example"}, {"-client-id", "app"}} {
		err := serve(t.Context(), l, build, nil, args, io.Discard)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "\n")
		assert.Contains(t, err.Error(), "-issuer-url")
	}
	assert.Error(t, serve(t.Context(), All()[0], build, nil, []string{"-issuer-url", "x"}, io.Discard), "other lessons have no such flag")

	ctx, cancel := context.WithCancel(t.Context())
	var out buffer
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, l, build, nil, []string{"-addr", "127.0.0.1:0", "-url", "http://localhost:8080", "-issuer-url", "https://login.example", "-client-id", "app", "-client-secret", "secret"}, &out)
	}()
	c := <-got
	cancel()
	require.NoError(t, <-ended)
	assert.Equal(t, Provider{Issuer: "https://login.example", ClientID: "app", ClientSecret: "secret"}, c.Provider)
	assert.Equal(t, "http://localhost:8080", c.URL)
	assert.Contains(t, out.String(), "Open http://localhost:8080 in a browser")
}

// What a server logs is there for a grader that asks.
func TestTheBenchKeepsTheLog(t *testing.T) {
	settings := All()[0].Settings()
	settings.Secret = bytes.Repeat([]byte("k"), 32)
	b := &Bench{New: func(c Config) http.Handler {
		c.Log.Warn("refused", "reason", "case-7")
		return http.NotFoundHandler()
	}}
	defer b.Close()
	require.Empty(t, b.Do(Command{Op: OpOpen, Settings: settings}).Error)
	assert.Contains(t, b.Do(Command{Op: OpReport}).Logged, "case-7")
	logbook{b}.Write(bytes.Repeat([]byte("x"), 2*logbookBytes))
	assert.Len(t, b.Do(Command{Op: OpReport}).Logged, logbookBytes)
	require.Empty(t, b.Do(Command{Op: OpOpen, Settings: settings}).Error)
	assert.NotContains(t, b.Do(Command{Op: OpReport}).Logged, "xxxx", "another server, another log")
}
