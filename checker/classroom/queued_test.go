package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/workbook"
)

// partEnv makes this test's program another one: a NATS server with the configuration
// file that it is given, or the command itself.
const partEnv = "CLASSROOM_TEST_PART"

func TestMain(m *testing.M) {
	switch os.Getenv(partEnv) {
	case "nats":
		fmt.Fprintln(os.Stderr, serveNATS(os.Args[1]))
		os.Exit(2)
	case "classroom":
		main()
	}
	os.Exit(m.Run())
}

// serveNATS runs a server until it is killed, and prints its URL once it is there.
func serveNATS(config string) error {
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		return err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		return fmt.Errorf("the server does not start")
	}
	fmt.Println(s.ClientURL())
	s.WaitForShutdown()
	return nil
}

// lines is what a process prints, while it does.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// process starts this program as one of the parts; it is killed with the test, or by
// what is returned.
func process(t *testing.T, as string, env []string, args ...string) (said *lines, kill func()) {
	t.Helper()
	book, err := workbook.Open(".")
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Dir = book.Root
	cmd.Env = append(append(os.Environ(), partEnv+"="+as), env...)
	said = &lines{}
	cmd.Stdout, cmd.Stderr = said, said
	require.NoError(t, cmd.Start())
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)
	return said, kill
}

// soon waits until something is so.
func soon(t *testing.T, what string, limit time.Duration, is func() bool) {
	t.Helper()
	require.Eventually(t, is, limit, 20*time.Millisecond, what)
}

