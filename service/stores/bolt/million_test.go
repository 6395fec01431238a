package bolt

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
)

var atRest = flag.Int("records", 10_000, "how many records BenchmarkAtRest fills a store with")

// BenchmarkAtRest fills stores with records of a key's size, and measures what they cost
// where nothing happens: bytes a record, the time to open the store (which checks all of
// it), and a Load and a Swap of one caller. A million takes some minutes and 4 GB:
//
//	go test -run - -bench AtRest -benchtime 2000x ./stores/bolt -args -records 1000000
func BenchmarkAtRest(b *testing.B) {
	for _, records := range []int{0, *atRest} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "store.db")
			fill(b, name, records)
			info, err := os.Stat(name)
			require.NoError(b, err)
			begin := time.Now()
			s, err := Open(name, Options{})
			require.NoError(b, err)
			opened := time.Since(begin)
			defer s.Close()
			value := make([]byte, benchtest.ValueSize)
			rand.Read(value)
			ids := []string{"key/of the benchmark"}
			require.NoError(b, s.Create(b.Context(), ids[0], value))
			for i := range min(records, 1000) {
				ids = append(ids, idOf(i*(records/1000)))
			}
			var loads, swaps []time.Duration
			for n := 0; b.Loop(); n++ {
				id := ids[n%len(ids)]
				start := time.Now()
				_, version, err := s.Load(context.Background(), id)
				loads = append(loads, time.Since(start))
				start = time.Now()
				if err == nil {
					err = s.Swap(context.Background(), id, version, value)
				}
				swaps = append(swaps, time.Since(start))
				if err != nil {
					b.Fatal(err)
				}
			}
			for what, took := range map[string][]time.Duration{"load": loads, "swap": swaps} {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), what+"-p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), what+"-p99-µs")
			}
			b.ReportMetric(opened.Seconds(), "open-s")
			b.ReportMetric(float64(info.Size())/float64(max(records, 1)), "B/record")
		})
	}
}

func idOf(i int) string { return fmt.Sprintf("key/%032x", uint64(i)*0x9e3779b97f4a7c15) }

// fill creates records with many callers at once, which share syncs.
func fill(b *testing.B, name string, records int) {
	s, err := Open(name, Options{})
	require.NoError(b, err)
	var callers sync.WaitGroup
	const n = 256
	for c := range n {
		callers.Go(func() {
			value := make([]byte, benchtest.ValueSize)
			rand.Read(value)
			for i := c; i < records; i += n {
				if err := s.Create(context.Background(), idOf(i), value); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	require.NoError(b, s.Close())
}
