package protocol_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

func TestVectorsVerificationCode(t *testing.T) {
	b, err := os.ReadFile("../vectors/verification_code.json")
	require.NoError(t, err)
	var file struct {
		TestGroups []struct {
			Tests []struct {
				Digest protocoltest.HexBytes
				Code   string
			}
		}
	}
	require.NoError(t, json.Unmarshal(b, &file))
	ran := 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			require.Equal(t, v.Code, protocol.VerificationCode(v.Digest))
			require.Contains(t, protocol.CodeChoice(v.Digest), v.Code)
			ran++
		}
	}
	require.Equal(t, 46, ran)
}
