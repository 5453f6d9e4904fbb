// Package hostile is the classroom's own exam: submissions that cheat, break out or
// break things, and what must become of each. A case is a txtar file:
//
//	hostile: reads the solutions
//	ends: failed
//	also: stuck
//	-- lessons/01-login/evil.go --
//	the whole file
//
// "ends" is refused (by the intake), uncompiled, failed (graded, and no step passed)
// or stuck (it hangs or dies, so there is no verdict); "also" is one more that will
// do. No step of a case may pass. "lesson" is another one than 01-login that it hands in. "as" hands it in as zip or tar.gz, "name" under
// that name, "link", "hard" and "fifo" add what their names say, "sibling" names a
// lesson in it that must pass. {{ROOT}}, {{FILE}}, {{DIR}}, {{PORT}}, {{ABSTRACT}}
// and {{PID}} are the workshop, and a file, a folder, a listener on TCP, one on an
// abstract unix socket and a process of the teacher's. A program that has got at
// something prints {{TOKEN}}.
package hostile

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/grade"
	"jwtworkshop/lessons"
)

//go:embed corpus
var corpus embed.FS

// How a case can end.
const (
	Refused    = "refused"
	Uncompiled = "uncompiled"
	Failed     = "failed"
	Stuck      = "stuck"
)

// A Case is a hostile submission.
type Case struct {
	Name    string         // of its file: "reads-solutions"
	Title   string         // what it does
	Lesson  lessons.Lesson // that it hands in, and must not pass
	Ends    []string       // how it may end
	Sibling string         // a lesson of it that must pass

	as     string // "", "zip", "tar.gz", or the end of a file's name
	called string // the submission's name
	links  []link
	files  []txtar.File
}

type link struct{ kind, name, to string } // kind: link, hard, fifo

