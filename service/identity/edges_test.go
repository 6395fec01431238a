package identity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/identity"
)

// TestLabelsAreUniform: each character of a document's label is as probable as any other.
func TestLabelsAreUniform(t *testing.T) {
	const labels, characters = 40_000, 36
	count := map[rune]int{}
	for range labels {
		d, err := identity.NewDocument(person().ID, identity.Qualified)
		require.NoError(t, err)
		for _, c := range d.Label {
			count[c]++
		}
	}
	require.Len(t, count, characters)
	for c, n := range count {
		// 4444 expected, standard deviation 66: 460 away with a probability below 2^-33.
		require.InDelta(t, labels*4/characters, n, 460, "%c", c)
	}
}

// TestPersonAtItsBounds: the longest common name, and the first year of birth.
func TestPersonAtItsBounds(t *testing.T) {
	for n, ok := range map[int]bool{identity.MaxName: true, identity.MaxName + 1: false} {
		p := person()
		p.Surname, p.Given = strings.Repeat("Õ", n-2), "A"
		require.Equal(t, ok, p.Check() == nil, n)
	}
	for year, ok := range map[int]bool{1849: false, 1850: true} {
		p := person()
		p.Born = time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)
		require.Equal(t, ok, p.Check() == nil, year)
	}
}
