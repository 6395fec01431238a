package server

import (
	"context"
	"crypto/hpke"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// transcriptKeys is a KeySource of one key.
type transcriptKeys struct{ *rsa.PrivateKey }

func (k transcriptKeys) Bits() int { return k.N.BitLen() }

func (k transcriptKeys) NewKey(context.Context) (splitkey.RSAKey, []byte, error) {
	key, err := splitkeytest.SoftwareKey(k.PrivateKey)
	return key, []byte("the key"), err
}

func (k transcriptKeys) LoadKey(context.Context, []byte) (splitkey.RSAKey, error) {
	return splitkeytest.SoftwareKey(k.PrivateKey)
}

// TestVectorsTranscript: a server that is given the recorded requests, at the recorded
// times, comes to the recorded answers, byte for byte before they are sealed, and to the
// recorded state; and nothing that is sent again changes anything.
func TestVectorsTranscript(t *testing.T) {
	ran, answered, replayed := 0, 0, 0
	for _, g := range protocoltest.LoadTranscript(t) {
		private, err := wire.KEM.NewPrivateKey(g.HpkePrivate)
		require.NoError(t, err)
		require.Equal(t, []byte(g.HpkePublic), private.PublicKey().Bytes())
		s := newService(t, func(c *Config) {
			c.ChallengeKey, c.HPKE = g.ChallengeKey, HPKEKeys{Current: private}
			c.Keys = nil
			if g.ServerKey != nil {
				c.Keys = transcriptKeys{g.ServerKey.Private(t)}
			}
		})
		for i := range g.Tests {
			v := &g.Tests[i]
			encodesAgain(t, v, &g)
			if onServer(t, v, &g, s) {
				answered++
			}
			if v.Device == "network" {
				require.Equal(t, g.Tests[i-1].LastEnc, v.LastEnc, v.Name()...)
				require.Equal(t, g.Tests[i-1].Events, v.Events, v.Name()...)
				replayed++
			}
			ran++
			if v.TcID == g.RotatedAfter {
				next, err := wire.KEM.NewPrivateKey(g.NextHpkePrivate)
				require.NoError(t, err)
				s.Server = s.node(t, func(c *Config) {
					c.HPKE = HPKEKeys{Current: next, Retiring: []hpke.PrivateKey{private}, Document: g.KeyDocument}
				})
				require.Equal(t, []byte(g.NextHpkePublic), s.HPKEKey())
			}
		}
	}
	require.Equal(t, []int{694, 572, 342}, []int{ran, answered, replayed})
}

// onServer reports whether the server answered.
func onServer(t *testing.T, v *protocoltest.TranscriptTest, g *protocoltest.TranscriptGroup, s *service) bool {
	s.clock.Set(time.UnixMilli(v.At))
	answers := v.Way == "delivered" || v.Way == "answer-lost"
	if answers {
		response, err := s.Handle(t.Context(), v.Request.RequestEnc)
		if answers = v.Code != 0; answers {
			require.NoError(t, err, v.Name()...)
			answersAsRecorded(t, v, g, s, response)
		} else {
			require.ErrorIs(t, err, ErrRefused, v.Name()...)
			require.Equal(t, "ErrRefused", v.Reject.Class)
		}
	}
	if v.Condition == "" {
		_, _, err := s.store.Load(t.Context(), recordID(protocol.KeyID(g.KeyID)))
		require.ErrorIs(t, err, limiter.ErrNotFound, v.Name()...)
		return answers
	}
	rec := loadRecord(t, s, protocol.KeyID(g.KeyID))
	counter, err := rec.counter.MarshalBinary()
	require.NoError(t, err)
	encoded, err := rec.encode()
	require.NoError(t, err)
	require.Equal(t, []byte(v.CounterEnc), counter, v.Name()...)
	require.Equal(t, []byte(v.Current), rec.commitment[:], v.Name()...)
	require.Equal(t, []byte(v.ChainAfter), rec.chain[:], v.Name()...)
	require.Contains(t, string(encoded), string(append(append([]byte(nil), rec.chain[:]...), v.LastEnc...)), v.Name()...)
	require.Equal(t, v.Condition, rec.condition.String(), v.Name()...)
	require.Equal(t, protocol.Reason(v.Reason), rec.reason, v.Name()...)
	require.Equal(t, v.Events, rec.eventNumber, v.Name()...)
	return answers
}

// answersAsRecorded compares an answer with the recorded one.
func answersAsRecorded(t *testing.T, v *protocoltest.TranscriptTest, g *protocoltest.TranscriptGroup, s *service, response []byte) {
	r := wire.ResponseKey{Secret: wire.NewSecret(v.Request.ResponseSecret), Request: sha256.Sum256(v.Request.RequestEnc)}
	recorded, err := r.Open(v.ResponseEnc)
	require.NoError(t, err, v.Name()...)
	require.Equal(t, []byte(v.ResponsePlaintext), recorded, v.Name()...)
	want, err := wire.ParseAnswer(recorded)
	require.NoError(t, err, v.Name()...)
	require.Equal(t, v.Code, want.Code, v.Name()...)

	opened, err := r.Open(response)
	require.NoError(t, err, v.Name()...)
	got, err := wire.ParseAnswer(opened)
	require.NoError(t, err, v.Name()...)
	if want.HasChallenge() { // the server has drawn the random part
		for _, raw := range [][]byte{got.Challenge, want.Challenge} {
			c, err := wire.ParseChallenge(raw)
			require.NoError(t, err, v.Name()...)
			require.Equal(t, protocol.KeyID(g.KeyID), c.KeyID, v.Name()...)
			require.True(t, s.challenges.Authentic(c), v.Name()...)
			require.Equal(t, []any{wire.ForOwnUse, v.At, v.At + DefaultChallengeLife.Milliseconds()}, []any{c.Purpose, c.Issued, c.Expires}, v.Name()...)
		}
		got.Challenge = want.Challenge
		opened, err = got.Encode()
		require.NoError(t, err)
	}
	require.Equal(t, recorded, opened, v.Name()...)
}

// sealedAsAlways are the changes of strangers in whose plaintext nothing is wrong but the
// MAC, or the challenge's time.
var sealedAsAlways = []string{"future", "bad-mac", "last-bit", "enc-bit", "enc-low-bit", "operation", "key-id", "hpke-key", "version", "other-key",
	"second", "other-id", "unknown-key"}

// encodesAgain: the plaintext that the vectors' author wrote byte by byte is what this
// package would write.
func encodesAgain(t *testing.T, v *protocoltest.TranscriptTest, g *protocoltest.TranscriptGroup) {
	if v.Again != 0 || v.Device == "stranger" && !slices.Contains(sealedAsAlways, v.Change) {
		return
	}
	var signer *wire.HardwareSigner
	if len(g.HardwarePublic) > 0 {
		signer = &wire.HardwareSigner{Key: protocoltest.RecordedHardware{Signature: v.HardwareSignature}, Public: g.HardwarePublic}
	}
	var encoded []byte
	if v.Operation == "enroll" {
		e, err := wire.ParseEnrollment(v.Plaintext)
		require.NoError(t, err, v.Name()...)
		encoded, err = e.Encode(protocol.KeyID(g.KeyID), signer)
		require.NoError(t, err)
	} else {
		r, err := wire.ParseRequest(v.Plaintext)
		require.NoError(t, err, v.Name()...)
		require.Equal(t, v.Operation, r.Op.String())
		require.Equal(t, v.Number, r.Number)
		require.Equal(t, []byte(v.Token), r.Token.Get())
		require.Equal(t, []byte(v.Chain), r.Chain[:])
		require.Equal(t, []byte(v.Target), r.Target[:])
		encoded, err = r.Encode(wire.NewSecret(g.AuthKey), protocol.KeyID(g.KeyID), signer)
		require.NoError(t, err)
		if v.Change == "bad-mac" {
			encoded[len(encoded)-1] ^= 1
		}
	}
	require.Equal(t, []byte(v.Plaintext), encoded, v.Name()...)
}
