package device

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// FuzzParseState also tries the data as what is inside of a right checksum.
func FuzzParseState(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		inside := append([]byte(storageMagic), wire.Version, storageChecked)
		inside = append(inside, data...)
		sum := sha256.Sum256(inside)
		for _, encoded := range [][]byte{data, append(inside, sum[:]...)} {
			s, err := parseState(encoded, nil)
			if err != nil {
				require.ErrorIs(t, err, ErrStorage)
				continue
			}
			again, err := s.encode(nil)
			require.NoError(t, err)
			require.Equal(t, encoded, again)
		}
	})
}
