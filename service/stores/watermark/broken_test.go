package watermark

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// deafKeeper is a keeper that cannot be read.
type deafKeeper struct{ *keeper }

func (deafKeeper) Load(context.Context) ([]byte, error) { return nil, errBroken }

// TestUnreadableKeeper: a mark that cannot be read is neither none nor a sound one.
func TestUnreadableKeeper(t *testing.T) {
	below, k := newRecords(), new(keeper)
	require.ErrorIs(t, Create(t.Context(), below, deafKeeper{k}), errBroken)
	require.Zero(t, below.written())
	require.NoError(t, Create(t.Context(), below, k))
	_, err := Open(t.Context(), below, deafKeeper{k}, Options{})
	require.ErrorIs(t, err, errBroken)
	_, err = BeginRecovery(t.Context(), deafKeeper{k}, time.Now())
	require.ErrorIs(t, err, errBroken)
	require.ErrorIs(t, Check(t.Context(), below, deafKeeper{k}), errBroken)
	require.NoError(t, Check(t.Context(), below, k))
}

// TestCheckOfARecovery: a store whose recovery has begun is refused until it is finished,
// and one whose mark says that it went back.
func TestCheckOfARecovery(t *testing.T) {
	below, k := newRecords(), new(keeper)
	require.NoError(t, Create(t.Context(), below, k))
	for _, ms := range []int64{0, -1} {
		_, err := BeginRecovery(t.Context(), k, time.UnixMilli(ms))
		require.ErrorContains(t, err, "the clock shows")
	}
	require.NoError(t, Check(t.Context(), below, k))
	r, err := BeginRecovery(t.Context(), k, time.UnixMilli(1))
	require.NoError(t, err)
	require.ErrorIs(t, Check(t.Context(), below, k), ErrWentBack)
	require.NoError(t, r.Finish(t.Context(), below))
	require.NoError(t, Check(t.Context(), below, k))
	_, err = Open(t.Context(), newRecords(), k, Options{Log: quiet})
	require.ErrorIs(t, err, ErrWentBack)
	require.ErrorIs(t, Check(t.Context(), below, k), ErrWentBack, "as was found before")
}

// TestAheadOfTheMark: a store whose last checkpoint the mark missed is taken only once
// the mark has it.
func TestAheadOfTheMark(t *testing.T) {
	below, k := newRecords(), new(keeper)
	require.NoError(t, Create(t.Context(), below, k))
	m, err := load(t.Context(), k)
	require.NoError(t, err)
	_, version, err := below.Load(t.Context(), m.id())
	require.NoError(t, err)
	require.NoError(t, below.Swap(t.Context(), m.id(), version, m.following().append(nil)))
	_, err = Open(t.Context(), below, brokenKeeper{k}, Options{})
	require.ErrorIs(t, err, errBroken)
	s := open(t, below, k, Options{})
	require.NoError(t, s.Close())
	again, err := load(t.Context(), k)
	require.NoError(t, err)
	require.Equal(t, m.last.number+1, again.last.number)
}

// pinging is a store that has a Ping.
type pinging struct {
	limiter.Store
	err error
}

func (p *pinging) Ping(context.Context) error { return p.err }

// TestAsks: a store is listed if the one below is, and asks it whether it answers.
func TestAsks(t *testing.T) {
	p := &pinging{Store: newRecords()}
	s, _ := newNode(t, p, Options{})
	_, err := s.List(t.Context(), "", "", 1)
	require.ErrorContains(t, err, "does not list")
	require.NoError(t, s.Ping(t.Context()))
	p.err = errBroken
	require.ErrorIs(t, s.Ping(t.Context()), errBroken)
	listed, _ := newNode(t, new(storetest.MemoryStore), Options{})
	ids, err := listed.List(t.Context(), "", "", 1)
	require.NoError(t, err)
	require.Empty(t, ids)
	_, err = listed.List(t.Context(), "", "", 0)
	require.Error(t, err)
}
