package vectors

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// TestOpenSSL: the openssl command verifies every final signature under the PEM key
// beside it, and refuses each with its last bit changed.
func TestOpenSSL(t *testing.T) {
	openssl := needtest.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	for name, want := range map[string]int{"complete": 43, "complete_composite": 76} {
		b, err := FS.ReadFile(name + ".json")
		require.NoError(t, err)
		var file struct {
			TestGroups []struct {
				Type, PublicKeyPem string
				Tests              []struct {
					TcID                             int
					Hash, Padding, Digest, Salt, Sig string
				}
			}
		}
		require.NoError(t, json.Unmarshal(b, &file))
		ran := 0
		for _, g := range file.TestGroups {
			if g.Type != "Complete" {
				continue
			}
			key := write("key.pem", []byte(g.PublicKeyPem))
			for _, v := range g.Tests {
				bytes := func(s string) []byte {
					out, err := hex.DecodeString(s)
					require.NoError(t, err)
					return out
				}
				sig := bytes(v.Sig)
				digest := write("digest", bytes(v.Digest))
				name := strings.ToLower(v.Hash)
				if strings.HasPrefix(name, "sha-") {
					name = strings.Replace(name, "-", "", 1)
				}
				args := []string{"pkeyutl", "-verify", "-pubin", "-inkey", key, "-in", digest, "-sigfile", write("sig", sig), "-pkeyopt", "digest:" + name}
				if v.Padding == "PSS" {
					args = append(args, "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", fmt.Sprintf("rsa_pss_saltlen:%d", len(v.Salt)/2))
				}
				out, err := exec.Command(openssl, args...).CombinedOutput()
				require.NoError(t, err, "%d: %s", v.TcID, out)
				require.Contains(t, string(out), "Verified Successfully")
				sig[len(sig)-1] ^= 1
				write("sig", sig)
				require.Error(t, exec.Command(openssl, args...).Run(), v.TcID)
				ran++
			}
		}
		require.Equal(t, want, ran)
	}
}
