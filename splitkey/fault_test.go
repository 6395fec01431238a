package splitkey_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// When the arithmetic, or a key's hardware, computes wrongly, nothing leaves.

// TestFaultAfterCheck: the last verification, step 6 of section 3.3, finds what went
// wrong after its check.
func TestFaultAfterCheck(t *testing.T) {
	for _, s := range sharings {
		for _, own := range []splitkey.RSAKey{nil, splitkeytest.ServerKey(2048)} {
			for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256}} {
				p := splitOf(t, splitkeytest.Key(2048), s, own)
				m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), opts)
				require.NoError(t, err)
				y, err := p.client.SignPartial(m)
				require.NoError(t, err)
				finish := func(fault func(*splitkey.Checked)) {
					ch, err := p.completer.Check(m, y)
					require.NoError(t, err)
					fault(ch)
					sig, err := p.completer.Finish(ctx, ch)
					require.ErrorIs(t, err, splitkey.ErrSignature)
					require.ErrorIs(t, err, rsa.ErrVerification)
					require.Nil(t, sig)
				}
				finish(splitkey.FaultInResult)
				if own != nil {
					finish(func(*splitkey.Checked) { splitkey.FaultInInverse(p.completer) })
				}
			}
		}
	}
}

// TestFinishVerifiesWithCryptoRSA: another implementation than the one that computed
// makes the last verification, and does not notice when the first one fails. The client's
// verification uses the first one.
func TestFinishVerifiesWithCryptoRSA(t *testing.T) {
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Additive, splitkeytest.ServerKey(2048))
	splitkey.BreakArithmetic(p.final())
	for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256}} {
		m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), opts)
		require.NoError(t, err)
		y, err := p.client.SignPartial(m)
		require.NoError(t, err)
		sig, err := p.complete(ctx, m, y)
		require.NoError(t, err)
		require.NoError(t, verifyCryptoRSA(p, sig, opts))
		require.ErrorIs(t, m.Verify(sig), splitkey.ErrSignature)
		_, err = p.client.Signer(t.Context(), p.final(), p.complete).Sign(nil, digestFor(crypto.SHA256, "x"), opts)
		require.ErrorIs(t, err, splitkey.ErrSignature)
	}
}

// verifyCryptoRSA is what everybody does with a signature.
func verifyCryptoRSA(p *pair, sig []byte, opts crypto.SignerOpts) error {
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		return rsa.VerifyPSS(p.completer.PublicKey(), crypto.SHA256, digestFor(crypto.SHA256, "x"), sig, pss)
	}
	return rsa.VerifyPKCS1v15(p.completer.PublicKey(), crypto.SHA256, digestFor(crypto.SHA256, "x"), sig)
}

// TestFaultInCheck: a fault in the server's exponentiation, step 2, is found by step 3,
// whichever share it hits.
func TestFaultInCheck(t *testing.T) {
	for _, s := range sharings {
		p := splitOf(t, splitkeytest.Key(2048), s, nil)
		m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
		require.NoError(t, err)
		y, err := p.client.SignPartial(m)
		require.NoError(t, err)
		splitkey.FlipShare(p.server)
		ch, err := p.completer.Check(m, y)
		require.ErrorIs(t, err, splitkey.ErrPartial)
		require.Nil(t, ch)
		splitkey.FlipShare(p.server)
		_, err = p.completer.Check(m, y)
		require.NoError(t, err)
	}
}

// lying is a server key that gives an answer of its own.
type lying struct {
	splitkey.RSAKey
	answer func(x []byte) ([]byte, error)
	asked  int
}

func (l *lying) Exponentiate(_ context.Context, x []byte) ([]byte, error) {
	l.asked++
	return l.answer(x)
}

// TestLyingServerKey: nothing leaves of a server key's wrong answer, step 4, and the
// client is not blamed; the next right answer finishes.
func TestLyingServerKey(t *testing.T) {
	honest := splitkeytest.ServerKey(2048)
	key := splitkeytest.NamedKey(splitkeytest.Server, 2048)
	own := &lying{RSAKey: honest}
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, own)
	m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
	require.NoError(t, err)
	y, err := p.client.SignPartial(m)
	require.NoError(t, err)
	ch, err := p.completer.Check(m, y)
	require.NoError(t, err)
	require.Zero(t, own.asked, "a check does not use the server's key")
	right := func(x []byte) []byte {
		z, err := honest.Exponentiate(ctx, x)
		require.NoError(t, err)
		return z
	}
	down := errors.New("down")
	for name, answer := range map[string]func(x []byte) ([]byte, error){
		"one bit":      func(x []byte) ([]byte, error) { z := right(x); z[255] ^= 1; return z, nil },
		"the question": func(x []byte) ([]byte, error) { return x, nil },
		"zero":         func(x []byte) ([]byte, error) { return make([]byte, 256), nil },
		"nothing":      func(x []byte) ([]byte, error) { return nil, nil },
		"short":        func(x []byte) ([]byte, error) { return right(x)[1:], nil },
		"long":         func(x []byte) ([]byte, error) { return append([]byte{0}, right(x)...), nil },
		"not reduced":  func(x []byte) ([]byte, error) { return key.N.Bytes(), nil },
		"negative": func(x []byte) ([]byte, error) {
			return new(big.Int).Sub(key.N, new(big.Int).SetBytes(right(x))).FillBytes(make([]byte, 256)), nil
		},
		"another's":      func(x []byte) ([]byte, error) { x[255] ^= 1; return right(x), nil },
		"a fault in CRT": func(x []byte) ([]byte, error) { return faultyCRT(key, x), nil },
		"an error":       func(x []byte) ([]byte, error) { return nil, down },
	} {
		own.answer = answer
		sig, err := p.completer.Finish(ctx, ch)
		require.ErrorIs(t, err, splitkey.ErrServerKey, name)
		require.NotErrorIs(t, err, splitkey.ErrPartial, name)
		require.Nil(t, sig, name)
		require.Equal(t, name == "an error", errors.Is(err, down))
	}
	own.answer = func(x []byte) ([]byte, error) { return right(x), nil }
	sig, err := p.completer.Finish(ctx, ch)
	require.NoError(t, err)
	require.NoError(t, m.Verify(sig))
	require.Equal(t, 12, own.asked, "once for each")
}

