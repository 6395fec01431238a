//go:build cgo && unix && !nopkcs11

package hsm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

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
			l := startWorkload(ctx, 16, work...)
			defer l.finish(t)
			before := l.rate(300 * time.Millisecond)
			require.NotZero(t, before)
			for range d.times {
				d.action()
				// Everybody gets through before the next one: a call gives up
				// after four tries.
				done := l.ok.Load()
				require.Eventually(t, func() bool { return l.ok.Load() > done+100 }, time.Minute, 10*time.Millisecond)
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
				require.Zero(t, failed, "the last: %v", l.failure.Load())
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
	h, err := tok.mod.OpenSession(tok.slot)
	if err != nil {
		return err
	}
	return errors.Join(pkcs11.New(tok.cfg.Module).Logout(pkcs11.SessionHandle(h)), tok.mod.CloseSession(h))
}
