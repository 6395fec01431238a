//go:build cgo && linux && !nopkcs11

package hsm

import (
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// A search does not run beside calls that make and destroy objects of a session, beside
// which SoftHSM 2.6.1 crashes: while one of these is in the module, it waits.
func TestSearchAlone(t *testing.T) {
	f := hsmtest.Faulty(t)
	tok := openToken(t, config(f.Token))
	m := tok.mod.(*module)
	require.NoError(t, tok.use(t, func(s *session) error {
		kek, err := s.generateAES(roleWrap, false)
		require.NoError(t, err)
		w, err := s.generateWrapped(kek, tok.wrapping.method, minBits)
		require.NoError(t, err)
		other, err := m.OpenSession(tok.slot, false)
		require.NoError(t, err)
		for function, call := range map[string]func() error{
			"C_UnwrapKey": func() error { _, err := s.unwrap(kek, w); return err },
			"C_DestroyObject": func() error {
				h, err := s.generateSecret(false)
				require.NoError(t, err)
				return m.DestroyObject(s.h, h)
			},
			"C_CloseSession": func() error {
				h, err := m.OpenSession(tok.slot, false)
				require.NoError(t, err)
				return m.CloseSession(h)
			},
		} {
			remove := f.Add(hsmtest.Rule{Function: function, Action: hsmtest.Hold, Times: 1})
			called, searched := make(chan error, 1), make(chan error, 1)
			go func() { called <- call() }()
			require.Eventually(t, func() bool { return f.Counts().Held == 1 }, time.Minute, time.Millisecond)
			go func() {
				_, err := m.FindObjects(other, labelled(pkcs11.CKO_SECRET_KEY, "none"), 1)
				searched <- err
			}()
			// Nobody gets a lock for reading while somebody waits for one to write.
			require.Eventually(t, func() bool {
				free := m.search.TryRLock()
				if free {
					m.search.RUnlock()
				}
				return !free || len(searched) > 0
			}, time.Minute, time.Millisecond)
			require.Empty(t, searched, "a search beside %s", function)
			remove()
			require.NoError(t, <-called)
			require.NoError(t, <-searched)
		}
		return nil
	}))
}
