package protocol

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// messageJSON are digests and how they are signed.
type messageJSON struct {
	Digests    [][]byte `json:"digests,omitempty"`
	Hash       string   `json:"hash,omitempty"`
	Padding    string   `json:"padding,omitempty"` // pkcs1v15 or pss
	SaltLength int      `json:"salt_length,omitempty"`
}

func newMessageJSON(digests [][]byte, opts crypto.SignerOpts) messageJSON {
	m := messageJSON{Digests: digests}
	switch o := opts.(type) {
	case nil:
	case *rsa.PSSOptions:
		if o != nil {
			m.Hash, m.Padding, m.SaltLength = o.Hash.String(), "pss", max(o.SaltLength, 0)
		}
	default:
		m.Hash, m.Padding = o.HashFunc().String(), "pkcs1v15"
	}
	return m
}

func publicKeyJSON(pub *rsa.PublicKey) ([]byte, error) {
	if pub == nil || pub.N == nil {
		return nil, nil
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// MarshalJSON writes names in place of numbers, the public key as SubjectPublicKeyInfo (RFC 5280) in
// base64, and nothing for what is not there.
func (s KeyStatus) MarshalJSON() ([]byte, error) {
	pub, err := publicKeyJSON(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Condition Condition      `json:"condition,omitzero"`
		Reason    Reason         `json:"reason,omitzero"`
		PublicKey []byte         `json:"public_key,omitempty"`
		Enrolled  time.Time      `json:"enrolled,omitzero"`
		ConfirmBy time.Time      `json:"confirm_by,omitzero"`
		Hardware  bool           `json:"hardware"`
		Requests  uint64         `json:"requests"`
		Waiting   int            `json:"waiting_events"`
		Attempts  limiter.Status `json:"attempts"`
	}{s.Condition, s.Reason, pub, s.Enrolled, s.ConfirmBy, s.Hardware, s.Requests, s.Waiting, s.Attempts})
}

// MarshalJSON writes names in place of numbers, the public key as SubjectPublicKeyInfo (RFC 5280) in
// base64, and nothing for what is not there.
func (s Signed) MarshalJSON() ([]byte, error) {
	pub, err := publicKeyJSON(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		KeyID     KeyID     `json:"key"`
		Challenge []byte    `json:"challenge,omitempty"`
		Expires   time.Time `json:"expires,omitzero"`
		messageJSON
		Signatures [][]byte `json:"signatures,omitempty"`
		PublicKey  []byte   `json:"public_key,omitempty"`
	}{s.KeyID, s.Challenge, s.Expires, newMessageJSON(s.Digests, s.Options), s.Signatures, pub})
}

// MarshalJSON writes names in place of numbers, the public key as SubjectPublicKeyInfo (RFC 5280) in
// base64, and nothing for what is not there.
func (s DeviceStatus) MarshalJSON() ([]byte, error) {
	pub, err := publicKeyJSON(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Phase     Phase           `json:"phase"`
		Reason    Reason          `json:"reason,omitzero"`
		KeyID     KeyID           `json:"key,omitzero"`
		PublicKey []byte          `json:"public_key,omitempty"`
		Pending   *PendingRequest `json:"pending,omitempty"`
	}{s.Phase, s.Reason, s.KeyID, pub, s.Pending})
}

// MarshalJSON writes names in place of numbers, bytes in base64, and nothing for what is not there.
func (p PendingRequest) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Operation Operation `json:"operation,omitzero"`
		Challenge []byte    `json:"challenge,omitempty"`
		messageJSON
		Expires   time.Time `json:"expires,omitzero"`
		Cancelled bool      `json:"cancelled,omitempty"`
	}{p.Operation, p.Challenge, newMessageJSON(p.Digests, p.Options), p.Expires, p.Cancelled})
}

// MarshalJSON writes names in place of numbers, bytes in base64, and nothing for what is not there.
func (r Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Operation Operation `json:"operation,omitzero"`
		Challenge []byte    `json:"challenge,omitempty"`
		messageJSON
		Signatures [][]byte `json:"signatures,omitempty"`
	}{r.Operation, r.Challenge, newMessageJSON(r.Digests, r.Options), r.Signatures})
}

// MarshalJSON writes the public key as SubjectPublicKeyInfo (RFC 5280) in base64, and nothing for what
// is not there.
func (h HardwareEnrollment) MarshalJSON() ([]byte, error) {
	var pub []byte
	if h.PublicKey != nil {
		var err error
		if pub, err = x509.MarshalPKIXPublicKey(h.PublicKey); err != nil {
			return nil, err
		}
	}
	return json.Marshal(struct {
		KeyID       KeyID  `json:"key"`
		Challenge   []byte `json:"challenge,omitempty"`
		PublicKey   []byte `json:"public_key,omitempty"`
		Attestation []byte `json:"attestation,omitempty"`
	}{h.KeyID, h.Challenge, pub, h.Attestation})
}
