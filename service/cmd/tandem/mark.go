package main

import (
	"context"
	"errors"
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
func createMark(ctx context.Context, name string, store limiter.Store) error {
	keeper, err := watermark.OpenFile(name)
	if err != nil {
		return err
	}
	return errors.Join(watermark.Create(ctx, store, keeper), keeper.Close())
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
