package splitkey_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// pointerKey is a server key whose methods need a pointer that is not nil.
type pointerKey struct{ splitkey.RSAKey }

func (k *pointerKey) Public() crypto.PublicKey { return k.RSAKey.Public() }

func (k *pointerKey) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	return k.RSAKey.Exponentiate(ctx, x)
}

// pointerReader is a source of randomness that nobody reads.
type pointerReader struct{ io.Reader }

func (r *pointerReader) Read(b []byte) (int, error) { return r.Reader.Read(b) }

// TestNothing: no nil, zero value or nil in an interface causes a panic or is accepted.
func TestNothing(t *testing.T) {
	key := splitkeytest.Key(2048)
	own := splitkeytest.ServerKey(2048)
	p := splitOf(t, key, splitkey.Additive, own)
	digest := digestFor(crypto.SHA256, "x")
	m, err := p.final().Encode(digest, crypto.SHA256)
	require.NoError(t, err)
	y, err := p.client.SignPartial(m)
	require.NoError(t, err)
	ch, err := p.completer.Check(m, y)
	require.NoError(t, err)
	fresh := func() *pair { return splitOf(t, key, splitkey.Additive, own) }
	niltest.Check(t, niltest.Package{
		Types: []any{
			(*splitkey.ClientShare)(nil), (*splitkey.ServerShare)(nil), (*splitkey.Completer)(nil), (*splitkey.Checked)(nil),
			(*splitkey.FinalKey)(nil), (*splitkey.Message)(nil), (*splitkey.SoftwareKey)(nil),
			(*splitkey.Sharing)(nil),
		},
		Values: []func() any{
			func() any { return fresh().client }, func() any { return fresh().server },
			func() any { return p.completer }, func() any { return ch }, func() any { return p.final() }, func() any { return m },
			func() any { return own },
		},
		Functions: map[string]any{
			"NewCompleter": splitkey.NewCompleter, "LeastServerModulus": splitkey.LeastServerModulus,
			"ParseServerShare": splitkey.ParseServerShare, "GenerateKey": splitkey.GenerateKey, "Split": splitkey.Split,
			"CheckModulus":        splitkey.CheckModulus,
			"CheckFinalKey":       splitkey.CheckFinalKey,
			"NewClientShare":      splitkey.NewClientShare,
			"GenerateSoftwareKey": splitkey.GenerateSoftwareKey, "ParseSoftwareKey": splitkey.ParseSoftwareKey,
		},
		Good: []any{digest, crypto.SHA256, splitkey.Additive, key, &key.PublicKey, p.final(), p.client, p.server, own, m, ch},
		Nils: []any{(*rsa.PSSOptions)(nil), (*pointerKey)(nil), (*splitkey.SoftwareKey)(nil), (*pointerReader)(nil)},
		May: map[string]string{
			"NewCompleter:1": "of a two-prime key",
		},
	})
	// A nil pointer in an RSAKey does not mean a two-prime key.
	for _, own := range []splitkey.RSAKey{(*pointerKey)(nil), (*splitkey.SoftwareKey)(nil)} {
		_, err := splitkey.NewCompleter(p.server, own, nil)
		require.ErrorIs(t, err, splitkey.ErrKey)
		_, err = splitkey.NewCompleter(p.server, own, p.completer.Precomputed())
		require.ErrorIs(t, err, splitkey.ErrKey)
	}
}
