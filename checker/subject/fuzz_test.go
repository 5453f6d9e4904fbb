package subject

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"jwtworkshop/checker/probe"
)

// Cookies come from a learner's server and may be anything. A browser keeps them or
// does not, and what it sends is one header of one line.
func FuzzBrowserKeepsCookies(f *testing.F) {
	for _, line := range []string{
		"access_token=eyJ.e30.x; HttpOnly; Secure; SameSite=Lax; Path=/", "__Host-csrf_token=a; Path=/; Secure", "a=b; Max-Age=9999999999999999999",
		"a=b; Max-Age=-1", "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=b; Domain=evil.example", "=;", "a=\"b\"; Path=", "a=b; Path=no/slash",
	} {
		f.Add(line, "/refresh", "/")
	}
	f.Fuzz(func(t *testing.T, line, asked, next string) {
		if !strings.HasPrefix(asked, "/") || !strings.HasPrefix(next, "/") {
			t.Skip("a step asks for paths")
		}
		s := &Session{group: &group{now: time.Unix(2e9, 0)}, client: probe.NewClient("tcp", "127.0.0.1:1", "")}
		b := s.Browser()
		b.keep(&Answer{Exchange: &probe.Exchange{Request: probe.Request{Method: "GET", Path: asked}, ReplyHeader: http.Header{"Set-Cookie": {line}}}})
		r := b.Request(http.MethodPost, next)
		for name, values := range r.Header {
			for _, v := range values {
				assert.False(t, strings.ContainsAny(v, "\r\n\x00"), "%s: %q", name, v)
			}
		}
		b.Cookie(AccessCookie)
		b.CSRFToken()
	})
}
