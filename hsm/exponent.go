package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Exponent is a secret exponent in the token, without primes and without a public
// exponent: a server's share of a client key. It is safe for concurrent use.
//
// PKCS #11 has no such object. An RSA private key without its primes is
// refused by some modules and gives wrong numbers with CKR_OK on others, which
// blind with a public exponent that does not belong to it; and the public
// exponent that does belong to it factors the modulus together with the share.
// What works is a Diffie-Hellman private key whose prime is the modulus:
// C_DeriveKey then is m^d mod n. It is used only at sizes where it gave the
// right answers when the token was opened.
//
// Nothing can check a result: there is no public exponent to check it with. A
// fault shows as a wrong final signature.
type Exponent struct {
	t   *Token
	n   []byte
	obj *object
}

// ImportExponent stores an exponent in the token under a label that no other exponent
// has. The modulus must have one of the sizes in Config.ExponentBits, which must have
// passed its test; the exponent must have as many bytes, leading zeros included.
//
// Errors: ErrInput, ErrUnsupported, ErrKeyExists, ErrExposed, ErrUnavailable,
// ErrPIN and ErrClosed.
func (t *Token) ImportExponent(ctx context.Context, label string, modulus, exponent []byte) (*Exponent, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	k := len(modulus)
	switch {
	case label == "":
		return nil, fmt.Errorf("%w: empty label", ErrInput)
	case k == 0 || modulus[0]&0x80 == 0 || modulus[k-1]&1 == 0:
		return nil, fmt.Errorf("%w: the modulus must be odd and fill its bytes", ErrInput)
	case len(exponent) != k:
		// opencryptoki 3.8 ends the process at an exponent longer than n.
		return nil, fmt.Errorf("%w: the exponent must have the length of the modulus", ErrInput)
	case !t.servesExponent(8 * k):
		return nil, fmt.Errorf("%w: exponents of %d bits", ErrUnsupported, 8*k)
	}
	n, d := append([]byte(nil), modulus...), append([]byte(nil), exponent...)
	id := make([]byte, 16)
	rand.Read(id)
	_, err := run(ctx, t, "import exponent", func(s *session) (struct{}, error) {
		list, err := s.search(exponents(label), 2)
		if err != nil {
			return struct{}{}, err
		}
		for _, h := range list {
			// An earlier try of this call made it, and its answer was lost.
			// Token.Exponent checks it.
			if got, err := s.value(h, pkcs11.CKA_ID, 64); err == nil && bytes.Equal(got, id) {
				return struct{}{}, nil
			}
		}
		if len(list) > 0 {
			return struct{}{}, fmt.Errorf("%w: %q", ErrKeyExists, label)
		}
		h, err := s.createExponent(n, d, true, attrString(pkcs11.CKA_LABEL, label), attrBytes(pkcs11.CKA_ID, id))
		if err != nil {
			return struct{}{}, err
		}
		if err := s.checkExponent(h, label); err != nil {
			return struct{}{}, s.discard(h, err)
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	clear(d)
	return t.Exponent(ctx, label)
}

// Exponent returns the exponent with this label.
//
// Errors: those of ImportExponent except ErrKeyExists, and ErrKeyNotFound and
// ErrAmbiguous.
func (t *Token) Exponent(ctx context.Context, label string) (*Exponent, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	o := &object{name: fmt.Sprintf("exponent %q", label), template: exponents(label)}
	n, err := run(ctx, t, "find exponent", func(s *session) ([]byte, error) {
		h, err := s.find(o)
		if err != nil {
			return nil, err
		}
		if err := s.checkExponent(h, label); err != nil {
			return nil, err
		}
		return s.value(h, pkcs11.CKA_PRIME, maxBits/8)
	})
	if err != nil {
		return nil, err
	}
	if !t.servesExponent(8 * len(n)) {
		return nil, fmt.Errorf("%w: exponents of %d bits", ErrUnsupported, 8*len(n))
	}
	return &Exponent{t: t, n: n, obj: o}, nil
}

// Exponentiate returns m^d mod n. m has as many bytes as the modulus, with
// 1 < m < n-1, and so has the result, which nothing can check.
//
// Errors: ErrInput, ErrUnavailable (with the context's error if that ended the
// wait), ErrUnsupported, ErrPIN and ErrClosed.
func (e *Exponent) Exponentiate(ctx context.Context, m []byte) ([]byte, error) {
	if e == nil || e.t == nil || ctx == nil {
		return nil, errNothing
	}
	if err := checkBase(m, e.n); err != nil {
		return nil, err
	}
	in := append([]byte(nil), m...)
	return run(ctx, e.t, "exponentiate", func(s *session) ([]byte, error) {
		h, err := s.find(e.obj)
		if err != nil {
			return nil, err
		}
		return s.exponentiate(h, in)
	})
}

// checkBase refuses 0, 1 and n-1, which modules refuse or crash at and no
// honest client sends, and whatever checkOperand does. m is what a client sent.
func checkBase(m, n []byte) error {
	if err := checkOperand(m, n); err != nil {
		return err
	}
	one, minus := byte(0), byte(0)
	for i := range m[:len(m)-1] {
		one |= m[i]
		minus |= m[i] ^ n[i]
	}
	last := len(m) - 1
	one |= m[last] ^ 1
	minus |= m[last] ^ n[last] ^ 1 // n is odd
	if one == 0 || minus == 0 {
		return fmt.Errorf("%w: base is 1 or n-1", ErrInput)
	}
	return nil
}

func exponents(label string) []attribute {
	return []attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_DH),
		attrString(pkcs11.CKA_LABEL, label),
	}
}

func (s *session) createExponent(n, d []byte, token bool, names ...attribute) (handle, error) {
	return s.made(s.mod.CreateObject(s.h, s.guarded(append([]attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_DH),
		attrBool(pkcs11.CKA_TOKEN, token),
		attrBool(pkcs11.CKA_PRIVATE, true),
		attrBool(pkcs11.CKA_SENSITIVE, true),
		attrBool(pkcs11.CKA_EXTRACTABLE, false),
		attrBool(pkcs11.CKA_DERIVE, true),
		attrBytes(pkcs11.CKA_PRIME, n),
		attrBytes(pkcs11.CKA_BASE, []byte{2}),
		attrBytes(pkcs11.CKA_VALUE, d),
	}, names...))))
}

