//go:build !linux

package pgtest

import (
	"syscall"
	"testing"
	"time"
)

// attributes changes nothing: without root the programs run as this user.
func attributes(owner) *syscall.SysProcAttr { return nil }

// CPU is not known.
func (s *Server) CPU(testing.TB) time.Duration { return 0 }
