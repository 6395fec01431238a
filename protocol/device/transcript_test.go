package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// transcriptDevice is a device of the transcript: this package's, with the recorded
// requests in place of its own, which are random. Cancels and Reports it makes itself.
type transcriptDevice struct {
	*Device
	g     *protocoltest.TranscriptGroup
	state *protocoltest.MemoryStorage
	keys  map[wire.HPKEKeyID]hpke.PrivateKey
	now   *protocoltest.TranscriptTest
	calls int
	made  []byte // plaintext of the Cancel or Report that it made
}

func newTranscriptDevice(t *testing.T, g *protocoltest.TranscriptGroup, state *protocoltest.MemoryStorage) *transcriptDevice {
	d := &transcriptDevice{g: g, state: state, keys: make(map[wire.HPKEKeyID]hpke.PrivateKey)}
	for _, seed := range [][]byte{g.HpkePrivate, g.NextHpkePrivate} {
		if private, err := wire.KEM.NewPrivateKey(seed); seed != nil {
			require.NoError(t, err)
			d.keys[wire.HPKEKeyIDOf(private.PublicKey().Bytes())] = private
		}
	}
	config := Config{Storage: state, Transport: d.transport, HPKEKey: g.HpkePublic, Authority: ed25519.PublicKey(g.AuthorityPublic), Params: protocoltest.Cheapest}
	if len(g.HardwarePublic) > 0 {
		config.Hardware = d
	}
	var err error
	d.Device, err = New(config)
	require.NoError(t, err)
	return d
}

// Public implements crypto.Signer.
func (d *transcriptDevice) Public() crypto.PublicKey {
	public, err := wire.ParseHardwareKey(d.g.HardwarePublic)
	if err != nil {
		panic(err)
	}
	return public
}

// Sign implements crypto.Signer.
func (d *transcriptDevice) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	if d.now.HardwareSignature == nil {
		return nil, errors.New("nothing to sign")
	}
	return protocoltest.DerSignature(d.now.HardwareSignature)
}

// transport gives the recorded answer to the recorded request, and to the device's own
// Cancel or Report. What the device sends beside it is lost: the transcript has it as a
// test of its own.
func (d *transcriptDevice) transport(_ context.Context, request []byte) ([]byte, error) {
	v := d.now
	if d.calls++; d.calls > 1 {
		return nil, protocoltest.ErrLost
	}
	response := []byte(v.ResponseEnc)
	if !bytes.Equal(request, v.Request.RequestEnc) {
		o, err := protocoltest.OpenRequest(request, d.keys)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(request[2:10], v.Request.RequestEnc[2:10]) {
			return nil, errors.New("encrypted to another HPKE key")
		}
		d.made = o.Plaintext.Get()
		if response, err = o.ResponseKey.Seal(v.ResponsePlaintext); err != nil {
			return nil, err
		}
	}
	if v.Way == "request-lost" || v.Way == "answer-lost" {
		return nil, protocoltest.ErrLost
	}
	return response, nil
}

// begin gives the device the lockbox and a pending enrolment.
func (d *transcriptDevice) begin(t *testing.T, v *protocoltest.TranscriptTest) {
	sharing := splitkey.Multiplicative
	if d.g.Sharing == "additive" {
		sharing = splitkey.Additive
	}
	client, _, err := splitkeytest.Split(d.g.Key.Private(t), sharing, d.g.X)
	require.NoError(t, err)
	box, err := pinlock.Lock(client, protocoltest.RightPIN, protocoltest.Cheapest)
	require.NoError(t, err)
	lockbox, err := box.MarshalBinary()
	require.NoError(t, err)
	s := &state{phase: Enrolling, hpkeKey: d.g.HpkePublic, shipped: wire.HPKEKeyIDOf(d.g.HpkePublic)}
	s.key = &enrolledKey{id: protocol.KeyID(d.g.KeyID), authKey: wire.NewSecret(d.g.AuthKey), hardware: d.g.HardwarePublic, lockbox: lockbox,
		token: wire.NewSecret(d.g.Token), chain: wire.FirstChain(v.RequestEnc)}
	s.pending = d.pendingOf(t, v)
	d.store(t, s)
}

