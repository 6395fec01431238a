// Package catest has a [ca.Store] in memory, and the test that every ca.Store must pass.
package catest

import (
	"context"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/service/ca"
)

// MemoryStore is a [ca.Store] that forgets all with its process.
type MemoryStore struct {
	mu      sync.Mutex
	records map[ca.Serial]ca.Record
	crls    map[string]storedCRL
}

type storedCRL struct {
	number int64
	der    []byte
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{records: map[ca.Serial]ca.Record{}, crls: map[string]storedCRL{}}
}

var _ ca.Store = (*MemoryStore)(nil)

func (s *MemoryStore) Create(ctx context.Context, r ca.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, ok := s.records[r.Serial]; ok {
		return ca.ErrExists
	}
	s.records[r.Serial] = clone(r)
	return nil
}

func (s *MemoryStore) Record(ctx context.Context, serial ca.Serial) (ca.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return ca.Record{}, err
	}
	r, ok := s.records[serial]
	if !ok {
		return ca.Record{}, ca.ErrNotFound
	}
	return clone(r), nil
}

func (s *MemoryStore) Revoke(ctx context.Context, serial ca.Serial, revocation ca.Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	r, ok := s.records[serial]
	if !ok {
		return ca.ErrNotFound
	}
	if r.Revoked == nil {
		r.Revoked = &revocation
		s.records[serial] = r
	}
	return nil
}

func (s *MemoryStore) Revoked(ctx context.Context, issuer string, expireAfter time.Time) ([]ca.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []ca.Record
	for _, r := range s.records {
		if r.Revoked != nil && r.Issuer == issuer && r.NotAfter.After(expireAfter) {
			out = append(out, clone(r))
		}
	}
	return out, nil
}

func (s *MemoryStore) CRL(ctx context.Context, issuer string) (int64, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.crls[issuer]
	return c.number, append([]byte(nil), c.der...), ctx.Err()
}

func (s *MemoryStore) SetCRL(ctx context.Context, issuer string, number int64, der []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if number != s.crls[issuer].number+1 {
		return ca.ErrConflict
	}
	s.crls[issuer] = storedCRL{number, append([]byte(nil), der...)}
	return nil
}

func clone(r ca.Record) ca.Record {
	r.DER = append([]byte(nil), r.DER...)
	if r.Revoked != nil {
		revocation := *r.Revoked
		r.Revoked = &revocation
	}
	return r
}
