package limiter

import "time"

// Charge returns the counter of a key whose record went back in time: it counts a full
// round of wrong PINs, and locks the key from now on, as those PINs would have. It is for
// a recovery (docs/operating.md), where nobody knows how many wrong PINs were lost.
//
// left is the fewest tries in all that the key is known to have had left, from a memory
// outside of the store, or negative if nothing is known. A counter that had more left is
// first set to that.
//
// If the lost wrong PINs were no more than the round that the key is in has tries, the
// counter is at least as high as the lost one, and its lock ends no earlier. A key that
// was in its last round is destroyed.
//
// The error is that of an invalid policy, or of a clock before 1970 or after 9999; the
// counter is then c unchanged.
func (p Policy) Charge(c Counter, left int, now time.Time) (Counter, error) {
	if err := p.Validate(); err != nil {
		return c, err
	}
	at, err := milliseconds(now)
	if err != nil {
		return c, err
	}
	_, total := p.left(0)
	wrong := int(c.wrong)
	if left >= 0 {
		wrong = max(wrong, total-left)
	}
	lock := max(c.lock, p.lockAfter(wrong))
	for range p.roundOf(wrong) {
		wrong++
		lock = max(lock, p.lockAfter(wrong))
	}
	return Counter{wrong: uint8(min(wrong, maxTries)), at: at, lock: lock}, nil
}

// roundOf returns how many tries the round has that the next wrong PIN is in: none after
// the last.
func (p Policy) roundOf(wrong int) int {
	end := 0
	for _, r := range p {
		if end += r.Tries; wrong < end {
			return r.Tries
		}
	}
	return 0
}
