// Package upstream holds the servers that a learner's code talks to: [API], which
// a client calls, and [Provider], which an application signs in at. They keep a
// record of what they were asked, and fail on demand.
package upstream

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
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
	Status int  // what it was answered; 0 is nothing (yet, or ever)
	Gone   bool // the client gave up while it was held
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
	After  bool            // the request is carried out first; without Status and Cut its answer is the right one
	Hold   <-chan struct{} // the answer waits until this is closed, or the client gives up
}

const (
	maxBody  = 4 << 20  // what is read of a request, in bytes
	maxCalls = 1000     // further ones are cut: a client that goes round in a circle is to end
	maxRead  = 64 << 20 // what is read of all requests together; the rest is cut
)

// handOver is how long an address may still be taken that somebody else has let go of:
// a program that is being started has it until its own code begins.
const handOver = time.Second

// A recorder listens, writes down what arrives, and puts faults in between.
type recorder struct {
	// Watch, if it is set before Open, is told of every call that was answered.
	Watch func(Call)

	listener net.Listener
	http     *http.Server

	mu      sync.Mutex
	changed *sync.Cond // a call arrived or was answered
	read    int64      // bytes of bodies
	calls   []*Call
	next    map[string][]Fault // by path: what the next ones get
	always  map[string]Fault   // by path: what all further ones get
}

// open serves handler at the fixed address, or at a free port of the loopback if it
// is "", and returns the base URL. What the handler reads must be there before.
func (r *recorder) open(fixed string, handler http.Handler) (string, error) {
	base, err := r.bind(fixed)
	if err == nil {
		r.start(handler)
	}
	return base, err
}

// bind takes the address for start, so that a handler can know it.
func (r *recorder) bind(fixed string) (base string, err error) {
	at := cmp.Or(fixed, "127.0.0.1:0")
	l, err := net.Listen("tcp", at)
	for until := time.Now().Add(handOver); err != nil && time.Now().Before(until); {
		time.Sleep(handOver / 100)
		l, err = net.Listen("tcp", at)
	}
	if err != nil {
		return "", err
	}
	r.listener = l
	r.changed = sync.NewCond(&r.mu)
	r.next, r.always = map[string][]Fault{}, map[string]Fault{}
	r.http = &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	// At an address that the next one will have again, no client may keep a
	// connection to this one.
	r.http.SetKeepAlivesEnabled(fixed == "")
	return "http://" + l.Addr().String(), nil
}

func (r *recorder) start(handler http.Handler) {
	r.http.Handler = r.record(handler)
	go r.http.Serve(r.listener)
}

// Close stops it. Requests that are held end.
func (r *recorder) Close() {
	if r.http != nil {
		r.listener.Close() // here and now; the server closes it where it has begun to serve
		r.http.Close()
		r.listener.Close() // Serve may not have begun, and then it would be later
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
	return r.Until(ctx, path, func(calls []Call) bool { return len(calls) >= n })
}

// Until waits until what is known of the requests for the path is as wanted, and
// tells whether it was before ctx ended.
func (r *recorder) Until(ctx context.Context, path string, wanted func([]Call) bool) bool {
	return r.awaitThat(ctx, func() bool { return wanted(r.those([]string{path})) })
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
		body, _ := io.ReadAll(&metered{io.LimitReader(req.Body, maxBody), r})
		req.Body = io.NopCloser(bytes.NewReader(body))
		call := &Call{Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery, Host: req.Host, Header: req.Header.Clone(), Body: body}
		r.mu.Lock()
		fault := Fault{Cut: true}
		if len(r.calls) < maxCalls && r.read < maxRead {
			r.calls = append(r.calls, call)
			fault = r.fault(req.URL.Path)
		}
		r.changed.Broadcast()
		r.mu.Unlock()

		done := &kept{header: http.Header{}}
		if fault.After {
			next.ServeHTTP(done, req)
		}
		if fault.Hold != nil {
			select {
			case <-fault.Hold:
			case <-req.Context().Done():
				r.note(call, func() { call.Gone = true })
			}
		}
		if fault.Cut {
			panic(http.ErrAbortHandler)
		}
		if fault.Status != 0 {
			done = &kept{header: fault.Header.Clone(), status: fault.Status}
			done.body.WriteString(fault.Body)
		} else if !fault.After {
			next.ServeHTTP(done, req)
		}
		maps.Copy(w.Header(), done.header)
		status := cmp.Or(done.status, http.StatusOK)
		// Whoever reads the answer finds it in the record.
		r.note(call, func() { call.Status = status })
		w.WriteHeader(status)
		w.Write(done.body.Bytes())
	})
}

// metered reads what a recorder has room for.
type metered struct {
	from io.Reader
	of   *recorder
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.of.mu.Lock()
	defer m.of.mu.Unlock()
	if m.of.read += int64(n); m.of.read >= maxRead {
		return 0, io.EOF
	}
	return n, err
}

// note changes what is known of a call and tells those who wait for that.
func (r *recorder) note(call *Call, change func()) {
	r.mu.Lock()
	change()
	known := *call
	r.changed.Broadcast()
	r.mu.Unlock()
	if r.Watch != nil && known.Status != 0 {
		r.Watch(known)
	}
}

// kept is an answer that has not been sent yet.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) Write(p []byte) (int, error) { return k.body.Write(p) }
func (k *kept) WriteHeader(status int)      { k.status = cmp.Or(k.status, status) }

// A clock says what time it is.
type clock func() time.Time
