package limiter

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Outcome is what one try said about the PIN. The zero value is invalid.
type Outcome uint8

const (
	Wrong Outcome = 1
	Right Outcome = 2
)

// String returns "wrong" or "right".
func (o Outcome) String() string {
	switch o {
	case Wrong:
		return "wrong"
	case Right:
		return "right"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// MarshalText returns what String does, for JSON and logs; for an invalid value, an error.
func (o Outcome) MarshalText() ([]byte, error) {
	switch o {
	case Wrong, Right:
		return []byte(o.String()), nil
	}
	return nil, fmt.Errorf("limiter: invalid %v", o)
}

// Forever as the lock of the last round destroys the key instead of locking it.
const Forever time.Duration = math.MaxInt64

const (
	// MaxTries bounds the wrong PINs in a row that a policy may allow over all of
	// its rounds. NIST SP 800-63B section 5.2.2 sets this limit for a verifier.
	MaxTries = 100

	// MaxLock is the longest lock short of [Forever]: ten years of 365 days. A
	// longer one is a mistake of units.
	MaxLock = 10 * 365 * 24 * time.Hour
)

// Round is a number of wrong PINs and the lock that follows the last of them.
type Round struct {
	Tries int           // 1 or more
	Lock  time.Duration // whole milliseconds from 1 ms to MaxLock, or Forever
}

// Policy says what follows on wrong PINs in a row: the first round's tries, then
// its lock, the second round's tries, its lock, and so on. The last round, and no
// other, ends with [Forever]: no policy allows guessing without end. A right PIN
// starts again at the first round.
//
// The zero Policy is invalid: it neither allows all nor nothing.
//
// # Change of policy
//
// A [Counter] may have been counted under an older policy, or be counted by nodes
// that do not yet agree. A policy reads it as if all of its wrong PINs in a row had
// been counted under the policy at hand, and never to the attacker's gain: a lock
// that was recorded under an older policy is not shortened, and a destroyed key stays
// destroyed. So a stricter policy locks a key that has already used up a round of
// it (from the time of the last wrong PIN on), and destroys one that has
// used up all of its tries, at that key's next request.
//
// # Clock
//
// Times are wall-clock time in whole milliseconds; a fraction is cut off.
// A lock that began at t and lasts d is over at exactly t+d.
//
//   - Clock behind the last recorded time, lock recorded: the lock restarts in full at the
//     time the clock now shows, even if it had run out before the clock was set back.
//     Without this, a lock recorded by a clock that ran years ahead would last for years.
//   - Clock behind the last recorded time, no lock: nothing to restart. The PIN counts as ever.
//   - Clock ahead: indistinguishable from time that passed, so a lock ends early. Likewise one
//     that restarted on a clock that was set back and then forward again.
//
// A wrong clock can therefore cost the delay between rounds. It gives back no try:
// their number does not depend on time at all.
type Policy []Round

// DefaultPolicy returns the policy of the deployed Smart-ID system (Smart-ID
// Common Criteria Security Target v2.7.0): three wrong PINs in a row lock the key for 3
// hours, three more for 24 hours, three more (nine in all) destroy it.
func DefaultPolicy() Policy {
	return Policy{
		{Tries: 3, Lock: 3 * time.Hour},
		{Tries: 3, Lock: 24 * time.Hour},
		{Tries: 3, Lock: Forever},
	}
}

// ErrPolicy is returned for a [Policy] that breaks one of its rules.
var ErrPolicy = errors.New("limiter: invalid policy")

// Validate returns an error that wraps [ErrPolicy] and says what is wrong with p, or nil.
func (p Policy) Validate() error {
	if len(p) == 0 {
		return fmt.Errorf("%w: no rounds", ErrPolicy)
	}
	total := 0
	for i, r := range p {
		if r.Tries < 1 || r.Tries > MaxTries {
			return fmt.Errorf("%w: round %d has %d tries, want 1 to %d", ErrPolicy, i+1, r.Tries, MaxTries)
		}
		if total += r.Tries; total > MaxTries {
			return fmt.Errorf("%w: more than %d tries in all", ErrPolicy, MaxTries)
		}
		last := i == len(p)-1
		switch {
		case last != (r.Lock == Forever):
			return fmt.Errorf("%w: round %d of %d: the last round, and no other, locks forever", ErrPolicy, i+1, len(p))
		case last:
		case r.Lock < time.Millisecond || r.Lock > MaxLock || r.Lock%time.Millisecond != 0:
			return fmt.Errorf("%w: round %d locks for %v, want whole milliseconds from 1ms to %v", ErrPolicy, i+1, r.Lock, MaxLock)
		}
	}
	return nil
}

// lockAfter returns the lock that the wrong-th wrong PIN in a row brings, in
// milliseconds: 0 within a round, forever after the last.
func (p Policy) lockAfter(wrong int) int64 {
	end := 0
	for _, r := range p {
		if end += r.Tries; wrong < end {
			return 0
		} else if wrong == end && r.Lock != Forever {
			return r.Lock.Milliseconds()
		}
	}
	return forever
}

// left returns the tries left before the next lock and in all, of a key that is not locked
// and not destroyed.
func (p Policy) left(wrong int) (round, total int) {
	for _, r := range p {
		total += r.Tries
		if round == 0 && wrong < total {
			round = total - wrong
		}
	}
	return round, total - wrong
}

// Admit says whether a request may be tried: nil, or a [*LockedError] or [ErrDestroyed].
// It counts nothing, and is what [Policy.Next] does before it counts.
//
// The returned Counter differs from c where a lock restarted (see Clock above) or a change of policy
// took effect. It must then be written before the verdict is answered, just as after Next.
//
// Errors other than these verdicts are those of Next.
func (p Policy) Admit(c Counter, now time.Time) (Counter, error) {
	if err := p.Validate(); err != nil {
		return c, err
	}
	at, err := milliseconds(now)
	if err != nil {
		return c, err
	}
	lock := max(c.lock, p.lockAfter(int(c.wrong)))
	switch {
	case lock == forever:
		c.lock = forever
		return c, ErrDestroyed
	case lock == 0:
		return c, nil
	case at < c.at:
		c.at, c.lock = at, lock
		return c, &LockedError{Until: instant(at + lock)}
	case at < c.at+lock:
		c.lock = lock
		return c, &LockedError{Until: instant(c.at + lock)}
	}
	return c, nil
}

// Next counts one outcome and returns the new counter and the verdict. It is a pure
// function: the same arguments give the same results, and all else that this package
// does on the server is plumbing around it.
//
// The verdict is nil for a right PIN, a [*WrongPINError] for a wrong one, and, without
// regard to the outcome and without counting it, a [*LockedError] while the key is locked and
// [ErrDestroyed] once it is destroyed. The wrong PIN that destroys the key is a
// *WrongPINError for which errors.Is(err, ErrDestroyed) holds.
//
// The caller must make the new counter durable before anybody learns the verdict.
//
// Any other error ([ErrPolicy], [ErrClock], an unknown outcome) is not a verdict and says nothing
// about the PIN: the counter is c unchanged. [IsVerdict] tells the two kinds apart.
func (p Policy) Next(c Counter, o Outcome, now time.Time) (Counter, error) {
	if o != Wrong && o != Right {
		return c, fmt.Errorf("limiter: unknown outcome %d", o)
	}
	c, err := p.Admit(c, now)
	if err != nil {
		return c, err
	}
	at, err := milliseconds(now)
	if err != nil {
		return c, err
	}
	if o == Right {
		return Counter{at: at}, nil
	}
	wrong := int(c.wrong) + 1
	next := Counter{wrong: uint8(wrong), at: at, lock: p.lockAfter(wrong)}
	verdict := new(WrongPINError)
	verdict.Remaining, verdict.RemainingTotal = p.left(wrong)
	if next.lock != 0 {
		verdict.Remaining = 0
	}
	if next.lock != 0 && next.lock != forever {
		verdict.LockedUntil = instant(at + next.lock)
	}
	return next, verdict
}

// Status is what a key's owner may be shown.
type Status struct {
	Remaining      int       `json:"remaining"`             // wrong PINs until the next lock; 0 while locked and once destroyed
	RemainingTotal int       `json:"remaining_total"`       // wrong PINs until the key is destroyed; 0 once it is
	LockedUntil    time.Time `json:"locked_until,omitzero"` // zero unless locked
	Destroyed      bool      `json:"destroyed"`
}

// Status describes c under p, changing nothing. Its errors are [ErrPolicy] and [ErrClock].
func (p Policy) Status(c Counter, now time.Time) (Status, error) {
	_, err := p.Admit(c, now)
	var status Status
	status.Remaining, status.RemainingTotal = p.left(int(c.wrong))
	var locked *LockedError
	switch {
	case errors.Is(err, ErrDestroyed):
		return Status{Destroyed: true}, nil
	case errors.As(err, &locked):
		status.Remaining, status.LockedUntil = 0, locked.Until
	case err != nil:
		return Status{}, err
	}
	return status, nil
}

func (p Policy) clone() Policy { return slices.Clone(p) }
