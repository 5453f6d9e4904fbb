package gradebook

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// marked is a mark with so many of the lesson's own steps passed, the rest failed.
func marked(l lessons.Lesson, passed int) marking.Mark {
	m := marking.Mark{Lesson: l.ID}
	for _, s := range suites.For(l).Steps {
		status := grade.Passed
		if !s.Given {
			if passed--; passed < 0 {
				status = grade.Failed
			}
		}
		m.Steps = append(m.Steps, marking.Step{ID: s.ID, Status: status, Claim: "it does not " + s.ID})
	}
	return m
}

func lesson(t *testing.T, name string) lessons.Lesson {
	l, err := lessons.Find(name)
	require.NoError(t, err)
	return l
}

func own(l lessons.Lesson) float64 {
	weight, _ := Policy{}.worth(l)
	return weight
}

func TestPoints(t *testing.T) {
	l := lesson(t, "05")
	total := int(own(l))
	due := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	late := Late{Due: map[string]When{"all": When(due.Format(time.RFC3339))}, Grace: "15m", PerDay: 10, AtMost: 25}
	broken := marked(l, total)
	broken.Steps[0].Status = grade.Failed
	stuck := marked(l, total)
	stuck.Steps[len(stuck.Steps)-1].Status = grade.Error
	for name, c := range map[string]struct {
		policy Policy
		mark   marking.Mark
		at     time.Time
		state  State
		points float64
		of     float64
	}{
		"all of it":                       {Policy{}, marked(l, total), due, Graded, float64(total), float64(total)},
		"half of it":                      {Policy{}, marked(l, total/2), due, Graded, float64(total / 2), float64(total)},
		"the starter":                     {Policy{}, marked(l, 0), due, Graded, 0, float64(total)},
		"worth ten":                       {Policy{Points: map[string]float64{l.ID: 10}}, marked(l, total/2), due, Graded, 10 * float64(total/2) / float64(total), 10},
		"a step of before broken":         {Policy{}, broken, due, Graded, float64(total - 1), float64(total)},
		"in the grace":                    {Policy{Late: late}, marked(l, total), due.Add(10 * time.Minute), Graded, float64(total), float64(total)},
		"a minute after the grace":        {Policy{Late: late}, marked(l, total), due.Add(16 * time.Minute), Graded, float64(total) * .9, float64(total)},
		"a week late":                     {Policy{Late: late}, marked(l, total), due.Add(7 * 24 * time.Hour), Graded, float64(total) * .75, float64(total)},
		"a step that could not be graded": {Policy{}, stuck, due, Ungraded, 0, float64(total)},
		"what does not compile":           {Policy{}, marking.Mark{Lesson: l.ID, Why: marking.Uncompiled}, due, Ungraded, 0, float64(total)},
		"given by hand, whatever it was":  {Policy{Students: map[string]Student{"ada": {Points: map[string]Points{l.ID: {Points: 7}}}}}, stuck, due, ByHand, 7, float64(total)},
		"handed in as the teacher says":   {Policy{Late: late, Students: map[string]Student{"ada": {HandedIn: When(due.Format(time.RFC3339))}}}, marked(l, total), due.Add(time.Hour), Graded, float64(total), float64(total)},
	} {
		t.Run(name, func(t *testing.T) {
			b := New(c.policy, "", "bwrap", []lessons.Lesson{l})
			row := b.Add(Row{Student: "ada", At: c.at}, map[string]marking.Mark{l.ID: c.mark})
			got := row.Cells[0]
			assert.Equal(t, c.state, got.State, got.Why)
			assert.InDelta(t, c.of, got.Of, .01)
			if c.state == Ungraded {
				assert.Empty(t, got.field(), "what could not be graded is never 0")
				assert.Equal(t, 1, row.Open)
				return
			}
			assert.InDelta(t, c.points, got.Points, .01)
		})
	}
}

func TestMissingIsBlankUnlessSaid(t *testing.T) {
	l := lesson(t, "05")
	for missing, want := range map[string]string{"": "", "blank": "", "zero": "0"} {
		b := New(Policy{Missing: missing}, "", "bwrap", []lessons.Lesson{l})
		assert.Equal(t, want, b.Add(Row{Student: "ada"}, nil).Cells[0].field(), missing)
	}
}

