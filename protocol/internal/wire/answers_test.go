package wire_test

import (
	"bytes"
	"crypto/hpke"
	"crypto/rsa"
	"encoding/binary"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// answerOf writes an answer as docs/protocol.md has it.
func answerOf(code wire.Code, challenge, body, document []byte) []byte {
	raw := append([]byte{wire.Version, byte(code), byte(len(challenge))}, challenge...)
	raw = append(append(raw, byte(len(body)>>16), byte(len(body)>>8), byte(len(body))), body...)
	return append(binary.BigEndian.AppendUint16(raw, uint16(len(document))), document...)
}

// TestAnswerRefused: the challenges, bodies and documents that an answer of each code
// has.
func TestAnswerRefused(t *testing.T) {
	x := protocoltest.NewFixture()
	own := x.Challenge(wire.ForOwnUse, wire.Hash{})
	verdict := func(total byte, until uint64) []byte { return binary.BigEndian.AppendUint64([]byte{0, total}, until) }
	until := func(ms uint64) []byte { return binary.BigEndian.AppendUint64(nil, ms) }
	key := func(bytesLong int, confirmBy uint64) []byte {
		n := bytes.Repeat([]byte{0xff}, bytesLong)
		raw := append(binary.BigEndian.AppendUint16(nil, uint16(bytesLong)), n...)
		return binary.BigEndian.AppendUint64(append(raw, 0, 1, 0, 1), confirmBy)
	}
	even, zero := key(256, 1), key(256, 1)
	even[2+255]--
	zero[2] = 0
	bodies := map[wire.Code][][]byte{ // good ones, then bad ones after an empty one
		wire.CodeEnrolled:    {key(256, 1), key(2048, wire.MaxUntil), nil, key(255, 1), key(2049, 1), key(256, wire.MaxUntil+1), even, zero, key(256, 1)[1:]},
		wire.CodeKeyRefused:  {{1}, {6}, nil, {0}, {7}, {1, 0}},
		wire.CodeRight:       {{0, 0, 0}, append([]byte{1, 1, 0}, make([]byte, 256)...), nil, {0, 0}, {1, 0, 0}, {0, 0, 1}, {1, 8, 1}, {0, 0, 0, 0}, append([]byte{1, 1, 0}, make([]byte, 255)...)},
		wire.CodeWrong:       {verdict(2, 0), verdict(2, wire.MaxUntil), nil, verdict(2, wire.MaxUntil+1), verdict(2, 0)[1:], {2}},
		wire.CodeLocked:      {until(1), until(wire.MaxUntil), nil, until(0), until(wire.MaxUntil + 1), until(1)[1:]},
		wire.CodeDestroyed:   {{1}, {4}, nil, {0}, {5}, {1, 0}},
		wire.CodeExpired:     {nil, {0}},
		wire.CodeCancelled:   {nil, {0}},
		wire.CodeUnconfirmed: {nil, {0}},
		wire.CodeRejected:    {nil, {0}},
		wire.CodeLater:       {nil, {0}},
		wire.CodeSuperseded:  {nil, {0}},
		0:                    {nil, nil},
		13:                   {nil, nil},
	}
	document := protocoltest.DocumentOf(t, 1, protocoltest.NewHPKE(t).PublicKey().Bytes())
	for code, list := range bodies {
		challenge := []byte(nil)
		if code == wire.CodeEnrolled || code == wire.CodeDestroyed || code == wire.CodeSuperseded {
			challenge = own
		}
		good := code != 0 && code != 13
		for _, body := range list {
			if body == nil && (code < wire.CodeExpired) {
				good = false // from here on
			}
			a, err := wire.ParseAnswer(answerOf(code, challenge, body, nil))
			require.Equal(t, good, err == nil, "%d: %x: %v", code, body, err)
			if body == nil && code >= wire.CodeExpired {
				good = false
			}
			if err != nil {
				require.ErrorIs(t, err, protocol.ErrMalformed)
				require.Nil(t, a)
				continue
			}
			require.Equal(t, challenge, a.Challenge)
			// With a challenge where none belongs, or without, or with one for another
			// use.
			other := own
			if challenge != nil {
				other = nil
			}
			for _, c := range [][]byte{other, x.Challenge(wire.ForTransaction, wire.Hash{1}), own[1:]} {
				_, err = wire.ParseAnswer(answerOf(code, c, body, nil))
				require.ErrorIs(t, err, protocol.ErrMalformed, "%d", code)
			}
			a, err = wire.ParseAnswer(answerOf(code, challenge, body, document))
			require.NoError(t, err)
			require.Equal(t, document, a.Document)
			for _, d := range [][]byte{document[1:], append(bytes.Clone(document), 0), {0}} {
				_, err = wire.ParseAnswer(answerOf(code, challenge, body, d))
				require.ErrorIs(t, err, protocol.ErrMalformed)
			}
		}
	}
	// The last wrong PIN comes with a challenge, for a Report.
	_, err := wire.ParseAnswer(answerOf(wire.CodeWrong, own, verdict(0, 0), nil))
	require.NoError(t, err)
	_, err = wire.ParseAnswer(answerOf(wire.CodeWrong, nil, verdict(0, 0), nil))
	require.ErrorIs(t, err, protocol.ErrMalformed)

	require.True(t, wire.Verdict{}.WrongPIN().LockedUntil.IsZero())
	require.True(t, time.UnixMilli(5).Equal(wire.Verdict{Until: 5}.WrongPIN().LockedUntil))
	a, err := wire.ParseAnswer(answerOf(wire.CodeDestroyed, own, []byte{byte(protocol.ReasonRevoked)}, nil))
	require.NoError(t, err)
	require.Equal(t, protocol.ReasonRevoked, a.Reason)
	a, err = wire.ParseAnswer(answerOf(wire.CodeEnrolled, own, key(256, 77), nil))
	require.NoError(t, err)
	require.Equal(t, int64(77), a.ConfirmBy)
	require.True(t, a.Public.Equal(&rsa.PublicKey{N: new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 256)), E: 65537}))
}

