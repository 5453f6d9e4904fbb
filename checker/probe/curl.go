package probe

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Curl is the request as a command for a POSIX shell, whole.
func (e *Exchange) Curl() string { return e.curl(func(s string) string { return s }) }

// ShortCurl is the same with long tokens and bodies folded: "eyJhbGciOi…".
func (e *Exchange) ShortCurl() string { return e.curl(fold) }

func (e *Exchange) curl(fold func(string) string) string {
	var b strings.Builder
	b.WriteString("curl -i")
	if e.Method != "GET" {
		b.WriteString(" -X " + e.Method)
	}
	b.WriteString(" " + quote(e.Base+foldWords(e.Path, fold)))
	for _, name := range slices.Sorted(maps.Keys(e.Request.Header)) {
		for _, value := range e.Request.Header[name] {
			if value == "" {
				b.WriteString(" -H " + quote(name+";")) // how curl spells an empty header
				continue
			}
			b.WriteString(" -H " + quote(name+": "+foldWords(value, fold)))
		}
	}
	if e.Stream {
		b.WriteString(" -H 'Transfer-Encoding: chunked'")
	}
	if e.Body != nil {
		b.WriteString(" --data-binary " + quote(fold(string(e.Body))))
	}
	return b.String()
}

// quote quotes for a POSIX shell where that is needed. Control characters, which
// no terminal should be sent, stand as $'\x00'.
func quote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:=@%+,", r))
	}) < 0 {
		return s
	}
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) >= 0 {
		var b strings.Builder
		for _, c := range []byte(s) {
			switch {
			case c == '\'' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c >= 0x7f:
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
		return "$'" + b.String() + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// A word longer than this, a token or a planted body, is folded.
const (
	longWord  = 48
	longBody  = 400
	keptStart = 12
	keptEnd   = 6
)

func foldWords(s string, fold func(string) string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		name, value, found := strings.Cut(w, "=")
		if found && len(name) < longWord {
			words[i] = name + "=" + fold(value)
		} else {
			words[i] = fold(w)
		}
	}
	return strings.Join(words, " ")
}

// fold shortens a long token to its first and last characters, and a long body
// likewise with its length.
func fold(s string) string {
	switch {
	case len(s) > longBody && strings.ContainsAny(s, " {"):
		return fmt.Sprintf("%s… (%d bytes in all)", strings.ToValidUTF8(s[:longBody/4], ""), len(s))
	case len(s) > longWord && !strings.ContainsAny(s, " {"):
		return strings.ToValidUTF8(s[:keptStart], "") + "…" + strings.ToValidUTF8(s[len(s)-keptEnd:], "")
	}
	return s
}
