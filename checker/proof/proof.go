// Package proof is the graders' own exam. Each case is a change to a reference
// solution, or to a right case: a wrong one must go red at the step that is about
// its mistake and nowhere else, a right one must pass as the solution does.
//
// A case is a txtar file (golang.org/x/tools/txtar). A wrong one stands in
// wrong/ and says:
//
//	wrong: alg none is accepted
//	mistake: 27
//	lesson: 03-protect
//	step: unsigned-token-is-refused
//	also: some-other-step
//	-- token.go.edit --
//	<<<
//	old text, exactly as in the solution, where it occurs once
//	===
//	new text
//	>>>
//	-- extra.go --
//	a whole file, new or in place of the solution's
//	-- refresh.go.delete --
//
// "mistake" is a number of [Mistakes], or several with commas between them, or 0
// where none fits; "also" lists further steps that are bound to go red; "ends:
// error" says that they cannot be graded rather than fail. "over: right/05-echo-jwt"
// lays the case over that right case in place of the solution: the same mistake
// in another design. What it edits and deletes is then what the right case made
// of the folder, and its lesson is the right case's. All three may be missing.
// A right case stands in right/ and has "right" and "lesson" only.
package proof

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/lessons"
)

// Corpus is the cases of this package: the folders wrong/ and right/.
//
//go:embed wrong right
var Corpus embed.FS

// A Case is a server that is known to be wrong, or known to be right.
type Case struct {
	Name     string // its folder and file: "wrong/027-alg-none"
	Right    bool   // it must pass
	Title    string // what is wrong, or what is different, in a line
	Lesson   lessons.Lesson
	Over     string       // the name of the right case that it is laid over; empty is the solution
	Mistakes []int        // numbers in [Mistakes]; empty for a right case, and where none fits
	Step     string       // the step that must go red; empty for a right case
	Also     []string     // further ones
	Ends     grade.Status // how they go red: [grade.Failed] or [grade.Error]

	files map[string][]byte // what differs from the solution's folder; nil is deleted
}

// An Invalid says where a case is written wrongly.
type Invalid struct {
	File string // "wrong/027-alg-none.txtar"
	Line int    // from 1 on; 0 is the whole file
	What string
}

func (e *Invalid) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.What
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What)
}

