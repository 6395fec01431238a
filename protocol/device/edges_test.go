package device

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// fickleStorage saves a number of times, and does something at each.
type fickleStorage struct {
	Storage
	saves int
	at    func()
}

func (f *fickleStorage) Save(data []byte) error {
	f.at()
	if f.saves--; f.saves < 0 {
		return protocoltest.ErrLost
	}
	return f.Storage.Save(data)
}

// TestUnsentIsTakenBack: a request that is saved and not sent, since its caller has left,
// is not pending; where it cannot be taken back both errors say so.
func TestUnsentIsTakenBack(t *testing.T) {
	for _, saves := range []int{1, 2} {
		s := newService(t)
		p := newReadyPhone(t, s)
		challenge := p.challenge(t)
		before := p.state.Copy().Data
		ctx, leave := context.WithCancel(t.Context())
		sent := 0
		d, err := New(Config{Storage: &fickleStorage{p.state, saves, leave}, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest,
			Transport: func(context.Context, []byte) ([]byte, error) { sent++; return nil, protocoltest.ErrLost }})
		require.NoError(t, err)
		err = d.Refresh(ctx, challenge)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, sent)
		require.Equal(t, saves == 1, errors.Is(err, protocoltest.ErrLost))
		require.Equal(t, saves == 2, string(before) == string(p.state.Data))
	}
}

// TestPendingOperation: what can be pending is an operation with a number.
func TestPendingOperation(t *testing.T) {
	p := newReadyPhone(t, newService(t))
	own, err := wire.ParseChallenge(p.challenge(t))
	require.NoError(t, err)
	for op := range protocol.OpReport + 2 {
		st := p.stored(t)
		st.pending = &pending{op: op, challenge: own, next: wire.DrawSecret(), secret: wire.DrawSecret(), request: []byte{1}}
		data, err := st.encode(nil)
		require.NoError(t, err)
		_, err = parseState(data, nil)
		if op == protocol.OpConfirm || op == protocol.OpChangePIN || op == protocol.OpRefresh {
			require.NoError(t, err, op)
		} else {
			require.ErrorIs(t, err, ErrStorage, op)
		}
	}
}

// TestUnpaddable: what does not fit the final key is refused before a request is made of
// it.
func TestUnpaddable(t *testing.T) {
	p, l := newLossyPhone(t, newService(t))
	digest := protocoltest.DigestOf("x")
	challenge, err := p.service.ChallengeSign(t.Context(), p.id, digest, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash})
	require.NoError(t, err)
	before, sent := p.state.Copy().Data, len(l.requests)
	_, err = p.Sign(t.Context(), challenge, digest, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 479}, protocoltest.RightPIN)
	require.ErrorIs(t, err, splitkey.ErrMessage)
	require.Equal(t, before, p.state.Data)
	require.Len(t, l.requests, sent)
	_, err = p.Sign(t.Context(), challenge, digest, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 478}, protocoltest.RightPIN)
	if fips140.Enforced() { // no salt is longer than the hash
		require.ErrorIs(t, err, splitkey.ErrFIPS)
		return
	}
	require.NoError(t, err)
}
