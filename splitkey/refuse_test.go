package splitkey_test

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

func TestOrdinaryPrimes(t *testing.T) {
	key := splitkeytest.NamedKey(splitkeytest.Ordinary, 2048)
	_, _, err := splitkey.Split(key, splitkey.Multiplicative)
	require.ErrorIs(t, err, splitkey.ErrOrdinaryPrimes)
	require.Contains(t, err.Error(), "Additive")
	p := splitOf(t, key, splitkey.Additive, nil)
	p.sign(t, digestFor(crypto.SHA256, "x"), crypto.SHA256)
}

// TestOneOrdinaryPrime: only one of the two primes is l-safe, the first or the second.
func TestOneOrdinaryPrime(t *testing.T) {
	safe, ordinary := splitkeytest.Key(2048).Primes[0], splitkeytest.NamedKey(splitkeytest.Ordinary, 2048).Primes
	for _, q := range ordinary {
		for _, primes := range [][]*big.Int{{safe, q}, {q, safe}} {
			key, err := splitkeytest.PrivateKey(primes[0], primes[1], 65537)
			require.NoError(t, err)
			key.Primes = primes
			_, _, err = splitkey.Split(key, splitkey.Multiplicative)
			require.ErrorIs(t, err, splitkey.ErrOrdinaryPrimes)
			_, _, err = splitkey.Split(key, splitkey.Additive)
			require.NoError(t, err)
		}
	}
}

func TestGenerateKeyRefuses(t *testing.T) {
	for _, bits := range []int{0, -1, 1024, 2047, 2049, 2560, 8192} {
		_, _, err := splitkey.GenerateKey(bits, splitkey.Multiplicative)
		require.ErrorIs(t, err, splitkey.ErrKey)
	}
	for _, s := range []splitkey.Sharing{0, 3, 255} {
		_, _, err := splitkey.GenerateKey(2048, s)
		require.ErrorIs(t, err, splitkey.ErrShare)
		_, _, err = splitkey.Split(splitkeytest.Key(2048), s)
		require.ErrorIs(t, err, splitkey.ErrShare)
	}
}

// TestModifiedKey changes each part of a private key: Split must notice, whatever the
// part.
func TestModifiedKey(t *testing.T) {
	one := big.NewInt(1)
	good := func() *rsa.PrivateKey { return splitkeytest.Key(2048) }
	other := splitkeytest.NamedKey(splitkeytest.Server, 2048)
	add := func(x *big.Int, n int64) *big.Int { return new(big.Int).Add(x, big.NewInt(n)) }
	for name, modify := range map[string]func(k *rsa.PrivateKey){
		"no modulus":         func(k *rsa.PrivateKey) { k.N = nil },
		"zero modulus":       func(k *rsa.PrivateKey) { k.N = new(big.Int) },
		"negative modulus":   func(k *rsa.PrivateKey) { k.N.Neg(k.N) },
		"even modulus":       func(k *rsa.PrivateKey) { k.N = add(k.N, 1) },
		"modulus plus two":   func(k *rsa.PrivateKey) { k.N = add(k.N, 2) },
		"small modulus":      func(k *rsa.PrivateKey) { k.N.Rsh(k.N, 1).SetBit(k.N, 0, 1) },
		"huge modulus":       func(k *rsa.PrivateKey) { k.N.Lsh(k.N, 6145).SetBit(k.N, 0, 1) },
		"exponent zero":      func(k *rsa.PrivateKey) { k.E = 0 },
		"exponent one":       func(k *rsa.PrivateKey) { k.E = 1 },
		"exponent even":      func(k *rsa.PrivateKey) { k.E = 65536 },
		"exponent negative":  func(k *rsa.PrivateKey) { k.E = -65537 },
		"another exponent":   func(k *rsa.PrivateKey) { k.E = 3 },
		"no d":               func(k *rsa.PrivateKey) { k.D = nil },
		"negative d":         func(k *rsa.PrivateKey) { k.D.Neg(k.D) },
		"d plus two":         func(k *rsa.PrivateKey) { k.D = add(k.D, 2) },
		"d zero":             func(k *rsa.PrivateKey) { k.D = new(big.Int) },
		"no primes":          func(k *rsa.PrivateKey) { k.Primes = nil },
		"one prime":          func(k *rsa.PrivateKey) { k.Primes = k.Primes[:1] },
		"nil prime":          func(k *rsa.PrivateKey) { k.Primes[0] = nil },
		"negative primes":    func(k *rsa.PrivateKey) { k.Primes[0].Neg(k.Primes[0]); k.Primes[1].Neg(k.Primes[1]) },
		"prime plus two":     func(k *rsa.PrivateKey) { k.Primes[0] = add(k.Primes[0], 2) },
		"foreign prime":      func(k *rsa.PrivateKey) { k.Primes[1] = other.Primes[1] },
		"factor one":         func(k *rsa.PrivateKey) { k.Primes = []*big.Int{one, new(big.Int).Set(k.N)} },
		"foreign modulus":    func(k *rsa.PrivateKey) { k.N = other.N },
		"p and q equal":      func(k *rsa.PrivateKey) { k.Primes[1] = k.Primes[0]; k.N.Mul(k.Primes[0], k.Primes[0]) },
		"three primes":       func(k *rsa.PrivateKey) { k.Primes = append(k.Primes, big.NewInt(3)) },
		"modulus and d zero": func(k *rsa.PrivateKey) { k.N, k.D = new(big.Int), new(big.Int) },
	} {
		t.Run(name, func(t *testing.T) {
			k := good()
			modify(k)
			for _, s := range sharings {
				_, _, err := splitkey.Split(k, s)
				require.ErrorIs(t, err, splitkey.ErrKey)
			}
		})
	}
	_, _, err := splitkey.Split(nil, splitkey.Additive)
	require.ErrorIs(t, err, splitkey.ErrKey)
}

