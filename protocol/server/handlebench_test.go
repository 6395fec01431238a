//go:build unix

package server

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// BenchmarkHandle is what a request for signatures costs the server, and what the
// arithmetic of as many documents costs alone. What the device does is not in it.
//
//	2048/two-prime   one document, for a key without a server key
//	2048/observed    the same, with an observer that does nothing
//	4096/composite   one document
//	4096/batch8      a list of 8
//	4096/complete8   8 times Check and Finish of a splitkey.Completer, and encoding
//	4096/batch64     a list of 64, and so on
func BenchmarkHandle(b *testing.B) {
	b.Run("2048/two-prime", func(b *testing.B) { newBenchPhone(b, nil).handle(b, 1) })
	b.Run("2048/observed", func(b *testing.B) {
		newBenchPhone(b, nil, func(c *Config) { c.Observer = silent{} }).handle(b, 1)
	})
	b.Run("4096/composite", func(b *testing.B) { newBenchPhone(b, protocoltest.FixedKeys{}).handle(b, 1) })
	for _, n := range []int{8, protocol.MaxDocuments} {
		b.Run(fmt.Sprintf("4096/batch%d", n), func(b *testing.B) { newBenchPhone(b, protocoltest.FixedKeys{}).handle(b, n) })
		b.Run(fmt.Sprintf("4096/complete%d", n), func(b *testing.B) {
			x := newSignBench(b)
			w := stopwatch{b: b}
			for b.Loop() {
				b.StopTimer()
				w.start()
				for range n {
					x.serverArithmetic(b)
				}
				w.stop()
				b.StartTimer()
			}
			w.report()
		})
	}
}

// BenchmarkDevice is what a signature costs the device, with the cheapest Argon2id, so
// that nothing hides behind it. What the server does is not in it.
func BenchmarkDevice(b *testing.B) {
	b.Run("2048/two-prime", func(b *testing.B) { newBenchPhone(b, nil).device(b) })
	b.Run("4096/composite", func(b *testing.B) { newBenchPhone(b, protocoltest.FixedKeys{}).device(b) })
}

func newBenchPhone(b *testing.B, keys KeySource, change ...func(*Config)) *phone {
	return newReadyPhone(b, newService(b, append(change, func(c *Config) {
		c.Keys, c.Log = keys, slog.New(slog.NewTextHandler(io.Discard, nil))
	})...))
}

func (p *phone) handle(b *testing.B, documents int) {
	w, digests := stopwatch{b: b}, digestsOf(documents)
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		w.start()
		defer w.stop()
		return p.service.Handle(ctx, request)
	}
	for b.Loop() {
		b.StopTimer()
		_, err := p.signAll(b, digests, crypto.SHA256, protocoltest.RightPIN)
		require.NoError(b, err)
		b.StartTimer()
	}
	w.report()
}

func (p *phone) device(b *testing.B) {
	w, digest := stopwatch{b: b}, protocoltest.DigestOf("contract")
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		w.stop()
		defer w.start()
		return p.service.Handle(ctx, request)
	}
	for b.Loop() {
		b.StopTimer()
		challenge, err := p.service.ChallengeSign(b.Context(), p.id, digest, crypto.SHA256)
		require.NoError(b, err)
		w.start()
		_, err = p.Sign(b.Context(), challenge, digest, crypto.SHA256, protocoltest.RightPIN)
		w.stop()
		require.NoError(b, err)
		b.StartTimer()
	}
	w.report()
}

// stopwatch is for benchmarks that measure a part of what they do: its time, its
// allocations, and the processor time of the process meanwhile, which other work on the
// machine hardly changes.
type stopwatch struct {
	b     *testing.B
	spent int64
}

func (w *stopwatch) start() {
	w.b.StartTimer()
	w.spent -= processTime(w.b)
}

func (w *stopwatch) stop() {
	w.spent += processTime(w.b)
	w.b.StopTimer()
}

func (w *stopwatch) report() {
	w.b.ReportAllocs()
	w.b.ReportMetric(float64(w.spent)/float64(w.b.N), "cpu-ns/op")
}

// processTime is the time that the process has spent on processors, in nanoseconds.
func processTime(b *testing.B) int64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
