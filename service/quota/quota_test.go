package quota_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/quota"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

// clock is set by the test.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.now.Store(time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}
func (c *clock) Now() time.Time          { return time.UnixMicro(c.now.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.now.Add(d.Microseconds()) }

func newQuota(t *testing.T, db *database.DB, rules quota.Rules, c *clock) *quota.Quota {
	t.Helper()
	q, err := quota.New(db, "login", rules, c.Now)
	require.NoError(t, err)
	return q
}

// later requires that an attempt is too early, and that it is not when the answer says.
func later(t *testing.T, q *quota.Quota, a quota.Attempt, after time.Duration) {
	t.Helper()
	var l *quota.Later
	require.ErrorAs(t, q.Allow(t.Context(), a), &l)
	require.Equal(t, after, l.After)
}

// TestAllow: N at once, then one each time that a place is free; of each person, relying
// party and source by itself.
func TestAllow(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		c := newClock()
		q := newQuota(t, open(), quota.Rules{
			Person: []quota.Rule{{3, time.Minute}, {5, time.Hour}},
			Source: []quota.Rule{{4, time.Minute}},
		}, c)
		a := quota.Attempt{Person: "a", Source: "1"}
		for range 3 {
			require.NoError(t, q.Allow(t.Context(), a))
		}
		later(t, q, a, 20*time.Second)
		// Another person from the same source has one place there: what was refused took
		// none.
		b := quota.Attempt{Person: "b", Source: "1"}
		require.NoError(t, q.Allow(t.Context(), b))
		later(t, q, b, 15*time.Second)
		for _, source := range []string{"2", "3"} { // the refused one took no place of the person
			b.Source = source
			require.NoError(t, q.Allow(t.Context(), b))
		}
		// A place is free when the answer said, and not before.
		c.Advance(20*time.Second - time.Microsecond)
		later(t, q, a, time.Microsecond)
		c.Advance(time.Microsecond)
		require.NoError(t, q.Allow(t.Context(), a))
		later(t, q, a, 20*time.Second)
		// The long window.
		c.Advance(5 * time.Minute)
		require.NoError(t, q.Allow(t.Context(), a))
		later(t, q, a, 12*time.Minute-5*time.Minute-20*time.Second)
		// Nothing is limited that is not named.
		require.NoError(t, q.Allow(t.Context(), quota.Attempt{RelyingParty: "c"}))
	})
}

// TestNodes: nodes share the buckets, also after a restart.
func TestNodes(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		c := newClock()
		rules := quota.Rules{RelyingParty: []quota.Rule{{8, time.Minute}}}
		dbs := []*database.DB{open(), open()}
		var allowed atomic.Int32
		var wg sync.WaitGroup
		for n := range 4 {
			q := newQuota(t, dbs[n%2], rules, c)
			wg.Go(func() {
				for range 4 {
					err := q.Allow(t.Context(), quota.Attempt{RelyingParty: "a"})
					var l *quota.Later
					if err == nil {
						allowed.Add(1)
					} else {
						require.ErrorAs(t, err, &l)
					}
				}
			})
		}
		wg.Wait()
		require.Equal(t, int32(8), allowed.Load())
		later(t, newQuota(t, open(), rules, c), quota.Attempt{RelyingParty: "a"}, 7500*time.Millisecond)
	})
}

// TestAhead: of what holds many attempts nodes take some ahead, without the database for
// each, and never more than there are.
func TestAhead(t *testing.T) {
	for name, rules := range map[string]quota.Rules{
		"all":           {All: []quota.Rule{{300, time.Minute}}},
		"relying party": {RelyingParty: []quota.Rule{{1000, time.Minute}}},
		"source":        {Source: []quota.Rule{{1000, time.Minute}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			var asked atomic.Int32
			address := databasetest.SQLite(t)
			node := func() *quota.Quota {
				return newQuota(t, databasetest.OpenTraced(t, address, func(_ context.Context, statement string) {
					if strings.HasPrefix(statement, "INSERT") {
						asked.Add(1)
					}
				}), rules, c)
			}
			nodes := []*quota.Quota{node(), node()}
			most := slices.Concat(rules.All, rules.RelyingParty, rules.Source)[0].N
			allowed := 0
			for n := 0; ; n++ {
				err := nodes[n%2].Allow(t.Context(), quota.Attempt{Person: fmt.Sprint(n), RelyingParty: "a", Source: "b"})
				if err != nil {
					var l *quota.Later
					require.ErrorAs(t, err, &l)
					break
				}
				allowed++
			}
			require.LessOrEqual(t, allowed, most)
			require.GreaterOrEqual(t, allowed, most-2*most/100)
			require.LessOrEqual(t, asked.Load(), int32(101))
			c.Advance(time.Minute)
			require.NoError(t, nodes[0].Allow(t.Context(), quota.Attempt{RelyingParty: "a", Source: "b"}))
		})
	}
}

