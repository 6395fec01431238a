package limiter

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/costtest"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// wrongPIN counts a wrong PIN and requires the verdict.
func wrongPIN(t *testing.T, p Policy, s Counter, now time.Time, remaining, total int, lockedUntil time.Time) Counter {
	t.Helper()
	next, err := p.Next(s, Wrong, now)
	var wrong *WrongPINError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, WrongPINError{remaining, total, lockedUntil}, *wrong)
	return next
}

func requireLocked(t *testing.T, p Policy, s Counter, now, until time.Time) Counter {
	t.Helper()
	var after Counter
	for _, o := range []Outcome{Right, Wrong} {
		next, err := p.Next(s, o, now)
		var locked *LockedError
		require.ErrorAs(t, err, &locked)
		require.Equal(t, until, locked.Until)
		admitted, err := p.Admit(s, now)
		require.ErrorAs(t, err, &locked)
		require.Equal(t, next, admitted)
		after = next
	}
	return after
}

func requireDestroyed(t *testing.T, p Policy, s Counter, now time.Time) {
	t.Helper()
	for _, o := range []Outcome{Right, Wrong} {
		next, err := p.Next(s, o, now)
		require.Equal(t, ErrDestroyed, err)
		require.True(t, next.Destroyed())
	}
}

// TestDefaultPolicy walks through the whole life of a key, with every lock tried just
// before and at its end.
func TestDefaultPolicy(t *testing.T) {
	p, now, none := DefaultPolicy(), epoch, time.Time{}
	require.NoError(t, p.Validate())
	var s Counter
	s = wrongPIN(t, p, s, now, 2, 8, none)
	s = wrongPIN(t, p, s, now, 1, 7, none)
	s = wrongPIN(t, p, s, now, 0, 6, now.Add(3*time.Hour))
	require.Equal(t, s, requireLocked(t, p, s, now, now.Add(3*time.Hour)))
	require.Equal(t, s, requireLocked(t, p, s, now.Add(3*time.Hour-time.Millisecond), now.Add(3*time.Hour)))

	now = now.Add(3 * time.Hour)
	s = wrongPIN(t, p, s, now, 2, 5, none)
	s = wrongPIN(t, p, s, now, 1, 4, none)
	s = wrongPIN(t, p, s, now, 0, 3, now.Add(24*time.Hour))
	require.Equal(t, s, requireLocked(t, p, s, now.Add(24*time.Hour-time.Millisecond), now.Add(24*time.Hour)))

	now = now.Add(24 * time.Hour)
	s = wrongPIN(t, p, s, now, 2, 2, none)
	s = wrongPIN(t, p, s, now, 1, 1, none)
	require.False(t, s.Destroyed())
	s, err := p.Next(s, Wrong, now)
	require.Equal(t, &WrongPINError{}, err)
	require.ErrorIs(t, err, ErrDestroyed)
	require.True(t, s.Destroyed())
	for _, later := range []time.Duration{-1000 * time.Hour, 0, time.Hour, 50 * 365 * 24 * time.Hour} {
		requireDestroyed(t, p, s, now.Add(later))
	}
}

// TestRightClears: at every count short of destruction a right PIN gives all tries back.
func TestRightClears(t *testing.T) {
	p := DefaultPolicy()
	for wrong := range 9 {
		s, now := Counter{}, epoch
		for range wrong {
			now = now.Add(24 * time.Hour) // past any lock
			s, _ = p.Next(s, Wrong, now)
		}
		now = now.Add(24 * time.Hour)
		s, err := p.Next(s, Right, now)
		require.NoError(t, err)
		status, err := p.Peek(s, now)
		require.NoError(t, err)
		require.Equal(t, Status{Remaining: 3, RemainingTotal: 9}, status)
		wrongPIN(t, p, s, now, 2, 8, time.Time{})
	}
}

func TestPeek(t *testing.T) {
	p, s := DefaultPolicy(), Counter{}
	for i, want := range []Status{
		{Remaining: 3, RemainingTotal: 9},
		{Remaining: 2, RemainingTotal: 8},
		{Remaining: 1, RemainingTotal: 7},
		{RemainingTotal: 6, LockedUntil: epoch.Add(3 * time.Hour)},
	} {
		if i > 0 {
			s, _ = p.Next(s, Wrong, epoch)
		}
		status, err := p.Peek(s, epoch)
		require.NoError(t, err)
		require.Equal(t, want, status)
	}
	status, err := p.Peek(s, epoch.Add(3*time.Hour))
	require.NoError(t, err)
	require.Equal(t, Status{Remaining: 3, RemainingTotal: 6}, status)
	status, err = p.Peek(s.Destroy(), epoch)
	require.NoError(t, err)
	require.Equal(t, Status{Destroyed: true}, status)
	_, err = Policy{}.Peek(s, epoch)
	require.ErrorIs(t, err, errPolicy)
}

