package exploretest

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "explore every scope, and look for every planted fault")

// total is of all scopes that this process has explored.
var total struct {
	moments, transitions, depth, steps int
	schedules                          float64
	planted                            int // faults that were found
}

// TestMain prints the line that "make explore" closes with, if all of it was done.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 && *long && *plantedRun == "" && total.planted == len(faults) && total.moments > 0 {
		fmt.Printf("explore: %d states, %d transitions, %.1e schedules, depth %d, %d steps of the real code: 0 violations; %d of %d planted protocol faults found\n",
			total.moments, total.transitions, total.schedules, total.depth, total.steps, total.planted, len(faults))
	}
	os.Exit(code)
}

// requireHolds explores a scope to its end. Every claim must hold in it.
func requireHolds(t *testing.T, name string, s Scope) Result {
	r := Explore(t, s)
	t.Log(r)
	require.Empty(t, r.Broken, "a schedule that shows it:\n%s", r.Test(name))
	require.True(t, r.Whole || s.Limit > 0)
	total.moments += r.Moments
	total.transitions += r.Transitions
	total.depth = max(total.depth, r.Depth)
	total.steps += r.Steps
	total.schedules += r.Schedules
	return r
}

// TestOwner: an owner signs with right and wrong PINs, as often as he likes, while
// everything fails that can; in the long form he does everything else, too.
func TestOwner(t *testing.T) {
	s := signs
	if testing.Short() {
		s.Limit = 300
	}
	requireHolds(t, "signs", s)
	if !*long {
		return
	}
	for i, s := range owners {
		t.Run(s.Name, func(t *testing.T) { requireHolds(t, fmt.Sprintf("owners[%d]", i), s) })
	}
}
