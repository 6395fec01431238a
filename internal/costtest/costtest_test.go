package costtest

import (
	"flag"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

var sink []byte

func TestReport(t *testing.T) {
	// Some ticks of the kernel's clock long.
	usual := flag.Lookup("test.benchtime").Value.String()
	require.NoError(t, flag.Set("test.benchtime", "10000x"))
	defer func() { require.NoError(t, flag.Set("test.benchtime", usual)) }()
	r := testing.Benchmark(func(b *testing.B) {
		defer Report(b)()
		for b.Loop() {
			sink = make([]byte, 1<<16)
		}
	})
	require.EqualValues(t, 1, r.AllocsPerOp())
	cpu, ok := r.Extra["cpu-ns/op"]
	require.Equal(t, runtime.GOOS == "linux", ok)
	if ok {
		require.Positive(t, cpu)
	}
}
