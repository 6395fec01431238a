package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/hpke"
	"fmt"
	"sync"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Transport carries a request to the server and its response back: bytes that are
// encrypted and authenticated already. It may lose, delay, repeat or damage them. It is
// *not* trusted, but in a deployment is still TLS, which hides key ids. It does not hide
// lengths: who sees the length of an answer, or how long it took, can tell a signature
// from a wrong PIN.
type Transport func(ctx context.Context, request []byte) (response []byte, err error)

// Config is what a [Device] works with.
type Config struct {
	Storage   Storage   // required
	Transport Transport // required

	// HPKEKey is the HPKE public key of the server, which the app is shipped with: see
	// server.Server.HPKEKey. Required.
	HPKEKey []byte

	// Authority, if not nil, is the Ed25519 key that signs key documents, by which the
	// server's HPKE key is replaced without an update of the app: see
	// [Device.UseKeyDocument].
	Authority ed25519.PublicKey

	// Serial is the serial of HPKEKey among the key documents of Authority. The key
	// with the highest serial is used, whether an app or a document brought it: an update
	// of the app with a lower serial than the device has used changes nothing, and a
	// document with a lower serial than the app's is refused. So an app that replaces a
	// key that leaked is shipped with a higher serial than that key's document. Without
	// an Authority HPKEKey is used.
	Serial uint64

	// StorageKey, if not nil, seals the storage: 32 bytes from the platform's key store.
	// Without it the value has a checksum.
	StorageKey []byte `json:"-"`

	// Hardware, if not nil, is a P-256 key in the phone's secure element. A key that is
	// enrolled with it is bound to it: each request is signed by it beside its MAC, and a
	// copy of the phone's storage gets no answer from the server at all. It is asked to
	// sign SHA-256 digests, in ASN.1 as X9.62 has it; one that is a crypto.MessageSigner,
	// messages, which hold secrets and are cleared afterwards. It is not derived from a
	// PIN, and tests none.
	Hardware crypto.Signer

	// Params is the cost of a PIN guess for lockboxes that are made from now on; the zero
	// value means [pinlock.DefaultParams].
	Params pinlock.Params

	// Limit is the most that a lockbox which exists may ask for; the zero value means 16
	// passes, 1 GiB and 16 lanes. It is at least Params. Lowering Params leaves old
	// lockboxes as good as they were.
	Limit pinlock.Params
}

// Device is the device's half of the protocol: one key, one PIN. A person with a key for
// authentication and one for signatures has two, with a storage each.
//
// The methods may be called from many goroutines; one operation runs at a time, and
// the others return [ErrBusy].
type Device struct {
	config     Config // without StorageKey
	storageKey secret.Bytes
	shipped    hpke.PublicKey // config.HPKEKey, parsed
	hardware   []byte         // config.Hardware's public key, or nothing
	busy       sync.Mutex
	turns      turns // of its signers
}

// New returns a device. It does not touch the storage. The error wraps
// [protocol.ErrConfig]; for a StorageKey in FIPS 140-only mode also splitkey.ErrFIPS.
func New(config Config) (*Device, error) {
	if isnil.Value(config.Storage) || config.Transport == nil {
		return nil, fmt.Errorf("%w: no storage or no transport", protocol.ErrConfig)
	}
	shipped, err := wire.ParseHPKEKey(config.HPKEKey)
	if err != nil {
		return nil, fmt.Errorf("%w: HPKE key: %w", protocol.ErrConfig, err)
	}
	hardware, err := encodeHardwareKey(config.Hardware)
	if err != nil {
		return nil, err
	}
	if n := len(config.Authority); config.Authority != nil && n != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: authority's key of %d bytes, want %d", protocol.ErrConfig, n, ed25519.PublicKeySize)
	}
	if config.Authority == nil && config.Serial != 0 {
		return nil, fmt.Errorf("%w: a serial without an authority", protocol.ErrConfig)
	}
	if wire.AllZero(config.StorageKey) {
		return nil, fmt.Errorf("%w: a storage key of zeros", protocol.ErrConfig)
	}
	if n := len(config.StorageKey); config.StorageKey != nil && n != storageKeySize {
		return nil, fmt.Errorf("%w: storage key of %d bytes, want %d", protocol.ErrConfig, n, storageKeySize)
	}
	if config.StorageKey != nil && fips140.Enforced() {
		return nil, fmt.Errorf("%w: the storage is sealed with XChaCha20-Poly1305: %w", protocol.ErrConfig, splitkey.ErrFIPS)
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
	d := &Device{config: config, storageKey: secret.Copy(config.StorageKey), shipped: shipped, hardware: hardware}
	d.config.HPKEKey, d.config.Authority, d.config.StorageKey = bytes.Clone(config.HPKEKey), bytes.Clone(config.Authority), nil
	return d, nil
}

// encodeHardwareKey returns the public key of the phone's hardware, or nothing where it
// has none.
func encodeHardwareKey(hardware crypto.Signer) ([]byte, error) {
	if hardware == nil {
		return nil, nil
	}
	if !isnil.Value(hardware) {
		public, ok := hardware.Public().(*ecdsa.PublicKey)
		//lint:ignore SA1019 Bytes of a key without coordinates panics.
		if ok && public != nil && public.Curve == elliptic.P256() && public.X != nil && public.Y != nil {
			if encoded, err := public.Bytes(); err == nil {
				return encoded, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: the hardware's key is not one of P-256", protocol.ErrConfig)
}

// Format hides the configuration, except where package fmt cannot call it: in an
// unexported field of a struct that is printed.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "device.Config(hidden)") }

// open loads the state for one operation, which has the storage alone until it calls
// close. To save is up to the operation.
func (d *Device) open(ctx context.Context) (*state, error) {
	if d == nil || d.config.Storage == nil || ctx == nil {
		return nil, wire.ErrNothing
	}
	if !d.busy.TryLock() {
		return nil, ErrBusy
	}
	var s *state
	release := d.busy.Unlock
	defer func() {
		if s == nil { // also where the storage panics
			release()
		}
	}()
	unlock, err := d.config.Storage.Lock()
	if err != nil {
		return nil, err
	}
	release = func() {
		defer d.busy.Unlock()
		unlock()
	}
	loaded, err := d.load()
	if err != nil {
		return nil, err
	}
	s, loaded.release = loaded, release
	return s, nil
}

// load reads the state, and takes up the HPKE key that the app is shipped with, which the
// next save makes last.
func (d *Device) load() (*state, error) {
	data, err := d.config.Storage.Load()
	if err != nil {
		return nil, fmt.Errorf("device: load: %w", err)
	}
	defer clear(data)
	s := new(state)
	if data != nil {
		if s, err = parseState(data, d.storageKey.Get()); err != nil {
			return nil, err
		}
	}
	d.takeShipped(s)
	return s, nil
}

func (d *Device) save(s *state) error {
	data, err := s.encode(d.storageKey.Get())
	if err != nil {
		return err
	}
	defer clear(data)
	if err := d.config.Storage.Save(data); err != nil {
		return fmt.Errorf("device: save: %w", err)
	}
	return nil
}

// saveUnsent saves a request that is about to be sent. If the context ends meanwhile, the
// state from before is saved again, so that nothing is pending.
func (d *Device) saveUnsent(ctx context.Context, s, before *state) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.save(s); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		if saveErr := d.save(before); saveErr != nil {
			return fmt.Errorf("%w: %w", err, saveErr)
		}
		return err
	}
	return nil
}
