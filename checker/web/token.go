package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"jwtworkshop/checker/forge"
)

// maxToken bounds what is taken for a token, in bytes.
const maxToken = 16 << 10

// An explained token: what stands in it, field by field.
type explained struct {
	Error     string    `json:"error,omitempty"` // why it is no JWT
	Parts     []piece   `json:"parts"`
	Fields    []field   `json:"fields"`
	Signature signature `json:"signature"`
	Life      *life     `json:"life,omitempty"` // nil where it says nothing of one
	Clock     time.Time `json:"clock"`          // by which it is judged
}

// A piece is what stands between the dots.
type piece struct {
	Name string `json:"name"` // "header", "payload", "signature"
	Raw  string `json:"raw"`
	JSON string `json:"json,omitempty"`
}

// A field of the header or the payload.
type field struct {
	Part    string     `json:"part"` // "header" or "payload"
	Name    string     `json:"name"`
	Value   string     `json:"value"` // as JSON
	Time    *time.Time `json:"time,omitempty"`
	Meaning string     `json:"meaning"`
	Source  string     `json:"source,omitempty"` // the standard's section
	Warning string     `json:"warning,omitempty"`
}

// What there is to say of a signature.
type signature struct {
	State string `json:"state"` // "fits", "does not fit", "none", "unknown"
	With  string `json:"with"`  // what it was held against: "secret" or "public key"
	Text  string `json:"text"`
}

