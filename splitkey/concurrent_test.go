package splitkey_test

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestConcurrentUse: one share, one completer, one server key and one final key make the
// signatures of many goroutines at once, and keys are made and split beside them.
func TestConcurrentUse(t *testing.T) {
	own := splitkeytest.ServerKey(2048)
	for _, s := range sharings {
		p := splitOf(t, splitkeytest.Key(2048), s, own)
		final, err := splitkey.CheckFinalKey(p.pub(), p.client.PublicKey())
		assert.NoError(t, err)
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA512}} {
					m, err := final.Encode(digestFor(opts.HashFunc(), fmt.Sprint(i)), opts)
					if !assert.NoError(t, err) {
						return
					}
					y, err := p.client.SignPartial(m)
					assert.NoError(t, err)
					sig, err := p.complete(ctx, m, y)
					assert.NoError(t, err)
					assert.NoError(t, m.Verify(sig))
				}
			})
		}
		group.Go(func() {
			client, server, err := splitkey.Split(splitkeytest.Key(2048), s)
			assert.NoError(t, err)
			client.Wipe()
			server.Wipe()
		})
		group.Go(func() {
			client, server, err := splitkey.GenerateKey(2048, s)
			assert.NoError(t, err)
			client.Wipe()
			server.Wipe()
		})
		group.Wait()
	}
}
