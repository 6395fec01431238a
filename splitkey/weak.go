package splitkey

import (
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/splitkey/internal/prime"
)

// checkStrength refuses a modulus that anybody can factor.
func checkStrength(n *big.Int) error {
	if hasROCAFormVarTime(n) {
		return fmt.Errorf("%w: the modulus has the form of a generator whose primes can be found (ROCA)", ErrKey)
	}
	if factorsByFermatVarTime(n, fermatSteps) {
		return fmt.Errorf("%w: the factors of the modulus are nearly equal", ErrKey)
	}
	return nil
}

// rocaBound is the largest prime of the product M that RSALib takes for keys of 1984 to
// 3936 bits. For longer ones M has these primes and more.
const rocaBound = 701

// hasROCAFormVarTime reports whether n may come from Infineon's RSALib (CVE-2017-15361;
// M. Nemec, M. Sys, P. Svenda, D. Klinec, V. Matyas, "The Return of Coppersmith's
// Attack", ACM CCS 2017, section 2). Its primes are k*M + (65537^a mod M) for a product M
// of small primes, so that n is a power of 65537 modulo each of these.
//
// It finds every such n of 2048 bits or more. Of other n it reports one in 2^167: the
// product over r of the share of powers of 65537 in the units modulo r. Most fail at the
// first two or three r, which takes some microseconds.
func hasROCAFormVarTime(n *big.Int) bool {
	rest, divisor := new(big.Int), new(big.Int)
	for _, r := range prime.Odd() {
		if r > rocaBound {
			break
		}
		want, power := rest.Mod(n, divisor.SetUint64(r)).Uint64(), uint64(1)
		for power != want {
			if power = power * 65537 % r; power == 1 { // all powers seen
				return false
			}
		}
	}
	return true
}

// fermatSteps is how many numbers Fermat's method tries. The keys of CVE-2022-26320 fall
// within 20.
const fermatSteps = 100

// factorsByFermatVarTime reports whether one of the steps numbers a from the root of n on
// makes a^2 - n a square b^2, so that n = (a-b)(a+b). That holds where (sqrt(p) -
// sqrt(q))^2 is below about 2*steps: where |p-q| is below sqrt(8*steps) * n^(1/4). For
// random primes of 1024 bits the probability is about 2^-506. It takes one square root,
// of some ten microseconds, and an addition for each step.
func factorsByFermatVarTime(n *big.Int, steps int) bool {
	a := new(big.Int).Sqrt(n)
	rest := new(big.Int).Mul(a, a) // a^2 - n
	rest.Sub(rest, n)
	one := big.NewInt(1)
	step := func() { // (a+1)^2 = a^2 + 2a+1
		rest.Add(rest, a).Add(rest, a).Add(rest, one)
		a.Add(a, one)
	}
	if rest.Sign() < 0 {
		step()
	}
	for range steps {
		if isSquareVarTime(rest) {
			return true
		}
		step()
	}
	return false
}

// isSquareVarTime takes a root only of the one number in 120 that is a square modulo 64,
// 63, 65 and 11.
func isSquareVarTime(x *big.Int) bool {
	rest := new(big.Int).Mod(x, big.NewInt(64*63*65*11)).Int64()
	for _, m := range []int64{64, 63, 65, 11} {
		square := false
		for i := int64(0); i < m && !square; i++ {
			square = i*i%m == rest%m
		}
		if !square {
			return false
		}
	}
	root := new(big.Int).Sqrt(x)
	return root.Mul(root, root).Cmp(x) == 0
}
