package splitkey

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey/internal/prime"
)

// The binary form of a software key, all integers big-endian:
//
//	offset  length  field
//	0       4       "TDsk"
//	4       1       version, 1
//	5       4       e
//	9       2       k, the length of p and of q in bytes
//	11      k       p
//	11+k    k       q
const (
	softwareKeyMagic   = "TDsk"
	softwareKeyVersion = 1
)

// GenerateSoftwareKey makes a server key of 2048, 3072 or 4096 bits with e = 65537. Its primes
// are as those of [GenerateKey], so that the modulus begins with c4 or more. Beside the key
// nothing of it is left in memory. It returns [ErrKey] for any other size.
func GenerateSoftwareKey(bits int) (k *SoftwareKey, err error) {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return nil, fmt.Errorf("%w: cannot generate %d bits, want 2048, 3072 or 4096", ErrKey, bits)
	}
	for range generateTries {
		erase.Do(func() { k, err = generateSoftwareKey(bits) })
		if err == nil {
			return k, nil
		}
	}
	return nil, err
}

func generateSoftwareKey(bits int) (*SoftwareKey, error) {
	p := prime.New(bits / 2)
	defer clear(p)
	q := prime.New(bits / 2)
	defer clear(q)
	return serverKeyOf(p, q, publicExponent)
}

// serverKeyOf returns the key of two primes of equal length, or refuses a weak one.
func serverKeyOf(p, q []byte, e int) (*SoftwareKey, error) {
	n := modexp.MulAdd(p, q, nil, 2*len(p))
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: e}
	public, err := newPublicKey(pub)
	if err != nil {
		return nil, err
	}
	dealer, err := newDealer(p, q, pub)
	if err != nil {
		return nil, err
	}
	dealer.Wipe()
	return softwareKeyOf(public, p, q)
}

// Bytes returns the private key in binary: 11 + 2k bytes for primes of k bytes, nil for a
// zero or wiped key or for primes of different lengths. It is for a sealed store, and the
// caller clears it after use.
func (k *SoftwareKey) Bytes() []byte {
	c := k.secret()
	if c == nil || len(c.pBytes) != len(c.qBytes) {
		return nil
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 11+2*len(c.pBytes)))
	b.AddBytes([]byte(softwareKeyMagic))
	b.AddUint8(softwareKeyVersion)
	b.AddUint32(uint32(k.pub.e))
	b.AddUint16(uint16(len(c.pBytes)))
	b.AddBytes(c.pBytes)
	b.AddBytes(c.qBytes)
	return b.BytesOrPanic()
}

// ParseSoftwareKey reads the form that [SoftwareKey.Bytes] writes, and checks the key as
// [NewSoftwareKey] does. It returns [ErrKey]. It keeps nothing of b.
func ParseSoftwareKey(b []byte) (k *SoftwareKey, err error) {
	in := cryptobyte.String(b)
	var magic, p, q []byte
	var version uint8
	var e uint32
	var size uint16
	if !in.ReadBytes(&magic, 4) || !bytes.Equal(magic, []byte(softwareKeyMagic)) || !in.ReadUint8(&version) {
		return nil, fmt.Errorf("%w: not a software key", ErrKey)
	}
	if version != softwareKeyVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrKey, version, softwareKeyVersion)
	}
	if !in.ReadUint32(&e) || !in.ReadUint16(&size) || size > maxBits/16 || len(in) != 2*int(size) || size == 0 {
		return nil, fmt.Errorf("%w: truncated or extended", ErrKey)
	}
	if e > 1<<31-1 {
		return nil, fmt.Errorf("%w: public exponent %d", ErrKey, e)
	}
	if !in.ReadBytes(&p, int(size)) || !in.ReadBytes(&q, int(size)) || p[0] == 0 || q[0] == 0 || p[size-1]&q[size-1]&1 == 0 {
		return nil, fmt.Errorf("%w: factors are even, or begin with a zero byte", ErrKey)
	}
	erase.Do(func() { k, err = serverKeyOf(p, q, int(e)) })
	return k, err
}
