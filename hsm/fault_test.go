package hsm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestFault: no wrong result gets out, whichever bit of it is wrong.
func TestFault(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	for i, bit := range []int{0, 7, 8, 1000, 2047} {
		f.set(func() {
			f.corrupt = func(call string, out []byte) { out[bit/8] ^= 1 << (bit % 8) }
		})
		x := make([]byte, 256)
		x[1] = 1
		y, err := key.Exponentiate(t.Context(), x)
		require.ErrorIs(t, err, ErrFault)
		require.Nil(t, y)
		require.EqualValues(t, i+1, tok.Stats().Faults)
	}
	f.set(func() { f.corrupt = nil })
	require.NoError(t, key.prove(t.Context()))
	require.Zero(t, tok.Stats().Recoveries)
}

// The self-test refuses what gives wrong answers with CKR_OK, and takes the
// second way where there is one.
func TestSelfTest(t *testing.T) {
	all := Capabilities{Seal: sealCBC, Wrap: "AES-KWP", Guards: []string{guardSet, guardCopy}}
	without := func(change func(*Capabilities)) Capabilities {
		c := all
		change(&c)
		return c
	}
	for _, c := range []struct {
		name    string
		corrupt func(call string, out []byte)
		want    Capabilities
		by      string // what raw RSA is done by
	}{
		{"all right", nil, all, "C_Sign"},
		{"C_Sign", func(call string, out []byte) {
			if call == "C_Sign" && len(out) == 256 {
				out[100] ^= 1
			}
		}, all, "C_Decrypt"},
		{"raw RSA", func(call string, out []byte) {
			if len(out) == 256 {
				out[255] ^= 1
			}
		}, without(func(c *Capabilities) { c.Wrap = "" }), ""},
		{"HMAC", func(call string, out []byte) {
			if call == "C_Sign" && len(out) == 32 {
				rand.Read(out)
			}
		}, without(func(c *Capabilities) { c.Seal, c.Wrap = "", "" }), "C_Sign"},
		{"AES-CBC", func(call string, out []byte) {
			if call == "C_Encrypt" {
				out[0] ^= 1
			}
		}, without(func(c *Capabilities) { c.Seal = "" }), "C_Sign"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			f.corrupt = c.corrupt
			tok := mustOpenFake(t, f, nil)
			got := tok.Capabilities()
			t.Log(got.Refused)
			if c.corrupt != nil {
				require.Contains(t, strings.Join(got.Refused, "\n"), errWrong.Error())
			}
			got.Refused = nil
			require.Equal(t, c.want, got)
			// What the self-test refused, every call refuses, and a key what it does not
			// do.
			ctx := t.Context()
			key, err := tok.GenerateKey(ctx, "key", 2048)
			if c.by == "" {
				require.ErrorIs(t, err, ErrFault)
			} else {
				require.NoError(t, err)
				require.Equal(t, c.by, key.by)
				require.NoError(t, key.prove(ctx))
			}
			if got.Seal == "" {
				_, err := tok.GenerateSealingKey(ctx, "seal")
				require.ErrorIs(t, err, ErrUnsupported)
				_, err = tok.Sealer(ctx, "seal")
				require.ErrorIs(t, err, ErrUnsupported)
			}
			if got.Wrap == "" {
				require.ErrorIs(t, tok.GenerateWrappingKey(ctx, "wrap"), ErrUnsupported)
				_, err := tok.ServerKeys(ctx, "wrap", 2048, 0)
				require.ErrorIs(t, err, ErrUnsupported)
			} else {
				require.NoError(t, tok.GenerateWrappingKey(ctx, "wrap"))
				keys, err := tok.ServerKeys(ctx, "wrap", 2048, 0)
				require.NoError(t, err)
				_, _, err = keys.NewKey(ctx)
				require.NoError(t, err)
			}
		})
	}
}

// lax is a module that refuses an attribute in templates, or takes CKA_COPYABLE and
// copies all the same, or takes CKA_MODIFIABLE and changes all the same; of that it may
// say that it did not.
type lax struct {
	*fake
	refuse                uint
	copies, changes, lies bool
}

func (l *lax) GenerateKey(s handle, m mechanism, template []attribute) (handle, error) {
	for _, a := range template {
		if l.refuse != 0 && a.kind == l.refuse {
			return 0, CKR(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)
		}
	}
	return l.fake.GenerateKey(s, m, template)
}

func (l *lax) CopyObject(s, h handle, template []attribute) (handle, error) {
	if l.copies {
		l.set(func() { delete(l.objects[h].attrs, pkcs11.CKA_COPYABLE) })
	}
	return l.fake.CopyObject(s, h, template)
}

func (l *lax) SetAttributes(s, h handle, template []attribute) error {
	if l.changes {
		l.set(func() { delete(l.objects[h].attrs, pkcs11.CKA_MODIFIABLE) })
	}
	err := l.fake.SetAttributes(s, h, template)
	if err == nil && l.lies {
		err = CKR(pkcs11.CKR_ATTRIBUTE_READ_ONLY)
	}
	return err
}

