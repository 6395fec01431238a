package protocol

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// HardwareKey is a P-256 key in the phone's secure element. With one, each request is signed
// beside its MAC, and a copy of the phone's storage gets no answer from the server at all. It
// is not derived from a PIN, and tests none.
type HardwareKey interface {
	// SignECDSA returns the ECDSA signature of a SHA-256 digest, in ASN.1 as X9.62 has it.
	SignECDSA(digest []byte) ([]byte, error)
}

// HardwareEnrollment is what a service decides by whether to enrol a key: see [Config].
type HardwareEnrollment struct {
	KeyID       KeyID
	Challenge   []byte           // for the enrolment: what an attestation names
	PublicKey   *ecdsa.PublicKey // P-256; nil where the phone has none
	Attestation []byte           // as the phone gave it
}

const hardwareSignatureSize = 64

// hardwareSigner signs requests. A nil one has no key, and signs nothing.
type hardwareSigner struct {
	key    HardwareKey
	public []byte
}

// append appends the signature of body, with its length.
func (h *hardwareSigner) append(id KeyID, body []byte) ([]byte, error) {
	if h == nil {
		return append(body, 0), nil
	}
	digest := hardwareDigest(id, body)
	der, err := h.key.SignECDSA(digest[:])
	if err != nil {
		return nil, fmt.Errorf("protocol: hardware key: %w", err)
	}
	var rs struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &rs)
	if err != nil || len(rest) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
		return nil, errors.New("protocol: hardware key: not a signature")
	}
	out := make([]byte, hardwareSignatureSize)
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	if !hardwareSigned(h.public, id, body, out) {
		return nil, errors.New("protocol: hardware key: the signature is another key's")
	}
	return append(append(body, hardwareSignatureSize), out...), nil
}

func hardwareDigest(id KeyID, body []byte) hash {
	sum := sha256.New()
	sum.Write([]byte("tandem v2 hardware"))
	sum.Write(id[:])
	sum.Write(body)
	return hash(sum.Sum(nil))
}

// hardwareSigned reports whether the signature is the key's, or there is neither.
func hardwareSigned(public []byte, id KeyID, body, signature []byte) bool {
	if len(public) == 0 {
		return len(signature) == 0
	}
	key, err := parseHardwareKey(public)
	if err != nil || len(signature) != hardwareSignatureSize {
		return false
	}
	digest := hardwareDigest(id, body)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

func parseHardwareKey(public []byte) (*ecdsa.PublicKey, error) {
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public)
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

// acceptHardware asks the service's policy about a key, or about there being none.
func (s *Server) acceptHardware(ctx context.Context, id KeyID, e *enrollment) error {
	if s.config.Hardware == nil {
		return nil
	}
	h := HardwareEnrollment{KeyID: id, Challenge: e.challenge.raw[:], Attestation: e.attestation}
	if len(e.hardware) > 0 {
		var err error
		if h.PublicKey, err = parseHardwareKey(e.hardware); err != nil {
			return err
		}
	}
	return s.config.Hardware(ctx, h)
}
