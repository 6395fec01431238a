//go:build cgo && unix && !nopkcs11

package hsm

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// workload is goroutines that use a token without a pause.
type workload struct {
	stop          context.CancelFunc
	done          sync.WaitGroup
	ok, failed    atomic.Int64
	wrong         atomic.Int64
	unexpected    atomic.Pointer[error]
	lastFailureAt atomic.Int64 // nanoseconds since start
	start         time.Time
}

func startLoad(ctx context.Context, goroutines int, work ...func(context.Context) error) *workload {
	ctx, cancel := context.WithCancel(ctx)
	l := &workload{stop: cancel, start: time.Now()}
	for i := range goroutines {
		f := work[i%len(work)]
		l.done.Go(func() {
			for ctx.Err() == nil {
				switch err := f(context.WithoutCancel(ctx)); {
				case err == nil:
					l.ok.Add(1)
				case errors.Is(err, ErrUnavailable):
					l.failed.Add(1)
					l.lastFailureAt.Store(int64(time.Since(l.start)))
					time.Sleep(time.Millisecond) // as any client would
				case errors.Is(err, errWrong):
					l.wrong.Add(1)
				default:
					l.unexpected.Store(&err)
				}
			}
		})
	}
	return l
}

// rate measures the work done in a while.
func (l *workload) rate(d time.Duration) float64 {
	before := l.ok.Load()
	time.Sleep(d)
	return float64(l.ok.Load()-before) / d.Seconds()
}

func (l *workload) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	if err := l.unexpected.Load(); err != nil {
		t.Errorf("failed otherwise than by ErrUnavailable: %v", *err)
	}
	require.Zero(t, l.wrong.Load(), "wrong results")
}

// signing does one operation and checks it independently.
func signing(key splitkey.RSAKey) func(context.Context) error {
	k := key.(*Key)
	return func(ctx context.Context) error {
		x := make([]byte, len(k.n))
		rand.Read(x[1:])
		y, err := k.Exponentiate(ctx, x)
		if err != nil {
			return err
		}
		if splitkey.VerifyExponentiation(k.pub, x, y) != nil {
			return errWrong
		}
		return nil
	}
}

func opening(s *Sealer, blob []byte, want string) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := s.Open(ctx, nil, blob)
		if err != nil {
			return err
		}
		if string(got) != want {
			return errWrong
		}
		return nil
	}
}

// Sixteen goroutines sign, unwrap and open while the token is taken away in
// every way that a token is. Between calls, where a module would otherwise end
// the process; the directory at any time.
func TestDisturbed(t *testing.T) {
	tokens := hsmtest.SoftHSM(t)
	cfg := config(tokens)
	cfg.Sessions = 8
	tok := openToken(t, cfg)
	ctx := t.Context()
	key, err := tok.GenerateKey(ctx, "key", 2048)
	require.NoError(t, err)
	sealer, err := tok.GenerateSealingKey(ctx, "seal")
	require.NoError(t, err)
	blob, err := sealer.Seal(ctx, nil, []byte("share"))
	require.NoError(t, err)
	require.NoError(t, tok.GenerateWrappingKey(ctx, "wrap"))
	keys, err := tok.ServerKeys(ctx, "wrap", 2048, 0)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	wrapped, _, err := keys.NewKey(ctx)
	require.NoError(t, err)

	work := []func(context.Context) error{signing(key), signing(wrapped), signing(key), opening(sealer, blob, "share")}
	// exclusively does something while no call is in the module.
	exclusively := func(f func()) {
		require.NoError(t, tok.gate.lock(ctx))
		f()
		tok.gate.unlock()
	}
	away := filepath.Join(filepath.Dir(tokens.Dir), "away")
	moveAway := func(d time.Duration) {
		require.NoError(t, os.Rename(tokens.Dir, away))
		time.Sleep(d)
		require.NoError(t, os.Rename(away, tokens.Dir))
	}
	// The seconds during which the token is not there; its failures are due.
	for _, d := range []struct {
		name   string
		times  int
		lossy  bool // may fail with ErrUnavailable
		action func()
	}{
		{"sessions closed", 10, false, func() {
			exclusively(func() { _ = tok.mod.CloseAllSessions(tok.slot) })
		}},
		{"one session closed", 10, false, func() {
			exclusively(func() {
				tok.mu.Lock()
				defer tok.mu.Unlock()
				if len(tok.idle) > 0 {
					_ = tok.mod.CloseSession(tok.idle[len(tok.idle)-1])
				}
			})
		}},
		{"logged out", 10, false, func() {
			exclusively(func() { require.NoError(t, logOut(tok)) })
		}},
		{"module finalized", 10, false, func() {
			exclusively(func() { require.NoError(t, tok.mod.Finalize()) })
		}},
		{"directory away", 1, true, func() { moveAway(time.Second) }},
		{"token initialized anew, then restored", 1, true, func() {
			backup := filepath.Join(t.TempDir(), "backup")
			require.NoError(t, os.CopyFS(backup, os.DirFS(tokens.Dir)))
			out, err := exec.Command("softhsm2-util", "--init-token", "--token", tokens.Label,
				"--label", tokens.Label, "--pin", tokens.PIN, "--so-pin", tokens.SOPIN).CombinedOutput()
			require.NoError(t, err, "%s", out)
			time.Sleep(time.Second)
			require.NoError(t, os.Rename(tokens.Dir, away+"-empty"))
			require.NoError(t, os.Rename(backup, tokens.Dir))
		}},
		{"directory removed and another in its place", 1, true, func() {
			require.NoError(t, os.Rename(tokens.Dir, away))
			require.NoError(t, os.Mkdir(tokens.Dir, 0o700))
			time.Sleep(time.Second)
			require.NoError(t, os.Remove(tokens.Dir))
			require.NoError(t, os.Rename(away, tokens.Dir))
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			l := startLoad(ctx, 16, work...)
			defer l.finish(t)
			before := l.rate(300 * time.Millisecond)
			require.NotZero(t, before)
			for range d.times {
				d.action()
				time.Sleep(30 * time.Millisecond)
			}
			back := time.Since(l.start)
			time.Sleep(time.Second) // a second after the token is back ...
			failed := l.failed.Load()
			after := l.rate(300 * time.Millisecond)
			t.Logf("%.0f/s before, %.0f/s after, %d failed, the last %v after the end", before, after, failed,
				time.Duration(l.lastFailureAt.Load())-back)
			// ... nothing fails any more, and the work is done as before. The
			// rate is logged, not compared: this is no quiet machine.
			require.Equal(t, failed, l.failed.Load())
			require.NotZero(t, after)
			if !d.lossy {
				require.Zero(t, failed)
			}
		})
	}
	s := tok.Stats()
	require.Zero(t, s.Faults)
	require.Zero(t, s.Abandoned)
	t.Logf("%+v", s)
}

// logOut does what no part of the package does.
func logOut(tok *Token) error {
	m := tok.mod.(*module)
	h, err := m.OpenSession(tok.slot)
	if err != nil {
		return err
	}
	return errors.Join(m.ctx.Logout(pkcs11.SessionHandle(h)), m.CloseSession(h))
}
