package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/hpke"
	"crypto/rsa"
	"fmt"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Storage keeps what a device must not forget: one value of up to 256 KiB, mostly of 4 to 8.
//
// It is trusted to be durable and not to go back in time: a value that an earlier Save wrote, put back
// from a backup say, is a copy of the device, and the server will take it for a clone and destroy the
// key. It is not trusted with the PIN or the share: a thief who reads it cannot sign
// (docs/protocol.md, "What the device keeps").
type Storage interface {
	// Load returns what the last successful Save wrote, or nil if there was none.
	Load() ([]byte, error)
	// Save replaces the value as one atomic step and returns nil when the new one is durable: a crash
	// of the process or the machine at any time leaves the old value or the new one, and the new one
	// once Save has returned nil. After an error it is not known which of the two Load will return. Save does not keep data.
	Save(data []byte) error
}

// Locker is a [Storage] that other processes may use as well. A device holds the lock for each
// operation, the exchange with the server included.
type Locker interface {
	Storage
	// Lock returns ErrBusy if somebody else holds the lock, and else a function that
	// gives it back. A process that ends gives it back too.
	Lock() (unlock func(), err error)
}

// Transport carries a request to the server and its response back: bytes that are encrypted and
// authenticated already. It may lose, delay, repeat or damage them. It is *not* trusted, but in
// a deployment is still TLS, which hides key ids. It does not hide lengths: who sees the length of an answer,
// or how long it took, can tell a signature from a wrong PIN.
type Transport func(ctx context.Context, request []byte) (response []byte, err error)

// Config is what a [Device] works with.
type Config struct {
	Storage   Storage   // required
	Transport Transport // required

	// ServerKey is the server's HPKE public key, which the app is shipped with: see
	// server.Server.ServerKey. Another one that is given here (by an update of the app) is used at once, until a
	// key document says otherwise, also the one that was used last. So a key that leaked is replaced by a
	// document with a higher serial, not by an update alone. Required.
	ServerKey []byte

	// Authority, if not nil, is the Ed25519 key that signs key documents, by which the server's HPKE key
	// is replaced without an update of the app: see [Device.UseKeyDocument].
	Authority ed25519.PublicKey

	// StorageKey, if not nil, seals the storage: 32 bytes from the platform's key store. Without it the
	// value has a checksum.
	StorageKey []byte `json:"-"`

	// Hardware, if not nil, signs every request of a key that was enrolled with it. See
	// [EnrollOptions].
	Hardware HardwareKey

	// Params is the cost of a PIN guess for lockboxes that are made from now on; the zero value means
	// [pinlock.DefaultParams].
	Params pinlock.Params

	// Limit is the most that a lockbox which exists may ask for; the zero value means 16 passes, 1 GiB
	// and 16 lanes. It is at least Params. Lowering Params leaves old lockboxes as good as they were.
	Limit pinlock.Params
}

// Device is the device's half of the protocol: one key, one PIN. A person with a key for
// authentication and one for signatures has two, with a state each.
//
// The methods may be called from many goroutines; one operation runs at a time, and
// the others return [ErrBusy].
type Device struct {
	config     Config // without StorageKey
	storageKey secret.Bytes
	shipped    hpke.PublicKey // config.ServerKey, parsed
	busy       sync.Mutex
}

// New returns a device. It does not touch the storage. The error wraps [protocol.ErrConfig]; for a
// StorageKey in FIPS 140-only mode also splitkey.ErrFIPS.
func New(config Config) (*Device, error) {
	if isnil.Value(config.Storage) || config.Transport == nil {
		return nil, fmt.Errorf("%w: no state or no transport", protocol.ErrConfig)
	}
	shipped, err := wire.ParseServerKey(config.ServerKey)
	if err != nil {
		return nil, fmt.Errorf("%w: server key: %w", protocol.ErrConfig, err)
	}
	if config.Hardware != nil && isnil.Value(config.Hardware) {
		return nil, fmt.Errorf("%w: the hardware key is a nil", protocol.ErrConfig)
	}
	if config.Authority != nil && len(config.Authority) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: authority's key of %d bytes, want %d", protocol.ErrConfig, len(config.Authority), ed25519.PublicKeySize)
	}
	if wire.AllZero(config.StorageKey) {
		return nil, fmt.Errorf("%w: a storage key of zeros", protocol.ErrConfig)
	}
	if config.StorageKey != nil && len(config.StorageKey) != storageKeySize {
		return nil, fmt.Errorf("%w: storage key of %d bytes, want %d", protocol.ErrConfig, len(config.StorageKey), storageKeySize)
	}
	if config.StorageKey != nil && fips140.Enforced() {
		return nil, fmt.Errorf("%w: the state is sealed with XChaCha20-Poly1305: %w", protocol.ErrConfig, splitkey.ErrFIPS)
	}
	if config.Params == (pinlock.Params{}) {
		config.Params = pinlock.DefaultParams()
	}
	if config.Limit == (pinlock.Params{}) {
		config.Limit = pinlock.Params{Time: 16, MemoryKiB: 1 << 20, Threads: 16}
	}
	p, limit := config.Params, config.Limit
	if p.Time > limit.Time || p.MemoryKiB > limit.MemoryKiB || p.Threads > limit.Threads {
		return nil, fmt.Errorf("%w: Argon2id parameters above the limit", protocol.ErrConfig)
	}
	d := &Device{config: config, storageKey: secret.Copy(config.StorageKey), shipped: shipped}
	d.config.ServerKey, d.config.StorageKey = bytes.Clone(config.ServerKey), nil
	return d, nil
}

