package hsm

import (
	"bytes"
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
	// held is the private key; or the key that wraps it, if wrapped is not nil.
	held    *object
	wrapped *wrapped
}

var _ splitkey.RSAKey = (*Key)(nil)

// newKey prepares a key of newPublicKey for use.
func (t *Token) newKey(pub *rsa.PublicKey, by string, held *object, w *wrapped) *Key {
	n := pub.N.Bytes()
	return &Key{t, pub, n, modexp.NewModulus(n), by, held, w}
}

const (
	minBits, maxBits = 2048, 8192 // sizes of moduli
	publicExponent   = 65537      // e, the only one in use here
)

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
	return k.exponentiate(ctx, operation{name: "raw RSA", proven: true}, k.by, bytes.Clone(x))
}

// Ping is ServerKeys.Ping for one key, which the token must not give away.
func (k *Key) Ping(ctx context.Context) error {
	if k == nil || k.t == nil || ctx == nil {
		return errNothing
	}
	return k.t.ping(ctx, k.held, kept)
}

func (k *Key) exponentiate(ctx context.Context, op operation, by string, in []byte) ([]byte, error) {
	// What is out of range ends here: SoftHSM ends the process at a C_Sign of more than k
	// bytes, modules disagree about it, and every failure costs memory (see module).
	x, err := k.mod.Elem(in)
	if err != nil || x.IsZero() == 1 {
		return nil, fmt.Errorf("%w: operand must have the length of the modulus and be between 0 and it", ErrInput)
	}
	y, err := runOn(ctx, k.t, op, k.held, func(s *session, h handle) (y []byte, err error) {
		if k.wrapped == nil {
			return s.raw(by, h, in)
		}
		if h, err = s.unwrap(h, k.wrapped); err != nil {
			return nil, err
		}
		if y, err = s.raw(by, h, in); err == nil {
			_ = s.mod.DestroyObject(s.h, h) // else the session does it when it is closed
		}
		return y, err
	})
	if err != nil {
		return nil, err
	}
	// Modules blind, use the CRT and fail: a result with CKR_OK may be wrong, and one
	// that is wrong modulo one prime gives the primes away (Boneh, DeMillo, Lipton,
	// EUROCRYPT 1997).
	if _, err := k.mod.CheckedRootVarTime(y, publicExponent, x); err != nil {
		clear(y)
		return nil, k.t.fault("raw RSA")
	}
	return y, nil
}

// rawFunctions do raw RSA, most modules by both.
var rawFunctions = []string{bySign, byDecrypt}

// raw is one raw RSA operation, of an operand that has been checked.
func (s *session) raw(by string, key handle, in []byte) (out []byte, err error) {
	out, err = s.mod.Use(by, s.h, mechanism{kind: pkcs11.CKM_RSA_X_509}, key, in)
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
		err = do(ctx, t, operation{name: "generate key", long: true}, func(s *session) error {
			return s.generateKey(label, bits, id, guard)
		})
		if !errors.Is(err, ErrUnsupported) {
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

func (s *session) generateKey(label string, bits int, id []byte, guard []attributeCheck) error {
	done, err := s.t.alone("key", label)
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
			pub, priv, err = s.generateRSA(bits, true, false, guard, attribute{pkcs11.CKA_LABEL, []byte(label)}, attribute{pkcs11.CKA_ID, id})
			return priv, err
		})
	if err != nil && pub != 0 {
		_ = s.mod.DestroyObject(s.h, pub)
	}
	return err
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
	k := t.newKey(pub, "", o, nil)
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
	return s.check(h, name, append([]attributeCheck{
		{pkcs11.CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", true},
		{pkcs11.CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true},
	}, slices.Concat(kept, guard)...), rsaSecrets...)
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
