package protocoltest

import (
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

type transcriptKey struct {
	P, Q HexBytes
	E    int64
}

type TranscriptGroup struct {
	Name, Sharing                                                            string
	Key                                                                      transcriptKey
	ServerKey                                                                *transcriptKey
	HpkePrivate, HpkePublic, ChallengeKey, AuthKey, KeyID, X, HardwarePublic HexBytes
	Token                                                                    HexBytes
	AuthorityPublic, NextHpkePrivate, NextHpkePublic, KeyDocument            HexBytes
	CopiedAfter, RotatedAfter                                                int
	Tests                                                                    []TranscriptTest

	Made map[int]*TranscriptTest `json:"-"` // by tcId: those that have a request
}

type TranscriptTest struct {
	TcID, Again                                                              int
	Comment, Device, Way, Operation, Change, Forgery, Result                 string
	Reject                                                                   struct{ Stage, Class string }
	At                                                                       int64
	Number                                                                   uint64
	Challenge, Token, Chain, Target, NextToken, HardwareSignature            HexBytes
	Documents                                                                []struct{ Digest, Salt, EM, Y HexBytes }
	Plaintext, RequestEnc, ResponseSecret                                    HexBytes
	Code                                                                     wire.Code
	ResponsePlaintext, ResponseEnc, CounterEnc, Current, ChainAfter, LastEnc HexBytes
	Condition                                                                string
	Reason                                                                   uint8
	Events                                                                   uint64
	Storage                                                                  *transcriptStorage

	// The test that made the request: this one, or that of Again.
	Request *TranscriptTest `json:"-"`
}

// transcriptStorage is what the device has.
type transcriptStorage struct {
	Phase         string
	Number        uint64
	Token, Chain  HexBytes
	Pending       int
	ToBeCancelled bool
}

func (h HexBytes) int() *big.Int { return new(big.Int).SetBytes(h) }

func (k *transcriptKey) Private(t *testing.T) *rsa.PrivateKey {
	key, err := splitkeytest.PrivateKey(k.P.int(), k.Q.int(), int(k.E))
	require.NoError(t, err)
	return key
}

func LoadTranscript(t *testing.T) []TranscriptGroup {
	b, err := os.ReadFile("../../vectors/transcript.json")
	require.NoError(t, err)
	var file struct{ TestGroups []TranscriptGroup }
	require.NoError(t, json.Unmarshal(b, &file))
	for i := range file.TestGroups {
		g := &file.TestGroups[i]
		g.Made = make(map[int]*TranscriptTest)
		for j := range g.Tests {
			v := &g.Tests[j]
			if v.Request = g.Made[v.Again]; v.Again == 0 {
				v.Request, g.Made[v.TcID] = v, v
			}
			require.NotNil(t, v.Request, v.TcID)
		}
	}
	return file.TestGroups
}

func (v *TranscriptTest) Name() []any { return []any{"%d %s", v.TcID, v.Comment} }

// HexBytes is a byte string in hex.
type HexBytes []byte

func (h *HexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}
