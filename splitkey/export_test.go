package splitkey

import (
	"crypto/rsa"
	"math/big"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// EncodingKey returns a final key of any length in the range of sizes, as if it were its
// own client key: the encoders' tests want moduli of all lengths.
func EncodingKey(pub *rsa.PublicKey) (*FinalKey, error) {
	if err := checkSize(pub, maxFinalBits); err != nil {
		return nil, err
	}
	return newFinalKey(pub, &publicKey{n: pub.N.Bytes()})
}

// NewServerShare makes a share of d.
func NewServerShare(pub *rsa.PublicKey, s Sharing, d []byte) (*ServerShare, error) {
	return newServerShare(pub, s, d)
}

// Faults of the hardware, for tests. They are functions, since TestNothing calls every
// method with nothing.

// FaultInResult changes s1 after its check.
func FaultInResult(ch *Checked) { ch.s1.Get().Sub(ch.completer.share.pub.mod.One()) }

// FaultInInverse changes n1^-1 mod n2 after its check.
func FaultInInverse(c *Completer) { c.n1Inv.Sub(c.server.pub.mod.One()) }

// FlipShare flips a bit of d_s, also in the completers made of it.
func FlipShare(s *ServerShare) { s.d.Get()[100] ^= 1 }

// FaultInCRT changes one part of the key.
func FaultInCRT(k *SoftwareKey, part string) {
	c := k.crt.Get()
	switch part {
	case "dp":
		c.dp[50] ^= 1
	case "dq":
		c.dq[50] ^= 1
	case "qInv":
		c.qInv.Sub(c.p.One())
	case "q":
		q := c.q.Bytes()
		q[50] ^= 1
		c.q = modexp.NewModulus(q)
	}
}

// BreakArithmetic makes this package's own verification under the key fail.
func BreakArithmetic(k *FinalKey) {
	another := modexp.NewModulus(new(big.Int).Add(k.pub.N, big.NewInt(2)).Bytes())
	k.verify = func() *modexp.Modulus { return another }
}

// SharesWithFault deals shares of a key, as GenerateKey and Split do, with a fault in the
// computation of d_s.
func SharesWithFault(key *rsa.PrivateKey, s Sharing, fault func(ds []byte)) (*ClientShare, *ServerShare, error) {
	d, err := newDealer(key.Primes[0].Bytes(), key.Primes[1].Bytes(), &key.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	defer d.Wipe()
	d.sharer = faulty{d.sharer, fault}
	return d.shares(s)
}

type faulty struct {
	sharer
	fault func(ds []byte)
}

func (f faulty) Multiplicative(x []byte) ([]byte, bool) {
	ds, ok := f.sharer.Multiplicative(x)
	if ok {
		f.fault(ds)
	}
	return ds, ok
}

func (f faulty) Additive(x []byte) []byte {
	ds := f.sharer.Additive(x)
	f.fault(ds)
	return ds
}
