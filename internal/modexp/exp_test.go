package modexp

import (
	"bytes"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// long makes the differential tests a hundred times as long.
var long = flag.Bool("kernel.long", false, "run the differential and the stress tests at full length")

// pattern draws a number below 2^bits from distributions that find carries:
// uniform, near zero, near the top, long runs of equal bits, and next to a power
// of two at the edge of a digit or word.
func pattern(t testing.TB, bits int) *big.Int {
	one := big.NewInt(1)
	top := new(big.Int).Lsh(one, uint(bits))
	small := big.NewInt(int64(randInt(t, 4)))
	x := new(big.Int)
	switch randInt(t, 6) {
	case 0, 1:
		return randBelow(t, top)
	case 2:
		return small
	case 3:
		return x.Sub(top, small.Add(small, one))
	case 4:
		for i := 0; i < bits; {
			run := 1 + randInt(t, 200)
			if randInt(t, 2) == 1 {
				for k := i; k < min(i+run, bits); k++ {
					x.SetBit(x, k, 1)
				}
			}
			i += run
		}
		return x
	default:
		edge := []int{52, 64}[randInt(t, 2)]
		x.Lsh(one, uint(edge*randInt(t, bits/edge+1)))
		x.Sub(x, small)
		return x.Abs(x).Mod(x, top)
	}
}

func randInt(t testing.TB, n int) int {
	return int(randBelow(t, big.NewInt(int64(n))).Int64())
}

// patternModulus draws an odd number of exactly that many bits.
func patternModulus(t testing.TB, bits int) *big.Int {
	n := pattern(t, bits-1)
	return n.SetBit(n, bits-1, 1).SetBit(n, 0, 1)
}

// TestExponentiations compares full-size exponentiations of all implementations with
// math/big: 10^4 of each kernel in the long run. bigmod, which is slow where it has no
// assembly and has tests of its own, takes part in one of twenty.
func TestExponentiations(t *testing.T) {
	iterations := 20
	switch {
	case *long:
		iterations = 2000
	case testing.Short():
		iterations = 2
	}
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			counts := map[string]int{}
			for k := range iterations {
				n := patternModulus(t, bits)
				base, e := pattern(t, bits), pattern(t, bits)
				base.Mod(base, n)
				size := bits / 8
				want := new(big.Int).Exp(base, e, n).FillBytes(make([]byte, size))
				for _, i := range available(bits) {
					if i.name == portable.name && k%20 != 0 {
						continue
					}
					got := modulusFor(n.Bytes(), i).Reduce(base.Bytes()).Exp(e.FillBytes(make([]byte, size)))
					require.Equal(t, want, got.Bytes(), "%s: %x ^ %x mod %x", i.name, base, e, n)
					counts[i.name]++
				}
			}
			t.Logf("%v exponentiations", counts)
		})
	}
}

// TestImplementations logs what this process may use.
func TestImplementations(t *testing.T) {
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096} {
		var names []string
		for _, i := range available(bits) {
			names = append(names, i.name)
		}
		t.Logf("%d: %s", bits, strings.Join(names, " "))
		require.Equal(t, portable.name, names[len(names)-1])
	}
	for _, bits := range []int{16, 1000, 2047, 2049, 5120, 8191} {
		require.Len(t, available(bits), 1)
	}
}

// TestConcurrentExp runs exponentiations in parallel, in place, with the collector
// running all the time and profiling signals arriving in the middle of the assembly.
func TestConcurrentExp(t *testing.T) {
	duration := 500 * time.Millisecond
	if *long {
		duration = 20 * time.Second
	}
	// It fails where a profile of the test itself runs.
	if err := pprof.StartCPUProfile(io.Discard); err == nil {
		defer pprof.StopCPUProfile()
	}
	var done atomic.Bool
	var group sync.WaitGroup
	var count atomic.Int64
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096} {
		n := oddOf(t, bits)
		base, e := randBelow(t, n), make([]byte, 16)
		rand.Read(e)
		want := new(big.Int).Exp(base, new(big.Int).SetBytes(e), n).FillBytes(make([]byte, bits/8))
		for _, i := range available(bits) {
			m := modulusFor(n.Bytes(), i)
			for range 2 {
				group.Go(func() {
					for ; !done.Load(); count.Add(1) {
						if z := m.Reduce(base.Bytes()).Exp(e).Bytes(); !bytes.Equal(z, want) {
							t.Errorf("%s/%d: %x", i.name, bits, z)
							return
						}
					}
				})
			}
		}
	}
	for end := time.Now().Add(duration); time.Now().Before(end); {
		runtime.GC()
	}
	done.Store(true)
	group.Wait()
	t.Logf("%d exponentiations", count.Load())
}

// FuzzExp compares all implementations with math/big on moduli, bases and exponents of
// the fuzzer's making. The modulus is cut or extended to a length that has kernels, or
// taken as it is; the exponent is cut to 16 bytes: 26 windows.
func FuzzExp(f *testing.F) {
	sizes := []int{128, 192, 256, 384, 512}
	f.Fuzz(func(t *testing.T, size byte, n, base, exponent, x []byte) {
		if i := int(size) % (len(sizes) + 1); i < len(sizes) {
			n = append(make([]byte, sizes[i]), n...)
			n = n[len(n)-sizes[i]:]
			n[0] |= 0x80
		} else if len(n) > 600 {
			n = n[:600]
		}
		if len(n) < 3 {
			return
		}
		n[len(n)-1] |= 1
		modulus := new(big.Int).SetBytes(n)
		if modulus.BitLen() < 16 {
			require.Panics(t, func() { NewModulus(n) })
			return
		}
		exponent, x = exponent[:min(len(exponent), 16)], x[:min(len(x), 1100)]
		b, e := new(big.Int).SetBytes(base), new(big.Int).SetBytes(exponent)
		b.Mod(b, modulus)
		bits := modulus.BitLen()
		fill := func(x *big.Int) []byte { return x.FillBytes(make([]byte, (bits+7)/8)) }
		for _, i := range available(bits) {
			m := modulusFor(modulus.Bytes(), i)
			got := m.Reduce(base).Exp(exponent)
			require.Equal(t, fill(new(big.Int).Exp(b, e, modulus)), got.Bytes(), "%s: exp", i.name)
			z := new(big.Int).Exp(b, e, modulus)
			require.Equal(t, fill(z.Mul(z, b).Mod(z, modulus)), got.Mul(m.Reduce(base)).Bytes(), "%s: mul", i.name)
			require.Equal(t, fill(z.Mod(z.SetBytes(x), modulus)), m.Reduce(x).Bytes(), "%s: reduce", i.name)
		}
	})
}
