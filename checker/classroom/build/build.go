package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	gobuild "go/build"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/sandbox"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// LessonEnv tells a program that holds several lessons which one it is to serve.
const LessonEnv = "WORKSHOP_LESSON"

// What building may use. The compiler needs about a tenth of it for a lesson.
const (
	buildCPU   = 30 * time.Second
	buildWall  = 5 * time.Minute // only against what hangs without working
	buildData  = 1 << 30
	buildFile  = 128 << 20
	maxMessage = 16 << 10 // bytes of what the compiler says
	maxImports = 500      // packages that a lesson imports; ours import thirty
)

// A Program is what became of one lesson: a file to run with [LessonEnv], or why
// there is none.
type Program struct {
	Lesson lessons.Lesson
	Path   string
	Err    error // *subject.BuildError where the code is at fault
	Alone  bool  // no other lesson is in it
}

// Build compiles the works of one student into folder, which must be new. Lessons
// that compile share one program, and so one link; a lesson whose packages do
// something before main has one of its own, so that it cannot meddle with others.
// alone gives each its own. An error means that building itself does not work here.
func (k *Kit) Build(ctx context.Context, folder string, works []intake.Work, alone bool) ([]Program, error) {
	b := &builder{kit: k, ctx: ctx, folder: folder}
	for _, sub := range []string{"src/lessons", "out"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return nil, err
		}
	}
	if k.box != nil {
		if err := sandbox.Own(filepath.Join(folder, "out")); err != nil {
			return nil, err
		}
	}
	programs := make([]Program, len(works))
	var together []int
	for i, w := range works {
		programs[i] = Program{Lesson: w.Lesson}
		quiet, err := b.compile(w)
		var fault *subject.BuildError
		switch {
		case errors.As(err, &fault):
			programs[i].Err = fault
		case err != nil:
			return nil, err
		case quiet && !alone:
			together = append(together, i)
		default:
			programs[i].Alone = true
			b.link(&programs[i])
		}
	}
	if len(together) == 1 {
		programs[together[0]].Alone = true
	}
	if len(together) > 0 {
		var group []*Program
		for _, i := range together {
			group = append(group, &programs[i])
		}
		b.link(group...)
		if group[0].Err != nil && len(group) > 1 { // one of them is too much for the linker
			for _, p := range group {
				p.Err, p.Alone = nil, true
				b.link(p)
			}
		}
	}
	return programs, ctx.Err()
}

type builder struct {
	kit    *Kit
	ctx    context.Context
	folder string
	links  int
}

// Sources is the folder in which Build leaves the files that it compiled, below
// that of a student.
func Sources(folder string) string { return filepath.Join(folder, "src") }

func (b *builder) archive(l lessons.Lesson) string {
	return filepath.Join(b.folder, "out", l.ID+".a")
}

