package device

import (
	"context"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// UseKeyDocument makes the device encrypt to the key in a document of [Config].Authority,
// which may come from anywhere. An app calls it before it signs, with the document that
// came with the challenge: so a phone that was away while all keys changed signs at its
// first try. A device with an Authority also takes the document that the server sends
// with its answers. The error wraps [protocol.ErrMalformed] for a document that the
// authority did not sign, or that is older than one that the device has used, and
// [protocol.ErrConfig] without an Authority; else it is the storage's.
func (d *Device) UseKeyDocument(document []byte) error {
	s, err := d.open(context.Background())
	if err != nil {
		return err
	}
	defer s.close()
	if err := d.use(s, document); err != nil {
		return err
	}
	return d.save(s)
}

func (d *Device) use(s *state, document []byte) error {
	if d.config.Authority == nil {
		return fmt.Errorf("%w: the device knows no authority for key documents", protocol.ErrConfig)
	}
	serial, hpkeKey, err := wire.ParseKeyDocument(document, d.config.Authority)
	if err != nil {
		return fmt.Errorf("device: key document: %w", err)
	}
	if serial < s.serial {
		return fmt.Errorf("%w: key document is out of date: serial %d, and %d was used", protocol.ErrMalformed, serial, s.serial)
	}
	s.serial, s.hpkeKey = serial, hpkeKey
	return nil
}

// takeShipped takes up the key that the app is shipped with, if it is another one than
// before or has a higher serial. Under an authority it never replaces one with a higher
// serial.
func (d *Device) takeShipped(s *state) {
	shipped, serial := wire.HPKEKeyIDOf(d.config.HPKEKey), d.config.Serial
	switch {
	case d.config.Authority == nil && shipped != s.shipped:
	case serial > s.serial, serial == s.serial && shipped != s.shipped:
	default:
		return
	}
	s.shipped, s.hpkeKey, s.serial = shipped, d.config.HPKEKey, max(serial, s.serial)
}
