package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/term"
)

// A bar tells how far a class is: a line that is written anew on a terminal, a line
// now and then elsewhere.
type bar struct {
	out      io.Writer
	terminal bool
	total    int
	start    time.Time

	mu     sync.Mutex
	done   int
	graded int // lessons that were really graded
	fresh  int // students for whom there was something to grade
	last   time.Time
}

func newBar(out io.Writer, total int) *bar {
	b := &bar{out: out, total: total, start: time.Now()}
	if f, ok := out.(*os.File); ok {
		b.terminal = term.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
	}
	return b
}

// Done counts a student.
func (b *bar) Done(_ *pupil, graded, _ int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
	b.graded += graded
	if graded > 0 {
		b.fresh++
	}
	pause := 100 * time.Millisecond
	if !b.terminal {
		pause = 10 * time.Second
	}
	if now := time.Now(); now.Sub(b.last) >= pause || b.done == b.total {
		b.last = now
		b.print()
	}
}

func (b *bar) print() {
	text := fmt.Sprintf("%d of %d students", b.done, b.total)
	if took := time.Since(b.start); b.fresh > 0 {
		text += fmt.Sprintf(", %.0f lessons a minute", float64(b.graded)/took.Minutes())
		if left := time.Duration(float64(took) / float64(b.done) * float64(b.total-b.done)); b.done < b.total {
			text += ", " + left.Round(time.Second).String() + " left"
		}
	}
	if !b.terminal {
		fmt.Fprintln(b.out, text)
		return
	}
	const cells = 24
	full := cells * b.done / max(1, b.total)
	fmt.Fprintf(b.out, "\r\x1b[K%s%s  %s", strings.Repeat("█", full), strings.Repeat("░", cells-full), text)
}

// Close ends the line.
func (b *bar) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.terminal && b.done > 0 {
		fmt.Fprintln(b.out)
	}
}
