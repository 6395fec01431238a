package wire

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/protocol"
)

// KeyDocumentSize is the length of a key document in bytes.
const KeyDocumentSize = 1 + 8 + HPKEKeySize + ed25519.SignatureSize

// SignKeyDocument makes a key document. The error wraps [protocol.ErrConfig].
func SignKeyDocument(authority ed25519.PrivateKey, serial uint64, hpkeKey []byte) ([]byte, error) {
	if _, err := ParseHPKEKey(hpkeKey); err != nil || len(authority) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: key document: wrong keys", protocol.ErrConfig)
	}
	var b cryptobyte.Builder
	b.AddUint8(Version)
	b.AddUint64(serial)
	b.AddBytes(hpkeKey)
	body := b.BytesOrPanic()
	return append(body, ed25519.Sign(authority, signedPart(body))...), nil
}

func signedPart(body []byte) []byte {
	return append([]byte("tandem v2 key document"), body...)
}

// ParseKeyDocument reads a document. Its signature is checked where authority is not nil.
func ParseKeyDocument(document []byte, authority ed25519.PublicKey) (serial uint64, hpkeKey []byte, err error) {
	s := cryptobyte.String(document)
	var version uint8
	if !s.ReadUint8(&version) || version != Version || !s.ReadUint64(&serial) || !s.ReadBytes(&hpkeKey, HPKEKeySize) ||
		len(s) != ed25519.SignatureSize {
		return 0, nil, fmt.Errorf("%w: key document", protocol.ErrMalformed)
	}
	if authority != nil && !ed25519.Verify(authority, signedPart(document[:len(document)-len(s)]), s) {
		return 0, nil, fmt.Errorf("%w: a key document that is not the authority's", protocol.ErrMalformed)
	}
	if _, err := ParseHPKEKey(hpkeKey); err != nil {
		return 0, nil, fmt.Errorf("%w: key of a key document", protocol.ErrMalformed)
	}
	return serial, bytes.Clone(hpkeKey), nil
}
