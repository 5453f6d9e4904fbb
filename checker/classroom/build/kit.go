// Package build turns what students handed in into programs, by the compiler and
// the linker alone. The go command is not asked, so there is no build cache that a
// submission could write to or read from, no go.mod and no flag of its own to obey:
// a [Kit] holds what lessons may import, compiled beforehand and only read.
package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"jwtworkshop/checker/classroom/sandbox"
	"jwtworkshop/lessons"
)

// A Kit is a compiler, a linker and the compiled packages that a lesson may import.
type Kit struct {
	GoVersion string // of the toolchain: "go1.26.8"

	root    string
	folder  string
	box     *sandbox.Box // nil builds without isolation
	lang    string       // "go1.26"
	godebug string
	embeds  map[string]embeds // by lesson

	adding   sync.Mutex // one go command at a time
	mu       sync.Mutex
	packages map[string]string // import path → archive
	absent   map[string]bool   // import paths that cannot be had
}

// embeds are the files that a lesson's given code embeds.
type embeds struct {
	patterns []string
	files    []string // relative to folder
	folder   string
}

// module is what lessons share; their own packages are compiled per student.
const module = "jwtworkshop"

// Prepare compiles, with the workshop at root and its owner's build cache, what
// lessons import, and copies it into folder, which must be new. Programs are built
// in box, or without isolation where it is nil.
func Prepare(ctx context.Context, root, folder string, box *sandbox.Box) (*Kit, error) {
	k := &Kit{root: root, folder: folder, box: box, packages: map[string]string{}, absent: map[string]bool{}, embeds: map[string]embeds{}}
	for _, sub := range []string{"pkg", "tool"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return nil, err
		}
	}
	var env struct{ GOVERSION, GOTOOLDIR string }
	if output, err := k.command(ctx, "env", "-json", "GOVERSION", "GOTOOLDIR"); err != nil {
		return nil, err
	} else if err := json.Unmarshal(output, &env); err != nil {
		return nil, err
	}
	k.GoVersion = env.GOVERSION
	for _, tool := range []string{"compile", "link"} {
		if err := k.copyTool(ctx, env.GOTOOLDIR, tool); err != nil {
			return nil, err
		}
	}
	output, err := k.command(ctx, "list", "-m", "-f", "{{.GoVersion}}")
	if err != nil {
		return nil, err
	}
	k.lang = version.Lang("go" + strings.TrimSpace(string(output)))
	paths := []string{"./lessons", "./mockdb"}
	for _, l := range lessons.All() {
		paths = append(paths, "./solutions/"+l.ID)
		if _, err := os.Stat(filepath.Join(root, "solutions", l.ID)); err != nil {
			paths[len(paths)-1] = "./lessons/" + l.ID
		}
	}
	if err := k.add(ctx, paths); err != nil {
		return nil, err
	}
	return k, nil
}

// command runs the go command in the workshop, as its owner.
func (k *Kit) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = k.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOTOOLCHAIN=local")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args[:min(2, len(args))], " "), err, complaints.String())
	}
	return output, nil
}

// copyTool copies a tool of the toolchain. One that is not there is built.
func (k *Kit) copyTool(ctx context.Context, from, tool string) error {
	to := filepath.Join(k.folder, "tool", tool+exe)
	err := copyFile(filepath.Join(from, tool+exe), to, 0o755)
	if errors.Is(err, os.ErrNotExist) {
		_, err = k.command(ctx, "build", "-o", to, "cmd/"+tool)
	}
	return err
}

var exe = func() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}()

// listed is what go list says of a package.
type listed struct {
	ImportPath     string
	Dir            string
	Name           string
	Export         string
	DefaultGODEBUG string
	EmbedPatterns  []string
	EmbedFiles     []string
	Error          *struct{ Err string }
}

