package protocol

import (
	"bytes"
	"context"
	"crypto/hpke"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

func derSignature(rs []byte) ([]byte, error) {
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:])})
}

// transcriptDevice is a device of the transcript: this package's, with the recorded
// requests in place of its own, which are random. Cancels and Reports it makes itself.
type transcriptDevice struct {
	*Device
	g       *transcriptGroup
	state   *memoryState
	private hpke.PrivateKey
	now     *transcriptTest
	calls   int
	made    []byte // plaintext of the Cancel or Report that it made
}

func newTranscriptDevice(t *testing.T, g *transcriptGroup, state *memoryState) *transcriptDevice {
	private, err := kem.NewPrivateKey(g.HpkePrivate)
	require.NoError(t, err)
	d := &transcriptDevice{g: g, state: state, private: private}
	d.Device, err = NewDevice(DeviceConfig{State: state, Transport: d.transport, ServerKey: g.HpkePublic, Params: cheapest, Hardware: d})
	require.NoError(t, err)
	return d
}

func (d *transcriptDevice) SignECDSA([]byte) ([]byte, error) {
	if d.now.HardwareSignature == nil {
		return nil, errors.New("nothing to sign")
	}
	return derSignature(d.now.HardwareSignature)
}

// transport gives the recorded answer to the recorded request, and to the device's own
// Cancel or Report. What the device sends beside it is lost: the transcript has it as a
// test of its own.
func (d *transcriptDevice) transport(_ context.Context, request []byte) ([]byte, error) {
	v := d.now
	if d.calls++; d.calls > 1 {
		return nil, errLost
	}
	response := []byte(v.ResponseEnc)
	if !bytes.Equal(request, v.request.RequestEnc) {
		e, err := parseEnvelope(request)
		if err != nil {
			return nil, err
		}
		plaintext, r, err := openRequest(d.private, e, request)
		if err != nil {
			return nil, err
		}
		d.made = plaintext
		if response, err = r.seal(v.ResponsePlaintext); err != nil {
			return nil, err
		}
	}
	if v.Way == "request-lost" || v.Way == "answer-lost" {
		return nil, errLost
	}
	return response, nil
}

// begin gives the device the lockbox and a pending enrolment.
func (d *transcriptDevice) begin(t *testing.T, v *transcriptTest) {
	sharing := splitkey.Multiplicative
	if d.g.Sharing == "additive" {
		sharing = splitkey.Additive
	}
	client, _, err := splitkeytest.Split(d.g.Key.private(t), sharing, d.g.X)
	require.NoError(t, err)
	box, err := pinlock.Lock(client, rightPIN, cheapest)
	require.NoError(t, err)
	lockbox, err := box.MarshalBinary()
	require.NoError(t, err)
	s := &deviceState{phase: Enrolling, serverKey: d.g.HpkePublic, shipped: hpkeKeyIDOf(d.g.HpkePublic)}
	s.key = &enrolledKey{id: KeyID(d.g.KeyID), authKey: newSecret(d.g.AuthKey), hardware: d.g.HardwarePublic, lockbox: lockbox,
		token: newSecret(d.g.Token), chain: firstChain(v.RequestEnc)}
	s.pending = d.pendingOf(t, v)
	d.store(t, s)
}

func (d *transcriptDevice) stored(t *testing.T) *deviceState {
	s, err := parseDeviceState(d.state.data, nil)
	require.NoError(t, err)
	return s
}

func (d *transcriptDevice) store(t *testing.T, s *deviceState) {
	data, err := s.encode(nil)
	require.NoError(t, err)
	require.NoError(t, d.state.Save(data))
}

// asks makes the recorded request the pending one, which is what the device would have
// made but for what it draws.
func (d *transcriptDevice) asks(t *testing.T, v *transcriptTest, before *transcriptTest) {
	s := d.stored(t)
	if v.Device == "copy" {
		s.pending = nil
	}
	require.Nil(t, s.pending, v.name()...)
	if v.Change == "followed" {
		s.key.number, s.key.chain = v.Number-1, hash(before.ChainAfter)
	}
	skipped := uint64(0)
	if v.Change == "number+1" {
		skipped = 1
	}
	require.Equal(t, s.key.number+1+skipped, v.Number, v.name()...)
	require.Equal(t, s.key.token.bytes(), []byte(v.Token), v.name()...)
	require.Equal(t, s.key.chain[:], []byte(v.Chain), v.name()...)
	s.pending = d.pendingOf(t, v)
	d.store(t, s)
}

