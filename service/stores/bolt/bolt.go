// Package bolt is a [limiter.Store] in one file on the local disk, for a service that
// runs on one machine. It is built on go.etcd.io/bbolt, and is a [limiter.Lister].
//
// # Durability
//
// Every Create and Swap is on disk (fdatasync) before it returns; there is no switch to
// turn that off. Writes that arrive while another is being synced are written together by
// the next sync. Load returns nothing that is not yet on disk either. Opening syncs the
// file, in case a killed process left something unsynced, and its directory. What is left
// to trust is the disk: one that confirms what it only holds in a volatile cache loses
// counts with the power.
//
// If a sync fails, nobody knows what is on disk, and asking again may get a wrong
// answer: the kernel may have dropped the pages and still show them. The store then
// refuses everything. Opening it in a new process is not enough, since the kernel's pages
// are the same: reboot, or move the file to a disk that can be trusted, before the
// service starts again.
//
// A full disk is another matter. A write that finds no room fails before anything of it
// counts ([ErrFull]): it did not happen and will not. Load goes on meanwhile, and writes
// succeed again as soon as there is room.
//
// # Damage
//
// bbolt believes its file. This package reads the file by itself and believes nothing: a
// record has a checksum, bound to its id; a page must be the one that the branch above it
// means, and must not be free; an id is absent only where two records are neighbours. So
// a flipped bit shows as [ErrDamaged] from the calls that need the page, and never as
// another value, an older one, or a record that was never there. bbolt writes only along
// pages that were checked in the same transaction, so that none sends it into a loop or
// lets it take memory without bound. If bbolt still finds a fault, in a neighbour of
// these pages, the store ends: it must be opened anew, and so be checked. What is
// committed while a call reads is never taken for damage, nor damage for a commit, on a
// slow machine either.
//
// [Open] and [Store.Check] check all of a file: every page has exactly one use, every
// record is whole. Open refuses a file with a damaged meta page as well, from which bbolt
// would silently go back by one transaction. No such check can find an older copy of the
// whole file.
//
// # Security
//
// The file is trusted, as limiter.Store says (docs/scheme.md, section 12): an older copy
// in its place, a restored backup included, gives every thief his tries back. Whoever can
// write to it can write checksums, too. A new file is readable and writable by its owner
// only; a mode that was widened later stays.
package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/tandem-rsa/tandem/internal/durable"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// Options are settings for [Open]. The zero value is good.
type Options struct {
	// LockTimeout is how long to wait for another process to close the store. Zero means
	// one second.
	LockTimeout time.Duration

	// For tests:
	disk    durable.Disk          // shows the sync of the directory
	sync    func(*bbolt.DB) error // in place of (*bbolt.DB).Sync when the file is opened
	between func()                // called between the check of the file and its lock
}

var (
	// ErrInUse is returned by Open if another process has the store open.
	ErrInUse = errors.New("bolt: store is in use by another process")

	// ErrFormat is returned by Open for a file that is not a store, or one of a newer
	// version. It is left as it is.
	ErrFormat = errors.New("bolt: not a store that this version can read")

	// ErrDamaged is returned for a file, or a page or a record in it, that is damaged.
	// The call wrote nothing.
	ErrDamaged = errors.New("bolt: damaged store")

	// ErrFull is returned by Create, Swap and Ping when the disk, a quota or a limit of
	// the process leaves no room. The call wrote nothing, and will not.
	ErrFull = errors.New("bolt: no room for a write")

	// ErrClosed is returned by every method of a closed store, of a nil one and of the
	// zero value.
	ErrClosed = errors.New("bolt: store is closed")
)

// Store is a [limiter.Store] in a file. Close it when done.
type Store struct {
	*handle
	writes  chan *write
	closing chan struct{}
	once    sync.Once
	stopped chan struct{} // closed once no write is under way or will be

	mu      sync.Mutex
	broken  error         // why nothing can be trusted any more
	durable int           // id of the last transaction known to be on disk
	settled chan struct{} // closed and replaced whenever durable or broken changes
}

var (
	_ limiter.Store  = (*Store)(nil)
	_ limiter.Lister = (*Store)(nil)
)

// handle is an open file, as bbolt has it and as this package reads it.
type handle struct {
	db       *bbolt.DB
	file     io.ReaderAt // tests stand between
	pageSize int
}

const (
	// mapSize is address space for the file to grow into. Beyond it bbolt has to wait for
	// its readers, such as a backup, before it can write.
	mapSize = 1 << 30
	// growBy is how much the file grows at once.
	growBy = 1 << 20
)