var evil = []string{`=HYPERLINK("http://example.com")`, "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "＝1", `a";=1+1;"`, "<script>alert(1)</script>", "'];alert(1)//", "]]>", "\x1b[2J", "{{.}}"}

func evilBook(t *testing.T) (*Book, map[string]marking.Mark) {
	l := lesson(t, "01")
	b := New(Policy{}, "x", "none", []lessons.Lesson{l})
	var marks map[string]marking.Mark
	for _, text := range evil {
		m := marked(l, 1)
		for i := range m.Steps {
			m.Steps[i].Claim, m.Steps[i].Got, m.Steps[i].Sent, m.Steps[i].Log, m.Steps[i].Reason, m.Steps[i].Detail = text, text, text, text, text, text
		}
		marks = map[string]marking.Mark{l.ID: m}
		b.Add(Row{Student: text, Notes: []string{text}}, marks)
		b.Add(Row{Student: text + " 2", Problem: text}, nil)
	}
	return b, marks
}

// OWASP, CSV Injection: a field that begins as a formula is computed.
func TestCSVHoldsNoFormula(t *testing.T) {
	b, _ := evilBook(t)
	b.Close()
	var out bytes.Buffer
	require.NoError(t, b.CSV(&out))
	rows, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+2*len(evil))
	for _, row := range rows {
		for _, field := range row {
			if field != "" {
				assert.NotContains(t, "=+-@＝＋－＠\t\r", string([]rune(field)[:1]), field)
			}
			assert.NotContains(t, field, "\n")
		}
	}
	assert.Contains(t, rows[1], "none", "who was graded without isolation is told so")
}

func TestPagesHoldNoMarkupOfStudents(t *testing.T) {
	b, marks := evilBook(t)
	folder := filepath.Join(t.TempDir(), "report")
	r, err := NewReport(folder)
	require.NoError(t, err)
	for i := range b.Rows {
		require.NoError(t, r.Student(b, &b.Rows[i], marks))
	}
	b.Close()
	require.NoError(t, r.Class(b, []string{evil[8]}))
	pages := 0
	require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		pages++
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.NotContains(t, strings.ToLower(string(text)), "<script", path)
		assert.Contains(t, string(text), "default-src 'none'", path)
		assert.Contains(t, string(text), "Graded without isolation", path)
		assert.NotRegexp(t, `(src|href)="(https?:)?//`, string(text), path)
		return nil
	}))
	assert.Equal(t, 2*len(evil)+2, pages, "a page for each student, whatever they are called")
}

func TestJUnitIsXMLWhateverIsSaid(t *testing.T) {
	b, marks := evilBook(t)
	var out bytes.Buffer
	s, err := JUnit(&out)
	require.NoError(t, err)
	for i := range b.Rows {
		if b.Rows[i].Problem != "" { // nothing of it could be taken
			require.NoError(t, s.Add(b, &b.Rows[i], nil))
			continue
		}
		require.NoError(t, s.Add(b, &b.Rows[i], marks))
	}
	require.NoError(t, s.Close())
	d := xml.NewDecoder(&out)
	suites := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "testsuite" {
			suites++
		}
	}
	assert.Equal(t, len(b.Rows), suites)
}

func TestCanvasIsFilledInAndLeftAlone(t *testing.T) {
	l := lesson(t, "05")
	b := New(Policy{}, "", "bwrap", []lessons.Lesson{l})
	b.Add(Row{Student: "lovelaceada", Canvas: "12"}, map[string]marking.Mark{l.ID: marked(l, 3)})
	b.Add(Row{Student: "hopper-grace"}, map[string]marking.Mark{l.ID: marked(l, 4)})
	b.Add(Row{Student: "stuck"}, map[string]marking.Mark{l.ID: {Lesson: l.ID, Why: "refused: x"}})
	b.Add(Row{Student: "nobody"}, nil)
	b.Close()
	b.Add(Row{Student: "Points Possible"}, map[string]marking.Mark{l.ID: marked(l, 1)}) // somebody calls their submission so
	export := "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Essay (7),05-refresh (4711),JWT Workshop (4712)\r\n" +
		"    Points Possible,,,,,10,20,20\r\n" +
		"\"Lovelace, Ada\",12,,ada,A,\"=1+1\",,\n" +
		"\"Hopper, Grace\",13,,hopper-grace,A,9,\"1\",\n" +
		"\"Stuck, S.\",14,,stuck,\"A\n\"\"B\"\"\",8,5,6"
	var out bytes.Buffer
	unknown, err := b.Canvas(strings.NewReader(export), &out)
	require.NoError(t, err)
	assert.Equal(t, "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Essay (7),05-refresh (4711),JWT Workshop (4712)\r\n"+
		"    Points Possible,,,,,10,20,20\r\n"+
		"\"Lovelace, Ada\",12,,ada,A,\"=1+1\",3,3\n"+ // others' columns stay as they are
		"\"Hopper, Grace\",13,,hopper-grace,A,9,4,4\n"+
		"\"Stuck, S.\",14,,stuck,\"A\n\"\"B\"\"\",8,5,6", // what could not be graded changes nothing
		out.String())
	assert.Equal(t, []string{"nobody", "Points Possible"}, unknown)

	semicolons := "Student;ID;05-refresh, all of it (4711)\nLovelace, Ada;12;\n"
	out.Reset()
	_, err = b.Canvas(strings.NewReader(semicolons), &out)
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(semicolons, "12;", "12;3", 1), out.String())

	_, err = b.Canvas(strings.NewReader("a,b\n1,2\n"), io.Discard)
	assert.ErrorIs(t, err, ErrCanvas)
}

