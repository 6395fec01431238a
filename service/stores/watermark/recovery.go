package watermark

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// Recovery is what an operator has done once a store is known to have gone back: every
// key is charged (server.Server.Recover), and then the store is accepted as it is.
type Recovery struct {
	keeper Keeper
	mark   mark
}

// BeginRecovery notes in the mark that a recovery has begun: the store is refused until
// the recovery is finished. One that was begun and not finished is resumed, at its own
// time. It does not ask whether the store went back: who restores a backup knows.
//
// Where several nodes share the store, one of them recovers it. The others then get new
// marks by [Create].
func BeginRecovery(ctx context.Context, k Keeper, now time.Time) (*Recovery, error) {
	if ctx == nil || isnil.Value(k) {
		return nil, errNothing
	}
	m, err := load(ctx, k)
	if err != nil {
		return nil, err
	}
	if m.condition != recovering {
		if now.UnixMilli() < 1 {
			return nil, fmt.Errorf("watermark: the clock shows %v", now)
		}
		m.condition, m.recovered = recovering, max(now.UnixMilli(), m.recovered+1)
		if err := k.Save(ctx, m.encode()); err != nil {
			return nil, err
		}
	}
	return &Recovery{k, m}, nil
}

// Began returns the time for server.Recovery: later than that of every recovery before.
func (r *Recovery) Began() time.Time {
	if r == nil {
		return time.Time{}
	}
	return r.mark.time()
}

// Finish accepts the store as it is. Call it once every key is charged.
func (r *Recovery) Finish(ctx context.Context, store limiter.Store) error {
	if r == nil || r.keeper == nil || ctx == nil || isnil.Value(store) {
		return errNothing
	}
	// A number that no lost history has, under a nonce that none has.
	c := checkpoint{r.mark.last.number + 2, draw()}
	_, version, err := store.Load(ctx, r.mark.id())
	if errors.Is(err, limiter.ErrNotFound) {
		err = store.Create(ctx, r.mark.id(), c.append(nil))
	} else if err == nil {
		err = store.Swap(ctx, r.mark.id(), version, c.append(nil))
	}
	if err != nil {
		return fmt.Errorf("watermark: checkpoint not written: %w", err)
	}
	m := r.mark.advance(c)
	m.condition = sound
	return r.keeper.Save(ctx, m.encode())
}
