package main

import (
	"fmt"
	"os"
	"time"

	"github.com/tandem-rsa/tandem/bench/internal/comparison"
)

// contender is one implementation of one task.
type contender struct {
	task    string
	bits    int
	name    string
	primes  int // of an ordinary key
	variant variant
	wall    bool // what is measured is time on the clock

	// run repeats the work and returns the processor time and the number of allocations,
	// or -1 where they are not counted.
	run func(count int) (time.Duration, int64, error)

	count   int       // repetitions in a round
	samples []float64 // of each round, nanoseconds a repetition
	allocs  []float64
}

// field is all contenders.
type field []*contender

func (c *contender) String() string { return fmt.Sprintf("%s/%d/%s", c.task, c.bits, c.row().Label()) }

// find returns a contender that must be there.
func (f field) find(task string, bits int, name string, primes int, v variant) *contender {
	for _, c := range f {
		if c.task == task && c.bits == bits && c.name == name && c.primes == primes && c.variant == v {
			return c
		}
	}
	panic(fmt.Sprintf("no contender %s/%d/%s/%d/%s", task, bits, name, primes, v.name))
}

// measure has every contender do its work once in each round, so that whatever disturbs
// the machine disturbs all alike. A turn lasts about as long as turn, or several times
// that on the clock, and has at least one repetition; turn 0 is one repetition.
func (f field) measure(rounds int, turn time.Duration) error {
	for _, c := range f {
		c.count = 1
		if turn == 0 {
			continue
		}
		long := turn
		if c.wall {
			// Until the second core has begun, and while it waits for the first, time
			// passes too.
			long *= 8
		}
		if err := c.calibrate(long); err != nil {
			return err
		}
	}
	for i := range rounds {
		fmt.Fprintf(os.Stderr, "\rround %d of %d ", i+1, rounds)
		for _, c := range f {
			took, allocs, err := c.run(c.count)
			if err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
			c.samples = append(c.samples, float64(took.Nanoseconds())/float64(c.count))
			if allocs >= 0 {
				c.allocs = append(c.allocs, float64(allocs)/float64(c.count))
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// calibrate finds how many repetitions fill a turn. It is also the warm-up.
func (c *contender) calibrate(turn time.Duration) error {
	for c.count = 1; ; c.count *= 2 {
		took, _, err := c.run(c.count)
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		if took >= turn/2 {
			each := took / time.Duration(c.count)
			c.count = max(1, int(turn/each))
			return nil
		}
	}
}

func (f field) rows() []comparison.Row {
	var rows []comparison.Row
	for _, c := range f {
		row := c.row()
		row.Time = comparison.QuartilesOf(c.samples)
		if len(c.allocs) > 0 {
			row.HasAlloc, row.Allocs = true, comparison.QuartilesOf(c.allocs).Median
		}
		rows = append(rows, row)
	}
	return rows
}

// row has no measurements yet.
func (c *contender) row() comparison.Row {
	return comparison.Row{Task: c.task, Bits: c.bits, Name: c.name, Primes: c.primes, Variant: c.variant.name, Wall: c.wall}
}
