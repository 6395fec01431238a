package device

import (
	"encoding/json"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// MarshalJSON writes names in place of numbers, the public key as SubjectPublicKeyInfo (RFC 5280) in
// base64, and nothing for what is not there.
func (s Status) MarshalJSON() ([]byte, error) {
	pub, err := wire.PublicKeyJSON(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Phase     Phase           `json:"phase"`
		Reason    protocol.Reason `json:"reason,omitzero"`
		KeyID     protocol.KeyID  `json:"key,omitzero"`
		PublicKey []byte          `json:"public_key,omitempty"`
		Pending   *PendingRequest `json:"pending,omitempty"`
	}{s.Phase, s.Reason, s.KeyID, pub, s.Pending})
}

// MarshalJSON writes names in place of numbers, bytes in base64, and nothing for what is not there.
func (p PendingRequest) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Operation protocol.Operation `json:"operation,omitzero"`
		Challenge []byte             `json:"challenge,omitempty"`
		wire.MessageJSON
		Expires   time.Time `json:"expires,omitzero"`
		Cancelled bool      `json:"cancelled,omitempty"`
	}{p.Operation, p.Challenge, wire.NewMessageJSON(p.Digests, p.Options), p.Expires, p.Cancelled})
}

// MarshalJSON writes names in place of numbers, bytes in base64, and nothing for what is not there.
func (r Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Operation protocol.Operation `json:"operation,omitzero"`
		Challenge []byte             `json:"challenge,omitempty"`
		wire.MessageJSON
		Signatures [][]byte `json:"signatures,omitempty"`
	}{r.Operation, r.Challenge, wire.NewMessageJSON(r.Digests, r.Options), r.Signatures})
}