// TestBadPrimes: keys that are consistent, but not acceptable.
func TestBadPrimes(t *testing.T) {
	p := splitkeytest.Key(2048).Primes[0]
	near := new(big.Int).Add(p, big.NewInt(2))
	for !near.ProbablyPrime(20) || new(big.Int).Mod(near, big.NewInt(65537)).Cmp(big.NewInt(1)) == 0 {
		near.Add(near, big.NewInt(2))
	}
	tooClose, _ := splitkeytest.PrivateKey(near, p, 65537)
	_, _, err := splitkey.Split(tooClose, splitkey.Additive)
	require.ErrorIs(t, err, splitkey.ErrKey)

	// Factors of unequal length: down to a quarter, and not below.
	for _, short := range []int{896, 684, 512, 511} {
		uneven := unevenKey(t, short)
		if short == 511 {
			swapped := *uneven
			swapped.Primes = []*big.Int{uneven.Primes[1], uneven.Primes[0]}
			_, _, err := splitkey.Split(&swapped, splitkey.Additive)
			require.ErrorIs(t, err, splitkey.ErrKey)
		}
		_, _, errMultiplicative := splitkey.Split(uneven, splitkey.Multiplicative)
		if short < 512 {
			_, _, errAdditive := splitkey.Split(uneven, splitkey.Additive)
			require.ErrorIs(t, errAdditive, splitkey.ErrKey)
			require.ErrorIs(t, errMultiplicative, splitkey.ErrKey)
			continue
		}
		require.ErrorIs(t, errMultiplicative, splitkey.ErrOrdinaryPrimes)
		digest := digestFor(crypto.SHA256, "x")
		var want []byte
		fips140.WithoutEnforcement(func() { want, err = rsa.SignPKCS1v15(nil, uneven, crypto.SHA256, digest) })
		require.NoError(t, err)
		require.Equal(t, want, splitOf(t, uneven, splitkey.Additive, nil).sign(t, digest, crypto.SHA256))
	}
}

// unevenKey returns a 2048-bit key with one short prime, not l-safe.
func unevenKey(t *testing.T, short int) *rsa.PrivateKey {
	for {
		var a, b *big.Int
		fips140.WithoutEnforcement(func() {
			var err error
			for a == nil || a.Bit(1) == 1 { // 1 mod 4 is never l-safe
				a, err = rand.Prime(rand.Reader, short)
				require.NoError(t, err)
			}
			b, err = rand.Prime(rand.Reader, 2048-short)
			require.NoError(t, err)
		})
		if new(big.Int).Mul(a, b).BitLen() != 2048 {
			continue
		}
		if key, err := splitkeytest.PrivateKey(a, b, 65537); err == nil {
			return key
		}
	}
}

