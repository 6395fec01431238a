//go:build dudect

package modexp

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/timingtest"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// randomElement is less than every modulus of n bytes that has its top bit set.
func randomElement(n int) []byte {
	b := randomBytes(n)
	b[0] &= 0x7f
	return b
}

func randomModulus(bits int) []byte {
	n := randomBytes(bits / 8)
	n[0] |= 0x80
	n[len(n)-1] |= 1
	return n
}

// exponentClasses: class 0 against class 1.
func exponentClasses(size int) map[string]func(class int) []byte {
	fixed := randomBytes(size)
	return map[string]func(class int) []byte{
		"exponent fixed or random": func(class int) []byte {
			if class == 0 {
				return bytes.Clone(fixed)
			}
			return randomBytes(size)
		},
		"exponent of low or high weight": func(class int) []byte {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(-class)
			}
			b[size-1] ^= 1 << (randomBytes(1)[0] % 8) // not all the same
			return b
		},
		"exponent short or long": func(class int) []byte {
			b := randomBytes(size)
			clear(b[:size/2*(1-class)])
			return b
		},
	}
}

func baseClasses(n []byte) map[string]func(class int) []byte {
	special := func(base []byte) func(class int) []byte {
		return func(class int) []byte {
			if class == 0 {
				return bytes.Clone(base)
			}
			return randomElement(len(n))
		}
	}
	one, last := make([]byte, len(n)), bytes.Clone(n)
	one[len(n)-1] = 1
	last[len(n)-1]--
	return map[string]func(class int) []byte{
		"base 0 or random": special(make([]byte, len(n))), "base 1 or random": special(one), "base n-1 or random": special(last),
	}
}

func TestTiming(t *testing.T) {
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096} {
		n := randomModulus(bits)
		for _, implementation := range available(bits) {
			m := modulusFor(n, implementation)
			kernel := fmt.Sprintf("%s-%d", implementation.name, bits)
			compare := func(name string, prepare func(class int), op func()) {
				t.Run(kernel+"/"+name, func(t *testing.T) {
					r := timingtest.Compare("exponentiation "+kernel+": "+name, timingtest.Long(), prepare, op).Print()
					require.False(t, r.Found(), r)
				})
			}
			for name, class := range exponentClasses(len(n)) {
				exponents, base := timingtest.NewInputs(200, class), m.Reduce(randomElement(len(n)))
				compare(name, exponents.Prepare, func() { base.Clone().Exp(exponents.Current) })
			}
			for name, class := range baseClasses(n) {
				bases, exponent := timingtest.NewInputs(200, class), randomBytes(len(n))
				compare(name, bases.Prepare, func() { m.Reduce(bases.Current).Exp(exponent) })
			}
		}
	}
}

// TestTimingLeaky measures exponentiations as they must not be.
func TestTimingLeaky(t *testing.T) {
	n := randomModulus(2048)
	long := 2 * max(timingtest.Long(), 10*time.Second) // to find a few percent
	for _, implementation := range available(2048) {
		m := modulusFor(n, implementation)
		base := m.Reduce(randomElement(len(n)))

		// Square and multiply, with a multiplication for every 1.
		twin := func(exponent []byte) {
			z := m.One()
			for i := range 8 * len(exponent) {
				z.Mul(z)
				if exponent[i/8]>>(7-i%8)&1 == 1 {
					z.Mul(base)
				}
			}
		}
		weights := timingtest.NewInputs(200, exponentClasses(len(n))["exponent of low or high weight"])
		r := timingtest.Compare(fmt.Sprintf("leaky %s-2048, square and multiply: exponent of low or high weight", implementation.name), long,
			weights.Prepare, func() { twin(weights.Current) }).Print()
		require.True(t, r.Found(), r)

		// The real one, with an exponent that lost a leading word of zeros, as math/big
		// loses them: 3 % shorter.
		lengths := timingtest.NewInputs(200, func(class int) []byte {
			e := randomBytes(len(n))
			if class == 0 {
				clear(e[:8])
			}
			return e
		})
		r = timingtest.Compare(fmt.Sprintf("leaky %s-2048, leading zero word dropped: exponent with or without", implementation.name), long,
			lengths.Prepare, func() { base.Clone().Exp(bytes.TrimLeft(lengths.Current, "\x00")) }).Print()
		require.True(t, r.Found(), r)
	}
}
