// Package emsa encodes digests for RSA signatures: EMSA-PKCS1-v1_5 and EMSA-PSS
// of RFC 8017, section 9. crypto/rsa has the same encoders but exports neither,
// and both parties of a split key must build the encoded message themselves, so
// that neither exponentiates a number whose meaning it does not know.
//
// Everything here is public: the encoded message can be recovered from the
// signature with the public key alone.
package emsa

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
)

var (
	// ErrHash is returned for a hash function that is not in the table below.
	ErrHash = errors.New("emsa: unsupported hash function")
	// ErrDigest is returned for a digest whose length is not the hash's.
	ErrDigest = errors.New("emsa: digest has the wrong length for its hash function")
	// ErrTooLong is returned where digest, salt and padding do not fit in the modulus
	// ("encoding error" of RFC 8017, "intended encoded message length too short").
	ErrTooLong = errors.New("emsa: digest and salt do not fit in the modulus")
)

type function struct {
	new  func() hash.Hash
	size int
	// oid is the content of the algorithm's OBJECT IDENTIFIER (RFC 8017, appendix
	// B.1; NIST's arc 2.16.840.1.101.3.4.2).
	oid []byte
}

func nist(arc byte) []byte { return []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc} }

var functions = map[crypto.Hash]function{
	crypto.SHA256:   {new: sha256.New, size: 32, oid: nist(1)},
	crypto.SHA384:   {new: sha512.New384, size: 48, oid: nist(2)},
	crypto.SHA512:   {new: sha512.New, size: 64, oid: nist(3)},
	crypto.SHA3_256: {new: func() hash.Hash { return sha3.New256() }, size: 32, oid: nist(8)},
	crypto.SHA3_384: {new: func() hash.Hash { return sha3.New384() }, size: 48, oid: nist(9)},
	crypto.SHA3_512: {new: func() hash.Hash { return sha3.New512() }, size: 64, oid: nist(10)},
}

// CheckDigest returns ErrHash unless h is SHA-256, SHA-384, SHA-512 or one of the
// SHA-3 functions of the same lengths, and ErrDigest unless digest has its length.
func CheckDigest(h crypto.Hash, digest []byte) error {
	if err := CheckHash(h); err != nil {
		return err
	}
	if want := functions[h].size; len(digest) != want {
		return fmt.Errorf("%w: %d bytes, %v has %d", ErrDigest, len(digest), h, want)
	}
	return nil
}

// CheckHash returns ErrHash where CheckDigest does.
func CheckHash(h crypto.Hash) error {
	if _, ok := functions[h]; !ok {
		return fmt.Errorf("%w: %v, want SHA-256, SHA-384, SHA-512, SHA3-256, SHA3-384 or SHA3-512", ErrHash, h)
	}
	return nil
}

// PKCS1v15 returns the EMSA-PKCS1-v1_5 encoding (RFC 8017, section 9.2) of a digest
// in emLen bytes, the length of the modulus:
//
//	EM = 0x00 || 0x01 || 0xff ... 0xff || 0x00 || DigestInfo
//
// The caller must have checked the digest with CheckDigest.
func PKCS1v15(h crypto.Hash, digest []byte, emLen int) ([]byte, error) {
	f := functions[h]
	// DigestInfo ::= SEQUENCE { SEQUENCE { OBJECT IDENTIFIER, NULL }, OCTET STRING }.
	// All lengths are below 128, so each takes one byte.
	info := []byte{0x30, byte(8 + len(f.oid) + f.size), 0x30, byte(4 + len(f.oid)), 0x06, byte(len(f.oid))}
	info = append(info, f.oid...)
	info = append(info, 0x05, 0x00, 0x04, byte(f.size))
	info = append(info, digest...)
	if emLen < len(info)+11 { // at least eight bytes of 0xff
		return nil, ErrTooLong
	}
	em := make([]byte, emLen)
	em[1] = 0x01
	zero := emLen - len(info) - 1
	for i := 2; i < zero; i++ {
		em[i] = 0xff
	}
	copy(em[zero+1:], info)
	return em, nil
}

// PSS returns the EMSA-PSS encoding (RFC 8017, section 9.1.1) of a digest with a salt, in
// ceil(emBits/8) bytes. emBits is one less than the modulus' bit length. The mask
// generation function is MGF1 with the same hash function. The caller must have checked
// the digest with CheckDigest.
func PSS(h crypto.Hash, digest, salt []byte, emBits int) ([]byte, error) {
	f := functions[h]
	emLen := (emBits + 7) / 8
	if emLen < f.size+len(salt)+2 {
		return nil, ErrTooLong
	}
	em := make([]byte, emLen)
	db, mac := em[:emLen-f.size-1], em[emLen-f.size-1:emLen-1]

	// H = Hash(00 00 00 00 00 00 00 00 || mHash || salt)
	hh := f.new()
	hh.Write(make([]byte, 8))
	hh.Write(digest)
	hh.Write(salt)
	copy(mac, hh.Sum(nil))

	// DB = PS || 0x01 || salt, masked with MGF1(H)
	db[len(db)-len(salt)-1] = 0x01
	copy(db[len(db)-len(salt):], salt)
	mgf1XOR(db, f.new(), mac)

	// The bits above emBits are cleared, so that OS2IP(EM) < 2^emBits <= n.
	em[0] &= 0xff >> (8*emLen - emBits)
	em[emLen-1] = 0xbc
	return em, nil
}

// MaxSaltLength returns the longest salt that PSS accepts, or a negative number
// where not even an empty one fits.
func MaxSaltLength(h crypto.Hash, emBits int) int {
	return (emBits+7)/8 - functions[h].size - 2
}

// mgf1XOR masks dst with MGF1 (RFC 8017, appendix B.2.1) of the seed.
func mgf1XOR(dst []byte, h hash.Hash, seed []byte) {
	for counter := uint32(0); len(dst) > 0; counter++ {
		h.Reset()
		h.Write(seed)
		h.Write([]byte{byte(counter >> 24), byte(counter >> 16), byte(counter >> 8), byte(counter)})
		for _, b := range h.Sum(nil)[:min(h.Size(), len(dst))] {
			dst[0] ^= b
			dst = dst[1:]
		}
	}
}
