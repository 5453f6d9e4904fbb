package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// nobody is who runs in the sandbox, and outside where we are root: the kernel
// does not count root's processes (RLIMIT_NPROC, setrlimit(2)).
const nobody = 65534

// A Box makes sandboxes.
type Box struct {
	bwrap   string
	folder  string // holds the helper, the filter and what every sandbox has in /etc
	Version string // of bubblewrap
}

// New prepares sandboxes: it builds the helper of the workshop at root into folder,
// which must be new, and tries a sandbox. Errors wrap [ErrUnavailable] where this
// machine cannot do it.
func New(ctx context.Context, root, folder string) (*Box, error) {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, fmt.Errorf("%w: bubblewrap is not installed (apt install bubblewrap, dnf install bubblewrap)", ErrUnavailable)
	}
	version, err := exec.CommandContext(ctx, bwrap, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s --version: %w", ErrUnavailable, bwrap, err)
	}
	b := &Box{bwrap: bwrap, folder: folder, Version: strings.TrimSpace(string(version))}
	filter, err := filter()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "etc"), 0o755); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"filter":            string(filter),
		"etc/hosts":         "127.0.0.1 localhost\n",
		"etc/nsswitch.conf": "hosts: files\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(folder, "confine"), "./checker/classroom/confine")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the sandbox's helper does not build: %w\n%s", err, output)
	}
	return b, b.try(ctx)
}

// try starts a sandbox and sees that it came up.
func (b *Box) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd, err := b.Command(ctx, Spec{Args: []string{"/.confine", "hello"}, Tmp: 1 << 20, Limits: Limits{CPU: 5 * time.Second, Data: 256 << 20, File: 1 << 20, Open: 64, Tasks: 64}})
	if err != nil {
		return err
	}
	output, err := cmd.CombinedOutput()
	if err != nil || string(output) != "hello\n" {
		return fmt.Errorf("%w: a sandbox does not start (%v): %s; unprivileged user namespaces may be switched off, and %s must be readable to all",
			ErrUnavailable, err, strings.TrimSpace(string(output)), b.folder)
	}
	return nil
}

// Command returns the command that runs a program in a new sandbox, not started
// yet. It is killed with all that belongs to it when ctx ends, when it is killed, or
// when this process ends. Its environment is the spec's and nothing else.
func (b *Box) Command(ctx context.Context, s Spec) (*exec.Cmd, error) {
	filter, err := os.Open(filepath.Join(b.folder, "filter"))
	if err != nil {
		return nil, err
	}
	args := []string{
		"--unshare-all", "--unshare-user", "--disable-userns", // all of them: user, pid, net, ipc, uts, cgroup
		"--uid", strconv.Itoa(nobody), "--gid", strconv.Itoa(nobody),
		"--cap-drop", "ALL", "--new-session", "--die-with-parent", "--as-pid-1",
		"--hostname", "sandbox",
		"--ro-bind", filepath.Join(b.folder, "confine"), "/.confine",
		"--ro-bind", filepath.Join(b.folder, "etc"), "/etc",
		"--perms", "0700", "--size", strconv.FormatInt(max(s.Tmp, 4096), 10), "--tmpfs", "/tmp",
	}
	for _, m := range s.Mounts {
		how := "--ro-bind"
		if m.Write {
			how = "--bind"
		}
		args = append(args, how, m.From, m.To)
	}
	dir := s.Dir
	if dir == "" {
		dir = "/tmp"
	}
	args = append(args,
		"--remount-ro", "/", // bubblewrap's own root is a tmpfs without a size
		"--chdir", dir,
		"--seccomp", strconv.Itoa(3+len(s.Files)),
		"--", "/.confine",
		fmt.Sprintf("cpu=%d", max(1, int64(s.Limits.CPU.Round(time.Second)/time.Second))),
		fmt.Sprintf("data=%d", s.Limits.Data),
		fmt.Sprintf("file=%d", s.Limits.File),
		fmt.Sprintf("open=%d", s.Limits.Open),
		fmt.Sprintf("tasks=%d", s.Limits.Tasks),
		"core=0", "--")
	cmd := exec.CommandContext(ctx, b.bwrap, append(args, s.Args...)...)
	cmd.Env = append([]string{}, s.Env...) // not nil: that would be ours
	cmd.ExtraFiles = append(append([]*os.File{}, s.Files...), filter)
	cmd.WaitDelay = time.Second
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: false}}
	}
	return cmd, nil
}

// Quit sends SIGQUIT to the program in the sandbox that the command runs, for which
// Go prints where it stands.
func Quit(cmd *exec.Cmd) error {
	child, err := inside(cmd.Process.Pid)
	if err != nil {
		return err
	}
	return syscall.Kill(child, syscall.SIGQUIT)
}

// Written is how many bytes the program in the sandbox whose command has that process
// ID has written to disks, in all: whatever became of the files (proc_pid_io(5)).
func Written(pid int) (int64, error) {
	child, err := inside(pid)
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", child))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			return strconv.ParseInt(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/io has no write_bytes", child)
}

// inside is the process ID of the program that bubblewrap runs, which is its only child.
func inside(pid int) (int, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(children)))
}

// Pair returns the two ends of a connection: ours, and one to give to a sandbox.
func Pair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	mine := os.NewFile(uintptr(fds[0]), "control")
	defer mine.Close()
	theirs = os.NewFile(uintptr(fds[1]), "control of the sandbox")
	if ours, err = net.FileConn(mine); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// Own gives a folder to whoever runs in the sandbox.
func Own(folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(folder, nobody, nobody)
}
