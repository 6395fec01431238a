package wire_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestBinding: what a transaction's challenge is bound to, as docs/protocol.md has it.
func TestBinding(t *testing.T) {
	m, err := wire.NewMessages([][]byte{protocoltest.DigestOf("a"), protocoltest.DigestOf("b")}, crypto.SHA256)
	require.NoError(t, err)
	text := append([]byte("tandem v2 transaction"), m.Hash, byte(m.Padding), 2)
	text = append(append(text, protocoltest.DigestOf("a")...), protocoltest.DigestOf("b")...)
	require.Equal(t, wire.Hash(sha256.Sum256(text)), m.Binding())
}

// TestAnswerIsBound: an answer opens for the request that it is for and for no other,
// though the response key were the same.
func TestAnswerIsBound(t *testing.T) {
	key := wire.DrawSecret()
	sealed, err := wire.ResponseKey{Secret: key, Request: wire.Hash{1}}.Seal([]byte("answer"))
	require.NoError(t, err)
	_, err = wire.ResponseKey{Secret: key, Request: wire.Hash{2}}.Open(sealed)
	require.ErrorIs(t, err, protocol.ErrMalformed)
	opened, err := wire.ResponseKey{Secret: key, Request: wire.Hash{1}}.Open(sealed)
	require.NoError(t, err)
	require.Equal(t, "answer", string(opened))
}

// TestPublicKeyEdges: exponents from 3 to 2^31-1, odd ones.
func TestPublicKeyEdges(t *testing.T) {
	for e, want := range map[uint32]bool{0: false, 1: false, 2: false, 3: true, 4: false, 65537: true, 1<<31 - 1: true, 1<<31 + 1: false} {
		var b cryptobyte.Builder
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(bytes.Repeat([]byte{0xff}, 256)) })
		b.AddUint32(e)
		s := cryptobyte.String(b.BytesOrPanic())
		var pub rsa.PublicKey
		require.Equal(t, want, wire.ReadPublicKey(&s, &pub), "%d", e)
	}
}

// TestAnswerBodies: a body has the length and the values of its code.
func TestAnswerBodies(t *testing.T) {
	answer := func(code wire.Code, body ...byte) error {
		raw := append([]byte{wire.Version, byte(code), 0, 0, 0, byte(len(body))}, body...)
		_, err := wire.ParseAnswer(append(raw, 0, 0))
		return err
	}
	require.NoError(t, answer(wire.CodeExpired))
	require.ErrorIs(t, answer(wire.CodeExpired, 0), protocol.ErrMalformed)
	require.ErrorIs(t, answer(wire.CodeKeyRefused), protocol.ErrMalformed)
	require.NoError(t, answer(wire.CodeKeyRefused, byte(wire.RefusedModulus)))
	require.NoError(t, answer(wire.CodeKeyRefused, byte(wire.RefusedHardware)))
	require.ErrorIs(t, answer(wire.CodeKeyRefused, byte(wire.RefusedModulus)-1), protocol.ErrMalformed)
	require.ErrorIs(t, answer(wire.CodeKeyRefused, byte(wire.RefusedHardware)+1), protocol.ErrMalformed)
	require.ErrorIs(t, answer(wire.CodeKeyRefused, byte(wire.RefusedModulus), 0), protocol.ErrMalformed)
}

// TestUnknownOperation of a request of good length.
func TestUnknownOperation(t *testing.T) {
	request := make([]byte, 4096)
	request[0] = wire.Version
	for op := range 256 {
		request[1] = byte(op)
		_, err := wire.ParseEnvelope(request)
		if wire.KnownOperation(protocol.Operation(op)) {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, protocol.ErrMalformed, "%d", op)
		}
	}
}

// TestSealToZeros: nothing is sealed to a key that nobody can have.
func TestSealToZeros(t *testing.T) {
	zeros, err := wire.KEM.NewPublicKey(make([]byte, wire.HPKEKeySize))
	require.NoError(t, err)
	request, _, err := wire.SealRequest(zeros, protocol.OpSign, new(wire.Ticket), nil)
	require.Error(t, err)
	require.Nil(t, request)
	_, err = wire.ParseHPKEKey(make([]byte, wire.HPKEKeySize))
	require.Error(t, err)
}

// TestEncodeRefuses: what has no encoding is an error, and no shorter request.
func TestEncodeRefuses(t *testing.T) {
	x := protocoltest.NewFixture()
	own, err := wire.ParseChallenge(x.Challenge(wire.ForOwnUse, wire.Hash{}))
	require.NoError(t, err)
	r := wire.Request{Op: protocol.OpConfirm, Challenge: own, Number: 1, Token: wire.DrawSecret(),
		Salts: [][]byte{nil, make([]byte, 4096)}, Partials: [][]byte{make([]byte, 256), make([]byte, 256)}}
	plaintext, err := r.Encode(x.AuthKey, x.Id, nil)
	require.Error(t, err, "salts of two lengths")
	require.Nil(t, plaintext)

	challenge, err := wire.ParseChallenge(x.Challenge(wire.ForEnrolment, wire.Hash{}))
	require.NoError(t, err)
	e := wire.Enrollment{Challenge: challenge, AuthKey: wire.DrawSecret(), Attestation: make([]byte, 1<<16)}
	plaintext, err = e.Encode(x.Id, nil)
	require.Error(t, err, "an attestation that its length does not fit")
	require.Nil(t, plaintext)

	a := wire.Answer{Code: wire.CodeExpired, Document: make([]byte, 1<<16)}
	plaintext, err = a.Encode()
	require.Error(t, err)
	require.Nil(t, plaintext)
	sealed, err := wire.ResponseKey{Secret: wire.DrawSecret()}.SealAnswer(&a)
	require.Error(t, err)
	require.Nil(t, sealed)
}
