//go:build cgo && unix && !nopkcs11

package hsm

import (
	"slices"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// expectedGuards lists, for each module, the functions that could give a key another use
// and that it refuses to whoever is logged in.
var expectedGuards = map[string][]string{
	"SoftHSM":      {guardSet, guardCopy, guardUnwrap},
	"NSS":          {guardSet},
	"opencryptoki": {guardSet},
}

// No key of this package can be given another use, or be made readable, by
// C_SetAttributeValue; nor, on the modules that say so, a copy of it by
// C_CopyObject. The role of decrypting would give all wrapped keys away.
func TestUseIsFixed(t *testing.T) {
	for _, m := range hsmtest.Modules {
		t.Run(m.Name, func(t *testing.T) {
			ctx := t.Context()
			tok := openToken(t, config(m.New(t)))
			guards := tok.Capabilities().Guards
			require.Equal(t, expectedGuards[m.Name], guards)
			sealer, err := tok.GenerateSealingKey(ctx, "seal")
			require.NoError(t, err)
			require.NoError(t, sealer.Rotate(ctx))
			require.NoError(t, tok.GenerateWrappingKey(ctx, "wrap"))
			_, err = tok.GenerateKey(ctx, "key", 2048)
			require.NoError(t, err)
			var keys []handle
			for _, class := range []uint{pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY} {
				require.NoError(t, tok.use(t, func(s *session) error {
					list, err := s.mod.FindObjects(s.h, []attribute{attrUint(pkcs11.CKA_CLASS, class), attrBool(pkcs11.CKA_TOKEN, true)}, 100)
					keys = append(keys, list...)
					return err
				}))
			}
			// two sealing keys and a wrapping key with their secrets, and an RSA key
			require.Len(t, keys, 7)
			for _, h := range keys {
				for _, use := range []struct {
					kind  uint
					value bool
				}{
					{pkcs11.CKA_ENCRYPT, true}, {pkcs11.CKA_DECRYPT, true}, {pkcs11.CKA_WRAP, true}, {pkcs11.CKA_UNWRAP, true},
					{pkcs11.CKA_DERIVE, true}, {pkcs11.CKA_EXTRACTABLE, true}, {pkcs11.CKA_SENSITIVE, false},
					{pkcs11.CKA_MODIFIABLE, true}, {pkcs11.CKA_COPYABLE, true},
				} {
					require.NoError(t, tok.use(t, func(s *session) error {
						label, err := s.mod.Attribute(s.h, h, pkcs11.CKA_LABEL)
						require.NoError(t, err)
						before, errBefore := s.flag(h, use.kind)
						another := []attribute{attrBool(use.kind, use.value)}
						require.Error(t, s.mod.SetAttributes(s.h, h, another), "%#x of %s", use.kind, label)
						after, errAfter := s.flag(h, use.kind)
						require.Equal(t, errBefore, errAfter)
						require.Equal(t, before, after)
						copied, err := s.mod.CopyObject(s.h, h, append(another, attrBool(pkcs11.CKA_TOKEN, false)))
						if slices.Contains(guards, guardCopy) {
							require.Error(t, err, "%#x of %s", use.kind, label)
						}
						if err == nil {
							return s.mod.DestroyObject(s.h, copied)
						}
						return nil
					}))
				}
			}
		})
	}
}

// The attack that the guard is for: a wrapping key decrypts what it wrapped (RFC
// 3394, section 2.2.2, with the token as the block cipher). It ends at its first
// step, and without the guard that step succeeds.
func TestWrappingKeyNeverDecrypts(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		tok := openToken(t, config(hsmtest.SoftHSM(t)))
		if !guarded {
			tok.guard = nil
		}
		require.NoError(t, tok.GenerateWrappingKey(t.Context(), "wrap"))
		keys, err := tok.ServerKeys(t.Context(), "wrap", 2048, 0)
		require.NoError(t, err)
		defer keys.Close()
		set := tok.use(t, func(s *session) error {
			h, err := s.find(keys.keys.current().aes)
			require.NoError(t, err)
			return s.mod.SetAttributes(s.h, h, []attribute{attrBool(pkcs11.CKA_DECRYPT, true)})
		})
		decrypt := tok.use(t, func(s *session) error {
			h, err := s.find(keys.keys.current().aes)
			require.NoError(t, err)
			_, err = s.mod.Use(byDecrypt, s.h, mechanism{kind: pkcs11.CKM_AES_ECB}, h, make([]byte, 16))
			return err
		})
		if guarded {
			require.ErrorIs(t, set, CKR(pkcs11.CKR_ACTION_PROHIBITED))
			require.ErrorIs(t, decrypt, CKR(pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED))
		} else {
			require.NoError(t, set)
			require.NoError(t, decrypt)
		}
		require.NoError(t, tok.Close(t.Context()))
	}
}
