// Package erase runs code and erases what it leaves in memory. It is not enough that a
// program wipes what it owns: copies stay in stack frames that have returned, in spilled
// registers, and in memory of other packages that the garbage collector has not used
// again. Package runtime/secret of the Go toolchain erases those too. It is an experiment
// of Go 1.26, for linux/amd64 and linux/arm64, and exists only in programs built with
// GOEXPERIMENT=runtimesecret. In all others [Do] overwrites the stack and no more.
package erase
