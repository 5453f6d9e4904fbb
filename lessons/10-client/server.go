// Given. The gateway: it logs in at the upstream for its one caller, and passes on
// what the caller asks.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"jwtworkshop/lessons"
)

var (
	// errNotLoggedIn: there is no session, or it has ended for good. The caller is
	// answered 401. Any other error of RoundTrip is answered 502.
	errNotLoggedIn = errors.New("not logged in")
	// errNotWritten is answered 501.
	errNotWritten = errors.New("not written yet")
)

// maxBody is how many bytes the body of a request may have. It is kept in memory,
// for it may have to be sent twice.
const maxBody = 1 << 20

type gateway struct {
	cfg       lessons.Config
	upstream  *upstream
	transport *transport
	client    *http.Client // sends through transport, and follows redirects
}

// New builds the gateway, and beside it the page at /app/.
func New(cfg lessons.Config) http.Handler {
	up := newUpstream(cfg.Upstream)
	g := &gateway{cfg: cfg, upstream: up, transport: newTransport(cfg, up)}
	g.client = &http.Client{Transport: g.transport}
	// Whoever reaches the gateway is its caller. A page of somebody else's that is
	// open in the same browser is not (lesson 09).
	return http.NewCrossOriginProtection().Handler(withPage(up, g))
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	case err != nil:
		say(w, http.StatusBadRequest, "Bad Request")
	case r.Method == http.MethodPost && r.URL.Path == "/login":
		g.login(w, r, body)
	default:
		g.forward(w, r, body)
	}
}

// login passes the credentials on to the upstream. If it takes them, its answer
// goes to the transport, and the caller learns no more than that.
func (g *gateway) login(w http.ResponseWriter, r *http.Request, body []byte) {
	a, err := g.upstream.post(r.Context(), "/login", "", body)
	if err == nil && a.status == http.StatusOK {
		err = g.transport.begin(a.body)
	}
	switch {
	case err != nil:
		g.fail(w, r, err)
	case a.status == http.StatusOK:
		w.WriteHeader(http.StatusNoContent)
	default:
		reply(w, a.status, a.header, bytes.NewReader(a.body))
	}
}

// forward sends the request upstream, through the transport, and passes on the
// answer.
func (g *gateway) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	target := *g.upstream.base
	target.Path, target.RawPath, target.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	// A body in memory comes with a GetBody, which returns it once more.
	req, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		say(w, http.StatusBadRequest, "Bad Request")
		return
	}
	req.Header = endToEnd(r.Header)
	res, err := g.client.Do(req)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	defer res.Body.Close()
	reply(w, res.StatusCode, res.Header, res.Body)
}

// fail answers a request that the upstream has not answered.
func (g *gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case r.Context().Err() != nil: // the caller has gone
	case errors.Is(err, errNotLoggedIn):
		w.Header().Set("WWW-Authenticate", `Bearer realm="workshop"`) // a 401 has one (RFC 9110 §15.5.2)
		say(w, http.StatusUnauthorized, "Not logged in")
	case errors.Is(err, errNotWritten):
		say(w, http.StatusNotImplemented, "not implemented yet")
	default:
		g.cfg.Log.Warn("the upstream has not answered", "path", r.URL.Path, "error", err)
		say(w, http.StatusBadGateway, "The upstream cannot be reached")
	}
}

func say(w http.ResponseWriter, status int, msg string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"msg": msg})
}

func reply(w http.ResponseWriter, status int, header http.Header, body io.Reader) {
	maps.Copy(w.Header(), endToEnd(header))
	w.WriteHeader(status)
	io.Copy(w, body)
}

// endToEnd returns the headers without those that are about one connection only
// (RFC 9110 §7.6.1).
func endToEnd(h http.Header) http.Header {
	h = h.Clone()
	for _, names := range h.Values("Connection") {
		for name := range strings.SplitSeq(names, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(name)
	}
	return h
}
