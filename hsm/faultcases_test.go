//go:build cgo && linux && !nopkcs11

package hsm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// A module of Cryptoki 3.2, as SoftHSM 2.7 is, is used like one of 2.40.
func TestNewVersion(t *testing.T) {
	f := faulty(t)
	f.Version(3, 2)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	for _, s := range u.steps() {
		require.NoError(t, s.do(t.Context()), s.name)
	}
}

// No result with a wrong bit gets out, whichever bit it is.
func TestFlippedBits(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	loaded, err := u.keys.LoadKey(t.Context(), u.wrapped)
	require.NoError(t, err)
	x := make([]byte, 256)
	x[100] = 1
	faults := uint64(0)
	for _, bit := range []uint{0, 7, 8, 1000, 2047} {
		for _, key := range []interface {
			Exponentiate(context.Context, []byte) ([]byte, error)
		}{u.key, loaded} {
			remove := f.Add(hsmtest.Rule{Function: "C_Sign", Action: hsmtest.Flip, Value: bit, Times: hsmtest.ForEver})
			y, err := key.Exponentiate(t.Context(), x)
			remove()
			faults++
			require.ErrorIs(t, err, hsm.ErrFault)
			require.Nil(t, y)
			require.Equal(t, faults, tok.Stats().Faults)
			_, err = key.Exponentiate(t.Context(), x)
			require.NoError(t, err)
		}
	}
	require.Zero(t, tok.Stats().Recoveries)
	// A new key is used before it is given out, by either function.
	for _, function := range []string{"C_Sign", "C_Decrypt"} {
		f.Add(hsmtest.Rule{Function: function, Action: hsmtest.Flip, Times: hsmtest.ForEver})
	}
	_, err = tok.GenerateKey(t.Context(), "key-flipped", 2048)
	require.ErrorIs(t, err, hsm.ErrFault)
	_, _, err = u.keys.NewKey(t.Context())
	require.ErrorIs(t, err, hsm.ErrFault)
	f.Clear()
	closeToken(t, tok)
	requireClean(t, f)
}

// What the token opened wrongly is not given out, and said to be the token's fault, not
// the blob's.
func TestFlippedPlaintext(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	for _, bit := range []uint{0, 100} {
		for _, function := range []string{"C_Decrypt", "C_Encrypt"} {
			remove := f.Add(hsmtest.Rule{Function: function, Action: hsmtest.Flip, Value: bit, Times: hsmtest.ForEver})
			if function == "C_Decrypt" {
				got, err := u.sealer.Open(t.Context(), []byte("user"), u.sealed)
				require.ErrorIs(t, err, hsm.ErrFault)
				require.Nil(t, got)
			} else if blob, err := u.sealer.Seal(t.Context(), nil, []byte("share")); err == nil {
				// It shows to who opens the blob.
				remove()
				_, err := u.sealer.Open(t.Context(), nil, blob)
				require.Error(t, err)
				require.NotErrorIs(t, err, hsm.ErrBlob)
			}
			remove()
			got, err := u.sealer.Open(t.Context(), []byte("user"), u.sealed)
			require.NoError(t, err)
			require.Equal(t, "share", string(got))
		}
	}
}