// faultyCRT is right modulo p and wrong modulo q: gcd(z^e - x, n) = p.
func faultyCRT(key *rsa.PrivateKey, x []byte) []byte {
	z := new(big.Int).Exp(new(big.Int).SetBytes(x), key.D, key.N)
	z.Add(z, key.Primes[0]).Mod(z, key.N)
	return z.FillBytes(make([]byte, 256))
}

// TestSoftwareKeyFault: a fault in any part of a software key gives no answer, neither by
// itself nor in a completer. One modulo one prime alone would give the primes away
// (Boneh, DeMillo, Lipton).
func TestSoftwareKeyFault(t *testing.T) {
	for _, part := range []string{"dp", "dq", "qInv", "q"} {
		k := splitkeytest.ServerKey(2048)
		x := make([]byte, 256)
		rand.Read(x[1:])
		_, err := k.Exponentiate(ctx, x)
		require.NoError(t, err)
		splitkey.FaultInCRT(k, part)
		y, err := k.Exponentiate(ctx, x)
		require.ErrorIs(t, err, splitkey.ErrServerKey, part)
		require.Nil(t, y)

		p := splitOf(t, splitkeytest.Key(2048), splitkey.Additive, k)
		m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
		require.NoError(t, err)
		partial, err := p.client.SignPartial(m)
		require.NoError(t, err)
		ch, err := p.completer.Check(m, partial)
		require.NoError(t, err)
		sig, err := p.completer.Finish(ctx, ch)
		require.ErrorIs(t, err, splitkey.ErrServerKey, part)
		require.NotErrorIs(t, err, splitkey.ErrSignature, part)
		require.Nil(t, sig)
	}
}

// TestSoftwareKeyIsTried: a key that is consistent but computes wrongly, since one factor
// is composite, is found when it is loaded.
func TestSoftwareKeyIsTried(t *testing.T) {
	one := big.NewInt(1)
	good := splitkeytest.NamedKey(splitkeytest.Server, 2048)
	e := big.NewInt(65537)
	for {
		// A composite of 1024 bits, odd, with top bits like a prime's.
		p := new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int).SetBytes(random(128)), 0, 1), 1023, 1)
		p.SetBit(p, 1022, 1)
		q := good.Primes[1]
		n := new(big.Int).Mul(p, q)
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		lambda := new(big.Int).Mul(p1, q1)
		lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
		d := new(big.Int).ModInverse(e, lambda)
		if d == nil || n.BitLen() != 2048 || p.ProbablyPrime(20) {
			continue
		}
		bad := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
		_, err := splitkeytest.SoftwareKey(bad)
		require.ErrorIs(t, err, splitkey.ErrKey)
		require.ErrorContains(t, err, "trial")
		_, _, err = splitkey.Split(bad, splitkey.Additive)
		require.ErrorIs(t, err, splitkey.ErrKey)
		require.ErrorContains(t, err, "not prime")
		return
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// TestPairwise: the pairwise consistency test keeps back shares that a fault of the
// dealer made not to belong together.
func TestPairwise(t *testing.T) {
	for _, s := range sharings {
		for name, fault := range map[string]func(ds []byte){
			"one bit": func(ds []byte) { ds[200] ^= 4 },
			"one":     func(ds []byte) { clear(ds); ds[len(ds)-1] = 1 },
			"zero":    func(ds []byte) { clear(ds) },
			"too big": func(ds []byte) {
				for i := range ds {
					ds[i] = 0xff
				}
			},
		} {
			c, srv, err := splitkey.SharesWithFault(splitkeytest.Key(2048), s, fault)
			require.Error(t, err, name)
			require.True(t, errors.Is(err, splitkey.ErrKey) || errors.Is(err, splitkey.ErrShare), name)
			require.Nil(t, c, name)
			require.Nil(t, srv, name)
		}
	}
	_, _, err := splitkey.SharesWithFault(splitkeytest.Key(2048), splitkey.Multiplicative, func([]byte) {})
	require.NoError(t, err)
}
