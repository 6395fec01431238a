package hsm

import (
	"context"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/internal/keystock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// ServerKeys makes RSA keys for composite keys, one for each user. They are
// generated in the token, leave it wrapped under an AES key of the token, are
// stored by the caller, and come back into the token for one operation at a
// time: no token holds millions of keys. It is safe for concurrent use.
type ServerKeys struct {
	keys  *keySet
	bits  int
	stock *keystock.Stock[pooledKey]
}

type pooledKey struct {
	key  *Key
	blob []byte
}

// GenerateWrappingKey makes version 1 of a wrapping key under a label that has
// no AES key yet.
//
// Errors: ErrInput, ErrKeyExists, ErrUnsupported, ErrUnavailable, ErrPIN,
// ErrExposed and ErrClosed.
func (t *Token) GenerateWrappingKey(ctx context.Context, label string) error {
	if err := t.made(ctx); err != nil {
		return err
	}
	if t.caps.Wrap == "" {
		return fmt.Errorf("%w: wrapping keys", ErrUnsupported)
	}
	_, err := t.generateKeySet(ctx, label, roleWrap)
	return err
}

// ServerKeys makes and uses keys with moduli of the given number of bits,
// wrapped under the wrapping key with this label. It keeps ready (0 to 1024)
// keys in stock, since a token takes from a tenth of a second to seconds for
// one; they are lost at Close. With ready = 0 each NewKey makes its own.
//
// Errors: ErrInput, ErrKeyNotFound, ErrExposed, ErrUnsupported, ErrUnavailable,
// ErrPIN and ErrClosed.
func (t *Token) ServerKeys(ctx context.Context, label string, bits, ready int) (*ServerKeys, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	switch {
	case bits < minBits || bits > maxBits || bits%8 != 0:
		return nil, fmt.Errorf("%w: %d bits, must be a multiple of 8 from %d to %d", ErrInput, bits, minBits, maxBits)
	case ready < 0 || ready > 1024:
		return nil, fmt.Errorf("%w: %d keys in stock, must be 0 to 1024", ErrInput, ready)
	case t.caps.Wrap == "":
		return nil, fmt.Errorf("%w: wrapping keys", ErrUnsupported)
	}
	ks, err := t.openKeySet(ctx, label, roleWrap)
	if err != nil {
		return nil, err
	}
	p := &ServerKeys{keys: ks, bits: bits}
	p.stock = keystock.New(ready, p.draw, func(k pooledKey) { clear(k.blob) })
	return p, nil
}

// draw makes a key for the stock, which tries again after a second while the token is
// away.
func (p *ServerKeys) draw(ctx context.Context) (pooledKey, error) {
	k, err := p.generate(ctx)
	switch {
	case errors.Is(err, ErrClosed):
		return pooledKey{}, keystock.ErrEnd
	case err != nil && ctx.Err() == nil:
		p.keys.t.log.Warn("hsm: no key for the stock", slog.Any("cause", err))
	}
	return k, err
}

// Close stops filling the stock, and drops the keys in it. Keys that were given
// out stay usable.
func (p *ServerKeys) Close() {
	if p.made() {
		p.stock.Close()
	}
}

// Rotate makes a new version of the wrapping key, for the keys made from now on. Keys in
// stock and keys already stored stay under the old version, which must stay in the token.
//
// Errors: those of Token.ServerKeys.
func (p *ServerKeys) Rotate(ctx context.Context) error {
	if !p.made() || ctx == nil {
		return errNothing
	}
	return p.keys.rotate(ctx)
}

// Bits returns the length of the keys' moduli.
func (p *ServerKeys) Bits() int {
	if !p.made() {
		return 0
	}
	return p.bits
}

// NewKey returns a key that nobody else has, and its wrapped form to store and
// give to LoadKey. The blob is secret only as far as the token's wrapping key
// is safe. The key was used once in its wrapped form.
//
// Errors: those of Key.Exponentiate, and ErrExposed.
func (p *ServerKeys) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	if !p.made() || ctx == nil {
		return nil, nil, errNothing
	}
	if k, ok := p.stock.Take(); ok {
		return k.key, k.blob, nil
	}
	k, err := p.generate(ctx)
	if err != nil {
		return nil, nil, err
	}
	return k.key, k.blob, nil
}

