// Package wycheproof runs the published Wycheproof cases of RSA signature generation
// through split keys. It is in a module of its own, since the library must not require
// Wycheproof.
package wycheproof

import (
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math/big"
	"testing"

	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"

	vectors "github.com/c2sp/wycheproof"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

type file struct {
	NumberOfTests int
	TestGroups    []struct {
		PrivateKey struct{ Modulus, PrivateExponent, PublicExponent string }
		Sha        string
		Tests      []struct {
			TcID             int
			Msg, Sig, Result string
		}
	}
}

var hashes = map[string]crypto.Hash{"SHA-1": crypto.SHA1, "SHA-224": crypto.SHA224, "SHA-256": crypto.SHA256,
	"SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

// TestGeneration: each published PKCS #1 v1.5 signature comes out of an additive split
// byte for byte. Keys below 2048 bits are not split, and SHA-1 and SHA-224 are refused.
func TestGeneration(t *testing.T) {
	names, err := fs.Glob(vectors.TestVectors, "rsa_pkcs1_*_sig_gen_test.json")
	require.NoError(t, err)
	require.Len(t, names, 5)
	signed, refused := 0, 0
	for _, name := range names {
		b, err := fs.ReadFile(vectors.TestVectors, name)
		require.NoError(t, err)
		var f file
		require.NoError(t, json.Unmarshal(b, &f))
		ran := 0
		for _, g := range f.TestGroups {
			h, ok := hashes[g.Sha]
			require.True(t, ok, g.Sha)
			n, d, e := number(t, g.PrivateKey.Modulus), number(t, g.PrivateKey.PrivateExponent), number(t, g.PrivateKey.PublicExponent)
			p, q := factor(n, d, e)
			key, err := splitkeytest.PrivateKey(p, q, int(e.Int64()))
			require.NoError(t, err)
			ran += len(g.Tests)
			client, server, err := splitkey.Split(key, splitkey.Additive)
			if n.BitLen() < 2048 {
				require.ErrorIs(t, err, splitkey.ErrKey)
				refused += len(g.Tests)
				continue
			}
			require.NoError(t, err)
			completer, err := splitkey.NewCompleter(server, nil, nil)
			require.NoError(t, err)
			for _, tc := range g.Tests {
				require.NotEqual(t, "invalid", tc.Result, "a generation case is valid, or acceptable for its weak key")
				hh := h.New()
				hh.Write(bytesOf(t, tc.Msg))
				m, err := completer.FinalKey().Encode(hh.Sum(nil), h)
				if h == crypto.SHA1 || h == crypto.SHA224 {
					require.ErrorIs(t, err, splitkey.ErrMessage)
					refused++
					continue
				}
				require.NoError(t, err)
				y, err := client.SignPartial(m)
				require.NoError(t, err)
				checked, err := completer.Check(m, y)
				require.NoError(t, err)
				sig, err := completer.Finish(context.Background(), checked)
				require.NoError(t, err)
				require.Equal(t, tc.Sig, hex.EncodeToString(sig), "%s tcId %d", name, tc.TcID)
				signed++
			}
		}
		require.Equal(t, f.NumberOfTests, ran, name)
	}
	require.Equal(t, wantSigned, signed)
	require.Equal(t, wantRefused, refused)
	t.Logf("%d cases signed, %d refused", signed, refused)
}

// The numbers of the version that go.mod names: a loader that skips cases must fail.
const wantSigned, wantRefused = 77, 81

func bytesOf(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func number(t *testing.T, s string) *big.Int { return new(big.Int).SetBytes(bytesOf(t, s)) }

// factor finds p and q from n, d and e: the published keys leave them out. A random g
// with g^((ed-1)/2^i) a square root of 1 other than +-1 gives a factor (NIST SP 800-56B,
// appendix C).
func factor(n, d, e *big.Int) (p, q *big.Int) {
	one := big.NewInt(1)
	k := new(big.Int).Mul(d, e)
	k.Sub(k, one)
	s := k.TrailingZeroBits()
	r := new(big.Int).Rsh(k, s)
	minusOne := new(big.Int).Sub(n, one)
	for g := int64(2); ; g++ {
		x := new(big.Int).Exp(big.NewInt(g), r, n)
		for range s {
			y := new(big.Int).Mul(x, x)
			y.Mod(y, n)
			if y.Cmp(one) == 0 && x.Cmp(one) != 0 && x.Cmp(minusOne) != 0 {
				p = new(big.Int).GCD(nil, nil, new(big.Int).Sub(x, one), n)
				return p, new(big.Int).Div(n, p)
			}
			x = y
		}
	}
}
