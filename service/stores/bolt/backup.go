package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Backup writes the store, as it is at one moment, to w: what it writes is a file that
// [Open] takes. Every write that was confirmed before Backup was called is in it. It
// checks the store first, as [Store.Check] does, and writes nothing of a damaged one. The
// service goes on meanwhile; pages that it frees are not used again until Backup is done,
// so w should be a file and not a slow line.
//
// Do not copy the file of a running store in another way: the copy is damaged.
//
// A restored backup gives every thief the tries back that were counted since: see
// Security in the package documentation.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if w == nil {
		return errors.New("bolt: no writer for the backup")
	}
	return s.viewAt(ctx, func(m meta) error {
		if err := s.awaitDurable(ctx, int(m.transaction)); err != nil {
			return err
		}
		return known(backup(ctx, s.file, m, w))
	})
}

// BackupFile is [Store.Backup] for a store that no process has open.
func BackupFile(ctx context.Context, path string, w io.Writer) (err error) {
	h, err := openHandle(path, Options{}, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.db.Close()) }()
	m, err := h.newest()
	if err != nil {
		return fmt.Errorf("bolt: %s: %w", path, err)
	}
	return backup(ctx, h.file, m, w)
}

func backup(ctx context.Context, file io.ReaderAt, m meta, w io.Writer) error {
	if _, err := checkSnapshot(ctx, file, m); err != nil {
		return err
	}
	metas, length := metaPagesOf(m), int64(m.end)*int64(m.pageSize)
	pages := io.NewSectionReader(file, int64(len(metas)), length-int64(len(metas)))
	n, err := io.Copy(&cancelled{ctx, w}, io.MultiReader(bytes.NewReader(metas), pages))
	if err != nil {
		return fmt.Errorf("bolt: backup: %w", err)
	}
	if n != length {
		return damaged("the file ends within page %d", n/int64(m.pageSize))
	}
	return nil
}

// metaPagesOf returns both meta pages of a file that ends with a transaction, each in its
// place. (bbolt's own copy puts the newer one first.) The older one has the same content,
// under the number before.
func metaPagesOf(m meta) []byte {
	b := make([]byte, 2*m.pageSize)
	newer, older := b[:m.pageSize], b[m.pageSize:]
	if m.transaction%2 == 1 {
		newer, older = older, newer
	}
	copy(newer, m.page)
	copy(older, m.page)
	native.PutUint64(older, 1-m.transaction%2)
	body := older[pageHeader : pageHeader+metaLength]
	native.PutUint64(body[48:], m.transaction-1)
	native.PutUint64(body[metaLength-8:], metaSum(body))
	return b
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
