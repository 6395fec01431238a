package protocol_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
