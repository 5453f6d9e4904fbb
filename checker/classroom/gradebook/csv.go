package gradebook

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"jwtworkshop/lessons"
)

// CSV writes a line for each student. Texts are quoted and never begin as a formula
// does: a spreadsheet would compute it (OWASP, CSV Injection). What could not be
// graded is an empty field, and why stands in the last.
func (b *Book) CSV(w io.Writer) error {
	out := bufio.NewWriter(w)
	head := []string{"student", "canvas id", "handed in"}
	for _, l := range b.Lessons {
		head = append(head, l.ID)
	}
	head = append(head, "points", "of", "isolation", "not graded")
	for i, h := range head {
		head[i] = Text(h)
	}
	fmt.Fprintln(out, strings.Join(head, ","))
	for _, r := range b.Rows {
		fields := []string{Text(r.Student), Text(r.Canvas), Text(date(r.At))}
		var open []string
		if r.Problem != "" {
			open = append(open, r.Problem)
		}
		for i, c := range r.Cells {
			fields = append(fields, c.field())
			if c.State == Ungraded && r.Problem == "" {
				open = append(open, b.Lessons[i].ID+": "+c.Why)
			}
		}
		fields = append(fields, number(r.Points), number(r.Of), Text(b.Isolation), Text(strings.Join(open, "; ")))
		fmt.Fprintln(out, strings.Join(fields, ","))
	}
	return out.Flush()
}

// field is the points, or nothing where there are none.
func (c Cell) field() string {
	if c.State == Ungraded || c.State == Missing && c.Of == 0 {
		return ""
	}
	return number(c.Points)
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Text is a field of a CSV file that every spreadsheet takes for text.
func Text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return `"` + strings.ReplaceAll(tame(s), `"`, `""`) + `"`
}

// tame puts an apostrophe before what a spreadsheet would compute.
func tame(s string) string {
	invisible := func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }
	if strings.IndexAny(strings.TrimLeftFunc(s, invisible), "=+-@＝＋－＠|%") == 0 {
		return "'" + s
	}
	return s
}

// ErrCanvas is returned, wrapped, where a file is no Canvas gradebook.
var ErrCanvas = errors.New("this is no Canvas gradebook")

// Canvas copies a gradebook that was exported from Canvas and fills our columns in:
// those whose title holds a lesson's name, such as "05-refresh (4711)", and one that
// holds "JWT Workshop" for the sum. Everything else stays as it is, byte for byte. It
// returns the names of students of ours whom the export does not know. Errors wrap
// [ErrCanvas].
func (b *Book) Canvas(export io.Reader, w io.Writer) (unknown []string, err error) {
	text, err := io.ReadAll(export)
	if err != nil {
		return nil, err
	}
	records, err := split(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCanvas, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrCanvas)
	}
	head := records[0].values
	student, id, login := slices.Index(head, "Student"), slices.Index(head, "ID"), slices.Index(head, "SIS Login ID")
	if student < 0 || id < 0 {
		return nil, fmt.Errorf("%w: its first line has no columns Student and ID", ErrCanvas)
	}
	ours := map[int]func(Row) string{}
	for at, title := range head {
		if at == student || at == id || at == login {
			continue
		}
		for i, l := range b.Lessons {
			if strings.Contains(title, l.ID) {
				ours[at] = func(r Row) string { return r.Cells[i].field() }
			}
		}
		if strings.Contains(title, "JWT Workshop") && ours[at] == nil {
			ours[at] = func(r Row) string {
				if r.Open > 0 {
					return "" // a sum without a part of it would be too small
				}
				return number(r.Points)
			}
		}
	}
	if len(ours) == 0 {
		return nil, fmt.Errorf("%w of ours: no column's title holds a lesson's name, such as %s", ErrCanvas, lessons.All()[0].ID)
	}
	out := bufio.NewWriter(w)
	met := map[string]bool{}
	done := 0 // bytes of text that are written
	for _, r := range records[1:] {
		var found *Row
		if r.value(id) != "" { // without one it is no student: "Points Possible"
			found = b.find(r.value(id), r.value(login), r.value(student))
		}
		if found == nil {
			continue
		}
		met[found.Page] = true
		for at := range r.values {
			if ours[at] == nil {
				continue
			}
			if points := ours[at](*found); points != "" { // what is not graded leaves what there is
				out.Write(text[done:r.from[at]])
				out.WriteString(points)
				done = r.to[at]
			}
		}
	}
	out.Write(text[done:])
	for _, r := range b.Rows {
		if !met[r.Page] {
			unknown = append(unknown, r.Student)
		}
	}
	return unknown, out.Flush()
}

// A record is a line of a CSV file: its fields, and where in the file they stand,
// quotes and all.
type record struct {
	values   []string
	from, to []int
}

func (r record) value(at int) string {
	if at < 0 || at >= len(r.values) {
		return ""
	}
	return strings.TrimSpace(r.values[at])
}

// split reads a CSV file, with the separator that it has: Canvas exports semicolons to
// who wants them.
func split(text []byte) ([]record, error) {
	bare, marked := bytes.CutPrefix(text, []byte("\ufeff"))
	offset := 0
	if marked {
		offset = len(text) - len(bare)
	}
	in := csv.NewReader(bytes.NewReader(bare))
	in.FieldsPerRecord = -1
	if title, _, ok := bytes.Cut(bare, []byte(";")); ok && strings.Trim(string(title), `"`) == "Student" {
		in.Comma = ';'
	}
	lines := []int{0, offset} // where each begins; they are counted from 1
	for i, c := range bare {
		if c == '\n' {
			lines = append(lines, offset+i+1)
		}
	}
	var all []record
	for {
		values, err := in.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		r := record{values: values}
		for i := range values {
			line, column := in.FieldPos(i)
			r.from = append(r.from, lines[line]+column-1)
			if i > 0 {
				r.to = append(r.to, r.from[i]-1) // before the separator
			}
		}
		end := offset + int(in.InputOffset())
		r.to = append(r.to, r.from[len(values)-1]+len(bytes.TrimRight(text[r.from[len(values)-1]:end], "\r\n")))
		all = append(all, r)
	}
}

// find is the student of ours with that Canvas ID, else with that login, else the
// only one with that name, however it is written.
func (b *Book) find(id, login, name string) *Row {
	if id != "" {
		for i := range b.Rows {
			if b.Rows[i].Canvas == id {
				return &b.Rows[i]
			}
		}
	}
	var found *Row
	for i := range b.Rows {
		r := &b.Rows[i]
		if r.Canvas != "" && id != "" {
			continue // somebody else, who has an ID of their own
		}
		if login != "" && strings.EqualFold(r.Student, login) {
			return r
		}
		if name != "" && letters(r.Student) == letters(name) {
			if found != nil {
				return nil
			}
			found = r
		}
	}
	return found
}

// letters spells "Lovelace, Ada" as Canvas does in the names of files: the letters
// alone.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if r == ',' || r == ' ' || r == '-' || r == '\'' || r == '.' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}
