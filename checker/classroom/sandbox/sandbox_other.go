//go:build !linux

package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
)

// A Box makes sandboxes; here there are none.
type Box struct {
	Version string
}

// New returns [ErrUnavailable]: bubblewrap is Linux's.
func New(context.Context, string, string) (*Box, error) {
	return nil, fmt.Errorf("%w: bubblewrap runs on Linux, this is %s", ErrUnavailable, runtime.GOOS)
}

// Command returns [ErrUnavailable].
func (*Box) Command(context.Context, Spec) (*exec.Cmd, error) { return nil, ErrUnavailable }

// Quit returns [ErrUnavailable].
func Quit(*exec.Cmd) error { return ErrUnavailable }

// Written returns [ErrUnavailable].
func Written(int) (int64, error) { return 0, ErrUnavailable }

// Pair returns [ErrUnavailable].
func Pair() (net.Conn, *os.File, error) { return nil, nil, ErrUnavailable }

// Own does nothing.
func Own(string) error { return nil }
