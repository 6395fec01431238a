package hsm

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// Capabilities is what the module was seen to do right when the token was opened. Raw RSA
// is not among it: each key shows for itself whether it works (Token.Key), since tokens
// may have keys that they cannot make.
type Capabilities struct {
	// Seal is AES-CBC+HMAC. Empty: none.
	Seal string
	// Wrap is the mechanism that takes RSA keys out of the token and back. Empty: none.
	Wrap string
	// Guards lists the functions that the token refuses to whoever is logged in:
	// C_SetAttributeValue and C_CopyObject, which could let a wrapping key decrypt, and
	// C_UnwrapKey, which could unwrap a key readable.
	Guards []string
	// Refused says what is missing from the above, and why.
	Refused []string
}

const sealCBC = "AES-CBC+HMAC"

// Capabilities returns what the token can do.
func (t *Token) Capabilities() Capabilities {
	if t == nil {
		return Capabilities{}
	}
	c := t.caps
	c.Guards, c.Refused = slices.Clone(c.Guards), slices.Clone(c.Refused)
	return c
}

// errWrong is a wrong answer with CKR_OK.
var errWrong = errors.New("wrong result with CKR_OK")

// prober tries what a module can do, by doing it: mechanism lists say little
// (opencryptoki lists sizes at which it fails). Its first error ends it.
type prober struct {
	ctx    context.Context
	t      *Token
	listed []uint
	err    error
}

// selfTest finds out what the module can do. What is not listed is not tried. Everything
// happens on session objects with valid inputs, before anybody else uses the token.
func (t *Token) selfTest(ctx context.Context) error {
	p := &prober{ctx: ctx, t: t}
	p.listed, p.err = run(ctx, t, operation{name: "C_GetMechanismList", proven: true}, func(s *session) ([]uint, error) {
		return s.mod.Mechanisms(t.slot)
	})
	p.guards()
	if p.works("HMAC", (*session).testHMAC, pkcs11.CKM_SHA256_HMAC, pkcs11.CKM_GENERIC_SECRET_KEY_GEN) {
		if p.works("sealing", (*session).testSealing, pkcs11.CKM_AES_KEY_GEN, pkcs11.CKM_AES_CBC) {
			t.caps.Seal = sealCBC
		}
		p.wrapping()
	}
	t.log.Info("hsm: self-test", slog.String("seal", t.caps.Seal), slog.String("wrap", t.caps.Wrap),
		slog.Any("guards", t.caps.Guards), slog.Any("refused", t.caps.Refused))
	return p.err
}

// works reports whether a test succeeds that needs some mechanisms. A refusal is believed
// when it is repeated, and noted; any other failure, which the token's recovery did not
// mend, ends the self-test.
func (p *prober) works(what string, test func(*session) error, needs ...uint) bool {
	if p.err != nil {
		return false
	}
	for _, kind := range needs {
		if !slices.Contains(p.listed, kind) {
			p.refuse(what, fmt.Errorf("mechanism %#x is not listed", kind))
			return false
		}
	}
	var err error
	for range 2 {
		err = do(p.ctx, p.t, operation{name: what, discard: true, long: slices.Contains(needs, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN)}, test)
		if err == nil {
			return true
		}
		if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrPIN) || errors.Is(err, ErrClosed) {
			p.err = err
			return false
		}
	}
	p.refuse(what, err)
	return false
}

func (p *prober) refuse(what string, why error) {
	var code CKR
	if errors.As(why, &code) {
		why = code
	}
	p.t.caps.Refused = append(p.t.caps.Refused, what+": "+why.Error())
}

