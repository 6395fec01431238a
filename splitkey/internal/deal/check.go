package deal

import (
	"errors"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// Check returns an error that says why unless n = p*q and e*d = 1 modulo p-1 and q-1, for
// odd p and q above one. All it computes is wiped.
func Check(n, p, q, d []byte, e uint) error {
	words := func(b []byte) int { return (len(b) + 7) / 8 }
	half := max(words(p), words(q))
	s := new(modexp.Integers)
	defer s.Wipe()
	product := s.Product(s.FromBytes(p, half), s.FromBytes(q, half))
	if !equal(product, s.FromBytes(n, max(words(n), 2*half))) {
		return errors.New("p*q is not n")
	}
	for _, factor := range [][]byte{p, q} {
		if !inverseBelow(factor, d, e) {
			return errors.New("e*d is not 1 modulo p-1 and q-1")
		}
	}
	return nil
}

// inverseBelow reports whether e*d = 1 mod p-1.
func inverseBelow(p, d []byte, e uint) bool {
	s := new(modexp.Integers)
	defer s.Wipe()
	p1 := s.FromBytes(p, (len(p)+7)/8)
	p1[0] &^= 1
	reduced := s.Mod(s.FromBytes(d, (len(d)+7)/8), p1)
	return modexp.IsOne(s.MulMod(reduced, s.FromWord(uint64(e), 1), p1)) == 1
}

// equal compares y with x, which may be shorter. The answer is not secret: unequal is a
// refusal.
func equal(x, y []uint64) bool {
	var rest uint64
	for i, w := range y {
		if i < len(x) {
			w ^= x[i]
		}
		rest |= w
	}
	return rest == 0
}
