package proof_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/proof"
	"jwtworkshop/checker/report"
	"jwtworkshop/lessons"
)

// update rewrites what the texts show of the checker's output:
//
//	go test ./checker/proof -run Cards -update
var update = flag.Bool("update", false, "rewrite the cards in the texts")

// shownCard is a card in a text: which wrong solution it is of, and what it says.
//
//	<!-- card: wrong/055-refresh-opens-profile -->
//	```text
//	05 · Refresh …
//	```
var shownCard = regexp.MustCompile("(?s)<!-- card: (\\S+) -->\n```text\n(.*?)```\n")

// Every card that a text shows is what the checker prints of that wrong solution.
func TestCardsInTextsAreReal(t *testing.T) {
	cases := load(t, false)
	texts := []string{"README.md"}
	for _, l := range lessons.All() {
		texts = append(texts, filepath.Join("lessons", l.ID, "README.md"))
	}
	for _, name := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(root, name)
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatal(name, "is missing")
			}
			require.NoError(t, err)
			found := shownCard.FindAllSubmatch(text, -1)
			require.NotEmpty(t, found, "%s shows no card", name)
			for _, m := range found {
				which := string(m[1])
				i := slices.IndexFunc(cases, func(c proof.Case) bool { return c.Name == which })
				require.GreaterOrEqual(t, i, 0, "there is no case %s", which)
				card := printed(t, cases[i])
				if *update {
					block := fmt.Sprintf("<!-- card: %s -->\n```text\n%s```\n", which, card)
					text = bytes.Replace(text, m[0], []byte(block), 1)
					continue
				}
				assert.Equal(t, steady(card), steady(string(m[2])), "go test ./checker/proof -run Cards -update")
			}
			if *update {
				require.NoError(t, os.WriteFile(path, text, 0o644))
			}
		})
	}
}

// printed is what the learner's command prints of a case.
func printed(t *testing.T, c proof.Case) string {
	var out bytes.Buffer
	card := report.Card{Out: report.Plain(&out), Width: report.DefaultWidth, Next: true}
	card.Verdict(byProgram(t, c, build(t, c)))
	return strings.ReplaceAll(out.String(), "solutions/", "lessons/")
}

// random is what differs from one run to the next: tokens, names, times.
var random = []*regexp.Regexp{
	regexp.MustCompile(`"(jti|sid|iss|aud)":\[?"[^"]*"\]?`),
	regexp.MustCompile(`[A-Za-z0-9_-]{8,}…[A-Za-z0-9_=-]+`),
	regexp.MustCompile(`(Bearer|token) +[A-Za-z0-9_-]{43}`), // one that is no JWT, 32 bytes
	regexp.MustCompile(`\b(ada|grace|alan|radia|linus|katherine|margaret|barbara)-[a-z0-9]{5}\b`),
	regexp.MustCompile(`(issuer|api)-[a-z0-9]{8}`),
	regexp.MustCompile(`pw-[A-Z0-9]{16}`),
	regexp.MustCompile(`\bsession=[A-Za-z0-9_-]{20,}`),
	regexp.MustCompile(`[0-9.]+(ms|µs|s)\b`),
	regexp.MustCompile(`([0-9]+[hm])+`),
	regexp.MustCompile(`\b[0-9]{10,}\b`),
	regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}`),
	regexp.MustCompile(`\s+`), // a name of another length wraps another line
}

func steady(card string) string {
	for _, r := range random {
		card = r.ReplaceAllString(card, "~")
	}
	return card
}

// The page that lists the corpus lists what is there.
func TestTableIsCurrent(t *testing.T) {
	cases, err := proof.Load(proof.Corpus, os.DirFS(filepath.Join(root, "solutions")))
	require.NoError(t, err)
	const page = "PROOF.md"
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(proof.Table(cases)), 0o644))
	}
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, proof.Table(cases), string(text), "go test ./checker/proof -run Table -update")
}
