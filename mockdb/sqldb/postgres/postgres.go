// Package postgres starts a PostgreSQL of one's own, for tests: from the binaries
// that the machine has, in a temporary folder, and gone afterwards.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Env names a server that is there already, as a URL. Then none is started.
const Env = "WORKSHOP_POSTGRES"

// ErrNone is returned, wrapped, where there are neither a server nor binaries.
var ErrNone = errors.New("no PostgreSQL: neither " + Env + " nor initdb in PATH or /usr/lib/postgresql")

// startTime is how long a server may take to come up.
const startTime = time.Minute

// A Server is one that answers at a URL.
type Server struct {
	URL    string
	folder string
	cmd    *exec.Cmd
}

// Start returns the server that [Env] names, or starts one. It is to be stopped.
// Besides [ErrNone] errors are those of the binaries, with what they printed.
func Start(ctx context.Context) (*Server, error) {
	if url := os.Getenv(Env); url != "" {
		return &Server{URL: url}, nil
	}
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	// A socket's path may not be long (108 bytes on Linux), and temporary folders
	// of tests are.
	folder, err := os.MkdirTemp("", "pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder}
	if err := s.start(ctx, bin); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// binaries is the folder of initdb and postgres.
func binaries() (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			return filepath.Dir(initdb), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", ErrNone
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *Server) start(ctx context.Context, bin string) error {
	data := filepath.Join(s.folder, "data")
	if err := giveAway(s.folder); err != nil {
		return err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "workshop", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	asSomebody(initdb)
	initdb.Dir = s.folder
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	// It listens nowhere but in its own folder. Whatever it holds may be lost.
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.folder, "-h", "", "-p", "5432",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=400", "-c", "logging_collector=off")
	asSomebody(s.cmd)
	s.cmd.Dir = s.folder
	var log strings.Builder
	s.cmd.Stderr = &log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	s.URL = "postgres://workshop@/postgres?host=" + url.QueryEscape(s.folder)

	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		conn, err := pgx.Connect(ctx, s.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// Stop ends the server and removes what it left, unless it was there before.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		s.cmd.Process.Signal(os.Interrupt) // a fast shutdown
		s.cmd.Wait()
	}
	if s.folder != "" {
		os.RemoveAll(s.folder)
	}
}
