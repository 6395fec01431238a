//go:build valgrind && linux && amd64

package taint_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/taint"
)

// operation is one call of the API on marked secrets.
type operation struct {
	name string
	// run checks that the result is right, and returns what of it is still secret.
	run func(t *testing.T) []byte
	// leak is where the seeded leak is: where the operation's result becomes public, or
	// in what run returns.
	leak taint.Reason
}

// TestOperations prints how many findings there are in how many operations or, with
// seeded leaks, in how many operations they were found. The script that runs this adds
// up.
func TestOperations(t *testing.T) {
	require.True(t, taint.Running(), "this program is for valgrind: make taint")
	require.Zero(t, taint.Findings(), "before the first operation")
	list := operations(t)
	require.Zero(t, taint.Findings(), "in the set-up")
	require.NotEmpty(t, list)

	findings, found := 0, 0
	for _, op := range list {
		taint.SeedLeak(op.leak)
		before := taint.Findings()
		taint.LeakResult(op.run(t))
		n := taint.Findings() - before
		fmt.Printf("%6d findings  %s\n", n, op.name)
		findings += n
		if n > 0 {
			found++
		}
	}
	// Not t.Log, which says where it was called.
	if taint.Leaks {
		fmt.Printf("seeded: %d of %d\n", found, len(list))
	} else {
		fmt.Printf("findings: %d in %d\n", findings, len(list))
	}
}
