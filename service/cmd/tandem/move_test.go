package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// memory is a store of the command's in memory, which fails after some writes.
type memory struct {
	storetest.MemoryStore
	mu   sync.Mutex
	left int // writes until it fails; negative: never
	// overtaken is how many swaps a node comes before.
	overtaken int
}

var errLine = errors.New("the line broke")

func (m *memory) Close() error { return nil }

func (m *memory) spend() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left == 0 {
		return errLine
	}
	m.left--
	return nil
}

func (m *memory) Create(ctx context.Context, id string, value []byte) error {
	if err := m.spend(); err != nil {
		return err
	}
	return m.MemoryStore.Create(ctx, id, value)
}

func (m *memory) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := m.spend(); err != nil {
		return err
	}
	if m.overtaken > 0 {
		m.overtaken--
		return limiter.ErrConflict
	}
	return m.MemoryStore.Swap(ctx, id, version, value)
}

// TestMoveGoesOn: wherever a copy is interrupted, the next one ends it, and every record
// is there as it was.
func TestMoveGoesOn(t *testing.T) {
	const n = 5
	for at := range 2 * n {
		source, target := &memory{left: -1}, &memory{left: -1}
		for i := range n {
			require.NoError(t, source.Create(t.Context(), fmt.Sprint(i), []byte{byte(i)}))
		}
		source.left, target.left = at, at/2
		_, err := moveAll(t.Context(), source, target)
		require.ErrorIs(t, err, errLine)
		source.left, target.left = -1, -1
		if at > 0 {
			begun, err := isMoved(t.Context(), source)
			require.NoError(t, err)
			require.True(t, begun)
		}
		moved, err := moveAll(t.Context(), source, target)
		require.NoError(t, err)
		require.Equal(t, n, moved)
		for i := range n {
			value, _, err := target.Load(t.Context(), fmt.Sprint(i))
			require.NoError(t, err)
			require.Equal(t, []byte{byte(i)}, value)
		}
	}
}

// TestMoveUnderLoad: a node that counts on in the old store, which nobody should do, is
// refused there sooner or later, and the new store has every count that it was
// acknowledged.
func TestMoveUnderLoad(t *testing.T) {
	source, target := &memory{left: -1}, &memory{left: -1}
	const keys = 20
	var acknowledged [keys]uint64
	var nodes sync.WaitGroup
	begun := make(chan struct{})
	for i := range keys {
		require.NoError(t, source.Create(t.Context(), fmt.Sprint(i), make([]byte, 8)))
		nodes.Go(func() {
			for acknowledged[i] < 1<<20 {
				err := limiter.Update(t.Context(), source, fmt.Sprint(i), func(value []byte) ([]byte, error) {
					if len(value) != 8 {
						return nil, errLine
					}
					return binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(value)+1), nil
				})
				if err != nil {
					return
				}
				if acknowledged[i]++; i == 0 && acknowledged[i] == 10 {
					close(begun)
				}
			}
		})
	}
	<-begun
	moved, err := moveAll(t.Context(), source, target)
	require.NoError(t, err)
	require.Equal(t, keys, moved)
	nodes.Wait()
	for i := range keys {
		value, _, err := target.Load(t.Context(), fmt.Sprint(i))
		require.NoError(t, err)
		require.Equal(t, acknowledged[i], binary.BigEndian.Uint64(value))
	}
}

// TestMoveAgain: a record that a node was faster to write is moved the next time.
func TestMoveAgain(t *testing.T) {
	source, target := &memory{left: -1, overtaken: 3}, &memory{left: -1}
	for i := range 2 {
		require.NoError(t, source.Create(t.Context(), fmt.Sprint(i), []byte{byte(i)}))
	}
	_, err := moveAll(t.Context(), source, target)
	require.NoError(t, err)
	for i := range 2 {
		value, _, err := target.Load(t.Context(), fmt.Sprint(i))
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, value)
	}
}

// TestMoveOverOthers: a store that has something else under an id is left as it is.
func TestMoveOverOthers(t *testing.T) {
	source, target := &memory{left: -1}, &memory{left: -1}
	require.NoError(t, source.Create(t.Context(), "id", []byte("ours")))
	require.NoError(t, target.Create(t.Context(), "id", []byte("theirs")))
	_, err := moveAll(t.Context(), source, target)
	require.Error(t, err)
	value, _, err := target.Load(t.Context(), "id")
	require.NoError(t, err)
	require.Equal(t, "theirs", string(value))
}
