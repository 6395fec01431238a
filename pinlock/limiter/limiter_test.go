package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/costtest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

func says(o limiter.Outcome) func(context.Context) (limiter.Outcome, error) {
	return func(context.Context) (limiter.Outcome, error) { return o, nil }
}

func never(t *testing.T) func(context.Context) (limiter.Outcome, error) {
	return func(context.Context) (limiter.Outcome, error) {
		t.Error("try was called")
		return 0, errors.New("try was called")
	}
}

func newLimiter(t *testing.T, s limiter.Store, p limiter.Policy) *limiter.Limiter {
	t.Helper()
	l, err := limiter.New(s, p)
	require.NoError(t, err)
	return l
}

// enrolled returns a limiter with the default policy and one key, "key".
func enrolled(t *testing.T, s limiter.Store) *limiter.Limiter {
	t.Helper()
	l := newLimiter(t, s, limiter.DefaultPolicy())
	require.NoError(t, l.Create(t.Context(), "key"))
	return l
}

func counterOf(t *testing.T, s limiter.Store, id string) limiter.Counter {
	t.Helper()
	value, _, err := s.Load(context.Background(), id)
	require.NoError(t, err)
	c, err := limiter.ParseCounter(value)
	require.NoError(t, err)
	return c
}

// wrongOf returns how many wrong PINs in a row are recorded.
func wrongOf(t *testing.T, s limiter.Store, id string) int {
	t.Helper()
	value, err := counterOf(t, s, id).MarshalBinary()
	require.NoError(t, err)
	return int(value[1])
}

func requireWrong(t *testing.T, err error, remaining, total int, until time.Time) {
	t.Helper()
	var wrong *limiter.WrongPINError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, limiter.WrongPINError{remaining, total, until.UTC()}, *wrong)
}

// TestAttempt follows the whole life of a key on the clock that synctest provides.
func TestAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), new(storetest.MemoryStore)
		l := enrolled(t, store)
		var none time.Time
		requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 2, 8, none)
		requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 1, 7, none)
		require.NoError(t, l.Attempt(ctx, "key", says(limiter.Right)))
		for _, round := range []struct {
			total int
			lock  time.Duration
		}{{9, 3 * time.Hour}, {6, 24 * time.Hour}} {
			requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 2, round.total-1, none)
			requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 1, round.total-2, none)
			until := time.Now().Add(round.lock)
			requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 0, round.total-3, until)
			before := counterOf(t, store, "key")
			time.Sleep(round.lock - time.Millisecond)
			var locked *limiter.LockedError
			require.ErrorAs(t, l.Attempt(ctx, "key", never(t)), &locked)
			require.Equal(t, until.UTC(), locked.Until)
			status, err := l.Peek(ctx, "key")
			require.NoError(t, err)
			require.Equal(t, limiter.Status{RemainingTotal: round.total - 3, LockedUntil: until.UTC()}, status)
			require.Equal(t, before, counterOf(t, store, "key"))
			time.Sleep(time.Millisecond)
		}
		requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 2, 2, none)
		requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 1, 1, none)
		err := l.Attempt(ctx, "key", says(limiter.Wrong))
		requireWrong(t, err, 0, 0, none)
		require.ErrorIs(t, err, limiter.ErrDestroyed)
		time.Sleep(20 * 365 * 24 * time.Hour)
		require.Equal(t, limiter.ErrDestroyed, l.Attempt(ctx, "key", never(t)))
		status, err := l.Peek(ctx, "key")
		require.NoError(t, err)
		require.Equal(t, limiter.Status{Destroyed: true}, status)
	})
}

func TestNew(t *testing.T) {
	_, err := limiter.New(nil, limiter.DefaultPolicy())
	require.Error(t, err)
	p := limiter.DefaultPolicy()
	l := newLimiter(t, new(storetest.MemoryStore), p)
	require.NoError(t, l.Create(t.Context(), "key"))
	p[0] = limiter.Round{100 - 6, time.Millisecond} // the limiter's own copy stays
	requireWrong(t, l.Attempt(t.Context(), "key", says(limiter.Wrong)), 2, 8, time.Time{})
}

