package pinlock_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestNothing: no nil, zero value or nil in an interface causes a panic or is accepted.
func TestNothing(t *testing.T) {
	pin, cheap := []byte("8395"), pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}
	x := make([]byte, 264)
	rand.Read(x)
	share, err := splitkey.NewClientShare(&splitkeytest.Key(2048).PublicKey, splitkey.Multiplicative, x)
	require.NoError(t, err)
	box, err := pinlock.Lock(share, pin, cheap)
	require.NoError(t, err)
	niltest.Check(t, niltest.Package{
		Types:  []any{(*pinlock.Lockbox)(nil), (*pinlock.WeakPINError)(nil)},
		Values: []func() any{func() any { return box }},
		Functions: map[string]any{
			"ParseLockbox": pinlock.ParseLockbox, "Lock": pinlock.Lock, "DefaultParams": pinlock.DefaultParams,
			"CheckPIN": pinlock.CheckPIN, "OpenLockbox": pinlock.OpenLockbox,
		},
		Good: []any{pin, cheap, share},
		Nils: []any{(*pinlock.WeakPINError)(nil)},
	})
}
