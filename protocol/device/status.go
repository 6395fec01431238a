package device

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// KeyStatus is what a device knows by itself.
type KeyStatus struct {
	Phase     Phase
	Reason    protocol.Reason // of a dead or superseded key
	KeyID     protocol.KeyID  // from Enrolling to Ready, and of a superseded key
	PublicKey *rsa.PublicKey  // the final key, from Unconfirmed to Ready
	Pending   *Request        // the request that is not answered, or nil
}

// Request is one that was saved, and sent, perhaps, as the user may be shown it: while it
// is pending, in [KeyStatus], and what became of it, from [Device.Resume].
type Request struct {
	Operation  protocol.Operation
	Challenge  []byte
	Digests    [][]byte          // to sign; nil else
	Options    crypto.SignerOpts // likewise
	Signatures [][]byte          // likewise, once it was carried out; verified
	Expires    time.Time         // of the challenge, by the server's clock
	Cancelled  bool              // Cancel was called, and is not answered
}

// shown is the request as the user may be shown it.
func (p *pending) shown() *Request {
	r := &Request{Operation: p.op, Challenge: p.challenge.Raw[:], Expires: time.UnixMilli(p.challenge.Expires).UTC(), Cancelled: p.cancel}
	if p.op == protocol.OpSign {
		r.Digests, r.Options = p.messages.Digests, p.messages.Options()
	}
	return r
}

// Status returns what the device knows by itself, without the server.
func (d *Device) Status() (KeyStatus, error) {
	s, err := d.open(context.Background())
	if err != nil {
		return KeyStatus{}, err
	}
	defer s.close()
	status := KeyStatus{Phase: s.phase, Reason: s.reason}
	if k := s.key; k != nil {
		status.KeyID = k.id
		if k.public.N != nil {
			status.PublicKey = &k.public
		}
	}
	if s.pending != nil {
		status.Pending = s.pending.shown()
	}
	return status, nil
}

// MarshalJSON writes names in place of numbers, the public key as SubjectPublicKeyInfo
// (RFC 5280) in base64, and nothing for what is not there.
func (s KeyStatus) MarshalJSON() ([]byte, error) {
	pub, err := wire.PublicKeyJSON(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Phase     Phase           `json:"phase"`
		Reason    protocol.Reason `json:"reason,omitzero"`
		KeyID     protocol.KeyID  `json:"key,omitzero"`
		PublicKey []byte          `json:"public_key,omitempty"`
		Pending   *Request        `json:"pending,omitempty"`
	}{s.Phase, s.Reason, s.KeyID, pub, s.Pending})
}

// MarshalJSON writes names in place of numbers, bytes in base64, and nothing for what is
// not there.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Operation protocol.Operation `json:"operation,omitzero"`
		Challenge []byte             `json:"challenge,omitempty"`
		wire.MessageJSON
		Signatures [][]byte  `json:"signatures,omitempty"`
		Expires    time.Time `json:"expires,omitzero"`
		Cancelled  bool      `json:"cancelled,omitempty"`
	}{r.Operation, r.Challenge, wire.NewMessageJSON(r.Digests, r.Options), r.Signatures, r.Expires, r.Cancelled})
}
