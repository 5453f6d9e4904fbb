// Package workbook knows the learner's checkout: where it is, what has passed,
// which hints were given, and what the files looked like at first.
//
// What it remembers lies in .workshop/ and is only ever a copy: progress is the
// verdict on the code that is there, kept under the code's hash, so it can be
// neither lost nor out of date.
package workbook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"jwtworkshop/lessons"
)

// A Workbook is one checkout of the workshop.
type Workbook struct {
	Root     string // the folder that holds go.mod
	Database string // the PostgreSQL on which lesson 13 is graded; "" is SQLite
}

// ErrNoWorkshop means that the folder lies in no checkout of the workshop.
var ErrNoWorkshop = errors.New("this is not the workshop's folder, nor one inside it: cd to where you cloned it")

// Open finds the checkout that the folder lies in. It returns [ErrNoWorkshop].
func Open(folder string) (*Workbook, error) {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(strings.TrimSpace(string(mod)), "module jwtworkshop") {
			return &Workbook{Root: dir}, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil, ErrNoWorkshop
		}
		dir = up
	}
}

// Folder is the lesson's folder, or its solution's.
func (w *Workbook) Folder(l lessons.Lesson, solution bool) string {
	if solution {
		return filepath.Join(w.Root, "solutions", l.ID)
	}
	return filepath.Join(w.Root, "lessons", l.ID)
}

// Package is the same as go build wants it, relative to Root.
func Package(l lessons.Lesson, solution bool) string {
	if solution {
		return "./solutions/" + l.ID
	}
	return "./lessons/" + l.ID
}

// State returns the path of a file in .workshop/ and makes the folders above it.
func (w *Workbook) State(elements ...string) (string, error) {
	path := filepath.Join(append([]string{w.Root, ".workshop"}, elements...)...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("the workshop keeps its notes in .workshop and cannot write there: %w", err)
	}
	return path, nil
}

// Sources returns the names of a lesson's Go files, sorted. It returns an error
// of one line where the folder is missing or holds none.
func (w *Workbook) Sources(l lessons.Lesson, solution bool) ([]string, error) {
	names, err := goFiles(w.Folder(l, solution))
	if errors.Is(err, fs.ErrNotExist) {
		if solution {
			return nil, fmt.Errorf("solutions/%s is missing: this checkout comes without solutions", l.ID)
		}
		return nil, fmt.Errorf("lessons/%s is missing: go run ./checker reset %02d brings it back", l.ID, l.Number())
	}
	if err != nil {
		return nil, err
	}
	program := slices.ContainsFunc(names, func(n string) bool {
		text, err := os.ReadFile(filepath.Join(w.Folder(l, solution), n))
		return err == nil && !strings.HasSuffix(n, "_test.go") && packageMain.Match(text)
	})
	if !program {
		return nil, fmt.Errorf("lessons/%s holds no Go program (package main): go run ./checker reset %02d brings it back", l.ID, l.Number())
	}
	return names, nil
}

// packageMain is the package clause of a program. In a comment it could deceive
// only a lesson that the compiler then refuses.
var packageMain = regexp.MustCompile(`(?m)^package main\b`)

// Hash identifies a lesson's code and the graders that judge it. Line endings do
// not count.
func (w *Workbook) Hash(l lessons.Lesson) (string, error) {
	names, err := w.Sources(l, false)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	add := func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s\x00", filepath.Base(path))
		h.Write(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		h.Write([]byte{0})
		return nil
	}
	for _, n := range names {
		if err := add(filepath.Join(w.Folder(l, false), n)); err != nil {
			return "", err
		}
	}
	for _, pattern := range Graders() {
		paths, err := fs.Glob(os.DirFS(w.Root), pattern)
		if err != nil {
			return "", err
		}
		for _, p := range paths {
			if err := add(filepath.Join(w.Root, p)); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Graders are patterns of the files that a verdict depends on besides the lesson's own,
// relative to the root.
func Graders() []string {
	return []string{"go.mod", "lessons/*.go", "mockdb/*.go", "checker/forge/*.go", "checker/grade/*.go", "checker/probe/*.go", "checker/subject/*.go", "checker/suites/*.go", "checker/upstream/*.go"}
}

// A Mark is what is remembered of the last verdict on a lesson.
type Mark struct {
	Hash   string `json:"hash"`
	Passed int    `json:"passed"` // steps
	Total  int    `json:"total"`
	First  string `json:"first,omitempty"` // the first step that did not pass
}

// Done tells whether the whole lesson passed.
func (m Mark) Done() bool { return m.Total > 0 && m.Passed == m.Total }

// String says how far a lesson is; of the zero Mark, that nobody knows.
func (m Mark) String() string {
	switch {
	case m.Done():
		return "✓  done"
	case m.Total == 0:
		return "·  not checked"
	case m.First == "":
		return "does not compile"
	}
	return fmt.Sprintf("%d of %d steps, next: %s", m.Passed, m.Total, m.First)
}

// notes is what .workshop/notes.json holds.
type notes struct {
	Marks map[string]Mark `json:"marks"` // by lesson
	Hints map[string]int  `json:"hints"` // by step: how many were given
}

// load reads the notes. What cannot be read is forgotten: it can be had again.
func (w *Workbook) load() notes {
	var n notes
	if text, err := os.ReadFile(filepath.Join(w.Root, ".workshop", "notes.json")); err == nil {
		if json.Unmarshal(text, &n) != nil {
			n = notes{}
		}
	}
	if n.Marks == nil {
		n.Marks = map[string]Mark{}
	}
	if n.Hints == nil {
		n.Hints = map[string]int{}
	}
	return n
}

// change reads the notes, changes and writes them; a reader sees the old ones or
// the new ones.
func (w *Workbook) change(change func(*notes)) error {
	path, err := w.State("notes.json")
	if err != nil {
		return err
	}
	n := w.load()
	change(&n)
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return replace(path, append(text, '\n'))
}

// replace writes a file beside the old one and puts it in its place.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Remember notes the verdict on the code of that hash.
func (w *Workbook) Remember(l lessons.Lesson, m Mark) error {
	return w.change(func(n *notes) { n.Marks[l.ID] = m })
}

// Marks returns what is remembered of the code as it is now. A lesson whose code
// has changed since, or was never checked, is not in it.
func (w *Workbook) Marks() map[string]Mark {
	marks := map[string]Mark{}
	remembered := w.load().Marks
	for _, l := range lessons.All() {
		m, ok := remembered[l.ID]
		if !ok {
			continue
		}
		if hash, err := w.Hash(l); err == nil && hash == m.Hash {
			marks[l.ID] = m
		}
	}
	return marks
}

// Current is the first lesson that is not done, or the last one.
func (w *Workbook) Current() lessons.Lesson {
	marks := w.Marks()
	all := lessons.All()
	for _, l := range all {
		if !marks[l.ID].Done() {
			return l
		}
	}
	return all[len(all)-1]
}
