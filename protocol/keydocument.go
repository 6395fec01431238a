package protocol

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// ErrKeyDocument is returned by [Device.UseKeyDocument] for a document that the authority did not
// sign, or that is older than one that the device has used.
var ErrKeyDocument = errors.New("protocol: key document is not the authority's, or out of date")

// KeyDocumentSize is the length of a key document in bytes.
const KeyDocumentSize = 1 + 8 + publicSize + ed25519.SignatureSize

// SignKeyDocument says, for every device that was shipped with the public key of authority, that
// requests are to be encrypted to this HPKE public key ([Server.ServerKey]) from now on. serial is
// larger than that of all documents before: the time, say. A document is public: anybody may fetch it,
// store it and serve it.
//
//	length  content
//	1       version: 2
//	8       serial
//	1216    HPKE public key
//	64      Ed25519 signature of "tandem v2 key document" and all of the above
//
// The error wraps [ErrConfig].
func SignKeyDocument(authority ed25519.PrivateKey, serial uint64, serverKey []byte) ([]byte, error) {
	if _, err := kem.NewPublicKey(serverKey); err != nil || len(authority) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: key document: wrong keys", ErrConfig)
	}
	var b cryptobyte.Builder
	b.AddUint8(wireVersion)
	b.AddUint64(serial)
	b.AddBytes(serverKey)
	body := b.BytesOrPanic()
	return append(body, ed25519.Sign(authority, signedKeyDocument(body))...), nil
}

func signedKeyDocument(body []byte) []byte {
	return append([]byte("tandem v2 key document"), body...)
}

// parseKeyDocument reads a document. Its signature is checked where authority is not nil.
func parseKeyDocument(document []byte, authority ed25519.PublicKey) (serial uint64, serverKey []byte, err error) {
	s := cryptobyte.String(document)
	var version uint8
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint64(&serial) || !s.ReadBytes(&serverKey, publicSize) ||
		len(s) != ed25519.SignatureSize {
		return 0, nil, fmt.Errorf("%w: malformed", ErrKeyDocument)
	}
	if authority != nil && !ed25519.Verify(authority, signedKeyDocument(document[:len(document)-len(s)]), s) {
		return 0, nil, fmt.Errorf("%w: signature", ErrKeyDocument)
	}
	if _, err := kem.NewPublicKey(serverKey); err != nil {
		return 0, nil, fmt.Errorf("%w: key", ErrKeyDocument)
	}
	return serial, bytes.Clone(serverKey), nil
}

// UseKeyDocument makes the device encrypt to the key in a document of [DeviceConfig].Authority, which
// may come from anywhere. An app calls it before it signs, with the document that came with the
// challenge: so a phone that was away while all keys changed signs at its first try. A device with an
// Authority also takes the document that the server sends with its answers. The error wraps
// [ErrKeyDocument], or is the state's.
func (d *Device) UseKeyDocument(document []byte) error {
	if d == nil || d.config.State == nil {
		return errNothing
	}
	return d.exclusively(func(s *deviceState) error {
		if err := d.use(s, document); err != nil {
			return err
		}
		return d.save(s)
	})
}

func (d *Device) use(s *deviceState, document []byte) error {
	if d.config.Authority == nil {
		return fmt.Errorf("%w: the device knows no authority", ErrKeyDocument)
	}
	serial, serverKey, err := parseKeyDocument(document, d.config.Authority)
	if err != nil {
		return err
	}
	if serial < s.serial {
		return fmt.Errorf("%w: serial %d, and %d was used", ErrKeyDocument, serial, s.serial)
	}
	s.serial, s.serverKey = serial, serverKey
	return nil
}
