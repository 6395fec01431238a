package exploretest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// anything is a scope in which schedules of every kind can be played.
var anything = Scope{Name: "anything", Kinds: []Op{Sign, SignWrong, Batch, Refresh, ChangePIN, ChangePINWrong}, Nodes: 3, Faults: true,
	Moves: everyMove, Revoke: true, Copies: 2, Tries: 3}

func TestPlay(t *testing.T) {
	p := Play(t, anything,
		"sign with a wrong PIN 2",
		"deliver sign with a wrong PIN 2 to A; the node crashes after the write",
		"deliver sign with a wrong PIN 2 to B",
		"sign 2",
		"hear wrong PIN, 8 left; crash before the save",
		"hear wrong PIN, 8 left",
		"sign 3",
		"deliver sign 3 to C",
		"cancel 3",
		"deliver the cancel of 3 to A",
		"hear right",
	)
	require.Empty(t, p.Broken)
	require.Equal(t, []string{"", "", "wrong PIN, 8 left", "an earlier one is pending", "", "wrong PIN, 8 left", "", "right", "", "right", "carried out"}, p.Said)
	require.Equal(t, "active", p.Key)
	require.Zero(t, p.Wrong)
	require.Equal(t, p.Number, p.Device)
	require.False(t, p.Waits)

	p = Play(t, anything,
		"the thief copies the storage",
		"the thief guesses",
		"sign 2",
		"deliver sign 2 to A",
		"hear destroyed",
	)
	require.Empty(t, p.Broken)
	require.Equal(t, "wrong PIN, 8 left", p.Said[1])
	require.Equal(t, "destroyed: the device's storage was copied", p.Key)
}

// TestPendingPINCounts: the owner's last PIN before the copy is the one in the request
// that is pending. If it is right, and arrives after the copy, it clears the counter of
// the wrong one before it, and the thief has all nine guesses.
func TestPendingPINCounts(t *testing.T) {
	guesses := []string{"the thief guesses", "the thief guesses", "the thief guesses"}
	steps := []string{
		"sign with a wrong PIN 2",
		"deliver sign with a wrong PIN 2 to A",
		"hear wrong PIN, 8 left",
		"sign 3",
		"the thief copies the storage",
		"deliver sign 3 to A",
	}
	for range 2 {
		steps = append(append(steps, guesses...), "wait 5m0s")
	}
	p := Play(t, Scope{Name: "a copy", Kinds: pinned, Nodes: 1, Copies: 1, Tries: 3, Moves: five}, append(steps, guesses...)...)
	require.Empty(t, p.Broken)
	require.Equal(t, "wrong PIN, 0 left", p.Said[len(p.Said)-1])
	require.Equal(t, 9, p.Wrong)
}