// compile compiles a lesson as a package that can be imported, and tells whether it
// is quiet: does nothing before main. The error is a [*subject.BuildError] where the
// code is at fault.
func (b *builder) compile(w intake.Work) (quiet bool, err error) {
	relative := "lessons/" + w.Lesson.ID
	dir := filepath.Join(Sources(b.folder), "lessons", w.Lesson.ID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	fault := func(format string, args ...any) error {
		return &subject.BuildError{Root: Sources(b.folder), Package: "./" + relative, Output: fmt.Sprintf(format, args...)}
	}
	context := gobuild.Context{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Compiler: "gc", ReleaseTags: gobuild.Default.ReleaseTags,
		OpenFile: func(name string) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(w.Files[filepath.Base(name)])), nil
		}}
	var names, imports, problems []string
	var parsed []*ast.File
	for _, name := range slices.Sorted(maps.Keys(w.Files)) {
		text := w.Files[name]
		if path.Ext(name) != ".go" {
			continue
		}
		if wanted, err := context.MatchFile(dir, name); err == nil && !wanted {
			continue
		}
		set := token.NewFileSet()
		file, parseErr := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if file != nil && file.Name != nil && file.Name.Name == "main" {
			at := set.Position(file.Name.Pos()).Offset
			text = slices.Concat(text[:at], []byte(packageName(w.Lesson)), text[at+len("main"):])
		} else if file != nil && file.Name != nil && parseErr == nil {
			problems = append(problems, fmt.Sprintf("%s/%s:%d: package %s; a lesson is package main", relative, name, set.Position(file.Name.Pos()).Line, file.Name.Name))
		}
		if file != nil {
			for _, i := range file.Imports {
				p, _ := strconv.Unquote(i.Path.Value)
				if reason := foreign(p); reason != "" {
					problems = append(problems, fmt.Sprintf("%s/%s:%d: %s", relative, name, set.Position(i.Pos()).Line, reason))
				}
				if !slices.Contains(imports, p) && len(imports) <= maxImports {
					imports = append(imports, p)
				}
			}
			parsed = append(parsed, file)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return false, err
		}
		names = append(names, "./"+relative+"/"+name)
	}
	if len(names) > 0 {
		// main is not exported, and an imported package has none to start.
		text := fmt.Sprintf("package %s\n\n// %s is main, for the program that this lesson shares with others.\nfunc %[2]s() { main() }\n", packageName(w.Lesson), entry)
		if err := os.WriteFile(filepath.Join(dir, entryFile), []byte(text), 0o644); err != nil {
			return false, err
		}
		names = append(names, "./"+relative+"/"+entryFile)
	}
	if len(imports) > maxImports {
		problems = append(problems, fmt.Sprintf("%s: it imports more than %d packages", relative, maxImports))
	}
	if len(problems) > 0 {
		return false, fault("%s\n", strings.Join(problems, "\n"))
	}
	if len(names) == 0 {
		return false, fault("build constraints exclude all Go files in %s\n", relative)
	}
	if err := b.kit.want(b.ctx, imports); err != nil {
		return false, err
	}
	args := []string{"-o", b.archive(w.Lesson), "-trimpath", Sources(b.folder) + "=>" + module, "-p", module + "/" + relative,
		"-lang=" + b.kit.lang, "-complete", "-c=1", "-nolocalimports", "-importcfg", b.kit.config(), "-pack",
		"-N", "-l"} // to make a lesson's own code fast takes longer than it then runs
	mounts := []sandbox.Mount{}
	if e := b.kit.embeds[w.Lesson.ID]; len(e.patterns) > 0 {
		config, err := e.config(filepath.Join(dir, "embedcfg"))
		if err != nil {
			return false, err
		}
		args = append(args, "-embedcfg", config)
		mounts = append(mounts, sandbox.Mount{From: e.folder, To: e.folder})
	}
	said, err := b.tool("compile", append(args, names...), mounts...)
	if err != nil {
		return false, err
	}
	if said != "" {
		return false, fault("%s", said)
	}
	return isQuiet(parsed), nil
}

// The way into a lesson from a program that holds several. The intake takes no file
// whose name begins so.
const (
	entry     = "WorkshopMain"
	entryFile = "_entry.go"
)

func packageName(l lessons.Lesson) string { return "lesson" + l.ID[:2] }

// link makes one program of lessons that were compiled.
func (b *builder) link(programs ...*Program) {
	b.links++
	fail := func(err error) {
		for _, p := range programs {
			p.Err = err
		}
	}
	var source, config strings.Builder
	source.WriteString("package main\n\nimport (\n\t\"os\"\n\n")
	base, err := os.ReadFile(b.kit.config())
	if err != nil {
		fail(err)
		return
	}
	config.Write(base)
	for _, p := range programs {
		fmt.Fprintf(&source, "\t%q\n", module+"/lessons/"+p.Lesson.ID)
		fmt.Fprintf(&config, "packagefile %s/lessons/%s=%s\n", module, p.Lesson.ID, b.archive(p.Lesson))
	}
	source.WriteString(")\n\nfunc main() {\n")
	fmt.Fprintf(&source, "\tswitch os.Getenv(%q) {\n", LessonEnv)
	for _, p := range programs {
		fmt.Fprintf(&source, "\tcase %q:\n\t\t%s.%s()\n", p.Lesson.ID, packageName(p.Lesson), entry)
	}
	source.WriteString("\t}\n}\n")
	name := fmt.Sprintf("main%d", b.links)
	at := func(sub, end string) string { return filepath.Join(b.folder, sub, name+end) }
	if err := errors.Join(os.WriteFile(at("src", ".go"), []byte(source.String()), 0o644), os.WriteFile(at("src", ".cfg"), []byte(config.String()), 0o644)); err != nil {
		fail(err)
		return
	}
	said, err := b.tool("compile", []string{"-o", at("out", ".a"), "-trimpath", Sources(b.folder) + "=>" + module, "-p", "main", "-lang=" + b.kit.lang, "-complete", "-c=1", "-importcfg", at("src", ".cfg"), "-pack", "./" + name + ".go"})
	if err == nil && said == "" {
		args := []string{"-o", at("out", exe), "-importcfg", at("src", ".cfg"), "-buildmode=exe", "-s", "-w"}
		if b.kit.godebug != "" {
			args = append(args, "-X=runtime.godebugDefault="+b.kit.godebug)
		}
		said, err = b.tool("link", append(args, at("out", ".a")))
	}
	switch {
	case err != nil:
		fail(err)
	case said != "":
		fail(&subject.BuildError{Root: Sources(b.folder), Package: "main", Output: said})
	default:
		for _, p := range programs {
			p.Path = at("out", exe)
		}
	}
}

