package intake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/lessons"
)

// An entry of a zip's list takes 46 bytes there and eight times that in memory, whatever
// the archive holds besides (APPNOTE.TXT 4.3.12).
func TestAZipIsNotReadForItsListAlone(t *testing.T) {
	read := func(entries int) error {
		entry := make([]byte, 46)
		binary.LittleEndian.PutUint32(entry, 0x02014b50)
		text := []byte(strings.Repeat(string(entry), entries))
		end := make([]byte, 22)
		binary.LittleEndian.PutUint32(end, 0x06054b50)
		binary.LittleEndian.PutUint16(end[8:], uint16(entries))
		binary.LittleEndian.PutUint16(end[10:], uint16(entries))
		binary.LittleEndian.PutUint32(end[12:], uint32(len(text)))
		name := filepath.Join(t.TempDir(), "ada.zip")
		require.NoError(t, os.WriteFile(name, append(text, end...), 0o644))
		_, err := Read(HandedIn{Paths: []string{name}})
		return err
	}
	require.ErrorContains(t, read(maxEntries), "no lesson folder in it", "as many as there may be")
	require.ErrorContains(t, read(maxEntries+1), "more than 50000 files")
	require.ErrorContains(t, read(maxList/46+1), "the list of its files is longer than 16 MiB")
}

func TestFoldersLieOnlySoDeep(t *testing.T) {
	for depth, said := range map[int]string{maxDepth: "no lesson folder in it", maxDepth + 1: "more than 100 deep"} {
		folder := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(folder, strings.Repeat("a/", depth)+"a"), 0o755))
		_, err := Read(HandedIn{Paths: []string{folder}})
		require.ErrorContains(t, err, said)
	}
}

// What cannot be read costs as much as what can, and counts as nothing.
func TestARefusedLessonIsNotReadToItsEnd(t *testing.T) {
	opened := 0
	f := &found{entry: 1, folder: "01-login", files: map[string][]byte{}}
	r := reader{found: map[string]*found{"01-login": f}, number: 1}
	for i := range 1000 {
		require.NoError(t, r.take(file{path: fmt.Sprintf("01-login/a%d.go", i), open: func() (io.ReadCloser, error) {
			opened++
			return nil, errors.New("its checksum is wrong")
		}}))
	}
	assert.Equal(t, maxReasons, opened)
	assert.Len(t, f.work(lessons.All()[0]).Refused, maxReasons)
}

// Whoever merges two people grades one of them by the other's work.
func TestStudentsWhoseNamesPrintAlikeAreTwo(t *testing.T) {
	folder := t.TempDir()
	long := strings.Repeat("x", maxName)
	for _, name := range []string{"a\x01b", "a\x02b", "ada", "ada (2)", "ada_1_2_x", "ada_3_4_x", long + "1", long + "2"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o755))
	}
	handed, err := List(folder, "")
	require.NoError(t, err)
	require.Len(t, handed, 8)
	names := map[string]bool{}
	for _, h := range handed {
		assert.Len(t, h.Paths, 1)
		assert.Equal(t, h.Student, Printable(h.Student))
		assert.False(t, names[h.Student], h.Student)
		names[h.Student] = true
		if filepath.Base(h.Paths[0]) == "ada (2)" {
			assert.Equal(t, "ada (2)", h.Student, "who is called so stays so")
		}
	}
}
