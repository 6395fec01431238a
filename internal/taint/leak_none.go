//go:build valgrind && !taintleak && linux && amd64

package taint

func leak(Reason, int) {}
