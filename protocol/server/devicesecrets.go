package server

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// deviceSecrets is what the Sealer seals of a key: K_dev, and the record key, under which
// the share is. One call of the Sealer's, which may be an HSM, opens both, and a request
// that is not the device's does not see the share.
type deviceSecrets struct{ authKey, recordKey wire.Secret }

// newDeviceSecrets draws a record key.
func newDeviceSecrets(authKey wire.Secret) deviceSecrets {
	return deviceSecrets{authKey, wire.DrawSecret()}
}

// Format hides the keys.
func (deviceSecrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, "server.deviceSecrets(hidden)") }

func (d deviceSecrets) wipe() {
	d.authKey.Wipe()
	d.recordKey.Wipe()
}

func (d deviceSecrets) seal(ctx context.Context, s Sealer, aad []byte) ([]byte, error) {
	plaintext := append(append(make([]byte, 0, 2*wire.SecretSize), d.authKey.Get()...), d.recordKey.Get()...)
	defer clear(plaintext)
	return s.Seal(ctx, aad, plaintext)
}

// openDeviceSecrets opens what seal has sealed. Whoever opens it wipes it.
func openDeviceSecrets(ctx context.Context, s Sealer, aad, sealed []byte) (deviceSecrets, error) {
	plaintext, err := s.Open(ctx, aad, sealed)
	if err != nil {
		return deviceSecrets{}, err
	}
	defer clear(plaintext)
	if len(plaintext) != 2*wire.SecretSize {
		return deviceSecrets{}, fmt.Errorf("%w: authentication key", ErrRecord)
	}
	return deviceSecrets{wire.NewSecret(plaintext[:wire.SecretSize]), wire.NewSecret(plaintext[wire.SecretSize:])}, nil
}

// underRecordKey seals and opens the share: AES-256-GCM with a random nonce in front. A
// record key seals one share.
func (d deviceSecrets) underRecordKey() (cipher.AEAD, error) {
	block, err := aes.NewCipher(d.recordKey.Get())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (d deviceSecrets) sealShare(plaintext []byte) ([]byte, error) {
	gcm, err := d.underRecordKey()
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, nil, plaintext, nil), nil
}

func (d deviceSecrets) openShare(sealed []byte) ([]byte, error) {
	gcm, err := d.underRecordKey()
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: sealed share", ErrRecord)
	}
	return plaintext, nil
}

// authKeyAAD binds what the Sealer seals to its key. The share needs no such thing: there
// is one record key for each record.
func authKeyAAD(id protocol.KeyID) []byte {
	return append([]byte("tandem v2 authentication key "), id[:]...)
}
