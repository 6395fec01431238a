package splitkey

import (
	"crypto/rsa"
	"fmt"

	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
)

// privateKey is what this package takes of a caller's key, copied.
type privateKey struct{ p, q, d []byte }

func (k *privateKey) wipe() {
	clear(k.p)
	clear(k.q)
	clear(k.d)
}

// readPrivateKey checks a key for consistency and returns its parts. It does not use
// crypto/rsa, which keeps copies of the key that nobody can wipe.
func readPrivateKey(key *rsa.PrivateKey) (*privateKey, error) {
	if key == nil || key.D == nil {
		return nil, fmt.Errorf("%w: no private key", ErrKey)
	}
	pub, err := newPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	if key.D.Sign() <= 0 {
		return nil, fmt.Errorf("%w: the private exponent is not positive", ErrKey)
	}
	if key.D.BitLen() > pub.mod.BitLen() {
		return nil, fmt.Errorf("%w: the private exponent is longer than the modulus", ErrKey)
	}
	if len(key.Primes) == 0 {
		return nil, fmt.Errorf("%w: it comes without its primes: compute them from n, e and d first (NIST SP 800-56B, appendix C), "+
			"as \"tandem enroll -import\" does, or export the key anew", ErrKey)
	}
	if len(key.Primes) != 2 || key.Primes[0] == nil || key.Primes[1] == nil || key.Primes[0].Sign() <= 0 || key.Primes[1].Sign() <= 0 {
		return nil, fmt.Errorf("%w: %d prime factors, want 2", ErrKey, len(key.Primes))
	}
	p, q := key.Primes[0], key.Primes[1]
	if p.Bit(0) == 0 || q.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: even factor", ErrKey)
	}
	// Factors of unequal length are unusual, but RSA keys: a quarter is where the
	// smaller one would begin to be within reach of the elliptic curve method.
	if least := pub.mod.BitLen() / 4; p.BitLen() < least || q.BitLen() < least {
		return nil, fmt.Errorf("%w: factors of %d and %d bits, want at least a quarter of the modulus' %d",
			ErrKey, p.BitLen(), q.BitLen(), pub.mod.BitLen())
	}
	if p.BitLen() > pub.mod.BitLen() || q.BitLen() > pub.mod.BitLen() {
		return nil, fmt.Errorf("%w: a factor is longer than the modulus", ErrKey)
	}
	k := &privateKey{p.Bytes(), q.Bytes(), key.D.FillBytes(make([]byte, pub.mod.Size()))}
	if err := deal.Check(pub.n, k.p, k.q, k.d, pub.e); err != nil {
		k.wipe()
		return nil, fmt.Errorf("%w: inconsistent: %v", ErrKey, err)
	}
	return k, nil
}
