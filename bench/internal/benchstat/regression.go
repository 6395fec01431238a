package benchstat

import (
	"fmt"
	"math"
	"strings"
)

// Threshold is the growth above which a change is a regression.
const Threshold = 0.10

// Change is a benchmark that got significantly better or worse in one unit.
type Change struct {
	Package, Name, Unit string
	Base, Value         float64
}

// Growth returns 0.1 for 10 % more, and infinity from 0 to anything.
func (c Change) Growth() float64 {
	if c.Base == 0 {
		return math.Inf(1)
	}
	return c.Value/c.Base - 1
}

func (c Change) String() string {
	return fmt.Sprintf("%s %s: %s from %.4g to %.4g (%+.1f %%)", c.Package, c.Name, c.Unit, c.Base, c.Value, 100*c.Growth())
}

// Regressions returns what got significantly worse by more than the threshold. It looks
// at allocations, bytes and processor time; at time on the clock only where a benchmark
// reports no processor time, which other work on the machine disturbs less.
func Regressions(tables []Table) []Change {
	type benchmark struct{ pkg, name string }
	cpu := map[benchmark]bool{}
	for _, t := range tables {
		for _, r := range t.Rows {
			if t.Unit == "cpu-sec/op" {
				cpu[benchmark{t.Package, r.Name}] = true
			}
		}
	}
	var out []Change
	for _, t := range tables {
		for _, r := range t.Rows {
			switch {
			case !r.Significant:
				continue
			case t.Unit == "sec/op" && cpu[benchmark{t.Package, r.Name}]:
				continue
			case t.Unit != "sec/op" && t.Unit != "cpu-sec/op" && t.Unit != "B/op" && t.Unit != "allocs/op":
				continue
			}
			c := Change{t.Package, r.Name, t.Unit, r.Base.Median, r.Value.Median}
			if c.Value > c.Base*(1+Threshold) {
				out = append(out, c)
			}
		}
	}
	return out
}

// Missing returns the benchmarks of the base that are gone.
func Missing(tables []Table) []string {
	var out []string
	for _, t := range tables {
		for _, r := range t.Rows {
			if strings.HasPrefix(t.Unit, "sec/") && r.Value == nil {
				out = append(out, t.Package+" "+r.Name)
			}
		}
	}
	return out
}
