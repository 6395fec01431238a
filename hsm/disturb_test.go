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

// subject is a token in use: keys of three kinds, and the work that is done
// with them.
type subject struct {
	*Token
	work []func(context.Context) error
}

func newSubject(t *testing.T, tokens hsmtest.Token) *subject {
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
	work := []func(context.Context) error{signing(wrapped), opening(sealer, blob, "share")}
	if tokens.Name != "NSS" { // which takes 25 ms of a lock for each use of a token key
		work = append(work, signing(key), signing(key))
	}
	return &subject{tok, work}
}

// disturb has sixteen goroutines sign, unwrap and open while something is done
// a number of times. Results are never wrong, failures are only ErrUnavailable,
// and soon after the last time there are none.
func (s *subject) disturb(t *testing.T, times int, action func()) int64 {
	l := startWorkload(t.Context(), 16, s.work...)
	defer l.finish(t)
	l.twice(t)
	for range times {
		action()
		l.twice(t)
	}
	end := time.Since(l.start)
	for failed := int64(-1); failed < l.failed.Load(); l.twice(t) {
		failed = l.failed.Load()
		require.Less(t, time.Since(l.start)-end, time.Minute, "still failing")
	}
	t.Logf("%d failed, the last %v after the end: %v", l.failed.Load(), time.Duration(l.lastFailureAt.Load())-end, l.failure.Load())
	require.Equal(t, cap(s.slots), s.Stats().Sessions, "with all its sessions")
	return l.failed.Load()
}

func (s *subject) healthy(t *testing.T) {
	stats := s.Stats()
	t.Logf("%+v", stats)
	require.Zero(t, stats.Faults)
	require.Zero(t, stats.Abandoned)
	require.False(t, stats.Down)
	require.NotZero(t, stats.Recoveries)
}

// TestDisturbed: whatever a module loses between calls causes no failure. (Lost during a
// call it would end the process; only another library in the process could do that.)
func TestDisturbed(t *testing.T) {
	for _, m := range hsmtest.Modules {
		t.Run(m.Name, func(t *testing.T) {
			s := newSubject(t, m.New(t))
			times := 2
			if m.Name == "SoftHSM" {
				times = 4
			}
			for _, d := range []struct {
				name   string
				action func() error
			}{
				{"sessions closed", func() error { return s.mod.CloseAllSessions(s.slot) }},
				{"one session closed", func() error {
					s.mu.Lock()
					defer s.mu.Unlock()
					if len(s.idle) == 0 {
						return nil
					}
					return s.mod.CloseSession(s.idle[len(s.idle)-1])
				}},
				{"logged out", func() error { return logOut(s.Token) }},
				{"module finalized", func() error { return s.mod.Finalize() }},
			} {
				t.Run(d.name, func(t *testing.T) {
					failed := s.disturb(t, times, func() {
						require.NoError(t, s.lock(t.Context()))
						err := d.action()
						s.unlock()
						require.NoError(t, err)
					})
					require.Zero(t, failed)
				})
			}
			s.healthy(t)
		})
	}
}

// The token itself goes away for a second, at any time, in every way that the
// token of SoftHSM can, and is back within a second of its return.
func TestTokenAway(t *testing.T) {
	tokens := hsmtest.SoftHSM(t)
	s := newSubject(t, tokens)
	away := filepath.Join(filepath.Dir(tokens.Dir), "away")
	for _, d := range []struct {
		name   string
		action func()
	}{
		{"directory moved away", func() {
			require.NoError(t, os.Rename(tokens.Dir, away))
			time.Sleep(time.Second)
			require.NoError(t, os.Rename(away, tokens.Dir))
		}},
		{"initialized anew, then restored", func() {
			backup := filepath.Join(t.TempDir(), "backup")
			require.NoError(t, os.CopyFS(backup, os.DirFS(tokens.Dir)))
			// Beside a process that works with the token, the tool may not find it.
			require.Eventually(t, func() bool {
				out, err := exec.Command("softhsm2-util", "--init-token", "--token", tokens.Label,
					"--label", tokens.Label, "--pin", tokens.PIN, "--so-pin", tokens.SOPIN).CombinedOutput()
				t.Logf("%s", out)
				return err == nil
			}, time.Minute, 10*time.Millisecond)
			time.Sleep(time.Second)
			require.NoError(t, os.Rename(tokens.Dir, away+"-empty"))
			require.NoError(t, os.Rename(backup, tokens.Dir))
		}},
		{"an empty directory in its place", func() {
			require.NoError(t, os.Rename(tokens.Dir, away))
			require.NoError(t, os.Mkdir(tokens.Dir, 0o700))
			time.Sleep(time.Second)
			require.NoError(t, os.Remove(tokens.Dir))
			require.NoError(t, os.Rename(away, tokens.Dir))
		}},
	} {
		t.Run(d.name, func(t *testing.T) { require.NotZero(t, s.disturb(t, 1, d.action)) })
	}
	s.healthy(t)
}

// logOut logs out, which no part of the package does.
func logOut(tok *Token) error {
	h, err := tok.mod.OpenSession(tok.slot, false)
	if err != nil {
		return err
	}
	return errors.Join(pkcs11.New(tok.cfg.Module).Logout(pkcs11.SessionHandle(h)), tok.mod.CloseSession(h))
}
