package protocol

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

type transcriptKey struct {
	P, Q hexBytes
	E    int64
}

type transcriptGroup struct {
	Name, Sharing                                                            string
	Key                                                                      transcriptKey
	ServerKey                                                                *transcriptKey
	HpkePrivate, HpkePublic, ChallengeKey, AuthKey, KeyID, X, HardwarePublic hexBytes
	Token                                                                    hexBytes
	CopiedAfter                                                              int
	Tests                                                                    []transcriptTest

	made map[int]*transcriptTest // by tcId: those that have a request
}

type transcriptTest struct {
	TcID, Again                                                              int
	Comment, Device, Way, Operation, Change, Forgery, Result                 string
	Reject                                                                   struct{ Stage, Class string }
	At                                                                       int64
	Number                                                                   uint64
	Challenge, Token, Chain, Target, NextToken, HardwareSignature            hexBytes
	Documents                                                                []struct{ Digest, Salt, EM, Y hexBytes }
	Plaintext, RequestEnc, ResponseSecret                                    hexBytes
	Code                                                                     code
	ResponsePlaintext, ResponseEnc, CounterEnc, Current, ChainAfter, LastEnc hexBytes
	Condition                                                                string
	Reason                                                                   uint8
	Events                                                                   uint64
	State                                                                    *transcriptState

	request *transcriptTest // the test that made the request: this one, or that of Again
}

// transcriptState is what the device has.
type transcriptState struct {
	Phase         string
	Number        uint64
	Token, Chain  hexBytes
	Pending       int
	ToBeCancelled bool
}

func (h hexBytes) int() *big.Int { return new(big.Int).SetBytes(h) }

func (k *transcriptKey) private(t *testing.T) *rsa.PrivateKey {
	key, err := splitkeytest.PrivateKey(k.P.int(), k.Q.int(), int(k.E))
	require.NoError(t, err)
	return key
}

// transcriptKeys is a KeySource of one key.
type transcriptKeys struct{ key splitkey.RSAKey }

func (k transcriptKeys) Bits() int { return k.key.Public().(*rsa.PublicKey).N.BitLen() }

func (k transcriptKeys) NewKey(context.Context) (splitkey.RSAKey, []byte, error) {
	return k.key, []byte("the key"), nil
}

func (k transcriptKeys) LoadKey(context.Context, []byte) (splitkey.RSAKey, error) { return k.key, nil }

func loadTranscript(t *testing.T) []transcriptGroup {
	b, err := os.ReadFile("../vectors/transcript.json")
	require.NoError(t, err)
	var file struct{ TestGroups []transcriptGroup }
	require.NoError(t, json.Unmarshal(b, &file))
	for i := range file.TestGroups {
		g := &file.TestGroups[i]
		g.made = make(map[int]*transcriptTest)
		for j := range g.Tests {
			v := &g.Tests[j]
			if v.request = g.made[v.Again]; v.Again == 0 {
				v.request, g.made[v.TcID] = v, v
			}
			require.NotNil(t, v.request, v.TcID)
		}
	}
	return file.TestGroups
}

// TestVectorsTranscript: a server that is given the recorded requests, at the recorded
// times, comes to the recorded answers, byte for byte before they are sealed, and to the
// recorded state; and nothing that is sent again changes anything.
func TestVectorsTranscript(t *testing.T) {
	ran, answered, replayed := 0, 0, 0
	for _, g := range loadTranscript(t) {
		private, err := kem.NewPrivateKey(g.HpkePrivate)
		require.NoError(t, err)
		require.Equal(t, []byte(g.HpkePublic), private.PublicKey().Bytes())
		s := newService(t, func(c *Config) {
			c.ChallengeKey, c.HPKE = g.ChallengeKey, HPKEKeys{Current: private}
			c.Keys = nil
			if g.ServerKey != nil {
				own, err := splitkey.NewSoftwareKey(g.ServerKey.private(t))
				require.NoError(t, err)
				c.Keys = transcriptKeys{own}
			}
		})
		for i := range g.Tests {
			v := &g.Tests[i]
			v.encodesAgain(t, &g)
			if v.onServer(t, &g, s) {
				answered++
			}
			if v.Device == "network" {
				require.Equal(t, g.Tests[i-1].LastEnc, v.LastEnc, v.name()...)
				require.Equal(t, g.Tests[i-1].Events, v.Events, v.name()...)
				replayed++
			}
			ran++
		}
	}
	require.Equal(t, []int{619, 507, 306}, []int{ran, answered, replayed})
}

func (v *transcriptTest) name() []any { return []any{"%d %s", v.TcID, v.Comment} }

// onServer reports whether the server answered.
func (v *transcriptTest) onServer(t *testing.T, g *transcriptGroup, s *service) bool {
	s.clock.mu.Lock()
	s.clock.now = time.UnixMilli(v.At)
	s.clock.mu.Unlock()
	answers := v.Way == "delivered" || v.Way == "answer-lost"
	if answers {
		response, err := s.Handle(t.Context(), v.request.RequestEnc)
		if answers = v.Code != 0; answers {
			require.NoError(t, err, v.name()...)
			v.answers(t, g, s, response)
		} else {
			require.ErrorIs(t, err, ErrRefused, v.name()...)
			require.Equal(t, "ErrRefused", v.Reject.Class)
		}
	}
	if v.Condition == "" {
		_, _, err := s.store.Load(t.Context(), KeyID(g.KeyID).recordID())
		require.ErrorIs(t, err, limiter.ErrNotFound, v.name()...)
		return answers
	}
	rec := loadRecord(t, s, KeyID(g.KeyID))
	counter, err := rec.counter.MarshalBinary()
	require.NoError(t, err)
	encoded, err := rec.encode()
	require.NoError(t, err)
	require.Equal(t, []byte(v.CounterEnc), counter, v.name()...)
	require.Equal(t, []byte(v.Current), rec.current[:], v.name()...)
	require.Equal(t, []byte(v.ChainAfter), rec.chain[:], v.name()...)
	require.Contains(t, string(encoded), string(append(append([]byte(nil), rec.chain[:]...), v.LastEnc...)), v.name()...)
	require.Equal(t, v.Condition, rec.condition.String(), v.name()...)
	require.Equal(t, Reason(v.Reason), rec.reason, v.name()...)
	require.Equal(t, v.Events, rec.eventNumber, v.name()...)
	return answers
}

