// Package bolt is a [pinlock.Store] in one file on the local disk, for a service that runs on
// one machine. It is built on go.etcd.io/bbolt.
//
// # Durability
//
// Every Create and Swap is on disk (fdatasync) before it returns; there is no switch to turn
// that off. Writes that arrive while another is being synced are written together by the next sync.
// Load returns nothing that is not yet on disk either. Opening syncs the file, in case a killed process
// left something unsynced, and its directory. What is left to trust is the disk: one that confirms what
// it only holds in a volatile cache loses counts with the power.
//
// If a sync fails, nobody knows what is on disk, and asking again may be answered with a lie: the
// kernel may have dropped the pages and show them all the same. The store then refuses everything. To open
// it anew in a new process is not enough, since the kernel's pages are the same: reboot, or move the file
// to a disk that can be trusted, before the service starts again.
//
// A damaged page shows as an error of the calls that need it ([ErrDamaged]), not as a panic; where a
// write meets one, the store refuses everything from then on.
//
// # Security
//
// The file is trusted, as pinlock.Store says: whoever can put an older copy in its place gives
// every thief his tries back. That includes restoring a backup. A new file is created
// readable and writable by its owner only; a mode that was widened later is left alone.
package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/tandem-rsa/tandem/pinlock"
)

// The file holds two buckets. Integers are big-endian.
//
//	meta     "format" -> version of this layout, 1 byte
//	records  id -> version of the record (8 bytes) || value
//
// Versions are the records bucket's sequence numbers: one count for all records, so that no
// version ever comes back, even if a record were removed by other means.
var (
	metaBucket    = []byte("meta")
	recordsBucket = []byte("records")
	formatKey     = []byte("format")
)

const (
	format        = 1
	versionLength = 8
)

// Options are what may be set when a store is opened. The zero value is good.
type Options struct {
	// LockTimeout is how long to wait for another process to close the store. Zero means one second.
	LockTimeout time.Duration
}

var (
	// ErrInUse is returned by Open if another process has the store open.
	ErrInUse = errors.New("bolt: store is in use by another process")

	// ErrFormat is returned by Open for a file that is not a store, or one of a newer version. It
	// is left as it is.
	ErrFormat = errors.New("bolt: not a store that this version can read")

	// ErrDamaged is returned for a file, or a record in it, that is damaged.
	ErrDamaged = errors.New("bolt: damaged store")

	// ErrClosed is returned by every method of a closed store, of a nil one and of the zero value.
	ErrClosed = errors.New("bolt: store is closed")
)

// Store is a [pinlock.Store] in a file. Close it when done.
type Store struct {
	db      *bbolt.DB
	writes  chan *write
	closing chan struct{}
	once    sync.Once
	stopped chan struct{} // closed once no write is under way or will be

	mu      sync.Mutex
	broken  error         // why nothing can be trusted any more
	durable int           // id of the last transaction known to be on disk
	settled chan struct{} // closed and replaced whenever durable or broken changes
}

var _ pinlock.Store = (*Store)(nil)

// Open opens the store in the file at path and locks it against other processes. The file is
// created, with mode 0600, if it does not exist; its directory must. Errors are [ErrInUse],
// [ErrFormat], [ErrDamaged], or those of the file system.
func Open(path string, o Options) (*Store, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: o.LockTimeout})
		return err
	})
	switch {
	case errors.Is(err, ErrDamaged):
		return nil, fmt.Errorf("%w: %s", err, path)
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrVersionMismatch), errors.Is(err, bbolterrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, path, err)
	case err != nil:
		return nil, fmt.Errorf("bolt: %w", err)
	}
	if err := guard(func() error { return prepare(db) }); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", err, path), db.Close())
	}
	if err := errors.Join(db.Sync(), syncDirectory(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: %w", err), db.Close())
	}
	s := &Store{
		db: db, writes: make(chan *write), closing: make(chan struct{}), stopped: make(chan struct{}),
		settled: make(chan struct{}),
	}
	if err := db.View(func(tx *bbolt.Tx) error { s.durable = tx.ID(); return nil }); err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: %w", err), db.Close())
	}
	go s.commitLoop()
	return s, nil
}

// guard calls f and makes an error of a panic, which is how bbolt meets a damaged page, and of a fault,
// which is how the kernel answers for a mapped page beyond the end of a truncated file.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// prepare checks the format of a store and writes that of a new one.
func prepare(db *bbolt.DB) error {
	empty := false
	err := db.View(func(tx *bbolt.Tx) error {
		if first, _ := tx.Cursor().First(); first == nil {
			empty = true
			return nil
		}
		meta := tx.Bucket(metaBucket)
		if meta == nil || tx.Bucket(recordsBucket) == nil {
			return ErrFormat
		}
		if v := meta.Get(formatKey); !bytes.Equal(v, []byte{format}) {
			return fmt.Errorf("%w: format %x, want %02x", ErrFormat, v, format)
		}
		return nil
	})
	if err != nil || !empty {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket(recordsBucket); err != nil {
			return err
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return meta.Put(formatKey, []byte{format})
	})
}

// syncDirectory makes the file's name durable, which syncing the file does not. It is done on every
// opening, since the process that created the file may have been killed before it came to this.
// Windows cannot sync a directory, and keeps names by itself (NTFS journals them).
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close waits for the writes under way and closes the file. Only the first call does anything.
func (s *Store) Close() error {
	err := ErrClosed
	if s == nil || s.db == nil {
		return err
	}
	s.once.Do(func() {
		close(s.closing)
		<-s.stopped
		err = s.db.Close()
	})
	return err
}

// ready returns why no call can be served, if so.
func (s *Store) ready(ctx context.Context, id string, value []byte) error {
	if s == nil || s.db == nil {
		return ErrClosed
	}
	if ctx == nil {
		return errors.New("bolt: no context")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := pinlock.CheckID(id); err != nil {
		return err
	}
	if err := pinlock.CheckValue(value); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return ErrClosed
	default:
		return s.usable()
	}
}

// usable returns the error that made the store unusable, if any.
func (s *Store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// errDamaged concerns one record: no record is shorter than its version.
var errDamaged = fmt.Errorf("%w: a record without version", ErrDamaged)

// Load implements [pinlock.Store].
func (s *Store) Load(ctx context.Context, id string) (value []byte, version uint64, err error) {
	if err := s.ready(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	var seen int
	view := func(tx *bbolt.Tx) error {
		seen = tx.ID()
		record := tx.Bucket(recordsBucket).Get([]byte(id))
		if record == nil {
			return pinlock.ErrNotFound
		}
		if len(record) < versionLength {
			return errDamaged
		}
		version = binary.BigEndian.Uint64(record)
		value = bytes.Clone(record[versionLength:]) // the record's memory belongs to the transaction
		return nil
	}
	err = guard(func() error { return s.db.View(view) })
	if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
		return nil, 0, ErrClosed // closed meanwhile
	}
	if err := s.awaitDurable(ctx, seen); err != nil {
		return nil, 0, err
	}
	if err != nil {
		return nil, 0, err
	}
	return value, version, nil
}

// Create implements [pinlock.Store].
func (s *Store) Create(ctx context.Context, id string, value []byte) error {
	return s.write(ctx, &write{id: []byte(id), create: true}, value)
}

// Swap implements [pinlock.Store].
func (s *Store) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	return s.write(ctx, &write{id: []byte(id), version: version}, value)
}
