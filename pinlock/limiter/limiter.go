package limiter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

// errNothing is what a nil is refused with: a receiver, a store, a context, a function.
var errNothing = errors.New("limiter: a nil limiter, store, context or function")

// Limiter counts wrong PINs in a [Store] whose records are a [Counter] and nothing more.
// A service that keeps more in a key's record uses [Update] with [Policy.Next] itself, so that
// one write does all.
//
// # Security
//
// A Limiter alone does not stop a thief who has patience and a copy of the device's
// storage. A right PIN gives all tries back, so between any two logins of the owner he can
// guess twice, for ever, without a lock: on average he has a PIN of 4 digits after 5,000
// guesses. Where storage can be copied, a right PIN must give tries back only together with
// a new token, and a request that shows an old token must destroy the key (scheme.md,
// sections 7.1 and 7.4). The example does so with [Update]; package protocol does it with
// retries and lost answers as well. A Limiter is enough where the key that authenticates
// requests cannot leave the device.
//
// All methods may be called from many goroutines at once, and any number of Limiters, on
// any number of machines, may share a store.
type Limiter struct {
	store  Store
	policy Policy
}

// New returns a Limiter, or an error that wraps [ErrPolicy]. It keeps no reference to p.
func New(store Store, p Policy) (*Limiter, error) {
	if isnil.Value(store) {
		return nil, errNothing
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &Limiter{store, p.clone()}, nil
}

// Create starts the counter of a new key, durably. It belongs to enrolment and to nothing
// else: a counter that an attempt could create is one that an attempt could reset. The error wraps
// [ErrConflict] if the id has one, and else is the store's.
func (l *Limiter) Create(ctx context.Context, id string) error {
	if l == nil || l.store == nil || ctx == nil {
		return errNothing
	}
	value, err := Counter{}.MarshalBinary()
	if err != nil {
		return err
	}
	return l.store.Create(ctx, id, value)
}

// Attempt counts one try of a PIN and returns the verdict: nil for a right PIN, a
// [*WrongPINError], a [*LockedError] or [ErrDestroyed]. No verdict is returned before its count is durable.
//
// A key that is locked or destroyed is refused at once, without a call of try. Else try is called, at most once,
// with ctx, and says whether the PIN is right. Attempts on one key run in parallel, but their outcomes are
// counted one after the other: one that finds the key locked by then is answered with
// *LockedError, whether its PIN was right or not. So of a hundred guesses at once the
// default policy answers three.
//
// Any other error says nothing about the PIN (see [IsVerdict]): it wraps [ErrNotFound] for an unknown id, or is an error of
// try, of the store or of the clock. After an error of the store it is unknown
// whether the attempt was counted; a repetition counts anew.
//
// An error of try is passed on, and nothing is counted. It is for tries that could not be made. So
// try must find out the outcome and do nothing else: once it knows the outcome it must return
// it, not an error (not that of a cancelled ctx either), and nothing that others can see, such
// as a log or a call to an HSM, may depend on it. Otherwise whoever can make try
// fail at will gets answers that nobody counts.
//
// Once try has returned an outcome, cancelling ctx no longer stops the count: see [Update].
func (l *Limiter) Attempt(ctx context.Context, id string, try func(context.Context) (Outcome, error)) error {
	if l == nil || try == nil {
		return errNothing
	}
	var outcome Outcome // 0 until try was called
	var verdict error
	err := Update(ctx, l.store, id, func(value []byte) ([]byte, error) {
		c, err := ParseCounter(value)
		if err != nil {
			return nil, err
		}
		var next Counter
		if outcome == 0 {
			next, verdict = l.policy.Admit(c, time.Now())
			if verdict != nil {
				return settle(c, next, verdict)
			}
			if outcome, err = tryOnce(ctx, try); err != nil {
				return nil, err
			}
		}
		next, verdict = l.policy.Next(c, outcome, time.Now())
		return settle(c, next, verdict)
	})
	if err != nil {
		return err
	}
	return verdict
}

func tryOnce(ctx context.Context, try func(context.Context) (Outcome, error)) (Outcome, error) {
	o, err := try(ctx)
	switch {
	case err != nil && IsVerdict(err):
		// The verdict of another counter, perhaps. As ours it would be one that nobody counted.
		return 0, fmt.Errorf("limiter: try failed: %v", err)
	case err != nil:
		return 0, err
	case o != Wrong && o != Right:
		return 0, errors.New("limiter: try returned no outcome")
	}
	return o, nil
}

// settle returns the value to write before verdict is answered, nil for none. A right or
// wrong PIN is always written, even if the counter does not change (two right PINs in a
// millisecond): the write is what proves that the key was not locked meanwhile.
func settle(old, next Counter, verdict error) ([]byte, error) {
	if !IsVerdict(verdict) {
		return nil, verdict
	}
	var locked *LockedError
	refused := errors.As(verdict, &locked) || verdict == ErrDestroyed
	if refused && next == old {
		return nil, nil
	}
	return next.MarshalBinary()
}

// Status returns what the counter of id stands at. It counts nothing and writes nothing. The error wraps
// [ErrNotFound] for an unknown id, [ErrCounter] for a damaged record, or is the store's.
func (l *Limiter) Status(ctx context.Context, id string) (Status, error) {
	if l == nil || l.store == nil || ctx == nil {
		return Status{}, errNothing
	}
	value, _, err := l.store.Load(ctx, id)
	if err != nil {
		return Status{}, err
	}
	c, err := ParseCounter(value)
	if err != nil {
		return Status{}, err
	}
	return l.policy.Status(c, time.Now())
}
