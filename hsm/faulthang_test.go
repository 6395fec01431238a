//go:build cgo && linux && !nopkcs11

package hsm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// callTimeout bounds a call in the tests in which one hangs. What takes longer on a busy
// machine is repeated.
const callTimeout = 2 * time.Second

// returns waits for what must end.
func returns(t *testing.T, what string, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		t.Fatalf("%s hangs", what)
		return nil
	}
}

func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(backoff) {
		if err = ok(); err == nil {
			return
		}
	}
	require.NoError(t, err, what)
}

// A function that does not return holds nobody longer than CallTimeout, and when it
// returns at last all works.
func TestHang(t *testing.T) {
	functions := []string{"C_Sign", "C_UnwrapKey", "C_OpenSession", "C_CloseSession", "C_GetTokenInfo", "C_Login", "C_Initialize"}
	if *whole {
		functions = append(functions, "C_SignInit", "C_Encrypt", "C_EncryptInit", "C_Decrypt", "C_DecryptInit", "C_DestroyObject",
			"C_GetAttributeValue", "C_GetSlotList", "C_CloseAllSessions", "C_Finalize")
	}
	f := faulty(t)
	tok := openFaulty(t, f, func(c *hsm.Config) { c.CallTimeout = callTimeout })
	u := newUse(t, tok)
	steps := u.steps()[:4] // sign, seal, open, load key
	for _, function := range functions {
		remove := f.Add(hsmtest.Rule{Function: function, Action: hsmtest.Hold, Times: 1})
		if trigger := triggers[function]; trigger != 0 {
			f.Add(hsmtest.Rule{Function: "C_SignInit", Action: hsmtest.Refuse, Value: trigger, Times: 1})
		}
		result := make(chan error, len(steps))
		var errs []error
		for _, s := range steps {
			go func() { result <- s.do(context.Background()) }()
			errs = append(errs, returns(t, function, result))
		}
		require.Equal(t, 1, f.Counts().Held, function)
		failed := errors.Join(errs...)
		require.ErrorIs(t, failed, hsm.ErrUnavailable, function)
		for _, err := range errs {
			require.True(t, err == nil || errors.Is(err, hsm.ErrUnavailable), "%s: %v", function, err)
		}
		remove()
		f.Clear()
		for _, s := range steps {
			eventually(t, function+", "+s.name, func() error { return s.do(t.Context()) })
		}
		require.Eventually(t, func() bool { return tok.Stats().Running == 0 && f.Counts().Held == 0 }, patience, time.Millisecond)
	}
	require.False(t, tok.Stats().PINRefused)
	closeToken(t, tok)
	requireClean(t, f)
}

// TestRecoveryWaits: a token that needs a recovery is left as it is while a call is in
// its module, and is back once that has returned.
func TestRecoveryWaits(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, func(c *hsm.Config) { c.CallTimeout = callTimeout })
	u := newUse(t, tok)
	for _, cause := range []string{"C_Login", "C_Initialize"} {
		taken := func() (n []int) {
			for _, function := range []string{"C_CloseAllSessions", "C_Finalize", "C_Initialize", "C_Login"} {
				n = append(n, f.Counts().Calls[function])
			}
			return n
		}
		before := taken()
		remove := f.Add(hsmtest.Rule{Function: "C_Sign", Action: hsmtest.Hold, Times: 1})
		held := make(chan error, 1)
		go func() { held <- sign(context.Background(), u.key) }()
		require.Eventually(t, func() bool { return f.Counts().Held == 1 }, patience, time.Millisecond)
		f.Add(hsmtest.Rule{Function: "C_SignInit", Action: hsmtest.Refuse, Value: triggers[cause], Times: 1})
		require.ErrorIs(t, sign(t.Context(), u.key), hsm.ErrUnavailable, cause)
		require.ErrorIs(t, returns(t, "sign", held), hsm.ErrUnavailable, cause)
		require.ErrorIs(t, sign(t.Context(), u.key), hsm.ErrUnavailable, cause)
		require.Equal(t, 1, f.Counts().Held)
		require.Equal(t, before, taken(), "what takes the module's state away, for %s", cause)
		remove()
		f.Clear()
		eventually(t, cause, func() error { return sign(t.Context(), u.key) })
		require.NotEqual(t, before, taken())
		require.Eventually(t, func() bool { return tok.Stats().Running == 0 }, patience, time.Millisecond)
	}
	closeToken(t, tok)
	requireClean(t, f)
}

