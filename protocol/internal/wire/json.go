package wire

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
)

// MessageJSON are digests and how they are signed.
type MessageJSON struct {
	Digests    [][]byte `json:"digests,omitempty"`
	Hash       string   `json:"hash,omitempty"`
	Padding    string   `json:"padding,omitempty"` // pkcs1v15 or pss
	SaltLength int      `json:"salt_length,omitempty"`
}

// NewMessageJSON takes digests and options, or neither.
func NewMessageJSON(digests [][]byte, opts crypto.SignerOpts) MessageJSON {
	m := MessageJSON{Digests: digests}
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

// PublicKeyJSON returns the key as SubjectPublicKeyInfo (RFC 5280), or nil for none.
func PublicKeyJSON(pub *rsa.PublicKey) ([]byte, error) {
	if pub == nil || pub.N == nil {
		return nil, nil
	}
	return x509.MarshalPKIXPublicKey(pub)
}
