package splitkey

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

var one = big.NewInt(1)

func randomOdd(t *testing.T, bits int) *big.Int {
	x, err := rand.Int(rand.Reader, new(big.Int).Lsh(one, uint(bits)))
	require.NoError(t, err)
	return x.SetBit(x, bits-1, 1).SetBit(x, bits-2, 1).SetBit(x, 0, 1)
}

// TestFermat: factors are found in exactly as many steps as the distance of their mean
// from the root of n says.
func TestFermat(t *testing.T) {
	for _, bits := range []int{1024, 1028, 1536, 2048} {
		p := randomOdd(t, bits)
		require.True(t, factorsByFermatVarTime(new(big.Int).Mul(p, p), 1), "a square")
		for _, shift := range []int{1, 64, bits/2 + 2, bits/2 + 3, bits/2 + 4, bits/2 + 5} {
			q := new(big.Int).Add(p, new(big.Int).Lsh(one, uint(shift)))
			n := new(big.Int).Mul(p, q)
			mean := new(big.Int).Add(p, q)
			mean.Rsh(mean, 1)
			// The mean is the step-th number from the root of n on, rounded up.
			first := new(big.Int).Sqrt(n)
			first.Add(first, one)
			steps := int(mean.Sub(mean, first).Int64()) + 1
			require.True(t, factorsByFermatVarTime(n, steps), "%d bits, 2^%d, %d steps", bits, shift, steps)
			require.False(t, factorsByFermatVarTime(n, steps-1), "%d bits, 2^%d, %d steps", bits, shift, steps)
		}
	}
	require.False(t, factorsByFermatVarTime(new(big.Int).Mul(randomOdd(t, 1024), randomOdd(t, 1024)), fermatSteps))
}

// rocaPrimes are the primes of RSALib's product for keys of 1984 to 3936 bits, but for 2.
func rocaPrimes() (primes []int64) {
	for r := int64(3); r <= 701; r += 2 {
		if big.NewInt(r).ProbablyPrime(0) {
			primes = append(primes, r)
		}
	}
	return primes
}

// TestROCA: it finds a power of 65537 modulo every prime, and not a number that is none
// modulo a single prime.
func TestROCA(t *testing.T) {
	require.Len(t, rocaPrimes(), 125) // pi(701) = 126, less the prime 2
	m := big.NewInt(2)
	for _, r := range rocaPrimes() {
		m.Mul(m, big.NewInt(r))
	}
	n := new(big.Int).Exp(big.NewInt(65537), randomOdd(t, 200), m)
	n.Add(n, new(big.Int).Mul(m, randomOdd(t, 2048-m.BitLen())))
	require.True(t, hasROCAFormVarTime(n))
	others := 0
	for _, r := range rocaPrimes() {
		powers := map[int64]bool{}
		for x := int64(1); !powers[x]; x = x * 65537 % r {
			powers[x] = true
		}
		if int64(len(powers)) == r-1 {
			continue // every number is a power, except multiples of r
		}
		others++
		// n changed modulo r alone, by multiples of m/r.
		for x := new(big.Int).Set(n); ; x.Add(x, new(big.Int).Quo(m, big.NewInt(r))) {
			rest := new(big.Int).Mod(x, big.NewInt(r)).Int64()
			require.Equal(t, powers[rest], hasROCAFormVarTime(x), "modulo %d", r)
			if !powers[rest] && rest != 0 {
				break
			}
		}
	}
	require.Equal(t, 76, others)
}

// TestWeakModulus: a modulus that shows its weakness is refused from a client, where an
// existing key is split, and as a server key.
func TestWeakModulus(t *testing.T) {
	check := func(n *big.Int) error { return CheckModulus(&rsa.PublicKey{N: n, E: 65537}) }
	p := randomPrime(t, 1024, nil)
	near := new(big.Int).Add(p, new(big.Int).Lsh(one, 515))
	m := big.NewInt(2)
	for _, r := range rocaPrimes() {
		m.Mul(m, big.NewInt(r))
	}
	for _, c := range []struct {
		name string
		p, q *big.Int
		why  string
	}{
		{"random", p, randomPrime(t, 1024, nil), ""},
		{"nearly equal", p, nextPrime(near), "nearly equal"},
		{"ROCA", randomPrime(t, 1024, m), randomPrime(t, 1024, m), "ROCA"},
	} {
		n := new(big.Int).Mul(c.p, c.q)
		require.Equal(t, 2048, n.BitLen(), c.name)
		phi := new(big.Int).Mul(new(big.Int).Sub(c.p, one), new(big.Int).Sub(c.q, one))
		d := new(big.Int).ModInverse(big.NewInt(65537), phi)
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{c.p, c.q}}
		_, _, splitErr := Split(key, Additive)
		_, softErr := newSoftwareKey(c.p.Bytes(), c.q.Bytes(), 65537)
		for _, err := range []error{check(n), splitErr, softErr} {
			if c.why == "" {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, ErrKey, c.name)
			require.ErrorContains(t, err, c.why)
		}
	}
}

func nextPrime(x *big.Int) *big.Int {
	for !x.ProbablyPrime(20) || new(big.Int).Mod(x, big.NewInt(65537)).Cmp(one) == 0 {
		x.Add(x, big.NewInt(2))
	}
	return x
}

// randomPrime draws a prime with its upper two bits set; with m, one that is a power of
// 65537 modulo m.
func randomPrime(t *testing.T, bits int, m *big.Int) *big.Int {
	for {
		x := randomOdd(t, bits)
		if m != nil {
			a := randomOdd(t, 60)
			x.Sub(x, new(big.Int).Mod(x, m)).Add(x, a.Exp(big.NewInt(65537), a, m))
		}
		if x.BitLen() == bits && x.Bit(bits-2) == 1 && x.ProbablyPrime(20) && new(big.Int).Mod(x, big.NewInt(65537)).Cmp(one) != 0 {
			return x
		}
	}
}
