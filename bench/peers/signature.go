package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	circl "github.com/cloudflare/circl/tss/rsa"
)

// entrants gathers contenders for one task by keys of one modulus. All must show that
// they make the same signature.
type entrants struct {
	field
	task string
	bits int
	want []byte
}

func (e *entrants) add(c *contender, result []byte) error {
	if e.want == nil {
		e.want = result
	}
	c.task, c.bits = e.task, e.bits
	if !bytes.Equal(result, e.want) {
		return fmt.Errorf("%v: wrong signature", c)
	}
	e.field = append(e.field, c)
	return nil
}

// own adds contenders of this program, in all variants.
func (e *entrants) own(ch *children, name string, primes int, in ...variant) error {
	for _, v := range in {
		result, run, err := ch.signers[v].load("sign", e.bits, name)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, v.name, err)
		}
		b, err := hex.DecodeString(result)
		if err != nil {
			return err
		}
		if err := e.add(&contender{name: name, primes: primes, variant: v, run: run}, b); err != nil {
			return err
		}
	}
	return nil
}

// unsplit adds those who sign alone with the key, whose primes they have.
func (e *entrants) unsplit(ch *children, key *rsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	join := func(name string, v variant, c *child, signed []byte) error {
		result, run, err := c.load("sign", fmt.Sprintf("%x", der), fmt.Sprintf("%x", signed))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b, err := hex.DecodeString(result)
		if err != nil {
			return err
		}
		return e.add(&contender{name: name + ", unsplit", primes: len(key.Primes), variant: v, run: run}, b)
	}
	for _, v := range []variant{fastest, noIFMA} {
		for _, o := range ch.openssl {
			if err := join(o.name, v, o.child(v), digest[:]); err != nil {
				return err
			}
		}
		if err := join("Node's crypto.sign", v, ch.node[v], []byte(text)); err != nil {
			return err
		}
	}
	if len(key.Primes) > 2 {
		return nil // Java takes no such key, and crypto/rsa makes no use of its primes
	}
	return join("Java's Signature", fastest, ch.java, []byte(text))
}

// signatures are the contenders for a PKCS #1 v1.5 signature of a SHA-256 digest by a key
// of two primes, and for the first half of it.
func signatures(bits int, ch *children) (field, error) {
	e := &entrants{task: "signature", bits: bits}
	key := twoPrimes(bits)
	if err := e.own(ch, cryptoRSA, 2, fastest, pureGo); err != nil {
		return nil, err
	}
	if err := e.unsplit(ch, key); err != nil {
		return nil, err
	}
	if bits > 4096 {
		return e.field, nil // as long as a client key may be
	}
	if err := e.own(ch, twoPrime, 0, variants...); err != nil {
		return nil, err
	}
	shares, err := circl.Deal(rand.Reader, 2, 2, key, true)
	if err != nil {
		return nil, err
	}
	for _, blinded := range []bool{false, true} {
		name := map[bool]string{false: "circl", true: "circl, blinded"}[blinded]
		sign := func() ([]byte, error) { return signCircl(key, shares, blinded) }
		result, err := sign()
		if err != nil {
			return nil, err
		}
		if err := e.add(&contender{name: name, run: inProcess(func() error { _, err := sign(); return err })}, result); err != nil {
			return nil, err
		}
	}
	p := &entrants{task: "partial", bits: bits}
	// Each process has another share.
	for _, v := range variants {
		p.want = nil
		if err := p.own(ch, partial, 0, v); err != nil {
			return nil, err
		}
	}
	return append(e.field, p.field...), nil
}

// composites are the contenders for a signature by a key of four primes: of two parties
// with two each, and of one party that has all.
func composites(bits int, ch *children) (field, error) {
	e := &entrants{task: "signature", bits: bits}
	key, err := fourPrimes(bits)
	if err != nil {
		return nil, err
	}
	if err := e.own(ch, composite, 0, variants...); err != nil {
		return nil, err
	}
	err = e.unsplit(ch, key)
	return e.field, err
}

func signCircl(key *rsa.PrivateKey, shares []circl.KeyShare, blinded bool) ([]byte, error) {
	em, err := (circl.PKCS1v15Padder{}).Pad(&key.PublicKey, crypto.SHA256, digest[:])
	if err != nil {
		return nil, err
	}
	signed := make([]circl.SignShare, len(shares))
	for i := range shares {
		// Without a source of randomness there is no blinding.
		if blinded {
			signed[i], err = shares[i].Sign(rand.Reader, &key.PublicKey, em, false)
		} else {
			signed[i], err = shares[i].Sign(nil, &key.PublicKey, em, false)
		}
		if err != nil {
			return nil, err
		}
	}
	return circl.CombineSignShares(&key.PublicKey, 2, 2, signed, em)
}