// Load reads wrong/*.txtar and right/*.txtar of a corpus and lays them over the
// solutions, a folder with one folder for each lesson. The cases are in the order
// of their names. Errors are [*Invalid], all of them, joined.
func Load(corpus, solutions fs.FS) ([]Case, error) {
	var cases []Case
	var problems []error
	right := map[string]Case{}
	for _, folder := range []string{"right", "wrong"} {
		entries, err := fs.ReadDir(corpus, folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			file := path.Join(folder, e.Name())
			if path.Ext(file) != ".txtar" {
				problems = append(problems, &Invalid{File: file, What: "a case is a .txtar file"})
				continue
			}
			text, err := fs.ReadFile(corpus, file)
			if err != nil {
				return nil, err
			}
			r := reader{file: file, solutions: solutions, right: right}
			c := r.read(text, folder == "right")
			if c.Right {
				right[c.Name] = c
			}
			cases, problems = append(cases, c), append(problems, r.problems...)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return cases, nil
}

// A reader reads one case and goes on after a problem, to tell them all.
type reader struct {
	file      string
	solutions fs.FS
	right     map[string]Case // those that were read before
	problems  []error
}

func (r *reader) invalid(line int, format string, args ...any) {
	r.problems = append(r.problems, &Invalid{File: r.file, Line: line, What: fmt.Sprintf(format, args...)})
}

func (r *reader) read(text []byte, right bool) Case {
	archive := txtar.Parse(text)
	c := Case{Name: strings.TrimSuffix(r.file, ".txtar"), Right: right, Ends: grade.Failed, files: map[string][]byte{}}
	r.header(&c, string(archive.Comment))
	if len(archive.Files) == 0 {
		r.invalid(0, "it changes no file")
	}
	line := strings.Count(string(archive.Comment), "\n")
	for _, f := range archive.Files {
		line++ // of the marker
		r.section(&c, f, line)
		line += strings.Count(string(f.Data), "\n")
	}
	for name, text := range r.right[c.Over].files {
		if _, changed := c.files[name]; !changed {
			c.files[name] = text
		}
	}
	return c
}

// laidOver is what the case is laid over, in words.
func laidOver(c *Case) string {
	if c.Over != "" {
		return c.Over
	}
	return "the solution"
}

// original is a file of what the case is laid over.
func (r *reader) original(c *Case, name string) ([]byte, bool) {
	if text, changed := r.right[c.Over].files[name]; changed {
		return text, text != nil
	}
	text, err := fs.ReadFile(r.solutions, path.Join(c.Lesson.ID, name))
	return text, err == nil
}

// header reads the "key: value" lines above the first file.
func (r *reader) header(c *Case, text string) {
	required := []string{"wrong", "mistake", "lesson", "step"}
	known := []string{"wrong", "mistake", "lesson", "over", "step", "also", "ends"}
	if c.Right {
		required = []string{"right", "lesson"}
		known = required
	}
	seen := map[string]bool{}
	number, over := 0, 0
	for text := range strings.Lines(text) {
		number++
		if strings.TrimSpace(text) == "" {
			continue
		}
		key, value, found := strings.Cut(text, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !found:
			r.invalid(number, "this line is no \"key: value\"")
			continue
		case !slices.Contains(known, key):
			r.invalid(number, "unknown key %q; known are %s", key, strings.Join(known, ", "))
			continue
		case seen[key]:
			r.invalid(number, "%q for the second time", key)
		case value == "":
			r.invalid(number, "%q has no value", key)
		}
		seen[key] = true
		switch key {
		case "wrong", "right":
			c.Title = value
		case "mistake":
			for _, one := range list(value) {
				n, err := strconv.Atoi(one)
				if err != nil || n < 0 {
					r.invalid(number, "%q is no number of a mistake", one)
				} else if n > 0 {
					c.Mistakes = append(c.Mistakes, n)
				}
			}
		case "lesson":
			l, err := lessons.Find(value)
			if err != nil || l.ID != value {
				r.invalid(number, "there is no lesson %q", value)
			}
			c.Lesson = l
		case "over":
			if _, there := r.right[value]; !there {
				r.invalid(number, "there is no right case %q", value)
				continue
			}
			c.Over, over = value, number
		case "step":
			c.Step = value
		case "also":
			c.Also = list(value)
		case "ends":
			c.Ends = grade.Status(value)
			if c.Ends != grade.Error && c.Ends != grade.Failed {
				r.invalid(number, "a step ends %s or %s, not %s", grade.Failed, grade.Error, value)
			}
		}
	}
	for _, key := range required {
		if !seen[key] {
			r.invalid(0, "its header has no %q", key)
		}
	}
	if base, laid := r.right[c.Over]; laid && base.Lesson.ID != c.Lesson.ID {
		r.invalid(over, "%s is of lesson %q, not of %q", c.Over, base.Lesson.ID, c.Lesson.ID)
	}
}

// list splits "a, b" at its commas.
func list(value string) []string {
	var items []string
	for item := range strings.SplitSeq(value, ",") {
		items = append(items, strings.TrimSpace(item))
	}
	return items
}

// section lays one file of the archive over the solution's folder, or over what
// the right case made of it. line is where its marker stands.
func (r *reader) section(c *Case, f txtar.File, line int) {
	name, edits := strings.CutSuffix(f.Name, ".edit")
	deletes := false
	if !edits {
		name, deletes = strings.CutSuffix(f.Name, ".delete")
	}
	if path.Base(name) != name || path.Ext(name) != ".go" {
		r.invalid(line, "%q is no Go file of the solution's own folder", name)
		return
	}
	if _, twice := c.files[name]; twice {
		r.invalid(line, "%s for the second time", name)
		return
	}
	if !edits && !deletes {
		c.files[name] = f.Data
		return
	}
	text, there := r.original(c, name)
	if !there {
		r.invalid(line, "%s of %s has no %s", laidOver(c), c.Lesson.ID, name)
		return
	}
	if deletes {
		if strings.TrimSpace(string(f.Data)) != "" {
			r.invalid(line+1, "text after the marker of a file that is to be deleted")
		}
		c.files[name] = nil
		return
	}
	c.files[name] = r.edit(string(text), laidOver(c)+"'s "+name, string(f.Data), line)
}

// A span is a piece of a file and what it becomes.
type span struct {
	from, to int
	text     string
}

// edit carries out the blocks of an .edit section on the text of a file. name is
// that file in words.
func (r *reader) edit(original, name, blocks string, line int) []byte {
	const outside, before, after = 0, 1, 2
	var spans []span
	var oldText, newText strings.Builder
	state, began := outside, 0
	for text := range strings.Lines(blocks) {
		line++
		switch mark := strings.TrimRight(text, "\r\n"); {
		case state == outside && mark == "<<<":
			state, began = before, line
			oldText.Reset()
			newText.Reset()
		case state == before && mark == "===":
			state = after
		case state == after && mark == ">>>":
			state = outside
			if s, ok := r.locate(original, name, oldText.String(), began); ok {
				s.text = strings.TrimSuffix(newText.String(), "\n")
				if s.text == original[s.from:s.to] {
					r.invalid(began, "this block changes nothing")
				}
				spans = append(spans, s)
			}
		case state == before:
			oldText.WriteString(text)
		case state == after:
			newText.WriteString(text)
		case mark != "":
			r.invalid(line, "text outside <<< === >>>")
		}
	}
	if state != outside {
		r.invalid(began, "this block has no end: <<< old === new >>>, each mark on a line of its own")
	} else if began == 0 {
		r.invalid(line, "the edit of %s has no block: <<< old === new >>>, each mark on a line of its own", name)
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	var edited strings.Builder
	at := 0
	for _, s := range spans {
		if s.from < at {
			r.invalid(line, "two blocks for %s change the same text", name)
			return nil
		}
		edited.WriteString(original[at:s.from] + s.text)
		at = s.to
	}
	return []byte(edited.String() + original[at:])
}

// locate finds the old text of a block: as whole lines or, where it is none, as a
// part of one. It must be there once.
func (r *reader) locate(original, name, old string, line int) (span, bool) {
	old = strings.TrimSuffix(old, "\n")
	if strings.TrimSpace(old) == "" {
		r.invalid(line, "this block has no old text")
		return span{}, false
	}
	places := occurrences("\n"+original, "\n"+old+"\n")
	if len(places) == 0 {
		places = occurrences(original, old)
	}
	if len(places) != 1 {
		r.invalid(line, "the old text is in %s %d times, wanted is once", name, len(places))
		return span{}, false
	}
	return span{from: places[0], to: places[0] + len(old)}, true
}

// occurrences is where a piece begins in a text, overlapping ones too.
func occurrences(text, piece string) []int {
	var places []int
	for from := 0; ; {
		at := strings.Index(text[from:], piece)
		if at < 0 {
			return places
		}
		places = append(places, from+at)
		from += at + 1
	}
}

// Red is the steps that must go red.
func (c Case) Red() []string {
	if c.Right {
		return nil
	}
	return append([]string{c.Step}, c.Also...)
}

// Package is the solution whose place the case takes, as the go command calls it
// in the module's root.
func (c Case) Package() string { return "./solutions/" + c.Lesson.ID }

// Files are the Go files of the solution's folder of the module at root with the case
// laid over them, by name. Those of a case that is nothing but its lesson are the
// solution.
func (c Case) Files(root string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(root, "solutions", c.Lesson.ID, "*.go"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	maps.Copy(files, c.files)
	maps.DeleteFunc(files, func(_ string, text []byte) bool { return text == nil })
	return files, nil
}

// Overlay writes the files of the case into dir, and beside them the JSON file
// that lays them over the solution's folder of the module at root. It returns the
// path of that file, for the go command's -overlay flag.
func (c Case) Overlay(root, dir string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		original := filepath.Join(root, "solutions", c.Lesson.ID, name)
		if c.files[name] == nil {
			replace[original] = "" // as if it were not there
			continue
		}
		replace[original] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[original], c.files[name], 0o644); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o644)
}

// Build compiles the case's program of the module at root, in dir, and returns
// its path. Where it does not compile, the error is a [*subject.BuildError].
func (c Case) Build(ctx context.Context, root, dir string) (string, error) {
	overlay, err := c.Overlay(root, dir)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "server.exe")
	return program, subject.Build(ctx, root, c.Package(), program, "-overlay="+overlay)
}
