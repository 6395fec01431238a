package protocoltest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

var (
	RightPIN = []byte("491703628")
	WrongPIN = []byte("830652917")
	NewPIN   = []byte("48290513746")

	// cheapest is the lowest cost that RFC 9106 allows: only tests may use it.
	Cheapest = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}
)

// Clock is a server's clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set sets the clock.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// MemoryStorage is a Storage in memory, from which tests copy a phone's storage.
type MemoryStorage struct {
	mu   sync.Mutex
	Data []byte
}

func (m *MemoryStorage) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.Data), nil
}

func (m *MemoryStorage) Save(data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Data = bytes.Clone(data)
	return nil
}

// Lock has nothing to do: nobody shares the memory.
func (m *MemoryStorage) Lock() (func(), error) { return func() {}, nil }

func (m *MemoryStorage) Copy() *MemoryStorage {
	data, _ := m.Load()
	return &MemoryStorage{Data: data}
}

// FixedKeys is a KeySource with the one server key of package splitkeytest.
type FixedKeys struct{}

// FixedServerKey returns a copy of that key, which a server may wipe.
func FixedServerKey() (*splitkey.SoftwareKey, error) {
	return splitkeytest.SoftwareKey(splitkeytest.NamedKey(splitkeytest.Server, 2048))
}

var loadedServerKey = sync.OnceValues(FixedServerKey)

func (FixedKeys) Bits() int { return 2048 }

func (FixedKeys) NewKey(context.Context) (splitkey.RSAKey, []byte, error) {
	key, err := FixedServerKey()
	return key, []byte("fixed"), err
}

func (FixedKeys) LoadKey(_ context.Context, blob []byte) (splitkey.RSAKey, error) {
	if string(blob) != "fixed" {
		return nil, errors.New("unknown blob")
	}
	return loadedServerKey()
}

func NewHPKE(tb testing.TB) hpke.PrivateKey {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(tb, err)
	return key
}

var Shares = sync.OnceValues(func() (*splitkey.ClientShare, *splitkey.ServerShare) {
	x := bytes.Repeat([]byte{0x5a, 0x31, 0xc7, 0x0e}, (256+8)/4)
	c, s, err := splitkeytest.Split(splitkeytest.Key(2048), splitkey.Multiplicative, x)
	if err != nil {
		panic(err)
	}
	return c, s
})

func DigestOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// LambdaOfTestKey is lcm(p-1, q-1) of the key of Shares.
func LambdaOfTestKey() *big.Int {
	key, one := splitkeytest.Key(2048), big.NewInt(1)
	p, q := new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one)
	gcd := new(big.Int).GCD(nil, nil, p, q)
	return new(big.Int).Div(new(big.Int).Mul(p, q), gcd)
}

var ErrLost = errors.New("lost")

var Authority = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x33}, ed25519.SeedSize))

func DocumentOf(tb testing.TB, serial uint64, hpkeKey []byte) []byte {
	document, err := wire.SignKeyDocument(Authority, serial, hpkeKey)
	require.NoError(tb, err)
	require.Len(tb, document, wire.KeyDocumentSize)
	return document
}

// SealRequest seals a plaintext of a request or an enrolment behind the ticket of the
// challenge in it, whatever the operation in the envelope.
func SealRequest(pub hpke.PublicKey, op protocol.Operation, plaintext []byte) ([]byte, wire.ResponseKey, error) {
	var ticket wire.Ticket
	at := 3
	if len(plaintext) > 1 && plaintext[1] == protocol.ChallengeSize {
		at = 2 // an enrolment: no operation stands before the challenge
	}
	if len(plaintext) >= at {
		copy(ticket[:], plaintext[at:])
	}
	return wire.SealRequest(pub, op, &ticket, plaintext)
}

// OpenRequest decrypts a request. Whether its ticket is authentic is not asked.
func OpenRequest(request []byte, keys map[wire.HPKEKeyID]hpke.PrivateKey) (*wire.Opened, error) {
	e, err := wire.ParseEnvelope(request)
	if err != nil {
		return nil, err
	}
	return e.Open(keys)
}

func EnrollmentOf(t *testing.T, raw, share []byte) []byte {
	c, err := wire.ParseChallenge(raw)
	require.NoError(t, err)
	e := wire.Enrollment{Challenge: c, Share: secret.Own(share), AuthKey: wire.DrawSecret(), Commitment: wire.DrawSecret().Commitment()}
	plaintext, err := e.Encode(c.KeyID, nil)
	require.NoError(t, err)
	return plaintext
}
