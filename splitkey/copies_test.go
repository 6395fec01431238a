package splitkey_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestCopies: a caller who changes what he put in or got out changes no share, key,
// message or signature.
func TestCopies(t *testing.T) {
	key := splitkeytest.Key(2048)
	first := splitOf(t, key, splitkey.Multiplicative, nil)
	x, d, pub := first.client.Secret(), first.server.Secret(), first.client.PublicKey()
	client, err := splitkey.NewClientShare(pub, splitkey.Multiplicative, x)
	require.NoError(t, err)
	server, err := splitkey.NewServerShare(pub, splitkey.Multiplicative, d)
	require.NoError(t, err)
	clear(x)
	clear(d)
	pub.N.SetInt64(15)
	pub.E = 5
	own := splitkeytest.ServerKey(2048)
	own.Public().(*rsa.PublicKey).N.SetInt64(15)
	completer, err := splitkey.NewCompleter(server, own, nil)
	require.NoError(t, err)
	pre := completer.Precomputed()
	restored, err := splitkey.NewCompleter(server, own, pre)
	require.NoError(t, err)
	clear(pre)
	clear(completer.Precomputed())
	clear(client.Secret())
	clear(server.Secret())
	clear(server.Bytes())
	client.PublicKey().N.SetInt64(15)
	server.PublicKey().N.SetInt64(15)
	completer.PublicKey().N.SetInt64(15)

	digest, salt := digestFor(crypto.SHA256, "x"), make([]byte, 32)
	m, err := completer.FinalKey().EncodeWithSalt(digest, &rsa.PSSOptions{Hash: crypto.SHA256}, salt)
	require.NoError(t, err)
	clear(digest)
	salt[0] = 1
	clear(m.Bytes())
	require.Equal(t, make([]byte, 32), m.Salt())
	m.Salt()[1] = 1
	require.Equal(t, make([]byte, 32), m.Salt())
	y, err := client.SignPartial(m)
	require.NoError(t, err)
	for _, c := range []*splitkey.Completer{completer, restored} {
		ch, err := c.Check(m, y)
		require.NoError(t, err)
		sig, err := c.Finish(ctx, ch)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPSS(c.PublicKey(), crypto.SHA256, digestFor(crypto.SHA256, "x"), sig, nil))
		require.NoError(t, m.Verify(sig))
		clear(sig)
		_, err = c.Finish(ctx, ch)
		require.NoError(t, err)
	}
	// Two-prime: s1 is the signature, and is given out as a copy.
	m, err = first.final().Encode(digestFor(crypto.SHA256, "x"), crypto.SHA256)
	require.NoError(t, err)
	y, err = first.client.SignPartial(m)
	require.NoError(t, err)
	ch, err := first.completer.Check(m, y)
	require.NoError(t, err)
	sig, err := first.completer.Finish(ctx, ch)
	require.NoError(t, err)
	clear(sig)
	_, err = first.completer.Finish(ctx, ch)
	require.NoError(t, err)
}

type contextKey struct{}

// TestSignContext: the caller's context reaches the server's side.
func TestSignContext(t *testing.T) {
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Additive, nil)
	with := context.WithValue(t.Context(), contextKey{}, "mine")
	s := p.client.Signer(with, p.final(), func(ctx context.Context, m *splitkey.Message, y []byte) ([]byte, error) {
		require.Equal(t, "mine", ctx.Value(contextKey{}))
		return p.complete(ctx, m, y)
	})
	_, err := s.Sign(nil, digestFor(crypto.SHA256, "x"), crypto.SHA256)
	require.NoError(t, err)
}
