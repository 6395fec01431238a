package etcd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
)

// patience is longer than any failover takes that will ever end.
const patience = 2 * time.Minute

// failover: under load the leader is killed, a member is paused, and one is cut off,
// again and again. No count that was acknowledged is lost, no lock forgotten, and the
// service is back during each fault, while a majority is there.
func failover(t *testing.T, c *etcdtest.Cluster) {
	s := openOn(t, c, Options{Every: time.Second})
	locked := lockKeys(t, s, 3)
	l := newLoad(t, s, 4)
	faults := durabletest.Times(60, 3, 3)
	for i := range faults {
		switch i % 3 {
		case 0:
			n := c.Leader()
			n.Kill()
			l.progress("the leader is killed")
			n.Restart(t)
		case 1:
			n := c.Leader()
			if i%2 == 0 {
				n = c.Nodes[rand.IntN(len(c.Nodes))]
			}
			n.Pause(t)
			l.progress("a member is paused")
			n.Resume(t)
		case 2:
			n := c.Leader()
			if i%2 == 1 {
				n = c.Nodes[rand.IntN(len(c.Nodes))]
			}
			n.Peers.Cut()
			n.Clients.Hold()
			l.progress("a member is cut off")
			n.Peers.Heal()
			n.Clients.Heal()
		}
		c.Await()
		requireLocked(t, s, locked)
	}
	written, unknown := l.end()
	for _, n := range c.Nodes { // every member has all of it
		direct := openOn(t, c, Options{Endpoints: []string{n.Direct()}, Prefix: s.options.Prefix})
		l.check(direct)
		requireLocked(t, direct, locked)
	}
	durabletest.Claim(t, "failover: etcd %s, 3 members, %d faults (leader killed, member paused, member cut off): %d acknowledged counts, none lost (%d unknown); no lock forgotten; back during each", c.Version(), faults, written, unknown)
}

// lockKeys guesses until keys are locked.
func lockKeys(t *testing.T, s limiter.Store, n int) (ids []string) {
	l, err := limiter.New(s, limiter.DefaultPolicy())
	require.NoError(t, err)
	for i := range n {
		id := fmt.Sprint("locked ", i)
		ids = append(ids, id)
		require.NoError(t, l.Create(t.Context(), id))
		for range 3 {
			require.True(t, limiter.IsVerdict(l.Attempt(t.Context(), id, wrong)))
		}
	}
	requireLocked(t, s, ids)
	return ids
}

func wrong(context.Context) (limiter.Outcome, error) { return limiter.Wrong, nil }

// requireLocked waits for an answer, which must be that a key is locked.
func requireLocked(t *testing.T, s limiter.Store, ids []string) {
	t.Helper()
	l, err := limiter.New(s, limiter.DefaultPolicy())
	require.NoError(t, err)
	for _, id := range ids {
		deadline := time.Now().Add(patience)
		for err := error(nil); ; {
			ctx, cancel := context.WithTimeout(t.Context(), callTime)
			err = l.Attempt(ctx, id, wrong)
			cancel()
			if limiter.IsVerdict(err) {
				var locked *limiter.LockedError
				require.ErrorAs(t, err, &locked, id)
				break
			}
			require.True(t, time.Now().Before(deadline), err)
		}
	}
}

// callTime is how long a caller waits for an answer.
const callTime = 3 * time.Second

// load is callers that each count up a record of their own as fast as they can. Nobody
// else writes it, so a caller knows what must be there.
type load struct {
	t       *testing.T
	store   *Store
	stop    chan struct{}
	callers []*caller
	wait    sync.WaitGroup
}

type caller struct {
	id      string
	known   uint64        // acknowledged, or read since
	tried   uint64        // known, or one more where a result is not known
	counts  atomic.Uint64 // acknowledged
	unknown atomic.Uint64
	failed  error // why it ended before it was told to
}

func newLoad(t *testing.T, s *Store, callers int) *load {
	l := &load{t: t, store: s, stop: make(chan struct{})}
	for i := range callers {
		c := &caller{id: fmt.Sprint("count ", i)}
		require.NoError(t, s.Create(t.Context(), c.id, make([]byte, 8)))
		l.callers = append(l.callers, c)
		l.wait.Go(func() {
			for c.failed == nil {
				select {
				case <-l.stop:
					return
				default:
					c.failed = c.count(s)
				}
			}
		})
	}
	return l
}

// count reads the record, which must have what was acknowledged, and counts one more.
func (c *caller) count(s *Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	value, version, err := s.Load(ctx, c.id)
	if err != nil {
		if errors.Is(err, limiter.ErrNotFound) || errors.Is(err, ErrDamaged) {
			return err
		}
		c.unknown.Add(1)
		return nil
	}
	n := binary.BigEndian.Uint64(value)
	if n < c.known || n > c.tried {
		return fmt.Errorf("%s: the record has %d, of %d acknowledged and %d tried", c.id, n, c.known, c.tried)
	}
	c.known, c.tried = n, max(n+1, c.tried)
	err = s.Swap(ctx, c.id, version, binary.BigEndian.AppendUint64(nil, n+1))
	switch {
	case err == nil:
		c.known = n + 1
		c.counts.Add(1)
	case errors.Is(err, limiter.ErrConflict):
		// Its own write of before, which was on its way, and came after the Load.
		if c.unknown.Load() == 0 {
			return fmt.Errorf("%s: a conflict with nobody", c.id)
		}
	default:
		c.unknown.Add(1)
	}
	return nil
}

// progress waits until every caller has had further counts acknowledged.
func (l *load) progress(during string) {
	l.t.Helper()
	deadline := time.Now().Add(patience)
	for _, c := range l.callers {
		for want := c.counts.Load() + 2; c.counts.Load() < want; time.Sleep(5 * time.Millisecond) {
			require.True(l.t, time.Now().Before(deadline), "no service while %s", during)
		}
	}
}

func (l *load) end() (counts, unknown uint64) {
	close(l.stop)
	l.wait.Wait()
	for _, c := range l.callers {
		require.NoError(l.t, c.failed)
		counts += c.counts.Load()
		unknown += c.unknown.Load()
	}
	return counts, unknown
}

// check reads all records.
func (l *load) check(s *Store) {
	l.t.Helper()
	for _, c := range l.callers {
		value, _, err := s.Load(l.t.Context(), c.id)
		require.NoError(l.t, err)
		n := binary.BigEndian.Uint64(value)
		require.GreaterOrEqual(l.t, n, c.known)
		require.LessOrEqual(l.t, n, c.tried)
	}
}
