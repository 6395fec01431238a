package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
)

// TestDeviceDefaults: what a configuration leaves out.
func TestDeviceDefaults(t *testing.T) {
	s := newService(t)
	config := DeviceConfig{State: new(memoryState), Transport: s.Handle, ServerKey: s.ServerKey()}
	d, err := NewDevice(config)
	require.NoError(t, err)
	require.Equal(t, pinlock.DefaultParams(), d.config.Params)
	require.NotNil(t, d.config.Clock)

	config.Params = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}
	d, err = NewDevice(config)
	require.NoError(t, err)
	require.Equal(t, config.Params, d.config.Params)
}
