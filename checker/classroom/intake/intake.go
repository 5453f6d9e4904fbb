// Package intake reads what students handed in: checkouts, folders, .zip and
// .tar.gz. It unpacks nothing: it takes the Go files of lesson folders out, refuses
// what does not belong there and says why, and lays the rest over the starters.
package intake

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// What may be handed in.
const (
	MaxFile     = 256 << 10 // bytes of one Go file
	MaxFiles    = 100       // Go files of one lesson
	maxEntries  = 50_000    // files and folders of a submission, whatever they are
	maxDepth    = 100       // folders that lie in one another: each costs those above it
	maxArchive  = 64 << 20  // bytes of an archive
	maxList     = 16 << 20  // bytes of the list of files in a .zip, which takes eight times that in memory
	maxUnpacked = 512 << 20 // bytes of a .tar.gz, unpacked
	maxRatio    = 200       // how many times its size a .tar.gz may unpack to, beyond slack
	slack       = 4 << 20   // bytes
	maxReasons  = 10        // why a lesson is refused; what it holds besides is not read
)

// A HandedIn is what one student has handed in: one or more entries of the
// teacher's folder.
type HandedIn struct {
	Student string    // who: from the entry's name, fit to print
	Canvas  string    // the student's Canvas ID, where the name has it
	Late    bool      // Canvas marked it
	At      time.Time // when: the latest modification of an entry
	Paths   []string  // the entries
}

// A Work is what is to be graded of a student's lesson.
type Work struct {
	Lesson  lessons.Lesson
	Files   map[string][]byte // the whole folder, main.go included, tests left out
	Refused []string          // why it is not graded; empty where it is
	Notes   []string          // what a teacher may want to know
}

// canvas is "doejane_LATE_4711_81234_lessons.zip", as Canvas names downloads.
var canvas = regexp.MustCompile(`^(.+?)_(LATE_)?(\d+)_(\d+)_(.+)$`)

// List returns what is in the teacher's folder, by student, sorted. Prefix is cut
// off the entries' names: GitHub Classroom puts the assignment there.
func List(folder, prefix string) ([]HandedIn, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	by := map[string]*HandedIn{}
	var names []string
	for _, e := range entries {
		name := strings.TrimPrefix(e.Name(), prefix)
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" {
			continue
		}
		if !e.IsDir() {
			bare, ok := archiveName(name)
			if !ok && e.Type().IsRegular() {
				continue // a list of names, a letter: no submission
			}
			name = bare
		}
		one := HandedIn{}
		if m := canvas.FindStringSubmatch(name); m != nil {
			name, one = m[1], HandedIn{Canvas: m[3], Late: m[2] != ""}
		}
		one.Student = Printable(name)
		if info, err := e.Info(); err == nil {
			one.At = info.ModTime()
		}
		key := name + "\x00" + one.Canvas // what prints alike need not be the same
		if by[key] == nil {
			by[key] = &one
			names = append(names, key)
		}
		h := by[key]
		h.Paths = append(h.Paths, filepath.Join(folder, e.Name()))
		h.Late = h.Late || one.Late
		if one.At.After(h.At) {
			h.At = one.At
		}
	}
	slices.Sort(names)
	taken := map[string]bool{}
	var all []HandedIn
	var again []int // who has the name of somebody else
	for i, key := range names {
		all = append(all, *by[key])
		if taken[all[i].Student] {
			again = append(again, i)
		}
		taken[all[i].Student] = true
	}
	for _, i := range again {
		name := []rune(all[i].Student)
		name = name[:min(len(name), maxName-len(" (9999)"))]
		for n := 2; taken[all[i].Student]; n++ {
			all[i].Student = fmt.Sprintf("%s (%d)", string(name), n)
		}
		taken[all[i].Student] = true
	}
	return all, nil
}

func archiveName(name string) (bare string, ok bool) {
	for _, end := range []string{".zip", ".tar.gz", ".tgz"} {
		if len(name) > len(end) && strings.EqualFold(name[len(name)-len(end):], end) {
			return name[:len(name)-len(end)], true
		}
	}
	return name, false
}

// maxName is how long a printed name may be, in runes.
const maxName = 80

