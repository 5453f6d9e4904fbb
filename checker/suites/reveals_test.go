package suites

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A cookie that is signed shows what is in it, however often it was encoded.
func TestASignedCookieRevealsItsTokens(t *testing.T) {
	const token = "rt.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	url64, std64 := base64.URLEncoding.EncodeToString, base64.StdEncoding.EncodeToString
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	z.Write([]byte(`{"refresh_token":"` + token + `"}`))
	z.Close()
	for name, cookie := range map[string]string{
		"as it is":           "tokens=" + token + "; Path=/",
		"flask":              base64.RawURLEncoding.EncodeToString([]byte(`{"refresh_token":"`+token+`"}`)) + ".aSGvYA.Zk1yJ3qj2yqv4bP0s8mH1mYw7rE",
		"flask, deflated":    "." + base64.RawURLEncoding.EncodeToString(deflated.Bytes()) + ".aSGvYA.Zk1yJ3qj2yqv4bP0s8mH1mYw7rE",
		"gorilla":            url64([]byte("1763800000|" + url64([]byte("\x10gob\x00"+token)) + "|0123456789abcdef0123456789abcdef")),
		"rack":               std64([]byte("\x04\x08{"+token)) + "--0123456789abcdef",
		"escaped":            "tokens=rt%2EABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"express, in a JSON": "s%3A" + url64([]byte(`{"t":"`+token+`"}`)) + ".c2lnbmF0dXJl",
	} {
		assert.True(t, reveals(cookie, token, 4), name)
	}
	for name, cookie := range map[string]string{
		"a random name": "session=4kdJYr6272GwEuoxVYQlee9auizMro-9r2OCkO4IsXs", "nothing": "", "another token": "rt.ABCDEFGHIJKLMNOPQRSTUVWXYY",
	} {
		assert.False(t, reveals(cookie, token, 4), name)
	}
}
