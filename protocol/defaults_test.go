package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestDeviceDefaults: what a configuration leaves out.
func TestDeviceDefaults(t *testing.T) {
	s := newService(t)
	config := DeviceConfig{State: new(memoryState), Transport: s.Handle, ServerKey: s.ServerKey()}
	d, err := NewDevice(config)
	require.NoError(t, err)
	require.Equal(t, pinlock.DefaultParams(), d.config.Params)
	require.Equal(t, pinlock.Params{Time: 16, MemoryKiB: 1 << 20, Threads: 16}, d.config.Limit)

	config.Params = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}
	d, err = NewDevice(config)
	require.NoError(t, err)
	require.Equal(t, config.Params, d.config.Params)
}

// TestLongestBlob: a source's blob may have 8 KiB.
func TestLongestBlob(t *testing.T) {
	key, err := fixedServerKey()
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
