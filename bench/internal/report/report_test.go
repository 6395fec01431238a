package report

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
	"github.com/tandem-rsa/tandem/bench/internal/comparison"
	"github.com/tandem-rsa/tandem/bench/internal/machine"
)

func row(name string, v float64) benchstat.Row {
	return benchstat.Row{Name: name, Value: &benchstat.Center{Median: v, CI: "2%"}}
}

var bench = &Bench{
	Machine: machine.Machine{CPU: "Test", CPUs: 2, Go: "go1", Load: "0.10 0.10 0.10"}, Count: 10, BenchTime: time.Second,
	Failures: []string{"hsm: no token"},
	Tables: []benchstat.Table{
		{Package: module + "internal/modexp", Unit: "cpu-sec/op", Rows: []benchstat.Row{row("Exp/2048/ifma-2", 0.26e-3), row("Exp/4096/ifma-2", 1.7e-3)}},
		{Package: module + "bench", Unit: "sec/op", Rows: []benchstat.Row{row("Parallel/partial/1-2", 1e-3), row("Parallel/partial/2-2", 0.5e-3), row("Steps/4096/composite-multiplicative-2", 2e-3)}},
		{Package: module + "bench", Unit: "partial-sec/op", Rows: []benchstat.Row{row("Steps/4096/composite-multiplicative-2", 0.6e-3)}},
		{Package: module + "bench", Unit: "verify-sec/op", Rows: []benchstat.Row{row("Steps/4096/composite-multiplicative-2", 40e-6)}},
		{Package: module + "hsm", Unit: "op/s", Rows: []benchstat.Row{row("RawRSA/1-2", 451.04999999)}},
		{Package: module + "hsm", Unit: "init-B/op", Rows: []benchstat.Row{row("RawRSA/1-2", 1480)}},
		{Package: module + "bench", Unit: "allocs/op", Rows: []benchstat.Row{{Name: "Parallel/partial/1-2", Value: &benchstat.Center{Median: 5, CI: "0%"}}}},
	},
}

var peers = &comparison.Result{
	Machine: machine.Machine{CPU: "Test", CPUs: 2, Load: "7.00 7.00 7.00"}, Rounds: 15, Versions: "OpenSSL 3",
	Rows: []comparison.Row{
		{Task: "exponentiation", Bits: 2048, Name: "OpenSSL", Time: comparison.Quartiles{Median: 1.5e6}},
		{Task: "signature", Bits: 4096, Name: "OpenSSL, unsplit", Time: comparison.Quartiles{Median: 3e6}},
	},
}

func written(t *testing.T, dir string) (markdown, html string) {
	require.NoError(t, Write(dir))
	for name, into := range map[string]*string{"report.md": &markdown, "report.html": &html} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		*into = string(text)
	}
	return markdown, html
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, bench.Save(dir))
	require.NoError(t, peers.Save(filepath.Join(dir, PeersFile)))
	markdown, html := written(t, dir)
	for _, want := range []string{
		"| Exp/2048/ifma | 260 µs ± 2% |",
		"| Parallel/partial/1 | 1.00 ms ± 2% | 5 |  |",
		"| Steps/4096/composite-multiplicative | 2.00 ms ± 2% |  | partial 600 µs, verify 40.0 µs |",
		"| RawRSA/1 | 451 op/s, 1480 init-B |",
		"Did not run: hsm: no token", "| processor | Test, 2 in use |", "The machine was doing other work",
		"![", "](time.svg)", "](cost.svg)", "](scaling.svg)", "### internal/modexp",
	} {
		require.Contains(t, markdown, want)
	}
	require.Contains(t, html, "<svg")
	for name, want := range map[string]string{"time.svg": "tandem: AVX-512 IFMA  1.70 ms", "cost.svg": "OpenSSL, one party", "scaling.svg": "× 2.00"} {
		svg, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Contains(t, string(svg), want)
		require.Contains(t, html, string(svg))
	}
}

// TestWriteParts: either source is enough; no source is an error, and so is a broken one.
func TestWriteParts(t *testing.T) {
	dir := t.TempDir()
	require.Error(t, Write(dir))
	require.NoError(t, peers.Save(filepath.Join(dir, PeersFile)))
	markdown, _ := written(t, dir)
	require.NotContains(t, markdown, "All benchmarks")
	require.NoError(t, os.WriteFile(filepath.Join(dir, benchFile), []byte("{"), 0o600))
	require.Error(t, Write(dir))

	// Empty columns are not drawn.
	dir = t.TempDir()
	busy := *bench
	busy.Machine.Load = "3.00 3.00 3.00"
	require.NoError(t, busy.Save(dir))
	markdown, _ = written(t, dir)
	require.NotContains(t, markdown, "scaling.svg")
	require.Contains(t, markdown, "scales over cores is not shown")

	dir = t.TempDir()
	require.NoError(t, bench.Save(dir))
	markdown, _ = written(t, dir)
	require.NotContains(t, markdown, "Compared with")
	require.NotContains(t, markdown, "The machine was doing other work")
	require.NoError(t, os.WriteFile(filepath.Join(dir, PeersFile), []byte("{"), 0o600))
	require.Error(t, Write(dir))
}

// TestCommitted: the committed report comes from the committed measurements.
func TestCommitted(t *testing.T) {
	const kept = "../../report"
	dir := t.TempDir()
	for _, name := range []string{benchFile, PeersFile} {
		text, err := os.ReadFile(filepath.Join(kept, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	markdown, _ := written(t, dir)
	want, err := os.ReadFile(filepath.Join(kept, "report.md"))
	require.NoError(t, err)
	require.Equal(t, string(want), markdown, "go run ./bench/cmd/bench -render")
}
