package checked

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

func TestRecord(t *testing.T) {
	for _, r := range []Record{
		{1, []byte{}}, {7, []byte("value")}, {LastVersion, bytes.Repeat([]byte{0xFF}, limiter.MaxValue)},
	} {
		b := r.Encode("label", []byte("key"))
		require.Len(t, b, Header+len(r.Value))
		got, err := Parse("label", []byte("key"), b)
		require.NoError(t, err)
		require.Equal(t, r, got)
		for _, other := range [][2]string{{"label", "kez"}, {"label", "key "}, {"label", ""}, {"other", "key"}} {
			_, err := Parse(other[0], []byte(other[1]), b)
			require.ErrorIs(t, err, ErrDamaged, "%q", other)
		}
	}
}

func TestEveryFlippedBit(t *testing.T) {
	b := Record{7, []byte("value")}.Encode("label", []byte("key"))
	for bit := range 8 * len(b) {
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		_, err := Parse("label", []byte("key"), flipped)
		require.ErrorIs(t, err, ErrDamaged, "bit %d", bit)
	}
}

func TestRefused(t *testing.T) {
	key := []byte("key")
	whole := Record{7, []byte("value")}.Encode("label", key)
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"short":            make([]byte, Header-1),
		"cut":              whole[:len(whole)-1],
		"longer":           append(bytes.Clone(whole), 0),
		"version 0":        Record{0, nil}.Encode("label", key),
		"version too high": Record{math.MaxInt64 + 1, nil}.Encode("label", key),
		"too long":         Record{7, make([]byte, limiter.MaxValue+1)}.Encode("label", key),
	} {
		_, err := Parse("label", key, b)
		require.ErrorIs(t, err, ErrDamaged, name)
	}
}