// add compiles packages and all that they import and takes them into the kit. One
// at a time may; others read.
func (k *Kit) add(ctx context.Context, paths []string) error {
	output, err := k.command(ctx, append([]string{"list", "-e", "-trimpath", "-export", "-deps",
		"-json=ImportPath,Dir,Name,Export,DefaultGODEBUG,EmbedPatterns,EmbedFiles,Error"}, paths...)...)
	if err != nil {
		return err
	}
	for d := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if l, err := lessons.Find(p.ImportPath); err == nil && p.Name == "main" {
			k.embeds[l.ID] = embeds{patterns: p.EmbedPatterns, files: p.EmbedFiles, folder: p.Dir}
			k.godebug = p.DefaultGODEBUG
			continue
		}
		if p.Export == "" || k.packages[p.ImportPath] != "" {
			continue
		}
		archive := filepath.Join(k.folder, "pkg", fmt.Sprintf("%d.a", len(k.packages)))
		if err := copyFile(p.Export, archive, 0o644); err != nil {
			return err
		}
		k.mu.Lock()
		k.packages[p.ImportPath] = archive
		k.mu.Unlock()
	}
	var config strings.Builder
	for _, path := range slices.Sorted(maps.Keys(k.packages)) {
		fmt.Fprintf(&config, "packagefile %s=%s\n", path, k.packages[path])
	}
	// Another build may be reading the old one.
	next := filepath.Join(k.folder, "next")
	if err := os.WriteFile(next, []byte(config.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(next, k.config())
}

// config is the file that lists the packages for compiler and linker.
func (k *Kit) config() string { return filepath.Join(k.folder, "importcfg") }

// importable is what a path of a package must look like before the go command is
// asked for it.
var importable = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9._~-]+)*$`)

// many are words that the go command takes for more than one package (go help
// packages).
var many = []string{"all", "std", "cmd", "tool", "work"}

// literal tells whether the go command takes a path for that of one package, and for
// nothing else: no pattern, no word of its own, no file.
func literal(path string) bool {
	return importable.MatchString(path) && len(path) < 200 && !strings.Contains(path, "...") && !strings.HasSuffix(path, ".go") && !slices.Contains(many, path)
}

// want sees to it that the kit holds the packages if they can be had: those of the
// standard library and of the modules in go.mod. The compiler complains about the
// others. Who wants nothing new does not wait for who does.
func (k *Kit) want(ctx context.Context, paths []string) error {
	if len(k.missing(paths)) == 0 {
		return nil
	}
	k.adding.Lock()
	defer k.adding.Unlock()
	missing := k.missing(paths) // somebody may have wanted the same
	if len(missing) == 0 {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	err := k.add(within, missing)
	if refused(err) && len(missing) > 1 { // by one of them, perhaps
		for _, path := range missing {
			if err = k.add(within, []string{path}); err != nil && !refused(err) {
				break
			}
		}
	}
	if err != nil && !refused(err) {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.absent) > 10_000 {
		clear(k.absent) // somebody makes names up
	}
	for _, path := range missing {
		k.absent[path] = k.packages[path] == ""
	}
	return nil
}

// refused tells whether the go command has said no to what it was asked for: that cannot
// be had. One that was killed has said nothing.
func refused(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() > 0
}

// missing are those of the paths that the go command has not been asked for yet.
func (k *Kit) missing(paths []string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var missing []string
	for _, path := range paths {
		if k.packages[path] == "" && !k.absent[path] && literal(path) && foreign(path) == "" && !slices.Contains(missing, path) {
			missing = append(missing, path)
		}
	}
	return missing
}

// foreign says why a lesson may not import a package, "" if it may. The compiler by
// itself would let it: these are rules of the go command.
func foreign(path string) string {
	parts := strings.Split(path, "/")
	switch {
	case slices.Contains(parts, "internal"), slices.Contains(parts, "vendor"):
		return "use of internal package " + path + " not allowed"
	case parts[0] == "cmd":
		return path + " is a part of the toolchain"
	case parts[0] == module && path != module+"/lessons" && (len(parts) < 2 || parts[1] != "mockdb"):
		return "a lesson imports no other part of the workshop than lessons and mockdb"
	}
	return ""
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
