package hsm

import (
	"errors"
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

// kept is what every key must be.
var kept = []attributeCheck{{pkcs11.CKA_SENSITIVE, "CKA_SENSITIVE", true}, {pkcs11.CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false}}

// uses are the attributes that a role gives a key.
func (r role) uses() []attributeCheck {
	seal := r == roleSeal
	return []attributeCheck{
		{pkcs11.CKA_ENCRYPT, "CKA_ENCRYPT", seal}, {pkcs11.CKA_DECRYPT, "CKA_DECRYPT", seal},
		{pkcs11.CKA_WRAP, "CKA_WRAP", !seal}, {pkcs11.CKA_UNWRAP, "CKA_UNWRAP", !seal},
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

// Functions that could give a key another use, to whoever is logged in.
const guardSet, guardCopy, guardUnwrap = "C_SetAttributeValue", "C_CopyObject", "C_UnwrapKey"

// guards are sets of attributes that keys can be made with, the best first.
// CKA_MODIFIABLE and CKA_COPYABLE: PKCS #11 2.40, section 4.4.
var guards = [][]attributeCheck{
	{{pkcs11.CKA_MODIFIABLE, "CKA_MODIFIABLE", false}, {pkcs11.CKA_COPYABLE, "CKA_COPYABLE", false}},
	{{pkcs11.CKA_MODIFIABLE, "CKA_MODIFIABLE", false}},
}

// with adds the attributes of a check to a template.
func with(template []attribute, checks []attributeCheck) []attribute {
	for _, c := range checks {
		template = append(template, attrBool(c.kind, c.want))
	}
	return template
}

// tryGuard makes a key and tries to give it, and a copy of it, another use. It returns
// the functions that refused.
func (s *session) tryGuard() ([]string, error) {
	h, err := s.generateAES(roleWrap, false)
	if err != nil {
		return nil, err
	}
	another := []attribute{attrBool(pkcs11.CKA_DECRYPT, true)}
	var kept []string
	err = s.mod.SetAttributes(s.h, h, another)
	if err != nil && !refuses(err) {
		return nil, err
	}
	if given, e := s.flag(h, pkcs11.CKA_DECRYPT); e != nil {
		return nil, e
	} else if err != nil && !given {
		kept = append(kept, guardSet)
	}
	copied, err := s.mod.CopyObject(s.h, h, append(another, attrBool(pkcs11.CKA_TOKEN, false)))
	switch {
	case err == nil:
		return kept, s.mod.DestroyObject(s.h, copied)
	case !refuses(err):
		return nil, err
	}
	return append(kept, guardCopy), nil
}

// refuses reports whether an error is a refusal rather than a failure.
func refuses(err error) bool { return react(err, false) == refused }

// keepsTemplate reports whether a key wrapped under kek cannot be unwrapped readable:
// whether the token keeps to CKA_UNWRAP_TEMPLATE. Modules that do not may still refuse
// one template, and ignore what another says.
func (s *session) keepsTemplate(kek handle, w *wrapped) (bool, error) {
	asKey := []attribute{attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA), attrBool(pkcs11.CKA_TOKEN, false)}
	// The encoded key as if it were a secret of that many bytes.
	asBytes := []attribute{attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET), attrBool(pkcs11.CKA_TOKEN, false)}
	open, shut := []attribute{attrBool(pkcs11.CKA_SENSITIVE, false), attrBool(pkcs11.CKA_EXTRACTABLE, true)}, with(nil, kept)
	for _, template := range [][]attribute{
		asKey, slices.Concat(asKey, open[:1]), slices.Concat(asKey, open[1:]), slices.Concat(asKey, open), slices.Concat(asKey, shut),
		asBytes, slices.Concat(asBytes, open), slices.Concat(asBytes, shut),
	} {
		h, err := s.mod.UnwrapKey(s.h, mechanism{w.method.kind, slices.Clone(w.iv)}, kek, w.key, template)
		if refuses(err) {
			continue
		}
		if err == nil {
			err = s.check(h, unwrapped, kept, append(rsaSecrets, pkcs11.CKA_VALUE)...)
		}
		if errors.Is(err, ErrExposed) || refuses(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
