package watermark

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// TestContract: what is refused apart, it is a Store like the one below, for nodes that
// have a mark each.
func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		below := new(storetest.MemoryStore)
		return storetest.Database{
			Open: func() limiter.Store {
				s, _ := newNode(t, below, Options{})
				return s
			},
			Close: func(s limiter.Store) { require.NoError(t, s.(*Store).Close()) },
		}
	})
}

// TestOwnIDs: a caller neither sees nor reaches the checkpoints.
func TestOwnIDs(t *testing.T) {
	s, k := newNode(t, new(storetest.MemoryStore), Options{})
	write(t, s, "id", "value")
	m, err := load(t.Context(), k)
	require.NoError(t, err)
	_, _, err = s.Load(t.Context(), m.id())
	require.Error(t, err)
	require.Error(t, s.Create(t.Context(), prefix, nil))
	require.Error(t, s.Swap(t.Context(), m.id(), 1, nil))
	for id, err := range limiter.IDs(t.Context(), s, "") {
		require.NoError(t, err)
		require.Equal(t, "id", id)
	}
	require.NoError(t, s.Close())
}

// TestOlderCopyIsRefused: every copy that was made before the last checkpoint is, and the
// store itself is not.
func TestOlderCopyIsRefused(t *testing.T) {
	below := newRecords()
	k := new(keeper)
	require.NoError(t, Create(t.Context(), below, k))
	var copies []*records
	for i := range 5 {
		s := open(t, below, k, Options{Lag: NoLag})
		for j := range 3 {
			copies = append(copies, below.copyOf())
			write(t, s, fmt.Sprint("key", j), fmt.Sprint(i))
		}
		require.NoError(t, s.Close())
	}
	require.NoError(t, open(t, below, k, Options{}).Close())
	for i, older := range copies {
		again := &keeper{mark: k.mark}
		_, err := Open(t.Context(), older, again, Options{Log: quiet})
		require.ErrorIs(t, err, ErrWentBack, "copy %d", i)
		requireRefused(t, nil, again, below)
	}
	_, err := Open(t.Context(), newRecords(), &keeper{mark: k.mark}, Options{Log: quiet})
	require.ErrorIs(t, err, ErrWentBack)
}

// TestForkIsRefused: a copy that went on by itself is, under whatever marks of its own,
// and however far it has come.
func TestForkIsRefused(t *testing.T) {
	below := newRecords()
	s, k := newNode(t, below, Options{Lag: NoLag})
	write(t, s, "key", "before")
	fork := below.copyOf()
	stolen := &keeper{mark: k.mark}
	write(t, s, "key", "after")
	require.NoError(t, s.Close())

	other, _ := newNode(t, fork, Options{Lag: NoLag})
	for i := range 20 {
		write(t, other, "key", fmt.Sprint(i))
	}
	require.NoError(t, other.Close())
	_, err := Open(t.Context(), fork, &keeper{mark: k.mark}, Options{Log: quiet})
	require.ErrorIs(t, err, ErrWentBack)

	// Also under a copy of the mark, once that has made two checkpoints.
	other = open(t, fork, stolen, Options{Lag: NoLag})
	for i := range 2 {
		write(t, other, "key", fmt.Sprint("stolen", i))
	}
	require.NoError(t, other.Close())
	_, err = Open(t.Context(), fork, &keeper{mark: k.mark}, Options{Log: quiet})
	require.ErrorIs(t, err, ErrWentBack)
}

// TestClockCrashIsNoAlarm: whatever write to the store or to the mark fails or is the
// last one of a process, with an effect or without one, the store is taken again, and
// every copy from before a confirmed write with NoLag is refused.
func TestClockCrashIsNoAlarm(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := range 14 {
			synctest.Test(t, func(t *testing.T) {
				below, k := newRecords(), new(keeper)
				require.NoError(t, Create(t.Context(), below, k))
				n, broken := 0, false
				fail := func(now bool) bool {
					if now == after {
						n++
						broken = broken || n > at
					}
					return broken
				}
				below.fail, k.fail = fail, fail
				s, err := Open(t.Context(), below, k, Options{Lag: NoLag, Log: quiet})
				require.NoError(t, err)
				var older *records
				for i := range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					copied := below.copyOf()
					if s.Create(ctx, fmt.Sprint(i), nil) == nil {
						older = copied
					}
					cancel()
				}
				_ = s.Close()
				below.fail, k.fail = nil, nil
				require.NoError(t, open(t, below, k, Options{}).Close())
				require.NoError(t, open(t, below, k, Options{}).Close())
				if older != nil {
					_, err := Open(t.Context(), older, k, Options{Log: quiet})
					require.ErrorIs(t, err, ErrWentBack, "after %t, at %d", after, at)
				}
			})
		}
	}
}

