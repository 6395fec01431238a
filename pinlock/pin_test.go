package pinlock

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPINFormat(t *testing.T) {
	for _, pin := range []string{
		"", "1", "12", "839", "8395017264083", strings.Repeat("7", 1000),
		"83a5", "839 ", " 839", "8395\n", "839\x00", "-839", "+839", "8.95", "0x1f",
		"८३९५",         // Devanagari digits
		"\uff18\uff13", // full-width digits, 6 bytes
		"839/", "839:", // the neighbours of 0 and 9
		"/839", ":839", "8\xff95",
	} {
		require.ErrorIs(t, CheckPIN([]byte(pin)), ErrPINFormat, "%q", pin)
	}
	require.ErrorIs(t, CheckPIN(nil), ErrPINFormat)

	// Every byte in every place, for every length.
	for n := minPINLen; n <= maxPINLen; n++ {
		for i := range n {
			for b := range 256 {
				pin := []byte("839501726408"[:n])
				pin[i] = byte(b)
				require.Equal(t, '0' <= b && b <= '9', validPIN(pin), "%q", pin)
			}
		}
	}
}

func TestLeadingZerosCount(t *testing.T) {
	require.ErrorIs(t, CheckPIN([]byte("12")), ErrPINFormat)
	require.NoError(t, CheckPIN([]byte("00839517")))
	require.NoError(t, CheckPIN([]byte("0846")))
	require.ErrorIs(t, CheckPIN([]byte("846")), ErrPINFormat)
}

func TestCheckPINKeepsPIN(t *testing.T) {
	pin := []byte("8395")
	require.NoError(t, CheckPIN(pin))
	require.Equal(t, "8395", string(pin))
}

func TestWeakPINErrorHidesPIN(t *testing.T) {
	err := CheckPIN([]byte("2580"))
	var weak *WeakPINError
	require.ErrorAs(t, err, &weak)
	require.Equal(t, "keypad-lines", weak.Rule)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		require.NotContains(t, fmt.Sprintf(verb, err), "2580")
		require.NotContains(t, fmt.Sprintf(verb, *weak), "2580")
	}
}

func TestCheckPINAllocates(t *testing.T) {
	pin := []byte("839501726408")
	require.NoError(t, CheckPIN(pin))
	require.Zero(t, testing.AllocsPerRun(100, func() { CheckPIN(pin) }), "copies of the PIN on the heap")
}
