package exploretest

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// Crashes are panics. A panic runs the deferred calls of what it ends, so that what was
// stored at the moment of the crash is kept aside from then on.
type crashed struct{}

// waiting ends a call of the device's where it waits for an answer.
type waiting struct{ request []byte }

// storage is the device's, with a choice at each save.
type storage struct {
	data  []byte
	c     *chooser
	over  bool // the call has crashed, or waits
	saves int
}

func (s *storage) Load() ([]byte, error) {
	if len(s.data) == 0 {
		return nil, nil
	}
	return bytes.Clone(s.data), nil
}

func (s *storage) Lock() (func(), error) { return func() {}, nil }

func (s *storage) Save(data []byte) error {
	if s.over {
		return protocoltest.ErrLost
	}
	s.saves++
	n := s.c.choose("", "crash before the save", "crash after the save", "the save fails", "the save is said to fail")
	if n == 0 || n == 2 || n == 4 {
		s.data = bytes.Clone(data)
	}
	return s.end(n)
}

func (s *storage) end(n int) error {
	switch n {
	case 1, 2:
		s.over = true
		panic(crashed{})
	case 3, 4:
		return protocoltest.ErrLost
	}
	return nil
}

// store is the server's, with a choice at each write.
type store struct {
	entries []entry
	c       *chooser
	over    bool
	writes  int
	between func() // called before the next Swap: a write that comes first
}

var _ limiter.Store = (*store)(nil)

func (s *store) find(id string) (int, bool) {
	return slices.BinarySearchFunc(s.entries, id, func(e entry, id string) int { return strings.Compare(e.id, id) })
}

func (s *store) Load(_ context.Context, id string) ([]byte, uint64, error) {
	i, ok := s.find(id)
	if !ok {
		return nil, 0, limiter.ErrNotFound
	}
	return bytes.Clone(s.entries[i].value), s.entries[i].version + 1, nil
}

func (s *store) Create(_ context.Context, id string, value []byte) error {
	if _, ok := s.find(id); ok {
		return limiter.ErrConflict
	}
	return s.write(id, value)
}

func (s *store) Swap(_ context.Context, id string, version uint64, value []byte) error {
	if f := s.between; f != nil {
		s.between = nil
		f()
	}
	if i, ok := s.find(id); !ok || version != s.entries[i].version+1 {
		return limiter.ErrConflict
	}
	return s.write(id, value)
}

func (s *store) write(id string, value []byte) error {
	if s.over {
		return protocoltest.ErrLost
	}
	s.writes++
	n := s.c.choose("", "the node crashes before the write", "the node crashes after the write", "the write fails", "the write is said to fail")
	if n == 0 || n == 2 || n == 4 {
		i, ok := s.find(id)
		s.entries = slices.Clone(s.entries)
		if ok {
			s.entries[i].value, s.entries[i].version = bytes.Clone(value), s.entries[i].version+1
		} else {
			s.entries = slices.Insert(s.entries, i, entry{id: id, value: bytes.Clone(value)})
		}
	}
	switch n {
	case 1, 2:
		s.over = true
		panic(crashed{})
	case 3, 4:
		return protocoltest.ErrLost
	}
	return nil
}
