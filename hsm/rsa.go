package hsm

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Key is an RSA key whose private half is in the token, or can only be used
// there. It is a splitkey.RSAKey, and safe for concurrent use.
type Key struct {
	t   *Token
	pub *rsa.PublicKey
	n   []byte // big-endian, no leading zeros: k bytes
	mod *modexp.Modulus
	// borrow gives the private key's handle in a session, and what to do with
	// the handle after use.
	borrow func(*session) (h handle, giveBack func(), err error)
}

var _ splitkey.RSAKey = (*Key)(nil)

// newKey prepares a key of newPublicKey for use.
func (t *Token) newKey(pub *rsa.PublicKey, borrow func(*session) (handle, func(), error)) *Key {
	n := pub.N.Bytes()
	return &Key{t: t, pub: pub, n: n, mod: modexp.NewModulus(n), borrow: borrow}
}

// right reports whether y is x^d mod n: whether y^e is x.
func right(mod *modexp.Modulus, x, y []byte) bool {
	want, err := mod.Elem(x)
	if err != nil {
		return false
	}
	_, err = mod.CheckedRootVarTime(y, publicExponent, want)
	return err == nil
}

// Sizes of moduli in bits.
const (
	minBits = 2048
	maxBits = 8192
)

// publicExponent is e = 65537, the only one in use here.
const publicExponent = 65537

// Public returns the key's *rsa.PublicKey.
func (k *Key) Public() crypto.PublicKey {
	if k == nil || k.pub == nil {
		return (*rsa.PublicKey)(nil)
	}
	return &rsa.PublicKey{N: new(big.Int).Set(k.pub.N), E: k.pub.E}
}

// Exponentiate returns x^d mod n (RSADP, RFC 8017 section 5.1.2). x is a number with 0 <
// x < n in exactly k bytes, k being the length of the modulus; so is the result. It is
// checked against the public key before it is returned.
//
// Errors: ErrInput, ErrUnavailable (with the context's error if that ended the
// wait), ErrFault, ErrPIN, ErrClosed, ErrUnsupported.
func (k *Key) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	if k == nil || k.t == nil || ctx == nil {
		return nil, errNothing
	}
	if err := checkOperand(x, k.n); err != nil {
		return nil, err
	}
	in := append([]byte(nil), x...)
	y, err := run(ctx, k.t, "raw RSA", func(s *session) ([]byte, error) {
		h, giveBack, err := k.borrow(s)
		if err != nil {
			return nil, err
		}
		y, err := s.raw(k.t.caps.RSA, h, in)
		if err == nil {
			giveBack()
		}
		return y, err
	})
	if err != nil {
		return nil, err
	}
	// Modules blind, use the CRT and fail: a result with CKR_OK may be wrong,
	// and one that is wrong modulo one prime gives the primes away (Boneh,
	// DeMillo, Lipton, EUROCRYPT 1997).
	if !right(k.mod, in, y) {
		clear(y)
		return nil, k.t.fault("raw RSA")
	}
	return y, nil
}

