// Package taint tells a checker what is secret, and where it may become public.
//
// [Secret] marks bytes as secret. Constant-time code has a few places where something
// that was computed from a secret is meant to be seen: whether a partial signature is
// right, whether a PIN has a digit where a letter stands. There the code passes the value
// through [Declassify] or one of its kin, with a [Reason].
//
// In an ordinary build these functions return what they are given, and are inlined to
// nothing. Built with the tag valgrind on linux/amd64 they are client requests to
// valgrind's memcheck: a secret is undefined memory, a declassified value is defined, and
// what memcheck reports as a jump or an address that depends on uninitialised memory is
// one that depends on a secret. (The idea is A. Langley's ctgrind, 2010.)
//
// "make taint" runs the check. Its driver is the tests of this package: they call the
// operations on shares, partial signatures, server keys and PINs with their secrets
// marked, and count what memcheck finds. (Not those that deal keys: see package splitkey,
// Timing.) Built with taintleak too, each operation leaks, and that must be found.
package taint

// Result is where [LeakResult] leaks.
const Result Reason = -1
