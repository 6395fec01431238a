package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestStateConsistent: what a phase can have beside it.
func TestStateConsistent(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	base := func() *state {
		st, err := parseState(p.state.Data, nil)
		require.NoError(t, err)
		return st
	}
	transaction, err := s.ChallengeSign(t.Context(), p.id, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	c, err := wire.ParseChallenge(transaction)
	require.NoError(t, err)
	pendingOf := func(op protocol.Operation) *pending { return &pending{op: op, challenge: c} }
	for name, change := range map[string]func(st *state){
		"ready, an enrolment pending": func(st *state) { st.pending = pendingOf(protocol.OpEnroll) },
		"enrolling, nothing pending":  func(st *state) { st.phase, st.key.public = Enrolling, rsa.PublicKey{} },
		"dead, with a key": func(st *state) {
			st.end(protocol.ReasonPIN, nil, false)
			st.phase = Dead
		},
		"dead, a request pending": func(st *state) {
			st.phase, st.reason, st.key, st.pending = Dead, protocol.ReasonPIN, nil, pendingOf(protocol.OpSign)
		},
		"dead, for no reason":      func(st *state) { st.phase, st.key = Dead, nil },
		"ready, with a reason":     func(st *state) { st.reason = protocol.ReasonPIN },
		"ready, without a key":     func(st *state) { st.key = nil },
		"ready, without a lockbox": func(st *state) { st.key.lockbox = nil },
		"no key, with a key": func(st *state) {
			st.phase, st.key.public, st.key.lockbox = NoKey, rsa.PublicKey{}, nil
		},
		"a phase after the last":      func(st *state) { st.phase, st.key = Superseded+1, nil },
		"enrolling, with a known key": func(st *state) { st.phase, st.pending = Enrolling, pendingOf(protocol.OpEnroll) },
		"superseded, with a lockbox": func(st *state) {
			lockbox := st.key.lockbox
			st.end(protocol.ReasonRevoked, nil, false)
			st.key.lockbox = lockbox
		},
		"superseded, a request pending": func(st *state) {
			st.end(protocol.ReasonRevoked, nil, false)
			st.pending = pendingOf(protocol.OpSign)
		},
	} {
		st := base()
		require.True(t, st.consistent())
		change(st)
		require.False(t, st.consistent(), name)
	}

	// A challenge that the key keeps for its own use is for that; for a Report, one of a
	// request of its own.
	ended := func() *state {
		st := base()
		st.end(protocol.ReasonClone, nil, false)
		return st
	}
	for _, c := range []struct {
		st        *state
		challenge []byte
		good      bool
	}{
		{base(), p.challenge(t), true}, {base(), transaction, false}, {base(), mustEnrollChallenge(t, s), false},
		{ended(), p.challenge(t), true}, {ended(), transaction, true}, {ended(), mustEnrollChallenge(t, s), false},
	} {
		var err error
		c.st.key.challenge, err = wire.ParseChallenge(c.challenge)
		require.NoError(t, err)
		data, err := c.st.encode(nil)
		require.NoError(t, err)
		_, err = parseState(data, nil)
		if c.good {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrStorage)
		}
	}

	// The longest request that is pending.
	own, err := wire.ParseChallenge(p.challenge(t))
	require.NoError(t, err)
	for n, good := range map[int]bool{1: true, protocol.MaxRequest: true, protocol.MaxRequest + 1: false} {
		st := base()
		st.pending = &pending{op: protocol.OpRefresh, challenge: own, next: wire.DrawSecret(), secret: wire.DrawSecret(), request: make([]byte, n)}
		data, err := st.encode(nil)
		require.NoError(t, err)
		again, err := parseState(data, nil)
		if good {
			require.NoError(t, err)
			require.Len(t, again.pending.request, n)
		} else {
			require.ErrorIs(t, err, ErrStorage)
		}
	}

	// Another magic, under a checksum that is right.
	data := append([]byte("TDxx"), p.state.Data[4:len(p.state.Data)-sha256.Size]...)
	sum := sha256.Sum256(data)
	_, err = parseState(append(data, sum[:]...), nil)
	require.ErrorIs(t, err, ErrStorage)
}

// TestEnrollTakesUp: Enroll with the challenge that is pending sends the same request
// again, and looks at nothing else; with another it starts over.
func TestEnrollTakesUp(t *testing.T) {
	s := newService(t)
	var sent [][]byte
	down := true
	p := newPhone(t, s, func(ctx context.Context, request []byte) ([]byte, error) {
		sent = append(sent, append([]byte(nil), request...))
		if down {
			return nil, errors.New("down")
		}
		return s.Handle(ctx, request)
	})
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, another, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := protocoltest.Shares()
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}), ErrUnanswered)
	sent = sent[len(sent)-1:]
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: protocoltest.NewPIN}), ErrUnanswered)
	require.Equal(t, sent[0], sent[len(sent)-1])
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: another, PIN: protocoltest.RightPIN, Client: client, Server: server}), ErrUnanswered)
	require.NotEqual(t, sent[0], sent[len(sent)-1])
	down = false
	require.NoError(t, p.Enroll(t.Context(), EnrollOptions{Challenge: another, PIN: protocoltest.NewPIN}))
}

// TestEnrollmentAnswerIsChecked: a final key that is not made of the device's is refused
// by the device.
func TestEnrollmentAnswerIsChecked(t *testing.T) {
	own := splitkeytest.Key(2048).PublicKey
	server := splitkeytest.NamedKey(splitkeytest.Server, 2048).PublicKey
	product := rsa.PublicKey{N: new(big.Int).Mul(own.N, server.N), E: own.E}
	require.True(t, divides(&own, &own))
	require.True(t, divides(&own, &product))
	for name, bad := range map[string]rsa.PublicKey{
		"another key":      server,
		"another exponent": {N: product.N, E: 3},
		"short factor":     {N: new(big.Int).Mul(own.N, big.NewInt(7)), E: own.E},
		"no second key":    {N: new(big.Int).Mul(own.N, own.N), E: own.E},
		"not a multiple":   {N: new(big.Int).Add(product.N, big.NewInt(2)), E: own.E},
	} {
		require.False(t, divides(&own, &bad), name)
	}
}

// TestDeviceDefaults: what a configuration leaves out.
func TestDeviceDefaults(t *testing.T) {
	s := newService(t)
	config := Config{Storage: new(protocoltest.MemoryStorage), Transport: s.Handle, HPKEKey: s.HPKEKey()}
	d, err := New(config)
	require.NoError(t, err)
	require.Equal(t, pinlock.DefaultParams(), d.config.Params)
	require.Equal(t, pinlock.Params{Time: 16, MemoryKiB: 1 << 20, Threads: 16}, d.config.Limit)

	config.Params = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}
	d, err = New(config)
	require.NoError(t, err)
	require.Equal(t, config.Params, d.config.Params)
}

// TestNonceDrawnAnew: the nonces of one state are different each time.
func TestNonceDrawnAnew(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		data, err := new(state).encode(bytes.Repeat([]byte{1}, 32))
		if fips140.Enforced() {
			require.ErrorContains(t, err, "FIPS 140-only")
			return
		}
		require.NoError(t, err)
		nonce := string(data[storageHeader : storageHeader+24])
		require.False(t, seen[nonce])
		require.NotEqual(t, string(make([]byte, 24)), nonce)
		seen[nonce] = true
	}
}