// TestClockLagIsABound: while a mark cannot be saved, as many writes are confirmed as the
// lag allows, and the next one waits; it is confirmed once the mark is saved.
func TestClockLagIsABound(t *testing.T) {
	for _, lag := range []int{NoLag, 1, 3, 0} {
		synctest.Test(t, func(t *testing.T) {
			below := newRecords()
			s, k := newNode(t, below, Options{Lag: lag})
			held := make(chan struct{})
			k.held = held
			want := max(lag, 0)
			if lag == 0 {
				want = DefaultLag
			}
			for i := range want {
				require.NoError(t, s.Create(t.Context(), fmt.Sprint(i), nil))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := s.Create(ctx, "beyond", nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, limiter.ErrConflict)
			done := make(chan error)
			go func() { done <- s.Create(t.Context(), "waits", nil) }()
			synctest.Wait()
			select {
			case <-done:
				require.Fail(t, "confirmed beyond the lag")
			default:
			}
			close(held)
			require.NoError(t, <-done)
			require.NoError(t, s.Close())
		})
	}
}

// TestClockWriteDuringACheckpoint: a write that is confirmed while a checkpoint is under
// way is under the next one.
func TestClockWriteDuringACheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newRecords()
		s, k := newNode(t, below, Options{Lag: NoLag})
		held := make(chan struct{})
		k.held = held
		done := make(chan error)
		for i := range 2 {
			go func() { done <- s.Create(t.Context(), fmt.Sprint(i), nil) }()
			synctest.Wait() // the first waits for its mark, which is held
		}
		close(held)
		require.NoError(t, errors.Join(<-done, <-done))
		m, err := load(t.Context(), k)
		require.NoError(t, err)
		require.Equal(t, uint64(3), m.last.number)
		require.NoError(t, s.Close())
	})
}

// TestClockWithinTheLag: what the documents say of it. A copy that lacks confirmed writes
// and holds the mark's checkpoint passes after a crash; not after a Close, nor once
// another checkpoint was made.
func TestClockWithinTheLag(t *testing.T) {
	for _, end := range []string{"crash", "close", "second"} {
		synctest.Test(t, func(t *testing.T) {
			below := newRecords()
			s, k := newNode(t, below, Options{})
			write(t, s, "key", "under the mark")
			time.Sleep(2 * time.Second)
			synctest.Wait()
			older := below.copyOf()
			write(t, s, "key", "within the lag")
			switch end {
			case "close":
				require.NoError(t, s.Close())
			case "second":
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
			s.kill()
			again, err := Open(t.Context(), older, k, Options{Log: quiet})
			if end == "crash" {
				require.NoError(t, err)
				require.NoError(t, again.Close())
			} else {
				require.ErrorIs(t, err, ErrWentBack)
			}
		})
	}
}

// TestClockOneWriteAnAttempt: a hundred attempts are a hundred writes, and one
// checkpoint.
func TestClockOneWriteAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newRecords()
		s, _ := newNode(t, below, Options{})
		l, err := limiter.New(s, limiter.DefaultPolicy())
		require.NoError(t, err)
		require.NoError(t, l.Create(t.Context(), "key"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		before := below.written()
		for range 100 {
			require.NoError(t, l.Attempt(t.Context(), "key", func(context.Context) (limiter.Outcome, error) { return limiter.Right, nil }))
			synctest.Wait() // whoever was woken by the write had its turn
		}
		require.Equal(t, before+100, below.written())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, before+101, below.written())
	})
}

// TestRecordThatGoesBack: a record of an older version, one that lacks a write which was
// confirmed to this node, and one that is gone are found when they are read; and none is
// found in a store that does not go back, whatever runs at once.
func TestRecordThatGoesBack(t *testing.T) {
	for name, turn := range map[string]func(t *testing.T, s *Store, below *records){
		"read before": func(t *testing.T, s *Store, below *records) {
			older := below.copyOf()
			write(t, below, "key", "another node's")
			_, _, err := s.Load(t.Context(), "key")
			require.NoError(t, err)
			below.become(older)
		},
		"written before": func(t *testing.T, s *Store, below *records) {
			older := below.copyOf()
			write(t, s, "key", "confirmed")
			below.become(older)
		},
		"gone": func(t *testing.T, s *Store, below *records) {
			below.mu.Lock()
			defer below.mu.Unlock()
			delete(below.values, "key")
			delete(below.version, "key")
		},
	} {
		t.Run(name, func(t *testing.T) {
			below := newRecords()
			s, k := newNode(t, below, Options{Every: time.Hour})
			write(t, s, "key", "first")
			turn(t, s, below)
			newest := below.copyOf()
			_, _, err := s.Load(t.Context(), "key")
			require.ErrorIs(t, err, ErrWentBack)
			requireRefused(t, s, k, newest)
		})
	}
}

