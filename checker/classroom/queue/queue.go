// Package queue hands the works of a class to workers on any number of machines,
// over NATS JetStream: works lie in an object store, jobs wait in a work queue, and
// marks are created once in a key-value store, whoever answers twice.
package queue

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/ledger"
	"jwtworkshop/checker/classroom/marking"
)

// Names in JetStream.
const (
	jobsStream    = "CLASSROOM_JOBS"
	jobsSubject   = "classroom.jobs" // .about.id
	worksBucket   = "classroom-works"
	resultsBucket = "classroom-results"
	deadBucket    = "classroom-dead"
)

const (
	lease    = 30 * time.Second   // a worker that is silent for so long has lost its job
	tries    = 12                 // how often a job is begun before it is given up: workers may be killed for no fault of its own
	lifetime = 7 * 24 * time.Hour // of what nobody has fetched
	patience = 2 * time.Minute    // for a server that does not answer
	second   = 5 * time.Second    // how often to look whether a message was missed
)

// A Dial says how a server is reached.
type Dial struct {
	URL                  string
	Credentials          string // a file as nsc makes it
	CA, Certificate, Key string // files, PEM
	Name                 string // who we are, for the server's monitoring
	password             string // of an embedded one
}

// A Queue is a connection. Its methods may be called at the same time.
type Queue struct {
	nats    *nats.Conn
	js      jetstream.JetStream
	jobs    jetstream.Stream
	works   jetstream.ObjectStore
	results jetstream.KeyValue
	dead    jetstream.KeyValue
}

// ErrRefused is returned, wrapped with what was said, where a server does not let us in
// or we do not trust it: to ask again would change nothing.
var ErrRefused = errors.New("no way in")

// Open connects, and makes what is not there yet. It waits for a server that does not
// answer; a connection that is lost is made again for as long as it takes. Errors wrap
// [ErrRefused] where certificates, credentials or rights do not do; passwords in the URL
// are not in them.
func Open(ctx context.Context, d Dial) (*Queue, error) {
	q, err := open(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", redacted(d.URL), err)
	}
	return q, nil
}

// redacted is a list of URLs as it may be printed.
func redacted(list string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil && u.User != nil {
			parts[i] = u.Redacted()
			if _, both := u.User.Password(); !both { // a name alone is a token
				u.User = url.User("xxxxx")
				parts[i] = u.String()
			}
		}
	}
	return strings.Join(parts, ",")
}

func open(ctx context.Context, d Dial) (*Queue, error) {
	making, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	options := []nats.Option{nats.Name("classroom " + d.Name), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) { // what is not allowed is never answered
				refuse(fmt.Errorf("%w: %w", ErrRefused, err))
			}
		})}
	if d.Credentials != "" {
		options = append(options, nats.UserCredentials(d.Credentials))
	}
	if d.CA != "" {
		options = append(options, nats.RootCAs(d.CA))
	}
	if d.Certificate != "" || d.Key != "" {
		options = append(options, nats.ClientCert(d.Certificate, d.Key))
	}
	if d.password != "" {
		options = append(options, nats.Token(d.password))
	}
	conn, err := dial(ctx, d.URL, options)
	if err != nil {
		return nil, err
	}
	q := &Queue{nats: conn}
	if q.js, err = jetstream.New(conn); err == nil {
		err = insist(making, q.make)
	}
	if err != nil {
		conn.Close()
		if cause := context.Cause(making); cause != nil {
			err = cause
		}
		return nil, err
	}
	return q, nil
}

// dial connects for the first time. Who cannot be reached is called again, for as long
// as we have patience; who answers and does not let us in, or is not whom we trust, is
// not.
func dial(ctx context.Context, to string, options []nats.Option) (conn *nats.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if conn, err = nats.Connect(to, options...); err == nil {
			return conn, nil
		}
		if !unreachable(err) {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// unreachable tells whether an error is of a server that is not there, or is not there
// yet.
func unreachable(err error) bool {
	var dialing *net.OpError
	var slow net.Error
	return errors.As(err, &slow) && slow.Timeout() || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.As(err, &dialing) && dialing.Op == "dial"
}

func (q *Queue) make(ctx context.Context) (err error) {
	q.jobs, err = q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: jobsStream, Subjects: []string{jobsSubject + ".>"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, MaxAge: lifetime,
		// A job waits once: to publish it again while it does is refused.
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
	})
	if err != nil {
		return err
	}
	if q.works, err = q.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: worksBucket, TTL: lifetime, Storage: jetstream.FileStorage}); err != nil {
		return err
	}
	for bucket, kv := range map[string]*jetstream.KeyValue{resultsBucket: &q.results, deadBucket: &q.dead} {
		if *kv, err = q.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, TTL: lifetime, Storage: jetstream.FileStorage, History: 1, MaxValueSize: -1}); err != nil {
			return err
		}
	}
	return nil
}

// Close hangs up.
func (q *Queue) Close() error {
	q.nats.Close()
	return nil
}

