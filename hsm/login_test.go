package hsm

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// foreign is a blob of a version that the token does not have: made by another
// process, destroyed, or written by anybody into the store.
func foreign(blob []byte) []byte {
	blob = append([]byte(nil), blob...)
	blob[10] ^= 1
	return blob
}

// A look for an unknown version with a lost login keeps the known keys: it logs in again.
func TestLoginLostBeforeUnknownVersion(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	sealer, err := tok.GenerateSealingKey(t.Context(), "seal")
	require.NoError(t, err)
	blob, err := sealer.Seal(t.Context(), nil, []byte("share"))
	require.NoError(t, err)
	logins := f.count("C_Login")
	f.set(func() { f.loggedIn = false })
	_, err = sealer.Open(t.Context(), nil, foreign(blob))
	require.ErrorIs(t, err, ErrBlob)
	require.ErrorIs(t, err, ErrKeyNotFound)
	require.NotErrorIs(t, err, ErrUnavailable)
	require.Equal(t, logins+1, f.count("C_Login"))
	plain, err := sealer.Open(t.Context(), nil, blob)
	require.NoError(t, err)
	require.Equal(t, "share", string(plain))
	_, err = sealer.Seal(t.Context(), nil, []byte("x"))
	require.NoError(t, err)
}

// blind is a token that shows no objects although it says that the user is
// logged in, as SoftHSM does while its directory is away.
type blind struct {
	*fake
	now bool
}

func (b *blind) FindObjects(s handle, template []attribute, limit int) ([]handle, error) {
	list, err := b.fake.FindObjects(s, template, limit)
	b.set(func() {
		if b.now {
			list = nil
		}
	})
	return list, err
}

// A token that shows no key of a set that had some is away. The set stays as it
// was, and works again with the token.
func TestKeySetNeverEmpty(t *testing.T) {
	ctx := t.Context()
	b := &blind{fake: newFake()}
	cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
	require.NoError(t, err)
	b.pin = "0000"
	tok, err := open(ctx, cfg, &owned{mod: b})
	require.NoError(t, err)
	defer func() { require.NoError(t, tok.Close(ctx)) }()
	sealer, err := tok.GenerateSealingKey(ctx, "seal")
	require.NoError(t, err)
	blob, err := sealer.Seal(ctx, nil, []byte("share"))
	require.NoError(t, err)
	b.set(func() { b.now = true })
	_, err = sealer.Open(ctx, nil, foreign(blob))
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrBlob, "a look that did not succeed says nothing about the blob")
	require.ErrorIs(t, sealer.Rotate(ctx), ErrUnavailable)
	require.EqualValues(t, 1, sealer.keys.current().id.version())
	_, err = sealer.Seal(ctx, nil, []byte("x"))
	require.ErrorIs(t, err, ErrUnavailable)
	b.set(func() { b.now = false })
	plain, err := sealer.Open(ctx, nil, blob)
	require.NoError(t, err)
	require.Equal(t, "share", string(plain))
	_, err = sealer.Seal(ctx, nil, []byte("x"))
	require.NoError(t, err)
}

// With a lost login too, a taken label is found to be taken, and a missing key to be
// missing.
func TestLoginLostBeforeGenerating(t *testing.T) {
	ctx := t.Context()
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	for name, generate := range map[string]func() error{
		"sealing key":  func() error { _, err := tok.GenerateSealingKey(ctx, "seal"); return err },
		"wrapping key": func() error { return tok.GenerateWrappingKey(ctx, "wrap") },
		"RSA key":      func() error { _, err := tok.GenerateKey(ctx, "key", 2048); return err },
	} {
		f.set(func() { f.loggedIn = false })
		require.NoError(t, generate(), name)
		f.set(func() { f.loggedIn = false })
		require.ErrorIs(t, generate(), ErrKeyExists, name)
	}
	for name, look := range map[string]func(label string) error{
		"sealing key":  func(l string) error { _, err := tok.Sealer(ctx, l); return err },
		"RSA key":      func(l string) error { _, err := tok.Key(ctx, l); return err },
		"wrapping key": func(l string) error { _, err := tok.ServerKeys(ctx, l, 2048, 0); return err },
	} {
		labels := map[string]string{"sealing key": "seal", "RSA key": "key", "wrapping key": "wrap"}
		f.set(func() { f.loggedIn = false })
		require.NoError(t, look(labels[name]), name)
		f.set(func() { f.loggedIn = false })
		require.ErrorIs(t, look("none"), ErrKeyNotFound, name)
	}
}