// Operands out of range, and blobs that are not authentic, cause no call at all.
func TestNothingBadReachesTheModule(t *testing.T) {
	f := faulty(t)
	ctx := t.Context()
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	n := u.key.Public().(*rsa.PublicKey).N.Bytes()
	above := bytes.Clone(n)
	above[len(above)-1]++ // n is odd
	before := f.Counts().Calls
	for _, x := range [][]byte{nil, {1}, n, above, bytes.Repeat([]byte{0xff}, len(n)), make([]byte, len(n)), append([]byte{0}, n...), n[1:]} {
		_, err := u.key.Exponentiate(ctx, x)
		require.ErrorIs(t, err, hsm.ErrInput)
	}
	for i := range u.sealed {
		bad := bytes.Clone(u.sealed)
		bad[i] ^= 0x40
		_, err := u.sealer.Open(ctx, []byte("user"), bad)
		require.ErrorIs(t, err, hsm.ErrBlob, i)
		_, err = u.sealer.Open(ctx, []byte("user"), u.sealed[:i])
		require.ErrorIs(t, err, hsm.ErrBlob, i)
	}
	for i := 0; i < len(u.wrapped); i += 7 {
		bad := bytes.Clone(u.wrapped)
		bad[i] ^= 0x40
		_, err := u.keys.LoadKey(ctx, bad)
		require.ErrorIs(t, err, hsm.ErrBlob, i)
	}
	after := f.Counts().Calls
	for _, function := range []string{"C_SignInit", "C_DecryptInit", "C_UnwrapKey"} {
		// A blob that names an unknown key causes a look for it, once in a while, with
		// a derivation for each key that is there.
		if function == "C_SignInit" {
			require.LessOrEqual(t, after[function]-before[function], 20, function)
			continue
		}
		require.Equal(t, before[function], after[function], function)
	}
	requireClean(t, f)
}

// A token that says of a key that it can be extracted has no key for this package, and
// keeps none that was made for it.
func TestLies(t *testing.T) {
	for name, lie := range map[string]struct {
		attribute uint
		value     bool
	}{
		"extractable": {pkcs11.CKA_EXTRACTABLE, true}, "not sensitive": {pkcs11.CKA_SENSITIVE, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := faulty(t)
			ctx := t.Context()
			tok := openFaulty(t, f, nil)
			u := newUse(t, tok)
			f.Lie(lie.attribute, lie.value)
			_, err := tok.Key(ctx, "key")
			require.ErrorIs(t, err, hsm.ErrExposed)
			_, err = tok.GenerateKey(ctx, "key-lie", 2048)
			require.ErrorIs(t, err, hsm.ErrExposed)
			_, err = tok.Sealer(ctx, "seal")
			require.ErrorIs(t, err, hsm.ErrExposed)
			_, err = tok.ServerKeys(ctx, "wrap", 2048, 0)
			require.ErrorIs(t, err, hsm.ErrExposed)
			loaded, err := u.keys.LoadKey(ctx, u.wrapped)
			if err == nil {
				err = sign(ctx, loaded)
			}
			require.Error(t, err, "a key that came out of its wrapping readable")
			f.Clear()
			_, err = tok.Key(ctx, "key-lie")
			require.ErrorIs(t, err, hsm.ErrKeyNotFound, "it was destroyed")
			_, err = tok.Key(ctx, "key")
			require.NoError(t, err)
		})
	}
}

// A wrong PIN is tried once, whatever code the module gives for it.
func TestWrongPINByAnyCode(t *testing.T) {
	f := faulty(t)
	cfg := faultyConfig(t, f)
	cfg.PIN = func(context.Context) ([]byte, error) { return []byte("no such PIN"), nil }
	for _, code := range []uint{
		pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LOCKED,
		pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_USER_NOT_LOGGED_IN, 0x1B0, pkcs11.CKR_ARGUMENTS_BAD,
		pkcs11.CKR_DATA_INVALID, pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_USER_TYPE_INVALID, pkcs11.CKR_FUNCTION_CANCELED,
		pkcs11.CKR_FUNCTION_REJECTED, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_BUFFER_TOO_SMALL, pkcs11.CKR_VENDOR_DEFINED + 7, 0x12345,
	} {
		before := f.Counts()
		f.Add(hsmtest.Rule{Function: "C_Login", Action: hsmtest.Lose, Value: code, Times: hsmtest.ForEver})
		_, err := hsm.Open(t.Context(), cfg)
		f.Clear()
		require.ErrorIs(t, err, hsm.ErrPIN, "%v", pkcs11.Error(code))
		require.Equal(t, 1, f.Counts().PINsRefused-before.PINsRefused, "%v: tries", pkcs11.Error(code))
	}
	// A PIN that turns wrong while the token is in use, too.
	for _, code := range []uint{pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_VENDOR_DEFINED + 7} {
		right := true
		cfg.PIN = func(context.Context) ([]byte, error) {
			if right {
				return []byte(f.PIN), nil
			}
			return []byte("no such PIN"), nil
		}
		tok, err := hsm.Open(t.Context(), cfg)
		require.NoError(t, err)
		sealer, err := tok.GenerateSealingKey(t.Context(), rand.Text())
		require.NoError(t, err)
		right = false
		f.Add(hsmtest.Rule{Function: "C_Login", Action: hsmtest.Lose, Value: code, Times: hsmtest.ForEver})
		f.Add(hsmtest.Rule{Function: hsmtest.Any, Action: hsmtest.Refuse, Value: pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, Times: 1})
		before := f.Counts().PINsRefused
		for range 5 {
			_, err := sealer.Seal(t.Context(), nil, nil)
			require.ErrorIs(t, err, hsm.ErrPIN, "%v", pkcs11.Error(code))
			time.Sleep(backoff)
		}
		require.Equal(t, 1, f.Counts().PINsRefused-before, "%v: tries", pkcs11.Error(code))
		require.True(t, tok.Stats().PINRefused)
		f.Clear()
		closeToken(t, tok)
	}
}

