package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"jwtworkshop/checker/classroom/build"
	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/classroom/sandbox"
	"jwtworkshop/checker/workbook"
)

// The ways of isolation.
const (
	bwrap = "bwrap"
	none  = "none"
)

// isolated are the flags of commands that run what students wrote.
type isolated struct {
	Isolation string `enum:"bwrap,none" default:"bwrap" help:"bwrap, or none: submissions then run with all your rights."`
}

// A place is where submissions are graded on this machine. It is set up when the
// first one comes: a class that has not changed costs nothing.
type place struct {
	root      string
	isolation string
	about     string // what marks depend on besides the work itself

	once   sync.Once
	folder string
	marker *marking.Marker
	err    error
}

// newPlace finds the workshop and says what grades in it depend on.
func newPlace(ctx context.Context, isolation string) (*place, error) {
	book, err := workbook.Open(".")
	if err != nil {
		return nil, err
	}
	p := &place{root: book.Root, isolation: isolation}
	graders, err := hashOf(p.root, append(workbook.Graders(), "go.sum", "checker/upstream/*.go", "checker/classroom/build/*.go", "checker/classroom/marking/*.go", "checker/classroom/intake/*.go"))
	if err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOVERSION: %w", err)
	}
	p.about = fmt.Sprintf("workshop %s, %s, isolation %s", graders[:16], strings.TrimSpace(string(version)), isolation)
	return p, nil
}

// hashOf identifies the files that the patterns name below root.
func hashOf(root string, patterns []string) (string, error) {
	h := sha256.New()
	tree := os.DirFS(root)
	for _, pattern := range patterns {
		names, err := fs.Glob(tree, pattern)
		if err != nil {
			return "", err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s %d\n", name, len(text))
			h.Write(text)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// setUp makes ready to build and grade. It returns an error that wraps
// [sandbox.ErrUnavailable] where submissions cannot be isolated.
func (p *place) setUp(ctx context.Context) (*marking.Marker, error) {
	p.once.Do(func() {
		sweep()
		if p.folder, p.err = os.MkdirTemp("", fmt.Sprintf("classroom-%d-", os.Getpid())); p.err != nil {
			return
		}
		if p.err = os.Chmod(p.folder, 0o711); p.err != nil { // who is in a sandbox must get through
			return
		}
		var box *sandbox.Box
		if p.isolation == bwrap {
			box, p.err = sandbox.New(ctx, p.root, filepath.Join(p.folder, "box"))
			if errors.Is(p.err, sandbox.ErrUnavailable) {
				p.err = fmt.Errorf("%w\nnothing is graded; --isolation none runs submissions with all your rights", p.err)
			}
		}
		if p.err != nil {
			return
		}
		var kit *build.Kit
		if kit, p.err = build.Prepare(ctx, p.root, filepath.Join(p.folder, "kit"), box); p.err != nil {
			return
		}
		// Called as no other grader's is: by that name an exam knows its sandboxes.
		work := filepath.Join(p.folder, filepath.Base(p.folder))
		if p.err = os.Mkdir(work, 0o755); p.err != nil {
			return
		}
		p.marker = &marking.Marker{Kit: kit, Box: box, Folder: work}
	})
	return p.marker, p.err
}

// sweep removes what graders that were killed have left behind.
func sweep() {
	if _, err := os.Stat("/proc/self"); err != nil {
		return // nobody knows who still lives
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "classroom-[0-9]*-*"))
	for _, folder := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), "classroom-"), "-")
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, fs.ErrNotExist) {
			os.RemoveAll(folder) // another user's stays
		}
	}
}

// Mark grades on this machine.
func (p *place) Mark(ctx context.Context, works []intake.Work) ([]marking.Mark, error) {
	m, err := p.setUp(ctx)
	if err != nil {
		return nil, err
	}
	return m.Mark(ctx, works)
}

// Close removes what was set up.
func (p *place) Close() error {
	if p.folder == "" {
		return nil
	}
	return os.RemoveAll(p.folder)
}

// atOnce is how many students are graded at a time where nobody says it: each waits,
// for a server's answer or the disk, about as long as it works.
func atOnce(asked int) int { return cmp.Or(asked, 2*runtime.NumCPU()) }
