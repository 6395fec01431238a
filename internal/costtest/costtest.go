// Package costtest has benchmarks report what they cost.
package costtest

import "testing"

// Report makes a benchmark report allocations and, where it can be had, the processor
// time of the whole process, the garbage collector's and every other thread's included:
// cpu-ns/op, which other work on the machine hardly changes.
//
//	defer costtest.Report(b)()
func Report(b *testing.B) func() {
	b.ReportAllocs()
	began, ok := processTime()
	return func() {
		if now, _ := processTime(); ok {
			b.ReportMetric(float64(now-began)/float64(b.N), "cpu-ns/op")
		}
	}
}
