package hsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// nth makes the n-th call from now fail, and all later ones too if it is for ever. It
// returns the name of the call.
func nth(f *fake, n int64, forEver bool, err error) (call func() string) {
	var left atomic.Int64
	var name atomic.Value
	left.Store(n)
	f.set(func() {
		f.trouble = func(c string) error {
			at := left.Add(-1)
			if at == 0 {
				name.Store(c)
			}
			if at == 0 || forEver && at < 0 {
				return err
			}
			return nil
		}
	})
	return func() string { s, _ := name.Load().(string); return s }
}

// A fault while the token is opened never takes a capability away, nor the protection of
// the keys that are made afterwards: Open gets over it or fails.
func TestOpenUnderFaults(t *testing.T) {
	golden := mustOpenFake(t, newFake(), nil)
	require.Empty(t, golden.Capabilities().Refused)
	for _, code := range []CKR{
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_GENERAL_ERROR, 0xCE534351, pkcs11.CKR_SESSION_HANDLE_INVALID,
		pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_TEMPLATE_INCONSISTENT,
		pkcs11.CKR_FUNCTION_NOT_SUPPORTED,
	} {
		for _, forEver := range []bool{false, true} {
			if forEver && refuses(code) {
				continue // then the module does not do it
			}
			opened, all := 0, 0
			for n := int64(1); ; n++ {
				f := newFake()
				call := nth(f, n, forEver, code)
				tok, err := openFake(t, f, nil)
				what := fmt.Sprintf("%v at call %d, %s, for ever %t", code, n, call(), forEver)
				f.set(func() { f.trouble = nil })
				if call() == "" {
					require.NoError(t, err)
					require.NoError(t, tok.Close(t.Context()))
					break
				}
				all++
				if err != nil {
					ok := errors.Is(err, ErrUnavailable) || call() == "C_Login" && errors.Is(err, ErrPIN)
					require.True(t, ok, "%s: %v", what, err)
					require.LessOrEqual(t, f.count("C_Login"), 3, what)
					continue
				}
				opened++
				require.False(t, forEver && call() != "C_CloseSession", what)
				require.Equal(t, golden.Capabilities().Seal, tok.Capabilities().Seal, what)
				require.Equal(t, golden.Capabilities().Wrap, tok.Capabilities().Wrap, what)
				require.Equal(t, golden.Capabilities().Guards, tok.Capabilities().Guards, what)
				require.NoError(t, tok.GenerateWrappingKey(t.Context(), "wrap"), what)
				f.set(func() {
					for _, o := range f.objects {
						if string(o.attrs[pkcs11.CKA_LABEL]) == "wrap" {
							require.Equal(t, []byte{0}, o.attrs[pkcs11.CKA_MODIFIABLE], what)
							require.Equal(t, []byte{0}, o.attrs[pkcs11.CKA_COPYABLE], what)
							isAES := bytes.Equal(o.attrs[pkcs11.CKA_KEY_TYPE], encodeUint(pkcs11.CKK_AES))
							require.Equal(t, isAES, len(o.attrs[pkcs11.CKA_UNWRAP_TEMPLATE]) > 0, what)
						}
					}
				})
				require.NoError(t, tok.Close(t.Context()), what)
			}
			t.Logf("%v, for ever %t: opened with %d of %d faults", code, forEver, opened, all)
			require.Greater(t, all, 40)
			require.True(t, forEver || opened > all/2, "most of them are passing")
		}
	}
}

// Open returns when a call hangs: after the time limit, or when its context ends. The
// module is finalized when the call returns, and nobody logs in after that.
func TestOpenHangs(t *testing.T) {
	for _, call := range []string{
		"C_Initialize", "C_GetSlotList", "C_GetTokenInfo", "C_OpenSession", "C_Login", "C_GetMechanismList",
		"C_GenerateKey", "C_SetAttributeValue", "C_CopyObject", "C_Encrypt", "C_GenerateKeyPair", "C_UnwrapKey",
		"C_CloseSession",
	} {
		for _, canceled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, canceled %t", call, canceled), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, block := newFake(), make(chan struct{})
					f.trouble = func(c string) error {
						if c == call {
							<-block
						}
						return nil
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					start, limit := time.Now(), 10*time.Minute
					if canceled {
						time.AfterFunc(time.Second, cancel)
						limit = 2 * time.Second
					}
					cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN, CallTimeout: 10 * time.Second, GenerateTimeout: time.Minute}.complete()
					require.NoError(t, err)
					f.pin = "0000"
					own := &owned{mod: f, busy: true}
					_, err = open(ctx, cfg, own)
					require.ErrorIs(t, err, ErrUnavailable)
					require.Equal(t, canceled, errors.Is(err, context.Canceled))
					require.LessOrEqual(t, time.Since(start), limit) // of the bubble
					require.True(t, own.busy, "a call is still in it")
					logins := f.count("C_Login")
					close(block)
					synctest.Wait()
					require.False(t, f.initialized)
					require.False(t, own.busy)
					require.Equal(t, logins, f.count("C_Login"))
				})
			})
		}
	}
}