// TestRefusedTakesNothing: an attempt that one bucket refuses takes no place in another,
// nor one that the node has taken ahead.
func TestRefusedTakesNothing(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		c := newClock()
		q := newQuota(t, open(), quota.Rules{
			Person: []quota.Rule{{1, time.Minute}},
			Source: []quota.Rule{{1, time.Minute}},
			All:    []quota.Rule{{200, time.Hour}},
		}, c)
		allowed := 0
		for n := range 300 {
			// Every other attempt has a source that is full.
			source := fmt.Sprint(n)
			if n%2 == 1 {
				source = fmt.Sprint(n - 1)
			}
			if q.Allow(t.Context(), quota.Attempt{Person: fmt.Sprint(n), Source: source}) == nil {
				allowed++
			}
			if n%2 == 1 { // and now that person may
				if q.Allow(t.Context(), quota.Attempt{Person: fmt.Sprint(n)}) == nil {
					allowed++
				}
			}
		}
		require.Equal(t, 200, allowed)
	})
}

// TestFullIsRemembered: an attempt at a bucket that this node knows to be full does not
// ask the database.
func TestFullIsRemembered(t *testing.T) {
	c := newClock()
	db := databasetest.Open(t, databasetest.SQLite(t))
	q := newQuota(t, db, quota.Rules{Source: []quota.Rule{{1, time.Minute}}}, c)
	a := quota.Attempt{Source: "a"}
	require.NoError(t, q.Allow(t.Context(), a))
	later(t, q, a, time.Minute)
	require.NoError(t, db.Close())
	later(t, q, a, time.Minute)
	c.Advance(time.Minute)
	require.ErrorIs(t, q.Allow(t.Context(), a), database.ErrClosed)
}

// TestSweep: empty buckets go, and others stay.
func TestSweep(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		c := newClock()
		db := open()
		q := newQuota(t, db, quota.Rules{Person: []quota.Rule{{2, time.Minute}}}, c)
		require.NoError(t, q.Allow(t.Context(), quota.Attempt{Person: "a"}))
		c.Advance(31 * time.Second)
		for range 2 {
			require.NoError(t, q.Allow(t.Context(), quota.Attempt{Person: "b"}))
		}
		require.NoError(t, q.Sweep(t.Context()))
		later(t, q, quota.Attempt{Person: "b"}, 30*time.Second)
		rows, err := db.Exec(t.Context(), "DELETE FROM quotas")
		require.NoError(t, err)
		require.Equal(t, int64(1), rows)
	})
}

// TestNothing: calls with nothing are errors and no panics.
func TestNothing(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLite(t))
	_, err := quota.New(nil, "a", quota.Rules{}, nil)
	require.ErrorIs(t, err, quota.ErrConfig)
	_, err = quota.New(db, "", quota.Rules{}, nil)
	require.ErrorIs(t, err, quota.ErrConfig)
	for _, r := range []quota.Rule{{}, {0, time.Minute}, {-1, time.Minute}, {1, 0}, {1, time.Millisecond}, {1, 1000 * 24 * time.Hour}, {1 << 30, time.Second}} {
		_, err = quota.New(db, "a", quota.Rules{All: []quota.Rule{r}}, nil)
		require.ErrorIs(t, err, quota.ErrConfig, r)
	}
	q, err := quota.New(db, "a", quota.Rules{Person: []quota.Rule{{1, time.Hour}}}, nil)
	require.NoError(t, err)
	var nothing context.Context
	var none *quota.Quota
	for _, c := range []struct {
		q   *quota.Quota
		ctx context.Context
	}{{none, t.Context()}, {new(quota.Quota), t.Context()}, {q, nothing}} {
		require.ErrorIs(t, c.q.Allow(c.ctx, quota.Attempt{}), quota.ErrConfig)
		require.ErrorIs(t, c.q.Sweep(c.ctx), quota.ErrConfig)
	}
	var l *quota.Later
	require.NotEmpty(t, l.Error())
}
