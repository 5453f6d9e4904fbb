package gradebook

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	markdown "github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"golang.org/x/net/html"

	"jwtworkshop/checker/classroom/marking"
	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// Whatever a teacher types is a policy, or each mistake in it has its line; a policy
// that is written down is read again as it was.
func FuzzPolicy(f *testing.F) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(f, err)
	_, schema, _ := strings.Cut(string(readme), "```yaml\n")
	schema, _, _ = strings.Cut(schema, "```")
	_, err = parsePolicy("class.yaml", []byte(schema))
	require.NoError(f, err, "the schema in the README is one that can be read")
	f.Add(schema)
	for _, seed := range []string{"", "title: &a [*a]", "points: {? : 1}", "late: {due: {all: \"x\\ny\"}}", "points:\n  \"a\\nb\": 1\n", "missing: zero\n---\nmissing: no\n", "---\nmissing: zero\n", "missing: zero\n...\n", "missing: zero\n---\n", "- 1", "points: {05-refresh: .inf}", "title: \"", "a: b: c", "\t", "students:\n  ada: {points: {05-refresh: {points: -1}}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, written string) {
		p, err := parsePolicy("class.yaml", []byte(written))
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				require.Regexp(t, `^class\.yaml:[1-9][0-9]*:[1-9][0-9]*: `, line)
			}
			return
		}
		again, err := yaml.Marshal(p)
		require.NoError(t, err)
		q, err := parsePolicy("class.yaml", again)
		require.NoError(t, err, "%s", again)
		twice, err := yaml.Marshal(q)
		require.NoError(t, err)
		require.Equal(t, string(again), string(twice))
	})
}

// Of a file that Canvas exported only our columns change, and only of students who
// are in the book: put back what stood there, and it is the same file.
func FuzzCanvas(f *testing.F) {
	l := lessons.All()[4]
	for _, seed := range []string{
		"\ufeffStudent,ID,SIS Login ID,Essay,05-refresh (4711),JWT Workshop (2)\r\n    Points Possible,,,10,20,20\r\n\"Lovelace, Ada\",12,ada,\"=1\n+1\",,\r\n",
		"\"Student\";ID;\"JWT Workshop\"\n\nada;12;\"1\"\"2\"\nada;12",
		"Student,ID,05-refresh,05-refresh\n ada , 12 ,1,2\n",
		"ID,05-refresh,Student\n12,,\n12,,",
		"Student,ID,05-refresh\n\"x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, export string) {
		b := New(Policy{}, "", "bwrap", []lessons.Lesson{l})
		b.Add(Row{Student: "ada", Canvas: "12"}, map[string]marking.Mark{l.ID: marked(l, 3)})
		b.Add(Row{Student: "bob"}, map[string]marking.Mark{l.ID: {Lesson: l.ID, Why: "refused"}})
		var out bytes.Buffer
		_, err := b.Canvas(strings.NewReader(export), &out)
		if err != nil {
			require.ErrorIs(t, err, ErrCanvas)
			require.Empty(t, out.String())
			return
		}
		before, err := split([]byte(export))
		require.NoError(t, err)
		after, err := split(out.Bytes())
		require.NoError(t, err)
		require.Len(t, after, len(before))
		head := before[0].values
		student, id := slices.Index(head, "Student"), slices.Index(head, "ID")
		var restored bytes.Buffer
		done := 0
		for i, was := range before {
			now := after[i]
			require.Len(t, now.values, len(was.values))
			for at := range was.values {
				old, put := export[was.from[at]:was.to[at]], out.String()[now.from[at]:now.to[at]]
				if old == put {
					continue
				}
				require.Equal(t, "3", put)
				require.NotZero(t, i, "not in the titles")
				require.Regexp(t, `05-refresh|JWT Workshop`, head[at])
				require.True(t, was.value(id) == "12" || strings.EqualFold(was.value(student), "ada") || slices.Contains(was.values, "ada"), "%q", was.values)
				restored.WriteString(out.String()[done:now.from[at]] + old)
				done = now.to[at]
			}
		}
		restored.WriteString(out.String()[done:])
		require.Equal(t, export, restored.String())
	})
}

