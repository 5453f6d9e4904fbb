package main

import (
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/lessons"
)

// update takes the picture that the README shows anew:
//
//	go test ./checker/watch -run Picture -update
var update = flag.Bool("update", false, "take the README's picture of the screen anew")

// pictureFile is what the README shows: a screen, as tmux captured it.
const pictureFile = "screen.svg"

// The README's picture of the screen is what the screen shows: lesson 01, with a
// server that answers 404 for a name that it does not know.
func TestPictureIsReal(t *testing.T) {
	t.Parallel()
	const width = 88
	x := open(t, width, 29, "TERM=screen-256color")
	first := lessons.All()[0]
	solution, err := os.ReadFile(filepath.Join(x.root, "solutions", first.ID, "login.go"))
	require.NoError(t, err)
	const check = "\tif !s.cfg.DB.Verify(hash, sent.Password) || !known {\n"
	require.Contains(t, string(solution), check)
	x.shows("0 of 17 steps")
	x.saves(first, "login.go", strings.Replace(string(solution), check,
		"\tmatches := s.cfg.DB.Verify(hash, sent.Password)\n\tif !known {\n\t\treturn c.JSON(http.StatusNotFound, map[string]any{\"error\": \"No such user\"})\n\t}\n\tif !matches {\n", 1))
	x.shows("14 of 17 steps")
	x.shows("graded at")
	x.types("h")
	x.shows("hint 1 of 3")
	captured := strings.TrimRight(x.tmux("capture-pane", "-p", "-e"), "\n")

	picture := drawn(captured, width)
	if *update {
		require.NoError(t, os.WriteFile(pictureFile, []byte(picture), 0o644))
	}
	have, err := os.ReadFile(pictureFile)
	require.NoError(t, err)
	assert.Equal(t, said(picture), said(string(have)), "go test ./checker/watch -run Picture -update")
}

var (
	graphic = regexp.MustCompile("\x1b\\[([0-9;]*)m|[^\x1b]+")
	spoken  = regexp.MustCompile(`<tspan[^>]*>([^<]*)</tspan>`)
	passing = regexp.MustCompile(`[0-9:]{8}, in [0-9.]+ s|laika-[A-Z]+`)
)

// said is the text of a picture, without what differs from one run to the next.
func said(svg string) string {
	var b strings.Builder
	for _, m := range spoken.FindAllStringSubmatch(strings.ReplaceAll(svg, "</text>", "<tspan>\n</tspan>"), -1) {
		b.WriteString(m[1])
	}
	return passing.ReplaceAllString(html.UnescapeString(b.String()), "~")
}

// drawn is a captured screen as a picture that looks like one.
func drawn(screen string, width int) string {
	const letter, line, edge = 8.4, 19, 18
	lines := strings.Split(screen, "\n")
	w, h := int(float64(width)*letter)+2*edge, len(lines)*line+2*edge
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<title>make watch</title>
<desc>A terminal: 14 of 17 steps pass, the card of the first that fails, a hint for it, and the keys.</desc>
<rect width="%[1]d" height="%[2]d" rx="10" fill="#1c1f24"/>
`, w, h)
	style := map[string]string{}
	for y, text := range lines {
		fmt.Fprintf(&b, `<text y="%d" fill="#d8dbe0" xml:space="preserve">`, edge+y*line+14)
		column := 0
		for _, m := range graphic.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(m[0], "\x1b") {
				for code := range strings.SplitSeq(m[1], ";") {
					switch code {
					case "", "0":
						clear(style)
					case "1":
						style["font-weight"] = "bold"
					case "2":
						style["fill"] = "#8d94a0"
					case "31":
						style["fill"] = "#f0787e"
					case "32":
						style["fill"] = "#86cf7d"
					case "39":
						delete(style, "fill")
					case "22":
						delete(style, "font-weight")
						delete(style, "fill") // of what is faint
					}
				}
				continue
			}
			attributes := ""
			for _, name := range []string{"fill", "font-weight"} {
				if style[name] != "" {
					attributes += fmt.Sprintf(" %s=%q", name, style[name])
				}
			}
			n := utf8.RuneCountInString(m[0])
			// Fonts differ in width; the columns do not.
			fmt.Fprintf(&b, `<tspan x="%.1f" textLength="%.1f"%s>%s</tspan>`, edge+float64(column)*letter, float64(n)*letter, attributes, html.EscapeString(m[0]))
			column += n
		}
		b.WriteString("</text>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}
