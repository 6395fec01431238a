package device

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
)

// HardwareKey is a P-256 key in the phone's secure element. With one, each request is signed
// beside its MAC, and a copy of the phone's storage gets no answer from the server at all. It
// is not derived from a PIN, and tests none.
type HardwareKey interface {
	// SignECDSA returns the ECDSA signature of a SHA-256 digest, in ASN.1 as X9.62 has it.
	SignECDSA(digest []byte) ([]byte, error)
}

func encodeHardwareKey(public *ecdsa.PublicKey) ([]byte, error) {
	//lint:ignore SA1019 Bytes of a key without coordinates panics.
	if public.Curve == elliptic.P256() && public.X != nil && public.Y != nil {
		if encoded, err := public.Bytes(); err == nil {
			return encoded, nil
		}
	}
	return nil, fmt.Errorf("%w: the public key is not one of P-256", ErrHardware)
}