// An authority signs certificates.
type authority struct {
	t      *testing.T
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
	file   string // its own certificate
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t, folder: t.TempDir()}
	a.file, _ = a.sign(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate and its key and returns their files; the first is the
// authority's own.
func (a *authority) sign(name string, c *x509.Certificate) (cert, key string) {
	a.t.Helper()
	a.serial++
	c.SerialNumber, c.Subject = big.NewInt(a.serial), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	if a.cert == nil {
		a.cert, a.key = c, private
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, private.Public(), a.key)
	require.NoError(a.t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	cert, key = filepath.Join(a.folder, name+".pem"), filepath.Join(a.folder, name+".key")
	require.NoError(a.t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(a.t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return cert, key
}

func (a *authority) server(hosts ...string) (cert, key string) {
	c := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return a.sign("server of "+strings.Join(hosts, ","), c)
}

func (a *authority) client() (cert, key string) {
	return a.sign("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// An operator makes credentials as nsc does: it signs accounts, which sign users.
type operator struct {
	t       *testing.T
	folder  string
	account nkeys.KeyPair
	config  string // of the server that trusts it
}

func newOperator(t *testing.T) *operator {
	o := &operator{t: t, folder: t.TempDir()}
	pair := func(make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := make()
		require.NoError(t, err)
		public, err := k.PublicKey()
		require.NoError(t, err)
		return k, public
	}
	top, topName := pair(nkeys.CreateOperator)
	_, system := pair(nkeys.CreateAccount)
	var name string
	o.account, name = pair(nkeys.CreateAccount)
	encode := func(c jwt.Claims, by nkeys.KeyPair) string {
		text, err := c.Encode(by)
		require.NoError(t, err)
		return text
	}
	claims := jwt.NewOperatorClaims(topName)
	claims.SystemAccount = system
	account := jwt.NewAccountClaims(name)
	account.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	o.config = fmt.Sprintf("operator: %q\nsystem_account: %s\nresolver: MEMORY\nresolver_preload { %s: %q, %s: %q }\n", encode(claims, top), system,
		system, encode(jwt.NewAccountClaims(system), top), name, encode(account, top))
	return o
}

// user makes the credentials of somebody who has the account's rights but for what
// changes them, and returns their file.
func (o *operator) user(name string, change func(*jwt.UserClaims)) string {
	k, err := nkeys.CreateUser()
	require.NoError(o.t, err)
	public, err := k.PublicKey()
	require.NoError(o.t, err)
	claims := jwt.NewUserClaims(public)
	claims.Name = name
	if change != nil {
		change(claims)
	}
	text, err := claims.Encode(o.account)
	require.NoError(o.t, err)
	seed, err := k.Seed()
	require.NoError(o.t, err)
	creds, err := jwt.FormatUserConfig(text, seed)
	require.NoError(o.t, err)
	file := filepath.Join(o.folder, name+".creds")
	require.NoError(o.t, os.WriteFile(file, creds, 0o600))
	return file
}

// natsServer starts a server as a process of its own, configured as the README says and
// with more, and returns its URL.
func natsServer(t *testing.T, more string) string {
	t.Helper()
	folder := t.TempDir()
	config := filepath.Join(folder, "nats.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "listen: \"127.0.0.1:-1\"\njetstream { store_dir: %q, sync_interval: always }\n%s", folder, more), 0o600))
	said, _ := process(t, "nats", nil, config)
	var url string
	soon(t, "the server starts", time.Minute, func() bool {
		for s := bufio.NewScanner(strings.NewReader(said.String())); s.Scan(); {
			if strings.Contains(s.Text(), "://127.0.0.1:") {
				url = s.Text()
			}
		}
		return url != ""
	})
	return url
}

func tlsBlock(a *authority, cert, key string) string {
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\n", cert, key, a.file)
}

// A class is graded by a worker at a server that wants to know who comes. The worker is
// killed in the middle of a job, and another one takes over.
func TestAQueueOnItsOwnMachine(t *testing.T) {
	t.Parallel()
	p := room(t)
	ca, o := newAuthority(t, "ca"), newOperator(t)
	serverCert, serverKey := ca.server("127.0.0.1")
	url := natsServer(t, tlsBlock(ca, serverCert, serverKey)+o.config)
	require.True(t, strings.HasPrefix(url, "tls://"), url)
	cert, key := ca.client()
	who := func(name string) []string {
		return []string{"--nats", url, "--nats-ca", ca.file, "--nats-cert", cert, "--nats-key", key, "--nats-credentials", o.user(name, nil)}
	}

	// The test looks on as somebody else.
	conn, err := nats.Connect(url, nats.RootCAs(ca.file), nats.ClientCert(cert, key), nats.UserCredentials(o.user("test", nil)))
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	underWay := func() int {
		n := 0
		if stream, err := js.Stream(context.Background(), "CLASSROOM_JOBS"); err == nil {
			for c := range stream.ListConsumers(context.Background()).Info() {
				n += c.NumAckPending
			}
		}
		return n
	}

	// What workers make, they make here; who is in their sandboxes must get through.
	scratch, err := os.MkdirTemp("", "workers-")
	require.NoError(t, err)
	defer os.RemoveAll(scratch)
	require.NoError(t, os.Chmod(scratch, 0o755))
	worker := func(name string) (*lines, func()) {
		return process(t, "classroom", []string{"TMPDIR=" + scratch}, append([]string{"worker", "--jobs", "1", "--selftest", "never"}, who(name)...)...)
	}

	out := filepath.Join(t.TempDir(), "out")
	folder := class(t, p.root)
	type ended struct {
		code int
		said string
	}
	graded := make(chan ended, 1)
	go func() {
		code, said := say(t, append([]string{"grade", folder, "--out", out, "--lesson", "1", "--lesson", "2"}, who("grader")...)...)
		graded <- ended{code, said}
	}()
	first, kill := worker("first")
	soon(t, "the first worker has a job", 3*time.Minute, func() bool { return underWay() > 0 })
	kill()
	require.Equal(t, 1, underWay(), "it was in the middle of a job: %s", first)
	require.Contains(t, first.String(), "takes jobs for")

	second, kill := worker("second")
	var g ended
	select {
	case g = <-graded:
	case <-time.After(5 * time.Minute):
		require.Fail(t, "the grader does not come to an end", "the second worker says: %s", second)
	}
	require.Equal(t, 1, g.code, g.said) // cy's cannot be graded
	table, err := os.ReadFile(filepath.Join(out, "gradebook.csv"))
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^"'=bob","","[^"]+",17,,17,17,"bwrap",""$`, string(table))
	assert.Regexp(t, `(?m)^"ada","","[^"]+",17,10,27,27,"bwrap",""$`, string(table))
	assert.Regexp(t, `(?m)^"cy","","[^"]+",,,0,17,"bwrap","01-login: it does not compile"$`, string(table))
	done := strings.Count(first.String(), " lessons\n") + strings.Count(second.String(), " lessons\n")
	assert.Equal(t, 3, done, "each student once\n%s\n%s", first, second)
	soon(t, "nothing is left in the queue", time.Minute, func() bool {
		stream, err := js.Stream(context.Background(), "CLASSROOM_JOBS")
		if err != nil {
			return false
		}
		info, err := stream.Info(context.Background())
		return err == nil && info.State.Msgs == 0
	})
	kill()
	left, err := filepath.Glob(filepath.Join(scratch, "classroom-*"))
	require.NoError(t, err)
	assert.Len(t, left, 1, "the second has cleared away what the first left")
}

// Who does not show what the server asks for, and a server that is not the one that is
// meant, end a worker and a grader at once, with what is wrong in a line.
func TestAQueueRefusesStrangers(t *testing.T) {
	t.Parallel()
	ca, other, o := newAuthority(t, "ca"), newAuthority(t, "other"), newOperator(t)
	serverCert, serverKey := ca.server("127.0.0.1")
	secure := natsServer(t, tlsBlock(ca, serverCert, serverKey)+o.config)
	elsewhereCert, elsewhereKey := ca.server("elsewhere.example")
	elsewhere := natsServer(t, tlsBlock(ca, elsewhereCert, elsewhereKey)+o.config)
	plain := natsServer(t, "authorization { user: ada, password: correct }\n")
	token := natsServer(t, "authorization { token: correct }\n")

	cert, key := ca.client()
	strangerCert, strangerKey := other.client()
	known := o.user("known", nil)
	folder := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(folder, "ada", "01-login"), os.DirFS("../../solutions/01-login")))
	at := func(url string, flags map[string]string) []string {
		all := map[string]string{"ca": ca.file, "cert": cert, "key": key, "credentials": known}
		for name, value := range flags {
			all[name] = value
		}
		args := []string{"--nats", url}
		for name, value := range all {
			if value != "" {
				args = append(args, "--nats-"+name, value)
			}
		}
		return args
	}
	none := map[string]string{"ca": "", "cert": "", "key": "", "credentials": ""}
	with := func(url, user string) string { return strings.Replace(url, "://", "://"+user+"@", 1) }

	for name, c := range map[string]struct {
		url   string
		flags map[string]string
		says  string // "" is let in
	}{
		"all of it":                     {url: secure},
		"no CA":                         {secure, map[string]string{"ca": ""}, "signed by unknown authority"},
		"another CA":                    {secure, map[string]string{"ca": other.file}, "signed by unknown authority"},
		"no certificate":                {secure, map[string]string{"cert": "", "key": ""}, "certificate required"},
		"a certificate of another CA":   {secure, map[string]string{"cert": strangerCert, "key": strangerKey}, "certificate"},
		"a certificate without its key": {secure, map[string]string{"key": ""}, "--nats-cert and --nats-key must be used together"},
		"a key without its certificate": {secure, map[string]string{"cert": ""}, "--nats-cert and --nats-key must be used together"},
		"another's key":                 {secure, map[string]string{"key": strangerKey}, "private key does not match public key"},
		"no credentials":                {secure, map[string]string{"credentials": ""}, "Authorization Violation"},
		"credentials of another operator's account": {secure, map[string]string{"credentials": newOperator(t).user("mallory", nil)}, "Authorization Violation"},
		"credentials that have expired": {secure, map[string]string{"credentials": o.user("past", func(c *jwt.UserClaims) { c.Expires = time.Now().Add(-time.Hour).Unix() })},
			"Authorization Violation"},
		"credentials that may do nothing": {secure, map[string]string{"credentials": o.user("mute", func(c *jwt.UserClaims) { c.Pub.Deny.Add(">") })}, "ermissions Violation"},
		"credentials that are not there":  {secure, map[string]string{"credentials": filepath.Join(folder, "none.creds")}, "no such file"},
		"a CA that is not there":          {secure, map[string]string{"ca": filepath.Join(folder, "none.pem")}, "no such file"},
		"a CA that is none":               {secure, map[string]string{"ca": known}, "failed to parse root certificate"},
		"a server of another name":        {url: elsewhere, says: "x509"},
		"a server without TLS":            {with(plain, "ada:correct"), map[string]string{"cert": "", "key": "", "credentials": ""}, "secure connection not available"},
		"a user":                          {url: with(plain, "ada:correct"), flags: none},
		"a user with another password":    {with(plain, "ada:wrong"), none, "Authorization Violation"},
		"nobody":                          {plain, none, "Authorization Violation"},
		"a token":                         {url: with(token, "correct"), flags: none},
		"another token":                   {with(token, "wrong"), none, "Authorization Violation"},
		"what is no URL":                  {"nats://%zz", none, "URL"},
	} {
		for command, args := range map[string][]string{
			"worker": {"worker", "--isolation", "none"},
			"grader": {"grade", folder, "--isolation", "none", "--lesson", "1", "--out", filepath.Join(t.TempDir(), "out")},
		} {
			t.Run(name+", "+command, func(t *testing.T) {
				// Who is let in has something to do; it is enough to see that.
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				var out lines
				ended := make(chan int, 1)
				go func() { ended <- run(ctx, slices.Concat(args, at(c.url, c.flags)), &out, &out) }()
				if c.says == "" {
					soon(t, "it is let in", time.Minute, func() bool { return hasClient(t, c.url, command, o, ca, cert, key) })
					cancel()
					<-ended
					return
				}
				select {
				case code := <-ended:
					assert.Equal(t, 2, code)
				case <-time.After(time.Minute):
					require.Fail(t, "it asks again and again")
				}
				said := strings.TrimPrefix(out.String(), "WARNING: no isolation: submissions run with all your rights, and the gradebook says so\n")
				assert.Contains(t, said, c.says)
				assert.Equal(t, 1, strings.Count(said, "\n"), "a line: %s", said)
				assert.NotContains(t, said, "correct", "no password is printed")
				assert.NotContains(t, said, "wrong")
			})
		}
	}
}

// A worker whose credentials end while it works ends, too, and does not ask for ever.
func TestAWorkerEndsWithItsCredentials(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	url := natsServer(t, o.config)
	soonPast := o.user("soon", func(c *jwt.UserClaims) { c.Expires = time.Now().Add(10 * time.Second).Unix() })
	var out lines
	ended := make(chan int, 1)
	go func() {
		ended <- run(context.Background(), []string{"worker", "--isolation", "none", "--nats", url, "--nats-credentials", soonPast}, &out, &out)
	}()
	select {
	case code := <-ended:
		assert.Equal(t, 2, code)
		assert.Contains(t, out.String(), "takes jobs for workshop", "it was not let in at all")
		// The server says the one as it hangs up, and the other to whoever comes back.
		assert.Regexp(t, "(?i)nats: (user )?auth(entication expired|orization violation)", out.String())
	case <-time.After(2 * time.Minute):
		require.Fail(t, "it does not end", out.String())
	}
}

// hasClient tells whether the command has made what it needs at the server: it was let
// in.
func hasClient(t *testing.T, url, command string, o *operator, ca *authority, cert, key string) bool {
	var options []nats.Option
	if strings.HasPrefix(url, "tls:") {
		options = []nats.Option{nats.RootCAs(ca.file), nats.ClientCert(cert, key), nats.UserCredentials(o.user("looks", nil))}
	}
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return false
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return false
	}
	stream, err := js.Stream(context.Background(), "CLASSROOM_JOBS")
	if err != nil {
		return false
	}
	info, err := stream.Info(context.Background())
	if err != nil {
		return false
	}
	return command == "worker" && info.State.Consumers > 0 || command == "grader" && info.State.Msgs > 0
}
