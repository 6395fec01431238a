package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

func FuzzParseKeyID(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		id, err := protocol.ParseKeyID(text)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		require.Equal(t, text, id.String())
	})
}

// TestCorpora: see protocoltest.CheckCorpora.
func TestCorpora(t *testing.T) {
	id := protocol.KeyID{1, 2, 3}.String()
	protocoltest.CheckCorpora(t, map[string]protocoltest.Seeds{
		"FuzzParseKeyID": {"good": {id}, "upper": {strings.ToUpper("ab" + id[2:])}, "short": {"00"},
			"letter": {id[1:] + "g"}, "empty": {""}},
	})
}

// TestKeyIDText: an id is read from its text, and stays as it is where the text is none.
func TestKeyIDText(t *testing.T) {
	id := protocol.KeyID{1, 2, 3}
	text, err := id.MarshalText()
	require.NoError(t, err)
	var read protocol.KeyID
	require.NoError(t, read.UnmarshalText(text))
	require.Equal(t, id, read)
	require.ErrorIs(t, read.UnmarshalText(text[1:]), protocol.ErrMalformed)
	require.Equal(t, id, read)
}

// TestDestroyedIs: a DestroyedError is limiter.ErrDestroyed, and nothing else is.
func TestDestroyedIs(t *testing.T) {
	err := &protocol.DestroyedError{Reason: protocol.ReasonPIN}
	require.ErrorIs(t, err, limiter.ErrDestroyed)
	require.NotErrorIs(t, err, protocol.ErrMalformed)
	require.NotErrorIs(t, (*protocol.DestroyedError)(nil), limiter.ErrDestroyed)
}
