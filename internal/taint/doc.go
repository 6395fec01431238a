// Package taint has no code but tests: the driver of "make taint". Built with the tag
// valgrind and run under valgrind's memcheck, it calls every operation on secrets with the
// secrets marked as undefined (see package ct) and counts what memcheck finds. Built with
// taintleak too, it makes each operation leak and expects that to be found.
package taint
