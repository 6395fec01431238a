// Package comparison has the result of bench/peers as the report keeps it, and its
// statistics.
package comparison

import (
	"encoding/json"
	"math"
	"os"
	"slices"

	"github.com/tandem-rsa/tandem/bench/internal/machine"
)

// Result is one run.
type Result struct {
	Machine  machine.Machine
	Versions string // of others' programs
	Rounds   int
	Rows     []Row
	Targets  []Target
}

// Row is one contender at one task.
type Row struct {
	Task     string // what was done: "exponentiation", "partial", "signature", ...
	Bits     int    // of the (final) modulus
	Name     string
	Primes   int       // of an ordinary key; 0 elsewhere
	Variant  string    // "" for the arithmetic that the processor can best, "no IFMA", "pure Go"
	Time     Quartiles // nanoseconds of processor time a repetition
	Wall     bool      // Time is time on the clock, not the processor's
	Allocs   float64   // a repetition
	HasAlloc bool      // Allocs was counted
}

// Label names the contender in a table.
func (r Row) Label() string {
	label := r.Name
	if r.Primes > 0 {
		label += ", " + r.Shape()
	}
	if r.Variant != "" {
		label += ", " + r.Variant
	}
	return label
}

// Shape is the key's, of an ordinary key.
func (r Row) Shape() string { return map[int]string{2: "two", 4: "four"}[r.Primes] + " primes" }

// Quartiles of a number of samples.
type Quartiles struct{ Low, Median, High float64 }

// Target is a ratio that this library claims, and the measured one.
type Target struct {
	Claim     string
	For       string // the class of processors for which it is claimed, "" for all
	Elsewhere bool   // this is another one
	Bound     float64
	AtMost    bool // whether Bound is an upper bound; else it is a lower one
	Ratio     Quartiles
	Missing   string // why there is no ratio, if there is none
}

// Met tells whether the median is on the right side of the bound.
func (t Target) Met() bool {
	if t.Missing != "" {
		return false
	}
	if t.AtMost {
		return t.Ratio.Median <= t.Bound
	}
	return t.Ratio.Median >= t.Bound
}

// QuartilesOf interpolates linearly between the samples. It panics if there are none.
func QuartilesOf(samples []float64) Quartiles {
	s := slices.Sorted(slices.Values(samples))
	at := func(p float64) float64 {
		x := p * float64(len(s)-1)
		i := int(math.Floor(x))
		if i+1 == len(s) {
			return s[i]
		}
		return s[i] + (x-float64(i))*(s[i+1]-s[i])
	}
	return Quartiles{at(0.25), at(0.5), at(0.75)}
}

// Ratio compares samples of the same rounds: what slowed a round down slowed both.
func Ratio(numerator, denominator []float64) Quartiles {
	r := make([]float64, len(numerator))
	for i := range r {
		r[i] = numerator[i] / denominator[i]
	}
	return QuartilesOf(r)
}

// Save writes the result as JSON.
func (r *Result) Save(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// Load reads what [Result.Save] wrote.
func Load(file string) (*Result, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, err
	}
	return r, nil
}
