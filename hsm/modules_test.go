//go:build cgo && unix && !nopkcs11

package hsm

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// config opens a test token.
func config(tok hsmtest.Token) Config {
	return Config{
		Module:     tok.Module,
		Parameters: tok.Parameters,
		Label:      tok.Label,
		// Only a hang takes so long, on whatever machine.
		CallTimeout: time.Minute,
		PIN:         func(context.Context) ([]byte, error) { return []byte(tok.PIN), nil },
	}
}

// openToken opens a token until the end of the test.
func openToken(t testing.TB, cfg Config) *Token {
	t.Helper()
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(logTo{t}, nil))
	}
	tok, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, tok.Close(ctx))
	})
	return tok
}

type logTo struct{ t testing.TB }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}

// use runs f once in a session of its own.
func (t *Token) use(tb testing.TB, f func(*session) error) error {
	if err := t.admit(tb.Context(), "test"); err != nil {
		return err
	}
	_, _, err := once(tb.Context(), t, operation{name: "test", discard: true}, func(s *session) (struct{}, error) { return struct{}{}, f(s) })
	return err
}
