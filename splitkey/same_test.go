package splitkey_test

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

var (
	ctx      = context.Background()
	sharings = []splitkey.Sharing{splitkey.Multiplicative, splitkey.Additive}
	hashes   = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512}
)

func digestFor(h crypto.Hash, text string) []byte {
	hh := h.New()
	hh.Write([]byte(text))
	return hh.Sum(nil)
}

// pair is a split key with a completer, two-prime or composite.
type pair struct {
	client    *splitkey.ClientShare
	server    *splitkey.ServerShare
	completer *splitkey.Completer
}

func (p *pair) pub() *rsa.PublicKey { return p.completer.PublicKey() }

func (p *pair) final() *splitkey.FinalKey { return p.completer.FinalKey() }

// complete is the server's half of a signature.
func (p *pair) complete(ctx context.Context, m *splitkey.Message, y []byte) ([]byte, error) {
	return complete(ctx, p.completer, m, y)
}

func complete(ctx context.Context, c *splitkey.Completer, m *splitkey.Message, y []byte) ([]byte, error) {
	ch, err := c.Check(m, y)
	if err != nil {
		return nil, err
	}
	return c.Finish(ctx, ch)
}

// sign makes a signature with both halves.
func (p *pair) sign(t testing.TB, digest []byte, opts crypto.SignerOpts) []byte {
	t.Helper()
	m, err := p.final().Encode(digest, opts)
	require.NoError(t, err)
	y, err := p.client.SignPartial(m)
	require.NoError(t, err)
	require.Len(t, y, p.client.PublicKey().Size())
	sig, err := p.complete(ctx, m, y)
	require.NoError(t, err)
	require.Len(t, sig, p.pub().Size())
	return sig
}

func splitOf(t testing.TB, key *rsa.PrivateKey, s splitkey.Sharing, own splitkey.RSAKey) *pair {
	t.Helper()
	c, srv, err := splitkey.Split(key, s)
	require.NoError(t, err)
	completer, err := splitkey.NewCompleter(srv, own, nil)
	require.NoError(t, err)
	return &pair{c, srv, completer}
}

// TestSameAsCryptoRSA: for both sharings, all sizes and all hashes, the PKCS #1 v1.5
// signature is byte for byte what crypto/rsa makes with the whole key, and the PSS
// signature verifies there.
func TestSameAsCryptoRSA(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		for _, s := range sharings {
			t.Run(fmt.Sprintf("%d/%v", bits, s), func(t *testing.T) {
				t.Parallel()
				key := splitkeytest.Key(bits)
				p := splitOf(t, key, s, nil)
				require.True(t, key.PublicKey.Equal(p.pub()))
				for _, h := range hashes {
					digest := digestFor(h, "text")
					want, err := rsa.SignPKCS1v15(rand.Reader, key, h, digest)
					require.NoError(t, err)
					require.Equal(t, want, p.sign(t, digest, h))
					opts := &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash}
					require.NoError(t, rsa.VerifyPSS(p.pub(), h, digest, p.sign(t, digest, opts), opts))
				}
			})
		}
	}
}

// TestComposite: the composite signature is what the whole key (n1*n2) would make.
// Only a test can compute that one's private exponent.
func TestComposite(t *testing.T) {
	for _, bits := range []int{2048, 3072} {
		for _, s := range sharings {
			t.Run(fmt.Sprintf("%d/%v", 2*bits, s), func(t *testing.T) {
				t.Parallel()
				k1, k2 := splitkeytest.Key(bits), splitkeytest.NamedKey(splitkeytest.Server, bits)
				own, err := splitkeytest.SoftwareKey(k2)
				require.NoError(t, err)
				p := splitOf(t, k1, s, own)
				require.Zero(t, new(big.Int).Mul(k1.N, k2.N).Cmp(p.pub().N))

				lambda := big.NewInt(1)
				for _, q := range append(append([]*big.Int{}, k1.Primes...), k2.Primes...) {
					q1 := new(big.Int).Sub(q, big.NewInt(1))
					g := new(big.Int).GCD(nil, nil, lambda, q1)
					lambda.Mul(lambda, q1.Div(q1, g))
				}
				d := new(big.Int).ModInverse(big.NewInt(65537), lambda)
				for _, opts := range []crypto.SignerOpts{crypto.SHA256, crypto.SHA3_512,
					&rsa.PSSOptions{Hash: crypto.SHA256}, &rsa.PSSOptions{Hash: crypto.SHA512, SaltLength: 20}} {
					m, err := p.final().Encode(digestFor(opts.HashFunc(), "text"), opts)
					require.NoError(t, err)
					y, err := p.client.SignPartial(m)
					require.NoError(t, err)
					sig, err := p.complete(ctx, m, y)
					require.NoError(t, err)
					em := new(big.Int).SetBytes(m.Bytes())
					require.Equal(t, new(big.Int).Exp(em, d, p.pub().N).FillBytes(make([]byte, 2*bits/8)), sig)
					require.NoError(t, m.Verify(sig))
				}
			})
		}
	}
}

