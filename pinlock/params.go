package pinlock

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/taint"
)

// Params is the cost of one PIN guess: the parameters of Argon2id (RFC 9106).
// The zero value is invalid.
type Params struct {
	Time      uint32 // passes over the memory, t; at least 1
	MemoryKiB uint32 // m in KiB; at least 8 times Threads, at most 4 GiB
	Threads   uint8  // lanes, p; at least 1. The result depends on it
}

// ErrParams is returned for Argon2id parameters that RFC 9106, section 3.1, does not
// allow, and for a lockbox that asks for more than the caller's limit. Nothing was
// computed and no memory allocated.
var ErrParams = errors.New("pinlock: unacceptable Argon2id parameters")

// DefaultParams returns the second recommendation of RFC 9106, section 4: 3 passes over
// 64 MiB in 4 lanes.
func DefaultParams() Params {
	return Params{Time: 3, MemoryKiB: 64 << 10, Threads: 4}
}

// maxMemoryKiB is 4 GiB, or what an int can count: x/crypto/argon2 panics above.
const maxMemoryKiB = min(4<<20, math.MaxInt>>10)

func (p Params) check() error {
	switch {
	case p.Time < 1:
		return fmt.Errorf("%w: time %d, want at least 1", ErrParams, p.Time)
	case p.Threads < 1:
		return fmt.Errorf("%w: %d threads, want at least 1", ErrParams, p.Threads)
	case p.MemoryKiB < 8*uint32(p.Threads):
		return fmt.Errorf("%w: %d KiB of memory, want at least 8 for each thread", ErrParams, p.MemoryKiB)
	case p.MemoryKiB > maxMemoryKiB:
		return fmt.Errorf("%w: %d KiB of memory, want at most %d", ErrParams, p.MemoryKiB, uint32(maxMemoryKiB))
	}
	return nil
}

// within returns an error if limit is invalid, as a zero limit is, or if a field of p is
// above limit's.
func (p Params) within(limit Params) error {
	if err := limit.check(); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	if p.Time > limit.Time || p.MemoryKiB > limit.MemoryKiB || p.Threads > limit.Threads {
		return fmt.Errorf("%w: t=%d m=%dKiB p=%d, above the limit t=%d m=%dKiB p=%d", ErrParams,
			p.Time, p.MemoryKiB, p.Threads, limit.Time, limit.MemoryKiB, limit.Threads)
	}
	return nil
}

// xorKeyStream encrypts or decrypts x in place. The key is Argon2id of the PIN, and the
// stream is ChaCha20's (RFC 8439, section 2.4) from block 0 with nonce 0. The nonce may
// be constant because a salt, and so a key, is used once. There is no authentication: it
// would tell a right PIN from a wrong one.
func xorKeyStream(x, pin []byte, salt [saltLen]byte, p Params) {
	erase.Do(func() {
		key := argon2.IDKey(taint.DeclassifyCopy(pin, taint.Argon2Input), salt[:], p.Time, p.MemoryKiB, p.Threads, chacha20.KeySize)
		defer clear(key)
		taint.Secret(key)
		c, err := chacha20.NewUnauthenticatedCipher(key, make([]byte, chacha20.NonceSize))
		if err != nil {
			panic(err) // only for other lengths of key and nonce
		}
		c.XORKeyStream(x, x)
		*c = chacha20.Cipher{}
	})
}