// wraps are the mechanisms that wrap keys.
var wraps = []uint{pkcs11.CKM_AES_KEY_WRAP, pkcs11.CKM_AES_KEY_WRAP_PAD, 0x210B, pkcs11.CKM_AES_CBC_PAD}

// A module that lists no wrapping mechanism, as p11-kit server and pkcs11-proxy do not,
// is asked for none, and sees no template within a template: pkcs11-proxy's daemon dies
// of it. All else works.
func TestNoWrapping(t *testing.T) {
	f := faulty(t)
	f.Hide(wraps...)
	tok := openFaulty(t, f, nil)
	require.Empty(t, tok.Capabilities().Wrap)
	require.NotEmpty(t, tok.Capabilities().Seal)
	require.Zero(t, f.Counts().Nested)
	require.ErrorIs(t, tok.GenerateWrappingKey(t.Context(), "wrap"), hsm.ErrUnsupported)
	_, err := tok.ServerKeys(t.Context(), "wrap", 2048, 0)
	require.ErrorIs(t, err, hsm.ErrUnsupported)
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	require.NoError(t, sign(t.Context(), key))
	_, err = tok.GenerateSealingKey(t.Context(), "seal")
	require.NoError(t, err)
	require.Zero(t, f.Counts().Nested)
	require.Zero(t, tok.Stats().Recoveries)
	closeToken(t, tok)
	requireClean(t, f)
}

// A token whose key pairs stay, as TPMs have, cannot be tried with a passing one. The key
// itself is tried when it is made or found.
func TestTokenPairsOnly(t *testing.T) {
	f := faulty(t)
	f.TokenPairs()
	tok := openFaulty(t, f, nil)
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	require.NoError(t, sign(t.Context(), key))
	found, err := tok.Key(t.Context(), "key")
	require.NoError(t, err)
	require.Equal(t, key.Public(), found.Public())
	require.Zero(t, tok.Stats().Recoveries)
}

// C_Finalize fails, and the module goes on all the same: so does the package.
func TestFinalizeRefused(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	f.Add(hsmtest.Rule{Function: "C_Finalize", Action: hsmtest.Refuse, Value: pkcs11.CKR_GENERAL_ERROR, Times: hsmtest.ForEver})
	f.Add(hsmtest.Rule{Function: "C_SignInit", Action: hsmtest.Refuse, Value: pkcs11.CKR_DEVICE_REMOVED, Times: 1})
	for i := 0; ; i++ {
		err := sign(t.Context(), u.key)
		if err == nil {
			break
		}
		require.ErrorIs(t, err, hsm.ErrUnavailable)
		require.Less(t, i, 3, "recovery does not end: %v", err)
		time.Sleep(backoff)
	}
	require.NotZero(t, tok.Stats().Restarts)
	require.NotZero(t, f.Counts().Faults["C_Finalize"])
	for _, s := range u.steps() {
		require.NoError(t, s.do(t.Context()), s.name)
	}
	f.Clear()
	closeToken(t, tok)
	requireClean(t, f)
}

