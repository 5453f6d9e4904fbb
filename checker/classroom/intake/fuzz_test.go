package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/workbook"
)

// secret stands in a file beside each submission.
const secret = "package main // the teacher's own, and nobody else's"

// taken reads what lies at a path of a folder beside a secret, and sees that what is
// taken is a lesson's: of its size, its names and its number, and nothing from outside.
func taken(t *testing.T, folder, name, input string) []Work {
	outside := filepath.Join(folder, "secret.go")
	require.NoError(t, os.WriteFile(outside, []byte(secret), 0o644))
	before := tree(t, folder)
	works, err := Read(HandedIn{Student: "ada", Paths: []string{filepath.Join(folder, name)}})
	require.Equal(t, before, tree(t, folder), "nothing is unpacked")
	if err != nil {
		require.Empty(t, works)
		require.Equal(t, plain(err.Error()), err.Error())
		return nil
	}
	for _, w := range works {
		ours := workbook.Originals(w.Lesson)
		require.Equal(t, string(ours["main.go"]), string(w.Files["main.go"]), "main.go is ours")
		require.LessOrEqual(t, len(w.Files), MaxFiles+len(ours))
		for name, text := range w.Files {
			require.Regexp(t, plainName, name)
			require.Equal(t, path.Base(name), name)
			require.False(t, strings.HasSuffix(name, "_test.go"), "the tests are ours")
			require.LessOrEqual(t, len(text), MaxFile)
			if !strings.Contains(input, secret) {
				require.NotContains(t, string(text), secret, "read from outside")
			}
		}
		for _, said := range append(w.Refused, w.Notes...) {
			require.NotContains(t, said, "\n")
			require.True(t, utf8.ValidString(said))
		}
	}
	return works
}

// tree lists the files below a folder.
func tree(t *testing.T, folder string) []string {
	var names []string
	require.NoError(t, filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	}))
	return names
}

// Bytes that come as an archive are one, or they are refused.
func FuzzArchive(f *testing.F) {
	entries := []entry{{'f', "x/lessons/01-login/login.go", "package main\n"}, {'d', "x/lessons/02-access-token", ""}, {'l', "x/lessons/03-protect", "../../secret.go"}, {'f', "x/README.md", "x"}}
	f.Add(true, zipped(f, entries))
	f.Add(false, tarred(f, entries))
	f.Add(true, []byte("PK\x05\x06"+strings.Repeat("\x00", 18)))
	f.Add(false, bytes.Repeat([]byte{0}, 1024))
	f.Fuzz(func(t *testing.T, isZip bool, data []byte) {
		folder := t.TempDir()
		name := "ada.zip"
		if !isZip {
			name = "ada.tar.gz"
			data = gzipped(t, data) // its checksum would hide the rest
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), data, 0o644))
		taken(t, folder, name, string(data))
	})
}

// An entry of a submission: a file with a text, a link to a place, a hard link to one, a
// folder.
type entry struct {
	kind rune // f, l, h, d
	name string
	text string
}

func zipped(t testing.TB, entries []entry) []byte {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		switch e.kind {
		case 'f':
			h.SetMode(0o644)
		case 'd':
			h.SetMode(fs.ModeDir | 0o755)
		default:
			h.SetMode(fs.ModeSymlink | 0o777)
		}
		w, err := z.CreateHeader(h)
		if err == nil && !strings.HasSuffix(e.name, "/") {
			_, err = w.Write([]byte(e.text))
		}
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return out.Bytes()
}

func tarred(t testing.TB, entries []entry) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o644, Size: int64(len(e.text))}
		switch e.kind {
		case 'd':
			h.Typeflag, h.Size = tar.TypeDir, 0
		case 'l':
			h.Typeflag, h.Size, h.Linkname = tar.TypeSymlink, 0, e.text
		case 'h':
			h.Typeflag, h.Size, h.Linkname = tar.TypeLink, 0, e.text
		}
		if w.WriteHeader(h) != nil {
			continue // tar cannot say it
		}
		if h.Size > 0 {
			_, err := w.Write([]byte(e.text))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	var out bytes.Buffer
	g := gzip.NewWriter(&out)
	_, err := g.Write(data)
	require.NoError(t, err)
	require.NoError(t, g.Close())
	return out.Bytes()
}

