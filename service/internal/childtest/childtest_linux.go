// Package childtest starts the servers that tests need, so that they end with the test.
package childtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts a program to which the kernel sends the signal end if this process dies.
//
// It does so from a thread that lives as long as this process: the kernel takes the end
// of the thread that started a program for the end of its parent.
func Start(cmd *exec.Cmd, end syscall.Signal) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = end
	result := make(chan error)
	starters <- func() { result <- cmd.Start() }
	return <-result
}

var starters = func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
}()
