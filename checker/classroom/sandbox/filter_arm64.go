//go:build linux

package sandbox

import "golang.org/x/sys/unix"

// legacy are those that this architecture has besides.
var legacy = []uint32{unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT}
