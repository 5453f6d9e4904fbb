// Package scratch makes copies of the workshop to try things in.
package scratch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// Copy copies the workshop at root to the folder: all but .git and what is built.
// The lessons are as a learner first finds them, whatever they are at root.
func Copy(root, folder string) error {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (rel == ".git" || rel == ".workshop" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(folder, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		case strings.HasSuffix(rel, ".go") && isLesson(filepath.Base(filepath.Dir(rel))) && strings.HasPrefix(rel, "lessons"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, rel), text, 0o644)
	})
	if err != nil {
		return err
	}
	for _, l := range lessons.All() {
		if err := Write(filepath.Join(folder, "lessons", l.ID), workbook.Originals(l)); err != nil {
			return err
		}
	}
	return nil
}

// Write writes files into a folder, which it makes if need be.
func Write(folder string, files map[string][]byte) error {
	if len(files) == 0 {
		return fmt.Errorf("nothing to write into %s", folder)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Solve replaces a lesson's Go files in a copy by the reference's.
func Solve(folder string, l lessons.Lesson) error {
	book := &workbook.Workbook{Root: folder}
	names, err := book.Sources(l, true)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, n := range names {
		if files[n], err = os.ReadFile(filepath.Join(book.Folder(l, true), n)); err != nil {
			return err
		}
	}
	return Write(book.Folder(l, false), files)
}

func isLesson(name string) bool {
	_, err := lessons.Find(name)
	return err == nil
}
