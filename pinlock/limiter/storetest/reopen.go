package storetest

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// reopen ends all handles and returns new ones, one call on each in turn.
func (h *handles) reopen() limiter.Store {
	h.close()
	return inTurn(h.take(2))
}

func recordsSurvive(t tester, h *handles) {
	s := inTurn(h.take(2))
	for _, id := range oddIDs {
		create(t, s, id, "created "+id)
	}
	create(t, s, "swapped", "before")
	swap(t, s, "swapped", "after")
	s = h.reopen()
	for _, id := range oddIDs {
		requireValue(t, s, id, "created "+id)
		require.ErrorIs(t, s.Create(context.Background(), id, nil), limiter.ErrConflict)
		swap(t, s, id, "swapped "+id)
	}
	requireValue(t, s, "swapped", "after")
	s = h.reopen()
	for _, id := range oddIDs {
		requireValue(t, s, id, "swapped "+id)
	}
	_, _, err := s.Load(context.Background(), "unknown")
	require.ErrorIs(t, err, limiter.ErrNotFound)
}

func versionsSurvive(t tester, h *handles) {
	s := inTurn(h.take(2))
	create(t, s, "id", "0")
	_, stale := load(t, s, "id")
	swap(t, s, "id", "1")
	_, current := load(t, s, "id")
	s = h.reopen()
	requireConflict(t, s, "id", stale)
	require.NoError(t, s.Swap(context.Background(), "id", current, []byte("2")))
	requireConflict(t, s, "id", current)
	requireValue(t, s, "id", "2")
}

func versionNeverReusedAfterReopen(t tester, h *handles) {
	s := inTurn(h.take(2))
	create(t, s, "id", "0")
	seen := make(versions)
	for range 10 {
		for range 3 {
			seen.note(t, s)
			swap(t, s, "id", "0")
		}
		s = h.reopen()
	}
}

// handleCloses: the end of one node takes nothing from the others, and leaves them what
// it wrote.
func handleCloses(t tester, h *handles) {
	if h.db.Single {
		return // there are no others
	}
	first, second := h.take(2)[0], h.take(2)[1]
	create(t, first, "id", "first")
	swap(t, second, "id", "second")
	swap(t, first, "id", "first again")
	create(t, first, "other", "value")
	_, version := load(t, first, "id")
	if h.db.Close != nil {
		h.db.Close(first)
	}
	h.opened = h.opened[1:]
	requireValue(t, second, "id", "first again")
	requireValue(t, second, "other", "value")
	require.NoError(t, second.Swap(context.Background(), "id", version, []byte("second again")))
	requireValue(t, h.take(2)[1], "id", "second again")
}

// versionNeverReusedAfterRemoval: a record that was removed and created again by other
// means shares no version with the one before, so that a swap that was decided on the old
// one fails.
func versionNeverReusedAfterRemoval(t tester, h *handles) {
	if h.db.Remove == nil {
		return // nobody can
	}
	s := inTurn(h.take(2))
	seen := make(versions)
	for range 5 {
		create(t, s, "id", "0")
		for range 3 {
			seen.note(t, s)
			swap(t, s, "id", "0")
		}
		version := seen.note(t, s)
		h.db.Remove("id")
		require.ErrorIs(t, s.Swap(context.Background(), "id", version, nil), limiter.ErrConflict)
	}
}
