package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"jwtworkshop/checker/classroom/hostile"
	"jwtworkshop/checker/classroom/intake"
	"jwtworkshop/checker/classroom/marking"
)

// A trusted engine is this machine, once it has been seen to hold the hostile
// submissions. Where one of them gets anywhere, nothing is graded.
type trusted struct {
	place *place
	desk  *desk
	when  string // once, always, never

	once sync.Once
	err  error
}

func (t *trusted) Mark(ctx context.Context, works []intake.Work) ([]marking.Mark, error) {
	if _, err := t.place.setUp(ctx); err != nil {
		return nil, err
	}
	t.once.Do(func() { t.err = t.see(ctx) })
	if t.err != nil {
		return nil, t.err
	}
	return t.place.Mark(ctx, works)
}

// see runs the self-test unless this machine, as it is now, has passed it before.
func (t *trusted) see(ctx context.Context) error {
	if t.place.isolation == none || t.when == "never" {
		return nil
	}
	seen, err := t.seen()
	if err != nil {
		return err
	}
	if _, err := os.Stat(seen); err == nil && t.when == "once" {
		return nil
	}
	t.desk.say("first, hostile submissions: does this machine hold them? (once per machine and workshop)")
	var got []string
	n, bad, err := selftest(t.desk, t.place, "", 0, func(o hostile.Outcome) {
		if len(o.Bad) > 0 {
			got = append(got, o.Case.Name+": "+strings.Join(o.Bad, "; "))
		}
	})
	if err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d hostile submissions got somewhere, so nothing is graded:\n  %s\ngo run ./checker/classroom selftest says more", bad, n, strings.Join(got, "\n  "))
	}
	t.desk.say("%d hostile submissions, none got anywhere", n)
	if err := os.MkdirAll(filepath.Dir(seen), 0o755); err != nil {
		return err
	}
	return os.WriteFile(seen, []byte(t.place.about+"\n"), 0o644)
}

// seen is the file that says that this machine has passed.
func (t *trusted) seen() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	corpus, err := hashOf(t.place.root, []string{"checker/classroom/hostile/*.go", "checker/classroom/hostile/corpus/*", "checker/classroom/sandbox/*.go", "checker/classroom/confine/*.go"})
	if err != nil {
		return "", err
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	sum := sha256.Sum256([]byte(strings.Join([]string{t.place.about, corpus, string(kernel), t.place.marker.Box.Version, fmt.Sprint(os.Getuid())}, "\n")))
	return filepath.Join(cache, "jwtworkshop", "selftest-"+hex.EncodeToString(sum[:8])), nil
}