// Printable makes a name that somebody chose fit to print: without control
// characters, without marks that turn the direction of text or cannot be seen, at most
// 80 runes.
func Printable(name string) string {
	runes := []rune(strings.TrimSpace(plain(name)))
	if len(runes) > maxName {
		runes = append(runes[:maxName-1], '…')
	}
	if len(runes) == 0 {
		return "·"
	}
	return string(runes)
}

// maxMarks is how many marks a letter may carry; more would stand on other lines.
const maxMarks = 4

// Legible makes a text that somebody chose fit to read, as Printable does a name, but
// for its length and its lines.
func Legible(text string) string { return visible(text, "\n\t") }

// plain is the same of what is to stand in one line.
func plain(text string) string { return visible(text, "") }

// visible puts dots for what is not fit to print, but for those of kept.
func visible(text, kept string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if !unicode.Is(unicode.M, r) {
			marks = 0
		} else if marks++; marks > maxMarks {
			return -1
		}
		hidden := unicode.IsControl(r) || r == blank || r == unicode.ReplacementChar ||
			unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
		if hidden && !strings.ContainsRune(kept, r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(text, "·"))
}

// blank is the letter of Braille that has no dot.
const blank = '\u2800'

// Read reads all that a student handed in and returns the lessons found in it, in
// their order. An error means that nothing of it could be taken.
func Read(h HandedIn) ([]Work, error) {
	r := reader{found: map[string]*found{}}
	for _, p := range h.Paths {
		if err := r.entry(p); err != nil {
			// The system's errors hold names as they are.
			return nil, fmt.Errorf("%s: %s", Printable(filepath.Base(p)), plain(err.Error()))
		}
	}
	var works []Work
	for _, l := range lessons.All() {
		if f := r.found[l.ID]; f != nil {
			works = append(works, f.work(l))
		}
	}
	if len(works) == 0 {
		return nil, errors.New("no lesson folder in it, such as 05-refresh")
	}
	return works, nil
}

// found is a lesson's folder in a submission.
type found struct {
	depth   int // how far down it lies: the one nearest to the top counts
	entry   int // in which of the student's entries: the last counts
	folder  string
	files   map[string][]byte
	refused []string
	notes   []string
}

func (f *found) refuse(format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if !slices.Contains(f.refused, reason) && len(f.refused) < maxReasons {
		f.refused = append(f.refused, reason)
	}
}

type reader struct {
	found   map[string]*found
	entries int
	number  int
}

// A file is one file of a submission, whatever holds it.
type file struct {
	path string // slash-separated, relative
	mode fs.FileMode
	size int64
	open func() (io.ReadCloser, error)
}

func (r *reader) entry(p string) error {
	r.number++
	info, err := os.Lstat(p)
	if err != nil {
		return err
	}
	bare, archive := archiveName(filepath.Base(p))
	alone := "" // the lesson that the whole archive is, if its name says so
	for _, l := range lessons.All() {
		if strings.Contains(bare, l.ID) {
			alone = l.ID
		}
	}
	// Archives are read twice: first for where the lessons are.
	each := func(visit func(file) error) error { return r.folder(p, visit) }
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a link")
	case info.IsDir():
	case !info.Mode().IsRegular() || !archive:
		return errors.New("it is no folder and no archive (.zip, .tar.gz)")
	case info.Size() > maxArchive:
		return fmt.Errorf("the archive is larger than %d MiB", maxArchive>>20)
	case strings.HasSuffix(strings.ToLower(p), ".zip"):
		each = func(visit func(file) error) error { return r.zip(p, visit) }
	default:
		each = func(visit func(file) error) error { return r.tar(p, info.Size(), visit) }
	}
	any := false
	err = each(func(f file) error {
		any = r.note(f.path, f.mode) || any
		return nil
	})
	if err != nil {
		return err
	}
	if !any && alone != "" {
		r.found[alone] = &found{entry: r.number, folder: ".", files: map[string][]byte{}}
	}
	r.entries = 0
	return each(r.take)
}

// count counts an entry.
func (r *reader) count(name string) error {
	if r.entries++; r.entries > maxEntries {
		return fmt.Errorf("it holds more than %d files", maxEntries)
	}
	if strings.Count(name, "/") > maxDepth {
		return fmt.Errorf("its folders lie more than %d deep in one another", maxDepth)
	}
	return nil
}

