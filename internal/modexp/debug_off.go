//go:build !modexpdebug

package modexp

// debug makes the kernels check the bounds that their proofs promise, after every
// operation: go test -tags modexpdebug.
const debug = false
