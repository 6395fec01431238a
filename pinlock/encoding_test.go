package pinlock

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
)

// withChecksum makes a lockbox of a body that was changed on purpose.
func withChecksum(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(slices.Clip(body), sum[:]...)
}

func testEncoded(t testing.TB, label string) (encoded []byte, share *splitkey.ClientShare) {
	share, _ = testShares(t, 2048, splitkey.Multiplicative, label)
	encoded, err := lockFixed(share, "0846", reduced, label).MarshalBinary()
	require.NoError(t, err)
	require.Len(t, encoded, 79+2*256)
	return encoded, share
}

func TestEveryTruncationIsRefused(t *testing.T) {
	encoded, _ := testEncoded(t, "TestEveryTruncationIsRefused")
	for n := range encoded {
		_, err := ParseLockbox(encoded[:n])
		require.ErrorIs(t, err, ErrLockbox, "%d bytes", n)
		if n > 0 {
			_, err = ParseLockbox(encoded[n:])
			require.ErrorIs(t, err, ErrLockbox, "without the first %d bytes", n)
		}
	}
	// The same for the body alone, under a checksum that is right.
	body := encoded[:len(encoded)-sha256.Size]
	for n := range body {
		_, err := ParseLockbox(withChecksum(body[:n]))
		require.ErrorIs(t, err, ErrLockbox, "%d bytes", n)
	}
	for _, tail := range []string{"\x00", "\xff", string(encoded)} {
		_, err := ParseLockbox(append(slices.Clip(encoded), tail...))
		require.ErrorIs(t, err, ErrLockbox)
		_, err = ParseLockbox(withChecksum(append(slices.Clip(body), tail...)))
		require.ErrorIs(t, err, ErrLockbox)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	encoded, _ := testEncoded(t, "TestEveryFlippedBitIsRefused")
	for i := range 8 * len(encoded) {
		damaged := bytes.Clone(encoded)
		damaged[i/8] ^= 1 << (i % 8)
		_, err := ParseLockbox(damaged)
		require.ErrorIs(t, err, ErrLockbox, "bit %d", i)
	}
	_, err := ParseLockbox(encoded)
	require.NoError(t, err)
}

// TestFlippedCiphertextOpens: no check under the PIN's key finds a flipped bit. Where the
// checksum is made to agree, the lockbox opens with the same bit of the share flipped.
func TestFlippedCiphertextOpens(t *testing.T) {
	encoded, share := testEncoded(t, "TestFlippedCiphertextOpens")
	body := encoded[:len(encoded)-sha256.Size]
	const ct = 39 + 256
	for i := range 8 * (256 + 8) {
		damaged := bytes.Clone(body)
		damaged[ct+i/8] ^= 1 << (i % 8)
		b, err := ParseLockbox(withChecksum(damaged))
		require.NoError(t, err)
		opened, err := b.Unlock([]byte("0846"), reduced)
		require.NoError(t, err)
		want := share.Secret()
		want[i/8] ^= 1 << (i % 8)
		require.Equal(t, want, opened.Secret())
	}
}

// TestImpossibleFields puts values into fields that no lockbox can have, under a checksum
// that is right.
func TestImpossibleFields(t *testing.T) {
	encoded, _ := testEncoded(t, "TestImpossibleFields")
	body := encoded[:len(encoded)-sha256.Size]
	const k1 = 256
	set := func(offset int, value ...byte) func([]byte) []byte {
		return func(b []byte) []byte {
			copy(b[offset:], value)
			return b
		}
	}
	u32 := func(offset int, v uint32) func([]byte) []byte {
		return set(offset, binary.BigEndian.AppendUint32(nil, v)...)
	}
	for name, change := range map[string]func([]byte) []byte{
		"magic of a sealed lockbox": set(0, []byte("TDsl")...),
		"magic of a server share":   set(0, []byte("TDss")...),
		"version 0":                 set(4, 0),
		"version 2":                 set(4, 2),
		"sharing 0":                 set(5, 0),
		"sharing 3":                 set(5, 3),
		"time 0":                    u32(6, 0),
		"memory 0":                  u32(10, 0),
		"memory below 8 KiB":        u32(10, 7),
		"memory above 4 GiB":        u32(10, 4<<20+1),
		"memory 2^32-1":             u32(10, 1<<32-1),
		"threads 0":                 set(14, 0),
		"threads above memory":      set(14, 2),
		"k1 0":                      set(31, 0, 0),
		"k1 one less":               set(31, 0, k1-1),
		"k1 one more":               set(31, 1, 1),
		"k1 65535":                  set(31, 255, 255),
		"modulus starts with 0":     set(33, 0),
		"modulus of 2041 bits":      set(33, 1),
		"even modulus":              set(33+k1-1, 2),
		"exponent 0":                u32(33+k1, 0),
		"exponent 1":                u32(33+k1, 1),
		"exponent 2":                u32(33+k1, 2),
		"exponent 65536":            u32(33+k1, 65536),
		"exponent 2^31+1":           u32(33+k1, 1<<31+1),
		"exponent 2^32-1":           u32(33+k1, 1<<32-1),
		"ciphertext length 0":       set(37+k1, 0, 0),
		"ciphertext length less":    set(37+k1, 1, 7),
		"ciphertext length more":    set(37+k1, 1, 9),
		"short ciphertext": func(b []byte) []byte {
			copy(b[37+k1:], []byte{1, 7})
			return b[:len(b)-1]
		},
		"long ciphertext": func(b []byte) []byte {
			copy(b[37+k1:], []byte{1, 9})
			return append(b, 0)
		},
		"modulus padded": func(b []byte) []byte {
			copy(b[31:], []byte{1, 1})
			return slices.Insert(b, 33, 0)
		},
		"no modulus": func(b []byte) []byte {
			b = slices.Delete(b, 33, 33+k1)
			copy(b[31:], []byte{0, 0})
			copy(b[37:], []byte{0, 8})
			return b[:47]
		},
		"modulus of 1024 bits": func(b []byte) []byte {
			b = slices.Delete(b, 33, 33+128)
			copy(b[31:], []byte{0, 128})
			copy(b[37+128:], []byte{0, 136})
			return b[:47+2*128]
		},
	} {
		b, err := ParseLockbox(withChecksum(change(bytes.Clone(body))))
		require.ErrorIs(t, err, ErrLockbox, name)
		require.Nil(t, b, name)
	}
	_, err := ParseLockbox(withChecksum(bytes.Clone(body)))
	require.NoError(t, err)
}

// TestParseCopies: a lockbox does not change with the buffer it was read from.
func TestParseCopies(t *testing.T) {
	encoded, _ := testEncoded(t, "TestParseCopies")
	buffer := bytes.Clone(encoded)
	b, err := ParseLockbox(buffer)
	require.NoError(t, err)
	clear(buffer)
	again, err := b.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, encoded, again)
	pub, err := b.PublicKey()
	require.NoError(t, err)
	pub.N.SetInt64(15)
	again, err = b.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, encoded, again)
}
