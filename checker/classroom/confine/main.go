//go:build linux

// Command confine is the first process of a sandbox. It lowers its own limits and
// becomes the program that is to be confined. Inside, because only there a limit on
// processes counts the sandbox's own alone.
//
//	confine cpu=20 data=268435456 file=16777216 open=256 tasks=128 -- /program args
//
// Limits are those of setrlimit(2), in its units. "confine hello" says that the
// sandbox came up.
package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const rlimitTasks = 6 // RLIMIT_NPROC, which package syscall does not name

var limits = map[string]int{
	"cpu": syscall.RLIMIT_CPU, "data": syscall.RLIMIT_DATA, "file": syscall.RLIMIT_FSIZE,
	"open": syscall.RLIMIT_NOFILE, "tasks": rlimitTasks, "core": syscall.RLIMIT_CORE,
}

func main() {
	if err := confine(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "confine:", err)
		os.Exit(125)
	}
}

func confine(args []string) error {
	if len(args) == 1 && args[0] == "hello" {
		fmt.Println("hello")
		return nil
	}
	end := slices.Index(args, "--")
	if end < 0 || end == len(args)-1 {
		return fmt.Errorf("no program")
	}
	for _, arg := range args[:end] {
		name, value, _ := strings.Cut(arg, "=")
		limit, known := limits[name]
		n, err := strconv.ParseUint(value, 10, 63)
		if !known || err != nil {
			return fmt.Errorf("%q is no limit", arg)
		}
		r := syscall.Rlimit{Cur: n, Max: n}
		if name == "cpu" {
			r.Max++ // the first second over is for the program to say where it is
		}
		if err := syscall.Setrlimit(limit, &r); err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
	}
	program := args[end+1:]
	return syscall.Exec(program[0], program, os.Environ())
}
