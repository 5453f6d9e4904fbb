//go:build !unix

package subject

import (
	"os/exec"
	"time"
)

// endsWhole does not wait for what a command has started and left behind.
func endsWhole(cmd *exec.Cmd) { cmd.WaitDelay = time.Second }