// openHandle opens and locks the file, without a check.
func openHandle(path string, o Options, readOnly bool) (*handle, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	h := new(handle)
	options := &bbolt.Options{Timeout: o.LockTimeout, ReadOnly: readOnly}
	options.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		h.file = f
		return f, err
	}
	if runtime.GOOS != "windows" && !readOnly && ^uint(0)>>32 > 0 {
		options.InitialMmapSize = mapSize
	}
	err := guard(func() (err error) {
		h.db, err = bbolt.Open(path, 0o600, options)
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
	h.db.AllocSize = growBy
	h.pageSize = h.db.Info().PageSize
	return h, nil
}

// Open opens the store in the file at path, checks all of it, and locks it against other
// processes. The file is created, with mode 0600, if it does not exist; its directory
// must. Errors are [ErrInUse], [ErrFormat], [ErrDamaged], or those of the file system.
//
// The check reads the whole file once: some ten seconds for a million records.
func Open(path string, o Options) (*Store, error) {
	h, err := openChecked(path, o)
	if err != nil {
		return nil, err
	}
	if err := guard(h.prepare); err != nil && !errors.Is(err, errPrepared) {
		return nil, errors.Join(fmt.Errorf("bolt: %s: %w", path, err), h.db.Close())
	}
	if o.sync == nil {
		o.sync = (*bbolt.DB).Sync
	}
	// Sync both the file and its name on every opening: the process that created the file
	// may have been killed before it did.
	newest, err := h.newest()
	if err := errors.Join(err, o.sync(h.db), o.disk.SyncFolder(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: %w", err), h.db.Close())
	}
	s := &Store{
		handle: h, writes: make(chan *write), closing: make(chan struct{}), stopped: make(chan struct{}),
		settled: make(chan struct{}), durable: int(newest.transaction),
	}
	go s.commitLoop()
	return s, nil
}

// openChecked checks the file before bbolt opens it for writing, which believes its
// freelist then.
func openChecked(path string, o Options) (*handle, error) {
	for range 3 {
		var checked uint64
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			if checked, err = checkFile(context.Background(), path, o); err != nil {
				return nil, err
			}
		}
		if o.between != nil {
			o.between()
		}
		h, err := openHandle(path, o, false)
		if err != nil {
			return nil, err
		}
		now, err := h.newest()
		if err == nil && (now.transaction == checked || checked == 0) {
			return h, nil
		}
		// Between the two locks another process had it. (A new file is at transaction 1.)
		if err := errors.Join(err, h.db.Close()); err != nil {
			return nil, fmt.Errorf("bolt: %w", err)
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrInUse, path)
}

// guard calls f and makes an error of a panic, which is bbolt's answer to a damaged page,
// and of a fault, which is the kernel's for a mapped page beyond the end of a truncated
// file.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p}
		}
	}()
	return f()
}

// panicError is what bbolt panicked with.
type panicError struct{ value any }

func (p *panicError) Error() string { return fmt.Sprintf("%v: %v", ErrDamaged, p.value) }
func (p *panicError) Unwrap() error { return ErrDamaged }

func isPanic(err error) bool {
	var p *panicError
	return errors.As(err, &p)
}

// prepare fills a new file.
func (h *handle) prepare() error {
	return h.db.Update(func(tx *bbolt.Tx) error {
		if tx.ID() != firstTransaction+1 {
			return errPrepared
		}
		records, err := tx.CreateBucket(recordsBucket)
		if err != nil {
			return err
		}
		for _, end := range [][]byte{lowerEnd, upperEnd} {
			if err := records.Put(end, record{version: 1}.encode(end)); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if err := meta.Put(versionKey, record{version: 1}.encode(versionKey)); err != nil {
			return err
		}
		return meta.Put(formatKey, []byte{format})
	})
}

var errPrepared = errors.New("bolt: file is not new")

// Close waits for the writes under way and closes the file. Only the first call does
// anything.
func (s *Store) Close() error {
	err := ErrClosed
	if s == nil || s.handle == nil {
		return err
	}
	s.once.Do(func() {
		close(s.closing)
		<-s.stopped
		err = s.db.Close()
	})
	return err
}

// ready returns why no call can be served, or nil.
func (s *Store) ready(ctx context.Context) error {
	if s == nil || s.handle == nil {
		return ErrClosed
	}
	if ctx == nil {
		return errors.New("bolt: no context")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return ErrClosed
	default:
		return s.usable()
	}
}

// readyFor is ready for a call with an id and a value.
func (s *Store) readyFor(ctx context.Context, id string, value []byte) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return limiter.CheckRecord(id, value)
}

// usable returns the error that made the store unusable, if any.
func (s *Store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// Load implements [limiter.Store].
func (s *Store) Load(ctx context.Context, id string) (value []byte, version uint64, err error) {
	if err := s.readyFor(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	err = s.view(ctx, func(snap *snapshot) error {
		r, found, err := snap.lookup(recordKey(id))
		if err == nil && !found {
			err = limiter.ErrNotFound
		}
		value, version = r.value, r.version
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return bytes.Clone(value), version, nil // not the page that it is part of
}

// Create implements [limiter.Store].
func (s *Store) Create(ctx context.Context, id string, value []byte) error {
	return s.write(ctx, &write{key: recordKey(id), create: true}, value)
}

// Swap implements [limiter.Store].
func (s *Store) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	return s.write(ctx, &write{key: recordKey(id), version: version}, value)
}

// Ping checks that the store answers and that the disk takes writes: it writes an empty
// transaction and syncs it, which costs as much as an attempt. Errors are those of a
// write. For a disk that hangs, ctx should have a deadline.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.hand(ctx, &write{ping: true})
}
