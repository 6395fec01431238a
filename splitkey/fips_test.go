package splitkey_test

import (
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/fipstest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestFIPSOnly: what crypto/rsa would not verify in FIPS 140-only mode is refused where
// it first shows, with the cause; all else signs.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	key := splitkeytest.Key(2048)
	digest := digestFor(crypto.SHA256, "x")
	for _, s := range sharings {
		for _, own := range []splitkey.RSAKey{nil, splitkeytest.ServerKey(2048)} {
			p := splitOf(t, key, s, own)
			for _, h := range hashes {
				for _, opts := range []crypto.SignerOpts{h, &rsa.PSSOptions{Hash: h}, &rsa.PSSOptions{Hash: h, SaltLength: 20}} {
					p.sign(t, digestFor(h, "x"), opts)
				}
				long := &rsa.PSSOptions{Hash: h, SaltLength: h.Size() + 1}
				_, err := p.final().Encode(digestFor(h, "x"), long)
				require.ErrorIs(t, err, splitkey.ErrMessage)
				require.ErrorIs(t, err, splitkey.ErrFIPS)
				for _, opts := range []crypto.SignerOpts{long, &rsa.PSSOptions{Hash: h}} {
					_, err = p.final().EncodeWithSalt(digestFor(h, "x"), opts, make([]byte, h.Size()+1))
					require.ErrorIs(t, err, splitkey.ErrMessage)
					require.ErrorIs(t, err, splitkey.ErrFIPS)
				}
			}
		}
	}
	c, srv, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
	require.NoError(t, err)
	completer, err := splitkey.NewCompleter(srv, nil, nil)
	require.NoError(t, err)
	(&pair{c, srv, completer}).sign(t, digest, crypto.SHA256)

	var small *rsa.PrivateKey
	for e := 3; small == nil; e += 2 {
		small, _ = splitkeytest.PrivateKey(key.Primes[0], key.Primes[1], e)
	}
	pub := &small.PublicKey
	x, d := make([]byte, 264), append(make([]byte, 255), 1)
	refusals := map[string]func() error{
		"Split":            func() error { _, _, err := splitkey.Split(small, splitkey.Additive); return err },
		"ParseSoftwareKey": func() error { _, err := splitkeytest.SoftwareKey(small); return err },
		"CheckModulus":     func() error { return splitkey.CheckModulus(pub) },
		"CheckFinalKey":    func() error { _, err := splitkey.CheckFinalKey(pub, pub); return err },
		"NewClientShare":   func() error { _, err := splitkey.NewClientShare(pub, splitkey.Additive, x); return err },
		"NewServerShare":   func() error { _, err := splitkey.NewServerShare(pub, splitkey.Additive, d); return err },
		"ParseServerShare": func() (err error) {
			var b []byte
			fips140.WithoutEnforcement(func() {
				s, err := splitkey.NewServerShare(pub, splitkey.Additive, d)
				require.NoError(t, err)
				b = s.Bytes()
			})
			_, err = splitkey.ParseServerShare(b)
			return err
		},
	}
	for name, f := range refusals {
		err := f()
		require.ErrorIs(t, err, splitkey.ErrKey, name)
		require.ErrorIs(t, err, splitkey.ErrFIPS, name)
		fips140.WithoutEnforcement(func() { require.NoError(t, f(), name) })
	}

	odd, err := splitkeytest.SoftwareKey(shortProduct(t, key.N))
	require.NoError(t, err)
	requireOddRefused(t, key, odd)
}

// requireOddRefused: of a composite with an odd number of bits both parties are told
// before they sign.
func requireOddRefused(t *testing.T, key *rsa.PrivateKey, own *splitkey.SoftwareKey) {
	_, srv, err := splitkey.Split(key, splitkey.Multiplicative)
	require.NoError(t, err)
	n2 := own.Public().(*rsa.PublicKey).N
	final := &rsa.PublicKey{N: new(big.Int).Mul(key.N, n2), E: key.E}
	check := func(requireThat func(error)) {
		_, err = splitkey.NewCompleter(srv, own, nil)
		requireThat(err)
		_, err = splitkey.CheckFinalKey(final, &key.PublicKey)
		requireThat(err)
	}
	check(func(err error) {
		require.ErrorIs(t, err, splitkey.ErrKey)
		require.ErrorIs(t, err, splitkey.ErrFIPS)
	})
	fips140.WithoutEnforcement(func() { check(func(err error) { require.NoError(t, err) }) })
}
