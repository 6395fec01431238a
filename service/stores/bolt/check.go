package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Check reads the whole store as it is at one moment and checks it: the error is
// [ErrDamaged] if a page has no use or more than one, if a record is not whole, or if
// anything is out of order. It may run while the service does. It takes a bit of memory
// for each page, and as long as the file takes to read.
func (s *Store) Check(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.viewAt(ctx, func(_ *bbolt.Tx, id uint64) error {
		_, err := checkSnapshot(ctx, s.file, s.pageSize, id)
		return known(err)
	})
}

// known makes of ErrFormat what it is in a file that had the right format when it was
// opened.
func known(err error) error {
	if errors.Is(err, ErrFormat) {
		return damaged("%w", err)
	}
	return err
}

// CheckFile is [Store.Check] for a store that no process has open. It changes nothing.
func CheckFile(ctx context.Context, path string) error {
	_, err := checkFile(ctx, path, Options{})
	return err
}

func checkFile(ctx context.Context, path string, o Options) (transaction uint64, err error) {
	h, err := openHandle(path, o, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.db.Close()) }()
	transaction, err = h.check(ctx)
	if errors.Is(err, errEmpty) { // killed before it was prepared
		return 0, nil
	}
	if err != nil {
		err = fmt.Errorf("bolt: %s: %w", path, err)
	}
	return transaction, err
}

// check checks the file's newest state. bbolt is not asked anything.
func (h *handle) check(ctx context.Context) (transaction uint64, err error) {
	if transaction, err = h.transaction(); err != nil {
		return 0, err
	}
	_, err = checkSnapshot(ctx, h.file, h.pageSize, transaction)
	return transaction, err
}

// transaction returns the id of the newest transaction.
func (h *handle) transaction() (uint64, error) { return newestTransaction(h.file, h.pageSize) }

// newestTransaction needs both meta pages whole: if one is not, it may have been the
// newer one.
func newestTransaction(file io.ReaderAt, pageSize int) (uint64, error) {
	first, err := readMeta(file, 0)
	second, err2 := readMeta(file, int64(pageSize))
	if err := errors.Join(err, err2); err != nil {
		return 0, err
	}
	newest := max(first.transaction, second.transaction)
	if newest-min(first.transaction, second.transaction) != 1 || first.transaction%2 != 0 {
		return 0, damaged("transactions %d and %d", first.transaction, second.transaction)
	}
	return newest, nil
}

// anyMeta returns an error if bbolt would find no meta page, and panic with a lock in its
// hand.
func (h *handle) anyMeta() error {
	_, first := readMeta(h.file, 0)
	if first == nil {
		return nil
	}
	if _, second := readMeta(h.file, int64(h.pageSize)); second != nil {
		if errors.Is(second, fs.ErrClosed) {
			return ErrClosed
		}
		return errors.Join(first, second)
	}
	return nil
}

// checkSnapshot checks all that a transaction left: each page is a meta page, or part of
// the freelist, or free, or part of the tree, and only one of these.
func checkSnapshot(ctx context.Context, file io.ReaderAt, pageSize int, transaction uint64) (*snapshot, error) {
	var used pageSet
	use := func(id, overflow uint64) error {
		for end := id + overflow; id <= end; id++ {
			if used.add(id) {
				return damaged("page %d is used twice", id)
			}
		}
		return ctx.Err()
	}
	m, err := readMeta(file, int64(transaction%2)*int64(pageSize))
	if err != nil || m.transaction != transaction {
		return nil, errors.Join(errMoved, err)
	}
	// The last page is there, so that the file bounds what the set takes.
	if _, err := file.ReadAt(make([]byte, 1), int64(m.end)*int64(pageSize)-1); err != nil || m.end > 1<<40 {
		return nil, damaged("the file has less than %d pages", m.end)
	}
	used = make(pageSet, m.end/64+1)
	if err := use(0, 1); err != nil {
		return nil, err
	}
	s, err := newSnapshot(file, pageSize, transaction, use)
	if err != nil {
		return nil, err
	}
	if err := s.checkRecords(); err != nil {
		return nil, err
	}
	s.visit = nil
	return s, s.checkFree(use, used)
}

func (s *snapshot) checkRecords() error {
	var last []byte
	err := s.walk(nil, func(key []byte, _ record) (bool, error) {
		if last == nil && !bytes.Equal(key, lowerEnd) || last != nil && bytes.Compare(last, key) >= 0 {
			return false, damaged("records are out of order")
		}
		last = append(last[:0], key...)
		return true, nil
	})
	if err == nil && !bytes.Equal(last, upperEnd) {
		err = damaged("the last record is missing")
	}
	return err
}

// checkFree checks the freelist, and that no page is without a use: it may have been a
// part of the tree.
func (s *snapshot) checkFree(use func(id, overflow uint64) error, used pageSet) error {
	list := io.NewSectionReader(s.file, s.freeAt, 8*int64(s.free))
	b := make([]byte, 8<<10)
	for last := uint64(1); ; {
		n, err := io.ReadFull(list, b)
		for i := 0; i+8 <= n; i += 8 {
			id := native.Uint64(b[i:])
			if id <= last || id >= s.end {
				return damaged("the freelist has page %d after %d", id, last)
			}
			if err := use(id, 0); err != nil {
				return err
			}
			last = id
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return damaged("freelist: %w", err)
		}
	}
	for id := range s.end {
		if !used.has(id) {
			return damaged("page %d has no use", id)
		}
	}
	return nil
}

// pageSet is a set of pages, a bit each.
type pageSet []uint64

// add reports whether the page was in the set already. A page outside of the file counts
// as one.
func (p pageSet) add(id uint64) bool {
	if id/64 >= uint64(len(p)) {
		return true
	}
	was := p.has(id)
	p[id/64] |= 1 << (id % 64)
	return was
}

func (p pageSet) has(id uint64) bool { return p[id/64]>>(id%64)&1 == 1 }

// viewAt calls f in a reading transaction of bbolt, which keeps the pages of that state,
// and returns once the state is known to be durable.
func (s *Store) viewAt(ctx context.Context, f func(tx *bbolt.Tx, id uint64) error) error {
	err := errMoved
	for range 10 { // a page that has moved this often has not moved: it is damaged
		s.mu.Lock()
		least := s.durable
		s.mu.Unlock()
		if err := s.anyMeta(); err != nil {
			return err
		}
		var seen int
		err = guard(func() error {
			return s.db.View(func(tx *bbolt.Tx) error {
				if seen = tx.ID(); seen < least {
					return damaged("transaction %d is gone", least)
				}
				return f(tx, uint64(seen))
			})
		})
		if isPanic(err) {
			s.settle(0, err) // bbolt may have kept a lock
			return err
		}
		if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
			return ErrClosed // closed meanwhile
		}
		if err := s.awaitDurable(ctx, seen); err != nil {
			return err
		}
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return err
}

// view calls f with the present state.
func (s *Store) view(ctx context.Context, f func(*snapshot) error) error {
	return s.viewAt(ctx, func(_ *bbolt.Tx, id uint64) error {
		snap, err := newSnapshot(s.file, s.pageSize, id, nil)
		if err != nil {
			return known(err)
		}
		return f(snap)
	})
}
