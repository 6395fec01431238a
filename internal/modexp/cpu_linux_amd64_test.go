//go:build !purego

package modexp

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDetect compares detect with what Linux found. Linux leaves out features whose
// registers it does not save.
func TestDetect(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^flags\s*:(.*)$`).FindSubmatch(info)
	require.NotNil(t, line)
	flags := strings.Fields(string(line[1]))
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(flags, name) })
	}
	wantIFMA, wantADX := has("avx512f", "avx512dq", "avx512bw", "avx512ifma"), has("bmi2", "adx")
	for godebug, use := range map[string][2]bool{
		"":                             {true, true},
		"gctrace=1,cpu.sse=off":        {true, true},
		"cpu.all=off":                  {false, false},
		"cpu.avx512=off":               {false, true},
		"cpu.avx512f=off":              {false, true},
		"cpu.avx512dq=off":             {false, true},
		"cpu.avx512bw=off":             {false, true},
		"cpu.avx512ifma=off":           {false, true},
		"cpu.adx=off":                  {true, false},
		"cpu.bmi2=off":                 {true, false},
		"cpu.adx=on":                   {true, true},
		"x=1, cpu.adx=off ,cpu.all=on": {true, false},
	} {
		ifma, adx := detect(godebug)
		require.Equal(t, wantIFMA && use[0], ifma, godebug)
		require.Equal(t, wantADX && use[1], adx, godebug)
	}
}