func (d *transcriptDevice) pendingOf(t *testing.T, v *transcriptTest) *pending {
	c, err := parseChallenge(v.Challenge)
	require.NoError(t, err)
	p := &pending{challenge: c, request: v.RequestEnc, secret: newSecret(v.ResponseSecret), next: newSecret(d.g.Token)}
	if v.Operation == "enroll" {
		p.op = OpEnroll
		return p
	}
	r, err := parseRequest(v.Plaintext)
	require.NoError(t, err)
	p.op, p.messages, p.next = r.op, r.messages, newSecret(v.NextToken)
	require.Equal(t, r.target, p.next.commitment())
	if r.op == OpSign {
		p.salts = r.salts
	}
	return p
}

// exchange has the device do what the test says, and compares what it keeps.
func (d *transcriptDevice) exchange(t *testing.T, v *transcriptTest, before *transcriptTest) {
	d.now, d.calls, d.made = v, 0, nil
	var err error
	switch {
	case v.Operation == "cancel":
		err = d.Cancel(t.Context(), v.Challenge)
		require.Equal(t, []byte(v.Plaintext), d.made, v.name()...)
	case v.Operation == "report":
		challenge := []byte(v.Challenge)
		if bytes.Equal(challenge, d.stored(t).key.challenge) {
			challenge = nil // that of the answer
		}
		err = d.Report(t.Context(), challenge)
		require.Equal(t, []byte(v.Plaintext), d.made, v.name()...)
	case v.Operation == "enroll" && v.Again == 0:
		d.begin(t, v)
		_, err = d.Resume(t.Context())
	case v.Again == 0:
		d.asks(t, v, before)
		_, err = d.Resume(t.Context())
	default:
		_, err = d.Resume(t.Context())
	}
	require.Positive(t, d.calls, v.name()...)
	if v.Reject.Stage == "network" && (v.Reject.Class == "ErrUnanswered" || v.Reject.Class == "ErrAnswer") || v.Way == "answer-lost" {
		if v.Operation == "report" {
			require.ErrorIs(t, err, ErrSuperseded, v.name()...)
		}
		require.ErrorIs(t, err, ErrUnanswered, v.name()...)
	}
	d.keeps(t, v)
}

// keeps compares what the device has with what is recorded.
func (d *transcriptDevice) keeps(t *testing.T, v *transcriptTest) {
	s := d.stored(t)
	require.Equal(t, v.State.Phase, s.phase.String(), v.name()...)
	if s.phase == Superseded {
		require.Empty(t, s.key.lockbox, v.name()...)
	}
	if s.phase == Superseded || s.phase == Dead || s.phase == NoKey {
		return
	}
	require.Equal(t, v.State.Number, s.key.number, v.name()...)
	require.Equal(t, []byte(v.State.Token), s.key.token.bytes(), v.name()...)
	require.Equal(t, []byte(v.State.Chain), s.key.chain[:], v.name()...)
	require.Equal(t, v.State.Pending != 0, s.pending != nil, v.name()...)
	if s.pending == nil {
		return
	}
	require.Equal(t, []byte(d.g.made[v.State.Pending].RequestEnc), s.pending.request, v.name()...)
	// What was not looked at is cancelled at once: in the transcript by the next test.
	refused := v.Way == "delivered" && (v.Code == codeLocked || v.Code == codeExpired || v.Code == codeUnconfirmed || v.Code == codeRejected)
	require.Equal(t, v.State.ToBeCancelled || refused, s.pending.cancel, v.name()...)
}

// TestVectorsTranscriptDevice: a device that is given the recorded answers keeps what is
// recorded, and makes the recorded Cancels and Reports.
func TestVectorsTranscriptDevice(t *testing.T) {
	owner, copied := 0, 0
	groups := loadTranscript(t)
	for i := range groups {
		g := &groups[i]
		own := newTranscriptDevice(t, g, new(memoryState))
		var thief *transcriptDevice
		for j := range g.Tests {
			v := &g.Tests[j]
			var before *transcriptTest
			if j > 0 {
				before = &g.Tests[j-1]
			}
			switch v.Device {
			case "owner":
				own.exchange(t, v, before)
				owner++
			case "copy":
				thief.exchange(t, v, before)
				copied++
			default:
				require.Nil(t, v.State)
			}
			if v.TcID == g.CopiedAfter {
				thief = newTranscriptDevice(t, g, own.state.copy())
			}
		}
	}
	require.Equal(t, []int{249, 22}, []int{owner, copied})
}
