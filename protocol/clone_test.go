package protocol

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// copyOf returns a second phone with the same storage, as a thief has it.
func copyOf(tb testing.TB, p *phone) *phone {
	thief := openPhone(tb, p.service, p.state.copy(), nil)
	thief.id = p.id
	return thief
}

// keyOf is what a thief reads in a phone's storage.
func (p *phone) stored(tb testing.TB) *deviceState {
	st, err := parseDeviceState(p.state.data, nil)
	require.NoError(tb, err)
	return st
}

func requireCloneFound(t *testing.T, s *service, id KeyID, err error) {
	t.Helper()
	var dead *DestroyedError
	require.ErrorAs(t, err, &dead)
	require.Equal(t, ReasonClone, dead.Reason)
	require.ErrorIs(t, err, limiter.ErrDestroyed)
	status, err := s.Status(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, Destroyed, status.Condition)
	require.Equal(t, ReasonClone, status.Reason)
	require.Contains(t, s.logged(), `msg="clone detected" key=`+id.String())
	require.Empty(t, loadRecord(t, s, id).sealedShare, "the share is erased")
}

func loadRecord(t *testing.T, s *service, id KeyID) *record {
	value, _, err := s.store.Load(t.Context(), id.recordID())
	require.NoError(t, err)
	rec, err := parseRecord(value)
	require.NoError(t, err)
	return rec
}

// TestClone: whoever of the two comes second after a signature is found, with any PIN, and the key is dead for both.
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
				_, err := one.sign(t, "first", rightPIN)
				require.NoError(t, err)
				switch act {
				case "right PIN":
					_, err = two.sign(t, "second", rightPIN)
				case "wrong PIN":
					_, err = two.sign(t, "second", wrongPIN)
				case "refresh":
					err = two.Refresh(t.Context(), two.challenge(t))
				case "change PIN":
					err = two.ChangePIN(t.Context(), two.challenge(t), rightPIN, newPIN)
				}
				requireCloneFound(t, s, owner.id, err)
				_, err = one.sign(t, "third", rightPIN)
				var dead *DestroyedError
				require.ErrorAs(t, err, &dead)
				for _, p := range []*phone{one, two} {
					status, err := p.Status()
					require.NoError(t, err)
					require.Equal(t, Dead, status.Phase)
				}
			})
		}
	}
}

// TestGuessTakesTheNumber: also a wrong PIN of a copy's is found at the owner's next request, of any kind.
func TestGuessTakesTheNumber(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	var wrong *limiter.WrongPINError
	_, err := thief.sign(t, "loot", wrongPIN)
	require.ErrorAs(t, err, &wrong)
	requireCloneFound(t, s, owner.id, owner.Refresh(t.Context(), owner.challenge(t)))
}

// TestCloneWhileLocked: a lock does not hide a copy.
func TestCloneWhileLocked(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	_, err := owner.sign(t, "first", rightPIN)
	require.NoError(t, err)
	for range 3 {
		_, err = owner.sign(t, "typing badly", wrongPIN)
		require.Error(t, err)
	}
	_, err = thief.sign(t, "second", rightPIN)
	requireCloneFound(t, s, owner.id, err)
}

// exchangeAs sends what a holder of the state can send, and no device does.
func (p *phone) exchangeAs(t *testing.T, r *request) *answer {
	t.Helper()
	st := p.stored(t)
	var err error
	if r.challenge == nil {
		r.challenge, err = parseChallenge(p.challenge(t))
		require.NoError(t, err)
	}
	if r.token == nil {
		r.token = st.key.token
	}
	if r.op == OpReport {
		r.token = newSecret(make([]byte, secretSize))
	} else if r.chain == (hash{}) {
		r.chain = st.key.chain
	}
	plaintext, err := r.encode(st.key.authKey, st.key.id, nil)
	require.NoError(t, err)
	return exchange(t, p.service, r.op, st.key.id, plaintext)
}

