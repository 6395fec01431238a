package protocol

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/tandem-rsa/tandem/splitkey"
)

// KeySource makes the server's own keys (n2, d2), one for each enrolment, and finds them
// again. Package hsm has one whose keys never leave the HSM, and [KeyPool] is one in software.
// It is used from many goroutines at once.
type KeySource interface {
	// New returns a key for a device's key of so many bits: of the same size, with e = 65537. blob is
	// what Load needs (a wrapped key, a handle), up to 8 KiB, and may be secret: the
	// server seals it. The same key is never returned twice.
	New(ctx context.Context, bits int) (key splitkey.RSAKey, blob []byte, err error)
	// Load returns the key for a blob.
	Load(ctx context.Context, blob []byte) (splitkey.RSAKey, error)
}

// maxBlob bounds the blob of a KeySource.
const maxBlob = 8 << 10

// KeyPool is a [KeySource] in software that makes its keys in advance, in the background, so that an
// enrolment need not wait for one. The private keys are in the blobs.
type KeyPool struct {
	pools  map[int]chan pooledKey
	cancel context.CancelFunc
	done   sync.WaitGroup
}

type pooledKey struct {
	key  *splitkey.SoftwareKey
	blob []byte
}

var _ KeySource = (*KeyPool)(nil)

// NewKeyPool returns a pool that keeps size keys (1 to 1024) of each number of bits ready: 2048, 3072, 4096.
// One goroutine for each makes them, until Close. For other numbers of bits New makes a key while the
// caller waits. The error wraps [ErrConfig].
func NewKeyPool(size int, bits ...int) (*KeyPool, error) {
	if size < 1 || size > 1024 {
		return nil, fmt.Errorf("%w: a pool of %d keys, want 1 to 1024", ErrConfig, size)
	}
	p := &KeyPool{pools: make(map[int]chan pooledKey)}
	for _, b := range bits {
		if b != 2048 && b != 3072 && b != 4096 || p.pools[b] != nil {
			return nil, fmt.Errorf("%w: a pool of keys of %d bits", ErrConfig, b)
		}
		p.pools[b] = make(chan pooledKey, size)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for b, pool := range p.pools {
		p.done.Go(func() { fill(ctx, pool, b) })
	}
	return p, nil
}

// fill makes keys until ctx is done. The channel's capacity bounds how many wait.
func fill(ctx context.Context, pool chan<- pooledKey, bits int) {
	for ctx.Err() == nil {
		k, err := newServerKey(ctx, bits)
		if err != nil {
			continue // crypto/rsa found a fault in its own work: all but impossible
		}
		select {
		case pool <- k:
		case <-ctx.Done():
			clear(k.blob)
		}
	}
}

// Close stops the background work, waits for it, and wipes the keys that nobody took. New
// and Load still work.
func (p *KeyPool) Close() {
	p.cancel()
	p.done.Wait()
	for _, pool := range p.pools {
		for len(pool) > 0 {
			clear((<-pool).blob)
		}
	}
}

// New implements [KeySource]. It takes a key from the pool, or makes one if the pool is empty.
func (p *KeyPool) New(ctx context.Context, bits int) (splitkey.RSAKey, []byte, error) {
	select {
	case k := <-p.pools[bits]: // never ready where there is no such pool
		return k.key, k.blob, nil
	default:
	}
	k, err := newServerKey(ctx, bits)
	if err != nil {
		return nil, nil, err
	}
	return k.key, k.blob, nil
}

// Load implements [KeySource].
func (p *KeyPool) Load(_ context.Context, blob []byte) (splitkey.RSAKey, error) {
	key, err := x509.ParsePKCS1PrivateKey(blob)
	if err != nil {
		return nil, errors.New("protocol: server key: not a private key")
	}
	return splitkey.NewSoftwareKey(key)
}

// newServerKey draws keys until n2 is large enough that n1*n2 has full length for every n1
// of package splitkey: n1 has primes of at least 7/8 of their range, so n1 >= 49/64 * 2^bits, and
// n2 >= 64/49 * 2^(bits-1) will do. The first byte of 64/98 is 0xa7. About a fifth of the keys fail.
func newServerKey(ctx context.Context, bits int) (pooledKey, error) {
	for {
		if err := ctx.Err(); err != nil {
			return pooledKey{}, err
		}
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return pooledKey{}, fmt.Errorf("protocol: server key: %w", err)
		}
		if key.N.Bytes()[0] <= 0xa7 {
			continue
		}
		soft, err := splitkey.NewSoftwareKey(key)
		if err != nil {
			return pooledKey{}, err
		}
		return pooledKey{soft, x509.MarshalPKCS1PrivateKey(key)}, nil
	}
}
