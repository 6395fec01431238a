package hsm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// fails makes one function of the fake fail a number of times.
func fails(f *fake, call string, times int, err error) {
	var left atomic.Int64
	left.Store(int64(times))
	f.set(func() {
		f.trouble = func(c string) error {
			if c == call && left.Add(-1) >= 0 {
				return err
			}
			return nil
		}
	})
}

// What each return value costs and leads to.
func TestReactions(t *testing.T) {
	for _, c := range []struct {
		code             CKR
		logins, restarts int
		err              error
	}{
		// What was seen to work is not refused: the token is in trouble.
		{pkcs11.CKR_DATA_LEN_RANGE, 1, 1, nil},
		{pkcs11.CKR_SIGNATURE_INVALID, 1, 1, nil},
		{pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, 1, 1, nil},
		{pkcs11.CKR_MECHANISM_INVALID, 1, 1, nil},
		{pkcs11.CKR_SESSION_HANDLE_INVALID, 0, 0, nil},
		{pkcs11.CKR_SESSION_CLOSED, 0, 0, nil},
		{pkcs11.CKR_OPERATION_ACTIVE, 0, 0, nil},
		{pkcs11.CKR_USER_NOT_LOGGED_IN, 1, 0, nil},
		{pkcs11.CKR_OBJECT_HANDLE_INVALID, 1, 0, nil},
		{pkcs11.CKR_KEY_HANDLE_INVALID, 1, 0, nil},
		{pkcs11.CKR_KEY_TYPE_INCONSISTENT, 1, 0, nil},
		{pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, 1, 1, nil},
		{pkcs11.CKR_TOKEN_NOT_PRESENT, 1, 1, nil},
		{pkcs11.CKR_DEVICE_ERROR, 1, 1, nil},
		{pkcs11.CKR_DEVICE_REMOVED, 1, 1, nil},
		{pkcs11.CKR_GENERAL_ERROR, 1, 1, nil},
		{pkcs11.CKR_FUNCTION_FAILED, 1, 1, nil},
		{pkcs11.CKR_HOST_MEMORY, 1, 1, nil},
		{0xCE534351, 1, 1, nil}, // NSS
		{pkcs11.CKR_PIN_EXPIRED, 0, 0, ErrPIN},
	} {
		t.Run(c.code.Error(), func(t *testing.T) {
			f := newFake()
			tok := mustOpenFake(t, f, nil)
			key, err := tok.GenerateKey(t.Context(), "key", 2048)
			require.NoError(t, err)
			logins := f.count("C_Login")
			fails(f, "C_Sign", 1, c.code)
			x := make([]byte, 256)
			x[9] = 9
			y, err := key.Exponentiate(t.Context(), x)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				require.ErrorAs(t, err, new(CKR))
				require.NotErrorIs(t, err, ErrUnavailable)
			} else {
				require.NoError(t, err)
				require.NotEmpty(t, y)
			}
			require.Equal(t, logins+c.logins, f.count("C_Login"))
			require.EqualValues(t, c.restarts, tok.Stats().Restarts)
			f.set(func() { f.trouble = nil })
			if c.err != ErrPIN {
				require.NoError(t, key.prove(t.Context()))
			}
		})
	}
}

// A refusal counts at the first use of a key, and later only if the token comes back from
// a recovery and works: SoftHSM refuses keys of a token that is being restored.
func TestRefusals(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	fails(f, "C_Sign", 1<<30, CKR(pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED))
	x := make([]byte, 256)
	x[9] = 9
	for range 100 {
		_, err = key.Exponentiate(t.Context(), x)
		require.ErrorIs(t, err, ErrUnavailable)
		require.NotErrorIs(t, err, ErrUnsupported)
	}
	require.LessOrEqual(t, tok.Stats().Restarts, uint64(12))
	restarts := tok.Stats().Restarts
	key, err = tok.Key(t.Context(), "key")
	require.NoError(t, err, "by the other function")
	require.Equal(t, "C_Decrypt", key.by)
	f.set(func() {
		f.trouble = func(call string) error {
			if call == "C_Sign" || call == "C_Decrypt" {
				return CKR(pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED)
			}
			return nil
		}
	})
	_, err = tok.Key(t.Context(), "key")
	require.ErrorIs(t, err, ErrUnsupported)
	require.NotErrorIs(t, err, ErrUnavailable)
	require.Equal(t, restarts, tok.Stats().Restarts)
}

