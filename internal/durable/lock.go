package durable

import "errors"

// ErrLocked is returned by [TryLock] for a file that somebody else has locked.
var ErrLocked = errors.New("durable: locked by somebody else")

// TryLock locks a file against every other [TryLock] of it, in this process and in
// others. It makes the file, with mode 0600, if there is none. It does not wait. Locks
// end with their process. Where the platform has no such locks (js, wasip1, plan9),
// TryLock only makes sure that the file can be written.
//
// unlock gives the lock back; it fails only if the system does. Call it once.
func TryLock(name string) (unlock func() error, err error) { return tryLock(name) }