// guards finds the best guard that the module keeps to: NSS takes CKA_COPYABLE for keys
// of a session, copies them all the same, and refuses it for keys of the token;
// opencryptoki 3.8 does not know it.
func (p *prober) guards() {
	for _, guard := range append(guards, nil) {
		if p.err != nil { // a call that was given up may look at it
			return
		}
		p.t.guard = guard
		var kept []string
		if len(guard) > 0 && p.works(fmt.Sprint("keys with ", guard), func(s *session) (err error) {
			kept, err = s.tryGuard()
			if err == nil && len(kept) < len(guard) {
				err = fmt.Errorf("of no effect beyond %q", kept)
			}
			return err
		}, pkcs11.CKM_AES_KEY_GEN) {
			p.t.caps.Guards = kept
			return
		}
	}
}

// wrapping finds the mechanism that wraps keys, and what such keys do raw RSA by.
func (p *prober) wrapping() {
	t := p.t
	methods := slices.DeleteFunc(slices.Clone(wrapMethods), func(m wrapMethod) bool { return !slices.Contains(p.listed, m.kind) })
	if p.err != nil {
		return
	}
	if len(methods) == 0 {
		p.refuse("wrapping", errors.New("no mechanism for it is listed"))
		return
	}
	t.unwrapTemplate = true
	taken := p.works("wrapping keys with CKA_UNWRAP_TEMPLATE", func(s *session) error {
		_, err := s.generateAES(roleWrap, false)
		return err
	}, pkcs11.CKM_AES_KEY_GEN)
	if p.err != nil {
		return
	}
	t.unwrapTemplate = taken
	for _, m := range methods {
		for _, by := range rawFunctions {
			var keeps bool
			if p.works(fmt.Sprintf("wrapping by %s for %s", m.name, by), func(s *session) (err error) {
				keeps, err = s.testWrapping(wrapping{m, by})
				return err
			}, pkcs11.CKM_AES_KEY_GEN, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, pkcs11.CKM_RSA_X_509) {
				t.wrapping, t.caps.Wrap = wrapping{m, by}, m.name
				if keeps {
					t.caps.Guards = append(t.caps.Guards, guardUnwrap)
				}
				return
			}
		}
	}
}

func (s *session) testHMAC() error {
	h, err := s.generateSecret(false)
	var results [2][]byte
	for i := 0; i < 2 && err == nil; i++ {
		results[i], err = s.mod.Use(bySign, s.h, mechanism{kind: pkcs11.CKM_SHA256_HMAC}, h, []byte("tandem"))
	}
	if err == nil && (len(results[0]) != tagBytes || !bytes.Equal(results[0], results[1])) {
		err = errWrong
	}
	return err
}

func (s *session) testSealing() error {
	h, err := s.generateAES(roleSeal, false)
	if err != nil {
		return err
	}
	secret := make([]byte, secretKeyBytes)
	rand.Read(secret)
	boxed, err := s.encryptKey(h, secret)
	var out []byte
	if err == nil {
		out, err = s.decryptKey(h, boxed)
	}
	if err == nil && (!bytes.Equal(secret, out) || bytes.Contains(boxed, secret[:aes.BlockSize])) {
		err = errWrong
	}
	return err
}

// testWrapping takes a key out, brings it back and uses it. It reports whether the token
// keeps to CKA_UNWRAP_TEMPLATE.
func (s *session) testWrapping(way wrapping) (keeps bool, err error) {
	kek, err := s.generateAES(roleWrap, false)
	if err != nil {
		return false, err
	}
	w, err := s.generateWrapped(kek, way.method, minBits)
	if err == nil {
		w, err = parseWrapped(w.marshal())
	}
	if err != nil {
		return false, err
	}
	h, err := s.unwrap(kek, w)
	if err != nil {
		return false, err
	}
	in := make([]byte, w.pub.Size())
	rand.Read(in[1:])
	n := modexp.NewModulus(w.pub.N.Bytes())
	x, err := n.Elem(in)
	if err != nil {
		return false, err
	}
	y, err := s.raw(way.by, h, in)
	if err != nil {
		return false, err
	}
	if _, err := n.CheckedRootVarTime(y, publicExponent, x); err != nil {
		return false, errWrong
	}
	return s.keepsTemplate(kek, w)
}
