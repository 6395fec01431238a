package modexp

import (
	"syscall"
	"time"
)

// threadTime is the processor time of the calling thread: what a benchmark costs,
// whatever else the machine is doing.
func threadTime() time.Duration {
	const rusageThread = 1 // getrusage(2)
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
