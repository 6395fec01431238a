//go:build amd64 && !purego && !race

package splitkey_test

import (
	"crypto"
	"crypto/fips140"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestCompleteAllocations: so does its check, and in the two-prime shape of 2048 bits its
// completion, of which ten are crypto/rsa's.
func TestCompleteAllocations(t *testing.T) {
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, nil)
	c, err := splitkey.NewCompleter(p.server, nil, nil)
	require.NoError(t, err)
	m, err := c.FinalKey().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
	require.NoError(t, err)
	y, err := p.client.SignPartial(m)
	require.NoError(t, err)
	complete := func(finish bool) func() {
		return func() {
			checked, err := c.Check(m, y)
			if err == nil && finish {
				_, err = c.Finish(t.Context(), checked)
			}
			if err != nil {
				panic(err)
			}
		}
	}
	require.LessOrEqual(t, testing.AllocsPerRun(20, complete(false)), 5.0)
	most := 15.0
	if fips140.Enabled() { // crypto/rsa makes one more
		most++
	}
	require.LessOrEqual(t, testing.AllocsPerRun(20, complete(true)), most)
}

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