// skipped are folders in which no lesson is looked for.
func skipped(name string) bool {
	return name == "solutions" || name == "__MACOSX" || name == "node_modules" || len(name) > 1 && name[0] == '.'
}

func (r *reader) folder(p string, visit func(file) error) error {
	root, err := os.OpenRoot(p) // what leads out of it cannot be opened
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := r.count(name); err != nil {
			return err
		}
		if d.IsDir() && skipped(d.Name()) {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return visit(file{path: name, mode: info.Mode(), size: info.Size(), open: func() (io.ReadCloser, error) {
			f, err := root.Open(name)
			if err != nil {
				return nil, err
			}
			if now, err := f.Stat(); err != nil || !now.Mode().IsRegular() {
				f.Close()
				return nil, errors.New("it is no regular file")
			}
			return f, nil
		}})
	})
}

func (r *reader) zip(p string, visit func(file) error) error {
	archive, err := os.Open(p)
	if err != nil {
		return err
	}
	defer archive.Close()
	info, err := archive.Stat()
	if err != nil {
		return err
	}
	listed := &list{of: archive, left: maxList}
	z, err := zip.NewReader(listed, info.Size())
	if err != nil {
		return err
	}
	listed.left = math.MaxInt64 // it is read, and the rest is bounded file by file
	for _, f := range z.File {
		if err := r.count(f.Name); err != nil {
			return err
		}
		name, err := inside(f.Name)
		if err != nil {
			return err
		}
		if f.Flags&1 != 0 {
			return errors.New("it is encrypted")
		}
		if err := visit(file{path: name, mode: f.Mode(), size: int64(min(f.UncompressedSize64, 1<<62)), open: f.Open}); err != nil {
			return err
		}
	}
	return nil
}

// A list reads no more of a zip than its list of files may take.
type list struct {
	of   io.ReaderAt
	left int64
}

func (l *list) ReadAt(p []byte, at int64) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, fmt.Errorf("the list of its files is longer than %d MiB", maxList>>20)
	}
	return l.of.ReadAt(p, at)
}

func (r *reader) tar(p string, size int64, visit func(file) error) error {
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	limit := min(maxUnpacked, size*maxRatio+slack)
	bounded := &io.LimitedReader{R: unpacked, N: limit}
	t := tar.NewReader(bounded)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) && bounded.N > 0 {
			return nil
		}
		if err != nil {
			if bounded.N <= 0 {
				return fmt.Errorf("it unpacks to more than %d MiB, %d times its size", limit>>20, limit/max(1, size))
			}
			return err
		}
		if err := r.count(h.Name); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // git archive writes the commit there
		}
		name, err := inside(h.Name)
		if err != nil {
			return err
		}
		mode := h.FileInfo().Mode()
		if h.Typeflag == tar.TypeLink {
			mode |= fs.ModeSymlink // a hard link is one to another file, too
		}
		if err := visit(file{path: name, mode: mode, size: h.Size, open: func() (io.ReadCloser, error) { return io.NopCloser(t), nil }}); err != nil {
			return err
		}
	}
}

// inside is the cleaned path of an archive's entry, or an error where it leads out
// of the archive.
func inside(name string) (string, error) {
	clean := path.Clean(strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/"))
	if !fs.ValidPath(clean) || strings.ContainsAny(name, "\\\x00") || slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("an entry leads out of the archive: %q", Printable(name))
	}
	return clean, nil
}

// note remembers the lesson folder that the path lies in or is, if it does, and
// tells whether it does.
func (r *reader) note(name string, mode fs.FileMode) bool {
	folder, lesson := home(name)
	if lesson == "" {
		return false
	}
	if folder == name && mode.IsRegular() {
		return false // a file that is called like a lesson
	}
	depth := strings.Count(folder, "/")
	old := r.found[lesson]
	if old != nil && old.entry == r.number && (old.folder == folder || old.depth < depth) {
		return true
	}
	f := &found{depth: depth, entry: r.number, folder: folder, files: map[string][]byte{}}
	if old != nil && old.entry == r.number && old.depth == depth {
		f.refuse("it is there twice: %s and %s", Printable(old.folder), Printable(folder))
	} else if old != nil && old.entry < r.number {
		f.notes = append(f.notes, "handed in more than once; the last one counts")
	}
	r.found[lesson] = f
	return true
}

