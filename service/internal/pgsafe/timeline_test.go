package pgsafe

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTimeline: a server that is behind one that was seen is refused.
func TestTimeline(t *testing.T) {
	var line timeline
	for _, c := range []struct {
		file  string
		newer bool
		err   error
	}{
		{"000000010000000000000001", false, nil},
		{"0000000100000000000000FF", false, nil},
		{"000000020000000000000003", true, nil},
		{"000000020000000000000004", false, nil},
		{"000000010000000000000009", false, ErrStale},
		{"0000001A0000000000000001", true, nil},
		{"000000020000000000000009", false, ErrStale},
	} {
		newer, err := line.see(c.file)
		require.ErrorIs(t, err, c.err, c.file)
		require.Equal(t, c.newer, newer, c.file)
	}
	for _, file := range []string{"", "0000001A", "x000001A0000000000000001"} {
		_, err := line.see(file)
		require.Error(t, err)
	}
}
