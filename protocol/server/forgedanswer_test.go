package server

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestForgedEnd: a copier of a state with a request pending can forge that request's
// answer. "destroyed" is believed, and reported before K_dev is erased; so the key ends
// at the server too.
func TestForgedEnd(t *testing.T) {
	for name, forged := range map[string]*wire.Answer{
		"destroyed":  {Code: wire.CodeDestroyed, Reason: protocol.ReasonRevoked},
		"wrong PIN":  {Code: wire.CodeWrong},
		"superseded": {Code: wire.CodeSuperseded},
		"cancelled":  {Code: wire.CodeCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			owner := newReadyPhone(t, s)
			forge := true
			owner.transport = func(ctx context.Context, request []byte) ([]byte, error) {
				if forge {
					forge = false
					stolen := copyOf(t, owner).stored(t)
					if forged.HasChallenge() {
						forged.Challenge = owner.challenge(t)
					}
					plaintext, err := forged.Encode()
					require.NoError(t, err)
					return stolen.Pending.ResponseKey().Seal(plaintext)
				}
				return s.Handle(ctx, request)
			}
			_, err := owner.sign(t, "x", protocoltest.RightPIN)
			require.Error(t, err)
			require.ErrorIs(t, err, limiter.ErrDestroyed)
			require.Equal(t, device.Dead, device.Phase(owner.stored(t).Phase))
			require.Equal(t, protocol.ReasonClone, loadRecord(t, s, owner.id).reason)
		})
	}
}

// TestForgedChallenge: a forged answer may bring a challenge that is no use for a Report.
// The owner's next call of any kind reports with the one that it was given.
func TestForgedChallenge(t *testing.T) {
	for name, call := range map[string]func(owner *phone) error{
		"sign":    func(owner *phone) error { _, err := owner.sign(t, "y", protocoltest.RightPIN); return err },
		"refresh": func(owner *phone) error { return owner.Refresh(t.Context(), owner.challenge(t)) },
		"cancel":  func(owner *phone) error { return owner.Cancel(t.Context(), owner.challenge(t)) },
	} {
		for _, another := range []bool{false, true} {
			s := newService(t)
			owner := newReadyPhone(t, s)
			nobody := s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{8}, 32) })
			foreign := nobody.issue(wire.ForOwnUse, owner.id, wire.Hash{})
			if another {
				foreign = s.issue(wire.ForOwnUse, protocol.KeyID{1}, wire.Hash{})
			}
			forge := true
			owner.transport = func(ctx context.Context, request []byte) ([]byte, error) {
				if !forge {
					return s.Handle(ctx, request)
				}
				if owner.stored(t).Pending == nil { // the Report
					return nil, protocoltest.ErrLost
				}
				plaintext, err := (&wire.Answer{Code: wire.CodeSuperseded, Challenge: foreign}).Encode()
				require.NoError(t, err)
				return owner.stored(t).Pending.ResponseKey().Seal(plaintext)
			}
			_, err := owner.sign(t, "x", protocoltest.RightPIN)
			require.ErrorIs(t, err, device.ErrSuperseded)
			require.Equal(t, device.Superseded, device.Phase(owner.stored(t).Phase))
			forge = false
			s.clock.Add(time.Second)
			requireCloneFound(t, s, owner.id, call(owner))
			require.Equal(t, device.Dead, device.Phase(owner.stored(t).Phase), name)
		}
	}
}

// TestForgedVerdict: with forged answers "wrong" and "right" the chains of the two sides
// differ, and the owner's next request destroys the key.
func TestForgedVerdict(t *testing.T) {
	for name, forged := range map[string]*wire.Answer{
		"wrong PIN": {Code: wire.CodeWrong, Verdict: wire.Verdict{Remaining: 2, Total: 8, Until: 0}},
		"refreshed": {Code: wire.CodeRight},
	} {
		for _, guess := range []bool{false, true} {
			s := newService(t)
			owner := newReadyPhone(t, s)
			var thief *phone
			owner.transport = func(context.Context, []byte) ([]byte, error) {
				thief = copyOf(t, owner)
				plaintext, err := forged.Encode()
				require.NoError(t, err)
				return thief.stored(t).Pending.ResponseKey().Seal(plaintext)
			}
			if name == "wrong PIN" {
				_, err := owner.sign(t, "x", protocoltest.WrongPIN)
				require.Error(t, err)
			} else {
				require.NoError(t, owner.Refresh(t.Context(), owner.challenge(t)))
			}
			owner.transport = s.Handle
			if guess { // in the place of the owner's request, which the thief keeps
				one := make([]byte, 256)
				one[255] = 2
				signs := &wire.Request{Op: protocol.OpChangePIN, Number: thief.stored(t).Key.Number + 1, Salts: [][]byte{nil}, Partials: [][]byte{one}, Target: wire.Hash{1}}
				require.Equal(t, wire.CodeWrong, thief.exchangeAs(t, signs).Code)
			}
			requireCloneFound(t, s, owner.id, owner.Refresh(t.Context(), owner.challenge(t)))
			require.Equal(t, device.Dead, device.Phase(owner.stored(t).Phase), name)
		}
	}
}

// TestForgedFate: a copier cancels the owner's pending request at the server, and makes
// the phone believe that its PIN was wrong: number, token and hash agree on both sides,
// and the fates in the chains do not.
func TestForgedFate(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	owner.transport = func(context.Context, []byte) ([]byte, error) {
		pending := owner.stored(t).Pending
		number := loadRecord(t, s, owner.id).last.number + 1
		require.Equal(t, wire.CodeCancelled, copyOf(t, owner).exchangeAs(t, &wire.Request{Op: protocol.OpCancel, Number: number, Target: pending.Hash()}).Code)
		plaintext, err := (&wire.Answer{Code: wire.CodeWrong, Verdict: wire.Verdict{Remaining: 2, Total: 8, Until: 0}}).Encode()
		require.NoError(t, err)
		return pending.ResponseKey().Seal(plaintext)
	}
	var wrong *limiter.WrongPINError
	_, err := owner.sign(t, "x", protocoltest.RightPIN)
	require.ErrorAs(t, err, &wrong)
	owner.transport = s.Handle
	requireCloneFound(t, s, owner.id, owner.Refresh(t.Context(), owner.challenge(t)))
}
