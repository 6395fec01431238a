package server

import (
	"crypto/ed25519"

	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// SignKeyDocument says, for every device that was shipped with the public key of
// authority, that requests are to be encrypted to this HPKE public key
// ([Server.HPKEKey]) from now on. serial is larger than that of all documents before:
// the time, say. A document is public: anybody may fetch it, store it and serve it.
//
// The error wraps [protocol.ErrConfig].
func SignKeyDocument(authority ed25519.PrivateKey, serial uint64, hpkeKey []byte) ([]byte, error) {
	return wire.SignKeyDocument(authority, serial, hpkeKey)
}
