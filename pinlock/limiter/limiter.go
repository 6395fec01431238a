package limiter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

// errNothing is the error for a nil receiver, store, context or function.
var errNothing = errors.New("limiter: a nil limiter, store, context or function")

// Limiter counts wrong PINs in a [Store] whose records are a [Counter] and nothing more.
// That is not enough where a device's storage can be copied: a thief who waits for the
// owner's logins guesses for ever (see Security in the package documentation, and the
// example).
//
// All methods may be called from many goroutines at once. Any number of Limiters, on any
// number of machines, may share a store.
type Limiter struct {
	store  Store
	policy Policy
}

// New returns a Limiter, or an error if [Policy.Validate] returns one or the store is
// nil. It keeps no reference to p.
func New(store Store, p Policy) (*Limiter, error) {
	if isnil.Value(store) {
		return nil, errNothing
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &Limiter{store, slices.Clone(p)}, nil
}

// Create starts the counter of a new key, durably. It returns [ErrConflict] if the id has
// a counter. Call it at enrolment and nowhere else: a counter that an attempt can create,
// an attempt can reset.
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
// [*WrongPINError], a [*LockedError] or [ErrDestroyed]. No verdict is returned before its
// count is durable.
//
// A key that is locked or destroyed is refused at once, without a call of try. Otherwise
// try is called, at most once, with ctx, and says whether the PIN is right. Attempts on
// one key run in parallel, and their outcomes are counted one after the other: an attempt
// that finds the key locked by then returns *LockedError, whether its PIN was right or
// not. So of a hundred guesses at once the default policy answers three.
//
// Any other error says nothing about the PIN (see [IsVerdict]). It is [ErrNotFound] for
// an unknown id, [ErrCounter] for a damaged record, or an error of try, of the store or
// of the clock. After an error of the store it is unknown whether the attempt was
// counted; a repetition counts anew.
//
// An error of try is passed on, and nothing is counted: it is for tries that could not be
// made. try must find out the outcome and do nothing else. Once it knows the outcome it
// must return it, not an error, not even that of a cancelled ctx. Nothing that others can
// see, such as a log or a call to an HSM, may depend on the outcome. Otherwise whoever
// can make try fail gets answers that nobody counts.
//
// Once try has returned an outcome, cancelling ctx no longer stops the count: see
// [Update].
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
		next := c
		if outcome == 0 {
			if next, verdict = l.policy.Admit(c, time.Now()); verdict != nil {
				return settle(c, next, verdict)
			}
			if outcome, err = try(ctx); err != nil {
				return nil, failed(err)
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

// failed returns err as an error that nobody takes for a verdict: it may be the verdict
// of another counter, which this one did not count.
func failed(err error) error {
	if IsVerdict(err) {
		return fmt.Errorf("limiter: try failed: %v", err)
	}
	return err
}

// settle returns the value to write before verdict is answered, or nil for none. A right
// or wrong PIN is always written, even if the counter stays the same (two right PINs in a
// millisecond): the write proves that the key was not locked meanwhile.
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

// Peek returns the status of the counter of id. It counts nothing and writes nothing. The
// error is [ErrNotFound] for an unknown id, [ErrCounter] for a damaged record, or one of
// the store or of the clock.
func (l *Limiter) Peek(ctx context.Context, id string) (Status, error) {
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
	return l.policy.Peek(c, time.Now())
}
