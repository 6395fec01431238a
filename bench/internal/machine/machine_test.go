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

func TestClass(t *testing.T) {
	for name, want := range map[string]string{
		"AMD EPYC (family 26, model 2)":                  "AMD Zen 5",
		"AMD EPYC (family 25, model 17)":                 "AMD Zen 4",
		"AMD EPYC 7763 (family 25, model 1)":             "AMD Zen 3",
		"Intel(R) Xeon(R) (family 6, model 143)":         "Intel Sapphire Rapids",
		"Intel(R) Xeon(R) Processor (family 6, model 1)": "Intel(R) Xeon(R) Processor (family 6, model 1)",
		"Cortex": "Cortex",
	} {
		require.Equal(t, want, Machine{CPU: name}.Class())
	}
	require.Equal(t, "AMD Zen 5, AVX-512 IFMA", Machine{CPU: "AMD EPYC (family 26, model 2)", IFMA: true}.Kind())
	require.Equal(t, "Cortex, no AVX-512 IFMA", Machine{CPU: "Cortex"}.Kind())
	require.True(t, ifma("processor\t: 0\nflags\t\t: fpu avx512ifma vme\n"))
	require.False(t, ifma("processor\t: 0\nflags\t\t: fpu avx512ifmax vme\n"))
	require.False(t, ifma(""))
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