// Cases returns the corpus, sorted by name.
func Cases() ([]Case, error) {
	entries, err := corpus.ReadDir("corpus")
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, e := range entries {
		text, err := corpus.ReadFile("corpus/" + e.Name())
		if err != nil {
			return nil, err
		}
		c, err := read(strings.TrimSuffix(e.Name(), ".txtar"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func read(name string, text []byte) (Case, error) {
	archive := txtar.Parse(text)
	c := Case{Name: name, Lesson: honestLesson(), called: name, files: archive.Files}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), ": ")
		if !found {
			return c, fmt.Errorf("%q is no \"key: value\"", line)
		}
		switch key {
		case "hostile":
			c.Title = value
		case "ends", "also":
			if !slices.Contains([]string{Refused, Uncompiled, Failed, Stuck}, value) {
				return c, fmt.Errorf("it cannot end %q", value)
			}
			c.Ends = append(c.Ends, value)
		case "lesson":
			var err error
			if c.Lesson, err = lessons.Find(value); err != nil {
				return c, err
			}
		case "as":
			c.as = value
		case "sibling":
			c.Sibling = value
		case "name":
			c.called = value
			if strings.Contains(value, `\`) {
				var err error
				if c.called, err = strconv.Unquote(`"` + value + `"`); err != nil {
					return c, err
				}
			}
		case "link", "hard", "fifo":
			from, to, _ := strings.Cut(value, " -> ")
			c.links = append(c.links, link{key, from, to})
		default:
			return c, fmt.Errorf("unknown key %q", key)
		}
	}
	if c.Title == "" || len(c.Ends) == 0 || len(c.files) == 0 {
		return c, errors.New("it wants hostile, ends and a file")
	}
	return c, nil
}

// Lay writes the case as a submission into the folder of submissions; in says what
// stands for the words in braces. It returns the path. Root is the workshop, whose
// solutions are siblings.
func (c Case) Lay(folder, root string, in *strings.Replacer) (string, error) {
	to := filepath.Join(folder, in.Replace(c.called))
	var files []content
	for _, f := range c.files {
		if id, ok := strings.CutPrefix(f.Name, "@solution "); ok {
			names, err := filepath.Glob(filepath.Join(root, "solutions", id, "*.go"))
			if err != nil {
				return "", err
			}
			for _, name := range names {
				text, err := os.ReadFile(name)
				if err != nil {
					return "", err
				}
				files = append(files, content{name: path.Join("lessons", id, filepath.Base(name)), text: string(text)})
			}
			continue
		}
		if many, ok := strings.CutPrefix(f.Name, "@many "); ok {
			number, prefix, _ := strings.Cut(many, " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				return "", err
			}
			for i := range n {
				files = append(files, content{name: prefix + strconv.Itoa(i)})
			}
			continue
		}
		one, err := spell(in.Replace(string(f.Data)))
		if err != nil {
			return "", err
		}
		one.name = in.Replace(f.Name)
		files = append(files, one)
	}
	for i := range c.links {
		c.links[i].to = in.Replace(c.links[i].to)
	}
	switch c.as {
	case "":
		return to, c.lay(to, files)
	case "zip":
		return to + ".zip", c.zip(to+".zip", files)
	case "tar.gz":
		return to + ".tar.gz", c.tar(to+".tar.gz", files)
	}
	to += "." + c.as
	return to, os.WriteFile(to, []byte("PK\x03\x04 and nothing that follows"), 0o644)
}

// content is a file: a text, and zeros after it.
type content struct {
	name  string
	text  string
	zeros int64
}

func (c content) open() io.Reader {
	return io.MultiReader(strings.NewReader(c.text), io.LimitReader(zeros{}, c.zeros))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// spell carries out "@zeros N", "@repeat N text" and "@count N line", in which a #
// stands for the number, at the beginning of a line.
func spell(text string) (content, error) {
	var c content
	for line := range strings.Lines(text) {
		bare := strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(bare, "@zeros "); ok {
			var err error
			c.zeros, err = strconv.ParseInt(n, 10, 64)
			return c, err
		}
		if rest, ok := strings.CutPrefix(bare, "@repeat "); ok {
			number, what, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				return c, err
			}
			line = strings.Repeat(what, n) + "\n"
		}
		if rest, ok := strings.CutPrefix(bare, "@count "); ok {
			number, what, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				return c, err
			}
			line = ""
			for i := range n {
				line += strings.ReplaceAll(what, "#", strconv.Itoa(i)) + "\n"
			}
		}
		c.text += line
	}
	return c, nil
}

func (c Case) lay(to string, files []content) error {
	for _, f := range files {
		name := filepath.Join(to, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		out, err := os.Create(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, f.open())
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
	for _, l := range c.links {
		name := filepath.Join(to, filepath.FromSlash(l.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		make := func() error { return os.Symlink(l.to, name) }
		if l.kind == "fifo" {
			make = func() error { return pipe(name) }
		}
		if err := make(); err != nil {
			return err
		}
	}
	return nil
}

func (c Case) zip(to string, files []content) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	z := zip.NewWriter(out)
	for _, f := range files {
		w, err := z.Create(f.name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, f.open()); err != nil {
			return err
		}
	}
	for _, l := range c.links {
		h := &zip.FileHeader{Name: l.name}
		h.SetMode(0o777 | fs.ModeSymlink)
		w, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, l.to); err != nil {
			return err
		}
	}
	return z.Close()
}

func (c Case) tar(to string, files []content) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	g := gzip.NewWriter(out)
	t := tar.NewWriter(g)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.text)) + f.zeros}); err != nil {
			return err
		}
		if _, err := io.Copy(t, f.open()); err != nil {
			return err
		}
	}
	for _, l := range c.links {
		kind := byte(tar.TypeSymlink)
		if l.kind == "hard" {
			kind = tar.TypeLink
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: kind, Name: l.name, Linkname: l.to, Mode: 0o777}); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), g.Close())
}

// Ended tells how a submission ended: one of the constants above, or what else there
// is to say.
func Ended(m marking.Mark) string {
	switch {
	case m.Ours:
		return "the classroom failed: " + m.Detail
	case strings.HasPrefix(m.Why, "refused"):
		return Refused
	case m.Why == marking.Uncompiled:
		return Uncompiled
	case m.Why != "":
		return m.Why
	case m.Count(grade.Passed) > 0:
		return fmt.Sprintf("%d steps passed", m.Count(grade.Passed))
	case m.Graded():
		return Failed
	}
	return Stuck
}

// honestLesson is the one that is graded between any two cases, and that a case hands
// in unless it says so.
func honestLesson() lessons.Lesson { return lessons.All()[0] }
