package splitkey_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

func encodedShare(t testing.TB, s splitkey.Sharing) []byte {
	_, srv, err := splitkeytest.Split(splitkeytest.Key(2048), s, bytes.Repeat([]byte{0x5a}, 264))
	require.NoError(t, err)
	return srv.Bytes()
}

// TestSharingText: both sharings come back from their text, and a refused text changes
// nothing.
func TestSharingText(t *testing.T) {
	for _, s := range sharings {
		text, err := s.MarshalText()
		require.NoError(t, err)
		require.Equal(t, s.String(), string(text))
		var got splitkey.Sharing
		require.NoError(t, got.UnmarshalText(text))
		require.Equal(t, s, got)
		require.ErrorIs(t, got.UnmarshalText([]byte("Additive")), splitkey.ErrShare)
		require.Equal(t, s, got)
	}
}

func TestServerShareRoundTrip(t *testing.T) {
	for _, s := range sharings {
		b := encodedShare(t, s)
		require.Len(t, b, 12+2*256)
		share, err := splitkey.ParseServerShare(b)
		require.NoError(t, err)
		require.Equal(t, s, share.Sharing())
		require.True(t, splitkeytest.Key(2048).PublicKey.Equal(share.PublicKey()))
		require.Equal(t, b, share.Bytes())
	}
}

// TestServerShareMalformed: truncated at every length, extended, and with every field out
// of range.
func TestServerShareMalformed(t *testing.T) {
	good := encodedShare(t, splitkey.Multiplicative)
	for i := range good {
		_, err := splitkey.ParseServerShare(good[:i])
		require.ErrorIs(t, err, splitkey.ErrShare, i)
	}
	change := func(f func(b []byte) []byte) error {
		b := f(bytes.Clone(good))
		share, err := splitkey.ParseServerShare(b)
		require.Nil(t, share)
		return err
	}
	set := func(offset int, v ...byte) func(b []byte) []byte {
		return func(b []byte) []byte { copy(b[offset:], v); return b }
	}
	n1 := good[12 : 12+256]
	for name, f := range map[string]func(b []byte) []byte{
		"magic":            set(0, 't'),
		"version 0":        set(4, 0),
		"version 2":        set(4, 2),
		"sharing 0":        set(5, 0),
		"sharing 3":        set(5, 3),
		"length too small": set(10, 0, 255),
		"length too large": set(10, 1, 1),
		"length zero":      set(10, 0, 0),
		"leading zero":     set(12, 0),
		"share zero":       set(12+256, make([]byte, 256)...),
		"share equals n1":  set(12+256, n1...),
		"share above n1":   set(12+256, bytes.Repeat([]byte{255}, 256)...),
		"one byte more":    func(b []byte) []byte { return append(b, 0) },
		"twice":            func(b []byte) []byte { return append(b, b...) },
		"leading zeros moved": func(b []byte) []byte {
			return append(append(append(b[:10:10], 1, 1, 0), n1...), append([]byte{0}, b[268:]...)...)
		},
	} {
		require.ErrorIs(t, change(f), splitkey.ErrShare, name)
	}
	for name, f := range map[string]func(b []byte) []byte{
		"e zero":      set(6, 0, 0, 0, 0),
		"e one":       set(6, 0, 0, 0, 1),
		"e even":      set(6, 0, 1, 0, 0),
		"e too large": set(6, 0x80, 0, 0, 1),
		"even n1":     set(12+255, n1[255]&^1),
		"short n1":    set(12, 1),
	} {
		require.ErrorIs(t, change(f), splitkey.ErrKey, name)
	}
	// A modulus of 1024 bits.
	b := binary.BigEndian.AppendUint16(bytes.Clone(good[:10]), 128)
	b = append(append(b, n1[:127]...), 1)
	_, err := splitkey.ParseServerShare(append(b, bytes.Repeat([]byte{1}, 128)...))
	require.ErrorIs(t, err, splitkey.ErrKey)
}

func FuzzParseServerShare(f *testing.F) {
	for _, s := range sharings {
		f.Add(encodedShare(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		share, err := splitkey.ParseServerShare(b)
		if err != nil {
			require.Nil(t, share)
			return
		}
		require.True(t, bytes.Equal(b, share.Bytes()), "one share has one encoding")
	})
}

// TestCorpora: a fuzz target without a corpus would test nothing in CI.
func TestCorpora(t *testing.T) {
	entries, err := os.ReadDir("testdata/fuzz/FuzzParseServerShare")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(entries), 8)
}
