package hsm

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Key is an RSA key whose private half is in the token, or can only be used there. It is
// a splitkey.RSAKey, and safe for concurrent use.
type Key struct {
	t   *Token
	pub *rsa.PublicKey
	n   []byte // big-endian, no leading zeros: k bytes
	mod *modexp.Modulus
	by  string // of rawFunctions; empty before prove has found it
	// borrow gives the private key's handle in a session, and what to do with the handle
	// after use.
	borrow func(*session) (h handle, giveBack func(), err error)
}

var _ splitkey.RSAKey = (*Key)(nil)

// newKey prepares a key of newPublicKey for use.
func (t *Token) newKey(pub *rsa.PublicKey, by string, borrow func(*session) (handle, func(), error)) *Key {
	n := pub.N.Bytes()
	return &Key{t: t, pub: pub, n: n, mod: modexp.NewModulus(n), by: by, borrow: borrow}
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
func (k *Key) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	if k == nil || k.t == nil || ctx == nil {
		return nil, errNothing
	}
	// What is out of range ends here: modules crash at it, disagree about it, and every
	// failure of C_Sign costs memory (see module).
	if elem, err := k.mod.Elem(x); err != nil || elem.IsZero() == 1 {
		return nil, fmt.Errorf("%w: operand must have the length of the modulus and be between 0 and it", ErrInput)
	}
	return k.exponentiate(ctx, operation{name: "raw RSA", proven: true}, k.by, append([]byte(nil), x...))
}

func (k *Key) exponentiate(ctx context.Context, op operation, by string, in []byte) ([]byte, error) {
	y, err := run(ctx, k.t, op, func(s *session) ([]byte, error) {
		h, giveBack, err := k.borrow(s)
		if err != nil {
			return nil, err
		}
		y, err := s.raw(by, h, in)
		if err == nil {
			giveBack()
		}
		return y, err
	})
	if err != nil {
		return nil, err
	}
	// Modules blind, use the CRT and fail: a result with CKR_OK may be wrong, and one
	// that is wrong modulo one prime gives the primes away (Boneh, DeMillo, Lipton,
	// EUROCRYPT 1997).
	if !right(k.mod, in, y) {
		clear(y)
		return nil, k.t.fault("raw RSA")
	}
	return y, nil
}

// rawFunctions do raw RSA, most modules by both.
var rawFunctions = []string{"C_Sign", "C_Decrypt"}

// raw is one raw RSA operation. The operand has been checked: SoftHSM ends the process at
// a C_Sign of more than k bytes, and modules disagree about every other operand that is
// not exactly k bytes and below n.
func (s *session) raw(by string, key handle, in []byte) (out []byte, err error) {
	m := mechanism{kind: pkcs11.CKM_RSA_X_509}
	if by == rawFunctions[0] {
		out, err = s.mod.Sign(s.h, m, key, in)
	} else {
		out, err = s.mod.Decrypt(s.h, m, key, in)
	}
	if missing := len(in) - len(out); missing > 0 && err == nil { // without its zeros it is the same number
		out = append(make([]byte, missing), out...)
	}
	return out, err
}

