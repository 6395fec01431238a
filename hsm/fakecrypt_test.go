package hsm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

func (f *fake) GenerateKeyPair(s handle, m mechanism, public, private []attribute) (handle, handle, error) {
	if err := f.enter("C_GenerateKeyPair", s); err != nil {
		return 0, 0, err
	}
	defer f.mu.Unlock()
	if !f.loggedIn {
		return 0, 0, CKR(pkcs11.CKR_USER_NOT_LOGGED_IN)
	}
	bits := uint(2048)
	for _, a := range public {
		if a.kind == pkcs11.CKA_MODULUS_BITS {
			bits = decodeUint(a.value)
		}
	}
	key := splitkeytest.Key(int(bits))
	halves := []attribute{
		attribute{pkcs11.CKA_MODULUS, key.N.Bytes()},
		attribute{pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}},
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
	}
	pub := f.add(s, nil, public, halves, []attribute{attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY)})
	priv := f.add(s, key, private, halves, []attribute{attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)})
	o := f.objects[priv]
	extractable := o.attrs[pkcs11.CKA_EXTRACTABLE][0]
	o.attrs[pkcs11.CKA_ALWAYS_SENSITIVE] = o.attrs[pkcs11.CKA_SENSITIVE]
	o.attrs[pkcs11.CKA_NEVER_EXTRACTABLE] = []byte{1 - extractable}
	return pub, priv, nil
}

func (f *fake) violation(what string) { f.violations = append(f.violations, what) }

func (f *fake) raw(key *rsa.PrivateKey, in []byte) ([]byte, error) {
	x := new(big.Int).SetBytes(in)
	if len(in) != key.Size() || x.Cmp(key.N) >= 0 || x.Sign() == 0 {
		f.violation("raw RSA of a bad operand")
		return nil, CKR(pkcs11.CKR_GENERAL_ERROR)
	}
	// With the CRT, as hardware does.
	m1 := new(big.Int).Exp(x, key.Precomputed.Dp, key.Primes[0])
	m2 := new(big.Int).Exp(x, key.Precomputed.Dq, key.Primes[1])
	h := m1.Sub(m1, m2)
	h.Mul(h, key.Precomputed.Qinv).Mod(h, key.Primes[0])
	return h.Mul(h, key.Primes[1]).Add(h, m2).FillBytes(make([]byte, len(in))), nil
}

func (f *fake) Use(call string, s handle, m mechanism, key handle, in []byte) ([]byte, error) {
	if err := f.enter(call, s); err != nil {
		return nil, err
	}
	o, err := f.object(key)
	if err != nil {
		return f.done(call, nil), err
	}
	switch m.kind {
	case pkcs11.CKM_SHA256_HMAC:
		mac := hmac.New(sha256.New, o.attrs[pkcs11.CKA_VALUE])
		mac.Write(in)
		return f.done(call, mac.Sum(nil)), nil
	case pkcs11.CKM_RSA_X_509:
		out, err := f.raw(o.rsa, in)
		return f.done(call, out), err
	}
	if len(m.param) != aes.BlockSize || len(in) != secretKeyBytes {
		f.violation("AES-CBC of a bad length")
		return f.done(call, nil), CKR(pkcs11.CKR_DATA_LEN_RANGE)
	}
	block, err := aes.NewCipher(o.attrs[pkcs11.CKA_VALUE])
	if err != nil {
		return f.done(call, nil), CKR(pkcs11.CKR_KEY_SIZE_RANGE)
	}
	out := make([]byte, len(in))
	if call == byEncrypt {
		cipher.NewCBCEncrypter(block, m.param).CryptBlocks(out, in)
	} else {
		cipher.NewCBCDecrypter(block, m.param).CryptBlocks(out, in)
	}
	return f.done(call, out), nil
}

func (f *fake) WrapKey(s handle, m mechanism, kek, key handle) ([]byte, error) {
	if err := f.enter("C_WrapKey", s); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	o, err := f.object(key)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 5*o.rsa.Size())
	rand.Read(b)
	f.wrapped[string(b)] = o.rsa
	return b, nil
}

func (f *fake) UnwrapKey(s handle, m mechanism, kek handle, wrapped []byte, template []attribute) (handle, error) {
	if err := f.enter("C_UnwrapKey", s); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	f.unwraps++
	if _, err := f.object(kek); err != nil {
		return 0, CKR(pkcs11.CKR_UNWRAPPING_KEY_HANDLE_INVALID)
	}
	key := f.wrapped[string(wrapped)]
	if key == nil {
		f.violation("C_UnwrapKey of a tampered blob")
		return 0, CKR(pkcs11.CKR_WRAPPED_KEY_INVALID)
	}
	return f.add(s, key, template), nil
}

func decodeUint(b []byte) uint {
	if len(b) == 4 {
		return uint(binary.NativeEndian.Uint32(b))
	}
	return uint(binary.NativeEndian.Uint64(b))
}
