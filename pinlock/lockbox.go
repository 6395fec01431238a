package pinlock

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/splitkey"
)

// saltLen is the length in bytes that RFC 9106, section 3.1, recommends for passwords.
const saltLen = 16

// ErrLockbox is returned for bytes that are not a lockbox: damaged, truncated, extended,
// of another version, or for another purpose. No PIN was tried, so no attempt counts.
var ErrLockbox = errors.New("pinlock: malformed lockbox")

// Lockbox is a client's share under a PIN, as a device keeps it. Only the public key and
// the cost are in the clear. Every PIN opens it, each to another share, and only the
// server can tell which share is right. It is immutable and safe for concurrent use; the
// zero value is refused by every method with [ErrLockbox].
//
// Make one with [Lock], [ParseLockbox] or [OpenLockbox].
type Lockbox struct {
	// Hidden from logs: the ciphertext is less secret than a PIN, but with the server's
	// share it is all that an offline guess needs.
	c secret.Value[*contents]
}

func newLockbox(c *contents) *Lockbox { return &Lockbox{secret.Hide(c)} }

type contents struct {
	sharing splitkey.Sharing
	params  Params
	salt    [saltLen]byte
	n       []byte // n1, big-endian, no leading zeros
	e       uint32
	ct      []byte // as long as x, len(n)+8 bytes
}

// Lock puts a share under a PIN. It costs one evaluation of Argon2id with p. Use
// [DefaultParams] unless you measured another cost on the slowest device that matters.
// Lower costs, down to the minimum of RFC 9106, are for tests.
//
// It returns [ErrParams], [ErrPINFormat] or a [*WeakPINError] as [CheckPIN] does, and
// [splitkey.ErrShare] for a share that is nil or wiped. The share and the PIN are not
// changed or kept: the caller clears both.
//
// A thief must never get hold of two lockboxes of one share: see the package
// documentation.
func Lock(share *splitkey.ClientShare, pin []byte, p Params) (*Lockbox, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := CheckPIN(pin); err != nil {
		return nil, err
	}
	pub, x := share.PublicKey(), share.Secret()
	if pub == nil || x == nil {
		return nil, fmt.Errorf("pinlock: nothing to lock: %w", splitkey.ErrShare)
	}
	c := &contents{sharing: share.Sharing(), params: p, n: pub.N.Bytes(), e: uint32(pub.E), ct: x}
	rand.Read(c.salt[:])
	xorKeyStream(c.ct, pin, c.salt, p)
	return newLockbox(c), nil
}

// Unlock opens the lockbox with a PIN and returns a share: the right one for the right
// PIN, and for every other PIN another one, of the same length and as plausible. It
// succeeds for every PIN of 4 to 12 digits, in a time that does not depend on the digits.
// It returns [ErrPINFormat] for anything else.
//
// limit caps the time, memory and threads that the lockbox, which may come from
// elsewhere, may ask for. If the lockbox asks for more in any field, or limit itself is
// not valid, Unlock returns [ErrParams] before it allocates anything. [DefaultParams] is
// the limit for lockboxes made with it. Each concurrent call needs memory of its own.
//
// Clear the share with its Wipe method when done. Only an answer of the server says
// whether the PIN was right. Until then do not write the share, or anything computed from
// it, anywhere.
func (b *Lockbox) Unlock(pin []byte, limit Params) (*splitkey.ClientShare, error) {
	c, err := b.contents()
	if err != nil {
		return nil, err
	}
	if err := c.params.within(limit); err != nil {
		return nil, err
	}
	if !validPIN(pin) {
		return nil, ErrPINFormat
	}
	x := slices.Clone(c.ct)
	defer clear(x)
	xorKeyStream(x, pin, c.salt, c.params)
	return splitkey.NewClientShare(c.publicKey(), c.sharing, x)
}

// PublicKey returns a copy of the split key's public half, (n1, e). Compare it with the
// key you expect before you ask for a PIN: trying PINs on another lockbox would cost
// attempts.
func (b *Lockbox) PublicKey() (*rsa.PublicKey, error) {
	c, err := b.contents()
	if err != nil {
		return nil, err
	}
	return c.publicKey(), nil
}

func (b *Lockbox) contents() (*contents, error) {
	if b == nil || b.c.Get() == nil {
		return nil, fmt.Errorf("%w: zero value", ErrLockbox)
	}
	return b.c.Get(), nil
}

func (c *contents) publicKey() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(c.n), E: int(c.e)}
}

// Format prints size, sharing and cost, for every verb.
func (b Lockbox) Format(f fmt.State, _ rune) {
	c := b.c.Get()
	if c == nil {
		io.WriteString(f, "pinlock.Lockbox(invalid)")
		return
	}
	fmt.Fprintf(f, "pinlock.Lockbox(%d bits, %v, t=%d m=%dKiB p=%d)", 8*len(c.n), c.sharing,
		c.params.Time, c.params.MemoryKiB, c.params.Threads)
}
