package device

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// takenStorage counts by how many it is taken, and fails as it is told.
type takenStorage struct {
	protocoltest.MemoryStorage
	taken      int
	lock, load func() error
}

func (s *takenStorage) Lock() (func(), error) {
	if err := s.lock(); err != nil {
		return nil, err
	}
	s.taken++
	return func() { s.taken-- }, nil
}

func (s *takenStorage) Load() ([]byte, error) {
	if err := s.load(); err != nil {
		return nil, err
	}
	return s.MemoryStorage.Load()
}

// TestStorageIsGivenBack: whatever fails, or panics, before an operation begins, the
// storage is free afterwards, and so is the device.
func TestStorageIsGivenBack(t *testing.T) {
	fine := func() error { return nil }
	broken := errors.New("broken")
	fails := func() error { return broken }
	panics := func() error { panic(broken) }
	storage := &takenStorage{lock: fine, load: fine}
	p := newPhone(t, newService(t), nil)
	p.config.Storage = storage
	for name, f := range map[string]struct{ lock, load func() error }{
		"the lock fails": {fails, fine}, "the lock panics": {panics, fine},
		"the load fails": {fine, fails}, "the load panics": {fine, panics},
	} {
		storage.lock, storage.load = f.lock, f.load
		func() {
			defer func() { _ = recover() }()
			_, err := p.Status()
			require.ErrorIs(t, err, broken, name)
		}()
		require.Zero(t, storage.taken, name)
		storage.lock, storage.load = fine, fine
		_, err := p.Status()
		require.NoError(t, err, name)
		require.Zero(t, storage.taken, name)
	}
	storage.load = func() error {
		require.Equal(t, 1, storage.taken, "while it is read")
		return nil
	}
	_, err := p.Status()
	require.NoError(t, err)
	require.Zero(t, storage.taken)
}
