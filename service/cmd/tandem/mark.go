package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// markFile is the mark in the server's folder, where init was told no other place.
const markFile = "store.mark"

// markPath is where the mark is.
func (c serverConfig) markPath(folder string) string {
	if c.Mark == "" {
		return filepath.Join(folder, markFile)
	}
	return c.Mark
}

// createMark gives a new server its mark.
func createMark(ctx context.Context, name string, store limiter.Store) (*newMark, error) {
	keeper, err := watermark.OpenFile(name)
	if err != nil {
		return nil, err
	}
	m := &newMark{Keeper: keeper}
	return m, errors.Join(watermark.Create(ctx, store, m), keeper.Close())
}

// newMark remembers the mark that is saved, which may be gone when it is to be discarded.
type newMark struct {
	watermark.Keeper
	saved []byte
}

func (m *newMark) Save(ctx context.Context, mark []byte) error {
	m.saved = bytes.Clone(mark)
	return m.Keeper.Save(ctx, mark)
}

func (m *newMark) Load(ctx context.Context) ([]byte, error) {
	if m.saved != nil {
		return m.saved, nil
	}
	return m.Keeper.Load(ctx)
}

// discard voids the mark's checkpoint, also where ctx is done.
func (m *newMark) discard(ctx context.Context, at engine, folder string) error {
	if m == nil || m.saved == nil {
		return nil // there is none, or watermark.Create has done so
	}
	ctx = context.WithoutCancel(ctx)
	store, err := at.open(ctx, folder)
	if err != nil {
		return fmt.Errorf("%w: %w", watermark.ErrCheckpointLeft, err)
	}
	return errors.Join(watermark.Discard(ctx, store, m), store.Close())
}

// remove takes away the mark's files, unless another process has them.
func (m *newMark) remove(name string) error {
	if m == nil {
		return nil
	}
	return errors.Join(removeIfThere(name), removeIfThere(name+".lock"))
}

// marked is a store under its mark, and both are closed together.
type marked struct {
	*watermark.Store
	below  records
	keeper *watermark.File
}

// openMarked opens the store of a server, and compares it with its mark.
func (b *backend) openMarked(ctx context.Context, log *slog.Logger) (*marked, error) {
	store, err := b.engine.open(ctx, b.folder)
	if err != nil {
		return nil, err
	}
	keeper, err := watermark.OpenFile(b.config.markPath(b.folder))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	s, err := watermark.Open(ctx, store, keeper, watermark.Options{Log: log})
	if err != nil {
		return nil, errors.Join(err, keeper.Close(), store.Close())
	}
	return &marked{s, store, keeper}, nil
}

func (m *marked) Close() error {
	return errors.Join(m.Store.Close(), m.keeper.Close(), m.below.Close())
}

var _ io.Closer = (*marked)(nil)
