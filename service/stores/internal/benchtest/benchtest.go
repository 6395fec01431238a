// Package benchtest measures stores: calls of many clients at once, and what a store
// costs of a whole signature.
package benchtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// Clients is how many call at once.
var Clients = []int{1, 16, 64}

// ValueSize is about that of a key's record, with a share and a server key of 2048 bits.
const ValueSize = 1900

// AtOnce makes b.N calls from that many clients, and reports them.
func AtOnce(b *testing.B, clients int, call func(client int) error) {
	b.Helper()
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	b.ResetTimer()
	begin := time.Now()
	for c := range clients {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				start := time.Now()
				if err := call(c); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	Report(b, took, time.Since(begin))
}

// Report reports calls a second, and how long they took.
func Report(b *testing.B, took []time.Duration, elapsed time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/elapsed.Seconds(), "calls/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// Attempts has clients try right PINs, each on a record of its own that is a counter
// alone: a load and a swap each.
func Attempts(b *testing.B, open func(b *testing.B, clients int) limiter.Store) {
	for _, n := range Clients {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			ctx := context.Background()
			l, err := limiter.New(open(b, n), limiter.DefaultPolicy())
			require.NoError(b, err)
			for c := range n {
				require.NoError(b, l.Create(ctx, fmt.Sprint(c)))
			}
			right := func(context.Context) (limiter.Outcome, error) { return limiter.Right, nil }
			AtOnce(b, n, func(c int) error { return l.Attempt(ctx, fmt.Sprint(c), right) })
		})
	}
}
