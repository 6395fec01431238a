package limiter

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

// settleTime bounds how long Update goes on after change, whatever the caller's
// context says.
const settleTime = 10 * time.Second

// Update changes one record by one conditional write and returns nil only once that write
// is durable. It is the one way in which an attempt is counted, whether a record holds a
// [Counter] alone or more beside it.
//
// Update loads the record and calls change with its value. change returns the value to
// write, or nil to write nothing. It leaves its verdict in a variable of the caller, who
// may answer it once Update has returned nil.
//
// If another write came first, Update loads the record again and calls change again.
// change must remember the outcome, which is learnt once, and work out all else anew from
// value. It may keep value. It must not assume that an earlier verdict was answered.
//
// An error of change, or of the store, is returned. After a failed write it is unknown
// whether the attempt counts. Nobody may then learn the verdict, or anything that depends
// on it.
//
// ctx bounds the first load. Once change has returned a value to write, cancelling ctx
// changes nothing: the write goes on for up to 10 seconds (conflicts included), so that
// nobody can have a PIN tried and then hang up before it counts. Running out of these 10
// seconds is an error like any other.
func Update(ctx context.Context, store Store, id string, change func(value []byte) (next []byte, err error)) error {
	if ctx == nil || isnil.Value(store) || change == nil {
		return errNothing
	}
	for conflicts := 0; ; conflicts++ {
		value, version, err := store.Load(ctx, id)
		if err != nil {
			return fmt.Errorf("limiter: record not loaded: %w", err)
		}
		next, err := change(value)
		if err != nil || next == nil {
			return err
		}
		if conflicts == 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), settleTime)
			defer cancel()
		}
		if err = store.Swap(ctx, id, version, next); err == nil {
			return nil
		}
		if errors.Is(err, ErrConflict) {
			err = pause(ctx, conflicts)
		}
		if err != nil {
			return fmt.Errorf("limiter: result not recorded: %w", err)
		}
	}
}

// pause makes room after repeated conflicts. Each conflict means that somebody else's
// write succeeded, so the first few need no pause: within four, a default policy has
// locked a key that is being guessed.
func pause(ctx context.Context, conflicts int) error {
	const free, longest = 4, 32
	if conflicts < free {
		return ctx.Err()
	}
	limit := time.Duration(min(conflicts, longest)) * time.Millisecond
	var b [8]byte
	rand.Read(b[:])
	timer := time.NewTimer(time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(limit)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
