package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Causes of refusals.
var (
	errMAC = errors.New("MAC")
	// errHardware is for the right MAC without the hardware's signature.
	errHardware = errors.New("server: not signed by the phone's hardware")
)

// authenticate checks that the device sent the request: 5 and 6. Until it succeeds
// nothing may be answered.
func (t *trial) authenticate(ctx context.Context, rec *record) error {
	if t.authenticated {
		return nil // neither K_dev nor the hardware key ever changes
	}
	key, err := t.server.config.Sealer.Open(ctx, authKeyAAD(t.id), rec.sealedKey) // 5
	if err != nil {
		return fmt.Errorf("%w: %w", errInternal, err)
	}
	defer clear(key)
	if len(key) != wire.SecretSize {
		return fmt.Errorf("%w: %w: authentication key", errInternal, ErrRecord)
	}
	k := wire.NewSecret(key)
	defer k.Wipe()
	if !t.request.Authentic(k, t.id) { // 6
		return fmt.Errorf("%w: %w: not the device's", protocol.ErrMalformed, errMAC)
	}
	if !wire.HardwareSigned(rec.hardware, t.id, t.request.Body.Get(), t.request.Hardware) { // 6
		return fmt.Errorf("%w: key %v", errHardware, t.id)
	}
	t.authenticated = true
	return nil
}

// pretend does for an unknown key what authenticate does for a known one, with a key of
// nobody's (4): with a Sealer in an HSM the time for it could be told from its absence
// over the network.
func (t *trial) pretend(ctx context.Context) {
	s := t.server
	sealed := s.nobody.Load()
	if sealed == nil {
		key := wire.DrawSecret()
		defer key.Wipe()
		b, err := s.config.Sealer.Seal(ctx, nobodyAAD, key.Get())
		if err != nil {
			return // known keys cannot be opened either
		}
		sealed = &b
		s.nobody.Store(sealed)
	}
	key, err := s.config.Sealer.Open(ctx, nobodyAAD, *sealed)
	if err != nil {
		s.nobody.CompareAndSwap(sealed, nil) // the sealing key was retired
		return
	}
	defer clear(key)
	k := wire.NewSecret(key)
	defer k.Wipe()
	_ = t.request.Authentic(k, t.id)
}

var nobodyAAD = []byte("tandem v2 nobody's authentication key")