func TestUnknownAndExisting(t *testing.T) {
	ctx, store := t.Context(), new(storetest.MemoryStore)
	l := newLimiter(t, store, limiter.DefaultPolicy())
	require.ErrorIs(t, l.Attempt(ctx, "key", never(t)), limiter.ErrNotFound)
	_, err := l.Peek(ctx, "key")
	require.ErrorIs(t, err, limiter.ErrNotFound)
	_, _, err = store.Load(ctx, "key")
	require.ErrorIs(t, err, limiter.ErrNotFound, "an attempt created a counter")

	require.NoError(t, l.Create(ctx, "key"))
	require.Equal(t, limiter.Counter{}, counterOf(t, store, "key"))
	require.Error(t, l.Attempt(ctx, "key", says(limiter.Wrong)))
	before := counterOf(t, store, "key")
	require.ErrorIs(t, l.Create(ctx, "key"), limiter.ErrConflict)
	require.Equal(t, before, counterOf(t, store, "key"), "Create reset a counter")
	require.ErrorIs(t, l.Create(ctx, ""), limiter.ErrLimit)
}

// TestPolicyAtHand: a limiter counts by its own policy, and records what that changes. A
// key whose tries are used up under a stricter one is destroyed for every other as well.
func TestPolicyAtHand(t *testing.T) {
	ctx, store := t.Context(), new(storetest.MemoryStore)
	lax := newLimiter(t, store, limiter.Policy{{5, time.Minute}, {5, limiter.Forever}})
	require.NoError(t, lax.Create(ctx, "key"))
	requireWrong(t, lax.Attempt(ctx, "key", says(limiter.Wrong)), 4, 9, time.Time{})
	status, err := lax.Peek(ctx, "key")
	require.NoError(t, err)
	require.Equal(t, limiter.Status{Remaining: 4, RemainingTotal: 9}, status)

	strict := newLimiter(t, store, limiter.Policy{{1, limiter.Forever}})
	status, err = strict.Peek(ctx, "key")
	require.NoError(t, err)
	require.Equal(t, limiter.Status{Destroyed: true}, status)
	require.False(t, counterOf(t, store, "key").Destroyed(), "Peek wrote")
	require.Equal(t, limiter.ErrDestroyed, strict.Attempt(ctx, "key", never(t)))
	require.True(t, counterOf(t, store, "key").Destroyed())
	require.Equal(t, limiter.ErrDestroyed, lax.Attempt(ctx, "key", never(t)))
}

// TestTryGetsContext: try is called with the caller's context.
func TestTryGetsContext(t *testing.T) {
	type key struct{}
	l := enrolled(t, new(storetest.MemoryStore))
	ctx := context.WithValue(t.Context(), key{}, "the caller's")
	require.NoError(t, l.Attempt(ctx, "key", func(ctx context.Context) (limiter.Outcome, error) {
		require.Equal(t, "the caller's", ctx.Value(key{}))
		return limiter.Right, nil
	}))
}

// TestLimitsOfStores pins the limits by which stores size their columns.
func TestLimitsOfStores(t *testing.T) {
	require.NoError(t, limiter.CheckRecord(strings.Repeat("x", 255), make([]byte, 65536)))
	require.ErrorIs(t, limiter.CheckRecord(strings.Repeat("x", 256), nil), limiter.ErrLimit)
	require.ErrorIs(t, limiter.CheckRecord("", nil), limiter.ErrLimit)
	require.ErrorIs(t, limiter.CheckRecord("x", make([]byte, 65537)), limiter.ErrLimit)
	require.NoError(t, limiter.CheckRecord("x", nil))
	full, long := strings.Repeat("x", 255), strings.Repeat("x", 256)
	require.NoError(t, limiter.CheckList("", "", 1))
	require.NoError(t, limiter.CheckList(full, full, 1))
	require.ErrorIs(t, limiter.CheckList(long, "", 1), limiter.ErrLimit)
	require.ErrorIs(t, limiter.CheckList("", long, 1), limiter.ErrLimit)
	require.ErrorIs(t, limiter.CheckList("", "", 0), limiter.ErrLimit)
}

