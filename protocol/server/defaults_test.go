package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestLongestBlob: a source's blob may have 8 KiB.
func TestLongestBlob(t *testing.T) {
	key, err := protocoltest.FixedServerKey()
	require.NoError(t, err)
	for n, ok := range map[int]bool{0: false, 1: true, 8 << 10: true, 8<<10 + 1: false} {
		s := newService(t, func(c *Config) {
			c.Keys = drawnKeys{c.Keys, func() (splitkey.RSAKey, []byte, error) { return key, make([]byte, n), nil }}
		})
		own, blob, err := s.serverKey(t.Context())
		require.Equal(t, ok, err == nil, "%d bytes: %v", n, err)
		require.Equal(t, ok, own != nil)
		if ok {
			require.Len(t, blob, n)
		}
	}
}