// A token that is away fails fast, is looked for at intervals, and works again when it is
// back.
func TestAway(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, func(c *Config) { c.MaxBackoff = 200 * time.Millisecond })
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	f.set(func() { f.gone, f.initialized = true, false })
	start, calls := time.Now(), 0
	for ; calls <= 10 || time.Since(start) < 500*time.Millisecond; calls++ {
		_, err = key.Exponentiate(t.Context(), key.n[:0:0])
		require.ErrorIs(t, err, ErrInput, "bad input is bad input, with or without a token")
		err = key.prove(t.Context())
		require.ErrorIs(t, err, ErrUnavailable)
	}
	require.True(t, tok.Stats().Down)
	// 100 ms, then 200 ms apart; a slow machine tries less often.
	require.LessOrEqual(t, tok.Stats().Restarts, 3+uint64(time.Since(start)/(200*time.Millisecond)))
	var missing *TokenError
	require.ErrorAs(t, err, &missing)
	f.set(func() { f.gone = false })
	require.Eventually(t, func() bool { return key.prove(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	require.False(t, tok.Stats().Down)

	// Another token of the same label is not the same token.
	f.set(func() { f.info.serial, f.initialized = "2", false })
	require.ErrorIs(t, key.prove(t.Context()), ErrUnavailable)
	require.Equal(t, "1", tok.Serial())
	f.set(func() { f.info.serial = "1" })
	require.Eventually(t, func() bool { return key.prove(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
}

// A deleted key is never found again, and costs the others little.
func TestKeyDeleted(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	gone, err := tok.GenerateKey(t.Context(), "gone", 2048)
	require.NoError(t, err)
	stays, err := tok.GenerateKey(t.Context(), "stays", 2048)
	require.NoError(t, err)
	deleted := map[handle]*fakeObject{}
	f.set(func() {
		for h, o := range f.objects {
			if string(o.attrs[pkcs11.CKA_LABEL]) == "gone" {
				deleted[h] = o
				delete(f.objects, h)
			}
		}
	})
	for range 500 {
		err := gone.prove(t.Context())
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, ErrKeyNotFound)
		require.NoError(t, stays.prove(t.Context()))
	}
	s := tok.Stats()
	// Doubling from 100 ms: 12 would be a minute and a half.
	require.LessOrEqual(t, s.Recoveries, uint64(24))
	f.set(func() {
		for h, o := range deleted {
			f.objects[h] = o
		}
	})
	require.NoError(t, gone.prove(t.Context()), "it is back without a recovery")
}

// A single sick key does not make the module restart for ever.
func TestSickKey(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	fails(f, "C_Sign", 1<<30, CKR(pkcs11.CKR_GENERAL_ERROR))
	for range 500 {
		require.ErrorIs(t, key.prove(t.Context()), ErrUnavailable)
	}
	require.LessOrEqual(t, tok.Stats().Restarts, uint64(12))
	require.False(t, tok.Stats().Down, "the token itself is fine")
}

// A token with few sessions gets a smaller pool, not errors.
func TestFewSessions(t *testing.T) {
	f := newFake()
	f.trouble = func(call string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if call == "C_OpenSession" && len(f.sessions) >= 3 {
			return CKR(pkcs11.CKR_SESSION_COUNT)
		}
		return nil
	}
	tok := mustOpenFake(t, f, func(c *Config) { c.Sessions = 8 })
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	l := startWorkload(t.Context(), 16, signing(key))
	// The pool grows back every second, and shrinks again at once.
	require.Eventually(t, func() bool { return l.ok.Load() > 300 && tok.Stats().Sessions <= 3 }, time.Minute, time.Millisecond)
	l.finish(t)
	require.GreaterOrEqual(t, tok.Stats().Sessions, 1)

	f = newFake()
	f.info.maxRWSessions = 4
	tok = mustOpenFake(t, f, func(c *Config) { c.Sessions = 8 })
	require.Equal(t, 3, tok.Stats().Sessions, "one holds the login")
}

// Calls that do not return are abandoned and counted, and nothing is taken away under
// them.
func TestAbandoned(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, func(c *Config) { c.Sessions = 2 })
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	setLimits(t, tok, time.Second) // from here on: all before may take its time
	block := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.set(func() {
		f.trouble = func(call string) error {
			if call == "C_Sign" {
				cancel()
				<-block
			}
			return nil
		}
	})
	err = key.prove(ctx)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, tok.Stats().Running)
	err = key.prove(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded, "CallTimeout")
	require.Equal(t, 2, tok.Stats().Running)

	// Both sessions are taken for good: fail at once.
	start := time.Now()
	for range 100 {
		require.ErrorIs(t, key.prove(t.Context()), ErrUnavailable)
	}
	require.Less(t, time.Since(start), 100*time.Second)
	require.Equal(t, 2, tok.Stats().Running)

	// No recovery finalizes the module under them.
	finalized := f.count("C_Finalize")
	require.ErrorIs(t, tok.recover(t.Context(), levelRestart, tok.Stats().Generation, nil), ErrUnavailable)
	require.Equal(t, finalized, f.count("C_Finalize"))

	setLimits(t, tok, time.Minute)
	close(block)
	require.Eventually(t, func() bool { return key.prove(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool { return tok.Stats().Running == 0 }, time.Minute, time.Millisecond)
	require.EqualValues(t, 2, tok.Stats().Abandoned)
}

// Who waits for a turn is refused when all that have one hang: calls, or a recovery.
func TestQueueBehindHanging(t *testing.T) {
	for call, trouble := range map[string]func(*fake){
		"C_Sign":       func(*fake) {},
		"C_Initialize": func(f *fake) { f.initialized = false },
	} {
		f := newFake()
		tok := mustOpenFake(t, f, func(c *Config) { c.Sessions = 2 })
		key, err := tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err)
		setLimits(t, tok, time.Second)
		block, inside := make(chan struct{}), make(chan struct{}, 2)
		f.set(func() {
			trouble(f)
			f.trouble = func(c string) error {
				if c == call {
					inside <- struct{}{}
					<-block
				}
				return nil
			}
		})
		waiting := 2 // for the call or recovery that hangs, and for a turn
		results := make(chan error, 3)
		prove := func() { results <- key.prove(context.WithoutCancel(t.Context())) }
		go prove()
		<-inside
		if call == "C_Sign" {
			go prove()
			<-inside
			waiting++
		}
		go prove()
		for range waiting {
			select {
			case err := <-results:
				require.ErrorIs(t, err, ErrUnavailable, call)
			case <-time.After(time.Minute):
				t.Fatalf("%s hangs, and so does who waits", call)
			}
		}
		f.set(func() { f.trouble = nil })
		close(block)
		require.Eventually(t, func() bool { return key.prove(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	}
}

// Close waits for calls, and leaves a module alone while a call is in it.
func TestClose(t *testing.T) {
	f := newFake()
	tok, err := openFake(t, f, nil)
	require.NoError(t, err)
	key, err := tok.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
	block, inside := make(chan struct{}), make(chan struct{})
	f.set(func() {
		f.trouble = func(call string) error {
			if call == "C_Sign" {
				close(inside)
				<-block
			}
			return nil
		}
	})
	result := make(chan error)
	go func() { result <- key.prove(context.WithoutCancel(t.Context())) }()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, tok.Close(ctx), ErrUnavailable)
	require.Zero(t, f.count("C_Finalize"))
	require.ErrorIs(t, key.prove(t.Context()), ErrClosed)
	f.set(func() { f.trouble = nil })
	close(block)
	require.NoError(t, <-result)
	require.NoError(t, tok.Close(t.Context()))
	require.NoError(t, tok.Close(t.Context()), "twice is once")
	require.Equal(t, 1, f.count("C_Finalize"))
	require.ErrorIs(t, key.prove(t.Context()), ErrClosed)
}

// Closing under load ends the load, not the process.
func TestCloseUnderLoad(t *testing.T) {
	for range 20 {
		f := newFake()
		tok, err := openFake(t, f, nil)
		require.NoError(t, err)
		key, err := tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err)
		errs := make(chan error, 8)
		for range cap(errs) {
			go func() {
				for {
					if err := key.prove(context.WithoutCancel(t.Context())); err != nil {
						errs <- err
						return
					}
				}
			}()
		}
		require.NoError(t, tok.Close(t.Context()))
		for range cap(errs) {
			require.ErrorIs(t, <-errs, ErrClosed)
		}
	}
}

func TestPIN(t *testing.T) {
	t.Run("wrong", func(t *testing.T) {
		f := newFake()
		f.pin = "other"
		_, err := openFake(t, f, nil)
		require.ErrorIs(t, err, ErrPIN)
		require.Equal(t, 1, f.count("C_Login"))
		require.False(t, f.initialized)
	})
	for name, flag := range map[string]uint{"final try": pkcs11.CKF_USER_PIN_FINAL_TRY, "locked": pkcs11.CKF_USER_PIN_LOCKED} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.info.flags |= flag
			_, err := openFake(t, f, nil)
			require.ErrorIs(t, err, ErrPIN)
			require.Zero(t, f.count("C_Login"))
		})
	}
	t.Run("not set", func(t *testing.T) {
		f := newFake()
		f.info.flags &^= pkcs11.CKF_USER_PIN_INITIALIZED
		_, err := openFake(t, f, nil)
		require.ErrorIs(t, err, ErrUnavailable)
		require.Zero(t, f.count("C_Login"))
	})
	t.Run("callback fails", func(t *testing.T) {
		f := newFake()
		_, err := openFake(t, f, func(c *Config) {
			c.PIN = func(context.Context) ([]byte, error) { return nil, errors.New("vault is closed") }
		})
		require.ErrorIs(t, err, ErrUnavailable)
		require.Zero(t, f.count("C_Login"))
	})
	t.Run("wiped", func(t *testing.T) {
		pin := []byte("1234")
		mustOpenFake(t, newFake(), func(c *Config) { c.PIN = func(context.Context) ([]byte, error) { return pin, nil } })
		require.Equal(t, make([]byte, 4), pin)
	})
	// A PIN that was changed while the token is open is tried once.
	t.Run("changed", func(t *testing.T) {
		f := newFake()
		tok := mustOpenFake(t, f, nil)
		key, err := tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err)
		f.set(func() { f.pin, f.loggedIn = "other", false })
		for range 20 {
			require.ErrorIs(t, key.prove(t.Context()), ErrPIN)
		}
		require.Equal(t, 2, f.count("C_Login"))
		require.True(t, tok.Stats().PINRefused)
	})
	// Somebody else has used up the tries: wait for him to clear that.
	t.Run("used up by others", func(t *testing.T) {
		f := newFake()
		tok := mustOpenFake(t, f, func(c *Config) { c.MaxBackoff = 10 * time.Millisecond })
		key, err := tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err)
		f.set(func() { f.info.flags |= pkcs11.CKF_USER_PIN_FINAL_TRY; f.loggedIn = false })
		err = key.prove(t.Context())
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, ErrPIN)
		require.Equal(t, 1, f.count("C_Login"))
		f.set(func() { f.info.flags &^= pkcs11.CKF_USER_PIN_FINAL_TRY })
		require.Eventually(t, func() bool { return key.prove(t.Context()) == nil }, time.Minute, time.Millisecond)
	})
}
