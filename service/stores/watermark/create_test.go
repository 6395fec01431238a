package watermark

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// failing fails the nth write, counted from 1, before it has an effect or after it.
func failing(n int, where bool) func(after bool) bool {
	writes := 0
	return func(after bool) bool {
		if !after {
			writes++
		}
		return writes == n && after == where
	}
}

func requireUnused(t *testing.T, r *records, want bool) {
	t.Helper()
	unused, err := Unused(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, want, unused)
}

// TestCreateFails: whatever fails, before or after it had its effect, leaves a store that
// another node can begin with, and no mark that any store fits.
func TestCreateFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		for _, part := range []string{"store", "keeper"} {
			below, k := newRecords(), new(keeper)
			if part == "store" {
				below.fail = failing(1, after)
			} else {
				k.fail = failing(1, after)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // which does not keep it from taking back what it did
			require.ErrorIs(t, Create(ctx, below, k), errBroken)
			below.fail, k.fail = nil, nil
			requireUnused(t, below, true)
			require.Len(t, below.values, 1)
			for id := range below.values { // a creation that comes late finds its place taken
				require.Error(t, below.Create(t.Context(), id, []byte("late")))
			}
			_, err := Open(t.Context(), below, k, Options{Log: quiet})
			require.Error(t, err)
			require.NoError(t, Create(t.Context(), below, new(keeper)))
			requireUnused(t, below, false)
		}
	}
	below, k := newRecords(), new(keeper)
	below.fail = func(bool) bool { return true }
	require.ErrorIs(t, Create(t.Context(), below, k), ErrCheckpointLeft)
	require.Nil(t, k.mark)
}

// TestDiscard: a node that is not to be after all leaves a store that is unused, and a
// mark that fits none.
func TestDiscard(t *testing.T) {
	below, k := newRecords(), new(keeper)
	requireUnused(t, below, true)
	require.ErrorIs(t, Discard(t.Context(), below, k), ErrNoMark)
	require.NoError(t, Create(t.Context(), below, k))
	requireUnused(t, below, false)
	below.fail = func(bool) bool { return true }
	require.ErrorIs(t, Discard(t.Context(), below, k), ErrCheckpointLeft)
	below.fail = nil
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, Discard(canceled, below, k))
	requireUnused(t, below, true)
	require.ErrorIs(t, Check(t.Context(), below, k), ErrWentBack)

	another := new(keeper)
	require.NoError(t, Create(t.Context(), below, another))
	s := open(t, below, another, Options{})
	require.NoError(t, s.Close())
	_, err := Unused(t.Context(), unreadable{below})
	require.ErrorIs(t, err, errBroken)
	require.NoError(t, Discard(t.Context(), below, another))
	requireUnused(t, below, true)
	write(t, below, "key", "")
	requireUnused(t, below, false)
}
