// Package erase runs code whose leftovers are to be erased. Wiping what a program owns is not
// all: copies stay in stack frames that have returned, in spilled registers, and in memory
// of other packages that the garbage collector has not used again. Package runtime/secret of the Go
// toolchain erases those too. It is an experiment of Go 1.26, for linux/amd64 and linux/arm64, and exists only in
// programs built with GOEXPERIMENT=runtimesecret; in all others [Do] overwrites the stack, and no more.
package erase
