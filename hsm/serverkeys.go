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
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/internal/keystock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// ServerKeys makes RSA keys for composite keys, one for each user. They are generated in
// the token, leave it wrapped under an AES key of the token, are stored by the caller,
// and come back into the token for one operation at a time: no token holds millions of
// keys. It is safe for concurrent use.
type ServerKeys struct {
	keys  *keySet
	bits  int
	stock *keystock.Stock[pooledKey]
}

type pooledKey struct {
	key  *Key
	blob []byte
}

// GenerateWrappingKey makes version 1 of a wrapping key under a label that has no AES key
// yet.
//
// Errors: ErrKeyExists and ErrExposed.
func (t *Token) GenerateWrappingKey(ctx context.Context, label string) error {
	_, err := t.keySet(ctx, label, roleWrap, true)
	return err
}

// ServerKeys makes and uses keys with moduli of the given number of bits, wrapped under
// the wrapping key with this label. It keeps ready (0 to 1024) keys in stock, since a
// token takes from a tenth of a second to seconds for one; they are lost at Close. With
// ready = 0 each NewKey makes its own.
//
// Errors: ErrKeyNotFound and ErrExposed.
func (t *Token) ServerKeys(ctx context.Context, label string, bits, ready int) (*ServerKeys, error) {
	if err := checkBits(bits); err != nil {
		return nil, err
	}
	if ready < 0 || ready > 1024 {
		return nil, fmt.Errorf("%w: %d keys in stock, must be 0 to 1024", ErrInput, ready)
	}
	ks, err := t.keySet(ctx, label, roleWrap, false)
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
	if errors.Is(err, ErrClosed) {
		err = keystock.ErrEnd
	} else if err != nil && ctx.Err() == nil {
		p.keys.t.log.Warn("hsm: no key for the stock", slog.Any("cause", err))
	}
	return k, err
}

// Close stops filling the stock, and drops the keys in it. Keys that were given out stay
// usable.
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
	return p.keys.generate(ctx, false)
}

// Bits returns the length of the keys' moduli.
func (p *ServerKeys) Bits() int {
	if !p.made() {
		return 0
	}
	return p.bits
}

// NewKey returns a key that nobody else has, and its wrapped form to store and give to
// LoadKey. The key was used once in its wrapped form. The blob is secret only as far as
// the token's wrapping key is safe.
//
// Errors: ErrExposed.
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

// LoadKey returns the key in a blob that NewKey made. It is checked in memory; the module
// sees it when the key is used.
//
// Errors: ErrBlob, together with ErrKeyNotFound when the token has no key of the version
// that the blob names.
func (p *ServerKeys) LoadKey(ctx context.Context, wrapped []byte) (splitkey.RSAKey, error) {
	if !p.made() || ctx == nil {
		return nil, errNothing
	}
	b, kek, err := p.keys.authentic(ctx, wrappedBlob, nil, append([]byte(nil), wrapped...))
	if err != nil {
		return nil, err
	}
	w, err := parseWrapped(b.body)
	if err != nil {
		return nil, err
	}
	return p.keys.t.newKey(w.pub, p.keys.t.wrapping.by, kek.aes, w), nil
}

// generate makes a key, wraps it, forgets it and proves that it comes back.
func (p *ServerKeys) generate(ctx context.Context) (pooledKey, error) {
	t := p.keys.t
	kek := p.keys.current()
	for {
		sealed, err := runOn(ctx, t, operation{name: "generate wrapped key", long: true}, kek.aes, func(s *session, h handle) ([]byte, error) {
			w, err := s.generateWrapped(h, t.wrapping.method, p.bits)
			if err == nil && w.pub.N.BitLen() != p.bits {
				err = t.fault("key generation")
			}
			if err != nil {
				return nil, err
			}
			return kek.blob(wrappedBlob, nil, w.marshal())
		})
		var loaded splitkey.RSAKey
		if err == nil {
			loaded, err = p.LoadKey(ctx, sealed)
		}
		k, _ := loaded.(*Key)
		if err == nil && k.pub.N.Cmp(splitkey.LeastServerModulus(p.bits)) < 0 {
			continue
		}
		if err == nil {
			err = k.prove(ctx)
		}
		return pooledKey{k, sealed}, err
	}
}

// Ping asks the token for the wrapping key: nil means that the token answers, is logged
// in, and has the key for unwrapping. It uses no key.
//
// Errors: ErrKeyNotFound and ErrExposed.
func (p *ServerKeys) Ping(ctx context.Context) error {
	if !p.made() || ctx == nil {
		return errNothing
	}
	key := p.keys.current()
	return p.keys.t.ping(ctx, key.aes, []attributeCheck{{pkcs11.CKA_UNWRAP, "CKA_UNWRAP", true}})
}

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

const (
	ckmAESKeyWrapKWP = 0x210B // CKM_AES_KEY_WRAP_KWP of PKCS #11 3.0, RFC 5649
	unwrapped        = "unwrapped key"
)

// wrapMethods in order of preference: with integrity before without.
var wrapMethods = []wrapMethod{
	{"AES-KWP", 1, ckmAESKeyWrapKWP, 0},
	{"AES-KEY-WRAP-PAD", 2, pkcs11.CKM_AES_KEY_WRAP_PAD, 0},
	{"AES-KEY-WRAP", 3, pkcs11.CKM_AES_KEY_WRAP, 0},
	{"AES-CBC-PAD", 4, pkcs11.CKM_AES_CBC_PAD, aes.BlockSize},
}

func (w *wrapped) marshal() []byte {
	n := w.pub.N.Bytes()
	head := binary.BigEndian.AppendUint16([]byte{w.method.format}, uint16(len(n)))
	return slices.Concat(head, n, w.iv, w.key)
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
	if err := s.check(priv, "new key", nil, rsaSecrets...); err != nil {
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
func (s *session) unwrap(kek handle, w *wrapped) (handle, error) {
	h, err := s.mod.UnwrapKey(s.h, mechanism{w.method.kind, w.iv}, kek, w.key, with([]attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		attrBool(pkcs11.CKA_TOKEN, false), attrBool(pkcs11.CKA_PRIVATE, true),
		attrBool(pkcs11.CKA_SIGN, true), attrBool(pkcs11.CKA_DECRYPT, true),
	}, kept))
	if err != nil {
		return 0, err
	}
	if err = s.check(h, unwrapped, kept, rsaSecrets...); errors.Is(err, ErrExposed) {
		if err = s.mod.SetAttributes(s.h, h, with(nil, kept)); err == nil {
			err = s.check(h, unwrapped, kept, rsaSecrets...)
		}
	}
	if err != nil {
		return 0, s.discard(h, err)
	}
	return h, nil
}