// What students wrote is text in whatever is made of it: read again, each file has the
// same elements as with a plain word in its place.
func FuzzTextsStayTexts(f *testing.F) {
	for _, s := range evil {
		f.Add(s, s)
	}
	f.Add("a\x00b\xff\ufffe\u2028", "</pre></code><img src=x onerror=alert(1)>\n````\n# x\n|a|b|\n")
	f.Add("</title>", "javascript:alert(1)")
	f.Add("\r\n=1,2", " \u00a0=1")
	plainly := map[int]forms{} // by lines
	f.Fuzz(func(t *testing.T, name, said string) {
		if name == "" || said == "" {
			t.Skip() // what is not there leaves its element out
		}
		// As many lines as there are stay lines: only what is in them is compared.
		lines := strings.Count(said, "\n")
		was, known := plainly[lines]
		if !known {
			was = written(t, "x", strings.Repeat("x\n", lines)+"x")
			plainly[lines] = was
		}
		now := written(t, name, said)
		require.Equal(t, was.html, now.html)
		require.Equal(t, was.xml, now.xml)
		require.Equal(t, was.markdown, now.markdown)
		rows, err := csv.NewReader(strings.NewReader(now.csv)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 3)
		for _, row := range rows {
			require.Len(t, row, len(rows[0]))
			for _, field := range row {
				first := strings.TrimLeft(field, " \u00a0\u3000\ufeff")
				require.False(t, strings.IndexAny(first, "=+-@＝＋－＠|%\t\r\n") == 0, "%q", field)
			}
		}
	})
}

// forms are the elements of what was made of a class: tags of pages and of JUnit, kinds
// of Markdown; and the CSV.
type forms struct {
	html, xml, markdown []string
	csv                 string
}

func written(t *testing.T, name, said string) (f forms) {
	l := lessons.All()[0]
	b := New(Policy{Title: said}, said, "bwrap", []lessons.Lesson{l})
	folder := filepath.Join(t.TempDir(), "report")
	report, err := NewReport(folder)
	require.NoError(t, err)
	var junit, summary, everything bytes.Buffer
	var streams []Stream
	for _, begin := range []func() (Stream, error){
		func() (Stream, error) { return JUnit(&junit) },
		func() (Stream, error) { return Summary(&summary) },
		func() (Stream, error) { return JSON(b, &everything) },
	} {
		s, err := begin()
		require.NoError(t, err)
		streams = append(streams, s)
	}
	m := marked(l, len(suites.Own(l))-2)
	for i := range m.Steps {
		s := &m.Steps[i]
		s.Claim, s.Got, s.Want, s.Sent, s.Token, s.Log, s.Reason, s.Detail = said, said, said, said, said, said, said, said
	}
	m.Detail = said
	for _, one := range []struct {
		row   Row
		marks map[string]marking.Mark
	}{
		{Row{Student: name, Canvas: said, Notes: []string{said}}, map[string]marking.Mark{l.ID: m}},
		{Row{Student: name + " ", Problem: said}, nil},
	} {
		row := b.Add(one.row, one.marks)
		require.NoError(t, report.Student(b, row, one.marks))
		for _, s := range streams {
			require.NoError(t, s.Add(b, row, one.marks))
		}
	}
	b.Close()
	for _, s := range streams {
		require.NoError(t, s.Close())
	}
	require.NoError(t, report.Class(b, []string{said}))
	require.True(t, json.Valid(everything.Bytes()))

	var pages []string
	require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) != "students" {
			pages = append(pages, path)
		}
		return err
	}))
	for i := range b.Rows { // their files' names are made of theirs
		pages = append(pages, filepath.Join(folder, "students", b.Rows[i].Page+".html"))
	}
	for _, page := range pages {
		content, err := os.ReadFile(page)
		require.NoError(t, err)
		tags := html.NewTokenizer(bytes.NewReader(content))
		for kind := tags.Next(); kind != html.ErrorToken; kind = tags.Next() {
			if kind == html.TextToken {
				continue
			}
			token := tags.Token()
			tag := kind.String() + " " + token.Data
			for _, a := range token.Attr {
				tag += " " + a.Key
			}
			f.html = append(f.html, tag)
		}
		require.ErrorIs(t, tags.Err(), io.EOF)
	}
	for d := xml.NewDecoder(&junit); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			tag := e.Name.Local
			for _, a := range e.Attr {
				tag += " " + a.Name.Local
			}
			f.xml = append(f.xml, tag)
		}
	}
	document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(summary.Bytes()))
	require.NoError(t, markdown.Walk(document, func(n markdown.Node, in bool) (markdown.WalkStatus, error) {
		if in && n.Kind() != markdown.KindText {
			f.markdown = append(f.markdown, n.Kind().String())
		}
		return markdown.WalkContinue, nil
	}))
	var table bytes.Buffer
	require.NoError(t, b.CSV(&table))
	f.csv = table.String()
	return f
}
