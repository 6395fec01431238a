//go:build linux

package memorytest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWords(t *testing.T) {
	secret := []byte{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xf1, 0x02}
	require.ElementsMatch(t, []uint64{
		0x8877665544332211, 0x02f1eeddccbbaa99, // as it is
		0x99aabbccddeef102, 0x1122334455667788, // limbs
		0xabbccddeef102, 0x445566778899a, // digits; 0x112233 is too short
	}, Words(secret))
}

// TestTable: the allowance is what the table says, and a table that says something else
// is an error.
func TestTable(t *testing.T) {
	const head = "text\n\n## What stays in memory\n\ntext\n\n| secret | test | assembly | bigmod | runtimesecret |\n|---|---|---|---|---|\n"
	const rows = "| x, d_c | `a.Test` | nothing | nothing | nothing |\n| y | `a.Test` | nothing | may stay: a reason | nothing |\n| PIN | `b.Test` | may stay | may stay | nothing |\n"
	const tail = "\n## Other\n\n| z | `a.Test` | may stay | may stay | may stay |\n"
	for _, c := range []struct {
		arithmetic string
		y          bool
	}{{Assembly, false}, {Bigmod, true}, {erasing, false}} {
		listed, err := stays(head+rows+tail, "a.Test", c.arithmetic)
		require.NoError(t, err)
		require.Equal(t, map[string]bool{"x": false, "d_c": false, "y": c.y}, listed)
	}
	for _, text := range []string{
		"", head, head + tail, rows,
		head + rows + "| x | `a.Test` | nothing | nothing | nothing |\n",
		head + rows + "| z | `a.Test` | some | nothing | nothing |\n",
		head + rows + "| z | `a.Test` | nothing | nothing |\n",
	} {
		_, err := stays(text, "a.Test", Assembly)
		require.Error(t, err, text)
	}
	_, err := stays(head+rows, "a.Test", "secret")
	require.Error(t, err)
	_, err = stays(head+rows, "c.Test", Assembly)
	require.Error(t, err)
}
