package server

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// copyOf returns a second phone with the same storage, as a thief has it.
func copyOf(tb testing.TB, p *phone) *phone {
	thief := openPhone(tb, p.service, p.state.Copy(), nil)
	thief.id = p.id
	return thief
}

// keyOf is what a thief reads in a phone's storage.
func (p *phone) stored(tb testing.TB) *protocoltest.State {
	st, err := protocoltest.ParseState(p.state.Data)
	require.NoError(tb, err)
	return st
}

func requireCloneFound(t *testing.T, s *service, id protocol.KeyID, err error) {
	t.Helper()
	var dead *protocol.DestroyedError
	require.ErrorAs(t, err, &dead)
	require.Equal(t, protocol.ReasonClone, dead.Reason)
	require.ErrorIs(t, err, limiter.ErrDestroyed)
	status, err := s.Status(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, Destroyed, status.Condition)
	require.Equal(t, protocol.ReasonClone, status.Reason)
	require.Contains(t, s.logged(), `msg="clone detected" key=`+id.String())
	require.Empty(t, loadRecord(t, s, id).sealedShare, "the share is erased")
}

func loadRecord(t *testing.T, s *service, id protocol.KeyID) *record {
	value, _, err := s.store.Load(t.Context(), recordID(id))
	require.NoError(t, err)
	rec, err := parseRecord(value)
	require.NoError(t, err)
	return rec
}

// TestClone: whoever of the two comes second after a signature is found, with any PIN,
// and the key is dead for both.
func TestClone(t *testing.T) {
	for _, second := range []string{"thief", "owner"} {
		for _, act := range []string{"right PIN", "wrong PIN", "refresh", "change PIN"} {
			t.Run(second+"/"+act, func(t *testing.T) {
				s := newService(t)
				owner := newReadyPhone(t, s)
				thief := copyOf(t, owner)
				one, two := owner, thief
				if second == "owner" {
					one, two = thief, owner
				}
				_, err := one.sign(t, "first", protocoltest.RightPIN)
				require.NoError(t, err)
				switch act {
				case "right PIN":
					_, err = two.sign(t, "second", protocoltest.RightPIN)
				case "wrong PIN":
					_, err = two.sign(t, "second", protocoltest.WrongPIN)
				case "refresh":
					err = two.Refresh(t.Context(), two.challenge(t))
				case "change PIN":
					err = two.ChangePIN(t.Context(), two.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN)
				}
				requireCloneFound(t, s, owner.id, err)
				_, err = one.sign(t, "third", protocoltest.RightPIN)
				var dead *protocol.DestroyedError
				require.ErrorAs(t, err, &dead)
				for _, p := range []*phone{one, two} {
					status, err := p.Status()
					require.NoError(t, err)
					require.Equal(t, device.Dead, status.Phase)
				}
			})
		}
	}
}

// TestGuessTakesTheNumber: also a wrong PIN of a copy's is found at the owner's next
// request, of any kind.
func TestGuessTakesTheNumber(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	var wrong *limiter.WrongPINError
	_, err := thief.sign(t, "loot", protocoltest.WrongPIN)
	require.ErrorAs(t, err, &wrong)
	requireCloneFound(t, s, owner.id, owner.Refresh(t.Context(), owner.challenge(t)))
}

// TestCloneWhileLocked: a lock does not hide a copy.
func TestCloneWhileLocked(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	_, err := owner.sign(t, "first", protocoltest.RightPIN)
	require.NoError(t, err)
	for range 3 {
		_, err = owner.sign(t, "typing badly", protocoltest.WrongPIN)
		require.Error(t, err)
	}
	_, err = thief.sign(t, "second", protocoltest.RightPIN)
	requireCloneFound(t, s, owner.id, err)
}