// LoadKey returns the key in a blob that NewKey made. It is checked in memory;
// the module sees it when the key is used.
//
// Errors: ErrBlob (together with ErrKeyNotFound when the token has no key of
// the version that the blob names), ErrUnavailable, ErrPIN and ErrClosed.
func (p *ServerKeys) LoadKey(ctx context.Context, wrapped []byte) (splitkey.RSAKey, error) {
	if !p.made() || ctx == nil {
		return nil, errNothing
	}
	k, err := p.load(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (p *ServerKeys) load(ctx context.Context, wrapped []byte) (*Key, error) {
	b, err := parseBlob(append([]byte(nil), wrapped...))
	if err != nil {
		return nil, err
	}
	if b.kind != wrappedKey {
		return nil, fmt.Errorf("%w: not a wrapped key", ErrBlob)
	}
	kek, err := p.keys.lookup(ctx, b.id)
	if err != nil {
		return nil, err
	}
	if err := kek.mac.check(b, nil); err != nil {
		return nil, err
	}
	w, err := parseWrapped(b.body)
	if err != nil {
		return nil, err
	}
	return p.keys.t.newKey(w.pub, func(s *session) (handle, func(), error) {
		h, err := s.find(kek.aes)
		if err != nil {
			return 0, nil, err
		}
		return s.unwrap(h, w)
	}), nil
}

// generate makes a key, wraps it, forgets it and proves that it comes back.
func (p *ServerKeys) generate(ctx context.Context) (pooledKey, error) {
	t := p.keys.t
	kek := p.keys.current()
	for {
		sealed, err := run(ctx, t, "generate wrapped key", func(s *session) ([]byte, error) {
			h, err := s.find(kek.aes)
			if err != nil {
				return nil, err
			}
			w, err := s.generateWrapped(h, t.caps.Wrap, p.bits)
			if err != nil {
				return nil, err
			}
			if w.pub.N.BitLen() != p.bits {
				return nil, t.fault("key generation")
			}
			header, body := blobHeader(wrappedKey, kek.id), w.marshal()
			tag, err := kek.mac.sum(header, nil, body)
			if err != nil {
				return nil, err
			}
			return append(append(header, body...), tag...), nil
		})
		if err != nil {
			return pooledKey{}, err
		}
		k, err := p.load(ctx, sealed)
		if err != nil {
			return pooledKey{}, err
		}
		if k.pub.N.Cmp(splitkey.LeastServerModulus(p.bits)) < 0 {
			continue
		}
		if err := k.prove(ctx); err != nil {
			return pooledKey{}, err
		}
		return pooledKey{k, sealed}, nil
	}
}

// wrapped is the body of a blob that holds a key: format (1 byte), length of n
// (2 bytes, big-endian), n, IV (16 bytes for AES-CBC, else none), and what
// C_WrapKey gave. The format says how, since mechanism 0x210A is RFC 5649 on
// some modules and PKCS #7 padding with RFC 3394 on others.
type wrapped struct {
	method wrapMethod
	pub    *rsa.PublicKey
	iv     []byte
	key    []byte
}

// wrapMethod is a mechanism that wraps private keys.
type wrapMethod struct {
	format  byte
	kind    uint
	ivBytes int
}

// ckmAESKeyWrapKWP is CKM_AES_KEY_WRAP_KWP of PKCS #11 3.0, RFC 5649.
const ckmAESKeyWrapKWP = 0x210B

// wrapMethods in order of preference: with integrity before without.
var wrapMethods = []struct {
	name string
	wrapMethod
}{
	{"AES-KWP", wrapMethod{1, ckmAESKeyWrapKWP, 0}},
	{"AES-KEY-WRAP-PAD", wrapMethod{2, pkcs11.CKM_AES_KEY_WRAP_PAD, 0}},
	{"AES-KEY-WRAP", wrapMethod{3, pkcs11.CKM_AES_KEY_WRAP, 0}},
	{"AES-CBC-PAD", wrapMethod{4, pkcs11.CKM_AES_CBC_PAD, aes.BlockSize}},
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
			w.method = m.wrapMethod
		}
	}
	size, b := int(binary.BigEndian.Uint16(b[1:])), b[3:]
	if w.method.format == 0 || len(b) < size+w.method.ivBytes || size == 0 || b[0] == 0 {
		return nil, bad
	}
	pub, err := newPublicKey(b[:size], big.NewInt(publicExponent).Bytes())
	if err != nil {
		return nil, bad
	}
	w.pub, b = pub, b[size:]
	w.iv, w.key = b[:w.method.ivBytes], b[w.method.ivBytes:]
	// Whatever the padding, a private key is longer than its modulus, and its
	// wrapped form comes in blocks of 8 bytes.
	if len(w.key) < size || len(w.key)%8 != 0 {
		return nil, bad
	}
	return w, nil
}

