//go:build !linux

package pgtest

import "syscall"

// attributes changes nothing: without root the programs run as this user.
func attributes(owner) *syscall.SysProcAttr { return nil }
