package splitkey

import (
	"crypto/rsa"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// EncodingKey returns a final key for the encoders' tests, which want moduli of all kinds
// of lengths: of every key in the range of sizes, as if it were its own device key.
func EncodingKey(pub *rsa.PublicKey) (*FinalKey, error) {
	if err := checkSize(pub, maxFinalBits); err != nil {
		return nil, err
	}
	return newFinalKey(pub, &publicKey{n: pub.N.Bytes()})
}

// Faults of the hardware, as tests make them. They are functions: TestNothing calls every
// method with nothing.

// FlipResult flips a bit of s1, which was found right.
func FlipResult(ch *Checked) { ch.s1.Get()[100] ^= 1 }

// FlipInverse flips a bit of n1^-1 mod n2, which was checked.
func FlipInverse(c *Completer) { c.n1Inv[100] ^= 1 }

// FlipShare flips a bit of d_s, also in the completers made of it.
func FlipShare(s *ServerShare) { s.d.Get()[100] ^= 1 }

// FlipCRT flips a bit of one part of the key.
func FlipCRT(k *SoftwareKey, part string) {
	c := k.crt.Get()
	map[string][]byte{"dp": c.dp, "dq": c.dq, "qInv": c.qInv, "q": c.qBytes}[part][50] ^= 1
}

// BreakArithmetic has this package's own verification under the key fail.
func BreakArithmetic(k *FinalKey, err error) {
	k.verify = func() (*modexp.Modulus, error) { return nil, err }
}
