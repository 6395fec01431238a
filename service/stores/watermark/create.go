package watermark

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

var errNothing = errors.New("watermark: a nil store, keeper or context")

// Create gives a node its mark and its checkpoint: a node of a new store, or a further
// node of a store that the other nodes know to be sound. What the store lost before is
// not noticed. A keeper that has a mark is refused.
//
// Where it fails, it voids its checkpoint. An error that wraps [ErrCheckpointLeft] says
// that this failed, too.
func Create(ctx context.Context, store limiter.Store, k Keeper) error {
	if ctx == nil || isnil.Value(store) || isnil.Value(k) {
		return errNothing
	}
	if _, err := k.Load(ctx); err == nil {
		return errors.New("watermark: there is a mark already")
	} else if !errors.Is(err, ErrNoMark) {
		return err
	}
	m := newMark()
	if err := store.Create(ctx, m.id(), m.last.append(nil)); err != nil {
		return errors.Join(fmt.Errorf("watermark: checkpoint not created: %w", err), m.void(ctx, store))
	}
	if err := k.Save(ctx, m.encode()); err != nil {
		return errors.Join(err, m.void(ctx, store))
	}
	return nil
}

// ErrCheckpointLeft is wrapped by the errors of [Create] and [Discard] that leave a
// checkpoint in the store of which there is no mark. It does no harm, except that the
// store is not [Unused].
var ErrCheckpointLeft = errors.New("watermark: a checkpoint may be left in the store")

// Discard voids the checkpoint that [Create] made, where the node is not to be after all.
// The mark then fits no store, and may be deleted.
func Discard(ctx context.Context, store limiter.Store, k Keeper) error {
	if ctx == nil || isnil.Value(store) || isnil.Value(k) {
		return errNothing
	}
	m, err := load(ctx, k)
	if err != nil {
		return err
	}
	return m.void(ctx, store)
}

// void makes the node's checkpoint an empty one, also where ctx is done: no store deletes
// records, and no mark fits an empty checkpoint. One that is still on its way to the
// store then finds its place taken.
func (m mark) void(ctx context.Context, store limiter.Store) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTime)
	defer cancel()
	for {
		_, version, err := store.Load(ctx, m.id())
		if errors.Is(err, limiter.ErrNotFound) {
			err = store.Create(ctx, m.id(), nil)
		} else if err == nil {
			err = store.Swap(ctx, m.id(), version, nil)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, limiter.ErrConflict):
			return fmt.Errorf("%w, %q: %w", ErrCheckpointLeft, m.id(), err)
		}
	}
}

// Unused reports whether a store has no records except for checkpoints that are void: one
// that a new service may begin with.
func Unused(ctx context.Context, store interface {
	limiter.Store
	limiter.Lister
}) (bool, error) {
	if ctx == nil || isnil.Value(store) {
		return false, errNothing
	}
	for id, err := range limiter.IDs(ctx, store, "") {
		if err != nil || !strings.HasPrefix(id, prefix) {
			return false, err
		}
		value, _, err := store.Load(ctx, id)
		if err != nil || len(value) > 0 {
			return false, err
		}
	}
	return true, nil
}
