package hsm

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// A PIN is tried once, whatever the module's word for a wrong one is.
func TestPINLatch(t *testing.T) {
	for _, code := range []CKR{
		pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED,
		pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_NEW_PIN_MODE, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_DEVICE_ERROR,
		pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_OPERATION_ACTIVE, pkcs11.CKR_TOKEN_WRITE_PROTECTED, 0x80000001,
	} {
		t.Run(code.Error(), func(t *testing.T) {
			f := newFake()
			fails(f, "C_Login", 1<<30, code)
			_, err := openFake(t, f, nil)
			require.ErrorIs(t, err, ErrPIN)
			require.ErrorIs(t, err, code)
			require.Equal(t, 1, f.count("C_Login"))

			f = newFake()
			tok := mustOpenFake(t, f, func(c *Config) { c.MaxBackoff = time.Millisecond })
			key, err := tok.GenerateKey(t.Context(), "key", 2048)
			require.NoError(t, err)
			fails(f, "C_Login", 1<<30, code)
			f.set(func() { f.loggedIn = false })
			for range 50 {
				require.ErrorIs(t, key.prove(t.Context()), ErrPIN)
			}
			require.Equal(t, 2, f.count("C_Login"), "one of them when it was opened")
			require.True(t, tok.Stats().PINRefused)
		})
	}
}

// A login that did not reach the token did not try the PIN.
func TestPINNotTried(t *testing.T) {
	for _, code := range pinNotTried {
		t.Run(code.Error(), func(t *testing.T) {
			f := newFake()
			fails(f, "C_Login", 1, code)
			_, err := openFake(t, f, nil)
			require.ErrorIs(t, err, ErrUnavailable)
			tok := mustOpenFake(t, f, func(c *Config) { c.MaxBackoff = time.Millisecond })
			key, err := tok.GenerateKey(t.Context(), "key", 2048)
			require.NoError(t, err)
			fails(f, "C_Login", 3, code)
			f.set(func() { f.loggedIn = false })
			require.Eventually(t, func() bool { return key.prove(t.Context()) == nil }, time.Minute, time.Millisecond)
		})
	}
	// The token vanishes under the login, and comes back.
	f := newFake()
	tok := mustOpenFake(t, f, func(c *Config) { c.MaxBackoff = time.Millisecond })
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	f.set(func() {
		f.loggedIn = false
		f.trouble = func(call string) error {
			if call == "C_Login" {
				f.set(func() { f.gone = true })
				return CKR(pkcs11.CKR_GENERAL_ERROR)
			}
			return nil
		}
	})
	require.ErrorIs(t, key.prove(t.Context()), ErrUnavailable)
	f.set(func() { f.gone, f.trouble = false, nil })
	require.Eventually(t, func() bool { return key.prove(t.Context()) == nil }, time.Minute, time.Millisecond)
}

// CKR_SESSION_COUNT makes the pool smaller for a moment only.
func TestPoolGrowsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		tok, err := openFake(t, f, func(c *Config) { c.Sessions = 4 })
		require.NoError(t, err)
		key, err := tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err)
		f.set(func() { require.NoError(t, func() error { clear(f.sessions); return nil }()) })
		fails(f, "C_OpenSession", 2, CKR(pkcs11.CKR_SESSION_COUNT))
		f.set(func() { f.loggedIn = true })
		require.NoError(t, key.prove(t.Context()))
		require.Equal(t, 2, tok.Stats().Sessions)
		time.Sleep(2 * shrinkPause)
		synctest.Wait()
		require.Equal(t, 4, tok.Stats().Sessions)
		require.Len(t, tok.slots, 4)
		require.NoError(t, tok.Close(t.Context()))
	})
}

// An Open that fails for want of sessions gives the module up at once, not when its pool
// has grown back.
func TestNoSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, start := newFake(), time.Now()
		fails(f, "C_Sign", 1<<30, CKR(pkcs11.CKR_SESSION_COUNT))
		cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
		require.NoError(t, err)
		f.pin = "0000"
		own := &owned{mod: f, busy: true}
		_, err = open(t.Context(), cfg, own)
		require.ErrorIs(t, err, ErrUnavailable)
		require.False(t, own.busy)
		require.Zero(t, time.Since(start)) // of the bubble
		time.Sleep(2 * shrinkPause)
	})
}

