package server

import (
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// MarshalJSON writes names in place of numbers, the public key as SubjectPublicKeyInfo
// (RFC 5280) in base64, and nothing for what is not there.
func (s KeyStatus) MarshalJSON() ([]byte, error) {
	pub, err := wire.PublicKeyJSON(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Condition Condition       `json:"condition,omitzero"`
		Reason    protocol.Reason `json:"reason,omitzero"`
		PublicKey []byte          `json:"public_key,omitempty"`
		Enrolled  time.Time       `json:"enrolled,omitzero"`
		ConfirmBy time.Time       `json:"confirm_by,omitzero"`
		Hardware  bool            `json:"hardware"`
		Requests  uint64          `json:"requests"`
		Waiting   int             `json:"waiting_events"`
		Recovered time.Time       `json:"recovered,omitzero"`
		Attempts  limiter.Status  `json:"attempts"`
	}{s.Condition, s.Reason, pub, s.Enrolled, s.ConfirmBy, s.Hardware, s.Requests, s.Waiting, s.Recovered, s.Attempts})
}

// MarshalJSON writes names in place of numbers, the public key as SubjectPublicKeyInfo
// (RFC 5280) in base64, and nothing for what is not there.
func (s Signed) MarshalJSON() ([]byte, error) {
	pub, err := wire.PublicKeyJSON(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		KeyID     protocol.KeyID `json:"key"`
		Challenge []byte         `json:"challenge,omitempty"`
		Expires   time.Time      `json:"expires,omitzero"`
		wire.MessageJSON
		Signatures [][]byte `json:"signatures,omitempty"`
		PublicKey  []byte   `json:"public_key,omitempty"`
	}{s.KeyID, s.Challenge, s.Expires, wire.NewMessageJSON(s.Digests, s.Options), s.Signatures, pub})
}

// MarshalJSON writes the public key as SubjectPublicKeyInfo (RFC 5280) in base64, and
// nothing for what is not there.
func (h HardwareEnrollment) MarshalJSON() ([]byte, error) {
	var pub []byte
	if h.PublicKey != nil {
		var err error
		if pub, err = x509.MarshalPKIXPublicKey(h.PublicKey); err != nil {
			return nil, err
		}
	}
	return json.Marshal(struct {
		KeyID       protocol.KeyID `json:"key"`
		Challenge   []byte         `json:"challenge,omitempty"`
		PublicKey   []byte         `json:"public_key,omitempty"`
		Attestation []byte         `json:"attestation,omitempty"`
	}{h.KeyID, h.Challenge, pub, h.Attestation})
}