func (l *lax) GenerateKeyPair(s handle, m mechanism, public, private []attribute) (handle, handle, error) {
	for _, a := range private {
		if l.refuse != 0 && a.kind == l.refuse {
			return 0, 0, CKR(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)
		}
	}
	return l.fake.GenerateKeyPair(s, m, public, private)
}

// Keys get exactly the guards that this module keeps to, and the capabilities list them.
func TestGuards(t *testing.T) {
	for name, c := range map[string]struct {
		lax        lax
		want       []string
		modifiable []byte
	}{
		"all":                    {lax{}, []string{guardSet, guardCopy}, []byte{0}},
		"no CKA_COPYABLE":        {lax{refuse: pkcs11.CKA_COPYABLE}, []string{guardSet}, []byte{0}},
		"CKA_COPYABLE ignored":   {lax{copies: true}, []string{guardSet}, []byte{0}},
		"no CKA_MODIFIABLE":      {lax{refuse: pkcs11.CKA_MODIFIABLE}, nil, nil},
		"CKA_MODIFIABLE ignored": {lax{changes: true}, nil, nil},
		"and a lie about it":     {lax{changes: true, lies: true}, nil, nil},
	} {
		c.lax.fake = newFake()
		c.lax.pin = "0000"
		cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
		require.NoError(t, err)
		tok, err := open(t.Context(), cfg, &owned{mod: &c.lax})
		require.NoError(t, err)
		require.Equal(t, c.want, tok.Capabilities().Guards, name)
		require.NoError(t, tok.GenerateWrappingKey(t.Context(), "wrap"), name)
		_, err = tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err, name)
		for _, o := range c.lax.objects {
			// Where CKA_MODIFIABLE has no effect, it does not matter which keys have it.
			if !c.lax.changes && !bytes.Equal(o.attrs[pkcs11.CKA_CLASS], encodeUint(pkcs11.CKO_PUBLIC_KEY)) {
				require.Equal(t, c.modifiable, o.attrs[pkcs11.CKA_MODIFIABLE], name)
			}
		}
		require.NoError(t, tok.Close(t.Context()))
	}
}

// A key that the token would give away is not used.
func TestExposed(t *testing.T) {
	ctx := t.Context()
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	_, err := tok.GenerateKey(ctx, "key", 2048)
	require.NoError(t, err)
	_, err = tok.GenerateSealingKey(ctx, "seal")
	require.NoError(t, err)
	require.NoError(t, tok.GenerateWrappingKey(ctx, "wrap"))
	// with runs a function while an attribute of an object is another.
	with := func(label string, class uint, kind uint, value []byte, do func()) {
		t.Helper()
		var o *fakeObject
		f.set(func() {
			for _, c := range f.objects {
				if string(c.attrs[pkcs11.CKA_LABEL]) == label && bytes.Equal(c.attrs[pkcs11.CKA_CLASS], encodeUint(class)) &&
					!bytes.Equal(c.attrs[pkcs11.CKA_KEY_TYPE], encodeUint(pkcs11.CKK_GENERIC_SECRET)) {
					o = c
				}
			}
			require.NotNil(t, o)
		})
		old, had := o.attrs[kind]
		f.set(func() { o.attrs[kind] = value })
		do()
		f.set(func() {
			if o.attrs[kind] = old; !had {
				delete(o.attrs, kind)
			}
		})
	}
	for _, c := range []struct {
		kind  uint
		value []byte
	}{
		{pkcs11.CKA_SENSITIVE, []byte{0}}, {pkcs11.CKA_EXTRACTABLE, []byte{1}},
		{pkcs11.CKA_ALWAYS_SENSITIVE, []byte{0}}, {pkcs11.CKA_NEVER_EXTRACTABLE, []byte{0}},
		{pkcs11.CKA_PRIVATE_EXPONENT, []byte{1}}, {pkcs11.CKA_PRIME_1, []byte{3}},
	} {
		with("key", pkcs11.CKO_PRIVATE_KEY, c.kind, c.value, func() {
			_, err := tok.Key(ctx, "key")
			require.ErrorIs(t, err, ErrExposed, "%#x", c.kind)
		})
	}
	for _, c := range []struct {
		kind  uint
		value []byte
	}{
		{pkcs11.CKA_SENSITIVE, []byte{0}}, {pkcs11.CKA_EXTRACTABLE, []byte{1}},
		{pkcs11.CKA_WRAP, []byte{1}}, {pkcs11.CKA_UNWRAP, []byte{1}}, {pkcs11.CKA_ENCRYPT, []byte{0}},
	} {
		with("seal", pkcs11.CKO_SECRET_KEY, c.kind, c.value, func() {
			_, err := tok.Sealer(ctx, "seal")
			require.ErrorIs(t, err, ErrExposed, "%#x", c.kind)
		})
	}
	for _, kind := range []uint{pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT} {
		with("wrap", pkcs11.CKO_SECRET_KEY, kind, []byte{1}, func() {
			_, err := tok.ServerKeys(ctx, "wrap", 2048, 0)
			require.ErrorIs(t, err, ErrExposed, "%#x", kind)
		})
	}
	_, err = tok.Key(ctx, "key")
	require.NoError(t, err)
	_, err = tok.Sealer(ctx, "seal")
	require.NoError(t, err)
	_, err = tok.ServerKeys(ctx, "wrap", 2048, 0)
	require.NoError(t, err)
	require.Zero(t, tok.Stats().Recoveries)
}

