package benchstat

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const twoInputs = `goos: linux
pkg: p/q
,base,,head,,,
,sec/op,CI,sec/op,CI,vs base,P
Same-2,1.035e-07,2%,1.035e-07,2%,~,p=1.000 n=10
Slower-2,1e-07,2%,1.2e-07,2%,+20.00%,p=0.000 n=10
Noisy-2,1e-07,2%,2e-07,90%,~,p=0.100 n=10
Little-2,1e-07,2%,1.09e-07,2%,+9.00%,p=0.000 n=10
Faster-2,2e-07,2%,1e-07,2%,-50.00%,p=0.000 n=10
Clock-2,1e-07,2%,2e-07,2%,+100.00%,p=0.000 n=10
Gone-2,1e-07,2%
New-2,,,1e-07,2%,,
geomean,1e-07,,1e-07,,+1.00%,

,base,,head,,,
,cpu-sec/op,CI,cpu-sec/op,CI,vs base,P
Clock-2,1e-07,2%,1e-07,2%,~,p=0.500 n=10
geomean,1e-07,,1e-07,,+0.00%,

pkg: p/r
,base,,head,,,
,allocs/op,CI,allocs/op,CI,vs base,P
First-2,0,0%,1,0%,?,p=0.000 n=10
Same-2,0,0%,0,0%,~,p=1.000 n=10

,base,,head,,,
,partial-sec/op,CI,partial-sec/op,CI,vs base,P
Steps-2,1e-07,2%,2e-07,2%,+100.00%,p=0.000 n=10
`

func TestParse(t *testing.T) {
	tables, err := parse(strings.NewReader(twoInputs), 2)
	require.NoError(t, err)
	require.Len(t, tables, 4)
	require.Equal(t, "p/q", tables[0].Package)
	require.Equal(t, "sec/op", tables[0].Unit)
	require.Len(t, tables[0].Rows, 8)
	require.Equal(t, Row{"Slower-2", &Center{1e-7, "2%"}, &Center{1.2e-7, "2%"}, true}, tables[0].Rows[1])
	require.False(t, tables[0].Rows[2].Significant)
	require.Nil(t, tables[0].Rows[6].Value)
	require.Nil(t, tables[0].Rows[7].Base)
	require.Equal(t, "p/r", tables[2].Package)

	tables, err = parse(strings.NewReader("pkg: p\n,a,\n,B/op,CI\nX-2,10,0%\ngeomean,10,\n"), 1)
	require.NoError(t, err)
	require.Equal(t, []Table{{"p", "B/op", []Row{{Name: "X-2", Value: &Center{10, "0%"}}}}}, tables)
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"X-2,10,0%\n", ",a,\n,B/op,CI\nX-2,ten,0%\n", ",a,\n,B/op,CI\nX-2,1\n", "\"\n"} {
		_, err := parse(strings.NewReader(text), 1)
		require.Error(t, err, "%q", text)
	}
}

func TestRegressions(t *testing.T) {
	tables, err := parse(strings.NewReader(twoInputs), 2)
	require.NoError(t, err)
	require.Equal(t, []Change{
		{"p/q", "Slower-2", "sec/op", 1e-7, 1.2e-7},
		{"p/r", "First-2", "allocs/op", 0, 1},
	}, Regressions(tables))
	require.Equal(t, []string{"p/q Gone-2"}, Missing(tables))
	require.Equal(t, "p/q Slower-2: sec/op from 1e-07 to 1.2e-07 (+20.0 %)", Regressions(tables)[0].String())
	require.True(t, math.IsInf(Regressions(tables)[1].Growth(), 1))
}

// TestCompare makes up results, and asks the real benchstat about them.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, ns func(i int) int, cpu func(i int) int) string {
		var b strings.Builder
		b.WriteString("goos: linux\npkg: p/q\n")
		for i := range 10 {
			fmt.Fprintf(&b, "BenchmarkClock/2048-2 100 %d ns/op 64 B/op 1 allocs/op\n", ns(i))
			fmt.Fprintf(&b, "BenchmarkThread/2048-2 100 %d ns/op %d cpu-ns/op\n", ns(i), cpu(i))
		}
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
		return file
	}
	times := func(base int) func(int) int { return func(i int) int { return base + i } }
	noise := func(i int) int { return 1000 + i%2*900 }
	base := write("base.txt", times(1000), times(1000))

	for _, c := range []struct {
		name    string
		ns, cpu func(int) int
		want    []string
	}{
		{"unchanged", times(1001), times(1001), nil},
		{"within", times(1080), times(1080), nil},
		{"noise", noise, noise, nil},
		{"faster", times(500), times(500), nil},
		{"machine busy", times(1500), times(1000), []string{"Clock/2048-2"}},
		{"slower", times(1200), times(1200), []string{"Clock/2048-2", "Thread/2048-2"}},
	} {
		tables, err := Compare(base, write("head.txt", c.ns, c.cpu))
		require.NoError(t, err)
		require.NotEmpty(t, tables)
		var got []string
		for _, r := range Regressions(tables) {
			got = append(got, r.Name)
		}
		require.Equal(t, c.want, got, c.name)
	}

	tables, err := Summarize(base)
	require.NoError(t, err)
	require.Equal(t, "sec/op", tables[0].Unit)
	require.InEpsilon(t, 1004.5e-9, tables[0].Rows[0].Value.Median, 0.001)

	_, err = Compare(base, filepath.Join(dir, "none.txt"))
	require.Error(t, err)
	_, err = Text(base, filepath.Join(dir, "none.txt"))
	require.Error(t, err)
}

// TestMinSamples: so many samples can show a difference, fewer cannot.
func TestMinSamples(t *testing.T) {
	dir := t.TempDir()
	write := func(ns, count int) string {
		file := filepath.Join(dir, fmt.Sprint(ns))
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, "BenchmarkX-2 100 %d ns/op\n", ns+i)
		}
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
		return file
	}
	tables, err := Compare(write(1000, MinSamples), write(2000, MinSamples))
	require.NoError(t, err)
	require.Len(t, Regressions(tables), 1)
	tables, err = Compare(write(1000, 4), write(2000, 4))
	require.NoError(t, err)
	require.Empty(t, Regressions(tables))
}