func TestShareRefused(t *testing.T) {
	key := splitkeytest.Key(2048)
	pub := &key.PublicKey
	for _, s := range []splitkey.Sharing{0, 3} {
		_, err := splitkey.NewClientShare(pub, s, make([]byte, 264))
		require.ErrorIs(t, err, splitkey.ErrShare)
		_, err = splitkey.NewServerShare(pub, s, pub.N.Bytes())
		require.ErrorIs(t, err, splitkey.ErrShare)
	}
	for _, n := range []int{0, 1, 255, 256, 263, 265, 528} {
		_, err := splitkey.NewClientShare(pub, splitkey.Multiplicative, make([]byte, n))
		require.ErrorIs(t, err, splitkey.ErrShare, n)
	}
	for _, d := range []*big.Int{new(big.Int), pub.N, new(big.Int).Add(pub.N, big.NewInt(1))} {
		_, err := splitkey.NewServerShare(pub, splitkey.Multiplicative, d.FillBytes(make([]byte, 256)))
		require.ErrorIs(t, err, splitkey.ErrShare)
	}
	for _, n := range []int{0, 1, 255, 257} {
		_, err := splitkey.NewServerShare(pub, splitkey.Multiplicative, make([]byte, n))
		require.ErrorIs(t, err, splitkey.ErrShare, n)
	}
	for _, bad := range badPublicKeys() {
		_, err := splitkey.NewClientShare(bad, splitkey.Additive, make([]byte, 264))
		require.ErrorIs(t, err, splitkey.ErrKey)
		_, err = splitkey.NewServerShare(bad, splitkey.Additive, make([]byte, 256))
		require.ErrorIs(t, err, splitkey.ErrKey)
		require.ErrorIs(t, splitkey.CheckModulus(bad), splitkey.ErrKey)
		_, err = splitkey.CheckFinalKey(bad, bad)
		require.ErrorIs(t, err, splitkey.ErrKey)
		_, err = splitkey.CheckFinalKey(bad, pub)
		require.ErrorIs(t, err, splitkey.ErrKey)
		_, err = splitkey.CheckFinalKey(pub, bad)
		require.ErrorIs(t, err, splitkey.ErrKey)
	}
	// A modulus that does not fill its bytes is good for a server key, not for a split
	// key.
	odd := &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), 2048), 0, 1), E: 65537}
	_, err := splitkey.NewClientShare(odd, splitkey.Additive, make([]byte, 265))
	require.ErrorIs(t, err, splitkey.ErrKey)
	_, err = splitkey.CheckFinalKey(odd, odd)
	require.ErrorIs(t, err, splitkey.ErrKey)

	var zeroCompleter splitkey.Completer
	require.Nil(t, zeroCompleter.PublicKey())
	_, err = zeroCompleter.Check(nil, nil)
	require.ErrorIs(t, err, splitkey.ErrShare)
	_, err = zeroCompleter.Finish(ctx, &splitkey.Checked{})
	require.ErrorIs(t, err, splitkey.ErrMessage)
	var none *splitkey.Completer
	_, err = none.Check(nil, nil)
	require.ErrorIs(t, err, splitkey.ErrShare)
	_, err = none.Finish(ctx, &splitkey.Checked{})
	require.ErrorIs(t, err, splitkey.ErrMessage)
	require.Nil(t, (*splitkey.ClientShare)(nil).Signer(ctx, nil, nil).Public())
	_, err = (*splitkey.ClientShare)(nil).Signer(ctx, nil, nil).Sign(nil, nil, crypto.SHA256)
	require.ErrorIs(t, err, splitkey.ErrShare)

	var zeroClient splitkey.ClientShare
	require.Nil(t, zeroClient.Secret())
	require.Nil(t, zeroClient.PublicKey())
	zeroClient.Wipe()
	var zeroServer splitkey.ServerShare
	require.Nil(t, zeroServer.Secret())
	require.Nil(t, zeroServer.PublicKey())
	require.Nil(t, zeroServer.Bytes())
	zeroServer.Wipe()
	_, err = zeroClient.SignPartial(nil)
	require.ErrorIs(t, err, splitkey.ErrShare)
	_, err = splitkey.NewCompleter(nil, nil, nil)
	require.ErrorIs(t, err, splitkey.ErrShare)
	_, err = splitkey.NewCompleter(&splitkey.ServerShare{}, nil, nil)
	require.ErrorIs(t, err, splitkey.ErrShare)
}

