package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// Backup writes the store, as it is at one moment, to w: what it writes is a file that
// [Open] takes. Every write that was confirmed before Backup was called is in it. It
// checks the store first, as [Store.Check] does, and writes nothing of a damaged one. The
// service goes on meanwhile; pages that it frees are not used again until Backup is done,
// so w should be a file and not a slow line.
//
// To copy the file of a running store in another way gives a damaged copy.
//
// A backup that is restored gives every thief the tries back that were counted since: see
// the package's Security.
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
	snap, err := checkSnapshot(ctx, h.file, h.pageSize, id)
	if err != nil {
		return err
	}
	if uint64(tx.ID()) != id {
		return damaged("transaction %d is gone", id)
	}
	metas, err := metaPagesOf(h.file, h.pageSize, id)
	if err != nil {
		return err
	}
	pages := io.NewSectionReader(h.file, int64(len(metas)), int64(snap.end)*int64(h.pageSize)-int64(len(metas)))
	n, err := io.Copy(&cancelled{ctx, w}, io.MultiReader(bytes.NewReader(metas), pages))
	if err != nil {
		return fmt.Errorf("bolt: backup: %w", err)
	}
	if n != int64(snap.end)*int64(h.pageSize) {
		return damaged("the file ends within page %d", n/int64(h.pageSize))
	}
	return nil
}

// metaPagesOf returns both meta pages of a file that ends with a transaction, each in its
// place. (bbolt's own copy puts the newer one first.) The older one has the same content,
// under the number before.
func metaPagesOf(file io.ReaderAt, pageSize int, transaction uint64) ([]byte, error) {
	b := make([]byte, 2*pageSize)
	newer, older := b[:pageSize], b[pageSize:]
	if transaction%2 == 1 {
		newer, older = older, newer
	}
	if _, err := file.ReadAt(newer, int64(transaction%2)*int64(pageSize)); err != nil {
		return nil, damaged("meta page: %w", err)
	}
	if m, err := parseMeta(newer); err != nil || m.transaction != transaction {
		return nil, errors.Join(errMoved, err)
	}
	copy(older, newer)
	native.PutUint64(older, 1-transaction%2)
	body := older[pageHeader : pageHeader+metaLength]
	native.PutUint64(body[48:], transaction-1)
	native.PutUint64(body[metaLength-8:], metaSum(body))
	return b, nil
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
