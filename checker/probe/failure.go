package probe

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/forge"
)

// A Failure is a rule that an answer broke: what a failure card is made of.
type Failure struct {
	Claim string    // what is wrong, in a sentence: "a refresh token opened /profile"
	Sent  *Exchange // the exchange that shows it; nil where none does
	Want  string    // what a right server answers
	Got   string    // what this one answered
}

// Error is the failure in a few plain lines.
func (f *Failure) Error() string {
	var b strings.Builder
	b.WriteString(f.Claim)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n%-5s %s", name, text)
		}
	}
	if f.Sent != nil {
		line("sent", f.Sent.ShortCurl())
		line("token", f.Sent.DescribeToken())
	}
	line("want", f.Want)
	line("got", f.Got)
	return b.String()
}

// A Recorder is a [require.TestingT] that keeps failures as they are.
type Recorder interface {
	Record(*Failure)
}

// Fail ends the step with a failure: as it is where t records failures, as text
// under go test.
func Fail(t require.TestingT, f *Failure) {
	if r, ok := t.(Recorder); ok {
		r.Record(f)
	} else {
		t.Errorf("%s", f.Error())
	}
	t.FailNow()
}

// Summary is the answer in a line: its status and its body, folded.
func (e *Exchange) Summary() string {
	if e.Status == 0 {
		return "no answer"
	}
	text := strings.TrimSpace(string(e.ReplyBody))
	if kind, _, err := mime.ParseMediaType(e.ReplyHeader.Get("Content-Type")); err == nil && kind == "text/html" {
		text = "a page: " + visible(text)
	}
	if v, err := e.JSON(); err == nil {
		if compact, err := json.Marshal(v); err == nil {
			text = string(compact)
		}
	}
	if text == "" {
		text = "with an empty body"
	}
	return fmt.Sprintf("%d %s", e.Status, foldAnswer(printable(text)))
}

// visible is about what a reader sees of a page.
func visible(page string) string {
	text := html.UnescapeString(tag.ReplaceAllString(unseen.ReplaceAllString(page, " "), " "))
	return strings.Join(strings.Fields(text), " ")
}

var (
	unseen = regexp.MustCompile(`(?is)<(?:style|script|title)\b.*?</(?:style|script|title)>|<!--.*?-->`)
	tag    = regexp.MustCompile(`<[^>]*>`)
)

// Headers lists the named headers of the answer as they came.
func (e *Exchange) Headers(names ...string) string {
	var lines []string
	for _, n := range names {
		values := e.ReplyHeader.Values(n)
		if len(values) == 0 {
			lines = append(lines, "no "+n)
		}
		for _, v := range values {
			lines = append(lines, n+": "+printable(foldWords(v, fold)))
		}
	}
	return strings.Join(lines, ", ")
}

// foldAnswer shortens the tokens in an answer, and an answer that is a page.
func foldAnswer(s string) string {
	parts := strings.Split(s, `"`)
	for i, p := range parts {
		parts[i] = fold(p)
	}
	s = strings.Join(parts, `"`)
	if len(s) > longBody {
		s = fmt.Sprintf("%s… (%d bytes in all)", strings.ToValidUTF8(s[:longBody], ""), len(s))
	}
	return s
}

// printable keeps an answer's control characters away from the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}

// DescribeToken says what stands in the request's token and whose it is:
// `{"sub":"ada","exp":"in 1h0m0s"}, the refresh token that /login gave ada`.
func (e *Exchange) DescribeToken() string {
	if e.Token.Raw == "" {
		return ""
	}
	text := DescribeToken(e.Token.Raw, e.At)
	if e.Token.What != "" {
		text += ", " + e.Token.What
	}
	return printable(text)
}

// DescribeToken shows a JWT's interesting claims, with times as seen from now; a
// token that is no JWT stands folded.
func DescribeToken(raw string, now time.Time) string {
	t, err := forge.Decode(raw)
	if err != nil {
		return fold(raw)
	}
	var parts []string
	if typ, ok := t.Header["typ"].(string); ok && !strings.EqualFold(typ, "JWT") {
		parts = append(parts, fmt.Sprintf(`"typ":%q`, typ))
	}
	if t.Alg() != "HS256" {
		parts = append(parts, fmt.Sprintf(`"alg":%q`, t.Alg()))
	}
	first := []string{"sub", "iat", "nbf", "exp"}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(t.Claims)), func(c string) bool { return slices.Contains(first, c) })
	folded := false
	for _, claim := range append(first, rest...) {
		value, ok := t.Claims[claim]
		switch {
		case !ok:
			continue
		case slices.Contains(dull, claim):
			folded = true
			continue
		}
		text, _ := json.Marshal(value)
		if when, ok := t.Time(claim); ok && slices.Contains(dates, claim) {
			text, _ = json.Marshal(relative(when, now))
		}
		parts = append(parts, fmt.Sprintf("%q:%s", claim, foldAnswer(string(text))))
	}
	if folded {
		parts = append(parts, "…")
	}
	return "{" + strings.Join(parts, ",") + "}"
}

var (
	dates = []string{"iat", "nbf", "exp", "auth_time"}

	// dull claims tell a reader little: they are long, random, or always the same.
	// Where a step has changed one, the words beside the token say so.
	dull = []string{"iss", "aud", "jti", "sid"}
)

// relative says when something is, as seen from now. A time.Duration holds no more
// than 292 years; a date in milliseconds lies further off.
func relative(when, now time.Time) string {
	seconds := when.Unix() - now.Unix()
	const year = 365 * 24 * 3600
	d := time.Duration(seconds) * time.Second
	switch {
	case seconds > 50*year:
		return fmt.Sprintf("in %d years", seconds/year)
	case seconds < -50*year:
		return fmt.Sprintf("%d years ago", -seconds/year)
	case seconds == 0:
		return "now"
	case seconds > 0:
		return "in " + d.String()
	}
	return (-d).String() + " ago"
}

// StatusText is "401 Unauthorized".
func StatusText(status int) string {
	return fmt.Sprintf("%d %s", status, http.StatusText(status))
}
