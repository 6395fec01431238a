package watermark

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// records is a store that can be copied and turned back, and whose writes can fail.
type records struct {
	mu      sync.Mutex
	values  map[string]string
	version map[string]uint64
	last    uint64
	writes  int
	// fail is asked before each write, and after it: where it says so, the call fails
	// without an effect, or with one.
	fail func(after bool) bool
}

var errBroken = errors.New("the line broke")

func newRecords() *records {
	return &records{values: make(map[string]string), version: make(map[string]uint64)}
}

// copyOf is what a backup has.
func (r *records) copyOf() *records {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &records{values: maps.Clone(r.values), version: maps.Clone(r.version), last: r.last}
}

// become puts a copy in the place of the store.
func (r *records) become(other *records) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values, r.version, r.last = maps.Clone(other.values), maps.Clone(other.version), other.last
}

// written says how many writes there were.
func (r *records) written() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writes
}

func (r *records) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.version[id]; ok {
		return []byte(r.values[id]), v, ctx.Err()
	}
	return nil, 0, limiter.ErrNotFound
}

func (r *records) List(_ context.Context, prefix, after string, limit int) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id := range r.values {
		if id > after && strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), limit)], nil
}

func (r *records) Create(_ context.Context, id string, value []byte) error {
	return r.put(id, 0, value)
}

func (r *records) Swap(_ context.Context, id string, version uint64, value []byte) error {
	return r.put(id, version, value)
}

func (r *records) put(id string, version uint64, value []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version[id] != version {
		return limiter.ErrConflict
	}
	if r.fail != nil && r.fail(false) {
		return errBroken
	}
	r.last++
	r.writes++
	r.values[id], r.version[id] = string(value), r.last
	if r.fail != nil && r.fail(true) {
		return errBroken
	}
	return nil
}

// keeper keeps a mark in memory.
type keeper struct {
	mu   sync.Mutex
	mark []byte
	held chan struct{} // Save waits until it is closed, if it is not nil
	fail func(after bool) bool
}

func (k *keeper) Load(context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mark == nil {
		return nil, ErrNoMark
	}
	return bytes.Clone(k.mark), nil
}

func (k *keeper) Save(ctx context.Context, mark []byte) error {
	k.mu.Lock()
	held := k.held
	k.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil && k.fail(false) {
		return errBroken
	}
	k.mark = bytes.Clone(mark)
	if k.fail != nil && k.fail(true) {
		return errBroken
	}
	return nil
}

var quiet = slog.New(slog.DiscardHandler)

// newNode makes a node and opens it.
func newNode(t testing.TB, r limiter.Store, o Options) (*Store, *keeper) {
	k := new(keeper)
	require.NoError(t, Create(t.Context(), r, k))
	return open(t, r, k, o), k
}

func open(t testing.TB, r limiter.Store, k Keeper, o Options) *Store {
	if o.Log == nil {
		o.Log = quiet
	}
	s, err := Open(t.Context(), r, k, o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// kill ends a node without a last checkpoint, as a crash does.
func (s *Store) kill() {
	s.once.Do(func() {
		s.mu.Lock()
		s.under = s.confirmed
		s.mu.Unlock()
		close(s.closing)
		<-s.stopped
	})
}

func write(t testing.TB, s limiter.Store, id, value string) {
	_, version, err := s.Load(t.Context(), id)
	if errors.Is(err, limiter.ErrNotFound) {
		require.NoError(t, s.Create(t.Context(), id, []byte(value)))
		return
	}
	require.NoError(t, err)
	require.NoError(t, s.Swap(t.Context(), id, version, []byte(value)))
}

// requireRefused: the store is refused, and so it is after a restart, even over the
// newest copy.
func requireRefused(t *testing.T, s *Store, k Keeper, newest limiter.Store) {
	t.Helper()
	ctx := t.Context()
	if s != nil {
		_, _, err := s.Load(ctx, "any")
		require.ErrorIs(t, err, ErrWentBack)
		require.ErrorIs(t, s.Create(ctx, "any", nil), ErrWentBack)
		require.ErrorIs(t, s.Swap(ctx, "any", 1, nil), ErrWentBack)
		require.ErrorIs(t, s.Ping(ctx), ErrWentBack)
		_, err = s.List(ctx, "", "", 1)
		require.ErrorIs(t, err, ErrWentBack)
		require.ErrorIs(t, s.Close(), ErrWentBack)
	}
	_, err := Open(ctx, newest, k, Options{Log: quiet})
	require.ErrorIs(t, err, ErrWentBack)
}