func TestClock(t *testing.T) {
	p := DefaultPolicy()
	var s Counter
	for range 3 {
		s, _ = p.Next(s, Wrong, epoch)
	}
	lock := 3 * time.Hour

	t.Run("BehindWhileLocked", func(t *testing.T) {
		for _, back := range []time.Duration{time.Millisecond, time.Hour, 1000 * time.Hour} {
			now := epoch.Add(-back)
			restarted := requireLocked(t, p, s, now, now.Add(lock))
			require.NotEqual(t, s, restarted)
			require.Equal(t, restarted, requireLocked(t, p, restarted, now, now.Add(lock)), "restarted twice")
			requireLocked(t, p, restarted, now.Add(lock-time.Millisecond), now.Add(lock))
			wrongPIN(t, p, restarted, now.Add(lock), 2, 5, time.Time{})
		}
	})
	t.Run("BehindAfterLock", func(t *testing.T) {
		// Nothing was recorded since the lock ran out, so it counts as running.
		_, err := p.Admit(s, epoch.Add(5*time.Hour))
		require.NoError(t, err)
		requireLocked(t, p, s, epoch.Add(-time.Hour), epoch.Add(2*time.Hour))
		// Something was recorded: the lock is gone.
		open, err := p.Next(s, Wrong, epoch.Add(5*time.Hour))
		require.Error(t, err)
		wrongPIN(t, p, open, epoch.Add(-time.Hour), 1, 4, time.Time{})
	})
	t.Run("BehindWhileOpen", func(t *testing.T) {
		s := wrongPIN(t, p, Counter{}, epoch, 2, 8, time.Time{})
		s = wrongPIN(t, p, s, epoch.Add(-time.Hour), 1, 7, time.Time{})
		now := epoch.Add(-2 * time.Hour)
		s = wrongPIN(t, p, s, now, 0, 6, now.Add(lock))
		requireLocked(t, p, s, now, now.Add(lock))
	})
	t.Run("Ahead", func(t *testing.T) {
		wrongPIN(t, p, s, epoch.Add(50*365*24*time.Hour), 2, 5, time.Time{})
	})
	t.Run("Fractions", func(t *testing.T) {
		s, now := Counter{}, epoch.Add(999999*time.Nanosecond)
		for range 3 {
			s, _ = p.Next(s, Wrong, now)
		}
		require.Equal(t, s, requireLocked(t, p, s, epoch, epoch.Add(lock)), "a fraction restarted the lock")
		requireLocked(t, p, s, epoch.Add(lock-time.Nanosecond), epoch.Add(lock))
		wrongPIN(t, p, s, epoch.Add(lock), 2, 5, time.Time{})
	})
	t.Run("Broken", func(t *testing.T) {
		first, last := time.UnixMilli(0), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		for _, now := range []time.Time{{}, first.Add(-1), last.Add(1), time.Unix(math.MaxInt64/2, 0), time.Unix(math.MinInt64/2, 0)} {
			for _, s := range []Counter{{}, s} {
				next, err := p.Next(s, Right, now)
				require.ErrorIs(t, err, errClock)
				require.False(t, IsVerdict(err))
				require.Equal(t, s, next)
				next, err = p.Admit(s, now)
				require.ErrorIs(t, err, errClock)
				require.Equal(t, s, next)
				_, err = p.Peek(s, now)
				require.ErrorIs(t, err, errClock)
			}
		}
		for _, now := range []time.Time{first, last} {
			s := Counter{}
			for range 3 {
				s, _ = p.Next(s, Wrong, now)
			}
			until := now.Truncate(time.Millisecond).UTC().Add(lock)
			require.Equal(t, s, requireLocked(t, p, s, now, until))
		}
	})
	t.Run("TimeZone", func(t *testing.T) {
		now := epoch.In(time.FixedZone("elsewhere", 9*3600))
		requireLocked(t, p, s, now, epoch.Add(lock)) // UTC all the same
	})
}

