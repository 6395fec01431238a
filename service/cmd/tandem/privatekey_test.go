package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/splitkey"
)

// primeOf returns a prime with its two upper bits set. (crypto/rand's Prime refuses in
// FIPS 140-only mode.)
func primeOf(bits int) *big.Int {
	b := make([]byte, (bits+7)/8)
	for {
		rand.Read(b)
		p := new(big.Int).SetBytes(b)
		p.Rsh(p, uint(8*len(b)-bits))
		p.SetBit(p.SetBit(p.SetBit(p, 0, 1), bits-1, 1), bits-2, 1)
		if p.ProbablyPrime(20) {
			return p
		}
	}
}

// keyOf returns an RSA key of two primes of these lengths, with the public exponent e.
func keyOf(t *testing.T, bitsP, bitsQ, e int) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	for {
		p, q := primeOf(bitsP), primeOf(bitsQ)
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(big.NewInt(int64(e)), phi)
		if d == nil || n.BitLen() != bitsP+bitsQ || p.Cmp(q) == 0 {
			continue
		}
		return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, D: d, Primes: []*big.Int{p, q}}
	}
}

// TestRecover finds the primes of keys by n, e and d: d modulo (p-1)(q-1) or modulo their
// least common multiple, small exponents and large ones, factors of unequal length.
func TestRecover(t *testing.T) {
	t.Parallel()
	one := big.NewInt(1)
	for _, size := range []struct{ p, q, e int }{
		{1024, 1024, 65537}, {1024, 1024, 3}, {1024, 1024, 17}, {1024, 1024, 1<<31 - 1}, {1500, 548, 65537}, {1536, 1536, 65537},
	} {
		key := keyOf(t, size.p, size.q, size.e)
		p, q := key.Primes[0], key.Primes[1]
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		lambda := new(big.Int).Div(new(big.Int).Mul(p1, q1), new(big.Int).GCD(nil, nil, p1, q1))
		for _, d := range []*big.Int{key.D, new(big.Int).Mod(key.D, lambda)} {
			k := &keyParts{n: key.N, e: size.e, d: d}
			private, err := k.private()
			require.NoError(t, err, "%v", size)
			require.NoError(t, private.Validate())
			require.ElementsMatch(t, []string{p.String(), q.String()}, []string{k.p.String(), k.q.String()})
		}
		// Another exponent, another modulus: no primes, and no panic.
		for _, k := range []*keyParts{
			{n: key.N, e: size.e, d: new(big.Int).Add(key.D, one)},
			{n: key.N, e: size.e, d: one},
			{n: key.N, e: size.e, d: new(big.Int).Sub(key.N, one)},
			{n: new(big.Int).Add(key.N, big.NewInt(2)), e: size.e, d: key.D},
			{n: one, e: 1, d: one},
			{n: key.N, e: 1, d: one},
		} {
			require.Error(t, k.recover())
			require.Nil(t, k.p)
		}
	}
	// Of three primes there are no two.
	three := keyOf(t, 1024, 1024, 65537)
	r := primeOf(512)
	phi := new(big.Int).Sub(r, one)
	for _, p := range three.Primes {
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	n := new(big.Int).Mul(three.N, r)
	if d := new(big.Int).ModInverse(big.NewInt(65537), phi); d != nil {
		require.Error(t, (&keyParts{n: n, e: 65537, d: d}).recover())
	}
}

// TestZeroPrimes reads PKCS #1 whose primes are zeros, as Java writes a key without them.
func TestZeroPrimes(t *testing.T) {
	t.Parallel()
	key := keyOf(t, 1024, 1024, 65537)
	zero := new(big.Int)
	der, err := asn1.Marshal(struct {
		Version                  int
		N, E, D, P, Q, DP, DQ, U *big.Int
	}{0, key.N, big.NewInt(65537), key.D, zero, zero, zero, zero, zero})
	require.NoError(t, err)
	k, err := parsePrivateKey("key", der)
	require.NoError(t, err)
	private, err := k.private()
	require.NoError(t, err)
	require.NoError(t, private.Validate())
}

// TestImportedKeyIsWiped looks at the numbers of a key after it was wiped, and where it
// was refused.
func TestImportedKeyIsWiped(t *testing.T) {
	t.Parallel()
	key := keyOf(t, 1024, 1024, 65537)
	k := &keyParts{n: key.N, e: key.E, d: key.D, p: key.Primes[0], q: key.Primes[1]}
	words := [][]big.Word{k.d.Bits(), k.p.Bits(), k.q.Bits()}
	k.wipe()
	for _, w := range words {
		require.NotEmpty(t, w)
		require.Equal(t, make([]big.Word, len(w)), w)
	}
	other := keyOf(t, 1024, 1024, 65537)
	words = [][]big.Word{other.D.Bits(), other.Primes[0].Bits()}
	_, err := newKeyParts(other.N, big.NewInt(0), other.D, other.Primes[0], other.Primes[1])
	require.Error(t, err)
	for _, w := range words {
		require.Equal(t, make([]big.Word, len(w)), w)
	}
	// What PEM was decoded to is cleared in place.
	der := x509.MarshalPKCS1PrivateKey(keyOf(t, 1024, 1024, 65537))
	_, err = parsePrivateKey("key", der)
	require.NoError(t, err)
	require.Equal(t, make([]byte, len(der)), der)
}

// TestInconsistentKey: why a key cannot be split is said.
func TestInconsistentKey(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	key := keyOf(t, 1024, 1024, 65537)
	key.D = new(big.Int).Add(key.D, big.NewInt(2))
	write := func(der []byte) string {
		name := file + ".key"
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}), 0o600))
		return name
	}
	der, err := asn1.Marshal(struct {
		Version                  int
		N, E, D, P, Q, DP, DQ, U *big.Int
	}{0, key.N, big.NewInt(65537), key.D, key.Primes[0], key.Primes[1], key.D, key.D, key.D})
	require.NoError(t, err)
	code, out := inProcess(map[string]string{"TANDEM_PIN": "80351"}, "enroll", "-server", server, "-device", device+"2", "-sharing", "additive", "-import", write(der), "-json")
	require.Equal(t, exitFailure, code, "%s", out)
	require.Contains(t, out, `"kind": "bad_key"`)
	require.Contains(t, out, "it cannot be split")
	require.Contains(t, out, "e*d is not 1 modulo p-1 and q-1")
	// Of n, e and d that do not belong together no primes follow.
	text, err := json.Marshal(map[string]string{
		"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": "AQAB", "d": base64.RawURLEncoding.EncodeToString(key.D.Bytes()),
	})
	require.NoError(t, err)
	name := file + ".json"
	require.NoError(t, os.WriteFile(name, text, 0o600))
	code, out = inProcess(map[string]string{"TANDEM_PIN": "80351"}, "enroll", "-server", server, "-device", device+"2", "-sharing", "additive", "-import", name, "-json")
	require.Equal(t, exitFailure, code, "%s", out)
	require.Contains(t, out, "do not belong to its modulus")
	require.NoDirExists(t, device+"2")
}

// TestOutputVerifies: what does not verify under the device's public key is not written,
// and not released.
func TestOutputVerifies(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	digest := make([]byte, 32)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "sig")
	s := server.Signed{Digests: [][]byte{digest}, Options: crypto.SHA256, Signatures: [][]byte{signature}}
	require.Error(t, (&output{names: []string{name}, public: &other.PublicKey}).signed(t.Context(), s))
	require.NoFileExists(t, name)
	o := &output{names: []string{name}, public: &key.PublicKey}
	require.NoError(t, o.signed(t.Context(), s))
	require.NoError(t, o.signed(t.Context(), s), "once more")
	written, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, signature, written)
}

// TestInterruptMaking: Ctrl-C does not wait until a key is made.
func TestInterruptMaking(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := newApp()
	k := &newKey{key: pin2Key, fresh: true, sharing: splitkey.Multiplicative}
	require.ErrorIs(t, k.make(ctx, &call{app: a, progress: newProgress(a.errOut)}, serverConfig{ClientBits: 2048}), context.Canceled)
	require.Nil(t, k.client)
}
