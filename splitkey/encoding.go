package splitkey

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/internal/erase"
)

// The binary form of a server's share, all integers big-endian:
//
//	offset  length  field
//	0       4       "TDss"
//	4       1       version, 1
//	5       1       sharing: 1 multiplicative, 2 additive
//	6       4       e
//	10      2       k1, the length of n1 in bytes
//	12      k1      n1
//	12+k1   k1      d_s
const (
	serverShareMagic   = "TDss"
	serverShareVersion = 1
)

// Bytes returns the binary form of the share, for the server's store: 12 + 2*k1 bytes,
// nil for a zero or wiped share. It contains the secret: seal it before you store it.
// (The method is not called MarshalBinary, so that encoding/gob does not find it.)
func (s *ServerShare) Bytes() []byte {
	d := s.secret()
	if d == nil {
		return nil
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 12+2*len(s.pub.n)))
	b.AddBytes([]byte(serverShareMagic))
	b.AddUint8(serverShareVersion)
	b.AddUint8(uint8(s.sharing))
	b.AddUint32(uint32(s.pub.e))
	b.AddUint16(uint16(len(s.pub.n)))
	b.AddBytes(s.pub.n)
	b.AddBytes(d)
	return b.BytesOrPanic()
}

// ParseServerShare reads the form that [ServerShare.Bytes] writes. It returns [ErrShare]
// for anything that is malformed, truncated, extended, of another version or out of
// range, and [ErrKey] for a modulus or exponent that is not acceptable.
func ParseServerShare(b []byte) (*ServerShare, error) {
	in := cryptobyte.String(b)
	var magic, n, d []byte
	var version, sharing uint8
	var e uint32
	var k1 uint16
	if !in.ReadBytes(&magic, 4) || !bytes.Equal(magic, []byte(serverShareMagic)) || !in.ReadUint8(&version) {
		return nil, fmt.Errorf("%w: not a server share", ErrShare)
	}
	if version != serverShareVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrShare, version, serverShareVersion)
	}
	if !in.ReadUint8(&sharing) || !in.ReadUint32(&e) || !in.ReadUint16(&k1) ||
		!in.ReadBytes(&n, int(k1)) || !in.ReadBytes(&d, int(k1)) || !in.Empty() {
		return nil, fmt.Errorf("%w: wrong length", ErrShare)
	}
	if k1 == 0 || n[0] == 0 {
		return nil, fmt.Errorf("%w: modulus has leading zeros", ErrShare)
	}
	if e > 1<<31-1 {
		return nil, fmt.Errorf("%w: public exponent too large", ErrKey)
	}
	return newServerShare(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(e)}, Sharing(sharing), d)
}

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

// Bytes returns the private key in binary: 11 + 2k bytes for primes of k bytes, nil for a
// zero or wiped key. It contains the secret: seal it before you store it, and clear it
// after use.
func (k *SoftwareKey) Bytes() []byte {
	c := k.secret()
	if c == nil {
		return nil
	}
	p, q := c.p.Bytes(), c.q.Bytes()
	defer clear(p)
	defer clear(q)
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 11+2*len(p)))
	b.AddBytes([]byte(softwareKeyMagic))
	b.AddUint8(softwareKeyVersion)
	b.AddUint32(uint32(k.pub.e))
	b.AddUint16(uint16(len(p)))
	b.AddBytes(p)
	b.AddBytes(q)
	return b.BytesOrPanic()
}

// ParseSoftwareKey reads the form that [SoftwareKey.Bytes] writes, and tries the key
// once. It returns [ErrKey] for a modulus or primes that are weak by conditions 3 and 4
// of section 2.1 of the scheme, and for a wrong result. It keeps nothing of b.
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
	if !in.ReadUint32(&e) || !in.ReadUint16(&size) || len(in) != 2*int(size) {
		return nil, fmt.Errorf("%w: truncated or extended", ErrKey)
	}
	if size < minBits/16 || size > maxBits/16 {
		return nil, fmt.Errorf("%w: factors of %d bytes, want %d to %d", ErrKey, size, minBits/16, maxBits/16)
	}
	if e > 1<<31-1 {
		return nil, fmt.Errorf("%w: public exponent %d", ErrKey, e)
	}
	if !in.ReadBytes(&p, int(size)) || !in.ReadBytes(&q, int(size)) || p[0] == 0 || q[0] == 0 || p[size-1]&q[size-1]&1 == 0 {
		return nil, fmt.Errorf("%w: factors are even, or begin with a zero byte", ErrKey)
	}
	erase.Do(func() { k, err = newSoftwareKey(p, q, int(e)) })
	return k, err
}
