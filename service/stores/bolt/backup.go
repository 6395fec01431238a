package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// Backup writes the store, as it is at one moment, to w: what it writes is a file that [Open] takes. Every
// write that was confirmed before Backup was called is in it. It checks the store first, as
// [Store.Check] does, and writes nothing of a damaged one. The service goes on meanwhile; pages that it
// frees are not used again until Backup is done, so w should be a file and not a slow line.
//
// To copy the file of a running store in another way gives a damaged copy.
//
// A backup that is restored gives every thief the tries back that were counted since: see the package's
// Security.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if w == nil {
		return errors.New("bolt: no writer for the backup")
	}
	return s.viewAt(ctx, func(tx *bbolt.Tx, id uint64) error {
		if err := s.awaitDurable(ctx, int(id)); err != nil {
			return err
		}
		return known(backup(ctx, s.handle, tx, id, w))
	})
}

// BackupFile is [Store.Backup] for a store that no process has open.
func BackupFile(ctx context.Context, path string, w io.Writer) (err error) {
	h, err := openHandle(path, Options{}, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.db.Close()) }()
	newest, err := h.transaction()
	if err != nil {
		return fmt.Errorf("bolt: %s: %w", path, err)
	}
	return guard(func() error {
		return h.db.View(func(tx *bbolt.Tx) error { return backup(ctx, h, tx, newest, w) })
	})
}

func backup(ctx context.Context, h *handle, tx *bbolt.Tx, id uint64, w io.Writer) error {
	if _, err := checkSnapshot(ctx, h.file, h.pageSize, id); err != nil {
		return err
	}
	if uint64(tx.ID()) != id {
		return damaged("transaction %d is gone", id)
	}
	_, err := tx.WriteTo(&cancelled{ctx, w})
	if err != nil {
		err = fmt.Errorf("bolt: backup: %w", err)
	}
	return err
}

// cancelled is a writer that ends with its context.
type cancelled struct {
	ctx context.Context
	w   io.Writer
}

func (c *cancelled) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
