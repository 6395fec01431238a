package bench

import (
	"crypto"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
)

// cores returns 1, 2, 4 and so on up to GOMAXPROCS, and GOMAXPROCS.
func cores() []int {
	all := runtime.GOMAXPROCS(0)
	var out []int
	for n := 1; n < all; n *= 2 {
		out = append(out, n)
	}
	return append(out, all)
}

// BenchmarkParallel shares the work out over a number of cores:
// BenchmarkParallel/what/cores. ns/op is the time on the clock divided by all signatures
// made.
func BenchmarkParallel(b *testing.B) {
	k := newKey(b, 2048, splitkey.Multiplicative, true)
	m, err := k.completer.FinalKey().Encode(digest[:], crypto.SHA256)
	require.NoError(b, err)
	y, err := k.client.SignPartial(m)
	require.NoError(b, err)
	// The clocked key is for one core.
	completer, err := splitkey.NewCompleter(k.server, k.own.RSAKey, nil)
	require.NoError(b, err)

	for _, w := range []struct {
		name string
		work func() error
	}{
		{"partial", func() error { _, err := k.client.SignPartial(m); return err }},
		{"complete", func() error { _, err := complete(completer, m, y); return err }},
	} {
		for _, n := range cores() {
			b.Run(fmt.Sprintf("%s/%d", w.name, n), func(b *testing.B) {
				b.ReportAllocs()
				// Neither b.Loop, which belongs to one goroutine, nor RunParallel, which
				// takes all cores.
				inParallel(b, n, b.N, w.work)
			})
		}
	}
}

// inParallel does the work total times in n goroutines on n cores: on another core the
// garbage collector would do its part of the work.
func inParallel(tb testing.TB, n, total int, work func() error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		share := total / n
		if i < total%n {
			share++
		}
		wg.Go(func() {
			for range share {
				if errs[i] = work(); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(tb, err)
	}
}

func TestInParallel(t *testing.T) {
	var mu sync.Mutex
	count := 0
	inParallel(t, 3, 10, func() error {
		mu.Lock()
		defer mu.Unlock()
		count++
		return nil
	})
	require.Equal(t, 10, count)
}
