package ca

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/durable"
)

// TestFolderIsDurable: a folder whose making fails at any step is not there, and neither
// is a part of it. One that was made is synced, file by file.
func TestFolderIsDurable(t *testing.T) {
	defer func() { disk = durable.Disk{} }()
	broken := errors.New("broken")
	for fail := 0; ; fail++ {
		dir := t.TempDir()
		step := 0
		synced := map[string]bool{}
		disk = durable.Observed(func(s durable.Step) error {
			step++
			if step == fail+1 {
				return broken
			}
			if s.Op == durable.Sync {
				synced[filepath.Base(s.Name)] = true
			}
			return nil
		})
		err := CreateFolder(filepath.Join(dir, "ca"), Setup{Name: TestName("root")}, Setup{Name: TestName("issuing")})
		entries, readErr := os.ReadDir(dir)
		require.NoError(t, readErr)
		if step <= fail { // nothing failed any more
			require.NoError(t, err)
			require.Len(t, entries, 1)
			require.Len(t, synced, 4)
			require.Greater(t, fail, 25)
			return
		}
		if err != nil { // a link that fails is made up for
			require.ErrorIs(t, err, broken)
		}
		// Once it has its name it may stay: it is whole, and only the name may be lost.
		if len(entries) > 0 {
			_, err := OpenFolder(filepath.Join(dir, "ca"), nil)
			require.NoError(t, err)
			require.Len(t, entries, 1)
		}
	}
}
