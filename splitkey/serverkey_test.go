package splitkey_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"fmt"
	"math/big"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// requireExponentiates checks that a key computes x^d: that the e-th power of the result
// is x.
func requireExponentiates(t *testing.T, k *splitkey.SoftwareKey) {
	t.Helper()
	pub := k.Public().(*rsa.PublicKey)
	x := make([]byte, pub.Size())
	x[len(x)-1] = 42
	y, err := k.Exponentiate(context.Background(), x)
	require.NoError(t, err)
	z := new(big.Int).SetBytes(y)
	require.EqualValues(t, 42, z.Exp(z, big.NewInt(int64(pub.E)), pub.N).Int64())
}

// TestGenerateSoftwareKey: a key has its size and a large modulus, works, and comes back
// from its bytes; two are different.
func TestGenerateSoftwareKey(t *testing.T) {
	sizes := []int{2048, 3072, 4096}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, bits := range sizes {
		k, err := splitkey.GenerateSoftwareKey(bits)
		require.NoError(t, err)
		pub := k.Public().(*rsa.PublicKey)
		require.Equal(t, bits, pub.N.BitLen())
		require.Equal(t, 65537, pub.E)
		require.GreaterOrEqual(t, pub.N.Bytes()[0], byte(0xc4))
		requireExponentiates(t, k)
		b := k.Bytes()
		require.Len(t, b, 11+bits/8)
		again, err := splitkey.ParseSoftwareKey(b)
		require.NoError(t, err)
		require.True(t, pub.Equal(again.Public()))
		require.Equal(t, b, again.Bytes())
		requireExponentiates(t, again)
		other, err := splitkey.GenerateSoftwareKey(bits)
		require.NoError(t, err)
		require.False(t, pub.Equal(other.Public()))
		k.Wipe()
		require.Nil(t, k.Bytes())
		_, err = k.Exponentiate(context.Background(), make([]byte, bits/8))
		require.ErrorIs(t, err, splitkey.ErrServerKey)
	}
	for _, bits := range []int{0, 1024, 2047, 2056, 8192} {
		_, err := splitkey.GenerateSoftwareKey(bits)
		require.ErrorIs(t, err, splitkey.ErrKey)
	}
}

// TestSoftwareKeyBytes: another library's key has the same form; factors of different
// lengths have none.
func TestSoftwareKeyBytes(t *testing.T) {
	key := splitkeytest.NamedKey(splitkeytest.Server, 2048)
	k, err := splitkeytest.SoftwareKey(key)
	require.NoError(t, err)
	again, err := splitkey.ParseSoftwareKey(k.Bytes())
	require.NoError(t, err)
	require.True(t, key.PublicKey.Equal(again.Public()))
	requireExponentiates(t, again)
}

// softwareKeyEdits are malformed forms of a key, by name.
func softwareKeyEdits(b []byte) map[string][]byte {
	edit := func(at int, put ...byte) []byte {
		c := append([]byte(nil), b...)
		copy(c[at:], put)
		return c
	}
	half := (len(b) - 11) / 2
	same := append(append([]byte(nil), b[:11+half]...), b[11:11+half]...)
	return map[string][]byte{
		"empty": {}, "magic-only": b[:4], "no-factors": b[:11], "truncated": b[:len(b)-1], "extended": append(append([]byte(nil), b...), 0),
		"other-magic": edit(3, 'x'), "version-0": edit(4, 0), "version-2": edit(4, 2), "e-zero": edit(5, 0, 0, 0, 0), "e-even": edit(8, 0),
		"e-three-of-other": edit(5, 0, 0, 0, 1), "e-huge": edit(5, 0xff), "length-zero": edit(9, 0, 0), "length-huge": edit(9, 0xff, 0xff),
		"length-one-less": edit(10, b[10]-1), "p-even": edit(10+half, b[10+half]&^1), "q-even": edit(len(b)-1, b[len(b)-1]&^1),
		"p-leading-zero": edit(11, 0), "p-composite": edit(10+half, b[10+half]^2), "p-twice": same,
	}
}

func TestParseSoftwareKeyRefuses(t *testing.T) {
	k, err := splitkeytest.SoftwareKey(splitkeytest.NamedKey(splitkeytest.Server, 2048))
	require.NoError(t, err)
	for name, b := range softwareKeyEdits(k.Bytes()) {
		got, err := splitkey.ParseSoftwareKey(b)
		require.ErrorIs(t, err, splitkey.ErrKey, name)
		require.Nil(t, got, name)
	}
	// Factors of no length that a key has are not multiplied.
	for _, size := range []int{2, 127, 513, 1<<16 - 1} {
		b := append(append([]byte(nil), k.Bytes()[:9]...), byte(size>>8), byte(size))
		b = append(b, bytes.Repeat([]byte{0xff}, 2*size)...)
		_, err := splitkey.ParseSoftwareKey(b)
		require.ErrorIs(t, err, splitkey.ErrKey)
		require.ErrorContains(t, err, fmt.Sprintf("factors of %d bytes, want 128 to 512", size))
	}
}

// FuzzParseSoftwareKey: whatever is accepted comes back as the same bytes, and works.
func FuzzParseSoftwareKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := splitkey.ParseSoftwareKey(b)
		if err != nil {
			require.ErrorIs(t, err, splitkey.ErrKey)
			return
		}
		require.Equal(t, b, k.Bytes())
		requireExponentiates(t, k)
	})
}

// TestSoftwareKeySeeds: the corpus has a key that is accepted, and the malformed ones.
func TestSoftwareKeySeeds(t *testing.T) {
	k, err := splitkeytest.SoftwareKey(splitkeytest.NamedKey(splitkeytest.Server, 2048))
	require.NoError(t, err)
	want := softwareKeyEdits(k.Bytes())
	want["accepted"] = k.Bytes()
	for name, b := range want {
		got, err := os.ReadFile("testdata/fuzz/FuzzParseSoftwareKey/" + name)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b), string(got), name)
	}
}
