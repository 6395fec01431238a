package pinlock

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
)

// NewMemoryStore returns a [Store] that keeps its records in memory. It is a [Lister],
// too.
//
// It is for tests only: it is not durable, so that a restart gives every thief all tries
// back, and no second process can reach it. In all else it keeps the contract.
func NewMemoryStore() Store {
	return &memoryStore{records: make(map[string]memoryRecord)}
}

type memoryStore struct {
	mu      sync.Mutex
	records map[string]memoryRecord
	version uint64 // last one given, over all records
}

type memoryRecord struct {
	value   []byte
	version uint64
}

var (
	_ Store  = (*memoryStore)(nil)
	_ Lister = (*memoryStore)(nil)
)

func (m *memoryStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if err := checkCall(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[id]
	if !ok {
		return nil, 0, ErrNotFound
	}
	return bytes.Clone(r.value), r.version, nil
}

func (m *memoryStore) Create(ctx context.Context, id string, value []byte) error {
	if err := checkCall(ctx, id, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.records[id]; ok {
		return ErrConflict
	}
	m.put(id, value)
	return nil
}

func (m *memoryStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := checkCall(ctx, id, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[id]; !ok || r.version != version {
		return ErrConflict
	}
	m.put(id, value)
	return nil
}

func (m *memoryStore) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := CheckList(prefix, after, limit); err != nil {
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

func (m *memoryStore) put(id string, value []byte) {
	m.version++
	m.records[id] = memoryRecord{bytes.Clone(value), m.version}
}

func checkCall(ctx context.Context, id string, value []byte) error {
	if ctx == nil {
		return errNothing
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckID(id); err != nil {
		return err
	}
	return CheckValue(value)
}
