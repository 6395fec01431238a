package etcdtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// attributes has the kernel end the program if this process dies.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

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
