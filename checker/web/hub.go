package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"jwtworkshop/checker/live"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// linger is how long a lesson is watched on after its last page was closed, or was
// hidden behind an editor: whoever comes back is not to wait.
const linger = 10 * time.Minute

// heartbeat is how often an open page hears something, so that a lost one is noticed.
const heartbeat = 20 * time.Second

// A hub tells open pages what has changed, by server-sent events. Of each kind of
// event only the newest counts: a page that reads slowly misses what is past.
type hub struct {
	book  *workbook.Workbook
	saved func() // called when a watched lesson is built anew

	showing sync.Mutex // what is shown later is newer

	mu      sync.Mutex
	pages   map[*page]bool
	watched map[string]*watched // by lesson
	closed  bool
}

// A page is one that is open.
type page struct {
	lesson string // that it watches, "" is none
	wake   chan struct{}

	mu   sync.Mutex
	news map[string][]byte // by kind of event
}

// A watched lesson.
type watched struct {
	watcher *live.Watcher
	pages   int
	last    *live.State
	closing *time.Timer
}

func newHub(book *workbook.Workbook, saved func()) *hub {
	return &hub{book: book, saved: saved, pages: map[*page]bool{}, watched: map[string]*watched{}}
}

// tell sends an event to every open page.
func (h *hub) tell(kind string, value any) { h.send("", kind, value) }

// send sends an event to the pages that watch the lesson, or, where it is "", to
// all.
func (h *hub) send(lesson, kind string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // one of our own types
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.pages {
		if lesson == "" || p.lesson == lesson {
			p.put(kind, text)
		}
	}
}

func (p *page) put(kind string, text []byte) {
	p.mu.Lock()
	p.news[kind] = text
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (p *page) take() map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := p.news
	p.news = map[string][]byte{}
	return news
}

// open adds a page and begins to watch its lesson, if nobody does yet.
func (h *hub) open(l *lessons.Lesson) *page {
	p := &page{wake: make(chan struct{}, 1), news: map[string][]byte{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pages[p] = true
	if l == nil || h.closed {
		return p
	}
	p.lesson = l.ID
	w := h.watched[l.ID]
	if w == nil {
		w = &watched{watcher: live.Watch(h.book, *l)}
		h.watched[l.ID] = w
		go h.follow(w)
	}
	if w.closing != nil {
		w.closing.Stop()
		w.closing = nil
	}
	w.pages++
	go h.show(l.ID) // what is known already
	return p
}

// close forgets a page; its lesson is watched on for a while.
func (h *hub) close(p *page) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pages, p)
	w := h.watched[p.lesson]
	if w == nil {
		return
	}
	w.pages--
	if w.pages == 0 {
		w.closing = time.AfterFunc(linger, func() { h.leave(p.lesson, w) })
	}
}

// leave ends the watching of a lesson that nobody looks at.
func (h *hub) leave(lesson string, w *watched) {
	h.mu.Lock()
	if h.watched[lesson] != w || w.pages > 0 {
		h.mu.Unlock()
		return
	}
	delete(h.watched, lesson)
	h.mu.Unlock()
	w.watcher.Close()
}

// shut ends all watching.
func (h *hub) shut() {
	h.mu.Lock()
	h.closed = true
	all := h.watched
	h.watched = map[string]*watched{}
	h.mu.Unlock()
	for _, w := range all {
		w.watcher.Close()
	}
}

// follow tells the pages what becomes of a lesson.
func (h *hub) follow(w *watched) {
	for s := range w.watcher.States() {
		h.mu.Lock()
		w.last = &s
		h.mu.Unlock()
		h.show(s.Lesson.ID)
		switch s.Phase {
		case live.Building:
			h.saved()
		case live.Graded:
			h.tell("progress", progress(h.book))
		}
	}
}

// show sends the newest state of a lesson to the pages that watch it.
func (h *hub) show(lesson string) {
	h.showing.Lock()
	defer h.showing.Unlock()
	h.mu.Lock()
	var last *live.State
	if w := h.watched[lesson]; w != nil {
		last = w.last
	}
	h.mu.Unlock()
	if last != nil {
		h.send(lesson, "verdict", show(*last, h.book.GivenHints))
	}
}

// stream streams events to a page until it is closed: "verdict" of the lesson
// that the query names, "progress" of all lessons, and "server".
func (h *hub) stream(w http.ResponseWriter, r *http.Request, l *lessons.Lesson, first map[string]any) {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	out.SetReadDeadline(time.Time{}) // there is nothing to read, for hours
	p := h.open(l)
	defer h.close(p)
	for kind, value := range first {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err) // one of our own types
		}
		p.put(kind, text)
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	fmt.Fprint(w, "retry: 1000\n\n")
	for {
		out.SetWriteDeadline(time.Now().Add(heartbeat)) // a page that no longer reads is gone
		for kind, text := range p.take() {
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, text)
		}
		if out.Flush() != nil {
			return
		}
		select {
		case <-p.wake:
		case <-beat.C:
			fmt.Fprint(w, ": still here\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

// A row of the list of lessons.
type row struct {
	Lesson  string `json:"lesson"`
	State   string `json:"state"` // "done", "begun", "broken" (it does not compile), or "" where it was never checked
	Passed  int    `json:"passed"`
	Total   int    `json:"total"`
	First   string `json:"first"` // the step to mend
	Current bool   `json:"current"`
}

// progress is how far the learner is, a row for each lesson.
func progress(book *workbook.Workbook) []row {
	marks := book.Marks()
	var rows []row
	found := false // the first that is not done; the last where all are
	for i, l := range lessons.All() {
		m, known := marks[l.ID]
		r := row{Lesson: l.ID, Passed: m.Passed, Total: m.Total, First: m.First}
		r.Current = !found && (!m.Done() || i == len(lessons.All())-1)
		found = found || r.Current
		switch {
		case known && m.Done():
			r.State = "done"
		case known && m.First == "" && m.Passed == 0:
			r.State = "broken"
		case known:
			r.State = "begun"
		}
		rows = append(rows, r)
	}
	return rows
}