// A life of a token, as far as it is known.
type life struct {
	Issued  *time.Time `json:"issued,omitempty"`
	Before  *time.Time `json:"before,omitempty"` // it is not valid before this (nbf)
	Half    *time.Time `json:"half,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Cap     *time.Time `json:"cap,omitempty"` // the absolute end of its session
	CapFrom string     `json:"capFrom,omitempty"`
}

// A meaning of a name in a header or a payload.
type meaning struct{ text, source string }

var headerNames = map[string]meaning{
	"alg":      {"The algorithm of the signature. The server must know beforehand which one it accepts: this field is written by whoever made the token.", "RFC 7515 §4.1.1, RFC 8725 §3.1"},
	"typ":      {"What kind of token this is. Asked for, it keeps one kind from passing for another.", "RFC 7515 §4.1.9, RFC 8725 §3.11"},
	"kid":      {"Which key has signed. It is a name to look up in a list of your own, never a path and never part of a query.", "RFC 7515 §4.1.4"},
	"cty":      {"What is inside: JWT where one token holds another.", "RFC 7519 §5.2"},
	"jku":      {"A URL with keys. A server that fetches them lets the token bring its own key.", "RFC 7515 §4.1.2, RFC 8725 §3.10"},
	"jwk":      {"A key that the token brings along. A server that trusts it trusts anybody.", "RFC 7515 §4.1.3"},
	"x5u":      {"A URL with a certificate. A server that fetches it lets the token bring its own key.", "RFC 7515 §4.1.5, RFC 8725 §3.10"},
	"x5c":      {"A chain of certificates.", "RFC 7515 §4.1.6"},
	"x5t":      {"The SHA-1 thumbprint of the certificate whose key has signed.", "RFC 7515 §4.1.7"},
	"x5t#S256": {"The SHA-256 thumbprint of the certificate whose key has signed.", "RFC 7515 §4.1.8"},
	"crit":     {"Names of header fields that a server must understand, or refuse the token.", "RFC 7515 §4.1.11"},
	"enc":      {"How the content is encrypted. A signed token has none.", "RFC 7516 §4.1.2"},
}

var claimNames = map[string]meaning{
	"iss":                {"Who issued the token.", "RFC 7519 §4.1.1"},
	"sub":                {"Whom it is about: here the username.", "RFC 7519 §4.1.2"},
	"aud":                {"Whom it is for. A server that does not find itself here must refuse the token.", "RFC 7519 §4.1.3"},
	"exp":                {"From this moment on it is refused. In seconds since 1970.", "RFC 7519 §4.1.4"},
	"nbf":                {"Before this moment it is refused.", "RFC 7519 §4.1.5"},
	"iat":                {"When it was issued.", "RFC 7519 §4.1.6"},
	"jti":                {"The token's own name: no other token has it.", "RFC 7519 §4.1.7"},
	"sid":                {"Which session it belongs to. The server looks it up to know whether somebody has logged out.", "OpenID Connect Front-Channel Logout 1.0 §3"},
	"auth_time":          {"When the user logged in. Renewal does not change it.", "OpenID Connect Core 1.0 §2"},
	"fresh":              {"Whether a password was given for this very token.", "lesson 07; no standard names it"},
	"nonce":              {"What the client sent along to know its own login again.", "OpenID Connect Core 1.0 §2"},
	"azp":                {"The client that the token was issued to.", "OpenID Connect Core 1.0 §2"},
	"acr":                {"How well the user has proved who they are.", "OpenID Connect Core 1.0 §2"},
	"amr":                {"By what the user has proved it: a password, a code.", "OpenID Connect Core 1.0 §2, RFC 8176"},
	"at_hash":            {"Ties an ID token to its access token.", "OpenID Connect Core 1.0 §3.1.3.6"},
	"scope":              {"What the token allows.", "RFC 8693 §4.2, RFC 9068 §2.2.3"},
	"client_id":          {"The client that asked for it.", "RFC 8693 §4.3, RFC 9068 §2.2"},
	"cnf":                {"The key that whoever shows the token must hold.", "RFC 7800 §3.1"},
	"act":                {"Who acts on behalf of the subject.", "RFC 8693 §4.1"},
	"name":               {"The user's full name. Anybody who holds the token can read it.", "OpenID Connect Core 1.0 §5.1"},
	"email":              {"The user's e-mail address. Anybody who holds the token can read it.", "OpenID Connect Core 1.0 §5.1"},
	"preferred_username": {"What the user likes to be called. It may change; sub does not.", "OpenID Connect Core 1.0 §5.1"},
	"roles":              {"What the user is. It is as old as the token.", "RFC 9068 §2.2.3.1"},
	"groups":             {"Where the user belongs. It is as old as the token.", "RFC 9068 §2.2.3.1"},
}

// dates are the claims that are moments (RFC 7519 §2, NumericDate).
var dates = []string{"exp", "nbf", "iat", "auth_time"}

// explain takes a token apart, as it stands at that time of the clock; end is the
// absolute end of its session where somebody knows it, else the zero time. For a
// token that no secret has signed it asks for public keys.
func explain(raw string, secret []byte, keys func() []forge.PublicKey, clock, end time.Time) explained {
	out := explained{Clock: clock, Parts: []piece{}, Fields: []field{}}
	for i, text := range strings.Split(raw, ".") {
		if i == 3 {
			break
		}
		p := piece{Name: []string{"header", "payload", "signature"}[i], Raw: text}
		if i < 2 {
			p.JSON = pretty(text)
		}
		out.Parts = append(out.Parts, p)
	}
	t, err := forge.Decode(raw)
	if err != nil {
		out.Error = strings.ToValidUTF8(err.Error(), "\uFFFD")
		if strings.Count(raw, ".") == 4 {
			out.Error += ". Five parts are an encrypted token (RFC 7516 §3.1): only who has its key can read it"
		} else if !strings.Contains(raw, ".") {
			out.Error += ". A token without dots may be an opaque one: its meaning is in the server's database"
		}
		return out
	}
	out.Fields = append(fields("header", t.Header, headerNames, []string{"alg", "typ", "kid"}, t, clock),
		fields("payload", t.Claims, claimNames, []string{"iss", "sub", "aud", "iat", "nbf", "exp", "auth_time", "jti", "sid"}, t, clock)...)
	out.Signature = signed(t, secret, keys)
	out.Life = lifeOf(t, end)
	return out
}

// pretty is a part as indented JSON, "" if it is none.
func pretty(part string) string {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return ""
	}
	var out strings.Builder
	var v json.RawMessage
	if json.Unmarshal(text, &v) != nil {
		return ""
	}
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(out.String(), "\uFFFD"))
}

func fields(part string, values map[string]any, known map[string]meaning, first []string, t forge.Token, clock time.Time) []field {
	names := make([]string, 0, len(values))
	for n := range values {
		names = append(names, n)
	}
	rank := func(n string) int {
		if i := slices.Index(first, n); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortFunc(names, func(a, b string) int {
		if rank(a) != rank(b) {
			return rank(a) - rank(b)
		}
		return strings.Compare(a, b)
	})
	var out []field
	for _, n := range names {
		text, err := json.Marshal(values[n])
		if err != nil {
			continue // a value that came from JSON is one
		}
		f := field{Part: part, Name: n, Value: string(text), Meaning: known[n].text, Source: known[n].source}
		if f.Meaning == "" {
			f.Meaning = "No standard that the workshop knows names this one. Whoever made the token knows what it means."
		}
		if part == "payload" && slices.Contains(dates, n) {
			if when, ok := t.Time(n); ok {
				f.Time = &when
			}
		}
		f.Warning = warning(part, n, values[n], f.Time, clock)
		out = append(out, f)
	}
	if _, ok := values["exp"]; !ok && part == "payload" {
		out = append(out, field{Part: part, Name: "exp", Meaning: claimNames["exp"].text, Source: claimNames["exp"].source,
			Warning: "There is none: a server that does not ask for it takes this token for ever."})
	}
	return out
}

// warning says what is odd about a field, "" if nothing is.
func warning(part, name string, value any, when *time.Time, clock time.Time) string {
	if part == "header" {
		alg, _ := value.(string)
		switch {
		case name == "alg" && strings.EqualFold(alg, "none"):
			return "It says that there is no signature. No server may take it (RFC 8725 §3.1)."
		case name == "jku" || name == "jwk" || name == "x5u":
			return "A server that follows it lets the token choose its key (RFC 8725 §3.10)."
		}
		return ""
	}
	switch {
	case slices.Contains(dates, name) && when == nil:
		return "It is no number of seconds, so it is no date (RFC 7519 §2)."
	case slices.Contains(dates, name) && when.Sub(clock) > 100*365*24*time.Hour:
		return "It lies more than a hundred years ahead: are these milliseconds?"
	case name == "sub" || name == "iss" || name == "jti":
		if _, ok := value.(string); !ok {
			return "It has to be a string (RFC 7519 §4.1)."
		}
	case strings.Contains(strings.ToLower(name), "password") || strings.Contains(strings.ToLower(name), "secret") || strings.Contains(strings.ToLower(name), "hash") && name != "at_hash" && name != "c_hash":
		return "A payload is not encrypted: anybody who holds the token can read this (RFC 7519 §12)."
	}
	return ""
}

// signed says whether the signature fits the secret, or one of the public keys.
func signed(t forge.Token, secret []byte, keys func() []forge.PublicKey) signature {
	alg := t.Alg()
	switch {
	case strings.EqualFold(alg, "none"):
		return signature{State: "none", Text: "alg is none: nobody has signed it."}
	case len(t.Signature) == 0:
		return signature{State: "none", Text: "The third part is empty: nobody has signed it."}
	case !slices.Contains(forge.HMACs, alg):
		return signedByKey(t, keys())
	case t.Verifies(secret):
		return signature{"fits", "secret", alg + " under this secret gives exactly these bytes. Header and payload are as they were signed."}
	}
	return signature{"does not fit", "secret", alg + " under this secret gives other bytes: another secret has signed it, or somebody has changed it since."}
}

func signedByKey(t forge.Token, keys []forge.PublicKey) signature {
	if len(keys) == 0 {
		return signature{"unknown", "public key", fmt.Sprintf("%q is no HMAC, so no secret can tell. It takes the public key of whoever signed, and no server that publishes its keys is running.", t.Alg())}
	}
	for _, k := range keys {
		if k.Verified(t) {
			return signature{"fits", "public key", fmt.Sprintf("The key %q verifies it, which your running server publishes at %s. Header and payload are as they were signed.", k.Kid(), keysPath)}
		}
	}
	return signature{"does not fit", "public key", fmt.Sprintf("No key that your running server publishes at %s verifies it.", keysPath)}
}

// lifeOf is when a token begins and ends.
func lifeOf(t forge.Token, end time.Time) *life {
	at := func(claim string) *time.Time {
		if when, ok := t.Time(claim); ok {
			return &when
		}
		return nil
	}
	l := &life{Issued: at("iat"), Before: at("nbf"), Expires: at("exp")}
	if l.Issued != nil && l.Expires != nil && l.Expires.After(*l.Issued) {
		half := l.Issued.Add(l.Expires.Sub(*l.Issued) / 2)
		l.Half = &half
	}
	if !end.IsZero() {
		l.Cap = &end
	}
	if l.Issued == nil && l.Expires == nil {
		return nil
	}
	return l
}
