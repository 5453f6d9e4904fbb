//go:build linux && !amd64 && !arm64

package sandbox

import (
	"fmt"
	"runtime"
)

func filter() ([]byte, error) {
	return nil, fmt.Errorf("no filter of system calls is written for %s", runtime.GOARCH)
}
