package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/tandem-rsa/tandem/pinlock"
)

// maxBatch bounds the writes of one transaction, and so how long its first one waits for the others.
const maxBatch = 256

// write is one Create or Swap on its way to the disk.
type write struct {
	id      []byte
	create  bool
	version uint64 // that must be current, unless create
	record  []byte // room for the new version, then a copy of the value
	err     error  // what apply returned; final if the transaction succeeds
	result  chan error
}

// write hands w to the commit loop and waits for its result.
func (s *Store) write(ctx context.Context, w *write, value []byte) error {
	if err := s.ready(ctx, string(w.id), value); err != nil {
		return err
	}
	w.record = append(make([]byte, versionLength, versionLength+len(value)), value...)
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

// commitLoop writes everything that waits in one transaction, with one sync, while the next writes gather.
// So a single write waits for nobody, and many at once share the cost of a sync. (bbolt's own Batch waits
// for company: 10 ms for a write that comes alone.)
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

// errNothing rolls back a transaction in which no write took place, to save the sync.
var errNothing = errors.New("bolt: nothing to write")

// commit settles each write of the batch in turn, each seeing the ones before it, and answers them once
// the transaction is on disk.
func (s *Store) commit(batch []*write) {
	id, err := 0, s.usable()
	if err == nil {
		update := func(tx *bbolt.Tx) error {
			id = tx.ID()
			written := errNothing
			for _, w := range batch {
				switch w.err = w.apply(tx.Bucket(recordsBucket)); w.err {
				case nil:
					written = nil
				case pinlock.ErrConflict, errDamaged: // this one's own matter
				default:
					return w.err
				}
			}
			return written
		}
		err = guard(func() error { return s.db.Update(update) })
	}
	if err != nil && err != errNothing {
		// All results are unknown, those of conflicts too: they were decided on writes that
		// may not have happened.
		err = fmt.Errorf("bolt: write failed: %w", err)
		s.settle(0, err)
		for _, w := range batch {
			w.result <- err
		}
		return
	}
	if err == nil {
		s.settle(id, nil)
	}
	for _, w := range batch {
		w.result <- w.err
	}
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

// awaitDurable waits until the transaction id is on disk. bbolt shows a transaction to readers as soon as its
// meta page is written, which is before that page is synced. Answered to a device and then lost with the
// power, such a count would be an answer that nobody counted.
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

func (w *write) apply(records *bbolt.Bucket) error {
	old := records.Get(w.id)
	switch {
	case w.create:
		if old != nil {
			return pinlock.ErrConflict
		}
	case old == nil:
		return pinlock.ErrConflict
	case len(old) < versionLength:
		return errDamaged
	case !bytes.Equal(old[:versionLength], binary.BigEndian.AppendUint64(nil, w.version)):
		return pinlock.ErrConflict
	}
	version, err := records.NextSequence()
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint64(w.record, version)
	return records.Put(w.id, w.record)
}