// raw is one raw RSA operation. The operand has been checked: SoftHSM ends the process at
// a C_Sign of more than k bytes, and modules disagree about every other operand that is
// not exactly k bytes and below n.
func (s *session) raw(by string, key handle, in []byte) ([]byte, error) {
	m := mechanism{kind: pkcs11.CKM_RSA_X_509}
	out := make([]byte, len(in))
	var n int
	var err error
	switch by {
	case "C_Sign":
		n, err = s.mod.Sign(s.h, m, key, in, out)
	case "C_Decrypt":
		n, err = s.mod.Decrypt(s.h, m, key, in, out)
	default:
		return nil, fmt.Errorf("%w: raw RSA", ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	return leftPad(out, n), nil
}

// leftPad moves the n bytes at the start of out to its end. A module that
// strips leading zeros still means the same number.
func leftPad(out []byte, n int) []byte {
	if n < len(out) {
		copy(out[len(out)-n:], out[:n])
		clear(out[:len(out)-n])
	}
	return out
}

// GenerateKey makes an RSA key pair of the given size in bits in the token, under a label
// that no other key has. The private key is sensitive and cannot be exported; that is
// read back, not assumed, and the key is used once before it is returned. If the context
// ends too early, the key may exist: Key finds it.
//
// Errors: those of Exponentiate, and ErrKeyExists and ErrExposed.
func (t *Token) GenerateKey(ctx context.Context, label string, bits int) (*Key, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	if bits < minBits || bits > maxBits || bits%8 != 0 {
		return nil, fmt.Errorf("%w: %d bits, must be a multiple of 8 from %d to %d", ErrInput, bits, minBits, maxBits)
	}
	if label == "" {
		return nil, fmt.Errorf("%w: empty label", ErrInput)
	}
	if t.caps.RSA == "" {
		return nil, fmt.Errorf("%w: raw RSA", ErrUnsupported)
	}
	id := make([]byte, 16)
	rand.Read(id)
	_, err := run(ctx, t, "generate key", func(s *session) (struct{}, error) {
		list, err := s.search(privateKeys(label), 2)
		if err != nil {
			return struct{}{}, err
		}
		for _, h := range list {
			// An earlier try of this call made it, and its answer was lost.
			if got, err := s.value(h, pkcs11.CKA_ID, 64); err == nil && string(got) == string(id) {
				return struct{}{}, nil
			}
		}
		if len(list) > 0 {
			return struct{}{}, fmt.Errorf("%w: %q", ErrKeyExists, label)
		}
		pub, priv, err := s.generateRSA(bits, true, false, attrString(pkcs11.CKA_LABEL, label), attrBytes(pkcs11.CKA_ID, id))
		if err != nil {
			return struct{}{}, err
		}
		if err = s.checkPrivate(priv, label); err != nil {
			_ = s.mod.DestroyObject(s.h, priv)
			_ = s.mod.DestroyObject(s.h, pub)
		}
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	k, err := t.Key(ctx, label)
	if err == nil && k.pub.N.BitLen() != bits {
		return nil, t.fault("key generation")
	}
	return k, err
}

// Key returns the RSA key with this label. It is used once before it is
// returned.
//
// Errors: those of Exponentiate, and ErrKeyNotFound, ErrAmbiguous and
// ErrExposed, the last also for a key that the token would give away.
func (t *Token) Key(ctx context.Context, label string) (*Key, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	if t.caps.RSA == "" {
		return nil, fmt.Errorf("%w: raw RSA", ErrUnsupported)
	}
	o := &object{name: fmt.Sprintf("RSA key %q", label), template: privateKeys(label)}
	pub, err := run(ctx, t, "find key", func(s *session) (*rsa.PublicKey, error) {
		h, err := s.find(o)
		if err != nil {
			return nil, err
		}
		if err := s.checkPrivate(h, label); err != nil {
			return nil, err
		}
		return s.publicKey(h)
	})
	if err != nil {
		return nil, err
	}
	k := t.newKey(pub, func(s *session) (handle, func(), error) {
		h, err := s.find(o)
		return h, func() {}, err
	})
	if err := k.prove(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// prove uses the key once, for a random x.
func (k *Key) prove(ctx context.Context) error {
	x := make([]byte, len(k.n))
	rand.Read(x[1:])
	_, err := k.Exponentiate(ctx, x)
	return err
}

func privateKeys(label string) []attribute {
	return []attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		attrString(pkcs11.CKA_LABEL, label),
	}
}

// generateRSA makes a key pair: in the token, or for this session only.
func (s *session) generateRSA(bits int, token, extractable bool, names ...attribute) (pub, priv handle, err error) {
	public := append([]attribute{
		attrBool(pkcs11.CKA_TOKEN, token),
		attrBool(pkcs11.CKA_PRIVATE, false),
		attrBool(pkcs11.CKA_VERIFY, true),
		attrBool(pkcs11.CKA_ENCRYPT, true),
		attrUint(pkcs11.CKA_MODULUS_BITS, uint(bits)),
		attrBytes(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
	}, names...)
	private := append([]attribute{
		attrBool(pkcs11.CKA_TOKEN, token),
		attrBool(pkcs11.CKA_PRIVATE, true),
		attrBool(pkcs11.CKA_SENSITIVE, true),
		attrBool(pkcs11.CKA_EXTRACTABLE, extractable),
		attrBool(pkcs11.CKA_SIGN, true),
		attrBool(pkcs11.CKA_DECRYPT, true),
	}, names...)
	m := mechanism{kind: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN}
	if extractable { // for a moment, to be wrapped
		return s.mod.GenerateKeyPair(s.h, m, public, private)
	}
	return s.madePair(s.mod.GenerateKeyPair(s.h, m, public, s.guarded(private)))
}

// checkPrivate refuses a private key that the token would give away. CKA_LOCAL
// is not asked for: NSS says that a key it generated is not local.
func (s *session) checkPrivate(h handle, name string) error {
	err := s.check(h, name, []attributeCheck{
		{pkcs11.CKA_SENSITIVE, "CKA_SENSITIVE", true},
		{pkcs11.CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false},
		{pkcs11.CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", true},
		{pkcs11.CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true},
	})
	if err != nil {
		return err
	}
	return s.hiddenRSA(h, name)
}

func (s *session) hiddenRSA(h handle, name string) error {
	return s.hidden(h, name, pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2,
		pkcs11.CKA_EXPONENT_1, pkcs11.CKA_EXPONENT_2, pkcs11.CKA_COEFFICIENT)
}

// publicKey reads n and e, from the private key or else from the public key
// with the same id.
func (s *session) publicKey(h handle) (*rsa.PublicKey, error) {
	n, err := s.value(h, pkcs11.CKA_MODULUS, maxBits/8+1)
	if err != nil {
		return nil, err
	}
	e, err := s.value(h, pkcs11.CKA_PUBLIC_EXPONENT, 16)
	if err != nil || len(e) == 0 {
		id, err := s.value(h, pkcs11.CKA_ID, 256)
		if err != nil {
			return nil, err
		}
		list, err := s.mod.FindObjects(s.h, []attribute{
			attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
			attrBytes(pkcs11.CKA_ID, id),
			attrBytes(pkcs11.CKA_MODULUS, n),
		}, 2)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%w: public half", ErrKeyNotFound)
		}
		if e, err = s.value(list[0], pkcs11.CKA_PUBLIC_EXPONENT, 16); err != nil {
			return nil, err
		}
	}
	return newPublicKey(n, e)
}

func newPublicKey(n, e []byte) (*rsa.PublicKey, error) {
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < minBits || bits > maxBits || bits%8 != 0 || modulus.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: modulus of %d bits", ErrUnsupported, bits)
	}
	if !exponent.IsInt64() || exponent.Int64() != publicExponent {
		return nil, fmt.Errorf("%w: public exponent is not 65537", ErrUnsupported)
	}
	return &rsa.PublicKey{N: modulus, E: publicExponent}, nil
}

var errOperand = errors.New("operand must have the length of the modulus and be between 0 and it")

// checkOperand checks 0 < x < n and the length, in constant time for a given
// length: x may be a value that nobody should know yet.
func checkOperand(x, n []byte) error {
	if len(x) != len(n) {
		return fmt.Errorf("%w: %w", ErrInput, errOperand)
	}
	borrow, or := 0, byte(0)
	for i := len(x) - 1; i >= 0; i-- {
		borrow = (int(x[i]) - int(n[i]) - borrow) >> 8 & 1
		or |= x[i]
	}
	if borrow == 0 || or == 0 {
		return fmt.Errorf("%w: %w", ErrInput, errOperand)
	}
	return nil
}
