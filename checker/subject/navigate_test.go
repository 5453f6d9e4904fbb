package subject_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"jwtworkshop/checker/probe"
	"jwtworkshop/checker/subject"
)

// Where a location leads is what a browser makes of it, not what Go does. The table
// was tried in Chromium's console: new URL(location, "http://localhost:8080/callback").
func TestALocationLeadsWhereABrowserGoes(t *testing.T) {
	const origin = "http://localhost:8080"
	for location, want := range map[string]string{
		"/home?tab=2":                         origin + "/home?tab=2",
		"home":                                origin + "/home",
		"":                                    origin + "/callback?code=1",
		origin + "/home":                      origin + "/home",
		"http:home":                           origin + "/home",
		"/%09/evil.example":                   origin + "/%09/evil.example",
		`/home?next=\\evil.example`:           origin + `/home?next=\\evil.example`,
		"https://evil.example/":               "https://evil.example/",
		"//evil.example/":                     "http://evil.example/",
		`/\evil.example/`:                     "http://evil.example/",
		`\\evil.example/`:                     "http://evil.example/",
		"/\t/evil.example/":                   "http://evil.example/",
		"\t//evil.example/":                   "http://evil.example/",
		" //evil.example/":                    "http://evil.example/",
		"////evil.example/":                   "http://evil.example/",
		"https:evil.example/":                 "https://evil.example/",
		`http:\\evil.example/`:                "http://evil.example/",
		"javascript:alert(1)":                 "javascript:alert(1)",
		"http://localhost:8080@evil.example/": "http://localhost:8080@evil.example/",
	} {
		to := subject.Resolve(origin, "/callback?code=1", location)
		assert.Equal(t, want, to.String(), "%q", location)
	}
	own := subject.Resolve(origin, "/callback", "/home")
	assert.True(t, subject.SameOrigin(own, origin))
	for _, location := range []string{"//evil.example/", "http://localhost:8080@evil.example/", "http://localhost:8080.evil.example/", "https://localhost:8080/", "http://localhost/"} {
		assert.False(t, subject.SameOrigin(subject.Resolve(origin, "/callback", location), origin), location)
	}
}

func TestAPermanentRedirectLeadsNowhere(t *testing.T) {
	for status, leads := range map[int]bool{200: false, 301: false, 302: true, 303: true, 307: true, 308: false} {
		a := subject.Answer{Exchange: &probe.Exchange{Status: status, ReplyHeader: http.Header{"Location": {"/home"}}}}
		assert.Equal(t, leads, a.LeadsTo("http://localhost:8080") != nil, status)
	}
}