// insist does something again and again until the server has done it or refused it.
func insist(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		once, done := context.WithTimeout(ctx, 10*time.Second)
		err := do(once)
		done()
		var refused *jetstream.APIError
		if err == nil || errors.As(err, &refused) && refused.Code < 500 || errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrObjectNotFound) || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// A Job is the works of one student, as a worker gets them.
type job struct {
	ID string `json:"id"`
}

func subjectOf(about string) string {
	sum := sha256.Sum256([]byte(about))
	return jobsSubject + "." + hex.EncodeToString(sum[:8])
}

// A Client puts jobs into the queue and waits for their marks: it grades as a
// machine does, elsewhere.
type Client struct {
	queue *Queue
	about string
	run   string

	mu      sync.Mutex
	waiting map[string]chan struct{}
	dead    []string
}

// NewClient returns a client for works that are graded with what about says: only
// workers that have the same take them. Jobs of one run are the same jobs when they
// are put again.
func NewClient(ctx context.Context, q *Queue, about, run string) (*Client, error) {
	c := &Client{queue: q, about: about, run: run, waiting: map[string]chan struct{}{}}
	for _, kv := range []jetstream.KeyValue{q.results, q.dead} {
		var watcher jetstream.KeyWatcher
		err := insist(ctx, func(context.Context) (err error) {
			watcher, err = kv.WatchAll(ctx, jetstream.UpdatesOnly(), jetstream.IgnoreDeletes(), jetstream.MetaOnly())
			return err
		})
		if err != nil {
			return nil, err
		}
		go func() {
			defer watcher.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case entry, ok := <-watcher.Updates():
					if !ok {
						return
					}
					if entry != nil {
						c.wake(entry.Key())
					}
				}
			}
		}()
	}
	return c, nil
}

func (c *Client) wake(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.waiting[id]; w != nil {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// Dead are the jobs that were given up, and why.
func (c *Client) Dead() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.dead)
}

// Mark has works graded.
func (c *Client) Mark(ctx context.Context, works []intake.Work) ([]marking.Mark, error) {
	var parts []json.RawMessage
	h := sha256.New()
	fmt.Fprintln(h, c.about, c.run)
	for _, w := range works {
		packed, err := ledger.Pack(w)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(packed)
		if err != nil {
			return nil, err
		}
		parts = append(parts, raw)
		fmt.Fprintln(h, ledger.Hash(w))
	}
	id := hex.EncodeToString(h.Sum(nil)[:16])
	object, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	woken := make(chan struct{}, 1)
	c.mu.Lock()
	c.waiting[id] = woken
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, id)
	}()
	marks, done, err := c.fetch(ctx, id, works)
	if !done && err == nil {
		if err := c.put(ctx, id, object); err != nil {
			return nil, err
		}
	}
	for !done && err == nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-woken:
		case <-time.After(second):
		}
		marks, done, err = c.fetch(ctx, id, works)
		if !done && err == nil && !c.known(ctx, id) {
			err = c.put(ctx, id, object) // the server has forgotten it
		}
	}
	if err != nil {
		return nil, err
	}
	return marks, c.forget(ctx, id)
}

// put stores a job's works and lines the job up. One that waits already stays.
func (c *Client) put(ctx context.Context, id string, object []byte) error {
	err := insist(ctx, func(ctx context.Context) error {
		_, err := c.queue.works.PutBytes(ctx, id, object)
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(job{ID: id})
	if err != nil {
		return err
	}
	return insist(ctx, func(ctx context.Context) error {
		_, err := c.queue.js.Publish(ctx, subjectOf(c.about)+"."+id, text)
		var refused *jetstream.APIError
		if errors.As(err, &refused) && strings.Contains(refused.Description, "maximum messages per subject") {
			return nil
		}
		return err
	})
}

// known tells whether the job still waits or is being worked on.
func (c *Client) known(ctx context.Context, id string) bool {
	_, err := c.queue.jobs.GetLastMsgForSubject(ctx, subjectOf(c.about)+"."+id)
	return !errors.Is(err, jetstream.ErrMsgNotFound)
}

// fetch looks for the marks of a job, or for why there are none.
func (c *Client) fetch(ctx context.Context, id string, works []intake.Work) ([]marking.Mark, bool, error) {
	var entry jetstream.KeyValueEntry
	get := func(kv jetstream.KeyValue) error {
		return insist(ctx, func(ctx context.Context) (err error) {
			entry, err = kv.Get(ctx, id)
			return err
		})
	}
	err := get(c.queue.results)
	if err == nil {
		var marks []marking.Mark
		if err := json.Unmarshal(entry.Value(), &marks); err != nil {
			return nil, false, err
		}
		if len(marks) != len(works) {
			return nil, false, fmt.Errorf("a worker has answered with %d marks for %d lessons", len(marks), len(works))
		}
		for i, w := range works {
			if marks[i].Lesson != w.Lesson.ID {
				return nil, false, fmt.Errorf("a worker has answered for %s, asked was %s", marks[i].Lesson, w.Lesson.ID)
			}
		}
		return marks, true, nil
	}
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, false, err
	}
	err = get(c.queue.dead)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	why := string(entry.Value())
	c.mu.Lock()
	c.dead = append(c.dead, why)
	c.mu.Unlock()
	var marks []marking.Mark
	for _, w := range works {
		marks = append(marks, marking.Failed(w.Lesson, errors.New(why)))
	}
	return marks, true, nil
}

// forget removes what is left of a job that was answered.
func (c *Client) forget(ctx context.Context, id string) error {
	for _, remove := range []func(context.Context) error{
		func(ctx context.Context) error { return c.queue.works.Delete(ctx, id) },
		func(ctx context.Context) error { return c.queue.results.Purge(ctx, id) },
		func(ctx context.Context) error { return c.queue.dead.Purge(ctx, id) },
	} {
		if err := insist(ctx, remove); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) && !errors.Is(err, jetstream.ErrKeyNotFound) {
			return err
		}
	}
	return nil
}

