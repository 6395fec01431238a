package comparison

import (
	"testing"

	"github.com/stretchr/testify/require"
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
		}}
	text := r.Page().Markdown()
	for _, want := range []string{
		"| signature | 2048 | 4096 |\n|---|--:|--:|\n| slow |  | 9 |\n| fast | 1.25 |  |\n",
		"| partials, by the number of cores (time on the clock) | 4096 |",
		"| faster | ≥ 5 | 7 | 6 to 8 | met |",
		"| smaller | ≤ 0.25 | 0.3 | 0.2 to 0.4 | not met |",
		"| wide | ≥ 2 |  |  | not measured: no such processor |",
	} {
		require.Contains(t, text, want)
	}
}
