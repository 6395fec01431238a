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

// primeOf returns a prime p with its two upper bits set, and p-1 coprime to the
// exponents. (crypto/rand's Prime refuses in FIPS 140-only mode.)
func primeOf(bits int, exponents ...int) *big.Int {
	one := big.NewInt(1)
	b := make([]byte, (bits+7)/8)
next:
	for {
		rand.Read(b)
		p := new(big.Int).SetBytes(b)
		p.Rsh(p, uint(8*len(b)-bits))
		p.SetBit(p.SetBit(p.SetBit(p, 0, 1), bits-1, 1), bits-2, 1)
		for _, e := range exponents {
			if new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), big.NewInt(int64(e))).Cmp(one) != 0 {
				continue next
			}
		}
		if p.ProbablyPrime(0) {
			return p
		}
	}
}

// keyOf reads a key of testdata/keys.
func keyOf(t *testing.T, name string) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/keys", name))
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	require.NotNil(t, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(*rsa.PrivateKey)
}

// TestRecover finds the primes of keys by n, e and d: d modulo (p-1)(q-1) or modulo their
// least common multiple, small exponents and large ones, factors of unequal length.
func TestRecover(t *testing.T) {
	t.Parallel()
	one := big.NewInt(1)
	for _, size := range []struct {
		p, q      int
		exponents []int
	}{
		{1024, 1024, []int{65537, 3, 17, 1<<31 - 1}}, {1500, 548, []int{65537}}, {1536, 1536, []int{65537}},
	} {
		p, q := primeOf(size.p, size.exponents...), primeOf(size.q, size.exponents...)
		for _, e := range size.exponents {
			recoverPrimes(t, p, q, e)
		}
	}
	// Of three primes there are no two.
	n, phi := big.NewInt(1), big.NewInt(1)
	for range 3 {
		p := primeOf(704, 65537)
		n.Mul(n, p)
		phi.Mul(phi, p.Sub(p, one))
	}
	d := new(big.Int).ModInverse(big.NewInt(65537), phi)
	require.Error(t, (&keyParts{n: n, e: 65537, d: d}).recover())
}

// recoverPrimes checks that p and q are found from their product and e.
func recoverPrimes(t *testing.T, p, q *big.Int, e int) {
	t.Helper()
	one := big.NewInt(1)
	n := new(big.Int).Mul(p, q)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	phi := new(big.Int).Mul(p1, q1)
	lambda := new(big.Int).Div(phi, new(big.Int).GCD(nil, nil, p1, q1))
	d := new(big.Int).ModInverse(big.NewInt(int64(e)), phi)
	for _, d := range []*big.Int{d, new(big.Int).Mod(d, lambda)} {
		k := &keyParts{n: n, e: e, d: d}
		private, err := k.private()
		require.NoError(t, err, "%d", e)
		require.NoError(t, private.Validate())
		require.ElementsMatch(t, []string{p.String(), q.String()}, []string{k.p.String(), k.q.String()})
	}
	// Another exponent, another modulus: no primes, and no panic.
	for _, k := range []*keyParts{
		{n: n, e: e, d: new(big.Int).Add(d, one)},
		{n: n, e: e, d: one},
		{n: n, e: e, d: new(big.Int).Sub(n, one)},
		{n: new(big.Int).Add(n, big.NewInt(2)), e: e, d: d},
		{n: one, e: 1, d: one},
		{n: n, e: 1, d: one},
	} {
		require.Error(t, k.recover())
		require.Nil(t, k.p)
	}
}

// TestZeroPrimes reads PKCS #1 whose primes are zeros, as Java writes a key without them.
func TestZeroPrimes(t *testing.T) {
	t.Parallel()
	key := keyOf(t, "rsa2048.pem")
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
	key := keyOf(t, "rsa2048.pem")
	k := &keyParts{n: key.N, e: key.E, d: key.D, p: key.Primes[0], q: key.Primes[1]}
	words := [][]big.Word{k.d.Bits(), k.p.Bits(), k.q.Bits()}
	k.wipe()
	for _, w := range words {
		require.NotEmpty(t, w)
		require.Equal(t, make([]big.Word, len(w)), w)
	}
	other := keyOf(t, "rsa2048.pem")
	words = [][]big.Word{other.D.Bits(), other.Primes[0].Bits()}
	_, err := newKeyParts(other.N, big.NewInt(0), other.D, other.Primes[0], other.Primes[1])
	require.Error(t, err)
	for _, w := range words {
		require.Equal(t, make([]big.Word, len(w)), w)
	}
	// What PEM was decoded to is cleared in place.
	der := x509.MarshalPKCS1PrivateKey(keyOf(t, "rsa2048.pem"))
	_, err = parsePrivateKey("key", der)
	require.NoError(t, err)
	require.Equal(t, make([]byte, len(der)), der)
}

// TestInconsistentKey: why a key cannot be split is said.
func TestInconsistentKey(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	key := keyOf(t, "rsa2048.pem")
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
	key, other := keyOf(t, "rsa2048.pem"), keyOf(t, "small2048.pem")
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