// TestEveryKindOfClone: a fresh request with another token, another chain, a number too high, or the number of the last
// one under another hash, is a clone; of a Cancel as well. One with a lower number is superseded, and changes nothing.
func TestEveryKindOfClone(t *testing.T) {
	for _, op := range []Operation{OpRefresh, OpCancel} {
		for name, change := range map[string]func(r *request, next uint64){
			"token":       func(r *request, _ uint64) { r.token = drawSecret() },
			"chain":       func(r *request, _ uint64) { r.chain = hash{1} },
			"number":      func(r *request, next uint64) { r.number = next + 1 },
			"same number": func(r *request, next uint64) { r.number = next - 1 },
			"lower":       func(r *request, next uint64) { r.number = next - 2 },
			"none":        func(*request, uint64) {},
		} {
			t.Run(op.String()+"/"+name, func(t *testing.T) {
				s := newService(t)
				p := newReadyPhone(t, s)
				require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
				before := loadRecord(t, s, p.id)
				r := &request{op: op, number: before.last.number + 1, target: hash{7}}
				change(r, r.number)
				a := p.exchangeAs(t, r)
				after := loadRecord(t, s, p.id)
				switch name {
				case "none":
					require.True(t, a.code == codeRight || a.code == codeCancelled)
					require.Equal(t, before.last.number+1, after.last.number)
				case "lower":
					require.Equal(t, codeSuperseded, a.code)
					require.Equal(t, before, after)
				default:
					require.Equal(t, codeDestroyed, a.code)
					require.Equal(t, ReasonClone, a.reason)
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
	c, err := parseChallenge(p.challenge(t))
	require.NoError(t, err)
	s.clock.Add(DefaultChallengeLife)
	before := loadRecord(t, s, p.id)
	require.Equal(t, codeSuperseded, p.exchangeAs(t, &request{op: OpRefresh, number: before.last.number, challenge: c}).code)
	require.Equal(t, before, loadRecord(t, s, p.id))
}

// TestReport: whoever holds K_dev can end the key, with a challenge of any age, and gets the reason of a dead key.
func TestReport(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	require.ErrorIs(t, p.Report(t.Context(), nil), ErrNothingPending)
	old, err := parseChallenge(p.challenge(t))
	require.NoError(t, err)
	s.clock.Add(1000 * DefaultChallengeLife)
	for range 2 {
		a := p.exchangeAs(t, &request{op: OpReport, challenge: old})
		require.Equal(t, codeDestroyed, a.code)
		require.Equal(t, ReasonClone, a.reason)
	}
	revoked := newService(t)
	p = newReadyPhone(t, revoked)
	require.NoError(t, revoked.Revoke(t.Context(), p.id, "x"))
	require.Equal(t, ReasonRevoked, p.exchangeAs(t, &request{op: OpReport}).reason)
}

// TestSuperseded: a device that hears it uses the key no more, keeps nothing but what a Report needs, and reports until
// it is answered, whatever it is called for, also after a restart.
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
			return nil, errLost
		}
		return s.Handle(ctx, request)
	}
	owner = openPhone(t, s, owner.state, transport)
	owner.id = thief.id
	_, err := owner.sign(t, "x", rightPIN)
	require.ErrorIs(t, err, ErrSuperseded)
	require.ErrorIs(t, err, ErrUnanswered)
	st := owner.stored(t)
	require.Equal(t, Superseded, st.phase)
	require.Empty(t, st.key.lockbox)
	require.Equal(t, make([]byte, secretSize), st.key.token.bytes())
	require.Nil(t, st.pending)
	require.Nil(t, st.key.public.N)

	restarted := openPhone(t, s, owner.state, transport)
	restarted.id = owner.id
	_, err = restarted.sign(t, "x", rightPIN)
	require.ErrorIs(t, err, ErrSuperseded)
	require.ErrorIs(t, restarted.Enroll(t.Context(), EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: rightPIN}), ErrSuperseded)
	status, err := s.Status(t.Context(), owner.id)
	require.NoError(t, err)
	require.Equal(t, Active, status.Condition, "superseded alone changes nothing")

	lost = false
	_, err = restarted.Resume(t.Context())
	requireCloneFound(t, s, owner.id, err)
	require.Equal(t, Dead, restarted.stored(t).phase)
	require.Nil(t, restarted.stored(t).key)
	_, err = thief.sign(t, "x", rightPIN)
	require.ErrorIs(t, err, limiter.ErrDestroyed)
	require.NoError(t, restarted.Enroll(t.Context(), EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: rightPIN}))
}

