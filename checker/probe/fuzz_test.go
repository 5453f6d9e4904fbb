package probe

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever stands in a request, a shell reads the printed command as the words
// that were meant: nothing that a step or a server made up is run.
func FuzzCurlIsOneCommand(f *testing.F) {
	f.Add("/profile?a=b&c=$(id)", "X-A", "it's; `id`", "{\"a\":\"\\u0000\"}")
	f.Add("/", "Authorization", "Bearer \x00\x1b[31m", "\xff'\\'")
	f.Add("//!x", "X", "", "a\nb")
	f.Fuzz(func(t *testing.T, path, name, value, body string) {
		e := &Exchange{Base: "http://localhost:8080", Request: Request{Method: "POST", Path: path, Header: http.Header{name: {value}}, Body: []byte(body)}}
		words, ok := shellWords(e.Curl())
		require.True(t, ok, e.Curl())
		header := name + ": " + value
		if value == "" {
			header = name + ";"
		}
		require.Equal(t, []string{"curl", "-i", "-X", "POST", "http://localhost:8080" + path, "-H", header, "--data-binary", body}, words)
		for _, printed := range []string{e.Curl(), e.ShortCurl()} {
			require.False(t, strings.ContainsFunc(printed, func(r rune) bool { return r < ' ' || r == 0x7f }), "a control character reaches the terminal: %q", printed)
		}
	})
}

// shellWords splits a command as bash does, as far as '…', $'…' and \x go. It is
// false where anything else stands outside quotes that a shell would act on.
func shellWords(s string) (words []string, ok bool) {
	word, inWord := "", false
	for i := 0; i < len(s); {
		switch {
		case s[i] == ' ':
			if inWord {
				words = append(words, word)
			}
			word, inWord = "", false
			i++
		case s[i] == '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return nil, false
			}
			word, inWord = word+s[i+1:i+1+end], true
			i += end + 2
		case strings.HasPrefix(s[i:], "$'"):
			i += 2
			for i < len(s) && s[i] != '\'' {
				if s[i] != '\\' {
					word += s[i : i+1]
					i++
				} else if strings.HasPrefix(s[i:], `\x`) {
					n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
					if err != nil {
						return nil, false
					}
					word += string([]byte{byte(n)})
					i += 4
				} else {
					word += s[i+1 : i+2]
					i += 2
				}
			}
			inWord = true
			i++
		case s[i] == '\\' && i+1 < len(s):
			word, inWord = word+s[i+1:i+2], true
			i += 2
		case strings.IndexByte("\t\n|&;<>()$`\"*?[]#~!{}", s[i]) >= 0:
			return nil, false
		default:
			word, inWord = word+s[i:i+1], true
			i++
		}
	}
	if inWord {
		words = append(words, word)
	}
	return words, true
}