func (d *Device) made(ctx context.Context) error {
	if d == nil || d.config.Storage == nil || ctx == nil {
		return wire.ErrNothing
	}
	return nil
}

// Format hides the configuration, except where package fmt cannot call it: in an unexported field of a struct that is printed.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "device.Config(hidden)") }

// Status is what a device knows by itself.
type Status struct {
	Phase     Phase
	Reason    protocol.Reason // of a dead or superseded key
	KeyID     protocol.KeyID  // from Enrolling to Ready, and of a superseded key
	PublicKey *rsa.PublicKey  // the final key, from Unconfirmed to Ready
	Pending   *PendingRequest // the request that is not answered, or nil
}

// PendingRequest is a request that was sent, perhaps, and not answered, as the user may be shown it.
type PendingRequest struct {
	Operation protocol.Operation
	Challenge []byte
	Digests   [][]byte          // to sign; nil else
	Options   crypto.SignerOpts // likewise
	Expires   time.Time         // of the challenge, by the server's clock
	Cancelled bool              // Cancel was called, and is not answered
}

// Status returns what the device knows by itself, without the server.
func (d *Device) Status() (Status, error) {
	if err := d.made(context.Background()); err != nil {
		return Status{}, err
	}
	var status Status
	err := d.exclusively(func(s *state) error {
		status.Phase, status.Reason = s.phase, s.reason
		if k := s.key; k != nil {
			status.KeyID = k.id
			if k.public.N != nil {
				status.PublicKey = &k.public
			}
		}
		if p := s.pending; p != nil {
			status.Pending = &PendingRequest{Operation: p.op, Challenge: p.challenge.Raw[:], Expires: time.UnixMilli(p.challenge.Expires).UTC(), Cancelled: p.cancel}
			if p.op == protocol.OpSign {
				status.Pending.Digests, status.Pending.Options = p.messages.Digests, p.messages.Options()
			}
		}
		return nil
	})
	return status, err
}

// exclusively runs one operation with the state as it is stored.
func (d *Device) exclusively(operation func(*state) error) error {
	if !d.busy.TryLock() {
		return ErrBusy
	}
	defer d.busy.Unlock()
	if l, ok := d.config.Storage.(Locker); ok {
		unlock, err := l.Lock()
		if err != nil {
			return err
		}
		defer unlock()
	}
	s, err := d.load()
	if err != nil {
		return err
	}
	return operation(s)
}

func (d *Device) load() (*state, error) {
	data, err := d.config.Storage.Load()
	if err != nil {
		return nil, fmt.Errorf("device: load state: %w", err)
	}
	s := new(state)
	if data != nil {
		if s, err = parseState(data, d.storageKey.Get()); err != nil {
			return nil, err
		}
	}
	if shipped := wire.HPKEKeyIDOf(d.config.ServerKey); s.shipped != shipped {
		s.shipped, s.serverKey = shipped, d.config.ServerKey
	}
	return s, nil
}

// publicKey returns the server's key to encrypt to. Parsing one costs a tenth of encrypting to it, so the usual one is
// parsed once.
func (d *Device) publicKey(s *state) (hpke.PublicKey, error) {
	if bytes.Equal(s.serverKey, d.config.ServerKey) {
		return d.shipped, nil
	}
	pub, err := wire.KEM.NewPublicKey(s.serverKey)
	if err != nil {
		return nil, fmt.Errorf("%w: server key: %w", ErrStorage, err)
	}
	return pub, nil
}

func (d *Device) save(s *state) error {
	data, err := s.encode(d.storageKey.Get())
	if err != nil {
		return err
	}
	if err := d.config.Storage.Save(data); err != nil {
		return fmt.Errorf("device: save state: %w", err)
	}
	return nil
}
