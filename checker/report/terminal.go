package report

import (
	"io"
	"os"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/term"
)

// DefaultWidth is the width of a card where there is no terminal, in columns.
const DefaultWidth = 88

// Plain returns a writer that takes colours out.
func Plain(w io.Writer) io.Writer {
	return &colorprofile.Writer{Forward: w, Profile: colorprofile.NoTTY}
}

// Terminal returns a writer for f that keeps colours where f is a terminal that
// can show them, and takes them out where it is not, where NO_COLOR is set, or
// where plain is asked for. It also returns the width in columns.
func Terminal(f *os.File, plain bool) (io.Writer, int) {
	w := colorprofile.NewWriter(f, os.Environ())
	if plain {
		w.Profile = colorprofile.NoTTY
	}
	width, _, err := term.GetSize(f.Fd())
	if err != nil || width <= 0 {
		width = DefaultWidth
	}
	return w, min(width, 110)
}