// What the same entries make of a lesson does not hang on what holds them, and none of
// it comes from outside, wherever names and links lead. An entry is a line: its kind,
// its name, and after a tab its text or the place that it links to.
func FuzzEntries(f *testing.F) {
	for _, seed := range []string{
		"f lessons/01-login/login.go\tpackage main",
		"l lessons/01-login\t../../../\nf lessons/01-login/secret.go\tx",
		"l lessons/01-login/secret.go\t../../../secret.go\nh 01-login/a.go\t../secret.go",
		"f ../secret.go\tx\nf /01-login/a.go\tx\nf 01-login/../../secret.go\tx",
		"f 01-login/a.go\tx\nf x/01-login/a.go\ty\nf 01-login/A.go\tz\nf 01-login/a.go\ttwice",
		"f 01-login\tx\nd 02-access-token\nf 02-access-token/_x.go\tx\nf 02-access-token/a b.go\tx",
		"f solutions/01-login/a.go\tx\nf .git/01-login/a.go\tx\nf 01-login/sub/a.go\tx\nf 01-login/a.s\tx",
		"f 01-login/main.go\tpackage main\nf 01-login/x_test.go\tx\nf 01-login/a.go\tpackage main; import \"C\"",
		"f 01-login/a.go\t//go:linkname x y\nf 01-login\\a.go\tx",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		var entries []entry
		for line := range strings.Lines(list) {
			head, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			kind, name, _ := strings.Cut(head, " ")
			if len(kind) == 1 && strings.Contains("flhd", kind) && name != "" && len(entries) < 200 {
				entries = append(entries, entry{rune(kind[0]), name, text})
			}
		}
		folder := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "a.zip"), zipped(t, entries), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "a.tgz"), gzipped(t, tarred(t, entries)), 0o644))
		require.NoError(t, os.Mkdir(filepath.Join(folder, "a"), 0o755))
		root, err := os.OpenRoot(filepath.Join(folder, "a"))
		require.NoError(t, err)
		defer root.Close()
		for _, e := range entries { // what cannot be, is not there
			root.MkdirAll(path.Dir(e.name), 0o755)
			switch e.kind {
			case 'f':
				root.WriteFile(e.name, []byte(e.text), 0o644)
			case 'd':
				root.MkdirAll(e.name, 0o755)
			case 'l':
				root.Symlink(e.text, e.name)
			case 'h':
				root.Link(e.text, e.name)
			}
		}
		taken(t, folder, "a", list)
		inZip, inTar := taken(t, folder, "a.zip", list), taken(t, folder, "a.tgz", list)
		if slices.ContainsFunc(entries, func(e entry) bool {
			return e.kind != 'f' || strings.HasSuffix(e.name, "/") || !utf8.ValidString(e.name)
		}) {
			return // zip and tar say these differently
		}
		if inZip == nil || inTar == nil {
			return // tar cannot say each name that zip can
		}
		require.Equal(t, len(inZip), len(inTar))
		for i, w := range inZip {
			require.Equal(t, w.Lesson.ID, inTar[i].Lesson.ID)
			require.Equal(t, slices.Sorted(maps.Keys(w.Files)), slices.Sorted(maps.Keys(inTar[i].Files)))
			require.Equal(t, w.Refused, inTar[i].Refused)
		}
	})
}

// Names are fit to print, and stay as they are when they are made so again.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"Ada Lovelace", "lovelaceada_LATE_12_34_01-login.zip", "a\x1b[2J\u202eb", "\xff\ufffd", strings.Repeat("é ", 60), " \u2028", "__MACOSX", ".zip", "_1_2_3.tar.gz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		shown := Printable(name)
		require.Equal(t, shown, Printable(shown))
		require.True(t, utf8.ValidString(shown))
		require.NotEmpty(t, shown)
		require.LessOrEqual(t, utf8.RuneCountInString(shown), 80)
		for _, r := range shown {
			require.False(t, unicode.IsControl(r) || unicode.Is(unicode.Cf, r), "%q", shown)
		}
		folder := t.TempDir()
		if len(name) > 200 || !filepath.IsLocal(name) || filepath.Base(name) != name || os.Mkdir(filepath.Join(folder, name), 0o755) != nil {
			return // no name of a file
		}
		handed, err := List(folder, "")
		require.NoError(t, err)
		for _, h := range handed {
			require.Equal(t, h.Student, Printable(h.Student))
			works, _ := Read(h)
			for _, w := range works { // it is called like a lesson
				require.NotEmpty(t, w.Refused, "there is nothing in it")
			}
		}
	})
}
