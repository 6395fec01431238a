package server

import (
	"context"
	"crypto/ecdsa"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// HardwareEnrollment is what a service decides by whether to enrol a key: see [Config].
type HardwareEnrollment struct {
	KeyID       protocol.KeyID
	Challenge   []byte           // for the enrolment: what an attestation names
	PublicKey   *ecdsa.PublicKey // P-256; nil where the phone has none
	Attestation []byte           // as the phone gave it
}

// acceptHardware asks the service's policy about a key, or about there being none.
func (s *Server) acceptHardware(ctx context.Context, id protocol.KeyID, e *wire.Enrollment) error {
	if s.config.Hardware == nil {
		return nil
	}
	h := HardwareEnrollment{KeyID: id, Challenge: e.Challenge.Raw[:], Attestation: e.Attestation}
	if len(e.Hardware) > 0 {
		var err error
		if h.PublicKey, err = wire.ParseHardwareKey(e.Hardware); err != nil {
			return err
		}
	}
	return s.config.Hardware(ctx, h)
}
