package hsm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/tandem-rsa/tandem/internal/secret"
)

// A blob is what this package gives out for storage elsewhere:
//
//	 0   1  version, 1
//	 1   1  kind: 1 sealed secret, 2 wrapped key
//	 2  16  id of the key; its first 4 bytes are a big-endian version number
//	18   n  body
//	     32  HMAC-SHA256(authentication key of that id,
//	         bytes 0 to 17 || len(aad), 8 bytes big-endian || aad || body)
//
// The authentication key is derived in the token from a key that never leaves it, kept in
// memory while the token is open and wiped at Close (but for what crypto/hmac copied).
const (
	blobVersion = 1
	headerBytes = 2 + idBytes
	idBytes     = 16
	tagBytes    = sha256.Size
	// maxBlob bounds what a reader accepts.
	maxBlob = 1 << 20
)

type blobKind uint8

const (
	sealedBlob  blobKind = 1
	wrappedBlob blobKind = 2
)

// keyID names one key of a key set.
type keyID [idBytes]byte

func (id keyID) version() uint32 { return binary.BigEndian.Uint32(id[:4]) }

// blob is a parsed blob whose tag has not been checked. The slices point into what was
// parsed.
type blob struct {
	kind   blobKind
	id     keyID
	header []byte
	body   []byte
	tag    []byte
}

// parseBlob takes a blob apart. It returns ErrBlob.
func parseBlob(b []byte) (*blob, error) {
	switch {
	case len(b) < headerBytes+tagBytes || len(b) > maxBlob:
		return nil, fmt.Errorf("%w: %d bytes", ErrBlob, len(b))
	case b[0] != blobVersion:
		return nil, fmt.Errorf("%w: version %d", ErrBlob, b[0])
	case blobKind(b[1]) != sealedBlob && blobKind(b[1]) != wrappedBlob:
		return nil, fmt.Errorf("%w: kind %d", ErrBlob, b[1])
	}
	return &blob{
		kind:   blobKind(b[1]),
		id:     keyID(b[2:headerBytes]),
		header: b[:headerBytes],
		body:   b[headerBytes : len(b)-tagBytes],
		tag:    b[len(b)-tagBytes:],
	}, nil
}

// macKey authenticates the blobs of one key id.
type macKey struct {
	mu  sync.RWMutex // Close wipes the key while others may use it
	key secret.Bytes
}

// macKey keeps a derived key until the token is closed. An id has one key, however often
// it is derived.
func (t *Token) macKey(id keyID, derived []byte) *macKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.macKeys[id] == nil {
		t.macKeys[id] = &macKey{key: secret.Copy(derived)}
	}
	return t.macKeys[id]
}

// sum returns ErrClosed after wipe.
func (m *macKey) sum(header, aad, body []byte) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	key := m.key.Get()
	if key == nil {
		return nil, ErrClosed
	}
	h := hmac.New(sha256.New, key)
	h.Write(header)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(aad))))
	h.Write(aad)
	h.Write(body)
	return h.Sum(nil), nil
}
