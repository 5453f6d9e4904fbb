package workbook

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"golang.org/x/tools/txtar"

	"jwtworkshop/lessons"
)

// originals are the Go files of all lessons as a learner first finds them. A
// checkout that somebody works in no longer has them: reset takes them from
// here, and so do the tests that judge the starters.
//
//go:embed originals.txtar
var originals []byte

// Originals returns the Go files of a lesson as they were at first, by name.
func Originals(l lessons.Lesson) map[string][]byte {
	files := map[string][]byte{}
	for _, f := range txtar.Parse(originals).Files {
		if dir, name := path.Split(f.Name); path.Base(dir) == l.ID {
			files[name] = f.Data
		}
	}
	return files
}

// Pack returns the archive of originals made from the lessons as they are in
// this checkout. It is for authors.
func (w *Workbook) Pack() ([]byte, error) {
	a := &txtar.Archive{Comment: []byte("The lessons' Go files as a learner first finds them. `make originals` writes this file.\n")}
	for _, l := range lessons.All() {
		names, err := w.Sources(l, false)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			text, err := os.ReadFile(filepath.Join(w.Folder(l, false), n))
			if err != nil {
				return nil, err
			}
			a.Files = append(a.Files, txtar.File{Name: l.ID + "/" + n, Data: text})
		}
	}
	return txtar.Format(a), nil
}

// Reset puts a lesson's Go files back to what they were at first and returns the
// folder, relative to Root, where the learner's files lie from now on. Files that
// were added go there too. Nothing is lost: the backup is written first.
func (w *Workbook) Reset(l lessons.Lesson, now time.Time) (backup string, err error) {
	files := Originals(l)
	if len(files) == 0 {
		return "", fmt.Errorf("lesson %s has no originals to go back to", l.ID)
	}
	folder := w.Folder(l, false)
	names, err := goFiles(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(names) > 0 {
		backup = path.Join(".workshop", "backup", l.ID+"-"+now.Format("20060102-150405.000"))
		for _, n := range names {
			to, err := w.State("backup", path.Base(backup), n)
			if err != nil {
				return "", err
			}
			text, err := os.ReadFile(filepath.Join(folder, n))
			if err != nil {
				return "", err
			}
			if err := os.WriteFile(to, text, 0o644); err != nil {
				return "", err
			}
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	for name, text := range files {
		if err := replace(filepath.Join(folder, name), text); err != nil {
			return backup, err
		}
	}
	for _, n := range names {
		if _, original := files[n]; !original {
			if err := os.Remove(filepath.Join(folder, n)); err != nil {
				return backup, err
			}
		}
	}
	return backup, nil
}

// goFiles returns the names of the Go files in a folder, sorted. Those that begin
// with a dot or an underscore the go command ignores, and so do we: editors leave
// such files, Emacs even a link that leads nowhere.
func goFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && IsSource(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// IsSource tells whether the go command takes a file of that name for Go code.
func IsSource(name string) bool {
	return strings.HasSuffix(name, ".go") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "_")
}

// Diff returns how the reference solution differs from the learner's files, as a
// unified diff: what the learner has is -, what the reference has is +. It is
// empty where they are the same.
func (w *Workbook) Diff(l lessons.Lesson) (string, error) {
	mine, err := w.Sources(l, false)
	if err != nil {
		return "", err
	}
	theirs, err := w.Sources(l, true)
	if err != nil {
		return "", err
	}
	names := slices.Compact(slices.Sorted(slices.Values(append(mine, theirs...))))
	var out strings.Builder
	for _, n := range names {
		read := func(solution bool) string {
			text, _ := os.ReadFile(filepath.Join(w.Folder(l, solution), n)) // a file that one side lacks is empty there
			return strings.ReplaceAll(string(text), "\r\n", "\n")
		}
		out.WriteString(udiff.Unified("lessons/"+l.ID+"/"+n, "solutions/"+l.ID+"/"+n, read(false), read(true)))
	}
	return out.String(), nil
}