// exchangeAs sends what a holder of the state can send, and no device does.
func (p *phone) exchangeAs(t *testing.T, r *wire.Request) *wire.Answer {
	t.Helper()
	st := p.stored(t)
	var err error
	if r.Challenge == nil {
		r.Challenge, err = wire.ParseChallenge(p.challenge(t))
		require.NoError(t, err)
	}
	if r.Token.Get() == nil {
		r.Token = st.Key.Token
	}
	if r.Op == protocol.OpReport {
		r.Token = wire.NewSecret(make([]byte, wire.SecretSize))
	} else if r.Chain == (wire.Hash{}) {
		r.Chain = st.Key.Chain
	}
	plaintext, err := r.Encode(st.Key.AuthKey, st.Key.ID, nil)
	require.NoError(t, err)
	return exchange(t, p.service, r.Op, st.Key.ID, plaintext)
}

// TestEveryKindOfClone: a fresh request with another token, another chain, a number too
// high, or the number of the last one under another hash, is a clone; of a Cancel as
// well. One with a lower number is superseded, and changes nothing.
func TestEveryKindOfClone(t *testing.T) {
	for _, op := range []protocol.Operation{protocol.OpRefresh, protocol.OpCancel} {
		for name, change := range map[string]func(r *wire.Request, next uint64){
			"token":       func(r *wire.Request, _ uint64) { r.Token = wire.DrawSecret() },
			"chain":       func(r *wire.Request, _ uint64) { r.Chain = wire.Hash{1} },
			"number":      func(r *wire.Request, next uint64) { r.Number = next + 1 },
			"same number": func(r *wire.Request, next uint64) { r.Number = next - 1 },
			"lower":       func(r *wire.Request, next uint64) { r.Number = next - 2 },
			"none":        func(*wire.Request, uint64) {},
		} {
			t.Run(op.String()+"/"+name, func(t *testing.T) {
				s := newService(t)
				p := newReadyPhone(t, s)
				require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
				before := loadRecord(t, s, p.id)
				r := &wire.Request{Op: op, Number: before.last.number + 1, Target: wire.Hash{7}}
				change(r, r.Number)
				a := p.exchangeAs(t, r)
				after := loadRecord(t, s, p.id)
				switch name {
				case "none":
					require.True(t, a.Code == wire.CodeRight || a.Code == wire.CodeCancelled)
					require.Equal(t, before.last.number+1, after.last.number)
				case "lower":
					require.Equal(t, wire.CodeSuperseded, a.Code)
					require.Equal(t, before, after)
				default:
					require.Equal(t, wire.CodeDestroyed, a.Code)
					require.Equal(t, protocol.ReasonClone, a.Reason)
					require.Equal(t, Destroyed, after.condition)
				}
			})
		}
	}
}

// TestSameNumberExpired: what has expired, and never was settled, is no clone.
func TestSameNumberExpired(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	c, err := wire.ParseChallenge(p.challenge(t))
	require.NoError(t, err)
	s.clock.Add(DefaultChallengeLife)
	before := loadRecord(t, s, p.id)
	require.Equal(t, wire.CodeSuperseded, p.exchangeAs(t, &wire.Request{Op: protocol.OpRefresh, Number: before.last.number, Challenge: c}).Code)
	require.Equal(t, before, loadRecord(t, s, p.id))
}

// TestReport: whoever holds K_dev can end the key, with a challenge of any age, and gets
// the reason of a dead key.
func TestReport(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	require.ErrorIs(t, p.Report(t.Context(), nil), device.ErrNothingPending)
	old, err := wire.ParseChallenge(p.challenge(t))
	require.NoError(t, err)
	s.clock.Add(1000 * DefaultChallengeLife)
	for range 2 {
		a := p.exchangeAs(t, &wire.Request{Op: protocol.OpReport, Challenge: old})
		require.Equal(t, wire.CodeDestroyed, a.Code)
		require.Equal(t, protocol.ReasonClone, a.Reason)
	}
	revoked := newService(t)
	p = newReadyPhone(t, revoked)
	require.NoError(t, revoked.Revoke(t.Context(), p.id, "x"))
	require.Equal(t, protocol.ReasonRevoked, p.exchangeAs(t, &wire.Request{Op: protocol.OpReport}).Reason)
}