// TestReadersAreNoAlarm: a Load that began before a write on this node and ends after it
// may return what was there before.
func TestReadersAreNoAlarm(t *testing.T) {
	below := &slowRecords{records: newRecords(), read: make(chan struct{}), go_: make(chan struct{})}
	s, _ := newNode(t, below, Options{Every: time.Hour})
	write(t, s, "key", "first")
	below.slow = true
	done := make(chan error)
	go func() {
		_, _, err := s.Load(t.Context(), "key")
		done <- err
	}()
	<-below.read
	below.slow = false
	write(t, s, "key", "second")
	write(t, s, "key", "third")
	close(below.go_)
	require.NoError(t, <-done)
	write(t, s, "key", "fourth")
}

// slowRecords answers a Load late.
type slowRecords struct {
	*records
	slow      bool
	read, go_ chan struct{}
}

func (r *slowRecords) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	slow := r.slow
	value, version, err := r.records.Load(ctx, id)
	if slow && id == "key" {
		r.read <- struct{}{}
		<-r.go_
	}
	return value, version, err
}

// TestClockNoticedWhileRunning: a store that is turned back under a node which does
// nothing, and under one that writes on, is refused within two seconds.
func TestClockNoticedWhileRunning(t *testing.T) {
	for _, writes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			below := newRecords()
			s, k := newNode(t, below, Options{})
			older := below.copyOf()
			write(t, s, "key", "value")
			time.Sleep(2 * time.Second)
			synctest.Wait()
			below.become(older)
			if writes {
				require.NoError(t, s.Create(t.Context(), "other", nil))
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			requireRefused(t, s, k, below)
		})
	}
}

// TestClockKeeperFails: once a mark cannot be saved nothing more is written, until one
// can.
func TestClockKeeperFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newRecords()
		s, k := newNode(t, below, Options{})
		broken := true
		k.fail = func(bool) bool { return broken }
		require.NoError(t, s.Create(t.Context(), "1", nil))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		before := below.copyOf()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		require.ErrorIs(t, s.Create(ctx, "2", nil), errBroken)
		require.ErrorIs(t, s.Ping(t.Context()), errBroken)
		require.Equal(t, before.values, below.copyOf().values)
		_, _, err := s.Load(t.Context(), "1")
		require.NoError(t, err)
		k.mu.Lock()
		broken = false
		k.mu.Unlock()
		require.NoError(t, s.Create(t.Context(), "2", nil))
		require.NoError(t, s.Ping(t.Context()))
		require.NoError(t, s.Close())
		require.Error(t, s.Close())
		require.Error(t, s.Create(t.Context(), "3", nil))
	})
}

// TestCloseSaysWhatIsNotUnderTheMark: a Close that cannot save the mark is an error.
func TestCloseSaysWhatIsNotUnderTheMark(t *testing.T) {
	s, k := newNode(t, newRecords(), Options{Every: time.Hour})
	require.NoError(t, s.Create(t.Context(), "1", nil))
	k.fail = func(bool) bool { return true }
	require.ErrorIs(t, s.Close(), errBroken)
}

// TestClockTwoNodesOfOneMark: two processes that somehow have copies of one mark do not
// go on side by side.
func TestClockTwoNodesOfOneMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newRecords()
		a, k := newNode(t, below, Options{})
		b := open(t, below, &keeper{mark: k.mark}, Options{})
		write(t, a, "1", "")
		write(t, b, "2", "")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		refused := 0
		for _, s := range []*Store{a, b} {
			_, _, err := s.Load(t.Context(), "1")
			if err != nil {
				require.ErrorIs(t, err, ErrWentBack)
				refused++
			}
		}
		require.Positive(t, refused)
	})
}

// TestClockWaitingWriterHears: who waits for the mark hears at once that the store went
// back.
func TestClockWaitingWriterHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newRecords()
		s, k := newNode(t, below, Options{Lag: 1})
		write(t, s, "key", "1")
		before := below.copyOf()
		write(t, s, "key", "2")
		held := make(chan struct{})
		k.mu.Lock()
		k.held = held
		k.mu.Unlock()
		done := make(chan error, 2)
		for i := range 2 {
			go func() { done <- s.Create(t.Context(), fmt.Sprint(i), nil) }()
		}
		synctest.Wait()
		confirmed := len(done)
		require.Less(t, confirmed, 2)
		for range confirmed {
			require.NoError(t, <-done)
		}
		below.become(before)
		_, _, err := s.Load(t.Context(), "key")
		require.ErrorIs(t, err, ErrWentBack)
		synctest.Wait()
		require.Len(t, done, 2-confirmed)
		require.ErrorIs(t, <-done, ErrWentBack)
		close(held)
		require.ErrorIs(t, s.Close(), ErrWentBack)
	})
}
