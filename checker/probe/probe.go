// Package probe is the HTTP client of the suites. It sends one request at a
// time, keeps every exchange, and can print each as a curl command.
package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Token is a credential in a request, with a word about where it comes from.
type Token struct {
	Raw  string
	What string // "the refresh token that /login gave ada"
}

// A Request is what a step sends.
type Request struct {
	Method string
	Path   string // with the query, as it goes on the wire
	Header http.Header
	Body   []byte
	Stream bool  // send the body chunked, without saying how long it is
	Token  Token // the one that the step is about, for the failure card; Header carries it
}

// An Exchange is one request and its answer.
type Exchange struct {
	Request
	Base        string // what stands before Path: "http://127.0.0.1:4711"
	Status      int    // 0 where no answer came
	ReplyHeader http.Header
	ReplyBody   []byte
	Took        time.Duration // from sending to the last byte of the answer
	At          time.Time     // the server's clock when it was sent
}

// maxReply bounds what is read of an answer, in bytes.
const maxReply = 4 << 20

// maxReplies bounds what is read of all answers to a client together, in bytes: the
// log keeps them.
const maxReplies = 32 << 20

// A Client sends requests to one server. It follows no redirect and keeps no
// cookie: a step says all that is sent. Safe for concurrent use.
type Client struct {
	base string
	ours bool // a server that we have started: it closes no connection but when it fails
	http *http.Client
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu   sync.Mutex
	log  []*Exchange
	read int // bytes of answers so far
}

// NewClient returns a client for the server at network and address (as
// [net.Dial] takes them), or, where base is not empty, for whatever answers at
// that URL.
func NewClient(network, addr, base string) *Client {
	transport := &http.Transport{
		Proxy:               nil,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
	}
	var d net.Dialer
	c := &Client{base: strings.TrimSuffix(base, "/"), dial: d.DialContext}
	if base == "" {
		c.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, addr)
		}
		c.ours = true
		c.base = "http://localhost:8080" // as a learner's own server would be called
	} else {
		// Servers drop idle connections, some after two seconds. A request that meets
		// that moment is lost, and would look like a server that does not answer.
		transport.IdleConnTimeout = time.Second
	}
	transport.DialContext = c.dial
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Base is what stands before the paths of its requests: "http://localhost:8080".
func (c *Client) Base() string { return c.base }

// Called has the server called by that URL, where it is one of several; it is
// reached as before.
func (c *Client) Called(base string) *Client {
	c.base = base
	return c
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Log returns the exchanges so far, in the order in which they ended.
func (c *Client) Log() []*Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Exchange(nil), c.log...)
}

// Take returns the exchanges so far and forgets them.
func (c *Client) Take() []*Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.log
	c.log = nil
	return log
}

// Do sends one request, at the given time of the server's clock, and reads the
// whole answer. An error means that no complete answer came; the exchange says
// what was sent all the same.
func (c *Client) Do(ctx context.Context, r Request, at time.Time) (*Exchange, error) {
	e := &Exchange{Request: r, Base: c.base, At: at}
	err := c.send(ctx, e)
	c.mu.Lock()
	c.log = append(c.log, e)
	c.mu.Unlock()
	return e, err
}

func (c *Client) send(ctx context.Context, e *Exchange) error {
	req, err := c.request(ctx, e)
	if err != nil {
		return err
	}
	start := time.Now()
	// Not by the client's own Do: that wants a Location that it understands, and a
	// server's may be wrong.
	send := c.http.Transport.RoundTrip
	if len(e.Body) >= hugeBody && req.URL.Scheme == "http" {
		send = c.long
	}
	res, err := send(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err != nil {
		return err
	}
	if len(reply) > maxReply {
		return fmt.Errorf("the answer is longer than %d MiB", maxReply>>20)
	}
	c.mu.Lock()
	c.read += len(reply)
	total := c.read
	c.mu.Unlock()
	if total > maxReplies {
		return fmt.Errorf("the answers are longer than %d MiB together", maxReplies>>20)
	}
	e.Took = time.Since(start)
	e.Status, e.ReplyHeader, e.ReplyBody = res.StatusCode, res.Header, reply
	return nil
}

// request makes what is sent.
func (c *Client) request(ctx context.Context, e *Exchange) (*http.Request, error) {
	var body io.Reader
	if e.Body != nil {
		body = bytes.NewReader(e.Body)
	}
	if e.Stream {
		body = struct{ io.Reader }{body} // hides the length
	}
	req, err := http.NewRequestWithContext(ctx, e.Method, c.base+e.Path, body)
	if err != nil {
		return nil, err
	}
	if body == nil && c.ours {
		// Otherwise net/http sends a GET once more when the connection is cut, and a
		// handler that panics the first time only would not be found out.
		req.Body = io.NopCloser(strings.NewReader(""))
	}
	for name, values := range e.Request.Header {
		req.Header[name] = values
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "jwt-workshop")
	}
	return req, nil
}

// hugeBody is how long a body is that servers refuse without reading it, in bytes.
const hugeBody = 1 << 20

// long sends a request with a long body over a connection of its own, and reads while
// it writes. A server may refuse such a body unread and hang up (RFC 9110 §15.5.14):
// to net/http that is a request which could not be sent, and on a busy machine the
// answer is lost.
func (c *Client) long(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	req.Close = true
	conn, err := c.dial(ctx, "tcp", net.JoinHostPort(req.URL.Hostname(), cmp.Or(req.URL.Port(), "80")))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	go req.Write(conn) // ends when the server hangs up, or we do
	reply, err := answer(bufio.NewReader(conn), req)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return reply, err
}

// answer reads the whole final answer, but no more of it than is allowed.
func answer(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(r, req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode/100 == 1 {
			continue // 100 Continue, which nobody asked for, has no body
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
		if err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
		return res, nil
	}
}

// JSON is the answer's body as a JSON value: one value and nothing after it.
func (e *Exchange) JSON() (any, error) {
	v, d, err := e.first()
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func (e *Exchange) first() (v any, d *json.Decoder, err error) {
	d = json.NewDecoder(bytes.NewReader(e.ReplyBody))
	d.UseNumber()
	err = d.Decode(&v)
	return v, d, err
}

// Field is a field of the JSON object that the answer begins with, nil if there
// is none.
func (e *Exchange) Field(name string) any {
	v, _, err := e.first()
	if err != nil {
		return nil
	}
	object, _ := v.(map[string]any)
	return object[name]
}

// Text is a field of the answer's JSON object that is a string, or "".
func (e *Exchange) Text(name string) string {
	s, _ := e.Field(name).(string)
	return s
}

// IsJSON tells whether the answer says that it is JSON.
func (e *Exchange) IsJSON() bool {
	kind, _, err := mime.ParseMediaType(e.ReplyHeader.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}