// tool runs the compiler or the linker. It returns what it complained about; an
// error means that it could not be run.
func (b *builder) tool(name string, args []string, more ...sandbox.Mount) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, buildWall)
	defer cancel()
	program := filepath.Join(b.kit.folder, "tool", name+exe)
	src, out := Sources(b.folder), filepath.Join(b.folder, "out")
	cmd := exec.CommandContext(ctx, program, args...)
	// One student after another uses each core, so a compiler need not spread.
	env := []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=512MiB", "TMPDIR=/tmp", "PWD=" + src}
	if b.kit.box != nil {
		var err error
		cmd, err = b.kit.box.Command(ctx, sandbox.Spec{
			Args: append([]string{program}, args...), Dir: src, Env: env,
			Mounts: append([]sandbox.Mount{{From: b.kit.folder, To: b.kit.folder}, {From: src, To: src}, {From: out, To: out, Write: true}}, more...),
			Tmp:    16 << 20,
			Limits: sandbox.Limits{CPU: buildCPU, Data: buildData, File: buildFile, Open: 1024, Tasks: 64},
		})
		if err != nil {
			return "", err
		}
	} else {
		cmd.Dir, cmd.Env = src, append(os.Environ(), env...)
	}
	said := &head{}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	var exit *exec.ExitError
	switch {
	case b.ctx.Err() != nil:
		return "", b.ctx.Err()
	case err == nil:
		return "", nil
	case !errors.As(err, &exit):
		return "", fmt.Errorf("the %sr does not run: %w", strings.TrimSuffix(name, "e"), err)
	}
	text := strings.ReplaceAll(said.String(), "<autogenerated>", "generated code")
	if exit.ExitCode() == 125 && strings.HasPrefix(text, "confine: ") || strings.HasPrefix(text, "bwrap: ") {
		return "", fmt.Errorf("the sandbox does not start: %s", text)
	}
	if strings.TrimSpace(text) == "" || exit.ExitCode() > 2 || exit.ExitCode() < 0 {
		text += fmt.Sprintf("\ntoo much for the %s: it may use %v of processor time and %d MiB of memory\n", name, buildCPU, buildData>>20)
	}
	return text, nil
}

// A head keeps the beginning of what is written to it.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), max(0, maxMessage-h.Len()))])
	return len(p), nil
}

// config writes the compiler's list of embedded files.
func (e embeds) config(to string) (string, error) {
	patterns, files := map[string][]string{}, map[string]string{}
	for _, f := range e.files {
		files[f] = filepath.Join(e.folder, filepath.FromSlash(f))
	}
	for _, p := range e.patterns {
		bare := strings.TrimPrefix(p, "all:")
		patterns[p] = []string{}
		for _, f := range e.files {
			if ok, _ := path.Match(bare, f); ok || strings.HasPrefix(f, bare+"/") || inMatched(bare, f) {
				patterns[p] = append(patterns[p], f)
			}
		}
	}
	text, err := json.Marshal(map[string]any{"Patterns": patterns, "Files": files})
	if err != nil {
		return "", err
	}
	return to, os.WriteFile(to, text, 0o644)
}

// inMatched tells whether a folder above the file matches the pattern.
func inMatched(pattern, file string) bool {
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if ok, _ := path.Match(pattern, dir); ok {
			return true
		}
	}
	return false
}
