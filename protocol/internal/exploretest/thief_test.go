package exploretest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestThief: a thief with a copy, or two, is told of as many wrong PINs as
// docs/protocol.md, section 9, says, and of no more.
func TestThief(t *testing.T) {
	if !*long {
		s := robberies[0]
		s.Limit = 600 // he is told of as many among the first
		requireExactly(t, "robberies[0]", s, 1)
		return
	}
	for i, s := range robberies {
		t.Run(s.Name, func(t *testing.T) {
			rounds := 1
			if len(s.Moves) > 0 {
				rounds = 3
			}
			requireExactly(t, fmt.Sprintf("robberies[%d]", i), s, rounds)
		})
	}
}

// requireExactly holds what the thief was told against the bound: with rounds of k tries
// and a wrong PIN of the owner's before the copy, or none, k-1 before any lock, and k, 2k
// and 3k with no lock, one and two that he waited out; one less of each after the wrong
// PIN.
func requireExactly(t *testing.T, name string, s Scope, rounds int) {
	r := requireHolds(t, name, s)
	k := max(s.Tries, 2)
	for before, told := range r.Told {
		t.Logf("%d wrong PINs of the owner's before the copy: the thief is told of %d before a lock; of %v with 0, 1 and 2 waited out", before, told[0], told[1:])
		require.LessOrEqual(t, told[0], max(0, k-1-before))
		for waited, n := range told[1:] {
			require.LessOrEqual(t, n, max(0, (before/k+waited+1)*k-before))
		}
	}
	for before := range 2 {
		if told := r.Told[before]; told != nil || before == 0 {
			require.Equal(t, k-1-before, told[0])
			for waited := range rounds {
				require.Equal(t, (waited+1)*k-before, told[waited+1])
			}
		}
	}
}
