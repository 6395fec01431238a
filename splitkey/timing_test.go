//go:build dudect

package splitkey_test

import (
	"crypto"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/timingtest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestTiming compares right with wrong shares and partial signatures, and inputs of the
// software key.
func TestTiming(t *testing.T) {
	for _, bits := range []int{2048, 3072} {
		for _, sharing := range []splitkey.Sharing{splitkey.Multiplicative, splitkey.Additive} {
			key := splitkeytest.Key(bits)
			right, server, err := splitkey.Split(key, sharing)
			require.NoError(t, err)
			m, err := splitkeytest.FinalKey(t, &key.PublicKey).Encode(make([]byte, 32), crypto.SHA256)
			require.NoError(t, err)
			wrong := func() *splitkey.ClientShare {
				x := make([]byte, bits/8+8)
				rand.Read(x)
				c, err := splitkey.NewClientShare(&key.PublicKey, sharing, x)
				require.NoError(t, err)
				return c
			}

			var share *splitkey.ClientShare
			shares := [2][]*splitkey.ClientShare{}
			for range 100 {
				again, err := splitkey.NewClientShare(&key.PublicKey, sharing, right.Secret())
				require.NoError(t, err)
				shares[0], shares[1] = append(shares[0], again), append(shares[1], wrong())
			}
			i := 0
			r := timingtest.Compare(fmt.Sprintf("SignPartial %v-%d: right or wrong PIN", sharing, bits), timingtest.Long(), func(class int) {
				i = (i + 1) % len(shares[0])
				share = shares[class][i]
			}, func() { share.SignPartial(m) }).Print()
			require.False(t, r.Found(), r)

			completer, err := splitkey.NewCompleter(server, nil, nil)
			require.NoError(t, err)
			partials := timingtest.NewInputs(100, func(class int) []byte {
				c := right
				if class == 1 {
					c = wrong()
				}
				y, err := c.SignPartial(m)
				require.NoError(t, err)
				return y
			})
			r = timingtest.Compare(fmt.Sprintf("Check %v-%d: right or wrong PIN", sharing, bits), timingtest.Long(),
				partials.Prepare, func() { completer.Check(m, partials.Current) }).Print()
			require.False(t, r.Found(), r)
		}
		own, err := splitkeytest.SoftwareKey(splitkeytest.NamedKey(splitkeytest.Server, bits))
		require.NoError(t, err)
		inputs := timingtest.NewInputs(100, func(class int) []byte {
			x := make([]byte, bits/8)
			x[len(x)-1] = 3
			if class == 1 {
				rand.Read(x[1:])
			}
			return x
		})
		r := timingtest.Compare(fmt.Sprintf("SoftwareKey.Exponentiate %d: fixed or random", bits), timingtest.Long(),
			inputs.Prepare, func() { own.Exponentiate(t.Context(), inputs.Current) }).Print()
		require.False(t, r.Found(), r)
	}
}