func TestMisuse(t *testing.T) {
	s := wrongPIN(t, DefaultPolicy(), Counter{}, epoch, 2, 8, time.Time{})
	for _, o := range []Outcome{0, 3, 255} {
		next, err := DefaultPolicy().Next(s, o, epoch)
		require.Error(t, err)
		require.False(t, IsVerdict(err))
		require.Equal(t, s, next)
	}
	for _, p := range []Policy{nil, {}, {{Tries: 3, Lock: time.Hour}}} {
		next, err := p.Next(s, Right, epoch)
		require.ErrorIs(t, err, errPolicy)
		require.False(t, IsVerdict(err))
		require.Equal(t, s, next)
	}
}

func TestValidate(t *testing.T) {
	h := time.Hour
	for _, p := range []Policy{
		DefaultPolicy(),
		{{1, Forever}},
		{{maxTries, Forever}},
		{{1, time.Millisecond}, {1, MaxLock}, {maxTries - 2, Forever}},
	} {
		require.NoError(t, p.Validate(), "%v", p)
	}
	for _, p := range []Policy{
		nil,
		{},
		{{}},
		{{3, h}},
		{{0, Forever}},
		{{-1, Forever}},
		{{3, 0}, {3, Forever}},
		{{3, -h}, {3, Forever}},
		{{3, h}, {0, Forever}},
		{{3, Forever}, {3, Forever}},
		{{3, Forever}, {3, h}},
		{{3, time.Microsecond}, {3, Forever}},
		{{3, h + time.Microsecond}, {3, Forever}},
		{{3, MaxLock + time.Millisecond}, {3, Forever}},
		{{3, Forever - 1}, {3, Forever}},
		{{maxTries + 1, Forever}},
		{{maxTries, h}, {1, Forever}},
		{{math.MaxInt, h}, {math.MaxInt, Forever}},
	} {
		require.ErrorIs(t, p.Validate(), errPolicy, "%v", p)
		_, err := New(struct{ Store }{}, p)
		require.ErrorIs(t, err, errPolicy, "%v", p)
	}
}

// TestValidateText: an error names the round, the first being 1.
func TestValidateText(t *testing.T) {
	for want, p := range map[string]Policy{
		"round 2 has 0 tries, want 1 to 100":      {{3, time.Hour}, {0, Forever}},
		"round 1 of 2: the last round, and no":    {{3, Forever}, {3, Forever}},
		"round 2 of 2: the last round, and no":    {{3, time.Hour}, {3, time.Hour}},
		"round 2 locks for 1µs, want whole milli": {{3, time.Hour}, {3, time.Microsecond}, {3, Forever}},
	} {
		require.ErrorContains(t, p.Validate(), want)
	}
}

// TestPolicyChange reads states of one policy under another.
func TestPolicyChange(t *testing.T) {
	h, none := time.Hour, time.Time{}
	old := DefaultPolicy()
	after := func(wrong int) Counter { // the last wrong PIN at epoch
		s := Counter{}
		for i := range wrong {
			s, _ = old.Next(s, Wrong, epoch.Add(time.Duration(i-wrong+1)*25*h))
		}
		return s
	}
	for wrong := range 10 {
		require.Equal(t, uint8(wrong), after(wrong).wrong)
	}

	// A longer lock recorded under the old policy is not shortened, and a destroyed key
	// stays destroyed.
	lax := Policy{{50, time.Minute}, {50, Forever}}
	requireLocked(t, lax, after(3), epoch.Add(3*h-1), epoch.Add(3*h))
	wrongPIN(t, lax, after(3), epoch.Add(3*h), 46, 96, none)
	requireDestroyed(t, lax, after(9), epoch.Add(1000*h))

	// A longer lock under the new one holds from the last wrong PIN on, and once told is
	// recorded.
	slow := Policy{{3, 48 * h}, {3, Forever}}
	s := requireLocked(t, slow, after(3), epoch.Add(10*h), epoch.Add(48*h))
	requireLocked(t, old, s, epoch.Add(48*h-1), epoch.Add(48*h))
	wrongPIN(t, slow, s, epoch.Add(48*h), 2, 2, none)

	// A round of the new policy that is used up without a lock is locked now.
	two := Policy{{2, h}, {1, 2 * h}, {6, Forever}}
	requireLocked(t, two, after(2), epoch, epoch.Add(h))
	wrongPIN(t, two, after(2), epoch.Add(h), 0, 6, epoch.Add(3*h))
	wrongPIN(t, two, after(1), epoch, 0, 7, epoch.Add(h))

	// All of its tries used up: destroyed, and so for every policy from then on.
	one := Policy{{2, Forever}}
	wrongPIN(t, one, after(1), epoch, 0, 0, none)
	for wrong := 2; wrong < 9; wrong++ {
		requireDestroyed(t, one, after(wrong), epoch.Add(1000*h))
		s, err := one.Admit(after(wrong), epoch)
		require.Equal(t, ErrDestroyed, err)
		requireDestroyed(t, lax, s, epoch.Add(1000*h))
	}
}

