package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// maxBatch bounds the writes of one transaction, and so how long its first one waits for
// the others.
const maxBatch = 256

// write is one Create, Swap or Ping on its way to the disk.
type write struct {
	key     []byte
	create  bool
	ping    bool   // nothing is written, and synced
	version uint64 // that must be current, unless create
	value   []byte // a copy
	err     error  // what apply returned; final if the transaction succeeds
	result  chan error
}

// write hands w to the commit loop and waits for its result.
func (s *Store) write(ctx context.Context, w *write, value []byte) error {
	if err := s.readyFor(ctx, string(w.key[1:]), value); err != nil {
		return err
	}
	w.value = bytes.Clone(value)
	return s.hand(ctx, w)
}

func (s *Store) hand(ctx context.Context, w *write) error {
	w.result = make(chan error, 1)
	select {
	case s.writes <- w:
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("bolt: result of the write unknown: %w", ctx.Err())
	}
}

// commitLoop writes everything that waits in one transaction, with one sync, while the
// next writes gather. So a single write waits for nobody, and many at once share the cost
// of a sync. (bbolt's own Batch waits for company: 10 ms for a write that comes alone.)
func (s *Store) commitLoop() {
	defer close(s.stopped)
	for {
		var batch []*write
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		case <-s.closing:
			return
		}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case w := <-s.writes:
				batch = append(batch, w)
			default:
				more = false
			}
		}
		s.commit(batch)
	}
}

// errNothing rolls back a transaction without a write, to save the sync.
var errNothing = errors.New("bolt: nothing to write")

// commit settles each write of the batch in turn, each seeing the ones before it, and
// answers them once the transaction is on disk.
func (s *Store) commit(batch []*write) {
	answer := func(err error) {
		for _, w := range batch {
			w.result <- err
		}
	}
	if err := s.usable(); err != nil {
		answer(err)
		return
	}
	metas, err := s.metaPages()
	if err == nil {
		err = s.anyMeta()
	}
	if errors.Is(err, ErrDamaged) {
		answer(err)
		return
	}
	id, refused := 0, false
	err = guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			id = tx.ID()
			b, err := s.begin(tx)
			if err != nil {
				refused = true
				return err
			}
			return b.apply(batch)
		})
	})
	switch {
	case err == nil:
		s.settle(id, nil)
	case err == errNothing:
	case refused: // before anything was written
		answer(err)
		return
	case s.full(err, metas):
		answer(fmt.Errorf("%w: %w", ErrFull, err))
		return
	default:
		// All results are unknown, those of conflicts too: they were decided on writes
		// that may not have happened. The error is not ErrDamaged, which says that
		// nothing was written.
		err = fmt.Errorf("bolt: write failed: %v", err)
		s.settle(0, err)
		answer(err)
		return
	}
	for _, w := range batch {
		w.result <- w.err
	}
}

// batch is a transaction that is being filled.
type batch struct {
	*snapshot // the state before, and the last version given
	records   *bbolt.Bucket
	meta      *bbolt.Bucket
	written   map[string]record // in this transaction
}

// begin reads the state that the transaction builds on. bbolt touches no page but the
// root, the freelist and those on the way to the records that are written: these are
// checked here and by lookup.
func (s *Store) begin(tx *bbolt.Tx) (*batch, error) {
	durable := s.lastDurable()
	if tx.ID() != durable+1 {
		return nil, damaged("transaction %d comes after %d", tx.ID(), durable)
	}
	m, err := metaOf(s.file, s.pageSize, uint64(durable))
	if err != nil {
		return nil, err
	}
	snap, err := newSnapshot(s.file, m, nil)
	if err != nil {
		return nil, damaged("transaction %d: %w", durable, err)
	}
	return &batch{snap, tx.Bucket(recordsBucket), tx.Bucket(metaBucket), make(map[string]record)}, nil
}

// apply writes what can be written. An error that concerns one write alone goes into that
// write.
func (b *batch) apply(writes []*write) error {
	result := errNothing
	for _, w := range writes {
		if w.ping {
			result = nil
			continue
		}
		if w.err = b.decide(w); w.err != nil {
			continue
		}
		if b.last++; b.last > lastVersion {
			return damaged("no versions are left")
		}
		r := record{b.last, w.value}
		if err := b.records.Put(w.key, r.encode(w.key)); err != nil {
			return err
		}
		b.written[string(w.key)] = r
		result = nil
	}
	if len(b.written) == 0 {
		return result
	}
	return b.meta.Put(versionKey, record{version: b.last}.encode(versionKey))
}

// decide returns nil if w may be written.
func (b *batch) decide(w *write) error {
	old, found := b.written[string(w.key)]
	if !found {
		var err error
		if old, found, err = b.lookup(w.key); err != nil {
			return err
		}
	}
	if found == w.create || found && old.version != w.version {
		return limiter.ErrConflict
	}
	return nil
}

// settle records that a transaction is on disk, or that nobody knows what is.
func (s *Store) settle(id int, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failure == nil {
		s.durable = id
	} else if s.broken == nil {
		s.broken = fmt.Errorf("bolt: store must be opened anew: %w", failure)
	}
	close(s.settled)
	s.settled = make(chan struct{})
}

// lastDurable returns the id of the last transaction known to be on disk.
func (s *Store) lastDurable() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// awaitDurable waits until the transaction id is on disk. bbolt shows a transaction to
// readers as soon as its meta page is written, which is before that page is synced. If
// such a count were answered to a device and then lost with the power, nobody would have
// counted the answer.
func (s *Store) awaitDurable(ctx context.Context, id int) error {
	for {
		s.mu.Lock()
		durable, broken, settled := s.durable, s.broken, s.settled
		s.mu.Unlock()
		if broken != nil {
			return broken
		}
		if id <= durable {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
