package lessons

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"jwtworkshop/mockdb"
)

// Serve is the main function of every lesson. For a person it serves what
// newServer builds on the real clock until Ctrl-C; -h lists the flags. Started
// by a grader it does what the grader says (see [Bench]). A lesson with a real
// database says how it is opened. Serve does not return.
func Serve(newServer New, database ...mockdb.OpenSQL) {
	var open mockdb.OpenSQL
	if len(database) > 0 {
		open = database[0]
	}
	if served, err := ServeGrader(newServer, open); err != nil {
		fmt.Fprintln(os.Stderr, "no grader answers:", err)
		os.Exit(2)
	} else if served {
		os.Exit(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := serve(ctx, thisLesson(), newServer, open, os.Args[1:], os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

// ServeGrader does what a grader says until it hangs up, if one has started this
// program, and tells whether one has. An error means that it does not answer.
func ServeGrader(newServer New, open mockdb.OpenSQL) (bool, error) {
	target := os.Getenv(ControlEnv)
	if target == "" {
		return false, nil
	}
	token := os.Getenv(TokenEnv)
	os.Unsetenv(ControlEnv)
	os.Unsetenv(TokenEnv)
	return true, serveControl(target, token, newServer, open)
}

// thisLesson is the lesson whose program is running, by the path of its package.
func thisLesson() Lesson {
	if info, ok := debug.ReadBuildInfo(); ok {
		if l, err := Find(path.Base(info.Path)); err == nil {
			return l
		}
	}
	return All()[0]
}

// serve runs a person's server until ctx ends. Errors are of one line.
func serve(ctx context.Context, l Lesson, newServer New, open mockdb.OpenSQL, args []string, out io.Writer) error {
	s := l.Settings()
	flags := flag.NewFlagSet(l.ID, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	secret := flags.String("secret", "", "sign tokens with this, at least 32 bytes (fresh and random unless given)")
	flags.StringVar(&s.Issuer, "issuer", s.Issuer, "the iss of the tokens")
	flags.StringVar(&s.Audience, "audience", s.Audience, "the aud of the tokens")
	flags.DurationVar(&s.AccessTTL, "access-ttl", s.AccessTTL, "how long an access token lives")
	flags.DurationVar(&s.RefreshTTL, "refresh-ttl", s.RefreshTTL, "how long a refresh token lives")
	flags.DurationVar(&s.FreshFor, "fresh-for", s.FreshFor, "how long a login counts as fresh")
	flags.DurationVar(&s.SessionTTL, "session-ttl", s.SessionTTL, "when a session ends for good")
	if l.Upstream {
		flags.StringVar(&s.Upstream, "upstream", "", "log in at the API at this `URL`; make run starts one")
	}
	if l.Keys {
		flags.DurationVar(&s.KeyTTL, "key-ttl", s.KeyTTL, "how long a key signs before the next one does")
	}
	if open != nil {
		flags.StringVar(&s.Database, "db", "workshop.db", "keep users and sessions in this `file` or at postgres://…")
	}
	if l.SignsIn {
		flags.StringVar(&s.URL, "url", "", "where this server is reached, if that is not where it listens: `http://localhost:8080`")
		flags.StringVar(&s.Provider.Issuer, "issuer-url", "", "the `issuer` of the provider that people sign in at")
		flags.StringVar(&s.Provider.ClientID, "client-id", "", "what the provider calls this application")
		flags.StringVar(&s.Provider.ClientSecret, "client-secret", "", "the application's secret there; none is a public client")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		flags.PrintDefaults()
		return err
	} else if err != nil {
		return fmt.Errorf("%w: see -h", err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: see -h", flags.Arg(0))
	}
	if l.Upstream && s.Upstream == "" {
		return fmt.Errorf("this server logs in at an API: say where with -upstream, or let make run LESSON=%s start one", l.ID[:2])
	}
	s.Secret = []byte(*secret)
	if *secret == "" {
		s.Secret = []byte(rand.Text() + rand.Text())
	}

	log := slog.New(slog.NewTextHandler(out, nil))
	cfg := s.Config(mockdb.New(mockdb.OWASP), time.Now)
	cfg.Log = log
	cfg.CountVisit = func(username string) { log.Info("dashboard shown", "to", username) }
	if err := cfg.Validate(); err != nil {
		return err
	}
	if open != nil {
		database, err := open(mockdb.SQLOptions{Source: s.Database, People: cfg.DB.Users()})
		if err != nil {
			return err
		}
		defer database.Close()
		cfg.SQL = database.DB()
	}
	if l.SignsIn && (cfg.Provider.Issuer == "" || cfg.Provider.ClientID == "") {
		return fmt.Errorf("people are to sign in at a provider, and none is named: make run LESSON=%02d starts one, or say -issuer-url and -client-id", l.Number())
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (%w): is another server running there? Try -addr 127.0.0.1:8081", *addr, err)
	}
	if cfg.URL == "" {
		cfg.URL = baseURL(listener)
	}
	fmt.Fprintf(out, "%s · your server listens on http://%s, Ctrl-C ends it. %s\n\n", l.ID, listener.Addr(), l.toTry(cfg.URL))

	handler, err := start(newServer, cfg)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:           logRequests(handler, log),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info("shutting down")
	grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("requests were still running after 3 s: %w", err)
	}
	return nil
}

// start builds a server. What New says by a panic with an error of its own is said
// in a line; a fault of its code keeps its trace.
func start(newServer New, cfg Config) (handler http.Handler, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			panic(v)
		case error:
			err = v
		default:
			panic(v)
		}
	}()
	return newServer(cfg), nil
}

// toTry is what a person may do first with a server at that URL.
func (l Lesson) toTry(url string) string {
	if l.SignsIn {
		return fmt.Sprintf("Open %s in a browser.", url)
	}
	text := fmt.Sprintf(`Try, in another terminal:

  curl -i %s/login -H 'Content-Type: application/json' -d '{"username":"cosmo","password":"space-corgi"}'`, url)
	if l.Upstream {
		text += fmt.Sprintf("\n  curl -i %s/profile\n\nand in a browser %[1]s/app/", url)
	}
	return text
}

// logRequests logs method, path, status and time of each request: no header, no
// body and no query, for those hold passwords and tokens.
func logRequests(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		log.Info("request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "took", time.Since(start).Round(time.Microsecond))
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusRecorder) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is inside.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
