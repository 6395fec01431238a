package hsm

import (
	"slices"
	"sync"

	"github.com/miekg/pkcs11"
)

// role is what an AES key of the token is for. No key has both: a key that wraps and
// decrypts turns every wrapped key into plaintext (Clulow, CHES 2003).
type role uint8

const (
	roleSeal role = iota + 1 // CKA_ENCRYPT, CKA_DECRYPT
	roleWrap                 // CKA_WRAP, CKA_UNWRAP
)

var kept = []attributeCheck{
	{pkcs11.CKA_SENSITIVE, "CKA_SENSITIVE", true},
	{pkcs11.CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false},
}

// uses are the attributes that a role gives a key.
func (r role) uses() []attributeCheck {
	seal := r == roleSeal
	return []attributeCheck{
		{pkcs11.CKA_ENCRYPT, "CKA_ENCRYPT", seal},
		{pkcs11.CKA_DECRYPT, "CKA_DECRYPT", seal},
		{pkcs11.CKA_WRAP, "CKA_WRAP", !seal},
		{pkcs11.CKA_UNWRAP, "CKA_UNWRAP", !seal},
	}
}

func (s *session) generateSecret(token bool, names ...attribute) (handle, error) {
	template := secretKey(pkcs11.CKK_GENERIC_SECRET, token, names, []attributeCheck{{pkcs11.CKA_SIGN, "CKA_SIGN", true}}, s.t.guard)
	return s.mod.GenerateKey(s.h, mechanism{kind: pkcs11.CKM_GENERIC_SECRET_KEY_GEN}, template)
}

// unwrapTemplate is the value of CKA_UNWRAP_TEMPLATE.
var unwrapTemplate = sync.OnceValue(func() []byte { return layOut(with(nil, kept)) })

// generateAES makes an AES-256 key for one role. Wrapping keys get CKA_UNWRAP_TEMPLATE if
// the module takes it, which stops those who reached the login from unwrapping a key
// readable; SoftHSM keeps to it, NSS takes it and does not, opencryptoki refuses it.
func (s *session) generateAES(r role, token bool, names ...attribute) (handle, error) {
	template := secretKey(pkcs11.CKK_AES, token, names, r.uses(), s.t.guard)
	if r == roleWrap && s.t.unwrapTemplate {
		template = append(template, attribute{pkcs11.CKA_UNWRAP_TEMPLATE, unwrapTemplate()})
	}
	return s.mod.GenerateKey(s.h, mechanism{kind: pkcs11.CKM_AES_KEY_GEN}, template)
}

// secretKey is the template of a key of 32 bytes.
func secretKey(keyType uint, token bool, names []attribute, checks ...[]attributeCheck) []attribute {
	return with(append([]attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), attrUint(pkcs11.CKA_KEY_TYPE, keyType), attrUint(pkcs11.CKA_VALUE_LEN, 32),
		attrBool(pkcs11.CKA_TOKEN, token), attrBool(pkcs11.CKA_PRIVATE, true),
	}, names...), append(slices.Concat(checks...), kept...))
}
