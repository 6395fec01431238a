package hsm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// Capabilities is what the module was seen to do right when the token was
// opened.
type Capabilities struct {
	// RSA is the function that does raw RSA with keys of the token: C_Sign or
	// C_Decrypt. Empty: none.
	RSA string
	// Seal is AES-GCM or AES-CBC+HMAC. Empty: none.
	Seal string
	// Wrap is the mechanism that takes RSA keys out of the token and back.
	// Empty: none.
	Wrap string
	// Exchange is the kind of X25519 key of the token that works. Empty: none.
	Exchange string
	// Exponents lists the sizes in bits, of those asked for, at which an
	// exponent in the token gives right results.
	Exponents []int
	// Guards lists the functions that the token refuses to whoever is logged in and that
	// could expose keys of this package: C_SetAttributeValue and C_CopyObject, which
	// could let a wrapping key decrypt, and C_UnwrapKey, which could unwrap a key
	// readable.
	Guards []string
	// Refused says what is missing from the above, and why.
	Refused []string
}

const (
	sealGCM = "AES-GCM"
	sealCBC = "AES-CBC+HMAC"
)

// Capabilities returns what the token can do.
func (t *Token) Capabilities() Capabilities {
	if t == nil {
		return Capabilities{}
	}
	c := t.caps
	c.Exponents, c.Guards, c.Refused = slices.Clone(c.Exponents), slices.Clone(c.Guards), slices.Clone(c.Refused)
	return c
}

// errWrong is a wrong answer with CKR_OK.
var errWrong = errors.New("wrong result with CKR_OK")

// selfTest finds out what the module can do, by doing it: mechanism lists say
// little (opencryptoki lists sizes at which it fails). Everything happens on
// session objects with valid inputs, before anybody else uses the token.
func (t *Token) selfTest() error {
	list, err := t.mod.Mechanisms(t.slot)
	if err != nil {
		return unavailable("C_GetMechanismList", err)
	}
	has := func(kinds ...uint) error {
		for _, k := range kinds {
			if !slices.Contains(list, k) {
				return fmt.Errorf("mechanism %#x is not listed", k)
			}
		}
		return nil
	}
	t.findGuard()
	rsaMissing := has(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, pkcs11.CKM_RSA_X_509)
	key := new(testPair)
	if rsaMissing == nil {
		// The key lives as long as this session, and is used from others.
		keeper, err := t.mod.OpenSession(t.slot)
		if err != nil {
			return unavailable("C_OpenSession", err)
		}
		defer func() { _ = t.mod.CloseSession(keeper) }()
		key, rsaMissing = (&session{t: t, mod: t.mod, h: keeper, gen: t.gen}).generateTestPair()
	}
	t.caps.RSA = t.firstOf("raw RSA", rsaMissing, []probe{
		{"C_Sign", nil, func(s *session) error { return s.testRSA("C_Sign", key) }},
		{"C_Decrypt", nil, func(s *session) error { return s.testRSA("C_Decrypt", key) }},
	})
	mac := has(pkcs11.CKM_SHA256_HMAC, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, pkcs11.CKM_AES_KEY_GEN)
	if mac == nil {
		mac = t.probe(func(s *session) error { return s.testHMAC() })
	}
	t.caps.Seal = t.firstOf("sealing", mac, []probe{
		{sealGCM, has(pkcs11.CKM_AES_GCM), func(s *session) error { return s.testSealing(sealedGCM) }},
		{sealCBC, has(pkcs11.CKM_AES_CBC_PAD), func(s *session) error { return s.testSealing(sealedCBC) }},
	})
	if t.caps.RSA == "" {
		mac = errors.New("there is no raw RSA")
	}
	var wraps []probe
	for _, m := range wrapMethods {
		wraps = append(wraps, probe{m.name, has(m.kind), func(s *session) error { return s.testWrapping(m.name, key) }})
	}
	t.caps.Wrap = t.firstOf("wrapping", mac, wraps)
	if t.caps.Wrap != "" && t.keepsTemplate {
		t.caps.Guards = append(t.caps.Guards, guardUnwrap)
	}
	var exchanges []probe
	for _, w := range exchangeWays {
		exchanges = append(exchanges, probe{w.name, has(w.generate), func(s *session) error { return s.testExchange(w) }})
	}
	derives := exchangeAllowed()
	if derives == nil {
		derives = has(pkcs11.CKM_ECDH1_DERIVE)
	}
	t.caps.Exchange = t.firstOf("X25519", derives, exchanges)
	for _, bits := range t.cfg.ExponentBits {
		if err := t.probe(func(s *session) error { return s.testExponent(bits) }); err != nil {
			t.refuse(fmt.Sprintf("exponents of %d bits", bits), err)
			continue
		}
		t.caps.Exponents = append(t.caps.Exponents, bits)
	}
	t.log.Info("hsm: self-test", slog.String("rsa", t.caps.RSA), slog.String("seal", t.caps.Seal),
		slog.String("wrap", t.caps.Wrap), slog.String("exchange", t.caps.Exchange), slog.Any("exponents", t.caps.Exponents),
		slog.Any("guards", t.caps.Guards), slog.Any("refused", t.caps.Refused))
	return nil
}

