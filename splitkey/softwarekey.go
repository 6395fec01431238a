package splitkey

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/internal/taint"
)

// SoftwareKey is an [RSAKey] in memory, for servers without an HSM and for tests. It
// is safe for concurrent use.
type SoftwareKey struct {
	pub *publicKey
	crt secret.Value[*crt]
}

var _ RSAKey = (*SoftwareKey)(nil)

// crt is the key in the form of RFC 8017, section 3.2, representation 2.
type crt struct {
	p, q   *modexp.Modulus
	dp, dq []byte       // e^-1 modulo p-1 and q-1, in the lengths of p and q
	qInv   *modexp.Elem // q^-1 mod p
}

// Format prints the kind and size of the key, for every verb.
func (k SoftwareKey) Format(f fmt.State, _ rune) { format(f, "SoftwareKey", k.pub.bits(), "") }

// newSoftwareKey returns the key of two odd factors of equal length, which it tries once,
// or refuses a weak one.
//
// It does not test primality: that would cost a hundred exponentiations at each load, and
// protect nobody. A key with a composite factor computes wrongly, and the trial or the
// check of a result finds that like any other fault.
func newSoftwareKey(p, q []byte, e int) (*SoftwareKey, error) {
	product := productOf(p, q, e)
	pub, err := newPublicKey(product)
	if err != nil {
		return nil, err
	}
	dealer, err := newDealer(p, q, product)
	if err != nil {
		return nil, err
	}
	dealer.Wipe()
	// What comes next, here and in every use of the key, is in constant time.
	taint.SecretPrime(p)
	taint.SecretPrime(q)
	k := &SoftwareKey{pub, secret.Hide(newCRT(p, q, pub.e))}
	x := make([]byte, pub.mod.Size())
	rand.Read(x[1:])
	if _, err := k.Exponentiate(context.Background(), x); err != nil {
		k.Wipe()
		return nil, fmt.Errorf("%w: inconsistent: a trial with it gave a wrong result, so a factor is not prime", ErrKey)
	}
	return k, nil
}

// newCRT returns the key of two odd factors of equal length with the exponent e, in
// constant time.
func newCRT(p, q []byte, e uint) *crt {
	s := new(modexp.Integers)
	defer s.Wipe()
	bytesOf := func(x []uint64) []byte {
		b := make([]byte, len(p))
		modexp.FillBytes(b, x)
		return b
	}
	words := (len(p) + 7) / 8
	pWords, qWords, eWord := s.FromBytes(p, words), s.FromBytes(q, words), s.FromWord(uint64(e), 1)
	// All three exist, since p and q are prime and e is coprime to p-1 and q-1. If not,
	// the trial fails.
	qInv, _ := s.Inverse(qWords, pWords)
	pWords[0] &^= 1
	qWords[0] &^= 1
	dp, _ := s.Inverse(eWord, pWords)
	dq, _ := s.Inverse(eWord, qWords)

	b := bytesOf(qInv)
	defer clear(b)
	c := &crt{p: modexp.NewModulus(p), q: modexp.NewModulus(q), dp: bytesOf(dp), dq: bytesOf(dq)}
	c.qInv = c.p.Reduce(b)
	return c
}

// exponentiate returns x^d mod n, in as many bytes as x has, unverified: a fault in one
// half would give away the primes, by gcd(y^e - x, n), as each half alone does.
func (c *crt) exponentiate(x []byte) []byte {
	yp := c.p.Reduce(x).Exp(c.dp)
	defer yp.Wipe()
	yq := c.q.Reduce(x).Exp(c.dq)
	defer yq.Wipe()
	return modexp.Garner(yq, yp, c.qInv, len(x))
}

// Wipe clears the key. It cannot be used afterwards, and Wipe must not run at the same
// time as another method. Where bigmod computes (docs/assurance.md), p and q stay in
// memory until it is used again.
func (k *SoftwareKey) Wipe() {
	if c := k.secret(); c != nil {
		clear(c.dp)
		clear(c.dq)
		c.qInv.Wipe()
		c.p.Wipe()
		c.q.Wipe()
		*c = crt{}
	}
}

// secret returns the private half, nil if there is none or it was wiped.
func (k *SoftwareKey) secret() *crt {
	if k == nil {
		return nil
	}
	if c := k.crt.Get(); c != nil && c.p != nil {
		return c
	}
	return nil
}

// Public returns a copy of the public key, an *[rsa.PublicKey], nil for the zero value.
func (k *SoftwareKey) Public() crypto.PublicKey {
	if k == nil {
		return (*rsa.PublicKey)(nil)
	}
	return k.pub.rsa()
}

// Exponentiate returns x^d mod n, computed with the Chinese remainder theorem (RFC 8017,
// section 5.1.2) and verified. It returns [ErrServerKey] for a fault, and for an x of the
// wrong length or not less than n.
func (k *SoftwareKey) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	if k.secret() == nil {
		return nil, errNoSoftwareKey()
	}
	in, err := k.pub.mod.Elem(x)
	if err != nil {
		return nil, fmt.Errorf("%w: operand out of range", ErrServerKey)
	}
	y, err := k.exponentiate(ctx, in)
	if err != nil {
		return nil, err
	}
	if _, err := k.pub.mod.CheckedRootVarTime(y, k.pub.e, in); err != nil {
		clear(y)
		return nil, ErrServerKey
	}
	return y, nil
}

func errNoSoftwareKey() error { return fmt.Errorf("%w: zero value, or wiped", ErrServerKey) }

// exponentiate is Exponentiate without the verification, which the caller must make
// before the result is released.
func (k *SoftwareKey) exponentiate(ctx context.Context, x *modexp.Elem) (y []byte, err error) {
	c := k.secret()
	if c == nil {
		return nil, errNoSoftwareKey()
	}
	if ctx == nil {
		return nil, fmt.Errorf("%w: no context", ErrServerKey)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	erase.Do(func() { y = c.exponentiate(x.Bytes()) })
	return y, nil
}
