package server

import (
	"context"
	"errors"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// crashingStore fails before and after each write, and lets other requests in between a
// load and a write.
type crashingStore struct {
	limiter.Store
	world *world
}

func (s *crashingStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if s.world.happens(0.02) {
		return nil, 0, errors.New("store is down")
	}
	return s.Store.Load(ctx, id)
}

func (s *crashingStore) Create(ctx context.Context, id string, value []byte) error {
	return s.write(func() error { return s.Store.Create(ctx, id, value) })
}

func (s *crashingStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	s.world.oldTraffic()
	before, _, _ := s.Store.Load(ctx, id)
	return s.write(func() error {
		err := s.Store.Swap(ctx, id, version, value)
		if err == nil {
			s.world.changed(before, value)
		}
		return err
	})
}

func (s *crashingStore) write(write func() error) error {
	w := s.world
	switch {
	case w.happens(0.02):
		panic(crash{"node, before a write"})
	case w.happens(0.02):
		return errors.New("store is down")
	}
	err := write()
	switch {
	case w.happens(0.02):
		panic(crash{"node, after a write"})
	case w.happens(0.02):
		return errors.New("connection lost: who knows whether it was written")
	}
	return err
}

// crashingState fails before and after each save of the device.
type crashingState struct {
	protocoltest.MemoryStorage
	world *world
}

func (s *crashingState) Save(data []byte) error {
	w := s.world
	if st, err := protocoltest.ParseState(data); err != nil {
		w.fail("a state that cannot be read: %v", err)
	} else if st.Pending != nil {
		h := st.Pending.Hash()
		if _, known := w.truth[h]; !known {
			w.truth[h] = w.pinTyped
		}
		w.wished[h] = w.wished[h] || st.Pending.Cancel
	}
	switch {
	case w.happens(0.03):
		panic(crash{"device, before a save"})
	case w.happens(0.02):
		return errors.New("disk is full")
	}
	err := s.MemoryStorage.Save(data)
	switch {
	case w.happens(0.03):
		panic(crash{"device, after a save"})
	case w.happens(0.02):
		return errors.New("disk is gone: who knows whether it was written")
	}
	return err
}
