package server

import (
	"context"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/keystock"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// KeySource makes server keys (n2, d2), one for each enrolment, and finds them
// again. Package hsm has one whose keys never leave the HSM unwrapped, and [KeyPool] is
// one in software. It is used from many goroutines at once.
//
// All its keys have one length, that of the client keys, the exponent 65537, and a
// modulus of [splitkey.LeastServerModulus] or more. So n1*n2 has full length for each n1
// that package splitkey makes, and an enrolment takes one key: a client modulus that is
// too small for that, of a key made elsewhere, is refused before a key is drawn.
type KeySource interface {
	// Bits returns the length of the keys' moduli: a multiple of 8, from 2048 to 4096. It
	// never changes.
	Bits() int
	// NewKey returns a key that was never returned before, and gives it away: the server
	// wipes it, if it is a splitkey.SoftwareKey, once it is enrolled or cannot be. blob
	// is what LoadKey needs (a wrapped key, a handle), of 1 to 8192 bytes, and may be
	// secret: the server seals it, and wipes the slice.
	//
	// It is called once at most for each challenge of [Server.ChallengeEnroll], whatever
	// is sent with it and however often.
	NewKey(ctx context.Context) (key splitkey.RSAKey, blob []byte, err error)
	// LoadKey returns the key for a blob. The server wipes the slice afterwards: what is
	// needed later has to be copied.
	LoadKey(ctx context.Context, blob []byte) (splitkey.RSAKey, error)
}

// serverExponent is the public exponent of every server key.
const serverExponent = 65537

// maxBlob bounds the blob of a KeySource.
const maxBlob = 8 << 10

// KeyPool is a [KeySource] in software that makes its keys in advance, in the background,
// so that an enrolment need not wait for one. The private keys are in the blobs.
//
// It remembers keys that it loaded, up to a number, since checking one takes longer than
// using it.
type KeyPool struct {
	bits   int
	stock  *keystock.Stock[pooledKey]
	loaded *keyCache
}

type pooledKey struct {
	key  *splitkey.SoftwareKey
	blob secret.Bytes // the private key
}

var _ KeySource = (*KeyPool)(nil)

// NewKeyPool returns a pool of keys of 2048, 3072 or 4096 bits that keeps size of them
// ready, up to 1024. One goroutine makes them, until Close. With size 0 there is none,
// and each key is made when it is asked for. The error wraps [protocol.ErrConfig].
func NewKeyPool(bits, size int) (*KeyPool, error) {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return nil, fmt.Errorf("%w: server keys of %d bits", protocol.ErrConfig, bits)
	}
	if size < 0 || size > 1024 {
		return nil, fmt.Errorf("%w: a pool of %d keys, want 0 to 1024", protocol.ErrConfig, size)
	}
	draw := func(context.Context) (pooledKey, error) { return newServerKey(bits) }
	return newKeyPool(bits, size, draw), nil
}

func newKeyPool(bits, size int, draw func(context.Context) (pooledKey, error)) *KeyPool {
	return &KeyPool{bits, keystock.New(size, draw, pooledKey.wipe), newKeyCache()}
}

func (p *KeyPool) made() bool { return p != nil && p.loaded != nil }

// Close stops the background work, waits for it, and wipes the keys that nobody took.
// NewKey and LoadKey still work.
func (p *KeyPool) Close() {
	if p.made() {
		p.stock.Close()
	}
}

// Bits implements [KeySource].
func (p *KeyPool) Bits() int {
	if !p.made() {
		return 0
	}
	return p.bits
}

// NewKey implements [KeySource]. It takes a key from the pool, or makes one if the pool
// is empty.
func (p *KeyPool) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	if !p.made() || ctx == nil {
		return nil, nil, wire.ErrNothing
	}
	if k, ok := p.stock.Take(); ok {
		return k.key, k.blob.Get(), nil
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	k, err := newServerKey(p.bits)
	if err != nil {
		return nil, nil, err
	}
	return k.key, k.blob.Get(), nil
}

// LoadKey implements [KeySource].
func (p *KeyPool) LoadKey(_ context.Context, blob []byte) (splitkey.RSAKey, error) {
	if !p.made() {
		return nil, wire.ErrNothing
	}
	if key := p.loaded.get(blob); key != nil {
		return key, nil
	}
	key, err := splitkey.ParseSoftwareKey(blob)
	if err != nil {
		return nil, fmt.Errorf("server: server key: %w", err)
	}
	p.loaded.put(blob, key)
	return key, nil
}

// newServerKey makes one key. Its primes are at least 7/8 of their range, so that n2 is
// as large as [KeySource] promises: its first byte is c4 or more.
func newServerKey(bits int) (pooledKey, error) {
	key, err := splitkey.GenerateSoftwareKey(bits)
	if err != nil {
		return pooledKey{}, fmt.Errorf("server: server key: %w", err)
	}
	return pooledKey{key, secret.Own(key.Bytes())}, nil
}

// wipe clears a key that nobody took.
func (k pooledKey) wipe() {
	k.key.Wipe()
	k.blob.Wipe()
}
