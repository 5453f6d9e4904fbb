//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"encoding/binary"
	"runtime"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What a filter answers (seccomp(2)).
const (
	retAllow = 0x7fff0000
	retErrno = 0x00050000
)

// struct seccomp_data, offsets in bytes. Arguments are 64 bits wide; the flags and
// domains asked about stand in their lower halves.
const (
	atNumber = 0
	atArch   = 4
)

func atArg(n int) uint32 { return uint32(16 + 8*n) }

// everywhere are the system calls that a Go program, the compiler and the linker
// make, those made most often first. None starts a process, opens another kind of
// socket than unix or IP, or reaches into another process; what is missing gets
// EPERM.
var everywhere = []uint32{
	unix.SYS_FUTEX, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP, unix.SYS_EPOLL_CTL, unix.SYS_CLOSE,
	unix.SYS_ACCEPT4, unix.SYS_GETSOCKNAME, unix.SYS_SETSOCKOPT, unix.SYS_MADVISE, unix.SYS_SCHED_YIELD, unix.SYS_TGKILL,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK,
	unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MREMAP, unix.SYS_BRK, unix.SYS_MINCORE, unix.SYS_MSYNC,
	unix.SYS_OPENAT, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_LSEEK, unix.SYS_FSTAT, unix.SYS_NEWFSTATAT, unix.SYS_STATX,
	unix.SYS_FSTATFS, unix.SYS_STATFS, unix.SYS_FCNTL, unix.SYS_FLOCK, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_TRUNCATE,
	unix.SYS_GETDENTS64, unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_UTIMENSAT, unix.SYS_UMASK,
	unix.SYS_GETCWD, unix.SYS_CHDIR, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_PIPE2, unix.SYS_EVENTFD2, unix.SYS_EPOLL_CREATE1, unix.SYS_PPOLL, unix.SYS_PSELECT6,
	unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_CONNECT, unix.SYS_ACCEPT, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT, unix.SYS_SHUTDOWN,
	unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_COPY_FILE_RANGE,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_KILL, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SET_TID_ADDRESS, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
	unix.SYS_PRLIMIT64, unix.SYS_GETRUSAGE, unix.SYS_GETRANDOM, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_RESTART_SYSCALL,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETPPID, unix.SYS_GETGROUPS,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY, unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
	unix.SYS_EXECVE, // the sandbox's own way in; there is nothing else to execute, and no process besides
}

// filter returns the program of classic BPF that bubblewrap loads.
func filter() ([]byte, error) {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	deny := func(errno unix.Errno) bpf.Instruction { return bpf.RetConstant{Val: retErrno | uint32(errno)} }
	allow := bpf.RetConstant{Val: retAllow}
	number := bpf.LoadAbsolute{Off: atNumber, Size: 4}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: atArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		deny(unix.ENOSYS),
		number,
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 0x40000000, SkipTrue: 1}, // above are those of x32
		deny(unix.ENOSYS),
	}
	on := func(call uint32, then ...bpf.Instruction) {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: uint8(len(then))})
		program = append(program, then...)
	}
	for _, call := range append(everywhere, legacy...) {
		on(call, allow)
	}
	on(unix.SYS_CLONE, // threads, not processes
		bpf.LoadAbsolute{Off: atArg(0), Size: 4},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: unix.CLONE_THREAD, SkipFalse: 1}, allow,
		deny(unix.EPERM))
	on(unix.SYS_CLONE3, deny(unix.ENOSYS))        // its flags cannot be looked at
	on(unix.SYS_FALLOCATE, deny(unix.EOPNOTSUPP)) // it takes from the disk what counts as nobody's writing
	on(unix.SYS_MMAP,                             // RLIMIT_DATA does not count shared memory
		bpf.LoadAbsolute{Off: atArg(3), Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: unix.MAP_SHARED | unix.MAP_ANONYMOUS},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.MAP_SHARED | unix.MAP_ANONYMOUS, SkipFalse: 1}, allow,
		deny(unix.EPERM))
	domain := func(call uint32) {
		on(call,
			bpf.LoadAbsolute{Off: atArg(0), Size: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_UNIX, SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET, SkipTrue: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.AF_INET6, SkipTrue: 1}, allow,
			deny(unix.EAFNOSUPPORT))
	}
	domain(unix.SYS_SOCKET)
	domain(unix.SYS_SOCKETPAIR)
	program = append(program, deny(unix.EPERM))
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer // struct sock_filter, in this machine's byte order
	for _, i := range raw {
		binary.Write(&out, binary.NativeEndian, struct {
			Op     uint16
			Jt, Jf uint8
			K      uint32
		}{i.Op, i.Jt, i.Jf, i.K})
	}
	return out.Bytes(), nil
}
