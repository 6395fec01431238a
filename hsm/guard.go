package hsm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// Functions that could give a key another use than it was made for, to whoever is logged
// in: a wrapping key that also decrypts turns every wrapped key into plaintext (Clulow,
// CHES 2003).
const (
	guardSet    = "C_SetAttributeValue"
	guardCopy   = "C_CopyObject"
	guardUnwrap = "C_UnwrapKey"
)

// guards are sets of attributes that keys can be made with, the best first.
// CKA_MODIFIABLE and CKA_COPYABLE: PKCS #11 2.40, section 4.4.
var guards = [][]attributeCheck{
	{{pkcs11.CKA_MODIFIABLE, "CKA_MODIFIABLE", false}, {pkcs11.CKA_COPYABLE, "CKA_COPYABLE", false}},
	{{pkcs11.CKA_MODIFIABLE, "CKA_MODIFIABLE", false}},
}

// guarded adds the token's guard to a template.
func (s *session) guarded(template []attribute) []attribute {
	for _, c := range s.t.guard {
		template = append(template, attrBool(c.kind, c.want))
	}
	return template
}

// made checks that a new key has the guard it was asked to have.
func (s *session) made(h handle, err error) (handle, error) {
	if err != nil {
		return 0, err
	}
	if err := s.check(h, "the new key", s.t.guard); err != nil {
		return 0, s.discard(h, err)
	}
	return h, nil
}

// madePair is made for the private half.
func (s *session) madePair(pub, priv handle, err error) (handle, handle, error) {
	if err != nil {
		return 0, 0, err
	}
	if priv, err = s.made(priv, nil); err != nil {
		return 0, 0, s.discard(pub, err)
	}
	return pub, priv, nil
}

// findGuard finds the best guard that the module keeps to: NSS takes
// CKA_COPYABLE for keys of a session, copies them all the same, and refuses it
// for keys of the token; opencryptoki 3.8 does not know it.
func (t *Token) findGuard() {
	// There may be no AES, as behind p11-kit; then an RSA key tells.
	hasAES := t.probe(func(s *session) error { _, err := s.generateAES(roleWrap, false); return err }) == nil
	for _, guard := range guards {
		t.guard = guard
		var kept []string
		err := t.probe(func(s *session) (err error) { kept, err = s.tryGuard(hasAES); return err })
		if err == nil && len(kept) < len(guard) {
			err = fmt.Errorf("of no effect beyond %q", kept)
		}
		if err == nil {
			t.caps.Guards = kept
			break
		}
		t.guard = nil
		t.refuse(fmt.Sprintf("keys with %s", guardName(guard)), err)
	}
	err := t.probe(func(s *session) error {
		t.unwrapTemplate = true
		_, err := s.generateAES(roleWrap, false)
		return err
	})
	if err != nil {
		t.unwrapTemplate = false
		t.refuse("wrapping keys with CKA_UNWRAP_TEMPLATE", err)
	}
}

func guardName(guard []attributeCheck) (name string) {
	for i, c := range guard {
		if i > 0 {
			name += ", "
		}
		name += c.name + " = false"
	}
	return name
}

// tryGuard makes a key and tries to give it, and a copy of it, another use. It
// returns the functions that refused.
func (s *session) tryGuard(hasAES bool) ([]string, error) {
	var use uint
	var h handle
	var err error
	if hasAES {
		use = pkcs11.CKA_DECRYPT
		h, err = s.generateAES(roleWrap, false)
	} else {
		use = pkcs11.CKA_DERIVE
		_, h, err = s.generateRSA(minBits, false, false)
	}
	if err != nil {
		return nil, err
	}
	another := []attribute{attrBool(use, true)}
	var kept []string
	if refuses(s.mod.SetAttributes(s.h, h, another)) {
		if given, err := s.flag(h, use); err != nil || !given {
			kept = append(kept, guardSet)
		}
	}
	copied, err := s.mod.CopyObject(s.h, h, append(another, attrBool(pkcs11.CKA_TOKEN, false)))
	if refuses(err) {
		kept = append(kept, guardCopy)
	} else if err == nil {
		if err := s.mod.DestroyObject(s.h, copied); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// refuses reports whether an error is a refusal rather than a failure.
func refuses(err error) bool {
	var code CKR
	return errors.As(err, &code) && (code.react() == refused || code == pkcs11.CKR_ACTION_PROHIBITED)
}

// keepsTemplate reports whether a key wrapped under kek cannot be unwrapped
// readable: whether the token keeps to CKA_UNWRAP_TEMPLATE. Modules that do not
// may still refuse one template, and ignore what another says.
func (s *session) keepsTemplate(kek handle, w *wrapped) bool {
	asKey := []attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		attrBool(pkcs11.CKA_TOKEN, false),
	}
	// The encoded key as if it were a secret of that many bytes.
	asBytes := []attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		attrBool(pkcs11.CKA_TOKEN, false),
	}
	open := []attribute{attrBool(pkcs11.CKA_SENSITIVE, false), attrBool(pkcs11.CKA_EXTRACTABLE, true)}
	shut := []attribute{attrBool(pkcs11.CKA_SENSITIVE, true), attrBool(pkcs11.CKA_EXTRACTABLE, false)}
	for _, template := range [][]attribute{
		asKey, slices.Concat(asKey, open[:1]), slices.Concat(asKey, open[1:]), slices.Concat(asKey, open), slices.Concat(asKey, shut),
		asBytes, slices.Concat(asBytes, open), slices.Concat(asBytes, shut),
	} {
		err := s.t.probe(func(other *session) error {
			m := mechanism{kind: w.method.kind, param: slices.Clone(w.iv)}
			h, err := other.mod.UnwrapKey(other.h, m, kek, w.key, template)
			if refuses(err) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := other.check(h, "unwrapped key", kept); err != nil {
				return other.discard(h, err)
			}
			if err := other.hiddenRSA(h, "unwrapped key"); err != nil {
				return other.discard(h, err)
			}
			if err := other.hidden(h, "unwrapped key", pkcs11.CKA_VALUE); err != nil {
				return other.discard(h, err)
			}
			return other.mod.DestroyObject(other.h, h)
		})
		if err != nil {
			return false
		}
	}
	return true
}
