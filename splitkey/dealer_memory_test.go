//go:build linux && !race

package splitkey_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/memorytest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// dealings is how many keys the process that is searched makes, splits or loads.
const dealings = 3

// arithmetics are the settings of GODEBUG with which the searched process runs.
var arithmetics = []struct{ name, godebug string }{
	{"fastest", ""}, {"without AVX-512", "cpu.avx512=off"}, {"bigmod", "cpu.all=off"},
}

// column returns the column of the table in assurance.md.
func column(arithmetic string) string {
	if arithmetic == "bigmod" || !splitkeytest.Assembly() {
		return memorytest.Bigmod
	}
	return memorytest.Assembly
}

// eachArithmetic runs a search for each arithmetic and sharing. The process that is
// searched runs child instead, several times.
func eachArithmetic(t *testing.T, child func(t *testing.T, s splitkey.Sharing), parent func(t *testing.T, p *memorytest.Process, s splitkey.Sharing) map[string][]byte) {
	for _, arithmetic := range arithmetics {
		for _, s := range sharings {
			t.Run(arithmetic.name+"/"+s.String(), func(t *testing.T) {
				if memorytest.IsChild() {
					for range dealings {
						child(t, s)
					}
					memorytest.PauseTwice(t)
					return
				}
				p := memorytest.Start(t, arithmetic.godebug)
				var runs []map[string][]byte
				for range dealings {
					runs = append(runs, parent(t, p, s))
				}
				test := t.Name()[:len(t.Name())-len("/"+arithmetic.name+"/"+s.String())]
				p.RequireWipedTwice("splitkey."+test, column(arithmetic.name), runs...)
			})
		}
	}
}

// reportShares sends both secrets to the parent, and wipes the shares.
//
//go:noinline
func reportShares(t *testing.T, c *splitkey.ClientShare, s *splitkey.ServerShare) {
	memorytest.Report(t, c.Secret())
	memorytest.Report(t, s.Secret())
	memorytest.Report(t, c.PublicKey().N.Bytes())
	c.Wipe()
	s.Wipe()
}

// TestMemoryGenerateKey: a process that made keys and wiped its shares has nothing of
// them.
func TestMemoryGenerateKey(t *testing.T) {
	eachArithmetic(t, func(t *testing.T, sharing splitkey.Sharing) {
		c, s, err := splitkey.GenerateKey(2048, sharing)
		require.NoError(t, err)
		reportShares(t, c, s)
	}, func(t *testing.T, p *memorytest.Process, sharing splitkey.Sharing) map[string][]byte {
		x, ds, n := p.Reported(), p.Reported(), new(big.Int).SetBytes(p.Reported())
		return dealerSecrets(t, sharing, x, ds, factor(t, sharing, n, x, ds))
	})
}

// TestMemorySplit: a process that split keys and destroyed them and its shares has
// nothing of them.
func TestMemorySplit(t *testing.T) {
	eachArithmetic(t, func(t *testing.T, sharing splitkey.Sharing) {
		key := receiveKey(t)
		c, s, err := splitkey.Split(key, sharing)
		require.NoError(t, err)
		destroy(key)
		reportShares(t, c, s)
	}, func(t *testing.T, p *memorytest.Process, sharing splitkey.Sharing) map[string][]byte {
		key := splitkeytest.Key(2048)
		sendKey(p, key)
		x, ds := p.Reported(), p.Reported()
		p.Reported()
		return dealerSecrets(t, sharing, x, ds, key)
	})
}

// TestMemorySoftwareKey: a process that loaded, used and wiped server keys, and was
// refused others, has nothing of them.
func TestMemorySoftwareKey(t *testing.T) {
	eachArithmetic(t, func(t *testing.T, _ splitkey.Sharing) {
		key := receiveKey(t)
		soft, err := splitkeytest.SoftwareKey(key)
		require.NoError(t, err)
		refused := compositeFactor(key)
		_, err = splitkeytest.SoftwareKey(refused)
		require.ErrorContains(t, err, "trial")
		destroy(refused)
		destroy(key)
		x := make([]byte, 256)
		x[255] = 7
		_, err = soft.Exponentiate(context.Background(), x)
		require.NoError(t, err)
		clear(soft.Bytes())
		soft.Wipe()
		_, err = soft.Exponentiate(context.Background(), x)
		require.ErrorIs(t, err, splitkey.ErrServerKey)
		memorytest.Report(t, []byte{1})
	}, func(t *testing.T, p *memorytest.Process, _ splitkey.Sharing) map[string][]byte {
		key := splitkeytest.NamedKey(splitkeytest.Server, 2048)
		sendKey(p, key)
		p.Reported()
		secrets := keySecrets(key)
		pr, q := key.Primes[0], key.Primes[1]
		secrets["dp"] = key.Precomputed.Dp.Bytes()
		secrets["dq"] = key.Precomputed.Dq.Bytes()
		secrets["qInv"] = new(big.Int).ModInverse(q, pr).Bytes()
		pr = compositeFactor(key).Primes[0]
		one, e := big.NewInt(1), big.NewInt(int64(key.E))
		secrets["dp of a refused key"] = e.ModInverse(e, one.Sub(pr, one)).Bytes()
		secrets["qInv of a refused key"] = new(big.Int).ModInverse(q, pr).Bytes()
		return secrets
	})
}

// compositeFactor returns a key that is refused when it is tried: a factor is no prime.
func compositeFactor(key *rsa.PrivateKey) *rsa.PrivateKey {
	p, q := new(big.Int).Xor(key.Primes[0], big.NewInt(2)), new(big.Int).Set(key.Primes[1])
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{E: key.E}, D: new(big.Int), Primes: []*big.Int{p, q}}
}