// TestKeysApart: each key has a counter of its own.
func TestKeysApart(t *testing.T) {
	ctx := t.Context()
	l := enrolled(t, new(storetest.MemoryStore))
	require.NoError(t, l.Create(ctx, "key2"))
	for range 3 {
		require.Error(t, l.Attempt(ctx, "key", says(limiter.Wrong)))
	}
	require.NoError(t, l.Attempt(ctx, "key2", says(limiter.Right)))
	var locked *limiter.LockedError
	require.ErrorAs(t, l.Attempt(ctx, "key", never(t)), &locked)
}

// TestDamagedRecord refuses what it cannot read, and does not write over it.
func TestDamagedRecord(t *testing.T) {
	ctx, store := t.Context(), new(storetest.MemoryStore)
	l := newLimiter(t, store, limiter.DefaultPolicy())
	for id, value := range map[string]string{"empty": "", "text": "no state at all..", "newer": "\x02" + string(make([]byte, limiter.CounterSize-1))} {
		require.NoError(t, store.Create(ctx, id, []byte(value)))
		require.ErrorIs(t, l.Attempt(ctx, id, never(t)), limiter.ErrCounter)
		_, err := l.Peek(ctx, id)
		require.ErrorIs(t, err, limiter.ErrCounter)
		after, _, err := store.Load(ctx, id)
		require.NoError(t, err)
		require.Equal(t, value, string(after))
	}
}

func TestTryFails(t *testing.T) {
	ctx, store := t.Context(), new(storetest.MemoryStore)
	l := enrolled(t, store)
	require.Error(t, l.Attempt(ctx, "key", says(limiter.Wrong)))
	before := counterOf(t, store, "key")
	unwell := errors.New("unwell")
	for _, o := range []limiter.Outcome{0, limiter.Wrong, limiter.Right} {
		err := l.Attempt(ctx, "key", func(context.Context) (limiter.Outcome, error) { return o, unwell })
		require.ErrorIs(t, err, unwell)
	}
	for _, o := range []limiter.Outcome{0, 3} {
		err := l.Attempt(ctx, "key", says(o))
		require.Error(t, err)
		require.False(t, limiter.IsVerdict(err))
	}
	require.Panics(t, func() { l.Attempt(ctx, "key", func(context.Context) (limiter.Outcome, error) { panic(unwell) }) })
	require.Equal(t, before, counterOf(t, store, "key"))
	requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 1, 7, time.Time{})
}

