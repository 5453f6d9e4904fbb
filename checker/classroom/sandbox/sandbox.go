// Package sandbox runs programs that nobody trusts, by bubblewrap: without a
// network, in an empty root with nothing but what is named, as nobody, with limits,
// and with few system calls.
package sandbox

import (
	"errors"
	"os"
	"time"
)

// A Mount is a file or folder that a program sees.
type Mount struct {
	From  string // on this machine
	To    string // in the sandbox
	Write bool
}

// A Spec says what is run and what it is given.
type Spec struct {
	Args   []string // the program's path in the sandbox, and its arguments
	Dir    string   // where it starts
	Env    []string // all of its environment: "NAME=value"
	Mounts []Mount
	Files  []*os.File // its file descriptors from 3 on
	Tmp    int64      // bytes of its /tmp
	Limits Limits
}

// Limits are of one program, threads and all.
type Limits struct {
	CPU   time.Duration // of processor time
	Data  int64         // bytes of memory that it can write to (RLIMIT_DATA)
	File  int64         // bytes of one file
	Open  int           // files at a time
	Tasks int           // threads
}

// ErrUnavailable is returned, wrapped, where this machine cannot isolate.
var ErrUnavailable = errors.New("this machine cannot isolate submissions")
