package hsm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
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
		attrBytes(pkcs11.CKA_MODULUS, key.N.Bytes()),
		attrBytes(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
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

func (f *fake) Sign(s handle, m mechanism, key handle, in, out []byte) (int, error) {
	if err := f.enter("C_Sign", s); err != nil {
		return 0, err
	}
	defer f.done("C_Sign", out)
	o, err := f.object(key)
	if err != nil {
		return 0, err
	}
	if m.kind == pkcs11.CKM_SHA256_HMAC {
		mac := hmac.New(sha256.New, o.attrs[pkcs11.CKA_VALUE])
		mac.Write(in)
		return copy(out, mac.Sum(nil)), nil
	}
	return f.raw(o.rsa, in, out)
}

func (f *fake) raw(key *rsa.PrivateKey, in, out []byte) (int, error) {
	x := new(big.Int).SetBytes(in)
	if len(in) != key.Size() || x.Cmp(key.N) >= 0 || x.Sign() == 0 {
		f.violation("raw RSA of a bad operand")
		return 0, CKR(pkcs11.CKR_GENERAL_ERROR)
	}
	// With the CRT, as hardware does.
	m1 := new(big.Int).Exp(x, key.Precomputed.Dp, key.Primes[0])
	m2 := new(big.Int).Exp(x, key.Precomputed.Dq, key.Primes[1])
	h := m1.Sub(m1, m2)
	h.Mul(h, key.Precomputed.Qinv).Mod(h, key.Primes[0])
	h.Mul(h, key.Primes[1]).Add(h, m2).FillBytes(out)
	return len(out), nil
}

func (f *fake) Decrypt(s handle, m mechanism, key handle, in, out []byte) (int, error) {
	if err := f.enter("C_Decrypt", s); err != nil {
		return 0, err
	}
	defer f.done("C_Decrypt", out)
	o, err := f.object(key)
	if err != nil {
		return 0, err
	}
	if m.kind == pkcs11.CKM_RSA_X_509 {
		return f.raw(o.rsa, in, out)
	}
	plain, err := f.gcm(o).Open(nil, m.param, in, m.aad)
	if err != nil {
		if len(o.attrs[pkcs11.CKA_LABEL]) > 0 { // not the self-test's
			f.violation("AES-GCM of a tampered blob")
		}
		return 0, CKR(pkcs11.CKR_GENERAL_ERROR)
	}
	return copy(out, plain), nil
}

func (f *fake) gcm(o *fakeObject) cipher.AEAD {
	block, err := aes.NewCipher(o.attrs[pkcs11.CKA_VALUE])
	if err != nil {
		panic(err)
	}
	var gcm cipher.AEAD
	// an HSM's rules are its own
	fips140.WithoutEnforcement(func() { gcm, err = cipher.NewGCM(block) })
	if err != nil {
		panic(err)
	}
	return gcm
}

func (f *fake) Encrypt(s handle, m mechanism, key handle, in, out []byte) (int, error) {
	if err := f.enter("C_Encrypt", s); err != nil {
		return 0, err
	}
	defer f.done("C_Encrypt", out)
	o, err := f.object(key)
	if err != nil {
		return 0, err
	}
	// This one chooses its own IV, as AWS CloudHSM does.
	rand.Read(m.param)
	return copy(out, f.gcm(o).Seal(nil, m.param, in, m.aad)), nil
}

func (f *fake) WrapKey(s handle, m mechanism, kek, key handle, out []byte) (int, error) {
	if err := f.enter("C_WrapKey", s); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	o, err := f.object(key)
	if err != nil {
		return 0, err
	}
	b := make([]byte, 5*o.rsa.Size())
	rand.Read(b)
	f.wrapped[string(b)] = o.rsa
	return copy(out, b), nil
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

func (f *fake) DeriveKey(s handle, m mechanism, key handle, template []attribute) (handle, error) {
	if err := f.enter("C_DeriveKey", s); err != nil {
		return 0, err
	}
	o, err := f.object(key)
	if err != nil {
		f.mu.Unlock()
		return 0, err
	}
	out := power(o.attrs[pkcs11.CKA_PRIME], o.attrs[pkcs11.CKA_VALUE], m.param)
	h := f.add(s, nil, template, []attribute{attrBytes(pkcs11.CKA_VALUE, out)})
	f.done("C_DeriveKey", f.objects[h].attrs[pkcs11.CKA_VALUE])
	return h, nil
}

func decodeUint(b []byte) uint {
	if len(b) == 4 {
		return uint(binary.NativeEndian.Uint32(b))
	}
	return uint(binary.NativeEndian.Uint64(b))
}
