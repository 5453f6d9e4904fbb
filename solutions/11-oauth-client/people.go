// Given. Who is signed in.
package main

import (
	"crypto/rand"
	"sync"
	"time"
)

// personKey is where the browser's session says who is signed in: by a name in
// s.people.
const personKey = "person"

// A person is somebody who is signed in with one browser.
type person struct {
	Subject string // the "sub" of the ID token: who it is at the provider, for ever
	Name    string // what the provider calls them; it may change

	// The lock is to be held while the tokens are looked at or renewed: a browser
	// has many tabs.
	sync.Mutex
	Access    string    // the access token
	Expires   time.Time // when it expires by cfg.Now; zero where the provider does not say
	Refresh   string    // the refresh token, "" if there is none
	Refreshed int       // how often the access token was renewed
}

// people are all who are signed in, by a name that nobody guesses. It stands in the
// browser's session; the tokens do not. scs writes back what a request has read at
// its beginning, so of two requests at once the later one's old tokens would win.
type people struct {
	mu   sync.Mutex
	byID map[string]*entry
}

type entry struct {
	*person
	ends time.Time
}

// add remembers a person until that time and returns their name here. Those whose
// time is over by now are forgotten.
func (p *people) add(who *person, now, ends time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, e := range p.byID {
		if now.After(e.ends) {
			delete(p.byID, id)
		}
	}
	if p.byID == nil {
		p.byID = map[string]*entry{}
	}
	id := rand.Text()
	p.byID[id] = &entry{who, ends}
	return id
}

// find returns the person of that name, nil if there is none.
func (p *people) find(id string) *person {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.byID[id]; ok {
		return e.person
	}
	return nil
}

// remove forgets the person of that name and returns them, nil if there is none.
func (p *people) remove(id string) *person {
	who := p.find(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
	return who
}