// retestExponents repeats the test after a restart of the module, since the
// results of these operations cannot be checked one by one.
func (t *Token) retestExponents() error {
	for _, bits := range t.caps.Exponents {
		if err := t.probe(func(s *session) error { return s.testExponent(bits) }); err != nil {
			return fmt.Errorf("exponents of %d bits: %w", bits, err)
		}
	}
	return nil
}

func (t *Token) servesExponent(bits int) bool { return slices.Contains(t.caps.Exponents, bits) }

// probe is one way to do something.
type probe struct {
	name    string
	missing error // what it needs, if the module does not list it
	test    func(*session) error
}

// firstOf returns the first way that works.
func (t *Token) firstOf(what string, precondition error, ways []probe) string {
	if precondition != nil {
		t.refuse(what, precondition)
		return ""
	}
	for _, w := range ways {
		err := w.missing
		if err == nil {
			err = t.probe(w.test)
		}
		if err == nil {
			return w.name
		}
		t.refuse(what+" by "+w.name, err)
	}
	return ""
}

func (t *Token) refuse(what string, why error) {
	t.caps.Refused = append(t.caps.Refused, what+": "+why.Error())
}

// probe runs a test in a session of its own, whose objects go with it.
func (t *Token) probe(test func(*session) error) error {
	h, err := t.mod.OpenSession(t.slot)
	if err != nil {
		return err
	}
	err = test(&session{t: t, mod: t.mod, h: h, gen: t.gen})
	return errors.Join(err, t.mod.CloseSession(h))
}

// testPair is a key pair for the self-test. It is extractable, to be wrapped.
type testPair struct {
	priv handle
	pub  *rsa.PublicKey
	mod  *modexp.Modulus
}

func (s *session) generateTestPair() (*testPair, error) {
	pub, priv, err := s.generateRSA(minBits, false, true)
	if err != nil {
		return nil, err
	}
	key, err := s.publicKeyOf(pub)
	if err != nil {
		return nil, err
	}
	return &testPair{priv, key, modexp.NewModulus(key.N.Bytes())}, s.hiddenRSA(priv, "test key")
}

// testRSA checks three results: of 1, which is 1 and so has all its leading
// zeros kept, and of two random numbers, one of them short.
func (s *session) testRSA(by string, key *testPair) error {
	k := key.pub.Size()
	x := make([]byte, k)
	for _, zeros := range []int{1, 3, k} {
		rand.Read(x)
		clear(x[:min(zeros, k-1)])
		if zeros == k {
			x[k-1] = 1
		}
		y, err := s.raw(by, key.priv, x)
		if err != nil {
			return err
		}
		if !right(key.mod, x, y) || zeros == k && !bytes.Equal(x, y) {
			return errWrong
		}
	}
	return nil
}

