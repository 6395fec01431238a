package deviceclient

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/rp"
)

// FuzzRestore: whatever was stored, what is restored is saved as it is, and a login of
// version 3 is one over what it shows.
func FuzzRestore(f *testing.F) {
	p := &Phone{scheme: "smart-id-test"}
	f.Fuzz(func(t *testing.T, data []byte) {
		tx, err := p.restore(data)
		if err != nil {
			require.Nil(t, tx)
			return
		}
		require.Empty(t, rp.DisplayProblem(tx.RelyingParty, 32))
		text, err := tx.Save()
		if err != nil {
			return // a time that JSON does not have
		}
		again, err := p.restore(text)
		require.NoError(t, err)
		same, err := again.Save()
		require.NoError(t, err)
		require.Equal(t, string(text), string(same))
		require.Equal(t, tx.digest, again.digest)
	})
}
