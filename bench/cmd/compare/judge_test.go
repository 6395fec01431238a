package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
)

func TestJudge(t *testing.T) {
	row := func(name string, base, value float64, significant bool) benchstat.Row {
		return benchstat.Row{Name: name, Base: &benchstat.Center{Median: base}, Value: &benchstat.Center{Median: value}, Significant: significant}
	}
	table := func(rows ...benchstat.Row) []benchstat.Table {
		return []benchstat.Table{{Package: "p", Unit: "sec/op", Rows: rows}}
	}
	var out bytes.Buffer
	require.NoError(t, judge(&out, table(row("Same", 1, 1, false), row("Noise", 1, 3, false), row("Bit", 1, 1.05, true),
		benchstat.Row{Name: "Gone", Base: &benchstat.Center{Median: 1}})))
	require.Contains(t, out.String(), "p Bit: sec/op from 1 to 1.05 (+5.0 %)")
	require.Contains(t, out.String(), "no longer there: p Gone")
	require.NotContains(t, out.String(), "Noise")

	require.NoError(t, judge(&out, table(row("Tenth", 1, 1.1, true))))
	require.ErrorIs(t, judge(&out, table(row("More", 1, 1.11, true))), errRegression)
	require.ErrorIs(t, judge(&out, table(row("Better", 1, 0.5, true), row("Much", 1, 2, true))), errRegression)
}
