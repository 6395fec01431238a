package hsm

import (
	"context"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// TestPing: a ping asks the token each time, uses no key, and says that a token does not
// answer.
func TestPing(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	require.NoError(t, tok.GenerateWrappingKey(t.Context(), "wrap"))
	keys, err := tok.ServerKeys(t.Context(), "wrap", 2048, 0)
	require.NoError(t, err)
	require.NoError(t, keys.Ping(t.Context()))
	f.set(func() { clear(f.calls) })
	require.NoError(t, keys.Ping(t.Context()))
	require.Equal(t, 1, f.count("C_GetAttributeValue"))
	require.Zero(t, f.count("C_UnwrapKey"))

	f.set(func() { f.trouble = func(string) error { return CKR(pkcs11.CKR_DEVICE_REMOVED) } })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, keys.Ping(ctx), ErrUnavailable)
	f.set(func() { f.trouble = nil })
	require.NoError(t, keys.keys.t.Close(t.Context()))
	require.ErrorIs(t, keys.Ping(t.Context()), ErrClosed)
}

// TestPingKey: the same of a key by itself, as a CA has one.
func TestPingKey(t *testing.T) {
	f := newFake()
	tok := mustOpenFake(t, f, nil)
	key, err := tok.GenerateKey(t.Context(), "issuing", 2048)
	require.NoError(t, err)
	require.NoError(t, key.Ping(t.Context()))
	f.set(func() { clear(f.calls) })
	require.NoError(t, key.Ping(t.Context()))
	require.Positive(t, f.count("C_GetAttributeValue"))
	require.Zero(t, f.count("C_SignInit")+f.count("C_DecryptInit"))

	f.set(func() { f.trouble = func(string) error { return CKR(pkcs11.CKR_DEVICE_REMOVED) } })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, key.Ping(ctx), ErrUnavailable)
	f.set(func() { f.trouble = nil })
	require.NoError(t, tok.Close(t.Context()))
	require.ErrorIs(t, key.Ping(t.Context()), ErrClosed)
}