// The caller's context ends the wait for a call that hangs; meanwhile others work.
func TestHangContext(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, nil)
	u := newUse(t, tok)
	remove := f.Add(hsmtest.Rule{Function: "C_Sign", Action: hsmtest.Hold, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- sign(ctx, u.key) }()
	require.Eventually(t, func() bool { return f.Counts().Held == 1 }, patience, time.Millisecond)
	for range 20 {
		require.NoError(t, sign(t.Context(), u.key))
	}
	cancel()
	err := returns(t, "sign", result)
	require.ErrorIs(t, err, hsm.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, tok.Stats().Running)
	remove()
	require.Eventually(t, func() bool { return tok.Stats().Running == 0 }, patience, time.Millisecond)
	require.NoError(t, sign(t.Context(), u.key))
	closeToken(t, tok)
	requireClean(t, f)
}

// Open ends with its context and after CallTimeout, whichever function hangs. It is tried
// again when that function has returned.
func TestHangAtOpen(t *testing.T) {
	f := faulty(t)
	var tok *hsm.Token
	functions := called(f, func() { tok = openFaulty(t, f, nil) })
	caps := tok.Capabilities()
	closeToken(t, tok)
	if !*whole {
		functions = []string{"C_Initialize", "C_GetSlotList", "C_Login", "C_GenerateKeyPair", "C_Sign"}
	}
	for i, function := range functions {
		timeout := i%2 == 1
		f.Add(hsmtest.Rule{Function: function, Action: hsmtest.Hold, Times: 1})
		cfg := faultyConfig(t, f)
		if timeout {
			cfg.CallTimeout, cfg.GenerateTimeout = callTimeout, callTimeout
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		result := make(chan error, 1)
		go func() { _, err := hsm.Open(ctx, cfg); result <- err }()
		require.Eventually(t, func() bool { return f.Counts().Held == 1 }, patience, time.Millisecond, function)
		if !timeout {
			cancel()
		}
		err := returns(t, "Open, in "+function, result)
		require.ErrorIs(t, err, hsm.ErrUnavailable, function)
		want := context.Canceled
		if timeout {
			want = context.DeadlineExceeded
		}
		require.ErrorIs(t, err, want, function)
		// The module is not given to another while a call is in it.
		_, err = hsm.Open(t.Context(), faultyConfig(t, f))
		require.Error(t, err, function)
		f.Clear()
		var tok *hsm.Token
		eventually(t, "Open after "+function, func() (err error) {
			tok, err = hsm.Open(t.Context(), faultyConfig(t, f))
			return err
		})
		require.Equal(t, caps, tok.Capabilities(), function)
		closeToken(t, tok)
	}
	requireClean(t, f)
}

// What ends by itself is never said to hang: with all sessions in use, calls wait for
// their turn, not for a time-out.
func TestQueue(t *testing.T) {
	f := faulty(t)
	tok := openFaulty(t, f, func(c *hsm.Config) { c.Sessions = 2 })
	u := newUse(t, tok)
	before := f.Counts().Calls["C_Sign"]
	const callers, each = 16, 20
	result := make(chan error, callers)
	for range callers {
		go func() {
			var errs []error
			for range each {
				errs = append(errs, sign(context.Background(), u.key))
			}
			result <- errors.Join(errs...)
		}()
	}
	for range callers {
		require.NoError(t, returns(t, "sign", result))
	}
	require.GreaterOrEqual(t, f.Counts().Calls["C_Sign"]-before, callers*each)
	require.LessOrEqual(t, f.Counts().MostSessions, 2+1+1, "two, the one that holds the login, and one of the self-test")
	closeToken(t, tok)
	requireClean(t, f)
	require.Zero(t, f.Counts().Sessions, "all are closed")
}
