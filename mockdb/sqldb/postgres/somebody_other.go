//go:build !unix

package postgres

import "os/exec"

func asSomebody(*exec.Cmd) {}

func giveAway(string) error { return nil }