// Rotate makes a new version or fails, with a lost login too, and versions only grow.
func TestLoginLostBeforeRotating(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	s, err := tok.GenerateSealingKey(t.Context(), "seal")
	require.NoError(t, err)
	for version := uint32(2); version < 5; version++ {
		f.set(func() { f.loggedIn = false })
		require.NoError(t, s.Rotate(t.Context()))
		require.Equal(t, version, s.keys.current().id.version())
	}
}

// A call returns what an earlier try of it made before its answer was lost: it takes it
// for nobody else's, and makes it once.
func TestLostAnswers(t *testing.T) {
	ctx := t.Context()
	sealing := func(t *Token) error { _, err := t.GenerateSealingKey(ctx, "new"); return err }
	for call, generate := range map[string]func(*Token) error{
		"C_GenerateKey": sealing, "C_GenerateKey of the secret": sealing,
		"C_GenerateKeyPair": func(t *Token) error { _, err := t.GenerateKey(ctx, "new", 2048); return err },
	} {
		l := &lossy{fake: newFake()}
		cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
		require.NoError(t, err)
		l.pin = "0000"
		tok, err := open(ctx, cfg, &owned{mod: l})
		require.NoError(t, err)
		l.lose = call
		require.NoError(t, generate(tok), call)
		require.Empty(t, l.lose, call)
		require.ErrorIs(t, generate(tok), ErrKeyExists, call)
		keys := 0
		for _, o := range l.objects {
			class, kind := decodeUint(o.attrs[pkcs11.CKA_CLASS]), decodeUint(o.attrs[pkcs11.CKA_KEY_TYPE])
			if string(o.attrs[pkcs11.CKA_LABEL]) == "new" && class != pkcs11.CKO_PUBLIC_KEY && kind != pkcs11.CKK_GENERIC_SECRET {
				keys++
			}
		}
		require.Equal(t, 1, keys, call)
		require.NoError(t, tok.Close(ctx))
	}
}

// lossy makes a key of the token and then fails, once.
type lossy struct {
	*fake
	lose string
}

func (l *lossy) lost(call string, template []attribute) error {
	for _, a := range template {
		if a.kind == pkcs11.CKA_KEY_TYPE && decodeUint(a.value) == pkcs11.CKK_GENERIC_SECRET {
			call += " of the secret"
		}
	}
	if call != l.lose {
		return nil
	}
	l.lose = ""
	return CKR(pkcs11.CKR_DEVICE_ERROR)
}

func (l *lossy) GenerateKey(s handle, m mechanism, template []attribute) (handle, error) {
	h, err := l.fake.GenerateKey(s, m, template)
	return h, errors.Join(err, l.lost("C_GenerateKey", template))
}

func (l *lossy) GenerateKeyPair(s handle, m mechanism, public, private []attribute) (handle, handle, error) {
	pub, priv, err := l.fake.GenerateKeyPair(s, m, public, private)
	return pub, priv, errors.Join(err, l.lost("C_GenerateKeyPair", private))
}

