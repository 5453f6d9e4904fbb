package main

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"charm.land/glamour/v2"
	glamouransi "charm.land/glamour/v2/ansi"
	"github.com/charmbracelet/x/ansi"

	"jwtworkshop/lessons"
)

// A rendered text stands for as long as the screen stays as it is.
type rendered struct {
	lesson string
	width  int
	plain  bool
	text   string
}

// textPage is the lesson's README for a terminal.
func (s *screen) textPage() string {
	have := s.rendered
	if have.lesson != s.lesson.ID || have.width != s.width || have.plain != s.plain {
		text, err := readme(s.lesson, min(s.width, widest), s.plain)
		if err != nil {
			text = err.Error()
		}
		s.rendered = rendered{s.lesson.ID, s.width, s.plain, text}
	}
	return s.rendered.text
}

// What a README holds for browsers and for tests, and what a terminal cannot
// follow: links into the repository, and pictures, whose description stands in
// for them.
var (
	unseen  = regexp.MustCompile(`^(<!--.*-->|<a id="[^"]*"></a>|# .*)$`)
	picture = regexp.MustCompile(`!\[([^\]]*)\]\(([^)]+)\)`)
	inside  = regexp.MustCompile(`\[([^\]]+)\]\([^):]+\)`)
)

// forTerminal is a lesson's README as a terminal can show it. The title is left
// out: it stands above the page.
func forTerminal(l lessons.Lesson, markdown string) string {
	var out strings.Builder
	fenced := false
	for line := range strings.Lines(strings.ReplaceAll(markdown, "\r\n", "\n")) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if !fenced {
			if unseen.MatchString(strings.TrimSuffix(line, "\n")) {
				continue
			}
			line = picture.ReplaceAllString(line, "*Picture, lessons/"+l.ID+"/$2:* $1")
			line = inside.ReplaceAllString(line, "$1")
		}
		out.WriteString(line)
	}
	return out.String()
}

// readme renders a lesson's README for so many columns, plain where there are no
// colours.
func readme(l lessons.Lesson, width int, plain bool) (string, error) {
	raw, err := fs.ReadFile(l.Texts(), "README.md")
	if err != nil {
		return "", err
	}
	// Glamour wraps tables, and nothing else: what follows in an item of a list, or
	// in a line of code, it would let begin at the margin.
	var out strings.Builder
	for _, part := range apart(forTerminal(l, string(raw))) {
		wrap := 0
		if strings.HasPrefix(part, "|") {
			wrap = width - 2
		}
		r, err := glamour.NewTermRenderer(glamour.WithStyles(style(plain)), glamour.WithWordWrap(wrap))
		if err != nil {
			return "", err
		}
		text, err := r.Render(part)
		if err != nil {
			return "", fmt.Errorf("lessons/%s/README.md: %w", l.ID, err)
		}
		lines := strings.Split(fit(text, width-2), "\n")
		for len(lines) > 0 && blank(lines[0]) {
			lines = lines[1:]
		}
		for len(lines) > 0 && blank(lines[len(lines)-1]) {
			lines = lines[:len(lines)-1]
		}
		out.WriteString(strings.Join(lines, "\n") + "\n\n")
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

func blank(line string) bool { return strings.TrimSpace(ansi.Strip(line)) == "" }

// apart is a text in parts: each table by itself, and what stands between them.
func apart(markdown string) []string {
	var parts []string
	table := false
	for line := range strings.Lines(markdown) {
		if now := strings.HasPrefix(line, "|"); now != table || parts == nil {
			parts, table = append(parts, ""), now
		}
		parts[len(parts)-1] += line
	}
	return parts
}

// style is for glamour: the terminal's own colours, so that it is readable on
// whatever ground they are chosen for.
func style(plain bool) glamouransi.StyleConfig {
	yes, margin, cyan, blue, mark := true, uint(2), "6", "4", ""
	if plain {
		mark = "`"
	}
	block := func(p glamouransi.StylePrimitive) glamouransi.StyleBlock {
		return glamouransi.StyleBlock{StylePrimitive: p}
	}
	heading := block(glamouransi.StylePrimitive{Bold: &yes, Color: &blue})
	return glamouransi.StyleConfig{
		Document:    glamouransi.StyleBlock{Margin: &margin},
		Heading:     block(glamouransi.StylePrimitive{BlockSuffix: "\n", Bold: &yes}),
		H2:          heading,
		H3:          block(glamouransi.StylePrimitive{Bold: &yes}),
		Strong:      glamouransi.StylePrimitive{Bold: &yes},
		Emph:        glamouransi.StylePrimitive{Italic: &yes},
		List:        glamouransi.StyleList{LevelIndent: 2},
		Item:        glamouransi.StylePrimitive{BlockPrefix: "• "},
		Enumeration: glamouransi.StylePrimitive{BlockPrefix: ". "},
		Code:        block(glamouransi.StylePrimitive{Prefix: mark, Suffix: mark, Color: &cyan}),
		CodeBlock:   glamouransi.StyleCodeBlock{StyleBlock: glamouransi.StyleBlock{StylePrimitive: glamouransi.StylePrimitive{Color: &cyan}, Margin: &margin}},
		Link:        glamouransi.StylePrimitive{Faint: &yes},
		LinkText:    glamouransi.StylePrimitive{Underline: &yes},
		BlockQuote:  glamouransi.StyleBlock{Indent: new(uint), IndentToken: nil},
		Table:       glamouransi.StyleTable{},
	}
}

// toTask scrolls to the task of the step that fails, in the text.
func (s *screen) toTask() {
	first, failing := s.failing()
	if !failing || first.Step.Lesson != s.lesson.ID {
		s.note = "no step of this lesson fails"
		return
	}
	v := s.views[text]
	title := fmt.Sprintf("Task %d:", first.Step.Task)
	lines := strings.Split(ansi.Strip(v.GetContent()), "\n")
	if at := slices.IndexFunc(lines, func(l string) bool {
		return strings.Contains(l, "# "+title) || strings.HasPrefix(strings.TrimSpace(l), title)
	}); at >= 0 {
		v.SetYOffset(at)
	}
}
