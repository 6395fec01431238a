//go:build linux

package main

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ask(t *testing.T, commands ...string) []string {
	var out strings.Builder
	require.NoError(t, serve(strings.NewReader(strings.Join(commands, "\n")+"\n"), &out))
	answers := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, answers, len(commands))
	return answers
}

func TestServe(t *testing.T) {
	n := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2048), big.NewInt(1942289))
	base, exponent := new(big.Int).Rsh(n, 1), new(big.Int).Rsh(n, 3)
	want := new(big.Int).Exp(base, exponent, n).FillBytes(make([]byte, 256))
	load := fmt.Sprintf("load a exp %x %x %x", base.FillBytes(make([]byte, 256)), exponent.FillBytes(make([]byte, 256)), n)

	answers := ask(t, "info", load, "run a 2")
	require.Contains(t, answers[0], "ok modexp go")
	require.Equal(t, fmt.Sprintf("ok %x", want), answers[1])
	var ns, allocations int64
	_, err := fmt.Sscanf(answers[2], "ok %d %d", &ns, &allocations)
	require.NoError(t, err)
	require.Positive(t, ns)
}

func TestServeRefuses(t *testing.T) {
	for _, command := range []string{"", "go", "load a exp 01 02", "load a exp 01 02 04", "load a exp zz 02 03ffff",
		"load a exp 01 02 03ffff", "run a 1", "run a x"} {
		require.Contains(t, ask(t, command)[0], "error ", "%q", command)
	}
}