// If C_Finalize fails, recoveries go on without, Close says so and may be repeated, and
// the next Open takes the module as it is.
func TestFinalizeFails(t *testing.T) {
	f := newFake()
	own := &owned{mod: f, busy: true}
	cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN, MaxBackoff: time.Millisecond}.complete()
	require.NoError(t, err)
	f.pin = "0000"
	tok, err := open(t.Context(), cfg, own)
	require.NoError(t, err)
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	f.set(func() {
		f.trouble = func(call string) error {
			if call == "C_Finalize" {
				return CKR(pkcs11.CKR_FUNCTION_FAILED)
			}
			return nil
		}
	})
	require.NoError(t, tok.recover(t.Context(), levelRestart, tok.gen, errors.New("test")))
	require.NoError(t, key.prove(t.Context()))
	f.set(func() { require.Len(t, f.sessions, 2, "the others were closed") })
	for range 2 {
		require.ErrorIs(t, tok.Close(t.Context()), ErrUnavailable)
		require.True(t, own.busy)
	}
	f.set(func() { f.trouble = nil })
	require.NoError(t, tok.Close(t.Context()))
	require.False(t, own.busy)

	f.set(func() {
		f.pin = "another"
		f.trouble = func(call string) error {
			if call == "C_Finalize" {
				return CKR(pkcs11.CKR_FUNCTION_FAILED)
			}
			return nil
		}
	})
	own.busy = true
	_, err = open(t.Context(), cfg, own)
	require.ErrorIs(t, err, ErrPIN)
	f.set(func() { f.pin, f.trouble = "0000", nil })
	tok, err = open(t.Context(), cfg, own)
	require.NoError(t, err)
	require.NoError(t, tok.Close(t.Context()))
}

// bare is a token of RSA keys that others made: it makes none, has no AES, and does not
// know some attributes, like a card.
type bare struct{ *fake }

func (b *bare) Mechanisms(slot uint) ([]uint, error) {
	return []uint{pkcs11.CKM_RSA_X_509}, nil
}

func (b *bare) GenerateKey(handle, mechanism, []attribute) (handle, error) {
	panic("C_GenerateKey, which is not listed")
}

func (b *bare) GenerateKeyPair(handle, mechanism, []attribute, []attribute) (handle, handle, error) {
	return 0, 0, CKR(pkcs11.CKR_FUNCTION_NOT_SUPPORTED)
}

// The key decides: a token that can do nothing else signs with the keys it has.
func TestKeyDecides(t *testing.T) {
	ctx := t.Context()
	f := newFake()
	maker := mustOpenFake(t, f, nil)
	_, err := maker.GenerateKey(ctx, "key", 2048)
	require.NoError(t, err)
	_, err = maker.GenerateKey(ctx, "always", 2048)
	require.NoError(t, err)
	require.NoError(t, maker.Close(ctx))
	for _, o := range f.objects {
		if string(o.attrs[pkcs11.CKA_LABEL]) == "always" {
			o.attrs[pkcs11.CKA_ALWAYS_AUTHENTICATE] = []byte{1}
		}
	}
	cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
	require.NoError(t, err)
	f.pin = "0000"
	tok, err := open(ctx, cfg, &owned{mod: &bare{f}})
	require.NoError(t, err)
	defer func() { require.NoError(t, tok.Close(ctx)) }()
	require.Empty(t, tok.Capabilities().Seal)
	require.Empty(t, tok.Capabilities().Wrap)
	key, err := tok.Key(ctx, "key")
	require.NoError(t, err)
	exponentiate(t, key, 0)
	_, err = tok.GenerateKey(ctx, "new", 2048)
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorIs(t, tok.GenerateWrappingKey(ctx, "wrap"), ErrUnsupported)

	// A key that wants a login for each use is refused once, not at each use, and costs
	// the others nothing.
	_, err = tok.Key(ctx, "always")
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "login for each use")
	require.Zero(t, tok.Stats().Recoveries)
}

