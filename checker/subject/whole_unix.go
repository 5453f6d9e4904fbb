//go:build unix

package subject

import (
	"os/exec"
	"syscall"
	"time"
)

// endsWhole makes a command end with all that it has started: go leaves compilers
// and linkers running.
func endsWhole(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
}
