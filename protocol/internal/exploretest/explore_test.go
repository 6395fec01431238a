package exploretest

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "explore every scope, and look for every planted fault")

// requireHolds explores a scope, of which every claim must hold.
func requireHolds(t *testing.T, name string, s Scope) Result {
	r := Explore(t, s)
	t.Log(r)
	require.Empty(t, r.Broken, "a schedule that shows it:\n%s", r.Test(name))
	return r
}

// TestSigns: an owner signs with right and wrong PINs, as often as he likes, while
// everything fails that can.
func TestSigns(t *testing.T) {
	r := requireHolds(t, "signs", signs)
	require.True(t, r.Whole)
}