// A call that makes a key and is given up may have made it. Repeated, it says so, and the
// key is there, whole and once.
func TestRepeatedAfterTimeout(t *testing.T) {
	ctx := t.Context()
	for call, c := range map[string]struct{ generate, get func(*Token) error }{
		"C_GenerateKey": {
			func(t *Token) error { _, err := t.GenerateSealingKey(ctx, "new"); return err },
			func(t *Token) error { _, err := t.Sealer(ctx, "new"); return err },
		},
		"C_GenerateKeyPair": {
			func(t *Token) error { _, err := t.GenerateKey(ctx, "new", 2048); return err },
			func(t *Token) error { _, err := t.Key(ctx, "new"); return err },
		},
	} {
		f := newFake()
		tok := mustOpenFake(t, f, func(c *Config) { c.Sessions = 2 })
		setLimits(t, tok, time.Second) // all before may take its time
		block := make(chan struct{})
		f.set(func() {
			f.trouble = func(c string) error {
				if c == call {
					<-block
				}
				return nil
			}
		})
		err := c.generate(tok)
		require.ErrorIs(t, err, ErrUnavailable, call)
		require.ErrorIs(t, err, context.DeadlineExceeded, call)
		close(block)
		require.Eventually(t, func() bool { return tok.Stats().Running == 0 }, time.Minute, time.Millisecond)
		setLimits(t, tok, time.Minute)
		require.ErrorIs(t, c.generate(tok), ErrKeyExists, call)
		require.NoError(t, c.get(tok), call)
		require.NoError(t, tok.DestroyKeys(ctx, "new"))
		if call == "C_GenerateKey" {
			f.set(func() { require.Empty(t, f.objects) })
		}
	}
}

// What is found on a token is checked as what is made. Another role or a readable key is
// refused (TestExposed); a key without the protection that the token's own get is used,
// with a warning.
func TestFoundAsMade(t *testing.T) {
	ctx := t.Context()
	for _, kind := range []uint{pkcs11.CKA_MODIFIABLE, pkcs11.CKA_COPYABLE, pkcs11.CKA_UNWRAP_TEMPLATE} {
		var log bytes.Buffer
		f := newFake()
		tok := mustOpenFake(t, f, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		require.NoError(t, tok.GenerateWrappingKey(ctx, "wrap"))
		_, err := tok.ServerKeys(ctx, "wrap", 2048, 0)
		require.NoError(t, err)
		require.NotContains(t, log.String(), "another use")
		f.set(func() {
			for _, o := range f.objects {
				if bytes.Equal(o.attrs[pkcs11.CKA_KEY_TYPE], encodeUint(pkcs11.CKK_AES)) {
					o.attrs[kind] = map[bool][]byte{true: {}, false: {1}}[kind == pkcs11.CKA_UNWRAP_TEMPLATE]
				}
			}
		})
		_, err = tok.ServerKeys(ctx, "wrap", 2048, 0)
		require.NoError(t, err)
		require.Contains(t, log.String(), "another use", "%#x", kind)
	}
}

// sloppy makes AES keys without one of the attributes that it was asked for, or without
// any answer at the first try.
type sloppy struct {
	*lossy
	omit uint
}

func (s *sloppy) GenerateKey(h handle, m mechanism, template []attribute) (handle, error) {
	made, err := s.lossy.GenerateKey(h, m, template)
	s.set(func() {
		for _, o := range s.objects {
			if bytes.Equal(o.attrs[pkcs11.CKA_KEY_TYPE], encodeUint(pkcs11.CKK_AES)) && o.session == 0 {
				o.attrs[s.omit] = map[bool][]byte{true: {}, false: {1}}[s.omit == pkcs11.CKA_UNWRAP_TEMPLATE]
			}
		}
	})
	return made, err
}

// A new key that is not what it was asked to be is destroyed, also if the answer was lost
// and the next try finds it.
func TestMadeIsChecked(t *testing.T) {
	for _, lose := range []string{"", "C_GenerateKey"} {
		for _, kind := range []uint{
			pkcs11.CKA_MODIFIABLE, pkcs11.CKA_COPYABLE, pkcs11.CKA_UNWRAP_TEMPLATE, pkcs11.CKA_DECRYPT, pkcs11.CKA_EXTRACTABLE,
		} {
			m := &sloppy{lossy: &lossy{fake: newFake()}}
			cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
			require.NoError(t, err)
			m.pin = "0000"
			tok, err := open(t.Context(), cfg, &owned{mod: m})
			require.NoError(t, err)
			m.omit, m.lose = kind, lose
			require.ErrorIs(t, tok.GenerateWrappingKey(t.Context(), "wrap"), ErrExposed, "%#x", kind)
			require.Empty(t, m.lose)
			for _, o := range m.objects {
				require.False(t, bytes.Equal(o.attrs[pkcs11.CKA_KEY_TYPE], encodeUint(pkcs11.CKK_AES)), "%#x", kind)
			}
			require.NoError(t, tok.Close(t.Context()))
		}
	}
}

// CloudHSM wants CKA_PRIVATE true on public halves, others want it false: neither is
// said.
func TestPublicHalf(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	_, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	publics := 0
	for _, o := range f.objects {
		if bytes.Equal(o.attrs[pkcs11.CKA_CLASS], encodeUint(pkcs11.CKO_PUBLIC_KEY)) {
			publics++
			require.NotContains(t, o.attrs, uint(pkcs11.CKA_PRIVATE))
		}
	}
	require.Equal(t, 1, publics)
}
