package pinlock_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// pointerStore is a store whose methods need a pointer that is not nil.
type pointerStore struct{ pinlock.Store }

func (s *pointerStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	return s.Store.Load(ctx, id)
}

type pointerLister struct{ pinlock.Lister }

func (l *pointerLister) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	return l.Lister.List(ctx, prefix, after, limit)
}

// TestNothing: no nil, zero value or nil in an interface makes a panic, or passes for something.
func TestNothing(t *testing.T) {
	pin, cheap := []byte("8395"), pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}
	x := make([]byte, 264)
	rand.Read(x)
	share, err := splitkey.NewClientShare(&splitkeytest.Key(2048).PublicKey, splitkey.Multiplicative, x)
	require.NoError(t, err)
	box, err := pinlock.Lock(share, pin, cheap)
	require.NoError(t, err)
	limiter := func() any {
		store := pinlock.NewMemoryStore()
		l, err := pinlock.NewLimiter(store, pinlock.DefaultPolicy())
		require.NoError(t, err)
		return l
	}
	niltest.Check(t, niltest.Package{
		Types: []any{
			(*pinlock.Limiter)(nil), (*pinlock.Lockbox)(nil), (*pinlock.WeakPINError)(nil), (*pinlock.WrongPINError)(nil),
			(*pinlock.LockedError)(nil), (*pinlock.Policy)(nil), (*pinlock.State)(nil),
		},
		Values: []func() any{limiter, func() any { return box }},
		Functions: map[string]any{
			"ParseLockbox": pinlock.ParseLockbox, "NewLimiter": pinlock.NewLimiter, "Lock": pinlock.Lock, "NewMemoryStore": pinlock.NewMemoryStore,
			"DefaultParams": pinlock.DefaultParams, "CheckPIN": pinlock.CheckPIN, "DefaultPolicy": pinlock.DefaultPolicy,
			"OpenLockbox": pinlock.OpenLockbox, "ParseState": pinlock.ParseState, "CheckID": pinlock.CheckID, "CheckValue": pinlock.CheckValue,
			"Update": pinlock.Update, "IDs": pinlock.IDs, "CheckList": pinlock.CheckList, "IsVerdict": pinlock.IsVerdict,
		},
		Good: []any{pin, cheap, share, pinlock.NewMemoryStore(), pinlock.DefaultPolicy(), "id", time.Now()},
		Nils: []any{(*pointerStore)(nil), (*pinlock.WrongPINError)(nil), (*pinlock.LockedError)(nil), (*pinlock.WeakPINError)(nil)},
		May: map[string]string{
			"CheckValue":          "a value may be empty",
			"State.MarshalBinary": "the zero value is a new key's",
			"State.AppendBinary":  "the zero value is a new key's",
			"WrongPINError.Is":    "it says no",
		},
	})
	for _, l := range []pinlock.Lister{nil, (*pointerLister)(nil)} {
		for id, err := range pinlock.IDs(t.Context(), l, "") {
			require.Empty(t, id)
			require.Error(t, err)
		}
	}
}