// sendKey and receiveKey move p, q and d of a key of 2048 bits with e = 65537.
func sendKey(p *memorytest.Process, key *rsa.PrivateKey) {
	for _, x := range []*big.Int{key.Primes[0], key.Primes[1], key.D} {
		p.Send(x.FillBytes(make([]byte, 256)))
	}
}

// receiveKey erases what math/big leaves on the stack, which is the caller's too.
func receiveKey(t *testing.T) *rsa.PrivateKey {
	var p, q, d *big.Int
	erase.Do(func() {
		for _, x := range []**big.Int{&p, &q, &d} {
			b := memorytest.Receive(t, 256)
			*x = new(big.Int).SetBytes(b)
			clear(b)
		}
	})
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q}}
}

// destroy does what a caller of Split does with the key, which nobody else has had.
//
//go:noinline
func destroy(key *rsa.PrivateKey) {
	for _, x := range []*big.Int{key.D, key.Primes[0], key.Primes[1]} {
		words := x.Bits()
		clear(words[:cap(words)])
	}
}

// keySecrets is a whole key, as it is and as algorithms halve it.
func keySecrets(key *rsa.PrivateKey) map[string][]byte {
	one := big.NewInt(1)
	p, q := key.Primes[0], key.Primes[1]
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	phi, lambda := new(big.Int).Mul(p1, q1), lambdaOf(key)
	e := big.NewInt(int64(key.E))
	half := func(x *big.Int) []byte { return new(big.Int).Rsh(x, 1).Bytes() }
	// The upper half of phi is that of n, and those of lambda and lambda/2 are those of
	// n/2 and n/4, which whoever takes the square root of n computes.
	lower := func(x *big.Int) []byte {
		x = new(big.Int).And(x, new(big.Int).Sub(new(big.Int).Lsh(one, 960), one))
		return x.FillBytes(make([]byte, 120))
	}
	return map[string][]byte{
		"p": p.Bytes(), "q": q.Bytes(), "(p-1)/2": half(p1), "(q-1)/2": half(q1),
		"lower half of phi": lower(phi), "lower half of lambda": lower(lambda),
		"lower half of lambda/2": lower(new(big.Int).Rsh(lambda, 1)), "d": new(big.Int).ModInverse(e, lambda).Bytes(),
	}
}

func lambdaOf(key *rsa.PrivateKey) *big.Int {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one)
	lambda := new(big.Int).Mul(p1, q1)
	return lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
}

// dealerSecrets is all that a dealer knows or computes on the way.
func dealerSecrets(t *testing.T, s splitkey.Sharing, x, ds []byte, key *rsa.PrivateKey) map[string][]byte {
	secrets := keySecrets(key)
	requireSharesFit(t, key, s, x, ds)
	lambda := lambdaOf(key)
	e, dc := big.NewInt(int64(key.E)), new(big.Int).SetBytes(x)
	if s == splitkey.Multiplicative {
		dc.Lsh(dc, 1).SetBit(dc, 0, 1)
	}
	secrets["x"], secrets["d_s"], secrets["d_c"] = x, ds, dc.Bytes()
	secrets["d_c mod lambda"] = new(big.Int).Mod(dc, lambda).Bytes()
	edc := new(big.Int).Mul(e, dc)
	secrets["e*d_c mod lambda"] = edc.Mod(edc, lambda).Bytes()
	// The pairwise test, of a digest that everybody knows.
	digest := sha256.Sum256([]byte("tandem pairwise consistency test"))
	m, err := splitkeytest.FinalKey(t, &key.PublicKey).Encode(digest[:], crypto.SHA256)
	require.NoError(t, err)
	em := new(big.Int).SetBytes(m.Bytes())
	secrets["y of the pairwise test"] = new(big.Int).Exp(em, dc, key.N).Bytes()
	secrets["s1 of the pairwise test"] = new(big.Int).Exp(em, new(big.Int).SetBytes(secrets["d"]), key.N).Bytes()
	return secrets
}

// factor returns the key of two shares: e*d_c*d_s - 1, or e*(d_c+d_s) - 1, is a multiple
// of lambda, and from such a one follow the factors of n (A. May, "Computing the RSA
// secret key is deterministic polynomial time equivalent to factoring", CRYPTO 2004,
// section 1).
func factor(t *testing.T, s splitkey.Sharing, n *big.Int, x, ds []byte) *rsa.PrivateKey {
	one := big.NewInt(1)
	k := new(big.Int).SetBytes(x)
	if s == splitkey.Multiplicative {
		k.Lsh(k, 1).Add(k, one).Mul(k, new(big.Int).SetBytes(ds))
	} else {
		k.Add(k, new(big.Int).SetBytes(ds))
	}
	k.Mul(k, big.NewInt(65537)).Sub(k, one)
	twos := k.TrailingZeroBits()
	k.Rsh(k, twos)
	for a := int64(2); ; a++ {
		y := new(big.Int).Exp(big.NewInt(a), k, n)
		for range twos {
			p := new(big.Int).GCD(nil, nil, new(big.Int).Sub(y, one), n)
			if p.Cmp(one) > 0 && p.Cmp(n) < 0 {
				key, err := splitkeytest.PrivateKey(p, new(big.Int).Div(n, p), 65537)
				require.NoError(t, err)
				return key
			}
			y.Mul(y, y).Mod(y, n)
		}
		require.Less(t, a, int64(200), "not a multiple of lambda")
	}
}
