package timingtest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// draw makes n measurements of 100 microseconds with noise and a long tail, as a busy
// machine does. Class 1 takes longer by so many nanoseconds.
func draw(n int, longer float64) [2][]float64 {
	r := rand.New(rand.NewPCG(1, 2))
	var samples [2][]float64
	for range n {
		class := r.IntN(2)
		v := 100_000 + 500*r.NormFloat64() + longer*float64(class)
		if r.IntN(20) == 0 {
			v += 100_000 * r.ExpFloat64()
		}
		samples[class] = append(samples[class], v)
	}
	return samples
}

func TestSyntheticTimes(t *testing.T) {
	for _, n := range []int{200, 2_000, 200_000} {
		require.False(t, compare("equal", draw(n, 0)).Found(), n)
	}
	// One part in a thousand, a fifth of the noise and a hundredth of the tail.
	require.True(t, compare("longer", draw(20_000, 100)).Found())
	require.False(t, compare("longer, few", draw(200, 100)).Found())
	// Only visible once the tail is cut off.
	s := draw(20_000, 50)
	require.Less(t, welch(s[0], s[1])*welch(s[0], s[1]), Threshold*Threshold)
	require.True(t, compare("longer, in the tail", s).Found())
	// One class that is always beyond the crop of the other.
	s = [2][]float64{make([]float64, 1000), make([]float64, 1000)}
	for i := range 1000 {
		s[0][i], s[1][i] = 100+float64(i%7), 200+float64(i%7)
	}
	require.True(t, compare("apart", s).Found())
}

// TestWelch compares with an example worked by hand.
func TestWelch(t *testing.T) {
	a := []float64{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}
	b := []float64{2, 4, 6, 8, 2, 4, 6, 8, 2, 4, 6, 8}
	// Means 2.5 and 5, sums of squares 15 and 60 over 11: t = -2.5 / sqrt((15+60)/11/12).
	require.InDelta(t, -3.3166, welch(a, b), 1e-4)
	require.Zero(t, welch(a, a))
}

// TestLeakyTwin measures: an operation that takes twice as long for one class is found
// even on the busiest of machines.
func TestLeakyTwin(t *testing.T) {
	rounds := 0
	sum := uint64(1)
	work := func() {
		for range rounds {
			sum = sum*6364136223846793005 + 1442695040888963407
		}
	}
	r := Compare("twin", 100*time.Millisecond, func(class int) { rounds = 20_000 * (1 + class) }, work)
	require.True(t, r.Found(), r)
	require.NotZero(t, sum)
}