// testKey makes a secret key with a known value. A module that does not let
// keys in makes its own: then the answers are only compared with each other.
func (s *session) testKey(keyType uint, usage ...uint) (h handle, value []byte, err error) {
	value = make([]byte, 32)
	rand.Read(value)
	template := []attribute{
		attrUint(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attrUint(pkcs11.CKA_KEY_TYPE, keyType),
		attrBool(pkcs11.CKA_TOKEN, false),
		attrBool(pkcs11.CKA_SENSITIVE, true),
		attrBool(pkcs11.CKA_EXTRACTABLE, false),
	}
	for _, u := range usage {
		template = append(template, attrBool(u, true))
	}
	if h, err = s.mod.CreateObject(s.h, append(template, attrBytes(pkcs11.CKA_VALUE, value))); err == nil {
		return h, value, nil
	}
	if keyType == pkcs11.CKK_AES {
		h, err = s.generateAES(roleSeal, false)
	} else {
		h, err = s.generateSecret(false)
	}
	return h, nil, err
}

func (s *session) testHMAC() error {
	h, key, err := s.testKey(pkcs11.CKK_GENERIC_SECRET, pkcs11.CKA_SIGN)
	if err != nil {
		return err
	}
	var want []byte
	if key != nil {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("tandem"))
		want = mac.Sum(nil)
	}
	for range 2 {
		got := make([]byte, sha256.Size)
		n, err := s.mod.Sign(s.h, mechanism{kind: pkcs11.CKM_SHA256_HMAC}, h, []byte("tandem"), got)
		if err != nil {
			return err
		}
		if n != len(got) || want != nil && !hmac.Equal(got, want) {
			return errWrong
		}
		want = got
	}
	return nil
}

// testSealing compares with this program's AES, and has the module open its
// own work, and refuse it (AES-GCM) when it was tampered with.
func (s *session) testSealing(kind blobKind) error {
	h, key, err := s.testKey(pkcs11.CKK_AES, pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT)
	if err != nil {
		return err
	}
	aad := []byte("associated")
	for _, size := range []int{0, 1, 16, 300, 4096} {
		in := make([]byte, size)
		rand.Read(in)
		body, err := s.encrypt(kind, h, aad, in)
		if err != nil {
			return err
		}
		if key != nil && !sealedAsInSoftware(kind, key, body, aad, in) {
			return errWrong
		}
		out, err := s.decrypt(kind, h, aad, body)
		if err != nil {
			return err
		}
		if !bytes.Equal(in, out) {
			return errWrong
		}
		if kind == sealedGCM {
			body[len(body)-1] ^= 1
			// The session may be stuck after this.
			err := s.t.probe(func(other *session) error {
				_, err := other.decrypt(kind, h, aad, body)
				return err
			})
			if err == nil {
				return fmt.Errorf("%w: a tampered ciphertext was opened", errWrong)
			}
		}
	}
	return nil
}

// sealedAsInSoftware reports whether body is what this program's AES makes of in, with
// the module's IV.
func sealedAsInSoftware(kind blobKind, key, body, aad, in []byte) bool {
	block, err := aes.NewCipher(key)
	if err != nil {
		return false
	}
	if kind == sealedCBC {
		pad := aes.BlockSize - len(in)%aes.BlockSize
		out := append(append([]byte(nil), in...), bytes.Repeat([]byte{byte(pad)}, pad)...)
		iv := body[:aes.BlockSize]
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
		return bytes.Equal(body[aes.BlockSize:], out)
	}
	// To open is to encrypt again, and FIPS 140-only mode allows nothing else with a
	// given IV.
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return false
	}
	out, err := gcm.Open(nil, nil, body, aad)
	return err == nil && bytes.Equal(in, out)
}

// testWrapping takes a key out, brings it back and uses it.
func (s *session) testWrapping(method string, key *testPair) error {
	kek, err := s.generateAES(roleWrap, false)
	if err != nil {
		return err
	}
	w, err := s.wrap(kek, method, key.priv, key.pub)
	if err != nil {
		return err
	}
	if w, err = parseWrapped(w.marshal()); err != nil {
		return err
	}
	s.t.keepsTemplate = s.keepsTemplate(kek, w)
	h, giveBack, err := s.unwrap(kek, w)
	if err != nil {
		return err
	}
	defer giveBack()
	x := make([]byte, w.pub.Size())
	rand.Read(x[1:])
	y, err := s.raw(s.t.caps.RSA, h, x)
	if err != nil {
		return err
	}
	if !right(key.mod, x, y) {
		return errWrong
	}
	return nil
}

// testExponent compares with answers computed elsewhere.
func (s *session) testExponent(bits int) error {
	for i, want := range exponentAnswers[bits] {
		v := exponentQuestion(bits, i)
		h, err := s.createExponent(v.n, v.d, false)
		if err != nil {
			return err
		}
		if err := s.checkExponent(h, "test exponent"); err != nil {
			return err
		}
		got, err := s.exponentiate(h, v.m)
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(got); fmt.Sprintf("%x", sum) != want {
			return errWrong
		}
		if err := s.mod.DestroyObject(s.h, h); err != nil {
			return err
		}
	}
	return nil
}
