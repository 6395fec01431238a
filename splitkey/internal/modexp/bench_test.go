package modexp

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// modulusFor prepares n with a given implementation.
func modulusFor(t testing.TB, n []byte, i implementation) *Modulus {
	m, err := newModulus(n)
	require.NoError(t, err)
	m.arithmetic = i.make(n)
	return m
}

// each runs a benchmark per size and implementation: BenchmarkX/2048/ifma.
func each(b *testing.B, run func(b *testing.B, n []byte, i implementation, m *Modulus)) {
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096} {
		n := oddOf(b, bits).Bytes()
		for _, i := range available(bits) {
			b.Run(fmt.Sprintf("%d/%s", bits, i.name), func(b *testing.B) {
				m := modulusFor(b, n, i)
				b.ReportAllocs()
				run(b, n, i, m)
			})
		}
	}
}

func BenchmarkExp(b *testing.B) {
	each(b, func(b *testing.B, n []byte, _ implementation, m *Modulus) {
		z, e := make([]byte, m.Size()), make([]byte, m.Size())
		rand.Read(z[1:])
		rand.Read(e)
		for b.Loop() {
			if err := m.ExpTo(z, z, e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkExpShort(b *testing.B) {
	each(b, func(b *testing.B, n []byte, _ implementation, m *Modulus) {
		x := make([]byte, m.Size())
		rand.Read(x[1:])
		for b.Loop() {
			if _, err := m.ExpShortVarTime(x, 65537); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMul(b *testing.B) {
	each(b, func(b *testing.B, n []byte, _ implementation, m *Modulus) {
		x := make([]byte, m.Size())
		rand.Read(x[1:])
		for b.Loop() {
			if _, err := m.Mul(x, x); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReduce reduces a number of twice the length, as every signature of a composite key does.
func BenchmarkReduce(b *testing.B) {
	each(b, func(b *testing.B, n []byte, _ implementation, m *Modulus) {
		x := make([]byte, 2*m.Size())
		rand.Read(x)
		for b.Loop() {
			m.Reduce(x)
		}
	})
}

func BenchmarkNewModulus(b *testing.B) {
	each(b, func(b *testing.B, n []byte, i implementation, _ *Modulus) {
		for b.Loop() {
			m, err := newModulus(n)
			if err != nil {
				b.Fatal(err)
			}
			m.arithmetic = i.make(n)
		}
	})
}