// GenerateKey makes an RSA key pair of the given size in bits in the token, under a label
// that no other key has. The private key is sensitive and cannot be exported; that is
// read back, not assumed, and the key is used once before it is returned. If the context
// ends too early, the key may exist: Key finds it.
//
// Errors: ErrKeyExists and ErrExposed.
func (t *Token) GenerateKey(ctx context.Context, label string, bits int) (*Key, error) {
	if err := cmp.Or(t.made(ctx), checkLabel(label), checkBits(bits)); err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	rand.Read(id)
	// The self-test found the guard that keys of this token take, if it has AES keys.
	choices := [][]attributeCheck{t.guard}
	if t.guard == nil {
		choices = [][]attributeCheck{guards[0], guards[0], guards[1], guards[1], nil}
	}
	var err error
	for _, guard := range choices {
		if err = t.generateKey(ctx, label, bits, id, guard); !errors.Is(err, ErrUnsupported) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	k, err := t.Key(ctx, label)
	if err == nil && k.pub.N.BitLen() != bits {
		return nil, t.fault("key generation")
	}
	return k, err
}

func (t *Token) generateKey(ctx context.Context, label string, bits int, id []byte, guard []attributeCheck) error {
	names := []attribute{{pkcs11.CKA_LABEL, []byte(label)}, {pkcs11.CKA_ID, id}}
	return do(ctx, t, operation{name: "generate key", long: true}, func(s *session) error {
		done, err := t.alone("key", label)
		if err != nil {
			return err
		}
		defer done()
		var pub handle
		err = s.makeOnce(privateKeys(label), id, func(h handle) error { return s.checkPrivate(h, label, guard) },
			func(ids [][]byte) (priv handle, err error) {
				if len(ids) > 0 {
					return 0, fmt.Errorf("%w: %q", ErrKeyExists, label)
				}
				pub, priv, err = s.generateRSA(bits, true, false, guard, names...)
				return priv, err
			})
		if err != nil && pub != 0 {
			_ = s.mod.DestroyObject(s.h, pub)
		}
		return err
	})
}

// alone lets one call at a time make the object of a kind and label. Two would make two,
// and the second may be the repetition of one that was given up and goes on.
func (t *Token) alone(kind, label string) (done func(), err error) {
	name := fmt.Sprintf("%s %q", kind, label)
	if _, taken := t.making.LoadOrStore(name, nil); taken {
		return nil, unavailable("making "+name, errors.New("a call that does so has not returned"))
	}
	return func() { t.making.Delete(name) }, nil
}

// Key returns the RSA key with this label. It is used before it is returned, by C_Sign
// and if that does not work by C_Decrypt.
//
// Errors: ErrKeyNotFound, ErrAmbiguous, ErrExposed for a key that the token would give
// away, and ErrUnsupported for one that wants a login for each use
// (CKA_ALWAYS_AUTHENTICATE).
func (t *Token) Key(ctx context.Context, label string) (*Key, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	o := &object{name: fmt.Sprintf("RSA key %q", label), template: privateKeys(label)}
	pub, err := runOn(ctx, t, operation{name: "find key"}, o, func(s *session, h handle) (*rsa.PublicKey, error) {
		if err := s.checkPrivate(h, label, nil); err != nil {
			return nil, err
		}
		if always, err := s.flag(h, pkcs11.CKA_ALWAYS_AUTHENTICATE); always {
			return nil, fmt.Errorf("%w: %s wants a login for each use", ErrUnsupported, o.name)
		} else if err != nil && !refuses(err) { // else the token knows no such keys
			return nil, err
		}
		return s.publicKey(h)
	})
	if err != nil {
		return nil, err
	}
	k := t.newKey(pub, "", func(s *session) (handle, func(), error) {
		h, err := s.find(o)
		return h, func() {}, err
	})
	if err := k.prove(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// prove uses the key for a random number, and finds out by which function.
func (k *Key) prove(ctx context.Context) (err error) {
	for _, by := range rawFunctions {
		if k.by != "" && k.by != by {
			continue
		}
		x := make([]byte, len(k.n))
		rand.Read(x[1:])
		_, err = k.exponentiate(ctx, operation{name: "raw RSA"}, by, x)
		if err == nil && k.by == "" {
			k.by = by
		}
		if !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrFault) {
			return err
		}
	}
	return err
}

func privateKeys(label string) []attribute {
	return labelled(pkcs11.CKO_PRIVATE_KEY, label, attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA))
}

// generateRSA makes a key pair: in the token, or for this session only. CKA_PRIVATE of
// the public half is left to the token, since some want it true.
func (s *session) generateRSA(bits int, token, extractable bool, guard []attributeCheck, names ...attribute) (pub, priv handle, err error) {
	public := append([]attribute{
		attrBool(pkcs11.CKA_TOKEN, token), attrBool(pkcs11.CKA_VERIFY, true), attrBool(pkcs11.CKA_ENCRYPT, true),
		attrUint(pkcs11.CKA_MODULUS_BITS, uint(bits)), {pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}},
	}, names...)
	private := append([]attribute{
		attrBool(pkcs11.CKA_TOKEN, token), attrBool(pkcs11.CKA_PRIVATE, true), attrBool(pkcs11.CKA_SENSITIVE, true),
		attrBool(pkcs11.CKA_EXTRACTABLE, extractable), attrBool(pkcs11.CKA_SIGN, true), attrBool(pkcs11.CKA_DECRYPT, true),
	}, names...)
	return s.mod.GenerateKeyPair(s.h, mechanism{kind: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN}, public, with(private, guard))
}

// checkPrivate refuses a private key that the token would give away. CKA_LOCAL is not
// asked for: NSS says that a key it generated is not local.
func (s *session) checkPrivate(h handle, name string, guard []attributeCheck) error {
	err := s.check(h, name, append([]attributeCheck{
		{pkcs11.CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", true},
		{pkcs11.CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true},
	}, slices.Concat(kept, guard)...))
	if err != nil {
		return err
	}
	return s.hidden(h, name, rsaSecrets...)
}

// rsaSecrets are the attributes of a private key that must be hidden.
var rsaSecrets = []uint{
	pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2,
	pkcs11.CKA_EXPONENT_1, pkcs11.CKA_EXPONENT_2, pkcs11.CKA_COEFFICIENT,
}

// publicKey reads n and e. A private half may lack e: the use of the key shows whether it
// is 65537.
func (s *session) publicKey(h handle) (*rsa.PublicKey, error) {
	n, err := s.mod.Attribute(s.h, h, pkcs11.CKA_MODULUS)
	if err != nil {
		return nil, err
	}
	e, err := s.mod.Attribute(s.h, h, pkcs11.CKA_PUBLIC_EXPONENT)
	if err != nil && !refuses(err) {
		return nil, err
	}
	if len(e) > 0 && new(big.Int).SetBytes(e).Cmp(big.NewInt(publicExponent)) != 0 {
		return nil, fmt.Errorf("%w: public exponent is not 65537", ErrUnsupported)
	}
	return newPublicKey(n)
}

func newPublicKey(n []byte) (*rsa.PublicKey, error) {
	modulus := new(big.Int).SetBytes(n)
	if checkBits(modulus.BitLen()) != nil || modulus.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: modulus of %d bits", ErrUnsupported, modulus.BitLen())
	}
	return &rsa.PublicKey{N: modulus, E: publicExponent}, nil
}

// checkBits refuses lengths of moduli that are not in use here.
func checkBits(bits int) error {
	if bits < minBits || bits > maxBits || bits%8 != 0 {
		return fmt.Errorf("%w: %d bits, must be a multiple of 8 from %d to %d", ErrInput, bits, minBits, maxBits)
	}
	return nil
}
