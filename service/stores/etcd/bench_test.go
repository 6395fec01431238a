package etcd

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
)

var clients = []int{1, 16, 64}

// valueSize is about that of a key's record.
const valueSize = 1000

// atOnce makes b.N calls on n goroutines, and reports calls a second and how long they
// took.
func atOnce(b *testing.B, n int, call func(client int)) {
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	b.ResetTimer()
	begin := time.Now()
	for c := range n {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				start := time.Now()
				call(c)
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin)
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/elapsed.Seconds(), "calls/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkSwap is a Load and a Swap, beside the same two calls of etcd's own client: a
// read and a transaction that compares the revision.
func BenchmarkSwap(b *testing.B) {
	for _, members := range []int{1, 3} {
		c := etcdtest.Start(b, members)
		value := make([]byte, valueSize)
		for _, n := range clients {
			b.Run(fmt.Sprintf("members=%d/clients=%d/store", members, n), func(b *testing.B) {
				s := openOn(b, c, Options{})
				for i := range n {
					require.NoError(b, s.Create(b.Context(), fmt.Sprint(i), value))
				}
				atOnce(b, n, func(client int) {
					id := fmt.Sprint(client)
					_, version, err := s.Load(context.Background(), id)
					if err == nil {
						err = s.Swap(context.Background(), id, version, value)
					}
					if err != nil {
						b.Error(err)
					}
				})
			})
			b.Run(fmt.Sprintf("members=%d/clients=%d/client", members, n), func(b *testing.B) {
				client := c.Client()
				for i := range n {
					_, err := client.Put(b.Context(), fmt.Sprint("bench/", i), string(value))
					require.NoError(b, err)
				}
				atOnce(b, n, func(caller int) {
					key := fmt.Sprint("bench/", caller)
					read, err := client.Get(context.Background(), key)
					if err == nil {
						_, err = client.Txn(context.Background()).If(clientv3.Compare(clientv3.ModRevision(key), "=", read.Kvs[0].ModRevision)).
							Then(clientv3.OpPut(key, string(value))).Commit()
					}
					if err != nil {
						b.Error(err)
					}
				})
			})
		}
	}
}

// BenchmarkAttempt is an attempt with a right PIN on a record that is a counter alone.
func BenchmarkAttempt(b *testing.B) {
	for _, members := range []int{1, 3} {
		c := etcdtest.Start(b, members)
		for _, n := range clients {
			b.Run(fmt.Sprintf("members=%d/clients=%d", members, n), func(b *testing.B) {
				l, err := limiter.New(openOn(b, c, Options{}), limiter.DefaultPolicy())
				require.NoError(b, err)
				for i := range n {
					require.NoError(b, l.Create(b.Context(), fmt.Sprint(i)))
				}
				atOnce(b, n, func(client int) {
					err := l.Attempt(context.Background(), fmt.Sprint(client), func(context.Context) (limiter.Outcome, error) { return limiter.Right, nil })
					if err != nil {
						b.Error(err)
					}
				})
			})
		}
	}
}
