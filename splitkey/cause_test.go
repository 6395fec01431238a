package splitkey_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestErrorsNameTheCause: an error says what was refused, and why.
func TestErrorsNameTheCause(t *testing.T) {
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, nil)
	encode := func(opts crypto.SignerOpts, digest int) error {
		_, err := p.final().Encode(make([]byte, digest), opts)
		return err
	}
	change := func(change func(k *rsa.PrivateKey)) error {
		k := splitkeytest.Key(2048)
		change(k)
		_, _, err := splitkey.Split(k, splitkey.Additive)
		return err
	}
	add := func(x *big.Int) *big.Int { return new(big.Int).Add(x, big.NewInt(2)) }
	for want, err := range map[string]error{
		"unsupported hash function: SHA-1, want SHA-256":          encode(crypto.SHA1, 20),
		"unsupported hash function: MD5, want":                    encode(&rsa.PSSOptions{Hash: crypto.MD5}, 16),
		"unsupported hash function: unknown hash value 0, want":   encode(&rsa.PSSOptions{}, 16),
		"unsupported hash function: SHA-512/256, want":            encode(crypto.SHA512_256, 32),
		"digest has the wrong length for its hash function: 31 b": encode(crypto.SHA256, 31),
		"31 bytes, SHA-256 has 32":                                encode(crypto.SHA256, 31),
		"inconsistent: p*q is not n":                              change(func(k *rsa.PrivateKey) { k.N = add(k.N) }),
		"inconsistent: e*d is not 1 modulo p-1 and q-1":           change(func(k *rsa.PrivateKey) { k.D = add(k.D) }),
		"compute them from n, e and d":                            change(func(k *rsa.PrivateKey) { k.Primes = nil }),
		"3 prime factors, want 2":                                 change(func(k *rsa.PrivateKey) { k.Primes = append(k.Primes, big.NewInt(3)) }),
		"not an RSA key but a string": func() error {
			_, err := splitkey.NewCompleter(p.server, odd{"key"}, nil)
			return err
		}(),
	} {
		require.ErrorContains(t, err, want)
	}
	// The error of a signature wraps the error of the HSM that broke it.
	c, err := splitkey.NewCompleter(p.server, failing{splitkeytest.ServerKey(2048)}, nil)
	require.NoError(t, err)
	m, err := c.FinalKey().Encode(make([]byte, 32), crypto.SHA256)
	require.NoError(t, err)
	y, err := p.client.SignPartial(m)
	require.NoError(t, err)
	_, err = complete(ctx, c, m, y)
	require.ErrorIs(t, err, splitkey.ErrServerKey)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

type failing struct{ *splitkey.SoftwareKey }

func (failing) Exponentiate(context.Context, []byte) ([]byte, error) {
	return nil, context.DeadlineExceeded
}