// TestHangUp: cancelling after the PIN was tried does not stop the count.
func TestHangUp(t *testing.T) {
	store := new(storetest.MemoryStore)
	l := enrolled(t, store)
	for i := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		err := l.Attempt(ctx, "key", func(context.Context) (limiter.Outcome, error) {
			cancel()
			return limiter.Wrong, nil
		})
		var wrong *limiter.WrongPINError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, i+1, wrongOf(t, store, "key"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := counterOf(t, store, "key")
	require.ErrorIs(t, l.Attempt(ctx, "key", never(t)), context.Canceled)
	require.Equal(t, before, counterOf(t, store, "key"))
}

// fakeStore lets a test stand between the limiter and a store.
type fakeStore struct {
	limiter.Store
	load func(ctx context.Context, id string) ([]byte, uint64, error)
	swap func(ctx context.Context, id string, version uint64, value []byte) error
}

func (f *fakeStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if f.load != nil {
		return f.load(ctx, id)
	}
	return f.Store.Load(ctx, id)
}

func (f *fakeStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if f.swap != nil {
		return f.swap(ctx, id, version, value)
	}
	return f.Store.Swap(ctx, id, version, value)
}

// TestStoreDown: a PIN that could not be counted gets no answer, whether the write
// happened or not.
func TestStoreDown(t *testing.T) {
	down := errors.New("down")
	for _, written := range []bool{false, true} {
		store := new(storetest.MemoryStore)
		enrolled(t, store)
		fake := &fakeStore{Store: store, swap: func(ctx context.Context, id string, version uint64, value []byte) error {
			if written {
				require.NoError(t, store.Swap(ctx, id, version, value))
			}
			return down
		}}
		l := newLimiter(t, fake, limiter.DefaultPolicy())
		var texts []string
		for _, o := range []limiter.Outcome{limiter.Wrong, limiter.Right} {
			err := l.Attempt(t.Context(), "key", says(o))
			require.ErrorIs(t, err, down)
			require.False(t, limiter.IsVerdict(err))
			texts = append(texts, err.Error())
		}
		require.Equal(t, texts[0], texts[1], "the error tells right from wrong")

		fake.load = func(context.Context, string) ([]byte, uint64, error) { return nil, 0, down }
		err := l.Attempt(t.Context(), "key", never(t))
		require.ErrorIs(t, err, down)
		require.False(t, limiter.IsVerdict(err))
		_, err = l.Peek(t.Context(), "key")
		require.ErrorIs(t, err, down)
	}
}

// TestLosesToLock: an outcome that is settled after others locked or destroyed the key is
// thrown away.
func TestLosesToLock(t *testing.T) {
	for _, o := range []limiter.Outcome{limiter.Right, limiter.Wrong} {
		store := new(storetest.MemoryStore)
		l := enrolled(t, store)
		tries := 0
		err := l.Attempt(t.Context(), "key", func(ctx context.Context) (limiter.Outcome, error) {
			tries++
			for range 3 {
				require.Error(t, l.Attempt(ctx, "key", says(limiter.Wrong)))
			}
			return o, nil
		})
		var locked *limiter.LockedError
		require.ErrorAs(t, err, &locked)
		require.Equal(t, 1, tries)
		require.Equal(t, 3, wrongOf(t, store, "key"))

		store = new(storetest.MemoryStore)
		l = enrolled(t, store)
		err = l.Attempt(t.Context(), "key", func(ctx context.Context) (limiter.Outcome, error) {
			value, version, err := store.Load(ctx, "key")
			require.NoError(t, err)
			s, err := limiter.ParseCounter(value)
			require.NoError(t, err)
			value, err = s.Destroy().MarshalBinary()
			require.NoError(t, err)
			require.NoError(t, store.Swap(ctx, "key", version, value))
			return o, nil
		})
		require.Equal(t, limiter.ErrDestroyed, err)
	}
}

// TestOutcomeSurvivesConflict: the PIN is tried once, and its outcome is weighed against
// each new counter.
func TestOutcomeSurvivesConflict(t *testing.T) {
	store := new(storetest.MemoryStore)
	l := enrolled(t, store)
	tries := 0
	err := l.Attempt(t.Context(), "key", func(ctx context.Context) (limiter.Outcome, error) {
		tries++
		require.Error(t, l.Attempt(ctx, "key", says(limiter.Wrong)))
		require.Error(t, l.Attempt(ctx, "key", says(limiter.Wrong)))
		return limiter.Wrong, nil
	})
	require.Equal(t, 1, tries)
	var wrong *limiter.WrongPINError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, 6, wrong.RemainingTotal)
	require.False(t, wrong.LockedUntil.IsZero())
}

// TestUpdateLeavesNothing: the context of a write, and its timer, end with Update.
func TestUpdateLeavesNothing(t *testing.T) {
	store := new(storetest.MemoryStore)
	enrolled(t, store)
	var wrote context.Context
	l := newLimiter(t, &fakeStore{Store: store, swap: func(ctx context.Context, id string, version uint64, value []byte) error {
		wrote = ctx
		require.NoError(t, ctx.Err())
		return store.Swap(ctx, id, version, value)
	}}, limiter.DefaultPolicy())
	require.NoError(t, l.Attempt(t.Context(), "key", says(limiter.Right)))
	require.ErrorIs(t, wrote.Err(), context.Canceled)
}

