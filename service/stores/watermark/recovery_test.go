package watermark

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRecovery: between its begin and its end the store is refused; then it is taken, and
// its older copies and the history that it lost are not.
func TestRecovery(t *testing.T) {
	below := newRecords()
	s, k := newNode(t, below, Options{Lag: NoLag})
	oldest := below.copyOf()
	write(t, s, "key", "1")
	backup := below.copyOf()
	write(t, s, "key", "2")
	write(t, s, "key", "3")
	require.NoError(t, s.Close())
	lost := below.copyOf()

	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r, err := BeginRecovery(t.Context(), k, now)
	require.NoError(t, err)
	require.Equal(t, now, r.Began())
	_, err = Open(t.Context(), backup, k, Options{Log: quiet})
	require.ErrorIs(t, err, ErrWentBack)
	again, err := BeginRecovery(t.Context(), k, now.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, now, again.Began(), "the recovery that was begun")
	require.NoError(t, again.Finish(t.Context(), backup))

	recovered := open(t, backup, k, Options{Lag: NoLag})
	older := backup.copyOf()
	write(t, recovered, "key", "after")
	require.NoError(t, recovered.Close())
	require.NoError(t, open(t, backup, k, Options{}).Close())
	for _, other := range []*records{oldest, lost, older} {
		_, err := Open(t.Context(), other, &keeper{mark: k.mark}, Options{Log: quiet})
		require.ErrorIs(t, err, ErrWentBack)
	}

	// The next recovery has a later time, whatever the clock shows; also of a store that
	// has no checkpoint of this node.
	r, err = BeginRecovery(t.Context(), k, now.Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, now.Add(time.Millisecond), r.Began())
	empty := newRecords()
	require.NoError(t, r.Finish(t.Context(), empty))
	require.NoError(t, open(t, empty, k, Options{}).Close())
}

// TestTwoNodesOfOneMark: whatever the second node wrote is a fork to the first one.
func TestTwoNodesOfOneMark(t *testing.T) {
	below := newRecords()
	first, k := newNode(t, below, Options{Lag: NoLag})
	second := open(t, below, k, Options{Lag: NoLag})
	write(t, first, "key", "1")
	write(t, second, "key", "2")
	require.ErrorIs(t, first.Create(t.Context(), "another key", nil), ErrWentBack)
}

// TestCreate: a node without a mark is refused, and one that has a mark gets no second
// one.
func TestCreate(t *testing.T) {
	k := new(keeper)
	_, err := Open(t.Context(), newRecords(), k, Options{})
	require.ErrorIs(t, err, ErrNoMark)
	_, err = BeginRecovery(t.Context(), k, time.Now())
	require.ErrorIs(t, err, ErrNoMark)
	below := newRecords()
	require.NoError(t, Create(t.Context(), below, k))
	before := k.mark
	require.Error(t, Create(t.Context(), below, k))
	require.Equal(t, before, k.mark)
	for _, o := range []Options{{Lag: -2}, {Every: -1}} {
		_, err = Open(t.Context(), below, k, o)
		require.Error(t, err)
	}
	k.mark[len(k.mark)-1] ^= 1
	_, err = Open(t.Context(), below, k, Options{})
	require.ErrorIs(t, err, ErrMark)
}

// TestCheckpointIsRead: anything in the place of the checkpoint is refused.
func TestCheckpointIsRead(t *testing.T) {
	for _, value := range []string{"", "x", string(make([]byte, checkpointSize)), string(make([]byte, checkpointSize+1))} {
		below, k := newRecords(), new(keeper)
		require.NoError(t, Create(t.Context(), below, k))
		m, err := load(t.Context(), k)
		require.NoError(t, err)
		write(t, below, m.id(), value)
		_, err = Open(t.Context(), below, k, Options{Log: quiet})
		require.ErrorIs(t, err, ErrWentBack)
	}
	// A store that cannot be read is no store that went back.
	below, k := newRecords(), new(keeper)
	require.NoError(t, Create(t.Context(), below, k))
	_, err := Open(t.Context(), unreadable{below}, k, Options{Log: quiet})
	require.ErrorIs(t, err, errBroken)
	require.NotErrorIs(t, err, ErrWentBack)
	require.NoError(t, open(t, below, k, Options{}).Close())
}

type unreadable struct{ *records }

func (unreadable) Load(context.Context, string) ([]byte, uint64, error) { return nil, 0, errBroken }

// brokenKeeper is a keeper that reads, and does not save.
type brokenKeeper struct{ *keeper }

func (brokenKeeper) Save(context.Context, []byte) error { return errBroken }

// TestBrokenKeeper: nothing that the mark did not take is reported as done.
func TestBrokenKeeper(t *testing.T) {
	below := newRecords()
	require.ErrorIs(t, Create(t.Context(), below, brokenKeeper{new(keeper)}), errBroken)
	k := new(keeper)
	require.NoError(t, Create(t.Context(), newRecords(), k))
	before := k.mark
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r, err := BeginRecovery(t.Context(), brokenKeeper{k}, now)
	require.ErrorIs(t, err, errBroken)
	require.Nil(t, r)
	require.Equal(t, before, k.mark)

	r, err = BeginRecovery(t.Context(), k, now)
	require.NoError(t, err)
	below.fail = func(bool) bool { return true }
	require.ErrorIs(t, r.Finish(t.Context(), below), errBroken)
	_, err = Open(t.Context(), below, k, Options{Log: quiet})
	require.ErrorIs(t, err, ErrWentBack)
	below.fail = nil
	r.keeper = brokenKeeper{k}
	require.ErrorIs(t, r.Finish(t.Context(), below), errBroken)
}
