package pinlock

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/splitkey"
)

const (
	lockboxMagic   = "TDlb"
	lockboxVersion = 1
)

// MarshalBinary returns the lockbox with a checksum, for a device that has no storage key
// to [Lockbox.Seal] it under. Integers are big-endian, and k1 is the length of n1 in
// bytes:
//
//	offset   length  field
//	0        4       "TDlb"
//	4        1       version, 1
//	5        1       sharing: 1 multiplicative, 2 additive
//	6        4       Argon2id passes, t
//	10       4       Argon2id memory in KiB, m
//	14       1       Argon2id lanes, p
//	15       16      salt
//	31       2       k1
//	33       k1      n1, first byte not zero
//	33+k1    4       e
//	37+k1    2       length of the ciphertext, k1+8
//	39+k1    k1+8    ciphertext: x XOR the ChaCha20 stream with nonce 0 from counter 0,
//	                 under the 32-byte key Argon2id(PIN, salt, t, m, p)
//	47+2*k1  32      SHA-256 of all bytes before
//
// These are 79+2*k1 bytes: 591 for 2048 bits, 847 for 3072, 1103 for 4096. The checksum
// covers only ciphertext and public values, so it says nothing about the PIN.
func (b *Lockbox) MarshalBinary() ([]byte, error) {
	c, err := b.contents()
	if err != nil {
		return nil, err
	}
	body := c.encode()
	sum := sha256.Sum256(body)
	return append(body, sum[:]...), nil
}

// ParseLockbox reads the form that [Lockbox.MarshalBinary] writes. It returns
// [ErrLockbox] for any truncated, extended or changed byte, for any other version, and
// for values that no lockbox can have. What it accepts opens with every PIN, if its cost
// is within the limit given to [Lockbox.Unlock].
func ParseLockbox(data []byte) (*Lockbox, error) {
	if len(data) < len(lockboxMagic)+sha256.Size || string(data[:len(lockboxMagic)]) != lockboxMagic {
		return nil, fmt.Errorf("%w: not a lockbox", ErrLockbox)
	}
	body, want := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], want) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrLockbox)
	}
	return decode(body)
}

// encode returns the form of MarshalBinary without the checksum.
func (c *contents) encode() []byte {
	b := append([]byte(lockboxMagic), lockboxVersion, byte(c.sharing))
	b = binary.BigEndian.AppendUint32(b, c.params.Time)
	b = binary.BigEndian.AppendUint32(b, c.params.MemoryKiB)
	b = append(b, c.params.Threads)
	b = append(b, c.salt[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.n)))
	b = append(b, c.n...)
	b = binary.BigEndian.AppendUint32(b, c.e)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.ct)))
	return append(b, c.ct...)
}

// decode reads what encode returns, and nothing else.
func decode(body []byte) (*Lockbox, error) {
	in := cryptobyte.String(body)
	c := &contents{}
	var magic []byte
	var version, sharing uint8
	var n, ct cryptobyte.String
	if !in.ReadBytes(&magic, len(lockboxMagic)) || string(magic) != lockboxMagic || !in.ReadUint8(&version) {
		return nil, fmt.Errorf("%w: not a lockbox", ErrLockbox)
	}
	if version != lockboxVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrLockbox, version, lockboxVersion)
	}
	if !in.ReadUint8(&sharing) ||
		!in.ReadUint32(&c.params.Time) || !in.ReadUint32(&c.params.MemoryKiB) || !in.ReadUint8(&c.params.Threads) ||
		!in.CopyBytes(c.salt[:]) ||
		!in.ReadUint16LengthPrefixed(&n) || !in.ReadUint32(&c.e) || !in.ReadUint16LengthPrefixed(&ct) || !in.Empty() {
		return nil, fmt.Errorf("%w: wrong length", ErrLockbox)
	}
	if err := c.params.check(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLockbox, err)
	}
	if len(n) == 0 || n[0] == 0 {
		return nil, fmt.Errorf("%w: modulus has leading zeros", ErrLockbox)
	}
	if c.e > math.MaxInt32 {
		return nil, fmt.Errorf("%w: public exponent too large", ErrLockbox)
	}
	c.sharing = splitkey.Sharing(sharing)
	c.n = bytes.Clone(n)
	c.ct = bytes.Clone(ct)
	// Every string of k1+8 bytes is a share, so the ciphertext stands in for x: splitkey
	// accepts it now if and only if it accepts what any PIN opens.
	if _, err := splitkey.NewClientShare(c.publicKey(), c.sharing, c.ct); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLockbox, err)
	}
	return newLockbox(c), nil
}
