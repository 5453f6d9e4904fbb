package subject

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/probe"
)

// Open sends the GET request of an address that somebody has typed.
func (b *Browser) Open(t require.TestingT, path string, options ...Option) *Answer {
	return b.Do(t, b.OpenRequest(path, options...))
}

// OpenRequest makes the request of Open.
func (b *Browser) OpenRequest(path string, options ...Option) probe.Request {
	return b.Request(http.MethodGet, path, append([]Option{navigates("none")}, options...)...)
}

// Arrive sends the GET request of a page of another site that leads here: cookies
// with SameSite=Strict stay behind (RFC 6265bis §5.2).
func (b *Browser) Arrive(t require.TestingT, to *url.URL, options ...Option) *Answer {
	r := b.Request(http.MethodGet, to.RequestURI(), navigates("cross-site"))
	b.mu.Lock()
	kept := cookiesOf(r)
	for _, c := range b.kept {
		if c.SameSite == http.SameSiteStrictMode {
			for i, one := range kept {
				if one == c.Name+"="+c.Value {
					kept = append(kept[:i], kept[i+1:]...)
					break
				}
			}
		}
	}
	b.mu.Unlock()
	r.Header.Set("Cookie", strings.Join(kept, "; "))
	if len(kept) == 0 {
		r.Header.Del("Cookie")
	}
	for _, o := range options {
		o(&r)
	}
	return b.Do(t, r)
}

// navigates makes a request one for a page that is to be shown.
func navigates(site string) Option {
	return func(r *probe.Request) {
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Site", site)
	}
}

// Submit sends a form without fields, of the server's own page.
func (b *Browser) Submit(t require.TestingT, path string) *Answer {
	return b.Do(t, b.SubmitRequest(path))
}

// SubmitRequest makes the request of Submit.
func (b *Browser) SubmitRequest(path string) probe.Request {
	r := b.Request(http.MethodPost, path, navigates("same-origin"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = []byte{}
	return r
}

// Follow goes where an answer leads, as long as that is the server itself, and
// returns the last answer, with where that leads: nil is nowhere.
func (b *Browser) Follow(t require.TestingT, a *Answer) (*Answer, *url.URL) {
	const enough = 10
	for range enough {
		to := a.LeadsTo(b.s.Origin())
		if to == nil || !SameOrigin(to, b.s.Origin()) {
			return a, to
		}
		a = b.Do(t, b.Request(http.MethodGet, to.RequestURI(), navigates("same-origin")))
	}
	probe.Fail(t, &probe.Failure{Claim: "the server leads round in circles", Sent: a.Exchange, Want: "a page in the end", Got: fmt.Sprint(a.Status, ", ", a.Headers("Location"))})
	return nil, nil
}

// Cookies are all that the browser keeps and that have not ended.
func (b *Browser) Cookies() []Cookie {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.kept), b.gone)
}

// LeadsTo is where an answer redirects a browser that is at a page of the origin;
// nil where it does not. A permanent redirect is none: the browser keeps it, and does
// not ask again when the reason is gone (RFC 9110 §15.4.2).
func (a *Answer) LeadsTo(origin string) *url.URL {
	switch a.Status {
	case http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
	default:
		return nil
	}
	location := a.ReplyHeader.Get("Location")
	if location == "" {
		return nil
	}
	return Resolve(origin, a.Path, location)
}

// SameOrigin tells whether the URL is one of the origin's.
func SameOrigin(u *url.URL, origin string) bool { return u.Scheme+"://"+u.Host == origin }

var withScheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):(.*)$`)

// Resolve says where a location leads from a path of the origin in a browser, which
// is another place than RFC 3986 says for some: a backslash is a slash, tabs and
// line ends are dropped, and any number of slashes begins a host (URL Standard §4.4).
func Resolve(origin, path, location string) *url.URL {
	base, err := url.Parse(origin + path)
	if err != nil {
		base, _ = url.Parse(origin)
	}
	location = strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	location = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(location)
	if m := withScheme.FindStringSubmatch(location); m != nil {
		scheme, rest := strings.ToLower(m[1]), m[2]
		web := scheme == "http" || scheme == "https"
		switch {
		case !web:
			return &url.URL{Scheme: scheme, Opaque: rest}
		case scheme != base.Scheme || strings.HasPrefix(slashed(rest), "//"):
			return hosted(scheme, slashed(rest))
		}
		location = rest // "http:x" from http: is x beside here
	}
	if s := slashed(location); strings.HasPrefix(s, "//") {
		return hosted(base.Scheme, s)
	} else if u, err := url.Parse(s); err == nil {
		return base.ResolveReference(u)
	}
	return base // no URL that Go reads, and no way out either
}

// slashed turns the backslashes of the path into slashes.
func slashed(location string) string {
	end := strings.IndexAny(location, "?#")
	if end < 0 {
		end = len(location)
	}
	return strings.ReplaceAll(location[:end], `\`, "/") + location[end:]
}

func hosted(scheme, rest string) *url.URL {
	rest = strings.TrimLeft(rest, "/")
	if u, err := url.Parse(scheme + "://" + rest); err == nil {
		return u
	}
	host, _, _ := strings.Cut(rest, "/")
	return &url.URL{Scheme: scheme, Host: host}
}
