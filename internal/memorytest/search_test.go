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