func TestPolicyErrorsSayWhere(t *testing.T) {
	good := "title: Web security\npoints:\n  05-refresh: 10\nsteps:\n  refresh-is-by-post-only: 2\nmissing: zero\nlate:\n  due: {all: 2026-11-30T12:00:00Z}\n  grace: 15m\n  per_day: 10\n  at_most: 50\nstudents:\n  ada: {name: Ada, canvas: \"12\", handed_in: 2026-11-29T12:00:00Z, points: {05-refresh: {points: 3, why: viva}}}\n"
	read := func(text string) (Policy, error) {
		path := filepath.Join(t.TempDir(), "class.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		p, err := ReadPolicy(path)
		return p, err
	}
	p, err := read(good)
	require.NoError(t, err)
	assert.EqualValues(t, "15m", p.Late.Grace)
	assert.Equal(t, 3.0, p.Students["ada"].Points["05-refresh"].Points)
	for text, where := range map[string]string{
		strings.Replace(good, "05-refresh: 10", "99-x: 10", 1):                                 "class.yaml:3:3: points.99-x: there is no lesson",
		strings.Replace(good, "05-refresh: 10", "05-refresh: -1", 1):                           "class.yaml:3:3: points.05-refresh",
		strings.Replace(good, "refresh-is-by-post-only", "no-step", 1):                         "class.yaml:5:3: steps.no-step",
		strings.Replace(good, "missing: zero", "missing: perhaps", 1):                          "class.yaml:6:1: missing",
		strings.Replace(good, "at_most: 50", "at_most: 500", 1):                                "class.yaml:11:3: late.at_most",
		strings.Replace(good, "title:", "titel:", 1):                                           "class.yaml:1:1: ",
		strings.Replace(good, "grace: 15m", "grace: soon", 1):                                  "class.yaml:9:",
		strings.Replace(good, "points: {05-refresh: {points: 3", "points: {55: {points: 3", 1): "class.yaml:13:",
		strings.Replace(good, "2026-11-29T12:00:00Z", "yesterday", 1):                          "class.yaml:13:",
		"points: [": "class.yaml:1:",
	} {
		_, err := read(text)
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), where)
	}
}

func TestSummaryKeepsTextsInTheirBlocks(t *testing.T) {
	l := lesson(t, "01")
	b := New(Policy{}, "", "bwrap", []lessons.Lesson{l})
	m := marked(l, 0)
	m.Steps[0].Claim = "a\n````\n# not a heading"
	marks := map[string]marking.Mark{l.ID: m}
	row := b.Add(Row{Student: "ada"}, marks)
	var out bytes.Buffer
	s, err := Summary(&out)
	require.NoError(t, err)
	require.NoError(t, s.Add(b, row, marks))
	assert.Contains(t, out.String(), "`````text\na\n````\n# not a heading")
	assert.Contains(t, out.String(), "| 01-login | 0 of 17 | 0 of 17 |")
}

// A checkout holds the starters of lessons that nobody has come to yet.
func TestSummaryShowsTheCardThatIsNext(t *testing.T) {
	chosen := []lessons.Lesson{lesson(t, "01"), lesson(t, "02"), lesson(t, "03"), lesson(t, "04")}
	b := New(Policy{}, "", "bwrap", chosen)
	marks := map[string]marking.Mark{}
	for i, passed := range []int{int(own(chosen[0])), 0, 1, 0} {
		marks[chosen[i].ID] = marked(chosen[i], passed)
	}
	var out bytes.Buffer
	s, err := Summary(&out)
	require.NoError(t, err)
	require.NoError(t, s.Add(b, b.Add(Row{Student: "ada"}, marks), marks))
	assert.NotContains(t, out.String(), "### 01-login")
	assert.Contains(t, out.String(), "### 02-access-token", "the first that does not pass")
	assert.Contains(t, out.String(), "### 03-protect", "it is begun")
	assert.NotContains(t, out.String(), "### 04-expiry")
	assert.Contains(t, out.String(), "| 04-expiry | 0 of")
}
