// Package upstream holds the servers that a learner's code talks to: [API], which
// a client calls, and [Provider], which an application signs in at. They keep a
// record of what they were asked, and fail on demand.
package upstream

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Call is a request that arrived.
type Call struct {
	Method string
	Path   string
	Query  string // as it came, without the question mark
	Host   string // the host that the client meant
	Header http.Header
	Body   []byte
	Status int // what it was answered; 0 is nothing (yet, or ever)
}

// Bearer is the token of its Authorization header, "" if there is none.
func (c Call) Bearer() string {
	const scheme = "Bearer "
	if h := c.Header.Get("Authorization"); len(h) > len(scheme) && h[:len(scheme)] == scheme {
		return h[len(scheme):]
	}
	return ""
}

// A Fault is what a request is answered in place of the right answer. The zero
// value is no fault: it lets one request pass.
type Fault struct {
	Status int // with this status, unless 0
	Header http.Header
	Body   string
	Cut    bool            // the connection is cut and nothing answered
	After  bool            // the request is carried out first, and then answered so
	Hold   <-chan struct{} // it waits until this is closed, or the client gives up
}

// maxBody bounds what is read of a request, in bytes.
const maxBody = 4 << 20

// A recorder listens, writes down what arrives, and puts faults in between.
type recorder struct {
	listener net.Listener
	http     *http.Server

	mu      sync.Mutex
	changed *sync.Cond // a call arrived or was answered
	calls   []*Call
	next    map[string][]Fault // by path: what the next ones get
	always  map[string]Fault   // by path: what all further ones get
}

// open serves handler at addr, or at a free port of the loopback if it is "", and
// returns the base URL.
func (r *recorder) open(addr string, handler http.Handler) (string, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	r.listener = l
	r.changed = sync.NewCond(&r.mu)
	r.next, r.always = map[string][]Fault{}, map[string]Fault{}
	r.http = &http.Server{Handler: r.record(handler)}
	go r.http.Serve(l)
	return "http://" + l.Addr().String(), nil
}

// Close stops it. Requests that are held end.
func (r *recorder) Close() {
	if r.http != nil {
		r.listener.Close() // here and now; the server closes it where it has begun to serve
		r.http.Close()
	}
}

// Next gives the next requests for the path these faults, one each, in order.
func (r *recorder) Next(path string, faults ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next[path] = append(r.next[path], faults...)
}

// Always gives every further request for the path the fault; the zero value ends
// that.
func (r *recorder) Always(path string, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.always[path] = f
}

// Calls are the requests for the paths so far, or all if none is named, in the
// order in which they arrived.
func (r *recorder) Calls(paths ...string) []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.those(paths)
}

func (r *recorder) those(paths []string) []Call {
	var calls []Call
	for _, c := range r.calls {
		if len(paths) == 0 || slices.Contains(paths, c.Path) {
			calls = append(calls, *c)
		}
	}
	return calls
}

// Await waits until so many requests for the path have arrived, and tells whether
// they did before ctx ended.
func (r *recorder) Await(ctx context.Context, path string, n int) bool {
	return r.awaitThat(ctx, func() bool { return len(r.those([]string{path})) >= n })
}

// awaitThat waits until something is the case, which a request has brought about. It
// is asked under the lock.
func (r *recorder) awaitThat(ctx context.Context, so func() bool) bool {
	defer context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !so() {
		if ctx.Err() != nil {
			return false
		}
		r.changed.Wait()
	}
	return true
}

// fault takes the fault that is next for the path.
func (r *recorder) fault(path string) Fault {
	if queue := r.next[path]; len(queue) > 0 {
		r.next[path] = queue[1:]
		return queue[0]
	}
	return r.always[path]
}

func (r *recorder) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(req.Body, maxBody))
		req.Body = io.NopCloser(bytes.NewReader(body))
		call := &Call{Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery, Host: req.Host, Header: req.Header.Clone(), Body: body}
		r.mu.Lock()
		r.calls = append(r.calls, call)
		fault := r.fault(req.URL.Path)
		r.changed.Broadcast()
		r.mu.Unlock()

		if fault.Hold != nil {
			select {
			case <-fault.Hold:
			case <-req.Context().Done():
			}
		}
		answer := &answerRecorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if !fault.Cut {
				call.Status = answer.status
			}
			r.changed.Broadcast()
		}()
		if fault.After {
			next.ServeHTTP(discarded{http.Header{}}, req)
		}
		switch {
		case fault.Cut:
			panic(http.ErrAbortHandler)
		case fault.Status != 0:
			for name, values := range fault.Header {
				w.Header()[name] = values
			}
			answer.WriteHeader(fault.Status)
			io.WriteString(answer, fault.Body)
		default:
			next.ServeHTTP(answer, req)
		}
	})
}

type answerRecorder struct {
	http.ResponseWriter
	status int
}

func (w *answerRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// discarded is an answer that nobody gets.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// A clock says what time it is.
type clock func() time.Time