func (d *transcriptDevice) stored(t *testing.T) *state {
	s, err := parseState(d.state.Data, nil)
	require.NoError(t, err)
	return s
}

func (d *transcriptDevice) store(t *testing.T, s *state) {
	data, err := s.encode(nil)
	require.NoError(t, err)
	require.NoError(t, d.state.Save(data))
}

// asks makes the recorded request the pending one, which is what the device would have
// made but for what it draws.
func (d *transcriptDevice) asks(t *testing.T, v *protocoltest.TranscriptTest, before *protocoltest.TranscriptTest) {
	s := d.stored(t)
	if v.Device == "copy" {
		s.pending = nil
	}
	require.Nil(t, s.pending, v.Name()...)
	if v.Change == "followed" {
		s.key.number, s.key.chain = v.Number-1, wire.Hash(before.ChainAfter)
	}
	skipped := uint64(0)
	if v.Change == "number+1" {
		skipped = 1
	}
	require.Equal(t, s.key.number+1+skipped, v.Number, v.Name()...)
	require.Equal(t, s.key.token.Get(), []byte(v.Token), v.Name()...)
	require.Equal(t, s.key.chain[:], []byte(v.Chain), v.Name()...)
	s.pending = d.pendingOf(t, v)
	d.store(t, s)
}

func (d *transcriptDevice) pendingOf(t *testing.T, v *protocoltest.TranscriptTest) *pending {
	c, err := wire.ParseChallenge(v.Challenge)
	require.NoError(t, err)
	p := &pending{challenge: c, request: v.RequestEnc, secret: wire.NewSecret(v.ResponseSecret), next: wire.NewSecret(d.g.Token)}
	if v.Operation == "enroll" {
		p.op = protocol.OpEnroll
		return p
	}
	r, err := wire.ParseRequest(v.Plaintext)
	require.NoError(t, err)
	p.op, p.messages, p.next = r.Op, r.Messages, wire.NewSecret(v.NextToken)
	require.Equal(t, r.Target, p.next.Commitment())
	if r.Op == protocol.OpSign {
		p.salts = r.Salts
	}
	return p
}

// exchange has the device do what the test says, and compares what it keeps.
func (d *transcriptDevice) exchange(t *testing.T, v *protocoltest.TranscriptTest, before *protocoltest.TranscriptTest) {
	d.now, d.calls, d.made = v, 0, nil
	var err error
	switch {
	case v.Operation == "cancel":
		err = d.Cancel(t.Context(), v.Challenge)
		require.Equal(t, []byte(v.Plaintext), d.made, v.Name()...)
	case v.Operation == "report":
		challenge := []byte(v.Challenge)
		if c := d.stored(t).key.challenge; c != nil && bytes.Equal(challenge, c.Raw[:]) {
			challenge = nil // that of the answer
		}
		err = d.Report(t.Context(), challenge)
		require.Equal(t, []byte(v.Plaintext), d.made, v.Name()...)
	case v.Operation == "enroll" && v.Again == 0:
		d.begin(t, v)
		_, err = d.Resume(t.Context())
	case v.Again == 0:
		d.asks(t, v, before)
		_, err = d.Resume(t.Context())
	default:
		_, err = d.Resume(t.Context())
	}
	require.Positive(t, d.calls, v.Name()...)
	if v.Reject.Stage == "network" && (v.Reject.Class == "ErrUnanswered" || v.Reject.Class == "ErrAnswer") || v.Way == "answer-lost" {
		if v.Operation == "report" {
			require.ErrorIs(t, err, ErrSuperseded, v.Name()...)
		}
		require.ErrorIs(t, err, ErrUnanswered, v.Name()...)
	}
	if len(d.g.KeyDocument) > 0 && v.Way == "delivered" && bytes.Contains(v.ResponsePlaintext, d.g.KeyDocument) {
		require.Equal(t, []byte(d.g.NextHpkePublic), d.stored(t).hpkeKey, v.Name()...)
	}
	d.keeps(t, v)
}

