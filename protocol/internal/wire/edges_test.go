package wire_test

import (
	"crypto"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

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
// though the reply key were the same.
func TestAnswerIsBound(t *testing.T) {
	key := wire.DrawSecret()
	sealed, err := wire.Reply{Secret: key, Request: wire.Hash{1}}.Seal([]byte("answer"))
	require.NoError(t, err)
	_, err = wire.Reply{Secret: key, Request: wire.Hash{2}}.Open(sealed)
	require.ErrorIs(t, err, protocol.ErrMalformed)
	opened, err := wire.Reply{Secret: key, Request: wire.Hash{1}}.Open(sealed)
	require.NoError(t, err)
	require.Equal(t, "answer", string(opened))
}
