package storetest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// MemoryStore is a [limiter.Store] and [limiter.Lister] that keeps its records in memory.
// The zero value has none, and is ready for use.
//
// It is for tests only. It is not durable: a restart gives every thief all tries back. No
// second process can reach it. In all else it keeps the contract.
type MemoryStore struct {
	mu      sync.Mutex
	records map[string]memoryRecord
	version uint64 // last one given, over all records
}

type memoryRecord struct {
	value   []byte
	version uint64
}

var (
	_ limiter.Store  = (*MemoryStore)(nil)
	_ limiter.Lister = (*MemoryStore)(nil)
)

func (m *MemoryStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if err := checkCall(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[id]
	if !ok {
		return nil, 0, limiter.ErrNotFound
	}
	return bytes.Clone(r.value), r.version, nil
}

func (m *MemoryStore) Create(ctx context.Context, id string, value []byte) error {
	if err := checkCall(ctx, id, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.records[id]; ok {
		return limiter.ErrConflict
	}
	m.put(id, value)
	return nil
}

func (m *MemoryStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := checkCall(ctx, id, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[id]; !ok || r.version != version {
		return limiter.ErrConflict
	}
	m.put(id, value)
	return nil
}

func (m *MemoryStore) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := limiter.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.records {
		if id > after && strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), limit)], nil
}

func (m *MemoryStore) put(id string, value []byte) {
	if m.records == nil {
		m.records = make(map[string]memoryRecord)
	}
	m.version++
	m.records[id] = memoryRecord{bytes.Clone(value), m.version}
}

func checkCall(ctx context.Context, id string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return limiter.CheckRecord(id, value)
}
