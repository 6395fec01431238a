package splitkey_test

import "testing"

// reportCosts makes a benchmark report allocations and, where it can be had, the
// processor time of the whole process, the garbage collector's included: cpu-ns/op, which
// other work on the machine hardly changes.
//
//	defer reportCosts(b)()
func reportCosts(b *testing.B) func() {
	b.ReportAllocs()
	began, ok := processTime()
	return func() {
		if now, _ := processTime(); ok {
			b.ReportMetric(float64(now-began)/float64(b.N), "cpu-ns/op")
		}
	}
}
