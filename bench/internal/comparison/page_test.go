package comparison

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/machine"
)

func TestPage(t *testing.T) {
	r := &Result{Rounds: 3, Versions: "OpenSSL 3",
		Rows: []Row{
			{Task: "signature", Bits: 4096, Name: "slow", Time: Quartiles{8e6, 9e6, 10e6}},
			{Task: "signature", Bits: 2048, Name: "fast", Time: Quartiles{1e6, 1.25e6, 2e6}},
			{Task: "partials", Bits: 4096, Name: "1", Time: Quartiles{1e6, 1e6, 1e6}, Wall: true},
		},
		Targets: []Target{
			{Claim: "faster", Bound: 5, Ratio: Quartiles{6, 7, 8}},
			{Claim: "smaller", Bound: 0.25, AtMost: true, Ratio: Quartiles{0.2, 0.3, 0.4}},
			{Claim: "wide", Bound: 2, Missing: "no such processor"},
			{Claim: "quick", For: "AMD Zen 5", Elsewhere: true, Bound: 2, Ratio: Quartiles{1, 1, 1}},
		}}
	text := r.Page().Markdown()
	for _, want := range []string{
		"| signature | 2048 | 4096 |\n|---|--:|--:|\n| slow |  | 9 |\n| fast | 1.25 |  |\n",
		"| partials, by the number of cores (time on the clock) | 4096 |",
		"| faster |  | ≥ 5 | 7 | 6 to 8 | met |",
		"| smaller |  | ≤ 0.25 | 0.3 | 0.2 to 0.4 | not met |",
		"| quick | AMD Zen 5 | ≥ 2 | 1 | 1 to 1 | not claimed here |",
		"| wide |  | ≥ 2 |  |  | not measured: no such processor |",
	} {
		require.Contains(t, text, want)
	}
}

func TestLabel(t *testing.T) {
	require.Equal(t, "tandem, composite", Row{Name: "tandem, composite"}.Label())
	require.Equal(t, "OpenSSL 3, unsplit, four primes, no IFMA", Row{Name: "OpenSSL 3, unsplit", Primes: 4, Variant: "no IFMA"}.Label())
}

// TestHeadline: the sentence says the ratios of the rows, by shape, version and variant,
// and the kind of processor.
func TestHeadline(t *testing.T) {
	row := func(name string, primes int, variant string, ms float64) Row {
		return Row{Task: "signature", Bits: 4096, Name: name, Primes: primes, Variant: variant, Time: Quartiles{Median: ms}}
	}
	r := &Result{Machine: machine.Machine{CPU: "AMD EPYC (family 26, model 2)", IFMA: true}, Rows: []Row{
		row("tandem, composite", 0, "", 1), row("tandem, composite", 0, "no IFMA", 3), row("tandem, composite", 0, "pure Go", 20),
		row("OpenSSL 3.0.22, unsplit", 2, "", 4), row("OpenSSL 3.6.5, unsplit", 2, "", 2), row("Node's crypto.sign, unsplit", 2, "", 8),
		row("OpenSSL 3.0.22, unsplit", 4, "", 0.8), row("OpenSSL 3.6.5, unsplit", 4, "", 0.5),
		row("OpenSSL 3.0.22, unsplit", 2, "no IFMA", 5), row("OpenSSL 3.0.22, unsplit", 4, "no IFMA", 1), row("OpenSSL 3.6.5, unsplit", 2, "no IFMA", 2.5),
	}}
	require.Equal(t, "a composite RSA-4096 signature of two parties, every check included, takes this part of the processor time of an ordinary RSA-4096 signature of one party "+
		"(AMD Zen 5, AVX-512 IFMA): by OpenSSL 3.0.22 0.25 (two primes) and 1.25 (four primes), by OpenSSL 3.6.5 0.50 (two primes) and 2.00 (four primes); "+
		"without IFMA on both sides, by OpenSSL 3.0.22 0.60 (two primes) and 3.00 (four primes); "+
		"in pure Go, by OpenSSL 3.0.22 5.00 (two primes) and 25.00 (four primes)", r.Headline())
	require.Contains(t, r.Page().Markdown(), "\nA composite RSA-4096 signature of two parties")

	r.Rows = r.Rows[3:]
	require.Empty(t, r.Headline())
	require.NotContains(t, r.Page().Markdown(), "A composite RSA-4096 signature")
}