// TestWrappedConflict: a store may say more about a conflict.
func TestWrappedConflict(t *testing.T) {
	store := new(storetest.MemoryStore)
	enrolled(t, store)
	swaps := 0
	l := newLimiter(t, &fakeStore{Store: store, swap: func(ctx context.Context, id string, version uint64, value []byte) error {
		if swaps++; swaps == 1 {
			return fmt.Errorf("serialization failure: %w", limiter.ErrConflict)
		}
		return store.Swap(ctx, id, version, value)
	}}, limiter.DefaultPolicy())
	requireWrong(t, l.Attempt(t.Context(), "key", says(limiter.Wrong)), 2, 8, time.Time{})
	require.Equal(t, 2, swaps)
}

// TestUpdateWritesNothingAndEmpty: nil writes nothing, and an empty value is written.
func TestUpdateWritesNothingAndEmpty(t *testing.T) {
	ctx, store := t.Context(), new(storetest.MemoryStore)
	require.NoError(t, store.Create(ctx, "key", []byte("full")))
	for _, c := range []struct {
		next []byte
		want string
	}{{nil, "full"}, {[]byte{}, ""}} {
		err := limiter.Update(ctx, store, "key", func([]byte) ([]byte, error) { return c.next, nil })
		require.NoError(t, err)
		value, _, err := store.Load(ctx, "key")
		require.NoError(t, err)
		require.Equal(t, c.want, string(value))
	}
}

// TestOneWrite: an answer about a PIN costs one write, a refusal none.
func TestOneWrite(t *testing.T) {
	store := new(storetest.MemoryStore)
	enrolled(t, store)
	writes := 0
	l := newLimiter(t, &fakeStore{Store: store, swap: func(ctx context.Context, id string, version uint64, value []byte) error {
		writes++
		return store.Swap(ctx, id, version, value)
	}}, limiter.DefaultPolicy())
	for i, o := range []limiter.Outcome{limiter.Wrong, limiter.Right, limiter.Right, limiter.Wrong, limiter.Wrong, limiter.Wrong} {
		l.Attempt(t.Context(), "key", says(o))
		require.Equal(t, i+1, writes)
	}
	for range 5 {
		var locked *limiter.LockedError
		require.ErrorAs(t, l.Attempt(t.Context(), "key", never(t)), &locked)
	}
	require.Equal(t, 6, writes)
}

// TestRestartIsRecorded: a lock that restarted because the clock was set back ends at the
// time that was told.
func TestRestartIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), new(storetest.MemoryStore)
		l := newLimiter(t, store, limiter.DefaultPolicy())
		ahead := time.Now().Add(1000 * time.Hour) // recorded by a clock since set right
		var c limiter.Counter
		for range 3 {
			c, _ = limiter.DefaultPolicy().Next(c, limiter.Wrong, ahead)
		}
		value, err := c.MarshalBinary()
		require.NoError(t, err)
		require.NoError(t, store.Create(ctx, "key", value))
		until := time.Now().Add(3 * time.Hour).UTC()
		for range 3 {
			var locked *limiter.LockedError
			require.ErrorAs(t, l.Attempt(ctx, "key", never(t)), &locked)
			require.Equal(t, until, locked.Until)
			time.Sleep(59 * time.Minute)
		}
		time.Sleep(3 * time.Minute)
		requireWrong(t, l.Attempt(ctx, "key", says(limiter.Wrong)), 2, 5, time.Time{})
	})
}

// TestEndlessConflict: endless contention ends in an error, without a verdict.
func TestEndlessConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(storetest.MemoryStore)
		enrolled(t, store)
		conflicts := 0
		l := newLimiter(t, &fakeStore{Store: store, swap: func(context.Context, string, uint64, []byte) error {
			conflicts++
			return limiter.ErrConflict
		}}, limiter.DefaultPolicy())
		start, tries := time.Now(), 0
		err := l.Attempt(t.Context(), "key", func(context.Context) (limiter.Outcome, error) { tries++; return limiter.Right, nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, limiter.IsVerdict(err))
		require.Equal(t, 10*time.Second, time.Since(start), "what the documentation says")
		require.Equal(t, 1, tries)
		require.Greater(t, conflicts, 100)
	})
}

