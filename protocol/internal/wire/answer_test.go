package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/protocol"
)

// TestMostSignatures: an answer has as many signatures as a request may have documents.
func TestMostSignatures(t *testing.T) {
	for count, ok := range map[int]bool{0: false, 1: true, protocol.MaxDocuments: true, protocol.MaxDocuments + 1: false} {
		s := cryptobyte.String(append([]byte{byte(count), 1, 0}, make([]byte, 256*count)...))
		a := new(Answer)
		require.Equal(t, ok, a.readSignatures(&s), count)
		if ok {
			require.Len(t, a.Signatures, count)
		}
	}
}
