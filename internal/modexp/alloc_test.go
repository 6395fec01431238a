//go:build amd64 && !purego && !race && !modexpdebug

package modexp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoAllocation: nothing is allocated in an exponentiation. (Under the race detector
// sync.Pool forgets on purpose; a debug build allocates what it checks bounds with.)
func TestNoAllocation(t *testing.T) {
	measured := 0
	for _, bits := range adxSizes {
		n := oddOf(t, bits)
		for _, i := range available(bits) {
			if i.name == portable.name {
				continue
			}
			m := modulusFor(n.Bytes(), i)
			z, e := m.Reduce([]byte{7}), []byte{3, 1, 4, 1}
			require.Zero(t, testing.AllocsPerRun(20, func() { z.Exp(e) }), "%s/%d", i.name, bits)
			measured++
		}
	}
	require.Equal(t, Assembly(2048), measured > 0)
}
