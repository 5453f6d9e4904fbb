//go:build linux

package sandbox

import "golang.org/x/sys/unix"

// legacy are the older spellings that only this architecture has.
var legacy = []uint32{
	unix.SYS_ARCH_PRCTL, unix.SYS_EPOLL_WAIT, unix.SYS_EPOLL_CREATE, unix.SYS_POLL, unix.SYS_SELECT, unix.SYS_PIPE, unix.SYS_DUP2,
	unix.SYS_OPEN, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_UNLINK, unix.SYS_MKDIR, unix.SYS_RMDIR,
	unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_CHMOD, unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT, unix.SYS_TIME, unix.SYS_GETPGRP,
}