// TestSuperseded: a device that hears it uses the key no more, keeps nothing but what a
// Report needs, and reports until it is answered, whatever it is called for, also after a
// restart.
func TestSuperseded(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	for range 2 { // two numbers, so that the owner's is lower than the last
		require.NoError(t, thief.Refresh(t.Context(), thief.challenge(t)))
	}
	requests, lost := 0, true
	transport := func(ctx context.Context, request []byte) ([]byte, error) {
		if requests++; lost && requests > 1 {
			return nil, protocoltest.ErrLost
		}
		return s.Handle(ctx, request)
	}
	owner = openPhone(t, s, owner.state, transport)
	owner.id = thief.id
	_, err := owner.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrSuperseded)
	require.ErrorIs(t, err, device.ErrUnanswered)
	st := owner.stored(t)
	require.Equal(t, device.Superseded, device.Phase(st.Phase))
	require.Empty(t, st.Key.Lockbox)
	require.Equal(t, make([]byte, wire.SecretSize), st.Key.Token.Get())
	require.Nil(t, st.Pending)
	require.Nil(t, st.Key.Public.N)

	restarted := openPhone(t, s, owner.state, transport)
	restarted.id = owner.id
	_, err = restarted.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrSuperseded)
	require.ErrorIs(t, restarted.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN}), device.ErrSuperseded)
	status, err := s.Status(t.Context(), owner.id)
	require.NoError(t, err)
	require.Equal(t, Active, status.Condition, "superseded alone changes nothing")

	lost = false
	_, err = restarted.Resume(t.Context())
	requireCloneFound(t, s, owner.id, err)
	require.Equal(t, device.Dead, device.Phase(restarted.stored(t).Phase))
	require.Nil(t, restarted.stored(t).Key)
	_, err = thief.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, limiter.ErrDestroyed)
	require.NoError(t, restarted.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN}))
}

// TestReportWithAnotherChallenge: where the challenge key was changed meanwhile the one
// that came with the answer is void.
func TestReportWithAnotherChallenge(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	for range 2 {
		require.NoError(t, thief.Refresh(t.Context(), thief.challenge(t)))
	}
	answers := 0
	owner = openPhone(t, s, owner.state, func(ctx context.Context, request []byte) ([]byte, error) {
		if answers++; answers == 2 {
			s.Server = s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{8}, 32) })
		}
		return s.Handle(ctx, request)
	})
	owner.id = thief.id
	require.ErrorIs(t, owner.Refresh(t.Context(), owner.challenge(t)), device.ErrSuperseded)
	require.ErrorIs(t, owner.Report(t.Context(), nil), device.ErrSuperseded)
	requireCloneFound(t, s, owner.id, owner.Report(t.Context(), owner.challenge(t)))
}

// TestThiefCopiesMidway: a copy taken while a request of the owner's is under way is
// worth as much as one taken just after, and found by the owner's next signature.
func TestThiefCopiesMidway(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	var thief *phone
	owner.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		if thief == nil {
			thief = copyOf(t, owner)
		}
		return s.Handle(ctx, request)
	}
	_, err := owner.sign(t, "one", protocoltest.RightPIN)
	require.NoError(t, err)
	_, err = thief.Resume(t.Context()) // as good as the owner's own retry
	require.NoError(t, err)
	var wrong *limiter.WrongPINError
	_, err = thief.sign(t, "loot", protocoltest.WrongPIN)
	require.ErrorAs(t, err, &wrong)
	_, err = owner.sign(t, "two", protocoltest.RightPIN)
	require.True(t, errors.Is(err, limiter.ErrDestroyed))
	_, err = thief.sign(t, "loot", protocoltest.WrongPIN)
	requireCloneFound(t, s, owner.id, err)
}

// TestStateGoesBack: a state that is put back from a backup is a copy.
func TestStateGoesBack(t *testing.T) {
	for _, signatures := range []int{1, 2, 5} {
		s := newService(t)
		p := newReadyPhone(t, s)
		backup := p.state.Copy()
		for range signatures {
			_, err := p.sign(t, "x", protocoltest.RightPIN)
			require.NoError(t, err)
		}
		p.state.Data = backup.Data
		requireCloneFound(t, s, p.id, p.Refresh(t.Context(), p.challenge(t)))
	}
}