// keeps compares what the device has with what is recorded.
func (d *transcriptDevice) keeps(t *testing.T, v *protocoltest.TranscriptTest) {
	s := d.stored(t)
	require.Equal(t, v.Storage.Phase, s.phase.String(), v.Name()...)
	if s.phase == Superseded {
		require.Empty(t, s.key.lockbox, v.Name()...)
	}
	if s.phase == Superseded || s.phase == Dead || s.phase == NoKey {
		return
	}
	require.Equal(t, v.Storage.Number, s.key.number, v.Name()...)
	require.Equal(t, []byte(v.Storage.Token), s.key.token.Get(), v.Name()...)
	require.Equal(t, []byte(v.Storage.Chain), s.key.chain[:], v.Name()...)
	require.Equal(t, v.Storage.Pending != 0, s.pending != nil, v.Name()...)
	if s.pending == nil {
		return
	}
	require.Equal(t, []byte(d.g.Made[v.Storage.Pending].RequestEnc), s.pending.request, v.Name()...)
	// What was not looked at is cancelled at once: in the transcript by the next test.
	refused := v.Way == "delivered" && (v.Code == wire.CodeLocked || v.Code == wire.CodeExpired || v.Code == wire.CodeUnconfirmed || v.Code == wire.CodeRejected)
	require.Equal(t, v.Storage.ToBeCancelled || refused, s.pending.cancel, v.Name()...)
}

// TestVectorsTranscriptDevice: a device that is given the recorded answers keeps what is
// recorded, and makes the recorded Cancels and Reports.
func TestVectorsTranscriptDevice(t *testing.T) {
	owner, copied, answered := 0, 0, 0
	groups := protocoltest.LoadTranscript(t)
	for i := range groups {
		g := &groups[i]
		own := newTranscriptDevice(t, g, new(protocoltest.MemoryStorage))
		var thief *transcriptDevice
		for j := range g.Tests {
			v := &g.Tests[j]
			var before *protocoltest.TranscriptTest
			if j > 0 {
				before = &g.Tests[j-1]
			}
			if v.Code != 0 && (v.Way == "delivered" || v.Way == "answer-lost") {
				a, err := wire.ParseAnswer(v.ResponsePlaintext)
				require.NoError(t, err, v.Name()...)
				requireClass(t, v, a)
				answered++
			}
			switch v.Device {
			case "owner":
				own.exchange(t, v, before)
				owner++
			case "copy":
				thief.exchange(t, v, before)
				copied++
			default:
				require.Nil(t, v.Storage)
			}
			if v.TcID == g.CopiedAfter {
				thief = newTranscriptDevice(t, g, own.state.Copy())
			}
		}
	}
	require.Equal(t, []int{284, 22, 572}, []int{owner, copied, answered})
}

// requireClass: the answer is the error that is recorded.
func requireClass(t *testing.T, v *protocoltest.TranscriptTest, a *wire.Answer) {
	var wrong *limiter.WrongPINError
	var locked *limiter.LockedError
	var dead *protocol.DestroyedError
	class, err := "", outcome(a)
	switch {
	case a.Code == wire.CodeCancelled && v.Operation == "cancel", a.Code == wire.CodeDestroyed && v.Operation == "report":
	case errors.As(err, &wrong):
		class = "WrongPINError"
	case errors.As(err, &locked):
		class = "LockedError"
	case errors.As(err, &dead):
		class = "DestroyedError"
	case errors.Is(err, ErrNotCarriedOut) && strings.HasSuffix(err.Error(), "expired"):
		class = "ErrExpired"
	case errors.Is(err, ErrNotCarriedOut) && strings.HasSuffix(err.Error(), "cancelled"):
		class = "ErrCancelled"
	case errors.Is(err, ErrPhase):
		class = "ErrUnconfirmed"
	case errors.Is(err, ErrRejected) && strings.Contains(err.Error(), "the key"):
		class = "ErrKeyRefused"
	case errors.Is(err, ErrRejected):
		class = "ErrRejected"
	case errors.Is(err, ErrSuperseded):
		class = "ErrSuperseded"
	default:
		require.NoError(t, err)
	}
	require.Equal(t, class, v.Reject.Class, v.Name()...)
	require.Equal(t, class == "", v.Result == "valid", v.Name()...)
}
