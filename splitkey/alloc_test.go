//go:build amd64 && !purego && !race

package splitkey_test

import (
	"crypto"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestAllocations: a partial signature allocates what it returns and a few numbers of
// that size. (Under the race detector sync.Pool forgets on purpose, and bigmod allocates
// for every product.)
func TestAllocations(t *testing.T) {
	for _, s := range sharings {
		for _, bits := range benchSizes {
			p := splitOf(t, splitkeytest.Key(bits), s, nil)
			m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
			require.NoError(t, err)
			require.LessOrEqual(t, testing.AllocsPerRun(20, func() {
				if _, err := p.client.SignPartial(m); err != nil {
					panic(err)
				}
			}), 10.0, "%d/%v", bits, s)
		}
	}
}
