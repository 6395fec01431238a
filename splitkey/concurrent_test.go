package splitkey_test

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestConcurrentUse: one share, one completer, one server key and one final key make the
// signatures of several goroutines at once, and keys are made and split beside them.
func TestConcurrentUse(t *testing.T) {
	own := splitkeytest.ServerKey(2048)
	for _, s := range sharings {
		p := splitOf(t, splitkeytest.Key(2048), s, own)
		final, err := splitkey.CheckFinalKey(p.pub(), p.client.PublicKey())
		require.NoError(t, err)
		sign := func(text string, opts crypto.SignerOpts) error {
			m, err := final.Encode(digestFor(opts.HashFunc(), text), opts)
			if err != nil {
				return err
			}
			y, err := p.client.SignPartial(m)
			if err != nil {
				return err
			}
			sig, err := p.complete(ctx, m, y)
			return errors.Join(err, m.Verify(sig))
		}
		shares := func(c *splitkey.ClientShare, srv *splitkey.ServerShare, err error) error {
			c.Wipe()
			srv.Wipe()
			return err
		}
		work := []func() error{
			func() error { return shares(splitkey.Split(splitkeytest.Key(2048), s)) },
			func() error { return shares(splitkey.GenerateKey(2048, s)) },
		}
		for i := range 4 {
			work = append(work, func() error {
				text := fmt.Sprint(i)
				return errors.Join(sign(text, crypto.SHA256), sign(text, &rsa.PSSOptions{Hash: crypto.SHA512}))
			})
		}
		done := make(chan error)
		for _, do := range work {
			go func() { done <- do() }()
		}
		for range work {
			require.NoError(t, <-done)
		}
	}
}
