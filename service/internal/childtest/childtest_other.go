//go:build !linux

// Package childtest starts the servers that tests need, so that they end with the test.
package childtest

import (
	"os/exec"
	"syscall"
)

// Start starts a program. No kernel but Linux ends it if this process dies.
func Start(cmd *exec.Cmd, _ syscall.Signal) error { return cmd.Start() }
