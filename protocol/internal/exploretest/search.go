package exploretest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Result is what an exploration has found.
type Result struct {
	Scope       string
	Moments     int      // that differ
	Transitions int      // from one to the next
	Depth       int      // steps to the moment that is furthest from the beginning
	Steps       int      // of the real code
	Whole       bool     // every moment was looked at
	Schedules   float64  // of as many steps as Depth, or fewer
	Looked      int      // moments that were looked at until then
	Broken      string   // the first claim that does not hold, or ""
	Schedule    []string // the shortest that shows it

	// Told is, for each number of wrong PINs of the owner's in a row before the copy, how
	// many the thief is told of at most while no lock has begun, and with 0, 1 and 2
	// locks that he waited out.
	Told map[int]*[4]int
}

// Explore looks at every moment of the scope, the nearest first, until a claim does not
// hold.
func Explore(t *testing.T, scope Scope) Result {
	w := newWorld(t, scope)
	return w.explore()
}

func (w *world) first() moment {
	var m moment
	if w.scope.Enrolment {
		m = w.unenrolled()
	} else {
		m = w.enrolled()
	}
	m.left = -1
	if w.scope.Operations > 0 {
		m.left = int8(w.scope.Operations)
	}
	return m
}

func (w *world) explore() Result {
	r := Result{Scope: w.scope.Name, Whole: true, Told: w.most}
	m := w.first()
	index := map[[16]byte]int32{w.key(&m): 0}
	all := []moment{m}
	parent, depth := []int32{-1}, []int32{0}
	labels := []string{""}
	var edges [][2]int32
	trace := func(i int32) (steps []string) {
		for ; i > 0; i = parent[i] {
			steps = append(steps, labels[i])
		}
		slices.Reverse(steps)
		return steps
	}
	for i := 0; i < len(all); i++ {
		m := all[i]
		r.Looked = i + 1
		w.check(&m)
		sequels := w.next(m)
		if len(w.broken) > 0 {
			r.Broken, r.Schedule, r.Whole = w.broken[0], trace(int32(i)), false
			break
		}
		for _, s := range sequels {
			r.Transitions++
			key := w.key(&s.to)
			to, ok := index[key]
			edges = append(edges, [2]int32{int32(i), int32(len(all))})
			if ok {
				edges[len(edges)-1][1] = to
			} else {
				index[key] = int32(len(all))
				all = append(all, s.to)
				parent, depth = append(parent, int32(i)), append(depth, depth[i]+1)
				labels = append(labels, s.label)
			}
		}
		if w.scope.Limit > 0 && len(all) >= w.scope.Limit {
			r.Whole = false
			break
		}
	}
	r.Schedules = schedules(edges, len(all), int(depth[len(depth)-1]))
	r.Moments, r.Depth, r.Steps = len(all), int(depth[len(depth)-1]), w.steps
	return r
}

// schedules counts the paths from the first moment of up to so many steps.
func schedules(edges [][2]int32, moments, steps int) (sum float64) {
	at := make([]float64, moments)
	at[0] = 1
	for range steps {
		next := make([]float64, moments)
		for _, e := range edges {
			next[e[1]] += at[e[0]]
		}
		for _, n := range next {
			sum += n
		}
		at = next
	}
	return sum
}

// Test writes the schedule as a test of this package, which fails as long as the claim
// does not hold.
func (r Result) Test(scope string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "func TestSchedule(t *testing.T) {\n\tp := Play(t, %s,\n", scope)
	for _, s := range r.Schedule {
		fmt.Fprintf(&b, "\t\t%q,\n", s)
	}
	fmt.Fprintf(&b, "\t)\n\trequire.Empty(t, p.Broken)\n}\n")
	return b.String()
}

func (r Result) String() string {
	return fmt.Sprintf("%s: %d moments, %d transitions, depth %d, %.1e schedules of so many steps or fewer, %d steps of the real code",
		r.Scope, r.Moments, r.Transitions, r.Depth, r.Schedules, r.Steps)
}