// readable is a module that unwraps keys readable, whatever the template says,
// as opencryptoki does; and, if stubborn, leaves them so.
type readable struct {
	*fake
	stubborn bool
}

func (r *readable) UnwrapKey(s handle, m mechanism, kek handle, wrapped []byte, template []attribute) (handle, error) {
	h, err := r.fake.UnwrapKey(s, m, kek, wrapped, template)
	if err == nil {
		r.set(func() {
			r.objects[h].attrs[pkcs11.CKA_SENSITIVE] = []byte{0}
			r.objects[h].attrs[pkcs11.CKA_EXTRACTABLE] = []byte{1}
			r.objects[h].attrs[pkcs11.CKA_PRIVATE_EXPONENT] = []byte("secret")
		})
	}
	return h, err
}

func (r *readable) SetAttributes(s, h handle, template []attribute) error {
	err := r.fake.SetAttributes(s, h, template)
	if err == nil && !r.stubborn {
		r.set(func() { delete(r.objects[h].attrs, pkcs11.CKA_PRIVATE_EXPONENT) })
	}
	return err
}

func TestUnwrappedReadable(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		r := &readable{fake: newFake()}
		cfg, err := Config{Module: "fake", Label: "fake", PIN: func(context.Context) ([]byte, error) { return []byte("1234"), nil }}.complete()
		require.NoError(t, err)
		tok, err := open(t.Context(), cfg, &owned{mod: r})
		require.NoError(t, err)
		require.Equal(t, "AES-KWP", tok.Capabilities().Wrap)
		require.NoError(t, tok.GenerateWrappingKey(t.Context(), "wrap"))
		keys, err := tok.ServerKeys(t.Context(), "wrap", 2048, 0)
		require.NoError(t, err)
		key, _, err := keys.NewKey(t.Context())
		require.NoError(t, err)
		r.set(func() { r.stubborn = stubborn })
		x := make([]byte, 256)
		x[3] = 3
		_, err = key.Exponentiate(t.Context(), x)
		if stubborn {
			require.ErrorIs(t, err, ErrExposed)
		} else {
			require.NoError(t, err)
		}
		r.set(func() {
			for _, o := range r.objects {
				require.NotContains(t, o.attrs, uint(pkcs11.CKA_PRIVATE_EXPONENT), "left behind")
			}
		})
		require.NoError(t, tok.Close(t.Context()))
	}
}

// No verb prints a secret, and no log record holds one.
func TestNothingPrinted(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	f.pin = "8395172640"
	tok := mustOpenFake(t, f, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.PIN = func(context.Context) ([]byte, error) { return []byte(f.pin), nil }
	})
	s, err := tok.GenerateSealingKey(t.Context(), "seal")
	require.NoError(t, err)
	// The fake's generic secret gives the authentication key away.
	id := s.keys.current().id
	var secret []byte
	f.set(func() {
		for _, o := range f.objects {
			if bytes.Equal(o.attrs[pkcs11.CKA_ID], secretID(id[:])) {
				mac := hmac.New(sha256.New, o.attrs[pkcs11.CKA_VALUE])
				mac.Write([]byte(authenticationLabel))
				mac.Write(id[:])
				secret = mac.Sum(nil)
			}
		}
	})
	mac := hmac.New(sha256.New, secret)
	mac.Write(make([]byte, 8))
	kept := s.keys.current().mac
	sum, err := kept.sum(nil, nil, nil)
	require.NoError(t, err)
	require.Equal(t, mac.Sum(nil), sum, "this is the key")
	share := []byte("a share of a client key, in short")
	sealed, err := s.Seal(t.Context(), nil, share)
	require.NoError(t, err)
	require.NoError(t, tok.GenerateWrappingKey(t.Context(), "wrap"))
	keys, err := tok.ServerKeys(t.Context(), "wrap", 2048, 0)
	require.NoError(t, err)
	defer keys.Close()
	rsaKey, _, err := keys.NewKey(t.Context())
	require.NoError(t, err)
	_, damaged := s.Open(t.Context(), nil, sealed[:len(sealed)-1])
	require.Error(t, damaged)
	printtest.Hidden(t, map[string][]byte{
		"the authentication key": secret, "the share": share, "the PIN": []byte(f.pin),
		"d": splitkeytest.Key(2048).D.Bytes(),
	}, kept, struct{ m *macKey }{kept}, s, *s, keys, rsaKey, *rsaKey.(*Key), tok.Capabilities(), tok.Stats(), damaged)
	f.set(func() { f.initialized = false })
	_, err = s.Seal(t.Context(), nil, []byte("plaintext"))
	require.NoError(t, err)
	require.Contains(t, log.String(), CKR(pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED).Error())
	require.NotContains(t, log.String(), f.pin)
	require.NotContains(t, log.String(), "plaintext")
}