// A recovery that was on its way when the token was closed leaves the module
// alone: it may have another owner by now.
func TestRecoveryAfterClose(t *testing.T) {
	for range 20 {
		f := newFake()
		tok, err := openFake(t, f, nil)
		require.NoError(t, err)
		// an earlier recovery, which is just ending
		require.NoError(t, tok.lock(t.Context()))
		recovered := make(chan error, 1)
		go func() {
			recovered <- tok.recover(context.Background(), levelRestart, tok.gen, errors.New("the device is gone"))
		}()
		require.Eventually(t, func() bool {
			tok.mu.Lock()
			defer tok.mu.Unlock()
			return tok.recovery != nil
		}, time.Minute, 100*time.Microsecond)
		closed := make(chan error, 1)
		go func() { closed <- tok.Close(context.Background()) }()
		time.Sleep(2 * time.Millisecond)
		tok.unlock()
		require.NoError(t, <-closed)
		if err := <-recovered; err != nil { // else it came first
			require.ErrorIs(t, err, ErrClosed)
		}
		f.set(func() { require.False(t, f.initialized, "initialized again after Close") })
	}
}

// A call that waited for its turn while the token was closed stays out of the
// module.
func TestCallAfterClose(t *testing.T) {
	for range 20 {
		f := newFake()
		tok, err := openFake(t, f, nil)
		require.NoError(t, err)
		key, err := tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err)
		require.NoError(t, tok.lock(t.Context()))
		called, closed := make(chan error, 1), make(chan error, 1)
		go func() { called <- key.prove(context.Background()) }()
		time.Sleep(time.Millisecond)
		go func() { closed <- tok.Close(context.Background()) }()
		time.Sleep(time.Millisecond)
		tok.unlock()
		require.NoError(t, <-closed)
		f.set(func() { f.initialized, f.loggedIn = true, true }) // by the next owner
		if err := <-called; err != nil {                         // else it came first
			require.ErrorIs(t, err, ErrClosed)
		}
		f.set(func() { require.Empty(t, f.sessions, "in the next owner's login") })
	}
}

// Close wipes what was derived from the token's secrets, and says so to those
// who come later.
func TestCloseWipes(t *testing.T) {
	f := newFake()
	tok, err := openFake(t, f, nil)
	require.NoError(t, err)
	sealer, err := tok.GenerateSealingKey(t.Context(), "seal")
	require.NoError(t, err)
	blob, err := sealer.Seal(t.Context(), nil, []byte("share"))
	require.NoError(t, err)
	require.NotEmpty(t, tok.macKeys)
	require.NoError(t, tok.Close(t.Context()))
	_, err = sealer.keys.current().mac.sum(nil, nil, nil)
	require.ErrorIs(t, err, ErrClosed)
	_, err = sealer.Open(t.Context(), nil, blob)
	require.ErrorIs(t, err, ErrClosed)
	_, err = sealer.Seal(t.Context(), nil, []byte("x"))
	require.ErrorIs(t, err, ErrClosed)
}

// unsure is a token that does not answer whether a private exponent can be read.
type unsure struct{ *fake }

func (u *unsure) Attribute(s, h handle, kind uint) ([]byte, error) {
	if kind == pkcs11.CKA_PRIVATE_EXPONENT {
		u.mu.Lock()
		labelled := len(u.objects[h].attrs[pkcs11.CKA_LABEL]) > 0 // not the self-test's
		u.mu.Unlock()
		if labelled {
			return nil, CKR(pkcs11.CKR_DEVICE_ERROR)
		}
	}
	return u.fake.Attribute(s, h, kind)
}

// A token that does not say whether a secret can be read has not said no.
func TestHiddenNeedsAnAnswer(t *testing.T) {
	u := &unsure{newFake()}
	cfg, err := Config{Module: "fake", Label: "fake", PIN: noPIN}.complete()
	require.NoError(t, err)
	u.pin = "0000"
	tok, err := open(t.Context(), cfg, &owned{mod: u})
	require.NoError(t, err)
	_, err = tok.GenerateKey(t.Context(), "key", 2048)
	require.ErrorIs(t, err, ErrUnavailable)
	var code CKR
	require.ErrorAs(t, err, &code)
	require.Equal(t, CKR(pkcs11.CKR_DEVICE_ERROR), code)
	require.NoError(t, tok.Close(t.Context()))
}