// model is the policy in other words than Next: a list of the tries to come, each with
// the lock that it brings if wrong. A wrong PIN takes the first.
type model struct {
	tries  []time.Duration
	policy Policy
	locked *struct {
		from   time.Time
		length time.Duration
	}
}

func newModel(p Policy) *model {
	m := &model{policy: p}
	m.refill()
	return m
}

func (m *model) refill() {
	m.tries, m.locked = nil, nil
	for _, r := range m.policy {
		for range r.Tries - 1 {
			m.tries = append(m.tries, 0)
		}
		m.tries = append(m.tries, r.Lock)
	}
}

// answer returns what Next's verdict must read like.
func (m *model) answer(right bool, now time.Time) string {
	if len(m.tries) == 0 {
		return "destroyed"
	}
	if l := m.locked; l != nil {
		if now.Before(l.from) {
			l.from = now
		}
		if now.Sub(l.from) < l.length {
			return fmt.Sprint("locked until ", l.from.Add(l.length))
		}
		m.locked = nil
	}
	if right {
		m.refill()
		return "right"
	}
	lock := m.tries[0]
	m.tries = m.tries[1:]
	switch lock {
	case 0:
		left := 1
		for m.tries[left-1] == 0 {
			left++
		}
		return fmt.Sprint("wrong, ", left, " of ", len(m.tries))
	case Forever:
		return "wrong, the last"
	}
	m.locked = &struct {
		from   time.Time
		length time.Duration
	}{now, lock}
	return fmt.Sprint("wrong, ", len(m.tries), " after ", now.Add(lock))
}

func describe(err error) string {
	var wrong *WrongPINError
	var locked *LockedError
	switch {
	case err == nil:
		return "right"
	case err == ErrDestroyed:
		return "destroyed"
	case errors.As(err, &locked):
		return fmt.Sprint("locked until ", locked.Until)
	case errors.As(err, &wrong) && errors.Is(err, ErrDestroyed):
		return "wrong, the last"
	case errors.As(err, &wrong) && wrong.LockedUntil.IsZero():
		return fmt.Sprint("wrong, ", wrong.Remaining, " of ", wrong.RemainingTotal)
	case errors.As(err, &wrong) && wrong.Remaining == 0:
		return fmt.Sprint("wrong, ", wrong.RemainingTotal, " after ", wrong.LockedUntil)
	}
	return "no verdict: " + err.Error()
}

func randomPolicy(r *rand.Rand) Policy {
	if r.IntN(4) == 0 {
		return DefaultPolicy()
	}
	var p Policy
	for range r.IntN(5) {
		p = append(p, Round{1 + r.IntN(5), time.Duration(1+r.IntN(100_000)) * time.Millisecond})
	}
	return append(p, Round{1 + r.IntN(5), Forever})
}

// TestAgainstModel drives Next and the model through random schedules, with times that
// cluster around the ends of locks and a clock that jumps both ways.
func TestAgainstModel(t *testing.T) {
	const schedules, steps = 400, 60
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	seen := make(map[string]int)
	for schedule := range schedules {
		p := randomPolicy(r)
		require.NoError(t, p.Validate())
		m, s, now := newModel(p), Counter{}, epoch
		for step := range steps {
			status, err := p.Peek(s, now)
			require.NoError(t, err)
			until := status.LockedUntil
			switch jump := r.IntN(12); {
			case jump < 3: // same moment
			case jump < 6:
				now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
			case jump < 8 && !until.IsZero():
				now = until
			case jump == 8 && !until.IsZero():
				now = until.Add(-time.Millisecond)
			case jump == 9:
				now = now.Add(time.Duration(r.IntN(48)) * time.Hour)
			case jump == 10:
				now = now.Add(-time.Duration(1+r.IntN(2000)) * time.Millisecond)
			case jump == 11:
				now = now.Add(-time.Duration(r.IntN(48)) * time.Hour)
			}
			right := r.IntN(8) == 0
			o := Wrong
			if right {
				o = Right
			}
			next, err := p.Next(s, o, now)
			want := m.answer(right, now)
			require.Equal(t, want, describe(err), "seed %d, schedule %d, step %d, policy %v", seed, schedule, step, p)
			again, err2 := p.Next(s, o, now)
			require.True(t, next == again)
			require.Equal(t, err, err2)
			encoded, err := next.MarshalBinary()
			require.NoError(t, err)
			s, err = ParseCounter(encoded)
			require.NoError(t, err)
			require.True(t, next == s)
			require.Equal(t, len(m.tries) == 0, s.Destroyed())
			seen[want[:5]]++
		}
	}
	for _, kind := range []string{"right", "wrong", "locke", "destr"} {
		require.Greater(t, seen[kind], 200, kind)
	}
}

