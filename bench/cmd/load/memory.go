//go:build unix

package main

import (
	"bytes"
	"context"
	"maps"
	"sync"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// memory is a store that ends with the process.
type memory struct {
	mu     sync.Mutex
	values map[string]versioned
}

type versioned struct {
	value   []byte
	version uint64
}

func newMemory() *memory { return &memory{values: make(map[string]versioned)} }

// copy is a store with the same values.
func (m *memory) copy() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{values: maps.Clone(m.values)}
}

func (m *memory) Load(_ context.Context, id string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[id]
	if !ok {
		return nil, 0, limiter.ErrNotFound
	}
	return bytes.Clone(v.value), v.version, nil
}

func (m *memory) Create(_ context.Context, id string, value []byte) error {
	return m.put(id, 0, value)
}

func (m *memory) Swap(_ context.Context, id string, version uint64, value []byte) error {
	return m.put(id, version, value)
}

// put writes a value in place of that with this version; 0 stands for none.
func (m *memory) put(id string, version uint64, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[id].version != version {
		return limiter.ErrConflict
	}
	m.values[id] = versioned{bytes.Clone(value), version + 1}
	return nil
}
