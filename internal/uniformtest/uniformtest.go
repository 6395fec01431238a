// Package uniformtest tells whether byte strings were drawn at random.
package uniformtest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Require fails unless each byte of strings that were drawn at random looks uniform and
// independent of its neighbour, and all are different. These draws differ with each run,
// so it allows eight standard deviations: all its uses together fail once in ten billion
// runs by chance. A bit that never changes is outside for 64 strings already.
func Require(t testing.TB, drawn [][]byte) {
	t.Helper()
	seen := map[string]bool{}
	for _, b := range drawn {
		require.Len(t, b, len(drawn[0]))
		require.False(t, seen[string(b)], "drawn twice")
		seen[string(b)] = true
	}
	within := func(ones int) bool {
		return math.Abs(float64(ones)-float64(len(drawn))/2) < 8*math.Sqrt(float64(len(drawn)))/2
	}
	for i := range drawn[0] {
		for bit := range 8 {
			ones, changes := 0, 0
			for _, b := range drawn {
				ones += int(b[i] >> bit & 1)
				changes += int((b[i] ^ b[(i+1)%len(b)]) >> bit & 1)
			}
			require.True(t, within(ones), "byte %d, bit %d: %d ones in %d", i, bit, ones, len(drawn))
			require.True(t, within(changes), "bytes %d and %d, bit %d: differ %d times in %d", i, (i+1)%len(drawn[0]), bit, changes, len(drawn))
		}
		for j := range i {
			same := true
			for _, b := range drawn {
				same = same && b[i] == b[j]
			}
			require.False(t, same, "bytes %d and %d are always the same", j, i)
		}
	}
}