// TestReportWithAnotherChallenge: where the challenge key was changed meanwhile the one that came with the answer is void.
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
	require.ErrorIs(t, owner.Refresh(t.Context(), owner.challenge(t)), ErrSuperseded)
	require.ErrorIs(t, owner.Report(t.Context(), nil), ErrSuperseded)
	requireCloneFound(t, s, owner.id, owner.Report(t.Context(), owner.challenge(t)))
}

// TestForgedEnd: a copier of a state with a request pending can forge that request's answer. "destroyed" is believed, and
// reported before K_dev is erased; so the key ends at the server too.
func TestForgedEnd(t *testing.T) {
	for name, forged := range map[string]*answer{
		"destroyed":  {code: codeDestroyed, reason: ReasonRevoked},
		"wrong PIN":  {code: codeWrong},
		"superseded": {code: codeSuperseded},
		"cancelled":  {code: codeCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			owner := newReadyPhone(t, s)
			forge := true
			owner.config.Transport = func(ctx context.Context, request []byte) ([]byte, error) {
				if forge {
					forge = false
					stolen := copyOf(t, owner).stored(t)
					if forged.hasChallenge() {
						forged.challenge = owner.challenge(t)
					}
					plaintext, err := forged.encode()
					require.NoError(t, err)
					return stolen.pending.reply().seal(plaintext)
				}
				return s.Handle(ctx, request)
			}
			_, err := owner.sign(t, "x", rightPIN)
			require.Error(t, err)
			require.ErrorIs(t, err, limiter.ErrDestroyed)
			require.Equal(t, Dead, owner.stored(t).phase)
			require.Equal(t, ReasonClone, loadRecord(t, s, owner.id).reason)
		})
	}
}

// TestForgedChallenge: a forged answer may bring a challenge that is no use for a Report. The owner's next call of any kind
// reports with the one that it was given.
func TestForgedChallenge(t *testing.T) {
	for name, call := range map[string]func(owner *phone) error{
		"sign":    func(owner *phone) error { _, err := owner.sign(t, "y", rightPIN); return err },
		"refresh": func(owner *phone) error { return owner.Refresh(t.Context(), owner.challenge(t)) },
		"cancel":  func(owner *phone) error { return owner.Cancel(t.Context(), owner.challenge(t)) },
	} {
		for _, another := range []bool{false, true} {
			s := newService(t)
			owner := newReadyPhone(t, s)
			nobody := s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{8}, 32) })
			foreign := nobody.issue(forOwnUse, owner.id, hash{})
			if another {
				foreign = s.issue(forOwnUse, KeyID{1}, hash{})
			}
			forge := true
			owner.config.Transport = func(ctx context.Context, request []byte) ([]byte, error) {
				if !forge {
					return s.Handle(ctx, request)
				}
				if owner.stored(t).pending == nil { // the Report
					return nil, errLost
				}
				plaintext, err := (&answer{code: codeSuperseded, challenge: foreign}).encode()
				require.NoError(t, err)
				return owner.stored(t).pending.reply().seal(plaintext)
			}
			_, err := owner.sign(t, "x", rightPIN)
			require.ErrorIs(t, err, ErrSuperseded)
			require.Equal(t, Superseded, owner.stored(t).phase)
			forge = false
			s.clock.Add(time.Second)
			requireCloneFound(t, s, owner.id, call(owner))
			require.Equal(t, Dead, owner.stored(t).phase, name)
		}
	}
}