// AWS CloudHSM makes the IV of AES-GCM itself and wants zeros in its place, and public
// keys with CKA_PRIVATE. Neither is a hindrance.
func TestCloud(t *testing.T) {
	f := faulty(t)
	f.OwnIV()
	f.PrivateHalves()
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	for _, s := range u.steps() {
		require.NoError(t, s.do(t.Context()), s.name)
	}
	require.Zero(t, tok.Stats().Recoveries)
}

// A key that wants the PIN at each use is refused when it is found, and costs the other
// keys nothing.
func TestAlwaysAuthenticate(t *testing.T) {
	f := faulty(t)
	r := openRaw(t, f.Real)
	id := pkcs11.NewAttribute(pkcs11.CKA_ID, "always")
	label := pkcs11.NewAttribute(pkcs11.CKA_LABEL, "always")
	_, _, err := r.GenerateKeyPair(r.s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{
			id, label, pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, 2048),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
		},
		[]*pkcs11.Attribute{
			id, label, pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
			pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
			pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true),
			pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_AUTHENTICATE, true),
		})
	require.NoError(t, err)
	r.close(t)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	logins := f.Counts().Calls["C_Login"]
	for range 5 {
		_, err := tok.Key(t.Context(), "always")
		require.ErrorIs(t, err, hsm.ErrUnsupported)
		require.NotErrorIs(t, err, hsm.ErrUnavailable)
		require.NoError(t, sign(t.Context(), u.key))
	}
	require.Zero(t, tok.Stats().Recoveries)
	require.Equal(t, logins, f.Counts().Calls["C_Login"])
}

// A write-protected token serves the keys that it has, and refuses new ones for good:
// nothing is recovered, since nothing is lost.
func TestReadOnlyToken(t *testing.T) {
	f := faulty(t)
	ctx := t.Context()
	tok := openFaulty(t, f, nil)
	newUse(t, tok)
	closeToken(t, tok)
	f.ReadOnly(true)
	tok = openFaulty(t, f, nil)
	u := &use{}
	u.reopen(t, tok)
	key, err := tok.Key(ctx, "key")
	require.NoError(t, err)
	for range 3 {
		_, err := tok.GenerateKey(ctx, "key-new", 2048)
		require.ErrorIs(t, err, hsm.ErrUnsupported)
		_, err = tok.GenerateSealingKey(ctx, "seal-new")
		require.ErrorIs(t, err, hsm.ErrUnsupported)
		require.ErrorIs(t, tok.GenerateWrappingKey(ctx, "wrap-new"), hsm.ErrUnsupported)
		require.NoError(t, sign(ctx, key))
		require.ErrorIs(t, u.sealer.Rotate(ctx), hsm.ErrUnsupported)
		_, _, err = u.keys.NewKey(ctx)
		require.NoError(t, err, "it stays outside the token")
	}
	require.Zero(t, tok.Stats().Recoveries)
	closeToken(t, tok)
	// Nor are read-write sessions needed.
	f.ReadOnly(false)
	tok = openFaulty(t, f, nil)
	key, err = tok.Key(ctx, "key")
	require.NoError(t, err)
	require.NoError(t, sign(ctx, key))
	_, err = tok.GenerateKey(ctx, "key-new", 2048)
	require.ErrorIs(t, err, hsm.ErrUnsupported)
	require.Zero(t, tok.Stats().Recoveries)
}

// Too few sessions for a moment are too few for a moment.
func TestSessionCount(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, func(c *hsm.Config) { c.Sessions = 8 })
	u := newUse(t, tok)
	require.Equal(t, 8, tok.Stats().Sessions)
	f.MaxSessions(3)
	work := func() {
		const callers = 16
		result := make(chan error, callers)
		for range callers {
			go func() {
				var errs []error
				for range 10 {
					errs = append(errs, sign(context.Background(), u.key))
				}
				result <- errors.Join(errs...)
			}()
		}
		for range callers {
			if err := returns(t, "sign", result); err != nil {
				require.ErrorIs(t, err, hsm.ErrUnavailable)
			}
		}
	}
	eventually(t, "the limit is met", func() error {
		work()
		if f.Counts().Calls["C_Sign"] == 0 || tok.Stats().Sessions == 8 {
			return errors.New("not yet")
		}
		return nil
	})
	require.NoError(t, sign(t.Context(), u.key), "with fewer sessions")
	f.MaxSessions(0)
	eventually(t, "the pool is whole again", func() error {
		if err := sign(t.Context(), u.key); err != nil {
			return err
		}
		if n := tok.Stats().Sessions; n != 8 {
			return errors.New("it is smaller")
		}
		return nil
	})
	closeToken(t, tok)
	requireClean(t, f)
}

