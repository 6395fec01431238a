package limiter

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tandem-rsa/tandem/internal/enum"
)

// Outcome is what one try said about the PIN. The zero value is invalid.
type Outcome uint8

const (
	Wrong Outcome = 1
	Right Outcome = 2
)

var (
	outcomeNames = enum.Names[Outcome]{Wrong: "wrong", Right: "right"}
	errOutcome   = errors.New("limiter: unknown outcome")
)

// String returns "wrong" or "right".
func (o Outcome) String() string { return outcomeNames.String(o) }

// MarshalText returns what String does, for JSON and logs; for an invalid value, an
// error.
func (o Outcome) MarshalText() ([]byte, error) { return outcomeNames.Marshal(o, errOutcome) }

// Forever as the lock of the last round destroys the key instead of locking it.
const Forever time.Duration = math.MaxInt64

// MaxLock is the longest lock short of [Forever]: ten years of 365 days. A longer one is
// a mistake of units.
const MaxLock = 10 * 365 * 24 * time.Hour

// maxTries bounds the wrong PINs in a row that a policy may allow over all of its rounds.
// NIST SP 800-63B, section 5.2.2, sets this limit for a verifier.
const maxTries = 100

// Round is a number of wrong PINs and the lock that follows the last of them.
type Round struct {
	Tries int           // 1 to 100
	Lock  time.Duration // whole milliseconds from 1 ms to MaxLock, or Forever
}

// Policy says what follows wrong PINs in a row: the first round's tries, then its lock,
// the second round's tries, its lock, and so on. The last round, and no other, ends with
// [Forever], and the rounds have at most 100 tries in all: no policy allows guessing
// without end. A right PIN starts again at the first round.
//
// The zero Policy is invalid: it stands neither for unlimited tries nor for none.
//
// # Change of policy
//
// A [Counter] may have been counted under an older policy, or by nodes that do not yet
// agree on one. A policy reads it as if it had counted all of its wrong PINs in a row
// itself, and never to the attacker's gain: a lock that was recorded under an older
// policy is not shortened, and a destroyed key stays destroyed. So a stricter policy
// takes effect at the key's next request. It locks a key that has used up one of its
// rounds, from the last wrong PIN on. It destroys a key that has used up all of its
// tries.
//
// # Clock
//
// Times are wall-clock time in whole milliseconds; a fraction is cut off. A lock that
// began at t and lasts d is over at exactly t+d.
//
//   - The clock is behind the last recorded time, and a lock is recorded: the lock
//     restarts in full at the time that the clock now shows, even if it had run out
//     before the clock was set back. Otherwise a lock recorded by a clock that ran years
//     ahead would last for years.
//   - The clock is behind the last recorded time, and no lock is recorded: nothing
//     restarts. The PIN counts as ever.
//   - The clock is ahead: this looks like time that passed, so a lock ends early. So does
//     a lock that restarted on a clock that was set back and then forward again.
//
// A wrong clock can therefore cost the delay between rounds. It gives back no try: their
// number does not depend on time at all.
type Policy []Round

// DefaultPolicy returns the policy of the deployed Smart-ID system (Smart-ID Common
// Criteria Security Target v2.7.0): three wrong PINs in a row lock the key for 3 hours,
// three more for 24 hours, and three more, nine in all, destroy it.
func DefaultPolicy() Policy {
	return Policy{
		{Tries: 3, Lock: 3 * time.Hour},
		{Tries: 3, Lock: 24 * time.Hour},
		{Tries: 3, Lock: Forever},
	}
}

var errPolicy = errors.New("limiter: invalid policy")

// Validate returns an error that says which of its rules p breaks, or nil.
func (p Policy) Validate() error {
	if len(p) == 0 {
		return fmt.Errorf("%w: no rounds", errPolicy)
	}
	total := 0
	for i, r := range p {
		if r.Tries < 1 || r.Tries > maxTries {
			return fmt.Errorf("%w: round %d has %d tries, want 1 to %d", errPolicy, i+1, r.Tries, maxTries)
		}
		if total += r.Tries; total > maxTries {
			return fmt.Errorf("%w: more than %d tries in all", errPolicy, maxTries)
		}
		last := i == len(p)-1
		switch {
		case last != (r.Lock == Forever):
			return fmt.Errorf("%w: round %d of %d: the last round, and no other, locks forever", errPolicy, i+1, len(p))
		case last:
		case r.Lock < time.Millisecond || r.Lock > MaxLock || r.Lock%time.Millisecond != 0:
			return fmt.Errorf("%w: round %d locks for %v, want whole milliseconds from 1ms to %v", errPolicy, i+1, r.Lock, MaxLock)
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

// left returns the tries left before the next lock and in all, of a key that is neither
// locked nor destroyed.
func (p Policy) left(wrong int) (round, total int) {
	for _, r := range p {
		total += r.Tries
		if round <= 0 {
			round = total - wrong
		}
	}
	return round, total - wrong
}

// Admit says whether a request may be tried: nil, or a [*LockedError] or [ErrDestroyed].
// It counts nothing. [Policy.Next] does the same before it counts.
//
// The returned Counter differs from c where a lock restarted (see Clock above) or a
// change of policy took effect. It must then be written before the verdict is answered,
// just as after Next.
//
// Other errors are those of Next.
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
// function: the same arguments give the same results.
//
// The verdict is nil for a right PIN, which gives all tries back, and a [*WrongPINError]
// for a wrong one. While the key is locked it is a [*LockedError], and once the key is
// destroyed [ErrDestroyed]: these two count nothing and do not depend on the outcome. The
// wrong PIN that destroys the key is a *WrongPINError for which errors.Is(err,
// ErrDestroyed) holds.
//
// The caller must make the new counter durable before anybody learns the verdict.
//
// Any other error (an invalid policy, a clock before 1970 or after 9999, an unknown
// outcome) is not a verdict and says nothing about the PIN: the counter is c unchanged.
// [IsVerdict] tells the two kinds apart.
func (p Policy) Next(c Counter, o Outcome, now time.Time) (Counter, error) {
	if o != Wrong && o != Right {
		return c, fmt.Errorf("limiter: unknown outcome %d", o)
	}
	c, err := p.Admit(c, now)
	if err != nil {
		return c, err
	}
	at := now.UnixMilli() // Admit has checked it
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

// Status is what a key's owner may be told.
type Status struct {
	// Remaining is the number of wrong PINs until the next lock; 0 while locked and once
	// destroyed.
	Remaining int `json:"remaining"`
	// RemainingTotal is the number of wrong PINs until the key is destroyed; 0 once it
	// is.
	RemainingTotal int `json:"remaining_total"`
	// LockedUntil is in UTC; zero unless locked.
	LockedUntil time.Time `json:"locked_until,omitzero"`
	Destroyed   bool      `json:"destroyed"`
}

// Peek describes c under p and changes nothing. It returns an error for an invalid policy
// and for a clock before 1970 or after 9999.
func (p Policy) Peek(c Counter, now time.Time) (Status, error) {
	_, err := p.Admit(c, now)
	if err == ErrDestroyed {
		return Status{Destroyed: true}, nil
	}
	if !IsVerdict(err) {
		return Status{}, err
	}
	var status Status
	status.Remaining, status.RemainingTotal = p.left(int(c.wrong))
	var locked *LockedError
	if errors.As(err, &locked) {
		status.Remaining, status.LockedUntil = 0, locked.Until
	}
	return status, nil
}