// TestPolicyChangesGiveNothing changes the policy between any two requests. Whatever the
// order, no lock that was told ends early on a clock that runs forward, no destroyed key
// comes back, and no wrong PIN is answered unless the policy at hand answers it.
func TestPolicyChangesGiveNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for range 1000 {
		s, now := Counter{}, epoch
		var until time.Time
		dead, inARow := false, 0
		for range 40 {
			p := randomPolicy(r)
			total := 0
			for _, round := range p {
				total += round.Tries
			}
			now = now.Add(time.Duration(r.IntN(100_000)) * time.Millisecond)
			next, err := p.Next(s, Wrong, now)
			var wrong *WrongPINError
			var locked *LockedError
			switch {
			case errors.As(err, &wrong):
				require.False(t, dead)
				require.False(t, now.Before(until))
				inARow++
				require.LessOrEqual(t, inARow, total)
				require.Equal(t, total-inARow, wrong.RemainingTotal)
				if until = wrong.LockedUntil; wrong.RemainingTotal == 0 {
					dead = true
				}
			case errors.As(err, &locked):
				require.False(t, dead)
				require.False(t, locked.Until.Before(until))
				until = locked.Until
			default:
				require.Equal(t, ErrDestroyed, err)
				require.True(t, dead || inARow >= total)
				dead = true
			}
			require.Equal(t, dead, next.Destroyed())
			s = next
		}
	}
}

func TestVerdictText(t *testing.T) {
	require.EqualError(t, &WrongPINError{Remaining: 2, RemainingTotal: 8}, "limiter: wrong PIN, 2 tries remain until the next lock, 8 in all")
	require.EqualError(t, &WrongPINError{Remaining: 1, RemainingTotal: 7}, "limiter: wrong PIN, 1 try remains until the next lock, 7 in all")
	require.EqualError(t, &WrongPINError{RemainingTotal: 1, LockedUntil: epoch}, "limiter: wrong PIN, key is locked until 2026-03-01T12:00:00Z, then 1 try remains")
	require.EqualError(t, &WrongPINError{RemainingTotal: 6, LockedUntil: epoch}, "limiter: wrong PIN, key is locked until 2026-03-01T12:00:00Z, then 6 tries remain")
	require.EqualError(t, &WrongPINError{}, "limiter: wrong PIN, key is destroyed")
	require.EqualError(t, &LockedError{epoch}, "limiter: key is locked until 2026-03-01T12:00:00Z")
	require.NotErrorIs(t, &WrongPINError{RemainingTotal: 1}, ErrDestroyed)
	for _, err := range []error{nil, &WrongPINError{}, &LockedError{}, ErrDestroyed, fmt.Errorf("key 7: %w", ErrDestroyed)} {
		require.True(t, IsVerdict(err))
	}
	for _, err := range []error{ErrNotFound, ErrConflict, errClock, errPolicy, ErrCounter, errors.New("other")} {
		require.False(t, IsVerdict(err))
	}
}

func BenchmarkPolicyNext(b *testing.B) {
	p := DefaultPolicy()
	locked := Counter{wrong: 3, at: epoch.UnixMilli(), lock: (3 * time.Hour).Milliseconds()}
	for _, c := range []struct {
		name string
		s    Counter
		o    Outcome
	}{{"right", Counter{wrong: 2}, Right}, {"wrong", Counter{wrong: 1}, Wrong}, {"locked", locked, Right}} {
		b.Run(c.name, func(b *testing.B) {
			defer costtest.Report(b)()
			for b.Loop() {
				p.Next(c.s, c.o, epoch)
			}
		})
	}
}
