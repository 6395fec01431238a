package protocol

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// hexBytes is a byte string in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func TestVectorsVerificationCode(t *testing.T) {
	b, err := os.ReadFile("../vectors/verification_code.json")
	require.NoError(t, err)
	var file struct {
		TestGroups []struct {
			Tests []struct {
				Digest hexBytes
				Code   string
			}
		}
	}
	require.NoError(t, json.Unmarshal(b, &file))
	ran := 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			require.Equal(t, v.Code, VerificationCode(v.Digest))
			require.Contains(t, CodeChoice(v.Digest), v.Code)
			ran++
		}
	}
	require.Equal(t, 46, ran)
}