func badPublicKeys() map[string]*rsa.PublicKey {
	above := int64(1)<<31 + 1
	n := splitkeytest.Key(2048).N
	return map[string]*rsa.PublicKey{
		"nil":          nil,
		"no modulus":   {E: 65537},
		"negative":     {N: new(big.Int).Neg(n), E: 65537},
		"even":         {N: new(big.Int).Add(n, big.NewInt(1)), E: 65537},
		"2047 bits":    {N: new(big.Int).SetBit(new(big.Int).Rsh(n, 1), 0, 1), E: 65537},
		"2040 bits":    {N: new(big.Int).SetBit(new(big.Int).Rsh(n, 8), 0, 1), E: 65537},
		"1024 bits":    {N: splitkeytest.Key(2048).Primes[0], E: 65537},
		"too long":     {N: new(big.Int).SetBit(new(big.Int).Lsh(n, 15000), 0, 1), E: 65537},
		"e zero":       {N: n, E: 0},
		"e one":        {N: n, E: 1},
		"e even":       {N: n, E: 65536},
		"e negative":   {N: n, E: -3},
		"e above 2^31": {N: n, E: int(above)}, // negative where an int has 32 bits
	}
}

// TestCheckFinalKey: which keys a server may call the final key of a client key.
func TestCheckFinalKey(t *testing.T) {
	n1, n2 := splitkeytest.Key(2048).N, splitkeytest.NamedKey(splitkeytest.Server, 2048).N
	device := &rsa.PublicKey{N: n1, E: 65537}
	times := func(xs ...*big.Int) *rsa.PublicKey {
		n := new(big.Int).Set(n1)
		for _, x := range xs {
			n.Mul(n, x)
		}
		return &rsa.PublicKey{N: n, E: 65537}
	}
	c, _, err := splitkey.Split(splitkeytest.Key(2048), splitkey.Multiplicative)
	require.NoError(t, err)
	for _, final := range []*rsa.PublicKey{device, times(n2), times(splitkeytest.Key(3072).N)} {
		k, err := splitkey.CheckFinalKey(final, device)
		require.NoError(t, err)
		require.True(t, final.Equal(k.PublicKey()))
		for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256}} {
			m, err := k.Encode(make([]byte, 32), opts)
			require.NoError(t, err)
			require.Same(t, k, m.FinalKey())
			_, err = c.SignPartial(m)
			require.NoError(t, err)
		}
		// The key that is kept is neither the one given nor the one returned.
		k.PublicKey().N.SetInt64(15)
		given := &rsa.PublicKey{N: new(big.Int).Set(final.N), E: final.E}
		k, err = splitkey.CheckFinalKey(given, device)
		require.NoError(t, err)
		given.N.SetInt64(15)
		require.True(t, final.Equal(k.PublicKey()))
	}
	p := splitkeytest.Key(2048).Primes[0]
	q2 := splitkeytest.NamedKey(splitkeytest.Server, 2048).Primes[0]
	for name, final := range map[string]*rsa.PublicKey{
		"nil": nil, "no modulus": {E: 65537}, "another key": {N: n2, E: 65537}, "n1 + 2": {N: new(big.Int).Add(n1, big.NewInt(2)), E: 65537},
		"n1 squared": times(n1), "three n1": times(big.NewInt(3)), "p n1": times(p), "p q2 n1": times(p, q2), "a short n2": times(q2), "n1 n1 n2": times(n1, n2),
		"even": times(new(big.Int).Add(n2, big.NewInt(1))), "another exponent": {N: times(n2).N, E: 3}, "too long": times(n2, n2, n2, n2, n2),
	} {
		k, err := splitkey.CheckFinalKey(final, device)
		require.ErrorIs(t, err, splitkey.ErrKey, name)
		require.Nil(t, k, name)
		for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256}} {
			_, err = k.Encode(make([]byte, 32), opts)
			require.ErrorIs(t, err, splitkey.ErrKey, name)
		}
		_, err = c.Signer(t.Context(), k, askNobody).Sign(nil, make([]byte, 32), crypto.SHA256)
		require.ErrorIs(t, err, splitkey.ErrKey, name)
	}
}

func askNobody(context.Context, *splitkey.Message, []byte) ([]byte, error) { panic("asked the server") }

