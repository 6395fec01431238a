package modexp

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"
)

// modulusFor prepares n with a given implementation.
func modulusFor(n []byte, i implementation) *Modulus {
	m := newModulus(n)
	m.arithmetic = i.prepare(m.n)
	return m
}

// each runs a benchmark per size and implementation: BenchmarkX/2048/ifma. prepare
// returns what is measured; the processor time of one call is reported as cpu-ns/op.
func each(b *testing.B, prepare func(n []byte, i implementation, m *Modulus) func()) {
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096, 6144, 8192} {
		n := oddOf(b, bits).Bytes()
		for _, i := range available(bits) {
			b.Run(fmt.Sprintf("%d/%s", bits, i.name), func(b *testing.B) {
				op := prepare(n, i, modulusFor(n, i))
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				b.ReportAllocs()
				began := threadTime()
				for b.Loop() {
					op()
				}
				b.ReportMetric(float64(threadTime()-began)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// operand returns a random element.
func operand(m *Modulus) *Elem {
	x := make([]byte, m.Size())
	rand.Read(x)
	return m.Reduce(x)
}

func BenchmarkExp(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() {
		z, e := operand(m), make([]byte, m.Size())
		rand.Read(e)
		return func() { z.Exp(e) }
	})
}

func BenchmarkExpShort(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() {
		x := operand(m)
		return func() { x.ExpShortVarTime(65537) }
	})
}

func BenchmarkMul(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() {
		x := operand(m)
		return func() { x.Mul(x) }
	})
}

// BenchmarkReduce reduces a number of twice the length, as every signature of a
// composite key does.
func BenchmarkReduce(b *testing.B) {
	each(b, func(_ []byte, _ implementation, m *Modulus) func() {
		x := append(operand(m).Bytes(), operand(m).Bytes()...)
		return func() { m.Reduce(x) }
	})
}

func BenchmarkNewModulus(b *testing.B) {
	each(b, func(n []byte, i implementation, _ *Modulus) func() {
		return func() { modulusFor(n, i) }
	})
}
