package modexp

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// modulusFor prepares n with a given implementation.
func modulusFor(t testing.TB, n []byte, i implementation) *Modulus {
	m, err := newModulus(n)
	require.NoError(t, err)
	m.arithmetic = i.prepare(n)
	return m
}

// each runs a benchmark per size and implementation: BenchmarkX/2048/ifma. prepare
// returns what is measured; the processor time of one call is reported as cpu-ns/op.
func each(b *testing.B, prepare func(n []byte, i implementation, m *Modulus) func() error) {
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096, 6144, 8192} {
		n := oddOf(b, bits).Bytes()
		for _, i := range available(bits) {
			b.Run(fmt.Sprintf("%d/%s", bits, i.name), func(b *testing.B) {
				op := prepare(n, i, modulusFor(b, n, i))
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				b.ReportAllocs()
				began := threadTime()
				for b.Loop() {
					if err := op(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(threadTime()-began)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// operand returns random bytes that are an element.
func operand(m *Modulus) []byte {
	x := make([]byte, m.Size())
	rand.Read(x[1:])
	return x
}

func BenchmarkExp(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() error {
		z, e := operand(m), make([]byte, m.Size())
		rand.Read(e)
		return func() error { return m.ExpTo(z, z, e) }
	})
}

func BenchmarkExpShort(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() error {
		x := operand(m)
		return func() error { _, err := m.ExpShortVarTime(x, 65537); return err }
	})
}

func BenchmarkMul(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() error {
		x := operand(m)
		return func() error { _, err := m.Mul(x, x); return err }
	})
}

// BenchmarkReduce reduces a number of twice the length, as every signature of a
// composite key does.
func BenchmarkReduce(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() error {
		x := append(operand(m), operand(m)...)
		return func() error { m.Reduce(x); return nil }
	})
}

func BenchmarkNewModulus(b *testing.B) {
	each(b, func(n []byte, i implementation, _ *Modulus) func() error {
		return func() error {
			m, err := newModulus(n)
			if err == nil {
				m.arithmetic = i.prepare(n)
			}
			return err
		}
	})
}