// TestHangingStore: a store that never answers ends in an error, without a verdict.
func TestHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(storetest.MemoryStore)
		enrolled(t, store)
		l := newLimiter(t, &fakeStore{Store: store, swap: func(ctx context.Context, _ string, _ uint64, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}}, limiter.DefaultPolicy())
		err := l.Attempt(t.Context(), "key", says(limiter.Right))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, limiter.IsVerdict(err))
	})
}

// TestUpdateLargerRecord counts in a record that holds more than the counter, as a
// service's does: one write clears the counter and replaces the token, and one erases the
// share with the last try.
func TestUpdateLargerRecord(t *testing.T) {
	ctx, store, p := t.Context(), new(storetest.MemoryStore), limiter.Policy{{2, limiter.Forever}}
	fresh, err := limiter.Counter{}.AppendBinary(nil)
	require.NoError(t, err)
	require.NoError(t, store.Create(ctx, "key", append(fresh, "token0 share"...)))
	attempt := func(o limiter.Outcome, token string) (verdict error) {
		err := limiter.Update(ctx, store, "key", func(value []byte) ([]byte, error) {
			c, err := limiter.ParseCounter(value[:limiter.CounterSize])
			if err != nil {
				return nil, err
			}
			rest := string(value[limiter.CounterSize:])
			var next limiter.Counter
			if next, verdict = p.Next(c, o, time.Now()); !limiter.IsVerdict(verdict) {
				return nil, verdict
			}
			if verdict == nil {
				rest = token + rest[len(token):]
			}
			if next.Destroyed() {
				rest = ""
			}
			record, err := next.AppendBinary(nil)
			return append(record, rest...), err
		})
		require.NoError(t, err)
		return verdict
	}
	rest := func() string {
		value, _, err := store.Load(ctx, "key")
		require.NoError(t, err)
		return string(value[limiter.CounterSize:])
	}
	requireWrong(t, attempt(limiter.Wrong, "token1"), 1, 1, time.Time{})
	require.Equal(t, "token0 share", rest())
	require.NoError(t, attempt(limiter.Right, "token2"))
	require.Equal(t, "token2 share", rest())
	requireWrong(t, attempt(limiter.Wrong, "token3"), 1, 1, time.Time{})
	require.ErrorIs(t, attempt(limiter.Wrong, "token4"), limiter.ErrDestroyed)
	require.Empty(t, rest())
	require.Equal(t, limiter.ErrDestroyed, attempt(limiter.Right, "token5"))
}

func BenchmarkAttempt(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		name := map[bool]string{false: "memory/serial", true: "memory/parallel"}[parallel]
		b.Run(name, func(b *testing.B) {
			l, err := limiter.New(new(storetest.MemoryStore), limiter.DefaultPolicy())
			if err != nil {
				b.Fatal(err)
			}
			defer costtest.Report(b)()
			if !parallel {
				if err := l.Create(b.Context(), "key"); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := l.Attempt(b.Context(), "key", says(limiter.Right)); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			var keys atomic.Uint32 // each goroutine its own key, as different devices
			b.RunParallel(func(pb *testing.PB) {
				id := string(rune('a' + keys.Add(1)))
				if err := l.Create(b.Context(), id); err != nil {
					b.Error(err)
					return
				}
				for pb.Next() {
					if err := l.Attempt(b.Context(), id, says(limiter.Right)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// TestVerdictOfTry: an error of try that looks like a verdict is not passed on as one
// that was counted.
func TestVerdictOfTry(t *testing.T) {
	l, err := limiter.New(new(storetest.MemoryStore), limiter.DefaultPolicy())
	require.NoError(t, err)
	require.NoError(t, l.Create(t.Context(), "a"))
	for _, verdict := range []error{&limiter.WrongPINError{Remaining: 2}, &limiter.LockedError{}, limiter.ErrDestroyed} {
		err := l.Attempt(t.Context(), "a", func(context.Context) (limiter.Outcome, error) { return 0, verdict })
		require.Error(t, err)
		require.False(t, limiter.IsVerdict(err), "%T", verdict)
	}
	status, err := l.Peek(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 9, status.RemainingTotal)
}
