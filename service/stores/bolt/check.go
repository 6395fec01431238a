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
	return s.viewAt(ctx, func(m meta) error {
		_, err := checkSnapshot(ctx, s.file, m)
		return known(err)
	})
}

// known turns ErrFormat into ErrDamaged, for a file that had the right format when it was
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
	m, err := h.newest()
	if err != nil {
		return 0, err
	}
	_, err = checkSnapshot(ctx, h.file, m)
	return m.transaction, err
}

// newest returns the meta page of the newest transaction of a file to which nobody
// writes.
func (h *handle) newest() (meta, error) { return newestMeta(h.file, h.pageSize) }

// newestMeta needs both meta pages whole: a damaged one may have been the newer.
func newestMeta(file io.ReaderAt, pageSize int) (meta, error) {
	even, err := readMeta(file, pageSize, 0)
	odd, err2 := readMeta(file, pageSize, 1)
	if err := errors.Join(err, err2); err != nil {
		return meta{}, err
	}
	older, newer := even, odd
	if older.transaction > newer.transaction {
		older, newer = newer, older
	}
	if newer.transaction-older.transaction != 1 || even.transaction%2 != 0 {
		return meta{}, damaged("transactions %d and %d", even.transaction, odd.transaction)
	}
	return newer, nil
}

// anyMeta returns an error if bbolt would find no meta page: it would panic with a lock
// held.
func (h *handle) anyMeta() error {
	_, first := readMeta(h.file, h.pageSize, 0)
	if first == nil {
		return nil
	}
	if _, second := readMeta(h.file, h.pageSize, 1); second != nil {
		if errors.Is(second, fs.ErrClosed) {
			return ErrClosed
		}
		return errors.Join(first, second)
	}
	return nil
}

// checkSnapshot checks all that a transaction left: each page is a meta page, or of the
// freelist, or free, or of the tree, and only one of these.
func checkSnapshot(ctx context.Context, file io.ReaderAt, m meta) (*snapshot, error) {
	var used pageSet
	use := func(id, overflow uint64) error {
		for end := id + overflow; id <= end; id++ {
			if used.add(id) {
				return damaged("page %d is used twice", id)
			}
		}
		return ctx.Err()
	}
	// The last page must be there, so that the file bounds the memory of the set.
	if _, err := file.ReadAt(make([]byte, 1), int64(m.end)*int64(m.pageSize)-1); err != nil || m.end > 1<<40 {
		return nil, damaged("the file has less than %d pages", m.end)
	}
	used = make(pageSet, m.end/64+1)
	if err := use(0, 1); err != nil {
		return nil, err
	}
	s, err := newSnapshot(file, m, use)
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

// checkFree checks the freelist, and that every page has a use: one without may have been
// a part of the tree.
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

// viewAt calls f with the newest state and returns once that is known to be durable. A
// reading transaction of bbolt keeps the pages of the state while f runs, but not its
// meta page, which the second commit after it overwrites. So viewAt reads that page once
// and first; if it is gone by then, or half of it is, viewAt begins anew, until ctx ends.
// A damaged page is not taken for an overwritten one: without a commit meanwhile nothing
// overwrote it, and no commit builds on a damaged page.
func (s *Store) viewAt(ctx context.Context, f func(meta) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		least := s.lastDurable()
		if err := s.anyMeta(); err != nil {
			if s.lastDurable() > least {
				continue
			}
			return err
		}
		var seen int
		var overtaken bool
		err := guard(func() error {
			return s.db.View(func(tx *bbolt.Tx) error {
				seen = tx.ID()
				m, err := metaOf(s.file, s.pageSize, uint64(seen))
				// Read after the page, so that it counts the commits that may have
				// overwritten the page.
				last := s.lastDurable()
				if seen < least || seen > last+1 {
					return damaged("transaction %d is not between %d and %d", seen, least, last+1)
				}
				if overtaken = err != nil && last > seen; err != nil {
					return err
				}
				return f(m)
			})
		})
		switch {
		case overtaken:
			continue
		case isPanic(err):
			s.settle(0, err) // bbolt may have kept a lock
			return err
		case errors.Is(err, ErrDamaged):
			return err // of no state, so that there is nothing to wait for
		case errors.Is(err, bbolterrors.ErrDatabaseNotOpen):
			return ErrClosed // closed meanwhile
		}
		if err := s.awaitDurable(ctx, seen); err != nil {
			return err
		}
		return err
	}
}

// view calls f with the present state.
func (s *Store) view(ctx context.Context, f func(*snapshot) error) error {
	return s.viewAt(ctx, func(m meta) error {
		snap, err := newSnapshot(s.file, m, nil)
		if err != nil {
			return known(err)
		}
		return f(snap)
	})
}
