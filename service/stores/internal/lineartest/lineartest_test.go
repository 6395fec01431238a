package lineartest

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
)

// handle makes two handles of one memory.
type handle struct{ limiter.Store }

func TestMemory(t *testing.T) {
	s := new(storetest.MemoryStore)
	db := storetest.Database{Open: func() limiter.Store { return &handle{slow{s}} }}
	f := Run(t, durabletest.Times(2000, 100, 30), db)
	durabletest.Claim(t, "linearizable: memory, %d histories of %d calls on 2 nodes", f.Histories, f.Calls/f.Histories)
}

// TestEverythingHappens: a run goes on until each kind of answer was given, which as a
// rule a history alone does not have.
func TestEverythingHappens(t *testing.T) {
	alone := 0
	const runs = 60 // between a quarter and a half of them are alone
	for range runs {
		s := new(storetest.MemoryStore)
		f := Run(t, 1, storetest.Database{Open: func() limiter.Store { return &handle{slow{s}} }})
		require.Empty(t, f.missing())
		if f.Histories == 1 {
			alone++
		}
	}
	require.Less(t, alone, runs, "nothing was ever missing")
}

// slow lets other callers come between.
type slow struct{ limiter.Store }

func (s slow) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	runtime.Gosched()
	return s.Store.Swap(ctx, id, version, value)
}

// racy is a store that is wrong in one way.
type racy struct {
	fault string
	mu    sync.Mutex
	now   map[string]entry
	old   map[string]entry
	last  uint64
}

type entry struct {
	value   []byte
	version uint64
}

func (r *racy) Load(_ context.Context, id string) ([]byte, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.now[id]
	if old, was := r.old[id]; was && r.fault == "reads what was" && rand.IntN(5) == 0 {
		e = old
	}
	if !ok {
		return nil, 0, limiter.ErrNotFound
	}
	return bytes.Clone(e.value), e.version, nil
}

func (r *racy) Create(_ context.Context, id string, value []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(id, value)
	return nil
}

func (r *racy) put(id string, value []byte) {
	if e, ok := r.now[id]; ok {
		r.old[id] = e
	}
	r.last++
	r.now[id] = entry{bytes.Clone(value), r.last}
}

func (r *racy) Swap(_ context.Context, id string, version uint64, value []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now[id].version != version {
		return limiter.ErrConflict
	}
	switch r.fault {
	case "looks, and then writes":
		r.mu.Unlock()
		for range 10 {
			runtime.Gosched()
		}
		r.mu.Lock()
	case "forgets a write":
		if rand.IntN(20) == 0 {
			return nil
		}
	case "goes back by a write":
		if old, was := r.old[id]; was && rand.IntN(20) == 0 {
			r.put(id, old.value)
			return nil
		}
	case "writes, and says it did not":
		if rand.IntN(20) == 0 {
			r.put(id, value)
			return limiter.ErrConflict
		}
	}
	r.put(id, value)
	return nil
}

// TestFindsFaults: the checker finds each store that is wrong, and passes the one that is
// right.
func TestFindsFaults(t *testing.T) {
	check := func(fault string, histories int) error {
		r := &racy{fault: fault, now: make(map[string]entry), old: make(map[string]entry)}
		_, err := run(histories, storetest.Database{Open: func() limiter.Store { return &handle{r} }})
		return err
	}
	require.NoError(t, check("", 30))
	for _, fault := range []string{"looks, and then writes", "reads what was", "forgets a write", "goes back by a write", "writes, and says it did not"} {
		require.ErrorContains(t, check(fault, 2000), "is not linearizable (Illegal)", fault)
	}
}

// TestModel: the second writing of the specification agrees with the limiter on calls
// that follow one another.
func TestModel(t *testing.T) {
	s := new(storetest.MemoryStore)
	first, err := limiter.Counter{}.MarshalBinary()
	require.NoError(t, err)
	kinds := make(map[kind]int)
	for range 300 {
		var c counter
		id := crand.Text()
		require.NoError(t, s.Create(t.Context(), id, first))
		now := int64(1_000_000)
		for range 30 {
			now += rand.Int64N(20) - 4
			in := call{key: id, right: rand.IntN(8) == 0, peek: rand.IntN(5) == 0, now: now}
			got, err := ask(t.Context(), s, in)
			require.NoError(t, err)
			var want verdict
			c, want = c.next(in)
			require.Equal(t, want, got, "%+v", in)
			kinds[got.kind]++
		}
	}
	for _, k := range []kind{free, accepted, wrong, locked, destroyed} {
		require.Positive(t, kinds[k], k)
	}
}
