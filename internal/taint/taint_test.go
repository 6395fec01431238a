//go:build valgrind && linux && amd64

package taint

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/ct"
)

// operation is one call of the API on marked secrets.
type operation struct {
	name string
	// run checks that the result is right, and returns what of it is still secret.
	run func(t *testing.T) []byte
	// leak is where the seeded leak is: the function of ct that makes the operation's
	// result public, or "Leak" for what run returns.
	leak string
}

// TestOperations prints how many findings there are in how many operations or, with
// seeded leaks, in how many operations they were found. The script that runs this adds up.
func TestOperations(t *testing.T) {
	require.True(t, ct.Running(), "this program is for valgrind: make taint")
	require.Zero(t, ct.Findings(), "before the first operation")
	list := operations(t)
	require.Zero(t, ct.Findings(), "in the set-up")
	require.NotEmpty(t, list)

	findings, found := 0, 0
	for _, op := range list {
		if ct.Leaks {
			ct.Arm(op.leak)
		}
		before := ct.Findings()
		ct.Leak(op.run(t))
		n := ct.Findings() - before
		ct.Arm("")
		fmt.Printf("%6d findings  %s\n", n, op.name)
		findings += n
		if n > 0 {
			found++
		}
	}
	// Not t.Log, which says where it was called.
	if ct.Leaks {
		fmt.Printf("seeded: %d of %d\n", found, len(list))
	} else {
		fmt.Printf("findings: %d in %d\n", findings, len(list))
	}
}