// TestFinalKeyOfAnother: a share signs for the final keys of its own client key only,
// also where the final key is a composite that its own client key divides.
func TestFinalKeyOfAnother(t *testing.T) {
	k1, k2 := splitkeytest.Key(2048), splitkeytest.NamedKey(splitkeytest.Server, 2048)
	product := &rsa.PublicKey{N: new(big.Int).Mul(k1.N, k2.N), E: 65537}
	digest := make([]byte, 32)
	for _, s := range sharings {
		mine := splitOf(t, k1, s, splitkeytest.ServerKey(2048))
		theirs, err := splitkey.CheckFinalKey(product, &k2.PublicKey)
		require.NoError(t, err)
		require.True(t, mine.pub().Equal(theirs.PublicKey()))
		m, err := theirs.Encode(digest, crypto.SHA256)
		require.NoError(t, err)
		_, err = mine.client.SignPartial(m)
		require.ErrorIs(t, err, splitkey.ErrMessage)
		_, err = mine.client.Signer(t.Context(), theirs, askNobody).Sign(nil, digest, crypto.SHA256)
		require.ErrorIs(t, err, splitkey.ErrMessage)
		right, err := splitkey.CheckFinalKey(product, &k1.PublicKey)
		require.NoError(t, err)
		m, err = right.Encode(digest, crypto.SHA256)
		require.NoError(t, err)
		y, err := mine.client.SignPartial(m)
		require.NoError(t, err)
		_, err = mine.completer.Check(m, y)
		require.NoError(t, err, "one final key, checked on either side")
		m, err = theirs.Encode(digest, crypto.SHA256)
		require.NoError(t, err)
		_, err = mine.completer.Check(m, y)
		require.ErrorIs(t, err, splitkey.ErrMessage)
	}
}

func TestCheckModulus(t *testing.T) {
	n := splitkeytest.Key(2048).N
	require.NoError(t, splitkey.CheckModulus(&rsa.PublicKey{N: n, E: 65537}))
	require.ErrorIs(t, splitkey.CheckModulus(&rsa.PublicKey{N: new(big.Int).Mul(splitkeytest.Key(4096).N, n), E: 65537}), splitkey.ErrKey, "6144 bits")
	for _, r := range []int64{3, 65521, 65537} {
		// The nearest multiple of r below n, made odd.
		m := new(big.Int).Sub(n, new(big.Int).Mod(n, big.NewInt(r)))
		if m.Bit(0) == 0 {
			m.Sub(m, big.NewInt(r))
		}
		require.ErrorIs(t, splitkey.CheckModulus(&rsa.PublicKey{N: m, E: 65537}), splitkey.ErrKey)
	}
}

func TestEncodeRefuses(t *testing.T) {
	pub := splitkeytest.FinalKey(t, &splitkeytest.Key(2048).PublicKey)
	for name, opts := range map[string]crypto.SignerOpts{
		"nil": nil, "no hash": crypto.Hash(0), "md5": crypto.MD5, "sha1": crypto.SHA1, "sha224": crypto.SHA224,
		"sha512/256": crypto.SHA512_256, "pss without hash": &rsa.PSSOptions{}, "pss sha1": &rsa.PSSOptions{Hash: crypto.SHA1},
		"nil pss": (*rsa.PSSOptions)(nil), "unknown salt": &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: -2},
		"salt too long": &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 256 - 32 - 1},
	} {
		size := 32
		if name == "sha1" || name == "pss sha1" {
			size = 20
		}
		_, err := pub.Encode(make([]byte, size), opts)
		require.ErrorIs(t, err, splitkey.ErrMessage, name)
		_, err = pub.EncodeWithSalt(make([]byte, size), opts, nil)
		require.ErrorIs(t, err, splitkey.ErrMessage, name)
	}
	for _, n := range []int{0, 20, 31, 33, 64} {
		_, err := pub.Encode(make([]byte, n), crypto.SHA256)
		require.ErrorIs(t, err, splitkey.ErrMessage)
		_, err = pub.Encode(make([]byte, n), &rsa.PSSOptions{Hash: crypto.SHA256})
		require.ErrorIs(t, err, splitkey.ErrMessage)
	}
	digest := make([]byte, 32)
	_, err := pub.EncodeWithSalt(digest, crypto.SHA256, []byte{1})
	require.ErrorIs(t, err, splitkey.ErrMessage)
	equal := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	_, err = pub.EncodeWithSalt(digest, equal, make([]byte, 31))
	require.ErrorIs(t, err, splitkey.ErrMessage)
	m, err := pub.EncodeWithSalt(digest, equal, make([]byte, 32))
	require.NoError(t, err)
	require.Equal(t, make([]byte, 32), m.Salt())
	auto := &rsa.PSSOptions{Hash: crypto.SHA256}
	for _, n := range []int{0, 1, 256 - 32 - 2} {
		_, err = pub.EncodeWithSalt(digest, auto, make([]byte, n))
		if fips140.Enforced() && n > 32 {
			require.ErrorIs(t, err, splitkey.ErrFIPS)
			continue
		}
		require.NoError(t, err)
	}
	_, err = pub.EncodeWithSalt(digest, auto, make([]byte, 256-32-1))
	require.ErrorIs(t, err, splitkey.ErrMessage)
}