// TestForgedVerdict: with forged answers "wrong" and "right" the chains of the two sides differ, and the owner's next
// request destroys the key.
func TestForgedVerdict(t *testing.T) {
	for name, forged := range map[string]*answer{
		"wrong PIN": {code: codeWrong, verdict: verdict{2, 8, 0}},
		"refreshed": {code: codeRight},
	} {
		for _, guess := range []bool{false, true} {
			s := newService(t)
			owner := newReadyPhone(t, s)
			var thief *phone
			owner.config.Transport = func(context.Context, []byte) ([]byte, error) {
				thief = copyOf(t, owner)
				plaintext, err := forged.encode()
				require.NoError(t, err)
				return thief.stored(t).pending.reply().seal(plaintext)
			}
			if name == "wrong PIN" {
				_, err := owner.sign(t, "x", wrongPIN)
				require.Error(t, err)
			} else {
				require.NoError(t, owner.Refresh(t.Context(), owner.challenge(t)))
			}
			owner.config.Transport = s.Handle
			if guess { // in the place of the owner's request, which the thief keeps
				one := make([]byte, 256)
				one[255] = 2
				signs := &request{op: OpChangePIN, number: thief.stored(t).key.number + 1, salts: [][]byte{nil}, partials: [][]byte{one}, target: hash{1}}
				require.Equal(t, codeWrong, thief.exchangeAs(t, signs).code)
			}
			requireCloneFound(t, s, owner.id, owner.Refresh(t.Context(), owner.challenge(t)))
			require.Equal(t, Dead, owner.stored(t).phase, name)
		}
	}
}

// TestForgedFate: a copier cancels the owner's pending request at the server, and makes the phone believe that its PIN was
// wrong: number, token and hash agree on both sides, and the fates in the chains do not.
func TestForgedFate(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	owner.config.Transport = func(context.Context, []byte) ([]byte, error) {
		pending := owner.stored(t).pending
		number := loadRecord(t, s, owner.id).last.number + 1
		require.Equal(t, codeCancelled, copyOf(t, owner).exchangeAs(t, &request{op: OpCancel, number: number, target: pending.hash()}).code)
		plaintext, err := (&answer{code: codeWrong, verdict: verdict{2, 8, 0}}).encode()
		require.NoError(t, err)
		return pending.reply().seal(plaintext)
	}
	var wrong *limiter.WrongPINError
	_, err := owner.sign(t, "x", rightPIN)
	require.ErrorAs(t, err, &wrong)
	owner.config.Transport = s.Handle
	requireCloneFound(t, s, owner.id, owner.Refresh(t.Context(), owner.challenge(t)))
}

// TestThiefCopiesMidway: a copy taken while a request of the owner's is under way is worth as much as one taken just
// after, and found by the owner's next signature.
func TestThiefCopiesMidway(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	var thief *phone
	owner.config.Transport = func(ctx context.Context, request []byte) ([]byte, error) {
		if thief == nil {
			thief = copyOf(t, owner)
		}
		return s.Handle(ctx, request)
	}
	_, err := owner.sign(t, "one", rightPIN)
	require.NoError(t, err)
	_, err = thief.Resume(t.Context()) // as good as the owner's own retry
	require.NoError(t, err)
	var wrong *limiter.WrongPINError
	_, err = thief.sign(t, "loot", wrongPIN)
	require.ErrorAs(t, err, &wrong)
	_, err = owner.sign(t, "two", rightPIN)
	require.True(t, errors.Is(err, limiter.ErrDestroyed))
	_, err = thief.sign(t, "loot", wrongPIN)
	requireCloneFound(t, s, owner.id, err)
}

// TestStateGoesBack: a state that is put back from a backup is a copy.
func TestStateGoesBack(t *testing.T) {
	for _, signatures := range []int{1, 2, 5} {
		s := newService(t)
		p := newReadyPhone(t, s)
		backup := p.state.copy()
		for range signatures {
			_, err := p.sign(t, "x", rightPIN)
			require.NoError(t, err)
		}
		p.state.data = backup.data
		requireCloneFound(t, s, p.id, p.Refresh(t.Context(), p.challenge(t)))
	}
}
