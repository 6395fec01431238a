package device

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

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

// signer returns what signs the requests of a key beside their MAC; nil where nothing
// does.
func (d *Device) signer(k *enrolledKey) (*wire.HardwareSigner, error) {
	switch {
	case len(k.hardware) == 0:
		return nil, nil
	case d.config.Hardware == nil:
		return nil, fmt.Errorf("%w: no hardware key, and the key was enrolled with one", protocol.ErrConfig)
	}
	return &wire.HardwareSigner{Key: d.config.Hardware, Public: k.hardware}, nil
}