func (s *session) checkExponent(h handle, label string) error {
	if err := s.check(h, label, kept); err != nil {
		return err
	}
	return s.hidden(h, label, pkcs11.CKA_VALUE)
}

// exponentiate is C_DeriveKey (PKCS #3, as in PKCS #11 2.40 section 2.4.9).
func (s *session) exponentiate(key handle, m []byte) ([]byte, error) {
	return s.derive(mechanism{kind: pkcs11.CKM_DH_PKCS_DERIVE, param: m}, key, len(m))
}

// derive gives the value of a derived key, of size bytes. The derived key is
// the result, so it is readable; it is destroyed at once.
func (s *session) derive(m mechanism, key handle, size int) ([]byte, error) {
	h, err := s.mod.DeriveKey(s.h, m, key, []attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		attrBool(pkcs11.CKA_TOKEN, false),
		attrBool(pkcs11.CKA_SENSITIVE, false),
		attrBool(pkcs11.CKA_EXTRACTABLE, true),
		attrUint(pkcs11.CKA_VALUE_LEN, uint(size)),
	})
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	n, err := s.mod.Attribute(s.h, h, pkcs11.CKA_VALUE, out)
	if err != nil {
		clear(out)
		return nil, s.discard(h, err)
	}
	if n > len(out) {
		clear(out)
		return nil, s.discard(h, s.t.fault("derived key"))
	}
	if err := s.mod.DestroyObject(s.h, h); err != nil {
		clear(out)
		return nil, err
	}
	return leftPad(out, n), nil
}