// TestPartialRefused: everything but the right y of exactly this message is refused.
func TestPartialRefused(t *testing.T) {
	key := splitkeytest.Key(2048)
	n := key.N
	one := big.NewInt(1)
	fill := func(x *big.Int) []byte { return x.FillBytes(make([]byte, 256)) }
	for _, s := range sharings {
		for _, own := range []splitkey.RSAKey{nil, splitkeytest.ServerKey(2048)} {
			p := splitOf(t, key, s, own)
			encode := func(text string, opts crypto.SignerOpts) *splitkey.Message {
				m, err := p.final().Encode(digestFor(crypto.SHA256, text), opts)
				require.NoError(t, err)
				return m
			}
			m := encode("x", crypto.SHA256)
			y, err := p.client.SignPartial(m)
			require.NoError(t, err)
			_, err = p.completer.Check(m, y)
			require.NoError(t, err)

			for name, bad := range map[string][]byte{
				"nil": nil, "empty": {}, "short": y[1:], "long": append([]byte{0}, y...), "zero": fill(new(big.Int)),
				"one": fill(one), "n-1": fill(new(big.Int).Sub(n, one)), "n": fill(n), "n+1": fill(new(big.Int).Add(n, one)),
				"y+n": new(big.Int).Add(n, new(big.Int).SetBytes(y)).FillBytes(make([]byte, 257)), "all ones": fill(new(big.Int).Sub(new(big.Int).Lsh(one, 2048), one)),
			} {
				_, err = p.completer.Check(m, bad)
				require.ErrorIs(t, err, splitkey.ErrMalformedPartial, name)
			}
			for name, bad := range map[string][]byte{
				"two": fill(big.NewInt(2)), "n-2": fill(new(big.Int).Sub(n, big.NewInt(2))), "n-y": fill(new(big.Int).Sub(n, new(big.Int).SetBytes(y))),
				"p": fill(key.Primes[0]), "q": fill(key.Primes[1]), "message": fill(new(big.Int).Mod(new(big.Int).SetBytes(m.Bytes()), n)),
				"bit flipped": append(append([]byte{}, y[:255]...), y[255]^1),
			} {
				_, err = p.completer.Check(m, bad)
				require.ErrorIs(t, err, splitkey.ErrPartial, name)
				_, err = p.complete(ctx, m, bad)
				require.ErrorIs(t, err, splitkey.ErrPartial, name)
			}
			_, err = p.completer.Check(encode("another", crypto.SHA256), y)
			require.ErrorIs(t, err, splitkey.ErrPartial)
			_, err = p.completer.Check(encode("x", &rsa.PSSOptions{Hash: crypto.SHA256}), y)
			require.ErrorIs(t, err, splitkey.ErrPartial)

			foreign, err := splitkeytest.FinalKey(t, &splitkeytest.NamedKey(splitkeytest.Ordinary, 2048).PublicKey).Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
			require.NoError(t, err)
			_, err = p.completer.Check(foreign, y)
			require.ErrorIs(t, err, splitkey.ErrMessage)
			_, err = p.client.SignPartial(foreign)
			require.ErrorIs(t, err, splitkey.ErrMessage)
			_, err = p.completer.Check(nil, y)
			require.ErrorIs(t, err, splitkey.ErrMessage)
			_, err = p.completer.Check(&splitkey.Message{}, y)
			require.ErrorIs(t, err, splitkey.ErrMessage)
			_, err = p.client.SignPartial(nil)
			require.ErrorIs(t, err, splitkey.ErrMessage)

			_, err = p.completer.Finish(ctx, nil)
			require.ErrorIs(t, err, splitkey.ErrMessage)
			_, err = p.completer.Finish(ctx, &splitkey.Checked{})
			require.ErrorIs(t, err, splitkey.ErrMessage)
			twin, err := splitkey.NewCompleter(p.server, own, nil)
			require.NoError(t, err)
			ch, err := twin.Check(m, y)
			require.NoError(t, err)
			_, err = p.completer.Finish(ctx, ch)
			require.ErrorIs(t, err, splitkey.ErrMessage)

			clientCopy, serverCopy := *p.client, *p.server
			p.server.Wipe()
			require.Nil(t, p.server.Secret())
			require.Nil(t, p.server.Bytes())
			_, err = p.completer.Check(m, y)
			require.ErrorIs(t, err, splitkey.ErrShare)
			p.client.Wipe()
			_, err = p.client.SignPartial(m)
			require.ErrorIs(t, err, splitkey.ErrShare)
			_, err = clientCopy.SignPartial(m)
			require.ErrorIs(t, err, splitkey.ErrShare, "a copy lives on")
			_, err = splitkey.NewCompleter(&serverCopy, nil, nil)
			require.ErrorIs(t, err, splitkey.ErrShare, "a copy lives on")
		}
	}
}

