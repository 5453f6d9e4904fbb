package main

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/alecthomas/chroma/v2"
	chromahtml "github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/alecthomas/chroma/v2/styles"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"jwtworkshop/checker/suites"
	"jwtworkshop/lessons"
)

// A document is a lesson's README as the page shows it.
type document struct {
	HTML  template.HTML // without the title, which the page sets itself
	Parts []part        // its headings, in order
}

// A part is a heading of a README.
type part struct {
	Anchor string // "task-3"
	Title  string // "Task 3: Refresh"
	Task   int    // 3; 0 where it is no task
}

// readme renders a lesson's README: anchors stay where they are, its pictures and
// the links to other lessons lead to this page, and what a step's ID stands for can
// be marked as done.
func readme(l lessons.Lesson) (document, error) {
	source, err := fs.ReadFile(l.Texts(), "README.md")
	if err != nil {
		return document{}, err
	}
	var doc document
	shape := &shaper{lesson: l, doc: &doc, steps: map[string]bool{}}
	for _, s := range suites.Own(l) {
		shape.steps[s.ID] = true
	}
	markdown := goldmark.New(
		// A table's alignment as an attribute: the page allows no inline style.
		goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)), extension.Linkify),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(shape, 100))),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(writer{}, 100))),
	)
	var out bytes.Buffer
	if err := markdown.Convert(source, &out); err != nil {
		return document{}, err
	}
	doc.HTML = template.HTML(out.String()) // the text is the workshop's own, and raw HTML in it is dropped
	return doc, nil
}

// shaper turns a README's tree into one for the page.
type shaper struct {
	lesson lessons.Lesson
	steps  map[string]bool // the lesson's own
	doc    *document
}

var (
	anchorTag   = regexp.MustCompile(`^<a id="([a-z0-9-]+)">$`)
	taskAnchor  = regexp.MustCompile(`^task-(\d+)$`)
	lessonsText = regexp.MustCompile(`^(?:\.\./)?(\d\d-[a-z-]+)/(?:README\.md)?(#.*)?$`)
)

// Transform implements goldmark's parser.ASTTransformer.
func (s *shaper) Transform(tree *ast.Document, r text.Reader, _ parser.Context) {
	anchor := "" // of the heading that comes next
	var drop, unlink []ast.Node
	ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.RawHTML:
			if m := anchorTag.FindSubmatch(bytes.TrimSpace(n.Segments.Value(r.Source()))); m != nil {
				anchor = string(m[1])
			}
			if p := n.Parent(); p.FirstChild() == ast.Node(n) && onlyHTML(p) {
				drop = append(drop, p)
			}
		case *ast.Heading:
			if n.Level == 1 {
				drop = append(drop, n)
				break
			}
			if anchor != "" {
				n.SetAttributeString("id", []byte(anchor))
				anchor = ""
			}
			id, _ := n.AttributeString("id")
			p := part{Title: plainText(n, r.Source())}
			if raw, ok := id.([]byte); ok {
				p.Anchor = string(raw)
			}
			if m := taskAnchor.FindStringSubmatch(p.Anchor); m != nil {
				fmt.Sscan(m[1], &p.Task)
			}
			s.doc.Parts = append(s.doc.Parts, p)
		case *ast.ListItem:
			if code := firstCode(n); code != nil {
				if id := plainText(code, r.Source()); s.steps[id] {
					n.SetAttributeString("data-step", []byte(id))
				}
			}
		case *ast.Image:
			n.Destination = []byte("/lessons/" + s.lesson.ID + "/" + path.Base(string(n.Destination)))
		case *ast.Link:
			if to, ok := s.target(string(n.Destination)); ok {
				n.Destination = []byte(to)
			} else {
				unlink = append(unlink, n)
			}
		}
		return ast.WalkContinue, nil
	})
	for _, n := range drop {
		n.Parent().RemoveChild(n.Parent(), n)
	}
	for _, n := range unlink { // a file of the checkout: its name will do
		for c := n.FirstChild(); c != nil; c = n.FirstChild() {
			n.Parent().InsertBefore(n.Parent(), n, c)
		}
		n.Parent().RemoveChild(n.Parent(), n)
	}
}

// target is where a link of the README leads on this page; false where the page
// does not have that.
func (s *shaper) target(to string) (string, bool) {
	if strings.HasPrefix(to, "#") || strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "http://") {
		return to, true
	}
	if m := lessonsText.FindStringSubmatch(to); m != nil {
		if _, err := lessons.Find(m[1]); err == nil {
			return "/lessons/" + m[1] + m[2], true
		}
	}
	return "", false
}

// onlyHTML tells whether nothing would be left of a paragraph.
func onlyHTML(n ast.Node) bool {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if c.Kind() != ast.KindRawHTML {
			return false
		}
	}
	return true
}

// firstCode is the code span that an item begins with, nil if it begins otherwise.
func firstCode(item ast.Node) ast.Node {
	block := item.FirstChild()
	if block == nil {
		return nil
	}
	code, _ := block.FirstChild().(*ast.CodeSpan)
	if code == nil {
		return nil
	}
	return code
}

func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.Write(t.Segment.Value(source))
		} else {
			b.WriteString(plainText(c, source))
		}
	}
	return b.String()
}

// writer writes what goldmark would write otherwise: code in colours, and no HTML
// that stands in the text as it is.
type writer struct{}

// RegisterFuncs implements goldmark's renderer.NodeRenderer.
func (writer) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	nothing := func(util.BufWriter, []byte, ast.Node, bool) (ast.WalkStatus, error) { return ast.WalkSkipChildren, nil }
	r.Register(ast.KindRawHTML, nothing)
	r.Register(ast.KindHTMLBlock, nothing)
	code := func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		language := ""
		if f, ok := n.(*ast.FencedCodeBlock); ok {
			language = string(f.Language(source))
		}
		var b strings.Builder
		for i := range n.Lines().Len() {
			line := n.Lines().At(i)
			b.Write(line.Value(source))
		}
		fmt.Fprintf(w, "<pre class=\"code\" data-language=\"%s\"><code>%s</code></pre>\n", html.EscapeString(language), coloured(language, b.String()))
		return ast.WalkSkipChildren, nil
	}
	r.Register(ast.KindFencedCodeBlock, code)
	r.Register(ast.KindCodeBlock, code)
}

// coloured is code as HTML, with a class for each kind of word.
func coloured(language, code string) string {
	lexer := lexers.Get(language)
	if lexer == nil || language == "text" {
		return html.EscapeString(code)
	}
	tokens, err := chroma.Coalesce(lexer).Tokenise(nil, code)
	if err != nil {
		return html.EscapeString(code)
	}
	var out strings.Builder
	format := chromahtml.New(chromahtml.WithClasses(true), chromahtml.ClassPrefix("c-"), chromahtml.PreventSurroundingPre(true))
	if err := format.Format(&out, styles.Fallback, tokens); err != nil {
		return html.EscapeString(code)
	}
	return out.String()
}