// TestCompositeSizes: moduli of different lengths compose, in both orders, and so do
// products one bit short of the sum of their lengths.
func TestCompositeSizes(t *testing.T) {
	short := shortProduct(t, splitkeytest.Key(2048).N)
	for name, own := range map[string]*rsa.PrivateKey{
		"longer server key": splitkeytest.NamedKey(splitkeytest.Server, 3072),
		"one bit short":     short,
	} {
		t.Run(name, func(t *testing.T) {
			k, err := splitkeytest.SoftwareKey(own)
			require.NoError(t, err)
			if own == short && fips140.Enforced() {
				requireOddRefused(t, splitkeytest.Key(2048), k)
				return
			}
			p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, k)
			for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256}} {
				digest := digestFor(crypto.SHA256, name)
				m, err := p.final().Encode(digest, opts)
				require.NoError(t, err)
				y, err := p.client.SignPartial(m)
				require.NoError(t, err)
				sig, err := p.complete(ctx, m, y)
				require.NoError(t, err)
				require.NoError(t, m.Verify(sig))
			}
		})
	}
	k1 := splitOf(t, splitkeytest.Key(3072), splitkey.Additive, splitkeytest.ServerKey(2048))
	k1.sign(t, digestFor(crypto.SHA256, "longer client key"), crypto.SHA256)
}

// shortProduct returns a 2048-bit key whose product with n1 has 4095 bits.
func shortProduct(t *testing.T, n1 *big.Int) *rsa.PrivateKey {
	for {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		if new(big.Int).Mul(k.N, n1).BitLen() == 4095 {
			return k
		}
	}
}

// TestGenerateKey: generated keys of every size and sharing sign, and are as long as
// asked for.
func TestGenerateKey(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		for _, s := range sharings {
			t.Run(fmt.Sprintf("%d/%v", bits, s), func(t *testing.T) {
				t.Parallel()
				c, srv, err := splitkey.GenerateKey(bits, s)
				require.NoError(t, err)
				require.Equal(t, bits, c.PublicKey().N.BitLen())
				require.Equal(t, 65537, c.PublicKey().E)
				require.True(t, c.PublicKey().Equal(srv.PublicKey()))
				require.Len(t, c.Secret(), bits/8+8)
				require.Len(t, srv.Secret(), bits/8)
				require.Equal(t, s, c.Sharing())
				require.NoError(t, splitkey.CheckModulus(c.PublicKey()))
				completer, err := splitkey.NewCompleter(srv, nil, nil)
				require.NoError(t, err)
				(&pair{c, srv, completer}).sign(t, digestFor(crypto.SHA512, "x"), crypto.SHA512)
			})
		}
	}
}

// TestInvariant: e * d_c * d_s = 1, or d_c + d_s = d, modulo lambda, and d_s < lambda.
func TestInvariant(t *testing.T) {
	key := splitkeytest.Key(2048)
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one)
	lambda := new(big.Int).Mul(p1, q1)
	lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
	for range 5 {
		c, s, err := splitkey.Split(key, splitkey.Multiplicative)
		require.NoError(t, err)
		dc := new(big.Int).SetBytes(c.Secret())
		dc.Lsh(dc, 1).Add(dc, one)
		ds := new(big.Int).SetBytes(s.Secret())
		require.Negative(t, ds.Cmp(lambda))
		ds.Mul(ds, dc).Mul(ds, big.NewInt(65537)).Mod(ds, lambda)
		require.Zero(t, ds.Cmp(one))

		c, s, err = splitkey.Split(key, splitkey.Additive)
		require.NoError(t, err)
		ds = new(big.Int).SetBytes(s.Secret())
		require.Negative(t, ds.Cmp(lambda))
		ds.Add(ds, new(big.Int).SetBytes(c.Secret())).Mul(ds, big.NewInt(65537)).Mod(ds, lambda)
		require.Zero(t, ds.Cmp(one))
	}
}

// TestFixedWidth: a partial signature, and a signature, that begin with a zero byte keep
// their length. Each comes about once in 256 messages.
func TestFixedWidth(t *testing.T) {
	key := splitkeytest.Key(2048)
	p := splitOf(t, key, splitkey.Multiplicative, nil)
	find := func(startsWithZero func(digest []byte) bool) {
		for i := range 20000 {
			digest := digestFor(crypto.SHA256, fmt.Sprint(i))
			if !startsWithZero(digest) {
				continue
			}
			want, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
			require.NoError(t, err)
			require.Equal(t, want, p.sign(t, digest, crypto.SHA256))
			return
		}
		t.Fatal("no message found: probability 2^-112")
	}
	find(func(digest []byte) bool {
		m, err := p.final().Encode(digest, crypto.SHA256)
		require.NoError(t, err)
		y, err := p.client.SignPartial(m)
		require.NoError(t, err)
		require.Len(t, y, 256)
		return y[0] == 0
	})
	find(func(digest []byte) bool {
		sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
		require.NoError(t, err)
		return sig[0] == 0
	})
}

// TestEveryShareSigns: a wrong share gives a plausible partial signature, which only
// the server can tell from the right one.
func TestEveryShareSigns(t *testing.T) {
	key := splitkeytest.Key(2048)
	for _, s := range sharings {
		p := splitOf(t, key, s, nil)
		m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
		require.NoError(t, err)
		for _, fill := range []byte{0, 1, 0x7f, 0xff} {
			x := make([]byte, 264)
			for i := range x {
				x[i] = fill
			}
			c, err := splitkey.NewClientShare(&key.PublicKey, s, x)
			require.NoError(t, err)
			y, err := c.SignPartial(m)
			require.NoError(t, err)
			require.Len(t, y, 256)
			_, err = p.completer.Check(m, y)
			if s == splitkey.Additive && fill == 0 {
				// y = m^0 = 1, once in 2^2112 draws.
				require.ErrorIs(t, err, splitkey.ErrMalformedPartial)
			} else {
				require.ErrorIs(t, err, splitkey.ErrPartial)
			}
		}
	}
}
