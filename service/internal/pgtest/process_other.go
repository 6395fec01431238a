//go:build !linux

package pgtest

import (
	"os/exec"
	"syscall"
)

// attributes changes nothing: without root the programs run as this user.
func attributes(owner) *syscall.SysProcAttr { return nil }

func start(cmd *exec.Cmd) error { return cmd.Start() }