// protected is a write-protected token.
type protected struct{ *fake }

func (p *protected) OpenSession(slot uint, readOnly bool) (handle, error) {
	if !readOnly {
		return 0, CKR(pkcs11.CKR_TOKEN_WRITE_PROTECTED)
	}
	return p.fake.OpenSession(slot, true)
}

func (p *protected) SessionState(s handle) (uint, error) {
	state, err := p.fake.SessionState(s)
	if state == pkcs11.CKS_RW_USER_FUNCTIONS {
		state = pkcs11.CKS_RO_USER_FUNCTIONS
	}
	return state, err
}

func (p *protected) GenerateKeyPair(s handle, m mechanism, public, private []attribute) (handle, handle, error) {
	if bytes.Equal(private[0].value, []byte{1}) {
		return 0, 0, CKR(pkcs11.CKR_SESSION_READ_ONLY)
	}
	return p.fake.GenerateKeyPair(s, m, public, private)
}

func (p *protected) DestroyObject(s, h handle) error {
	p.mu.Lock()
	o := p.objects[h]
	p.mu.Unlock()
	if o != nil && o.session == 0 {
		return CKR(pkcs11.CKR_SESSION_READ_ONLY)
	}
	return p.fake.DestroyObject(s, h)
}

// The keys of a write-protected token are used, and to make or destroy one is
// unsupported, which nothing is recovered for.
func TestWriteProtected(t *testing.T) {
	ctx := t.Context()
	f := newFake()
	maker := mustOpenFake(t, f, nil)
	_, err := maker.GenerateKey(ctx, "key", 2048)
	require.NoError(t, err)
	_, err = maker.GenerateSealingKey(ctx, "seal")
	require.NoError(t, err)
	require.NoError(t, maker.Close(ctx))
	cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
	require.NoError(t, err)
	f.pin = "0000"
	tok, err := open(ctx, cfg, &owned{mod: &protected{f}})
	require.NoError(t, err)
	defer func() { require.NoError(t, tok.Close(ctx)) }()
	key, err := tok.Key(ctx, "key")
	require.NoError(t, err)
	exponentiate(t, key, 0)
	sealer, err := tok.Sealer(ctx, "seal")
	require.NoError(t, err)
	_, err = sealer.Seal(ctx, nil, []byte("share"))
	require.NoError(t, err)
	_, err = tok.GenerateKey(ctx, "new", 2048)
	require.ErrorIs(t, err, ErrUnsupported)
	require.NotErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, tok.DestroyKeys(ctx, "seal"), ErrUnsupported)
	_, err = tok.Sealer(ctx, "none")
	require.ErrorIs(t, err, ErrKeyNotFound)
	require.Zero(t, tok.Stats().Recoveries)
}

// unlisted is a token that lists no mechanism that wraps keys.
type unlisted struct {
	*fake
	templates int // with CKA_UNWRAP_TEMPLATE
}

func (u *unlisted) Mechanisms(slot uint) ([]uint, error) {
	list, err := u.fake.Mechanisms(slot)
	return slices.DeleteFunc(list, func(kind uint) bool { return kind == ckmAESKeyWrapKWP }), err
}

func (u *unlisted) GenerateKey(s handle, m mechanism, template []attribute) (handle, error) {
	if slices.ContainsFunc(template, func(a attribute) bool { return a.kind == pkcs11.CKA_UNWRAP_TEMPLATE }) {
		u.templates++
	}
	return u.fake.GenerateKey(s, m, template)
}

// What is not listed is not tried: the nested template crashed the daemon of
// pkcs11-proxy.
func TestUnlistedIsNotTried(t *testing.T) {
	u := &unlisted{fake: newFake()}
	cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
	require.NoError(t, err)
	u.pin = "0000"
	tok, err := open(t.Context(), cfg, &owned{mod: u})
	require.NoError(t, err)
	require.Equal(t, sealCBC, tok.Capabilities().Seal)
	require.Empty(t, tok.Capabilities().Wrap)
	require.Zero(t, u.templates)
	require.Zero(t, u.count("C_GenerateKeyPair"))
	require.NoError(t, tok.Close(t.Context()))
}