// faulty is a server key that returns what the test tells it to.
type faulty struct {
	*splitkey.SoftwareKey
	answer func(y []byte) ([]byte, error)
}

func (f faulty) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	y, err := f.SoftwareKey.Exponentiate(ctx, x)
	if err != nil {
		return nil, err
	}
	return f.answer(y)
}

// TestFaultyServerKey: whatever an HSM answers instead of x^d, nothing leaves. One wrong
// bit in one half of a CRT computation would give away its primes.
func TestFaultyServerKey(t *testing.T) {
	k2 := splitkeytest.NamedKey(splitkeytest.Server, 2048)
	busy := errors.New("busy")
	for name, answer := range map[string]func(y []byte) ([]byte, error){
		"error":       func(y []byte) ([]byte, error) { return nil, busy },
		"nothing":     func(y []byte) ([]byte, error) { return nil, nil },
		"short":       func(y []byte) ([]byte, error) { return y[1:], nil },
		"long":        func(y []byte) ([]byte, error) { return append(y, 0), nil },
		"bit flipped": func(y []byte) ([]byte, error) { y[100] ^= 4; return y, nil },
		"not reduced": func(y []byte) ([]byte, error) { return k2.N.FillBytes(make([]byte, 256)), nil },
		"negated":     func(y []byte) ([]byte, error) { return negate(y, k2.N), nil },
		"fault modulo p": func(y []byte) ([]byte, error) {
			// Right modulo q, wrong modulo p: what a glitch in one CRT half makes.
			z := new(big.Int).Add(new(big.Int).SetBytes(y), k2.Primes[1])
			return z.Mod(z, k2.N).FillBytes(make([]byte, 256)), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			own := faulty{splitkeytest.ServerKey(2048), answer}
			p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, own)
			m, err := p.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
			require.NoError(t, err)
			y, err := p.client.SignPartial(m)
			require.NoError(t, err)
			ch, err := p.completer.Check(m, y)
			require.NoError(t, err, "the client is not at fault")
			sig, err := p.completer.Finish(ctx, ch)
			require.ErrorIs(t, err, splitkey.ErrServerKey)
			require.Nil(t, sig)
			if name == "error" {
				require.ErrorIs(t, err, busy)
			}
		})
	}
}

func negate(y []byte, n *big.Int) []byte {
	return new(big.Int).Sub(n, new(big.Int).SetBytes(y)).FillBytes(make([]byte, len(y)))
}

// odd is an RSAKey with any public key.
type odd struct{ pub crypto.PublicKey }

func (o odd) Public() crypto.PublicKey                             { return o.pub }
func (o odd) Exponentiate(context.Context, []byte) ([]byte, error) { return nil, errors.ErrUnsupported }