// home is the lesson folder that a path lies in, or is: "a/lessons/05-refresh" and
// "05-refresh" for "a/lessons/05-refresh/token.go".
func home(name string) (folder, lesson string) {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if skipped(part) {
			return "", ""
		}
		for _, l := range lessons.All() {
			if part == l.ID {
				return strings.Join(parts[:i+1], "/"), l.ID
			}
		}
	}
	return "", ""
}

// take reads a file if it belongs to a lesson.
func (r *reader) take(f file) error {
	var in *found
	rest := ""
	for _, candidate := range r.found {
		if candidate.entry != r.number {
			continue
		}
		switch {
		case candidate.folder == ".":
			in, rest = candidate, f.path
		case f.path == candidate.folder:
			in, rest = candidate, "."
		case strings.HasPrefix(f.path, candidate.folder+"/"):
			in, rest = candidate, f.path[len(candidate.folder)+1:]
		}
	}
	if in == nil {
		return nil
	}
	shown := Printable(rest)
	switch {
	case rest == ".":
		if !f.mode.IsDir() {
			in.refuse("the lesson's folder is a link")
		}
		return nil
	case f.mode.IsDir():
		return nil
	case !f.mode.IsRegular():
		in.refuse("%s is a link, or another kind of file than a regular one", shown)
		return nil
	case slices.Contains(refusedKinds, strings.ToLower(path.Ext(rest))):
		in.refuse("%s: only Go is graded, neither assembly nor object files nor C", shown)
		return nil
	case path.Ext(rest) != ".go":
		return nil // texts and pictures
	case strings.Contains(rest, "/"):
		if note := "the folder " + Printable(path.Dir(rest)) + " is left out: a lesson is one package"; !slices.Contains(in.notes, note) && len(in.notes) < 10 {
			in.notes = append(in.notes, note)
		}
		return nil
	case rest[0] == '_' || rest[0] == '.' || strings.HasSuffix(rest, "_test.go"):
		return nil // the go command leaves the first two out; the tests are ours
	case !plainName.MatchString(rest):
		in.refuse("%s: a name of a Go file has letters, digits, dots, dashes and underscores, at most 100", shown)
		return nil
	case f.size > MaxFile:
		in.refuse("%s is larger than %d KiB", shown, MaxFile>>10)
		return nil
	case in.files[rest] != nil:
		in.refuse("%s is there twice", shown)
		return nil
	case len(in.refused) >= maxReasons:
		return nil
	case len(in.files) >= MaxFiles:
		in.refuse("it has more than %d Go files", MaxFiles)
		return nil
	}
	text, err := read(f)
	if err != nil {
		in.refuse("%s cannot be read: %s", shown, Printable(err.Error()))
		return nil
	}
	in.files[rest] = text
	return nil
}

var (
	plainName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,96}\.go$`)
	refusedKinds = []string{".s", ".syso", ".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".m", ".f", ".f90", ".for", ".swig", ".swigcxx", ".o", ".a", ".so"}
)

func read(f file) ([]byte, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = fmt.Errorf("it is larger than %d KiB", MaxFile>>10)
	}
	return text, err
}

// work lays what was found over the lesson's starter. A folder with a main.go is a
// whole one; of another, the files that are missing are the starter's. main.go is
// always ours.
func (f *found) work(l lessons.Lesson) Work {
	w := Work{Lesson: l, Files: map[string][]byte{}, Refused: f.refused, Notes: f.notes}
	ours := workbook.Originals(l)
	_, whole := f.files["main.go"]
	for name, text := range ours {
		if name == "main.go" || !whole && !strings.HasSuffix(name, "_test.go") {
			w.Files[name] = text
		}
	}
	for name, text := range f.files {
		if name == "main.go" {
			continue
		}
		w.Files[name] = text
		given := ours[name] != nil && !slices.Contains(l.Edit, name)
		if given && string(ours[name]) != string(text) {
			w.Notes = append(w.Notes, name+" is given, and was changed")
		}
	}
	slices.Sort(w.Notes)
	if len(f.files) == 0 && len(w.Refused) == 0 {
		w.Refused = append(w.Refused, "there is no Go file in its folder")
	}
	w.Refused = append(w.Refused, inspect(w.Files, ours)...)
	return w
}
