package machine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCPU(t *testing.T) {
	require.Equal(t, "AMD EPYC (family 25, model 17)", cpu("processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel\t\t: 18\n"))
	require.Equal(t, "Cortex", cpu("model name: Cortex\n"))
	require.Empty(t, cpu(""))
}

func TestBusy(t *testing.T) {
	require.False(t, Machine{CPUs: 2, Load: "0.50 1.00 9.00", LoadEnd: "2.20 1.50 1.00"}.Busy())
	require.True(t, Machine{CPUs: 2, Load: "1.50 1.00 9.00", LoadEnd: "2.20 1.50 1.00"}.Busy())
	require.True(t, Machine{CPUs: 2, Load: "0.50 1.00 9.00", LoadEnd: "5.20 1.50 1.00"}.Busy())
	require.False(t, Machine{CPUs: 2}.Busy())
}

func TestDescribe(t *testing.T) {
	m := Describe()
	m.Done()
	require.NotEmpty(t, m.Go)
	require.NotEmpty(t, m.Date)
	require.Positive(t, m.CPUs)
}
