package limiter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChargeCoversARound: whatever wrong PINs were lost, up to as many as the key's round
// has tries, the charged counter has no more tries left, and no lock that ends earlier.
func TestChargeCoversARound(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	policies := []Policy{
		DefaultPolicy(),
		{{Tries: 1, Lock: time.Hour}, {Tries: 5, Lock: time.Minute}, {Tries: 2, Lock: Forever}},
		{{Tries: 4, Lock: Forever}},
		{{Tries: 50, Lock: time.Hour}, {Tries: 50, Lock: Forever}},
	}
	for _, p := range policies {
		_, total := p.left(0)
		for before := range total {
			kept, now := guessed(t, p, Counter{}, before, start)
			round := p.roundOf(before)
			require.Positive(t, round)
			for lost := range min(round, total-before) + 1 {
				gone, end := guessed(t, p, kept, lost, now)
				charged, err := p.Charge(kept, -1, end)
				require.NoError(t, err)
				requireAtLeast(t, p, charged, gone, end)
				require.Equal(t, before+round >= total, charged.Destroyed(), "%d of %v", before, p)
			}
		}
	}
}

// guessed makes wrong guesses one after the other, each as soon as no lock is in the way.
func guessed(t *testing.T, p Policy, c Counter, wrong int, now time.Time) (Counter, time.Time) {
	for range wrong {
		_, err := p.Admit(c, now)
		if locked, ok := err.(*LockedError); ok {
			now = locked.Until
		}
		c, err = p.Next(c, Wrong, now)
		require.IsType(t, &WrongPINError{}, err)
	}
	return c, now
}

func requireAtLeast(t *testing.T, p Policy, charged, lost Counter, now time.Time) {
	require.GreaterOrEqual(t, charged.wrong, lost.wrong)
	is, err := p.Peek(charged, now)
	require.NoError(t, err)
	was, err := p.Peek(lost, now)
	require.NoError(t, err)
	require.LessOrEqual(t, is.RemainingTotal, was.RemainingTotal)
	require.True(t, is.Destroyed || !was.Destroyed)
	require.True(t, is.Destroyed || !is.LockedUntil.Before(was.LockedUntil), "%v %v", is, was)
}

// TestChargeByMemory: tries that are known to be gone are gone, before the round is
// charged, and a destroyed key stays so.
func TestChargeByMemory(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := DefaultPolicy()
	for left, want := range map[int]Counter{
		-1: {wrong: 3, at: now.UnixMilli(), lock: (3 * time.Hour).Milliseconds()},
		9:  {wrong: 3, at: now.UnixMilli(), lock: (3 * time.Hour).Milliseconds()},
		12: {wrong: 3, at: now.UnixMilli(), lock: (3 * time.Hour).Milliseconds()},
		7:  {wrong: 5, at: now.UnixMilli(), lock: (3 * time.Hour).Milliseconds()},
		6:  {wrong: 6, at: now.UnixMilli(), lock: (24 * time.Hour).Milliseconds()},
		3:  {wrong: 9, at: now.UnixMilli(), lock: forever},
		0:  {wrong: 9, at: now.UnixMilli(), lock: forever},
	} {
		c, err := p.Charge(Counter{}, left, now)
		require.NoError(t, err)
		require.Equal(t, want, c, "%d left", left)
		encoded, err := c.MarshalBinary()
		require.NoError(t, err)
		again, err := ParseCounter(encoded)
		require.NoError(t, err)
		require.Equal(t, c, again)
	}
	c, err := p.Charge(Counter{wrong: 1}.Destroy(), 9, now)
	require.NoError(t, err)
	require.True(t, c.Destroyed())
	for _, bad := range []struct {
		p   Policy
		now time.Time
	}{{nil, now}, {p, time.Time{}}} {
		c, err := bad.p.Charge(Counter{wrong: 1}, -1, bad.now)
		require.Error(t, err)
		require.Equal(t, Counter{wrong: 1}, c)
	}
}
