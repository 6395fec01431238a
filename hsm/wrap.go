package hsm

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"fmt"

	"github.com/miekg/pkcs11"
)

// wrapped is the body of a blob that holds a key: format (1 byte), length of n (2 bytes,
// big-endian), n, IV (16 bytes for AES-CBC, else none), and what C_WrapKey gave. The
// format says how, since mechanism 0x210A is RFC 5649 on some modules and PKCS #7 padding
// with RFC 3394 on others.
type wrapped struct {
	method wrapMethod
	pub    *rsa.PublicKey
	iv     []byte
	key    []byte
}

// wrapMethod is a mechanism that wraps private keys.
type wrapMethod struct {
	name    string
	format  byte
	kind    uint
	ivBytes int
}

// wrapping is how a token wraps keys, and by which of rawFunctions they are used.
type wrapping struct {
	method wrapMethod
	by     string
}

// ckmAESKeyWrapKWP is CKM_AES_KEY_WRAP_KWP of PKCS #11 3.0, RFC 5649.
const ckmAESKeyWrapKWP = 0x210B

// wrapMethods in order of preference: with integrity before without.
var wrapMethods = []wrapMethod{
	{"AES-KWP", 1, ckmAESKeyWrapKWP, 0},
	{"AES-KEY-WRAP-PAD", 2, pkcs11.CKM_AES_KEY_WRAP_PAD, 0},
	{"AES-KEY-WRAP", 3, pkcs11.CKM_AES_KEY_WRAP, 0},
	{"AES-CBC-PAD", 4, pkcs11.CKM_AES_CBC_PAD, aes.BlockSize},
}

func (w *wrapped) marshal() []byte {
	n := w.pub.N.Bytes()
	b := append(make([]byte, 0, 3+len(n)+len(w.iv)+len(w.key)), w.method.format)
	b = binary.BigEndian.AppendUint16(b, uint16(len(n)))
	b = append(b, n...)
	b = append(b, w.iv...)
	return append(b, w.key...)
}

// parseWrapped returns ErrBlob.
func parseWrapped(b []byte) (*wrapped, error) {
	bad := fmt.Errorf("%w: malformed wrapped key", ErrBlob)
	if len(b) < 3 {
		return nil, bad
	}
	w := new(wrapped)
	for _, m := range wrapMethods {
		if m.format == b[0] {
			w.method = m
		}
	}
	size, b := int(binary.BigEndian.Uint16(b[1:])), b[3:]
	if w.method.format == 0 || len(b) < size+w.method.ivBytes || size == 0 || b[0] == 0 {
		return nil, bad
	}
	pub, err := newPublicKey(b[:size])
	if err != nil {
		return nil, bad
	}
	w.pub, b = pub, b[size:]
	w.iv, w.key = b[:w.method.ivBytes], b[w.method.ivBytes:]
	// Whatever the padding, a private key is longer than its modulus, and its wrapped
	// form comes in blocks of 8 bytes.
	if len(w.key) < size || len(w.key)%8 != 0 {
		return nil, bad
	}
	return w, nil
}

// generateWrapped makes a key for this session and wraps it.
func (s *session) generateWrapped(kek handle, method wrapMethod, bits int) (*wrapped, error) {
	pub, priv, err := s.generateRSA(bits, false, true, nil) // extractable for a moment
	if err != nil {
		return nil, err
	}
	w := &wrapped{method: method, iv: make([]byte, method.ivBytes)}
	rand.Read(w.iv)
	if w.pub, err = s.publicKey(pub); err != nil {
		return nil, err
	}
	if err := s.hidden(priv, "new key", rsaSecrets...); err != nil {
		return nil, err
	}
	if w.key, err = s.mod.WrapKey(s.h, mechanism{method.kind, w.iv}, kek, priv); err != nil {
		return nil, err
	}
	return w, s.destroy([]handle{priv, pub})
}

// unwrap brings a key back for this session. The blob it came from has been
// authenticated; the key that came out has not, and opencryptoki leaves it readable
// whatever the template says. So it is made what it should be, and that is read back.
func (s *session) unwrap(kek handle, w *wrapped) (h handle, giveBack func(), err error) {
	h, err = s.mod.UnwrapKey(s.h, mechanism{w.method.kind, w.iv}, kek, w.key, with([]attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		attrBool(pkcs11.CKA_TOKEN, false), attrBool(pkcs11.CKA_PRIVATE, true),
		attrBool(pkcs11.CKA_SIGN, true), attrBool(pkcs11.CKA_DECRYPT, true),
	}, kept))
	if err != nil {
		return 0, nil, err
	}
	const name = "unwrapped key"
	if s.check(h, name, kept) != nil {
		if err = s.mod.SetAttributes(s.h, h, with(nil, kept)); err == nil {
			err = s.check(h, name, kept)
		}
	}
	if err == nil {
		err = s.hidden(h, name, rsaSecrets...)
	}
	if err != nil {
		return 0, nil, s.discard(h, err)
	}
	// If this fails the session still destroys the object when it is closed.
	return h, func() { _ = s.mod.DestroyObject(s.h, h) }, nil
}
