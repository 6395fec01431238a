package protocol

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

type transcriptGroup struct {
	ServerKey *struct {
		P, Q hexBytes
		E    int64
	}
	HpkePrivate, HpkePublic, ChallengeKey, DeviceKey, KeyID hexBytes
	Tests                                                   []transcriptTest
}

type transcriptTest struct {
	TcID                                                int
	Comment, Operation, Result, Condition               string
	Reject                                              struct{ Class string }
	At                                                  int64
	Code                                                code
	Plaintext, RequestEnc, ResponseSecret               hexBytes
	ResponsePlaintext, ResponseEnc, CounterEnc, Current hexBytes
}

// transcriptKeys is a KeySource of one key.
type transcriptKeys struct{ key splitkey.RSAKey }

func (k transcriptKeys) Bits() int { return k.key.Public().(*rsa.PublicKey).N.BitLen() }

func (k transcriptKeys) NewKey(context.Context) (splitkey.RSAKey, []byte, error) {
	return k.key, []byte("the key"), nil
}

func (k transcriptKeys) LoadKey(context.Context, []byte) (splitkey.RSAKey, error) { return k.key, nil }

// TestVectorsTranscript: a server that is given the recorded requests, at the recorded times, comes to the
// recorded answers, byte for byte before they are sealed, and to the recorded state.
func TestVectorsTranscript(t *testing.T) {
	b, err := os.ReadFile("../vectors/transcript.json")
	require.NoError(t, err)
	var file struct{ TestGroups []transcriptGroup }
	require.NoError(t, json.Unmarshal(b, &file))
	ran := 0
	for i := range file.TestGroups {
		g := &file.TestGroups[i]
		private, err := kem.NewPrivateKey(g.HpkePrivate)
		require.NoError(t, err)
		require.Equal(t, []byte(g.HpkePublic), private.PublicKey().Bytes())
		s := newService(t, func(c *Config) {
			c.ChallengeKey, c.HPKE = g.ChallengeKey, HPKEKeys{Current: private}
			c.Keys = nil
			if g.ServerKey != nil {
				key, err := splitkeytest.PrivateKey(g.ServerKey.P.int(), g.ServerKey.Q.int(), int(g.ServerKey.E))
				require.NoError(t, err)
				own, err := splitkey.NewSoftwareKey(key)
				require.NoError(t, err)
				c.Keys = transcriptKeys{own}
			}
		})
		for j := range g.Tests {
			g.Tests[j].run(t, g, s)
			ran++
		}
	}
	require.Equal(t, 56, ran)
}

func (h hexBytes) int() *big.Int { return new(big.Int).SetBytes(h) }

func (v *transcriptTest) run(t *testing.T, g *transcriptGroup, s *service) {
	name := []any{"%d %s", v.TcID, v.Comment}
	s.clock.mu.Lock()
	s.clock.now = time.UnixMilli(v.At)
	s.clock.mu.Unlock()
	v.encodesAgain(t, name)
	response, err := s.Handle(t.Context(), v.RequestEnc)
	if v.Code == 0 {
		require.ErrorIs(t, err, ErrRefused, name...)
		require.Equal(t, "ErrRefused", v.Reject.Class)
	} else {
		require.NoError(t, err, name...)
		r := reply{newSecret(v.ResponseSecret), sha256.Sum256(v.RequestEnc)}
		recorded, err := r.open(v.ResponseEnc)
		require.NoError(t, err, name...)
		require.Equal(t, []byte(v.ResponsePlaintext), recorded, name...)
		want, err := parseAnswer(recorded)
		require.NoError(t, err, name...)
		require.Equal(t, v.Code, want.code, name...)
		v.requireClass(t, want.err())

		opened, err := r.open(response)
		require.NoError(t, err, name...)
		got, err := parseAnswer(opened)
		require.NoError(t, err, name...)
		if got.code == codeEnrolled { // the server has drawn a challenge
			require.Len(t, got.enrolled.challenge, len(want.enrolled.challenge))
			got.enrolled.challenge = want.enrolled.challenge
			opened, err = got.encode()
			require.NoError(t, err)
		}
		require.Equal(t, recorded, opened, name...)
	}
	rec := loadRecord(t, s, KeyID(g.KeyID))
	counter, err := rec.counter.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, []byte(v.CounterEnc), counter, name...)
	require.Equal(t, []byte(v.Current), rec.current[:], name...)
	require.Equal(t, v.Condition, rec.condition.String(), name...)
}

// encodesAgain: the plaintext that the vectors' author wrote byte by byte is what this package would write.
func (v *transcriptTest) encodesAgain(t *testing.T, name []any) {
	var encoded []byte
	if v.Operation == "enroll" {
		e, err := parseEnrollment(v.Plaintext)
		require.NoError(t, err, name...)
		encoded, err = e.encode()
		require.NoError(t, err)
	} else {
		a, err := parseAttempt(v.Plaintext)
		require.NoError(t, err, name...)
		require.Equal(t, v.Operation, a.op.String())
		if encoded, err = a.encode(newSecret(make([]byte, secretSize)), KeyID{}); err == nil {
			copy(encoded[len(encoded)-sha256.Size:], a.mac[:])
		}
		require.NoError(t, err)
	}
	require.Equal(t, []byte(v.Plaintext), encoded, name...)
}

func (v *transcriptTest) requireClass(t *testing.T, err error) {
	var wrong *pinlock.WrongPINError
	var locked *pinlock.LockedError
	var dead *DestroyedError
	class := ""
	switch {
	case errors.As(err, &wrong):
		class = "WrongPINError"
	case errors.As(err, &locked):
		class = "LockedError"
	case errors.As(err, &dead):
		class = "DestroyedError"
	case errors.Is(err, ErrExpired):
		class = "ErrExpired"
	case errors.Is(err, ErrGivenUp):
		class = "ErrGivenUp"
	case errors.Is(err, ErrUnconfirmed):
		class = "ErrUnconfirmed"
	case errors.Is(err, ErrRejected):
		class = "ErrRejected"
	default:
		require.NoError(t, err)
	}
	require.Equal(t, class, v.Reject.Class, "%d %s", v.TcID, v.Comment)
}