// generateWrapped makes a key for this session and wraps it.
func (s *session) generateWrapped(kek handle, method string, bits int) (*wrapped, error) {
	pub, priv, err := s.generateRSA(bits, false, true)
	if err != nil {
		return nil, err
	}
	public, err := s.publicKeyOf(pub)
	if err != nil {
		return nil, err
	}
	w, err := s.wrap(kek, method, priv, public)
	if err != nil {
		return nil, err
	}
	if err := s.mod.DestroyObject(s.h, priv); err != nil {
		return nil, err
	}
	return w, s.mod.DestroyObject(s.h, pub)
}

func (s *session) publicKeyOf(pub handle) (*rsa.PublicKey, error) {
	n, err := s.value(pub, pkcs11.CKA_MODULUS, maxBits/8+1)
	if err != nil {
		return nil, err
	}
	e, err := s.value(pub, pkcs11.CKA_PUBLIC_EXPONENT, 16)
	if err != nil {
		return nil, err
	}
	return newPublicKey(n, e)
}

func (s *session) wrap(kek handle, method string, priv handle, pub *rsa.PublicKey) (*wrapped, error) {
	for _, m := range wrapMethods {
		if m.name != method {
			continue
		}
		w := &wrapped{method: m.wrapMethod, pub: pub, iv: make([]byte, m.ivBytes), key: make([]byte, 16<<10)}
		rand.Read(w.iv)
		n, err := s.mod.WrapKey(s.h, mechanism{kind: m.kind, param: w.iv}, kek, priv, w.key)
		if err != nil {
			return nil, err
		}
		w.key = w.key[:n]
		return w, nil
	}
	return nil, fmt.Errorf("%w: wrapping by %q", ErrUnsupported, method)
}

// unwrap brings a key back for this session. The blob it came from has been
// authenticated; the key that came out has not, and opencryptoki leaves it
// readable whatever the template says. So it is made what it should be, and
// that is read back.
func (s *session) unwrap(kek handle, w *wrapped) (h handle, giveBack func(), err error) {
	m := mechanism{kind: w.method.kind, param: append([]byte(nil), w.iv...)}
	h, err = s.mod.UnwrapKey(s.h, m, kek, w.key, []attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		attrBool(pkcs11.CKA_TOKEN, false),
		attrBool(pkcs11.CKA_PRIVATE, true),
		attrBool(pkcs11.CKA_SENSITIVE, true),
		attrBool(pkcs11.CKA_EXTRACTABLE, false),
		attrBool(pkcs11.CKA_SIGN, true),
		attrBool(pkcs11.CKA_DECRYPT, true),
	})
	if err != nil {
		return 0, nil, err
	}
	const name = "unwrapped key"
	if s.check(h, name, kept) != nil {
		err := s.mod.SetAttributes(s.h, h, []attribute{
			attrBool(pkcs11.CKA_SENSITIVE, true),
			attrBool(pkcs11.CKA_EXTRACTABLE, false),
		})
		if err == nil {
			err = s.check(h, name, kept)
		}
		if err != nil {
			return 0, nil, s.discard(h, err)
		}
	}
	if err := s.hiddenRSA(h, name); err != nil {
		return 0, nil, s.discard(h, err)
	}
	// If this fails the session still destroys the object when it is closed.
	return h, func() { _ = s.mod.DestroyObject(s.h, h) }, nil
}

// discard destroys an object that must not be used. Its session is closed
// next, because of the error.
func (s *session) discard(h handle, err error) error {
	_ = s.mod.DestroyObject(s.h, h)
	return err
}
