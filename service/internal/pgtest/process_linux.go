package pgtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// attributes lets a program run as its owner. If this process dies the kernel ends the
// program (SIGQUIT: a server ends at once, with all of its processes).
func attributes(o owner) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if o.other {
		a.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	return a
}

// start starts a program from a thread that lives as long as this process: the kernel
// takes the end of the thread that started a program for the end of its parent.
func start(cmd *exec.Cmd) error {
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
