package server

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// putBack turns a record back to an earlier value, as a restored backup does.
func (s *service) putBack(t *testing.T, id protocol.KeyID, value []byte) {
	_, version, err := s.store.Load(t.Context(), recordID(id))
	require.NoError(t, err)
	require.NoError(t, s.store.Swap(t.Context(), recordID(id), version, value))
}

// recover does what an operator does after a restore, who knows nothing but the store.
func (s *service) recover(t *testing.T, id protocol.KeyID) {
	s.clock.Add(time.Second)
	require.NoError(t, s.Recover(t.Context(), id, Recovery{Began: s.clock.Now(), TriesLeft: -1}))
	s.clock.Add(time.Second)
}

// TestRecoveredDevice: after a recovery a device whose numbers, token and chain the store
// has lost signs as ever, once the lock of the charged round is over. Without one, it is
// called a clone.
func TestRecoveredDevice(t *testing.T) {
	for _, lost := range []int{0, 1, 4} {
		for _, recovered := range []bool{false, true} {
			t.Run(fmt.Sprint(lost, recovered), func(t *testing.T) {
				s := newService(t)
				p := newReadyPhone(t, s)
				backup := s.recorded(t, p.id)
				for i := range lost {
					_, err := p.sign(t, fmt.Sprint(i), protocoltest.RightPIN)
					require.NoError(t, err)
				}
				s.putBack(t, p.id, backup)
				if !recovered {
					if _, err := p.sign(t, "after", protocoltest.RightPIN); lost > 0 {
						requireCloneFound(t, s, p.id, err)
					} else {
						require.NoError(t, err)
					}
					return
				}
				s.recover(t, p.id)
				status, err := s.Status(t.Context(), p.id)
				require.NoError(t, err)
				require.Equal(t, 6, status.Attempts.RemainingTotal)
				require.False(t, status.Recovered.IsZero())

				// Everything but a right PIN leaves it so; nothing is an alarm.
				_, err = p.sign(t, "early", protocoltest.RightPIN)
				var locked *limiter.LockedError
				require.ErrorAs(t, err, &locked)
				require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
				s.clock.Set(locked.Until)
				_, err = p.sign(t, "typing badly", protocoltest.WrongPIN)
				var wrong *limiter.WrongPINError
				require.ErrorAs(t, err, &wrong)
				require.Equal(t, 5, wrong.RemainingTotal)
				require.True(t, loadRecord(t, s, p.id).unheard)

				phone, err := p.Status()
				require.NoError(t, err)
				for _, text := range []string{"after", "again"} {
					signature, err := p.sign(t, text, protocoltest.RightPIN)
					require.NoError(t, err)
					require.NoError(t, rsa.VerifyPKCS1v15(phone.PublicKey, crypto.SHA256, protocoltest.DigestOf(text), signature))
					require.False(t, loadRecord(t, s, p.id).unheard)
				}
				status, err = s.Status(t.Context(), p.id)
				require.NoError(t, err)
				require.Equal(t, 9, status.Attempts.RemainingTotal)
				require.True(t, status.Recovered.IsZero())
			})
		}
	}
}

// TestThiefAfterRecovery: once the owner has signed, a copy of the device is found as
// ever, whether it was made before or after the backup. A copy that is first has the
// tries that the charge has left, 6, and no more; then the key is dead. None signs.
func TestThiefAfterRecovery(t *testing.T) {
	for _, made := range []string{"before the backup", "after the backup", "after the recovery"} {
		for _, first := range []string{"owner", "thief"} {
			t.Run(made+", "+first+" first", func(t *testing.T) {
				s := newService(t)
				owner := newReadyPhone(t, s)
				var thief *phone
				copyIf := func(now string) {
					if now == made {
						thief = copyOf(t, owner)
					}
				}
				copyIf("before the backup")
				_, err := owner.sign(t, "kept", protocoltest.RightPIN)
				require.NoError(t, err)
				backup := s.recorded(t, owner.id)
				_, err = owner.sign(t, "lost", protocoltest.RightPIN)
				require.NoError(t, err)
				copyIf("after the backup")
				_, err = owner.sign(t, "lost too", protocoltest.RightPIN)
				require.NoError(t, err)
				s.putBack(t, owner.id, backup)
				s.recover(t, owner.id)
				copyIf("after the recovery")
				s.clock.Add(3 * time.Hour)
				if first == "owner" {
					_, err = owner.sign(t, "owner", protocoltest.RightPIN)
					require.NoError(t, err)
					_, err = thief.sign(t, "loot", protocoltest.WrongPIN)
					requireCloneFound(t, s, owner.id, err)
					return
				}
				// He may say any number that he likes.
				requireFewGuesses(t, s, thief, 6)
				_, err = owner.sign(t, "owner", protocoltest.RightPIN)
				require.ErrorIs(t, err, limiter.ErrDestroyed)
			})
		}
	}
}

// requireFewGuesses guesses as fast as locks let a thief, with a number above all others.
func requireFewGuesses(t *testing.T, s *service, thief *phone, want int) {
	guesses := 0
	for number := uint64(1000); ; number++ {
		r := thief.forgery(t, protocol.OpSign, thief, protocoltest.WrongPIN).request
		r.Number = number
		a := thief.exchangeAs(t, r)
		switch a.Code {
		case wire.CodeWrong:
			guesses++
			require.Equal(t, want-guesses, int(a.Verdict.Total))
		case wire.CodeLocked:
			s.clock.Set(time.UnixMilli(a.Verdict.Until))
		case wire.CodeDestroyed:
			require.Equal(t, want, guesses)
			return
		default:
			require.Fail(t, "an answer", "%+v", a)
		}
	}
}

