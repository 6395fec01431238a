// Package ct says to a checker what is secret, and where a secret may become public.
//
// Constant-time code has a few places where something that was computed from a secret is
// meant to be seen: whether a partial signature is right, whether a PIN has a digit
// where a letter stands. Each of them is a function in public.go, with its reason, and code that decides
// by such a value passes it through that function.
//
// In an ordinary build the functions return what they are given, and are inlined to
// nothing. Built with the tag valgrind on linux/amd64 they are client requests to valgrind's memcheck:
// [Secret] marks memory as undefined, public.go marks values as defined, and what memcheck
// then reports as a jump or an address that depends on uninitialised memory is one that depends
// on a secret. (The idea is A. Langley's ctgrind, 2010.) "make taint" runs the check; package internal/taint is its driver.
package ct
