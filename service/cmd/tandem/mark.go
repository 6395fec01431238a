package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/internal/durable"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
	"github.com/tandem-rsa/tandem/service/stores/watermark/tokenkeeper"
)

// markFile is the mark in the server's folder, where init was told no other place. With
// lockSuffix it is locked by who uses the mark.
const (
	markFile   = "store.mark"
	lockSuffix = ".lock"
)

// markPlace is where a server's mark is: in a file, or under a label of the token that
// has the server's secrets.
type markPlace struct{ file, label string }

// inToken begins -mark where the mark is in the token.
const inToken = "token:"

// parseMark reads -mark. A file becomes absolute; one whose name begins so is ./token:x.
func parseMark(spec string, hasToken bool) (string, error) {
	label, ok := strings.CutPrefix(spec, inToken)
	switch {
	case spec == "":
		return "", nil
	case !ok:
		return filepath.Abs(spec)
	case label == "":
		return "", usagef("which label has the mark in the token? Give it with -mark token:LABEL")
	case !hasToken:
		return "", usagef("-mark token:LABEL is for a server whose secrets are in a token: give -hsm")
	}
	return spec, nil
}

// markPlace is where the mark is.
func (c serverConfig) markPlace(folder string) markPlace {
	if label, ok := strings.CutPrefix(c.Mark, inToken); ok {
		return markPlace{label: label}
	}
	if c.Mark == "" {
		return markPlace{file: filepath.Join(folder, markFile)}
	}
	return markPlace{file: c.Mark}
}

// String is as -mark.
func (p markPlace) String() string {
	if p.label != "" {
		return inToken + p.label
	}
	return p.file
}

// keeper is a mark that nobody else uses until it is closed.
type keeper interface {
	watermark.Keeper
	Close() error
}

// open opens a mark that may not be there yet. The token is the server's, or nil.
func (p markPlace) open(folder string, token *hsm.Token) (keeper, error) {
	if p.label == "" {
		f, err := watermark.OpenFile(p.file)
		if err != nil {
			return nil, err // and no nil in an interface
		}
		return f, nil
	}
	k, err := tokenkeeper.New(token, p.label)
	if err != nil {
		return nil, err
	}
	unlock, err := durable.TryLock(filepath.Join(folder, markFile+lockSuffix))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("%w: %v", watermark.ErrInUse, p)
	}
	if err != nil {
		return nil, err
	}
	return &tokenMark{k, unlock}, nil
}

// tokenMark is a mark in a token, of this folder's server only.
type tokenMark struct {
	*tokenkeeper.Keeper
	unlock func() error
}

func (m *tokenMark) Close() error { return m.unlock() }

// newMark is the mark of a server that is being made. It remembers what was saved, which
// may be gone when it is to be discarded.
type newMark struct {
	keeper
	place markPlace
	saved []byte
}

// createMark gives a new server its mark. After an error the newMark is not nil if there
// may be something to discard.
func createMark(ctx context.Context, place markPlace, folder string, token *hsm.Token, store limiter.Store) (*newMark, error) {
	k, err := place.open(folder, token)
	if err != nil {
		return nil, err
	}
	if _, err := k.Load(ctx); !errors.Is(err, watermark.ErrNoMark) {
		if err == nil {
			err = failf("exists", "give another one with -mark, or remove it if no server uses it", "%v exists already", place)
		}
		return nil, errors.Join(err, k.Close())
	}
	m := &newMark{keeper: k, place: place}
	return m, errors.Join(watermark.Create(ctx, store, m), k.Close())
}

func (m *newMark) Save(ctx context.Context, mark []byte) error {
	m.saved = bytes.Clone(mark)
	return m.keeper.Save(ctx, mark)
}

func (m *newMark) Load(ctx context.Context) ([]byte, error) {
	if m.saved != nil {
		return m.saved, nil
	}
	return m.keeper.Load(ctx)
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

// remove takes away the mark, also where ctx is done. In a token an empty object remains.
func (m *newMark) remove(ctx context.Context) error {
	if m == nil {
		return nil
	}
	if t, ok := m.keeper.(*tokenMark); ok {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTime)
		defer cancel()
		return t.Remove(ctx)
	}
	return errors.Join(removeIfThere(m.place.file), removeIfThere(m.place.file+lockSuffix))
}

// marked is a store under its mark, and both are closed together.
type marked struct {
	*watermark.Store
	below  records
	keeper keeper
}

// openMark opens the server's mark.
func (b *backend) openMark() (keeper, error) {
	return b.config.markPlace(b.folder).open(b.folder, b.vault.token)
}

// openMarked opens the store of a server, and compares it with its mark.
func (b *backend) openMarked(ctx context.Context, log *slog.Logger) (*marked, error) {
	store, err := b.engine.open(ctx, b.folder)
	if err != nil {
		return nil, err
	}
	keeper, err := b.openMark()
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