// answers compares an answer with the recorded one.
func (v *transcriptTest) answers(t *testing.T, g *transcriptGroup, s *service, response []byte) {
	r := reply{newSecret(v.request.ResponseSecret), sha256.Sum256(v.request.RequestEnc)}
	recorded, err := r.open(v.ResponseEnc)
	require.NoError(t, err, v.name()...)
	require.Equal(t, []byte(v.ResponsePlaintext), recorded, v.name()...)
	want, err := parseAnswer(recorded)
	require.NoError(t, err, v.name()...)
	require.Equal(t, v.Code, want.code, v.name()...)
	v.requireClass(t, want)

	opened, err := r.open(response)
	require.NoError(t, err, v.name()...)
	got, err := parseAnswer(opened)
	require.NoError(t, err, v.name()...)
	if want.hasChallenge() { // the server has drawn the random part
		for _, raw := range [][]byte{got.challenge, want.challenge} {
			c, err := parseChallenge(raw)
			require.NoError(t, err, v.name()...)
			require.NoError(t, s.checkChallenge(c, KeyID(g.KeyID), v.At), v.name()...)
			require.Equal(t, []any{forOwnUse, v.At, v.At + DefaultChallengeLife.Milliseconds()}, []any{c.purpose, c.issued, c.expires}, v.name()...)
		}
		got.challenge = want.challenge
		opened, err = got.encode()
		require.NoError(t, err)
	}
	require.Equal(t, recorded, opened, v.name()...)
}

// recordedHardware signs as it is recorded.
type recordedHardware struct{ signature []byte }

func (h recordedHardware) SignECDSA([]byte) ([]byte, error) { return derSignature(h.signature) }

// sealedAsAlways are the changes of strangers in whose plaintext nothing is wrong but the MAC, or
// the challenge's time.
var sealedAsAlways = []string{"future", "bad-mac", "last-bit", "enc-bit", "operation", "key-id", "hpke-key", "version", "other-key",
	"second", "other-id", "unknown-key"}

// encodesAgain: the plaintext that the vectors' author wrote byte by byte is what this
// package would write.
func (v *transcriptTest) encodesAgain(t *testing.T, g *transcriptGroup) {
	if v.Again != 0 || v.Device == "stranger" && !slices.Contains(sealedAsAlways, v.Change) {
		return
	}
	var signer *hardwareSigner
	if len(g.HardwarePublic) > 0 {
		signer = &hardwareSigner{recordedHardware{v.HardwareSignature}, g.HardwarePublic}
	}
	var encoded []byte
	if v.Operation == "enroll" {
		e, err := parseEnrollment(v.Plaintext)
		require.NoError(t, err, v.name()...)
		encoded, err = e.encode(KeyID(g.KeyID), signer)
		require.NoError(t, err)
	} else {
		r, err := parseRequest(v.Plaintext)
		require.NoError(t, err, v.name()...)
		require.Equal(t, v.Operation, r.op.String())
		require.Equal(t, v.Number, r.number)
		require.Equal(t, []byte(v.Token), r.token.bytes())
		require.Equal(t, []byte(v.Chain), r.chain[:])
		require.Equal(t, []byte(v.Target), r.target[:])
		encoded, err = r.encode(newSecret(g.AuthKey), KeyID(g.KeyID), signer)
		require.NoError(t, err)
		if v.Change == "bad-mac" {
			encoded[len(encoded)-1] ^= 1
		}
	}
	require.Equal(t, []byte(v.Plaintext), encoded, v.name()...)
}

func (v *transcriptTest) requireClass(t *testing.T, a *answer) {
	var wrong *limiter.WrongPINError
	var locked *limiter.LockedError
	var dead *DestroyedError
	class, err := "", a.err()
	switch {
	case a.code == codeCancelled && v.Operation == "cancel", a.code == codeDestroyed && v.Operation == "report":
	case errors.As(err, &wrong):
		class = "WrongPINError"
	case errors.As(err, &locked):
		class = "LockedError"
	case errors.As(err, &dead):
		class = "DestroyedError"
	case errors.Is(err, ErrExpired):
		class = "ErrExpired"
	case errors.Is(err, ErrCancelled):
		class = "ErrCancelled"
	case errors.Is(err, ErrUnconfirmed):
		class = "ErrUnconfirmed"
	case errors.Is(err, ErrRejected):
		class = "ErrRejected"
	case errors.Is(err, ErrSuperseded):
		class = "ErrSuperseded"
	case errors.Is(err, ErrKeyRefused):
		class = "ErrKeyRefused"
	default:
		require.NoError(t, err)
	}
	require.Equal(t, class, v.Reject.Class, v.name()...)
	require.Equal(t, class == "", v.Result == "valid", v.name()...)
}