// A Marker grades works.
type Marker interface {
	Mark(ctx context.Context, works []intake.Work) ([]marking.Mark, error)
}

// Work takes jobs that are to be graded with what about says, one after another,
// until ctx ends. It tells what it does. An error is the queue's.
func (q *Queue) Work(ctx context.Context, about string, marker Marker, tell func(string)) error {
	subject := subjectOf(about)
	var consumer jetstream.Consumer
	err := insist(ctx, func(ctx context.Context) (err error) {
		consumer, err = q.jobs.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable: "workers-" + subject[len(jobsSubject)+1:], FilterSubject: subject + ".>",
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: lease, MaxDeliver: -1, MaxAckPending: -1,
		})
		return err
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(5*time.Second))
		if err != nil {
			if q.nats.IsClosed() { // our credentials do not do any more
				return cmp.Or(q.nats.LastError(), err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		for message := range batch.Messages() {
			if err := q.one(ctx, message, marker, tell); err != nil && ctx.Err() == nil {
				tell("a job goes back into the queue: " + err.Error())
				message.NakWithDelay(time.Second)
			}
		}
	}
	return ctx.Err()
}

// one does one job. An error puts it back.
func (q *Queue) one(ctx context.Context, message jetstream.Msg, marker Marker, tell func(string)) error {
	var j job
	if err := json.Unmarshal(message.Data(), &j); err != nil {
		return message.Term()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the lease is kept for as long as the work takes
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(lease / 3):
				message.InProgress()
			}
		}
	}()
	if _, err := q.results.Get(ctx, j.ID); err == nil {
		return message.DoubleAck(ctx) // somebody has answered
	}
	about, err := message.Metadata()
	if err != nil {
		return err
	}
	giveUp := func(why string) error {
		tell("given up: " + why)
		err := insist(ctx, func(ctx context.Context) error {
			_, err := q.dead.Create(ctx, j.ID, []byte(why))
			return err
		})
		if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
		return message.Term()
	}
	if about.NumDelivered > tries {
		return giveUp(fmt.Sprintf("job %s was begun %d times and never finished", j.ID, tries))
	}
	var object []byte
	err = insist(ctx, func(ctx context.Context) (err error) {
		object, err = q.works.GetBytes(ctx, j.ID)
		return err
	})
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return message.Term() // answered and cleared away
	}
	if err != nil {
		return err
	}
	works, err := unpack(object)
	if err != nil {
		return giveUp(fmt.Sprintf("job %s cannot be read: %v", j.ID, err))
	}
	marks, err := marker.Mark(ctx, works)
	if err != nil {
		return err
	}
	for _, m := range marks {
		if m.Ours {
			if about.NumDelivered >= tries {
				return giveUp(fmt.Sprintf("job %s: %s, %d times: %s", j.ID, m.Why, tries, m.Detail))
			}
			return fmt.Errorf("%s: %s", m.Why, m.Detail)
		}
	}
	text, err := json.Marshal(marks)
	if err != nil {
		return err
	}
	err = insist(ctx, func(ctx context.Context) error {
		_, err := q.results.Create(ctx, j.ID, text)
		return err
	})
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return err
	}
	tell(fmt.Sprintf("job %.8s: %d lessons", j.ID, len(marks)))
	return message.DoubleAck(ctx)
}

func unpack(object []byte) ([]intake.Work, error) {
	var parts [][]byte
	if err := json.NewDecoder(bytes.NewReader(object)).Decode(&parts); err != nil {
		return nil, err
	}
	var works []intake.Work
	for _, p := range parts {
		w, err := ledger.Unpack(p)
		if err != nil {
			return nil, err
		}
		works = append(works, w)
	}
	return works, nil
}

// Embedded starts a server in this process that keeps its files in folder, and
// returns how to reach it. It listens on the loopback, for whoever knows its
// password, and writes each message to the disk before it says so.
func Embedded(folder string) (Dial, func() error, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Dial{}, nil, err
	}
	password := rand.Text()
	s, err := server.NewServer(&server.Options{
		ServerName: "classroom", Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: password,
		JetStream: true, StoreDir: filepath.Clean(folder), SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return Dial{}, nil, err
	}
	s.Start()
	stop := func() error {
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	}
	if !s.ReadyForConnections(30 * time.Second) {
		stop()
		return Dial{}, nil, errors.New("the embedded NATS server does not start")
	}
	return Dial{URL: s.ClientURL(), password: password}, stop, nil
}
