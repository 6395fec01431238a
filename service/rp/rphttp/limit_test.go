package rphttp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(10, 5) // ten a second, five at once
	a, b := network(netip.MustParseAddr("192.0.2.1")), network(netip.MustParseAddr("192.0.2.2"))
	now := time.Unix(1e9, 0)
	for range 5 {
		require.True(t, l.allow(a, now))
	}
	require.False(t, l.allow(a, now))
	require.True(t, l.allow(b, now), "another source")
	require.False(t, l.allow(a, now.Add(99*time.Millisecond)), "what was refused does not count, nor does it make room")
	require.True(t, l.allow(a, now.Add(100*time.Millisecond)))
	require.False(t, l.allow(a, now.Add(100*time.Millisecond)))
	// For long, as many as the rate.
	allowed := 0
	for i := range 10000 {
		if l.allow(a, now.Add(time.Second+time.Duration(i)*time.Millisecond)) {
			allowed++
		}
	}
	require.Equal(t, 104, allowed) // in ten seconds, with five at once
	// After silence no more than at once.
	later := now.Add(time.Hour)
	for range 5 {
		require.True(t, l.allow(a, later))
	}
	require.False(t, l.allow(a, later))
}

// TestLimiterForgets: a source costs memory as long as it counts, and no more sources are
// remembered than may be.
func TestLimiterForgets(t *testing.T) {
	l := newLimiter(1, 1)
	now := time.Unix(1e9, 0)
	source := func(i int) netip.Prefix {
		return network(netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	for i := range maxSources {
		require.True(t, l.allow(source(i), now))
	}
	require.True(t, l.allow(source(maxSources), now), "not remembered, not refused")
	require.Len(t, l.due, maxSources)
	require.True(t, l.allow(source(maxSources), now))
	require.False(t, l.allow(source(0), now), "those that are remembered still count")
	require.True(t, l.allow(source(maxSources), now.Add(2*time.Second)))
	require.Len(t, l.due, 1, "the silent ones are forgotten")
	require.False(t, l.allow(source(maxSources), now.Add(2*time.Second)))
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "2001:db8:0:1:2:3:4:5": "2001:db8:0:1::/64"} {
		require.Equal(t, want, network(netip.MustParseAddr(address)).String())
	}
	require.Equal(t, netip.Prefix{}, network(netip.Addr{}))
}