// A key whose making was given up may be made all the same. To ask again is safe: it
// finds the key, or makes it, or fails as long as the first call goes on.
func TestRepeatAfterTimeout(t *testing.T) {
	for function, make := range map[string]func(context.Context, *hsm.Token) error{
		"C_GenerateKeyPair": func(ctx context.Context, tok *hsm.Token) error {
			_, err := tok.GenerateKey(ctx, "new", 2048)
			if errors.Is(err, hsm.ErrKeyExists) {
				_, err = tok.Key(ctx, "new")
			}
			return err
		},
		"C_GenerateKey": func(ctx context.Context, tok *hsm.Token) error {
			_, err := tok.GenerateSealingKey(ctx, "new")
			if errors.Is(err, hsm.ErrKeyExists) {
				_, err = tok.Sealer(ctx, "new")
			}
			return err
		},
	} {
		t.Run(function, func(t *testing.T) {
			f := faulty(t)
			tok := openFaulty(t, f, nil)
			ctx, cancel := context.WithCancel(t.Context())
			remove := f.Add(hsmtest.Rule{Function: function, Action: hsmtest.Hold, Times: 1})
			result := newResult(func() error { return make(ctx, tok) })
			require.Eventually(t, func() bool { return f.Counts().Held == 1 }, patience, time.Millisecond)
			cancel()
			err := returns(t, function, result)
			require.ErrorIs(t, err, hsm.ErrUnavailable)
			require.ErrorIs(t, err, context.Canceled)
			// Asked again while the first still hangs, and after.
			again := newResult(func() error { return make(t.Context(), tok) })
			time.Sleep(backoff)
			remove()
			first := returns(t, "the second", again)
			if first != nil {
				require.ErrorIs(t, first, hsm.ErrUnavailable)
			}
			require.Eventually(t, func() bool { return tok.Stats().Running == 0 }, patience, time.Millisecond)
			require.NoError(t, make(t.Context(), tok))
			closeToken(t, tok)
		})
	}
}

func newResult(do func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- do() }()
	return result
}

// A token that takes the template of a wrapping key and forgets it makes no such key:
// what was wrapped under it could be unwrapped readable. Nothing is left of the attempt.
func TestForgottenTemplate(t *testing.T) {
	f := faulty(t)
	ctx := t.Context()
	tok := openFaulty(t, f, nil)
	require.Contains(t, tok.Capabilities().Guards, "C_UnwrapKey")
	f.DropTemplates()
	require.ErrorIs(t, tok.GenerateWrappingKey(ctx, "wrap"), hsm.ErrExposed)
	f.Clear()
	_, err := tok.ServerKeys(ctx, "wrap", 2048, 0)
	require.ErrorIs(t, err, hsm.ErrKeyNotFound)
	require.NoError(t, tok.GenerateWrappingKey(ctx, "wrap"))
	closeToken(t, tok)
	for kind, is := range strength(t, f) {
		if strings.HasPrefix(kind, "wrap, class 04") && strings.Contains(is, "unwraps a key readable") {
			require.Contains(t, is, "CKR_TEMPLATE_INCONSISTENT", kind)
		}
	}
	// From the start, it is seen in the self-test.
	f.DropTemplates()
	tok = openFaulty(t, f, nil)
	require.NotContains(t, tok.Capabilities().Guards, "C_UnwrapKey")
	require.ErrorIs(t, tok.GenerateWrappingKey(ctx, "wrap-again"), hsm.ErrExposed)
}
