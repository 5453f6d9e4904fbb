package subject

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/probe"
)

// An Answer is judged by its methods. Each takes the sentence that is true of a
// server that does not do as it should, and ends the step with it.
type Answer struct{ *probe.Exchange }

func (a *Answer) fail(t require.TestingT, claim, want string) {
	probe.Fail(t, &probe.Failure{Claim: claim, Sent: a.Exchange, Want: want, Got: a.Summary()})
}

// Is wants one of the status codes.
func (a *Answer) Is(t require.TestingT, status int, claim string, or ...int) *Answer {
	if a.Status != status && !slices.Contains(or, a.Status) {
		switch {
		case a.Status == http.StatusNotImplemented && status != http.StatusMethodNotAllowed:
			claim = a.Method + " " + a.Path + " is not written yet"
		case a.Status/100 == 2 && status/100 == 2:
			claim = fmt.Sprintf("%s %s succeeds with another status than %d", a.Method, a.Path, status)
		}
		want := probe.StatusText(status)
		for _, o := range or {
			want += " or " + probe.StatusText(o)
		}
		a.fail(t, claim, want)
	}
	return a
}

// IsNot wants any other status code.
func (a *Answer) IsNot(t require.TestingT, status int, claim string) *Answer {
	if a.Status == status {
		a.fail(t, claim, "anything but "+probe.StatusText(status))
	}
	return a
}

// Has wants a JSON object with this field; what else is in it is free.
func (a *Answer) Has(t require.TestingT, field string, want any, claim string) *Answer {
	wanted, err := json.Marshal(want)
	require.NoError(t, err)
	got, _ := json.Marshal(a.Field(field))
	if !assert.ObjectsAreEqual(string(wanted), string(got)) {
		a.fail(t, claim, fmt.Sprintf("%d {%q:%s}", a.Status, field, wanted))
	}
	return a
}

// HasObject wants a JSON object with a field that is an object with a key.
func (a *Answer) HasObject(t require.TestingT, field, key, claim string) *Answer {
	object, _ := a.Field(field).(map[string]any)
	if object[key] == nil {
		a.fail(t, claim, fmt.Sprintf("%d {%q:{%q:…}}", a.Status, field, key))
	}
	return a
}

// HasSome wants a JSON object in which the field is there and not null.
func (a *Answer) HasSome(t require.TestingT, field, claim string) *Answer {
	if a.Field(field) == nil {
		a.fail(t, claim, fmt.Sprintf("%d {%q:…}", a.Status, field))
	}
	return a
}

// HasNone wants no such field in the answer.
func (a *Answer) HasNone(t require.TestingT, field, claim string) *Answer {
	if a.Field(field) != nil {
		a.fail(t, claim, fmt.Sprintf("no %q in the answer", field))
	}
	return a
}

// Says wants this text somewhere in the field.
func (a *Answer) Says(t require.TestingT, field, text, claim string) *Answer {
	if !strings.Contains(a.Text(field), text) {
		a.fail(t, claim, fmt.Sprintf("%d {%q:\"… %s …\"}", a.Status, field, text))
	}
	return a
}

// Whole is the answer as it can be read: its headers and its body.
func (a *Answer) Whole() string {
	var whole strings.Builder
	a.ReplyHeader.Write(&whole)
	whole.Write(a.ReplyBody)
	return whole.String()
}

// Hides wants none of the texts anywhere in the answer.
func (a *Answer) Hides(t require.TestingT, claim string, texts ...string) *Answer {
	whole := a.Whole()
	for _, text := range texts {
		quoted, _ := json.Marshal(text)
		if text != "" && (strings.Contains(whole, text) || strings.Contains(whole, strings.Trim(string(quoted), `"`))) {
			a.fail(t, claim, "an answer without it")
		}
	}
	return a
}

// Alone wants a refusal to be all of the answer: where a handler goes on after it,
// what was refused follows in the same body.
func (a *Answer) Alone(t require.TestingT) *Answer {
	if _, err := a.JSON(); err != nil {
		a.fail(t, "a refusal is followed by the answer that was refused", "one JSON value and nothing after it")
	}
	return a
}

// JSONBody wants the answer to be JSON and to say so.
func (a *Answer) JSONBody(t require.TestingT, claim string) *Answer {
	if _, err := a.JSON(); err != nil {
		if a.Field("error") != nil || a.Field("msg") != nil {
			a.Alone(t)
		}
		a.fail(t, claim, "a body that is one JSON value")
	}
	if !a.IsJSON() {
		probe.Fail(t, &probe.Failure{Claim: claim, Sent: a.Exchange, Want: "Content-Type: application/json", Got: a.Headers("Content-Type")})
	}
	return a
}

// NoStore wants an answer that no cache keeps (RFC 6749 §5.1).
func (a *Answer) NoStore(t require.TestingT, claim string) *Answer {
	for _, v := range a.ReplyHeader.Values("Cache-Control") {
		for directive := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-store") {
				return a
			}
		}
	}
	probe.Fail(t, &probe.Failure{Claim: claim, Sent: a.Exchange, Want: "Cache-Control: no-store", Got: a.Headers("Cache-Control")})
	return a
}

// unauthorized wants 401. Another refusal is none of a token's, but no way in.
func (a *Answer) unauthorized(t require.TestingT, claim string) {
	if a.Status >= 400 && a.Status < 500 {
		claim = "what is to be refused is refused, but not with 401"
	}
	a.Is(t, http.StatusUnauthorized, claim)
}

// Refused wants the refusal of a token: 401 and {"msg": …}, whatever it says.
func (a *Answer) Refused(t require.TestingT, claim string) *Answer {
	a.unauthorized(t, claim)
	if a.Text("msg") == "" {
		a.fail(t, "a refused token is not answered in the shape of a token error", `401 {"msg":"…"}`)
	}
	return a
}

// RefusedSaying is Refused with the very message.
func (a *Answer) RefusedSaying(t require.TestingT, msg, claim string) *Answer {
	a.unauthorized(t, claim)
	return a.Has(t, "msg", msg, "the refusal does not say "+msg)
}

// Challenges wants WWW-Authenticate: Bearer (RFC 6750 §3), with that error code
// unless it is empty.
func (a *Answer) Challenges(t require.TestingT, code, claim string) *Answer {
	want := "WWW-Authenticate: Bearer …"
	if code != "" {
		want = fmt.Sprintf("WWW-Authenticate: Bearer …, error=%q", code)
	}
	for _, v := range a.ReplyHeader.Values("WWW-Authenticate") {
		if at := bearerChallenge.FindStringIndex(v); at != nil {
			squeezed := strings.NewReplacer(" ", "", `"`, "").Replace(v[at[1]:])
			if code == "" || slices.Contains(strings.Split(squeezed, ","), "error="+code) {
				return a
			}
		}
	}
	probe.Fail(t, &probe.Failure{Claim: claim, Sent: a.Exchange, Want: want, Got: a.Headers("WWW-Authenticate")})
	return a
}

// bearerChallenge finds the scheme in a list of challenges (RFC 9110 §11.6.1).
var bearerChallenge = regexp.MustCompile(`(?i)(?:^|,)\s*Bearer(?:\s|$)`)
