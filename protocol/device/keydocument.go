package device

import (
	"fmt"

	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// UseKeyDocument makes the device encrypt to the key in a document of [Config].Authority, which
// may come from anywhere. An app calls it before it signs, with the document that came with the
// challenge: so a phone that was away while all keys changed signs at its first try. A device with an
// Authority also takes the document that the server sends with its answers. The error wraps
// [ErrKeyDocument], or is the state's.
func (d *Device) UseKeyDocument(document []byte) error {
	if d == nil || d.config.Storage == nil {
		return wire.ErrNothing
	}
	return d.exclusively(func(s *state) error {
		if err := d.use(s, document); err != nil {
			return err
		}
		return d.save(s)
	})
}

func (d *Device) use(s *state, document []byte) error {
	if d.config.Authority == nil {
		return fmt.Errorf("%w: the device knows no authority", ErrKeyDocument)
	}
	serial, serverKey, err := wire.ParseKeyDocument(document, d.config.Authority)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyDocument, err)
	}
	if serial < s.serial {
		return fmt.Errorf("%w: serial %d, and %d was used", ErrKeyDocument, serial, s.serial)
	}
	s.serial, s.serverKey = serial, serverKey
	return nil
}
