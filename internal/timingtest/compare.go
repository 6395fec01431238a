// Package timingtest looks for a difference between the times that an operation takes for
// two classes of inputs, as in O. Reparaz, J. Balasch, I. Verbauwhede, "Dude, is my code
// constant time?", DATE 2017: many measurements, classes drawn at random, Welch's t-test
// on all of them and on those below some percentiles.
//
// A test of this kind finds differences; it cannot prove that there are none. What it can
// see shrinks with the square root of the number of measurements.
package timingtest

import (
	"crypto/rand"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// Threshold is the |t| above which a difference counts as found. By chance a t-test
// exceeds it with probability 7 * 10^-6.
const Threshold = 4.5

// crops are the parts of all measurements, the fastest first, that are tested by
// themselves: interrupts make a long tail, in which a small difference would drown.
var crops = []float64{1, 0.99, 0.95, 0.9, 0.75, 0.5}

// Result is the outcome of one comparison.
type Result struct {
	Name   string
	N      int           // measurements, of both classes
	T      float64       // the largest |t| of all crops
	Median time.Duration // of all measurements
}

// String is one line, without its end.
func (r Result) String() string {
	return fmt.Sprintf("dudect: %-58s |t| = %7.2f  n = %7d  median %v", r.Name, r.T, r.N, r.Median)
}

// Found reports whether the classes can be told apart.
func (r Result) Found() bool { return r.T >= Threshold }

// Compare measures op, in processor time where that can be had, until the measurements
// add up to long, and at least 200 times. op does all its work on the goroutine that
// calls it. Before each measurement prepare is called with a class, 0 or 1, drawn at
// random. It must do the same work for both: memory that only one of them touches is in
// the cache for only one of them.
func Compare(name string, long time.Duration, prepare func(class int), op func()) Result {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))

	const batch = 100
	var samples [2][]float64
	coins := make([]byte, batch)
	for spent := time.Duration(0); len(samples[0])+len(samples[1]) < 2*batch || spent < long; {
		runtime.GC()
		rand.Read(coins)
		for i, c := range coins {
			class := int(c & 1)
			prepare(class)
			from := now()
			op()
			took := now() - from
			spent += took
			if i >= 5 { // the first ones follow a collection
				samples[class] = append(samples[class], float64(took))
			}
		}
	}
	return compare(name, samples)
}

func compare(name string, samples [2][]float64) Result {
	all := slices.Concat(samples[0], samples[1])
	slices.Sort(all)
	r := Result{Name: name, N: len(all), Median: time.Duration(all[len(all)/2])}
	for _, crop := range crops {
		limit := all[int(crop*float64(len(all)-1))]
		r.T = max(r.T, math.Abs(welch(below(samples[0], limit), below(samples[1], limit))))
	}
	return r
}

func below(samples []float64, limit float64) []float64 {
	var out []float64
	for _, s := range samples {
		if s <= limit {
			out = append(out, s)
		}
	}
	return out
}

// welch returns Welch's t: the difference of the means, divided by its standard error (B.
// L. Welch, Biometrika 34, 1947). If cropping leaves hardly any sample of one class and
// many of the other, that counts as a difference.
func welch(a, b []float64) float64 {
	const few = 10
	if len(a) < few || len(b) < few {
		if max(len(a), len(b)) >= 10*few {
			return math.Inf(1)
		}
		return 0
	}
	ma, va := moments(a)
	mb, vb := moments(b)
	if ma == mb {
		return 0
	}
	return (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b)))
}

// moments returns mean and variance.
func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x)-1)
}