// TestCopyBehindARecovery: a copy whose number the restored store has used up is found,
// whether its owner was heard of or not.
func TestCopyBehindARecovery(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	for range 2 {
		_, err := owner.sign(t, "kept", protocoltest.RightPIN)
		require.NoError(t, err)
	}
	backup := s.recorded(t, owner.id)
	s.putBack(t, owner.id, backup)
	s.recover(t, owner.id)
	err := thief.Refresh(t.Context(), thief.challenge(t))
	requireCloneFound(t, s, owner.id, err)
}

// TestReplayAfterRecovery: what was recorded before the recovery changes nothing after
// it: a signature and a Cancel of the history that was lost.
func TestReplayAfterRecovery(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	backup := s.recorded(t, p.id)
	_, err := p.sign(t, "lost", protocoltest.RightPIN)
	require.NoError(t, err)
	l.loseRequest = true
	_, err = p.sign(t, "given up", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	l.loseRequest = false
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)))
	recorded := l.requests
	s.putBack(t, p.id, backup)
	s.recover(t, p.id)
	before := s.recorded(t, p.id)
	for _, request := range recorded {
		_, _ = s.Handle(t.Context(), request)
		require.Equal(t, before, s.recorded(t, p.id))
	}
	s.clock.Add(3 * time.Hour)
	// A pending request of before is told that it has expired, and then cancelled.
	_, err = p.sign(t, "after", protocoltest.RightPIN)
	require.NoError(t, err)
}

// TestRecoverTwice: one recovery charges a key once, a later one again, and a key in its
// last round dies of it.
func TestRecoverTwice(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	r := Recovery{Began: s.clock.Now(), TriesLeft: -1}
	for range 3 {
		require.NoError(t, s.Recover(t.Context(), p.id, r))
		status, err := s.Status(t.Context(), p.id)
		require.NoError(t, err)
		require.Equal(t, 6, status.Attempts.RemainingTotal)
	}
	for _, left := range []int{3, 0} {
		r.Began = r.Began.Add(time.Millisecond)
		require.NoError(t, s.Recover(t.Context(), p.id, r))
		status, err := s.Status(t.Context(), p.id)
		require.NoError(t, err)
		require.Equal(t, left, status.Attempts.RemainingTotal)
	}
	rec := loadRecord(t, s, p.id)
	require.Equal(t, Destroyed, rec.condition)
	require.Equal(t, protocol.ReasonPIN, rec.reason)
	require.Empty(t, rec.sealedShare)
	require.Contains(t, s.logged(), "key recovered")
}

// TestRecoverByMemory: what the audit sink knows beside the store takes effect.
func TestRecoverByMemory(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	backup := s.recorded(t, p.id)
	events := loadRecord(t, s, p.id).eventNumber
	at := func(r Recovery) *record {
		s.putBack(t, p.id, backup)
		s.clock.Add(time.Second)
		r.Began = s.clock.Now()
		require.NoError(t, s.Recover(t.Context(), p.id, r))
		return loadRecord(t, s, p.id)
	}
	rec := at(Recovery{TriesLeft: -1, Destroyed: protocol.ReasonClone, Events: 77})
	require.Equal(t, Destroyed, rec.condition)
	require.Equal(t, protocol.ReasonClone, rec.reason)
	require.Equal(t, uint64(78), rec.eventNumber)
	rec = at(Recovery{TriesLeft: 5})
	require.Equal(t, events+1, rec.eventNumber)
	status, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.Equal(t, 2, status.Attempts.RemainingTotal)

	// A destroyed key of the store's stays so, and is not told again.
	require.NoError(t, s.Revoke(t.Context(), p.id, "lost"))
	number := loadRecord(t, s, p.id).eventNumber
	require.NoError(t, s.Recover(t.Context(), p.id, Recovery{Began: s.clock.Now().Add(time.Hour), TriesLeft: -1}))
	rec = loadRecord(t, s, p.id)
	require.Equal(t, protocol.ReasonRevoked, rec.reason)
	require.Equal(t, number, rec.eventNumber)

	// A key that was confirmed since.
	s = newService(t)
	p = newPhone(t, s, nil)
	p.enroll(t)
	backup = s.recorded(t, p.id)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	at(Recovery{TriesLeft: -1, Confirmed: true})
	s.clock.Add(3 * time.Hour)
	_, err = p.sign(t, "after", protocoltest.RightPIN)
	require.NoError(t, err)
}

// TestRecoverRefuses: a recovery of no time, an unknown key, an unknown reason, and a
// sink that does not take what the record holds change nothing.
func TestRecoverRefuses(t *testing.T) {
	sink := &failingSink{}
	s := newService(t, func(c *Config) { c.Audit = sink })
	p := newReadyPhone(t, s)
	r := Recovery{Began: s.clock.Now(), TriesLeft: -1}
	require.ErrorIs(t, s.Recover(t.Context(), protocol.KeyID{1}, r), ErrUnknownKey)
	before := s.recorded(t, p.id)
	require.Error(t, s.Recover(t.Context(), p.id, Recovery{TriesLeft: -1}))
	require.Error(t, s.Recover(t.Context(), p.id, Recovery{Began: r.Began, Destroyed: 99}))
	require.Equal(t, before, s.recorded(t, p.id))
	sink.down = true
	_, err := p.sign(t, "untold", protocoltest.RightPIN)
	require.NoError(t, err)
	before = s.recorded(t, p.id)
	require.ErrorIs(t, s.Recover(t.Context(), p.id, r), errSinkDown)
	require.Equal(t, before, s.recorded(t, p.id))
	sink.down = false
	require.NoError(t, s.Recover(t.Context(), p.id, r))
}

type failingSink struct{ down bool }

var errSinkDown = errors.New("the sink is down")

func (f *failingSink) Record(context.Context, Event) error {
	if f.down {
		return errSinkDown
	}
	return nil
}
