package hsm

import (
	"bytes"
	"crypto/rsa"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOperand: only operands of exactly k bytes, between 0 and n, reach the module; and
// what comes out is right.
func FuzzOperand(f *testing.F) {
	fake := newFake()
	tok := mustOpenFake(f, fake, nil)
	key, err := tok.GenerateKey(f.Context(), "key", 2048)
	require.NoError(f, err)
	// The operand is n + delta, or just the bytes; cut and padded.
	f.Fuzz(func(t *testing.T, raw []byte, relative bool, delta int64, pad uint16) {
		x := bytes.Clone(raw)
		if relative {
			x = new(big.Int).Add(key.pub.N, big.NewInt(delta)).Bytes()
		}
		x = append(make([]byte, pad%300), x...)
		number := new(big.Int).SetBytes(x)
		calls := fake.count("C_Sign")
		y, err := key.Exponentiate(t.Context(), x)
		if len(x) == 256 && number.Sign() > 0 && number.Cmp(key.pub.N) < 0 {
			require.NoError(t, err)
			require.True(t, right(key.mod, x, y))
		} else {
			require.ErrorIs(t, err, ErrInput)
			require.Equal(t, calls, fake.count("C_Sign"), "the module was asked")
		}
		require.Empty(t, fake.violations)
	})
}

// FuzzBlob: no module sees a blob that was changed.
func FuzzBlob(f *testing.F) {
	fake := newFake()
	tok := mustOpenFake(f, fake, nil)
	sealer, err := tok.GenerateSealingKey(f.Context(), "seal")
	require.NoError(f, err)
	sealed, err := sealer.Seal(f.Context(), []byte("user"), []byte("a share of a key"))
	require.NoError(f, err)
	require.NoError(f, tok.GenerateWrappingKey(f.Context(), "wrap"))
	keys, err := tok.ServerKeys(f.Context(), "wrap", 2048, 0)
	require.NoError(f, err)
	key, wrapped, err := keys.NewKey(f.Context())
	require.NoError(f, err)
	pub := key.Public().(*rsa.PublicKey)
	// mangle flips bits at a place, cuts, and appends; or gives the raw bytes.
	mangle := func(b, raw []byte, flip byte, at, length uint16) []byte {
		if flip == 0xff {
			return bytes.Clone(raw)
		}
		b = bytes.Clone(b)
		b[int(at)%len(b)] ^= flip
		return append(b[:min(int(length), len(b))], raw...)
	}
	f.Fuzz(func(t *testing.T, raw []byte, flip byte, at, length uint16) {
		before := fake.count("C_Decrypt") + fake.unwraps
		b := mangle(sealed, raw, flip, at, length)
		same := bytes.Equal(b, sealed)
		plain, err := sealer.Open(t.Context(), []byte("user"), b)
		if same {
			require.NoError(t, err)
			require.Equal(t, "a share of a key", string(plain))
		} else {
			require.ErrorIs(t, err, ErrBlob)
		}
		b = mangle(wrapped, raw, flip, at, length)
		same = same || bytes.Equal(b, wrapped)
		k, err := keys.LoadKey(t.Context(), b)
		if bytes.Equal(b, wrapped) {
			require.NoError(t, err)
			require.Equal(t, pub, k.Public())
			require.NoError(t, k.(*Key).prove(t.Context()))
		} else {
			require.ErrorIs(t, err, ErrBlob)
		}
		if !same {
			require.Equal(t, before, fake.count("C_Decrypt")+fake.unwraps, "the module was asked")
		}
		require.Empty(t, fake.violations)
	})
}

// FuzzParse: a blob, a wrapped key or a data object that parses is what it was parsed
// from.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		if b, err := parseBlob(in); err == nil {
			require.Equal(t, in, bytes.Join([][]byte{{blobVersion, byte(b.kind)}, b.id[:], b.body, b.tag}, nil))
		} else {
			require.ErrorIs(t, err, ErrBlob)
		}
		if w, err := parseWrapped(in); err == nil {
			require.Equal(t, in, w.marshal())
			require.GreaterOrEqual(t, w.pub.N.BitLen(), minBits)
			require.LessOrEqual(t, w.pub.N.BitLen(), maxBits)
			require.Len(t, w.iv, w.method.ivBytes)
		} else {
			require.ErrorIs(t, err, ErrBlob)
		}
		if d, ok := parseData(in); ok {
			require.Equal(t, in, d.marshal())
			require.LessOrEqual(t, len(d.value), MaxData)
		}
	})
}

// The corpora are there, or the targets above start from nothing.
func TestCorpora(t *testing.T) {
	for _, target := range []string{"FuzzOperand", "FuzzBlob", "FuzzParse"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(seeds), 6, target)
		for _, s := range seeds {
			info, err := os.Stat(s)
			require.NoError(t, err)
			require.NotZero(t, info.Size(), s)
		}
	}
}
