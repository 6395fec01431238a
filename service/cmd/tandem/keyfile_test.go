package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzKeyFile reads files with keys that strangers wrote: a key or a failure with a text,
// never a panic.
func FuzzKeyFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		var told *failure
		pub, _, err := parsePublicKey("key", append([]byte(nil), text...))
		if err == nil {
			require.Positive(t, pub.N.Sign())
			require.Positive(t, pub.E)
		} else {
			require.True(t, errors.As(err, &told))
			require.Equal(t, "bad_key", told.Kind)
			require.NotEmpty(t, told.Next)
		}
		k, err := parsePrivateKey("key", append([]byte(nil), text...))
		if err != nil {
			require.True(t, errors.As(err, &told))
			require.Equal(t, "bad_key", told.Kind)
			return
		}
		// splitkey.Split checks the rest. Recovering primes is the command's own.
		if k.n.BitLen() <= 2048 && k.p == nil && k.recover() == nil {
			require.Zero(t, k.n.Cmp(k.p.Mul(k.p, k.q)))
		}
	})
}