// TestSealedAnswers: an answer is sealed anew each time, and opens whole or not at all.
func TestSealedAnswers(t *testing.T) {
	key := wire.ResponseKey{Secret: wire.DrawSecret()}
	sealed, err := key.SealAnswer(&wire.Answer{Code: wire.CodeLater})
	require.NoError(t, err)
	again, err := key.SealAnswer(&wire.Answer{Code: wire.CodeLater})
	require.NoError(t, err)
	require.NotEqual(t, sealed[1:33], again[1:33])
	a, err := key.OpenAnswer(sealed)
	require.NoError(t, err)
	require.Equal(t, wire.CodeLater, a.Code)
	for n := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[n] ^= 1
		for _, response := range [][]byte{damaged, sealed[:n]} {
			a, err := key.OpenAnswer(response)
			require.ErrorIs(t, err, protocol.ErrMalformed)
			require.Nil(t, a)
		}
	}
	_, err = key.Open(make([]byte, protocol.MaxResponse+1))
	require.ErrorContains(t, err, "answer of")
	longest, err := key.Seal(make([]byte, protocol.MaxResponse-1-32-16))
	require.NoError(t, err)
	require.Len(t, longest, protocol.MaxResponse)
	_, err = key.Open(longest)
	require.NoError(t, err)
}

// TestSealedRequests: a request opens with the key that it names, and whole.
func TestSealedRequests(t *testing.T) {
	key := protocoltest.NewHPKE(t)
	ticket := wire.Ticket{7, 8, 9}
	request, response, err := wire.SealRequest(key.PublicKey(), protocol.OpSign, &ticket, []byte("plaintext"))
	require.NoError(t, err)
	ring := map[wire.HPKEKeyID]hpke.PrivateKey{wire.HPKEKeyIDOf(key.PublicKey().Bytes()): key}
	o, err := protocoltest.OpenRequest(request, ring)
	require.NoError(t, err)
	require.Equal(t, []byte("plaintext"), o.Plaintext.Get())
	require.Equal(t, ticket, o.Ticket)
	require.Equal(t, ticket.KeyID(), o.KeyID)
	require.Equal(t, response.Secret.Get(), o.ResponseKey.Secret.Get())
	require.Equal(t, response.Request, o.ResponseKey.Request)
	_, err = protocoltest.OpenRequest(request, nil)
	require.ErrorIs(t, err, wire.ErrHPKE)
	for _, at := range []int{1, 2 + 8 + 2, 2 + 8 + 82, len(request) - 1} { // operation, key id, encapsulation, ciphertext
		damaged := bytes.Clone(request)
		damaged[at] ^= 1
		o, err := protocoltest.OpenRequest(damaged, ring)
		require.ErrorIs(t, err, protocol.ErrMalformed)
		require.ErrorIs(t, err, wire.ErrHPKE, at)
		require.Nil(t, o)
	}
	for _, at := range []int{0, 2} { // version, name of the HPKE key
		damaged := bytes.Clone(request)
		damaged[at] ^= 1
		_, err := protocoltest.OpenRequest(damaged, ring)
		require.ErrorIs(t, err, protocol.ErrMalformed)
	}
	for n, ok := range map[int]bool{2 + 8 + 82 + 1120 + 16: false, 2 + 8 + 82 + 1120 + 17: true, protocol.MaxRequest: true, protocol.MaxRequest + 1: false} {
		raw := append([]byte{wire.Version, byte(protocol.OpSign)}, make([]byte, n-2)...)
		_, err := wire.ParseEnvelope(raw)
		require.Equal(t, ok, err == nil, n)
	}

	authority := protocoltest.DocumentOf(t, 1, key.PublicKey().Bytes())
	bad := bytes.Clone(authority)
	clear(bad[9 : 9+wire.HPKEKeySize])
	_, _, err = wire.ParseKeyDocument(bad, nil)
	require.ErrorIs(t, err, protocol.ErrMalformed)
	_, err = wire.SignKeyDocument(nil, 1, key.PublicKey().Bytes())
	require.ErrorIs(t, err, protocol.ErrConfig)
}

// TestLongestRequest: a request that is too long to travel is an error, and one that is
// just short enough is sealed.
func TestLongestRequest(t *testing.T) {
	pub := protocoltest.NewHPKE(t).PublicKey()
	seal := func(size int) ([]byte, error) {
		for count := 2; ; count++ { // documents, of one length each
			r := requestOf(t, protocol.OpSign)
			documents(r, count, 0, 0)
			plaintext, err := r.Encode(wire.DrawSecret(), protocol.KeyID{}, nil)
			require.NoError(t, err)
			if rest := size - 2 - 8 - wire.TicketSize - 1120 - wire.TagSize - len(plaintext); rest%count == 0 {
				documents(r, count, 0, rest/count)
				sealed, _, err := r.Seal(pub, wire.DrawSecret(), protocol.KeyID{}, nil)
				return sealed, err
			}
		}
	}
	sealed, err := seal(protocol.MaxRequest)
	require.NoError(t, err)
	require.Len(t, sealed, protocol.MaxRequest)
	sealed, err = seal(protocol.MaxRequest + 1)
	require.ErrorIs(t, err, splitkey.ErrMessage)
	require.Nil(t, sealed)
}