func TestNewCompleterRefuses(t *testing.T) {
	key := splitkeytest.Key(2048)
	_, srv, err := splitkey.Split(key, splitkey.Additive)
	require.NoError(t, err)
	n2 := splitkeytest.NamedKey(splitkeytest.Server, 2048).N
	shared := new(big.Int).Mul(key.Primes[0], splitkeytest.NamedKey(splitkeytest.Server, 2048).Primes[0])
	for name, pub := range map[string]crypto.PublicKey{
		"not RSA": "key", "nil": nil, "nil RSA": (*rsa.PublicKey)(nil), "same modulus": &key.PublicKey,
		"another exponent": &rsa.PublicKey{N: n2, E: 3}, "even": &rsa.PublicKey{N: new(big.Int).Add(n2, big.NewInt(1)), E: 65537},
		"common factor": &rsa.PublicKey{N: shared, E: 65537}, "small": &rsa.PublicKey{N: key.Primes[0], E: 65537},
	} {
		_, err := splitkey.NewCompleter(srv, odd{pub}, nil)
		require.ErrorIs(t, err, splitkey.ErrKey, name)
	}
	for _, none := range []*splitkey.SoftwareKey{nil, {}} {
		_, err := splitkey.NewCompleter(srv, none, nil)
		require.ErrorIs(t, err, splitkey.ErrKey)
	}
}

// TestRestoreCompleter: a completer comes back from its precomputed value, and from no
// other.
func TestRestoreCompleter(t *testing.T) {
	_, srv, err := splitkey.Split(splitkeytest.Key(2048), splitkey.Multiplicative)
	require.NoError(t, err)
	own := splitkeytest.ServerKey(2048)
	c, err := splitkey.NewCompleter(srv, own, nil)
	require.NoError(t, err)
	pre := c.Precomputed()
	require.Len(t, pre, 256)
	for _, given := range [][]byte{nil, {}, pre} {
		r, err := splitkey.NewCompleter(srv, own, given)
		require.NoError(t, err)
		require.True(t, c.PublicKey().Equal(r.PublicKey()))
		require.Equal(t, pre, r.Precomputed())
	}
	larger := new(big.Int).Add(new(big.Int).SetBytes(pre), own.Public().(*rsa.PublicKey).N).Bytes()
	for _, bad := range [][]byte{pre[1:], append([]byte{0}, pre...), make([]byte, 256), append(append([]byte{}, pre[:255]...), pre[255]^1), larger} {
		_, err = splitkey.NewCompleter(srv, own, bad)
		require.ErrorIs(t, err, splitkey.ErrKey)
	}
	two, err := splitkey.NewCompleter(srv, nil, []byte{})
	require.NoError(t, err)
	require.Empty(t, two.Precomputed())
	_, err = splitkey.NewCompleter(srv, nil, pre)
	require.ErrorIs(t, err, splitkey.ErrKey)
}

func TestSoftwareKeyRefuses(t *testing.T) {
	k := splitkeytest.ServerKey(2048)
	n := splitkeytest.NamedKey(splitkeytest.Server, 2048).N
	for _, x := range [][]byte{nil, make([]byte, 255), make([]byte, 257), n.Bytes(), new(big.Int).Add(n, big.NewInt(1)).Bytes()} {
		_, err := k.Exponentiate(ctx, x)
		require.ErrorIs(t, err, splitkey.ErrServerKey)
	}
	var zero splitkey.SoftwareKey
	_, err := zero.Exponentiate(ctx, make([]byte, 256))
	require.ErrorIs(t, err, splitkey.ErrServerKey)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = k.Exponentiate(cancelled, make([]byte, 256))
	require.ErrorIs(t, err, context.Canceled)
}

// TestSoftwareKeyAgainstBig: x^d mod n at random and at the edges.
func TestSoftwareKeyAgainstBig(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			key := splitkeytest.NamedKey(splitkeytest.Server, bits)
			k, err := splitkeytest.SoftwareKey(key)
			require.NoError(t, err)
			r, _ := rand.Int(rand.Reader, key.N)
			for _, x := range []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(2), key.Primes[0], key.Primes[1],
				new(big.Int).Sub(key.N, big.NewInt(1)), r} {
				y, err := k.Exponentiate(ctx, x.FillBytes(make([]byte, bits/8)))
				require.NoError(t, err)
				require.Equal(t, new(big.Int).Exp(x, key.D, key.N).FillBytes(make([]byte, bits/8)), y)
			}
		})
	}
}
