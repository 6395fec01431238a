package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// inProcess measures a Go function on a thread of its own. It does not count the garbage
// collector's other threads, which favours contenders that make garbage.
func inProcess(work func() error) func(int) (time.Duration, int64, error) {
	return func(count int) (time.Duration, int64, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := threadTime()
		for range count {
			if err := work(); err != nil {
				return 0, 0, err
			}
		}
		took := threadTime() - began
		runtime.ReadMemStats(&after)
		return took, int64(after.Mallocs - before.Mallocs), nil
	}
}
