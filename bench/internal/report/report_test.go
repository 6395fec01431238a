package report

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
	"github.com/tandem-rsa/tandem/bench/internal/comparison"
	"github.com/tandem-rsa/tandem/bench/internal/machine"
)

func row(name string, v float64) benchstat.Row {
	return benchstat.Row{Name: name, Value: &benchstat.Center{Median: v, CI: "2%"}}
}

var bench = &Bench{
	Machine: machine.Machine{CPU: "Test", CPUs: 2, Go: "go1", Load: "0.10 0.10 0.10"}, Count: 10, BenchTime: "1s",
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
		{Task: "signature", Bits: 4096, Name: "OpenSSL 3.0.22, unsplit", Primes: 2, Time: comparison.Quartiles{Median: 3e6}},
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
	require.NoError(t, bench.save(dir))
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
	for name, want := range map[string]string{"time.svg": "tandem: AVX-512 IFMA  1.70 ms", "cost.svg": "OpenSSL 3.0.22, two primes", "scaling.svg": "× 2.00"} {
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

	// Nothing is left of an earlier run's pictures.
	dir = t.TempDir()
	require.NoError(t, bench.save(dir))
	written(t, dir)
	require.FileExists(t, filepath.Join(dir, "scaling.svg"))
	busy := *bench
	busy.Machine.Load = "3.00 3.00 3.00"
	require.NoError(t, busy.save(dir))
	markdown, _ = written(t, dir)
	require.NotContains(t, markdown, "scaling.svg")
	require.NoFileExists(t, filepath.Join(dir, "scaling.svg"))
	require.Contains(t, markdown, "scales over cores is not shown")

	dir = t.TempDir()
	require.NoError(t, bench.save(dir))
	markdown, _ = written(t, dir)
	require.NotContains(t, markdown, "Compared with")
	require.NotContains(t, markdown, "The machine was doing other work")
	require.NoError(t, os.WriteFile(filepath.Join(dir, PeersFile), []byte("{"), 0o600))
	require.Error(t, Write(dir))
}

// checkRaw compares bench.json with what the benchmarks printed.
func checkRaw(dir string) error {
	s, err := load(dir)
	if err != nil {
		return err
	}
	raw := filepath.Join(dir, rawFile)
	text, err := os.ReadFile(raw)
	if s.bench.Raw == "" && errors.Is(err, fs.ErrNotExist) {
		return nil // a run that kept none
	}
	if err != nil {
		return err
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != s.bench.Raw {
		return fmt.Errorf("%s has the hash %s, %s says %q", rawFile, got, benchFile, s.bench.Raw)
	}
	tables, err := benchstat.Summarize(raw)
	if err == nil && !reflect.DeepEqual(tables, s.bench.Tables) {
		err = fmt.Errorf("%s has other figures than %s", benchFile, rawFile)
	}
	return err
}

// TestRaw: what the benchmarks printed is kept beside its summary.
func TestRaw(t *testing.T) {
	dir := t.TempDir()
	b := *bench
	printed := "goos: linux\npkg: p/q\nBenchmarkX-2 100 50 ns/op\n"
	require.NoError(t, b.Save(dir, []byte(printed)))
	require.Equal(t, "X-2", b.Tables[0].Rows[0].Name)
	require.NoError(t, checkRaw(dir))
	markdown, _ := written(t, dir)
	require.Contains(t, markdown, "in raw.txt")

	raw := filepath.Join(dir, rawFile)
	require.NoError(t, os.WriteFile(raw, []byte(printed+"BenchmarkX-2 100 70 ns/op\n"), 0o600))
	require.ErrorContains(t, checkRaw(dir), "hash")
	require.NoError(t, os.Remove(raw))
	require.ErrorIs(t, checkRaw(dir), fs.ErrNotExist)
	require.NoError(t, os.WriteFile(raw, []byte(printed), 0o600))
	b.Tables = bench.Tables
	require.NoError(t, b.save(dir))
	require.ErrorContains(t, checkRaw(dir), "other figures")
	b.Raw = ""
	require.NoError(t, b.save(dir))
	require.ErrorContains(t, checkRaw(dir), "hash")
	require.Error(t, b.Save(dir, []byte("nothing\n")))
}

// TestCommitted: the committed report comes from the committed measurements, these from
// what the benchmarks printed, and what README.md says of speed is in the report.
func TestCommitted(t *testing.T) {
	const kept, readme = "../../report", "../../../README.md"
	require.NoError(t, checkRaw(kept))
	dir := t.TempDir()
	for _, name := range []string{benchFile, PeersFile} {
		text, err := os.ReadFile(filepath.Join(kept, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	markdown, html := written(t, dir)
	for name, got := range map[string]string{"report.md": markdown, "report.html": html} {
		want, err := os.ReadFile(filepath.Join(kept, name))
		require.NoError(t, err)
		require.True(t, string(want) == got, "%s: go run ./bench/cmd/bench -render -publish", name)
	}
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	copied := filepath.Join(dir, "README.md")
	require.NoError(t, os.WriteFile(copied, text, 0o600))
	require.NoError(t, WriteReadme(copied, dir))
	again, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again), "go run ./bench/cmd/bench -render -publish")
}

func TestWriteReadme(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "README.md")
	const cell = "| x | [last report](bench/report/report.md): old | z |\n"
	require.NoError(t, os.WriteFile(file, []byte(cell), 0o600))
	require.Error(t, WriteReadme(file, dir), "no measurements")
	require.NoError(t, peers.Save(filepath.Join(dir, PeersFile)))
	require.Error(t, WriteReadme(file, dir), "no composite")
	full := *peers
	full.Rows = append(slices.Clone(peers.Rows), comparison.Row{Task: "signature", Bits: 4096, Name: "tandem, composite", Time: comparison.Quartiles{Median: 1.5e6}})
	require.NoError(t, full.Save(filepath.Join(dir, PeersFile)))
	require.NoError(t, WriteReadme(file, dir))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "| x | [last report](bench/report/report.md): "+full.Headline()+" | z |\n", string(text))
	require.NoError(t, os.WriteFile(file, []byte("nothing"), 0o600))
	require.Error(t, WriteReadme(file, dir))
}
