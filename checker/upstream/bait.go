package upstream

import (
	"fmt"
	"net/http"
)

// A Bait is a server that a token points to and nobody should ask. It keeps a record
// of who does.
type Bait struct {
	recorder
	URL string // "http://127.0.0.1:4711"
}

// OpenBait serves what contents has for a path, at a free port of the loopback.
func OpenBait(contents func(url, path string) []byte) (*Bait, error) {
	b := &Bait{}
	url, err := b.open("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(contents("http://"+r.Host, r.URL.Path))
	}))
	if err != nil {
		return nil, fmt.Errorf("no port to listen on: %w", err)
	}
	b.URL = url
	return b, nil
}
