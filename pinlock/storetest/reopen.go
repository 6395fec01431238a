package storetest

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
)

func recordsSurvive(t tester, s pinlock.Store, reopen func() pinlock.Store) {
	for _, id := range oddIDs {
		create(t, s, id, "created "+id)
	}
	create(t, s, "swapped", "before")
	swap(t, s, "swapped", "after")
	s = reopen()
	for _, id := range oddIDs {
		requireValue(t, s, id, "created "+id)
		require.ErrorIs(t, s.Create(context.Background(), id, nil), pinlock.ErrConflict)
		swap(t, s, id, "swapped "+id)
	}
	requireValue(t, s, "swapped", "after")
	s = reopen()
	for _, id := range oddIDs {
		requireValue(t, s, id, "swapped "+id)
	}
	_, _, err := s.Load(context.Background(), "unknown")
	require.ErrorIs(t, err, pinlock.ErrNotFound)
}

func versionsSurvive(t tester, s pinlock.Store, reopen func() pinlock.Store) {
	create(t, s, "id", "0")
	_, stale := load(t, s, "id")
	swap(t, s, "id", "1")
	_, current := load(t, s, "id")
	s = reopen()
	requireConflict(t, s, "id", stale)
	require.NoError(t, s.Swap(context.Background(), "id", current, []byte("2")))
	requireConflict(t, s, "id", current)
	requireValue(t, s, "id", "2")
}

func versionNeverReusedAfterReopen(t tester, s pinlock.Store, reopen func() pinlock.Store) {
	create(t, s, "id", "0")
	seen := make(map[uint64]bool)
	for range 10 {
		for range 3 {
			_, version := load(t, s, "id")
			require.False(t, seen[version], "version %d twice", version)
			seen[version] = true
			swap(t, s, "id", "0")
		}
		s = reopen()
	}
}
