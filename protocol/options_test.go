package protocol_test

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
)

// TestOptions: every way to sign has one text, and comes back from it.
func TestOptions(t *testing.T) {
	seen := map[string]bool{}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512} {
		for _, c := range []struct {
			text string
			all  []crypto.SignerOpts // the last is what comes back
		}{
			{"pkcs1v15/" + h.String(), []crypto.SignerOpts{h}},
			{"pss/" + h.String(), []crypto.SignerOpts{
				&rsa.PSSOptions{Hash: h}, &rsa.PSSOptions{Hash: h, SaltLength: h.Size()}, &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash},
			}},
			{"pss/" + h.String() + "/1", []crypto.SignerOpts{&rsa.PSSOptions{Hash: h, SaltLength: 1}}},
			{"pss/" + h.String() + "/1024", []crypto.SignerOpts{&rsa.PSSOptions{Hash: h, SaltLength: 1024}}},
		} {
			for _, opts := range c.all {
				text, err := protocol.FormatOptions(opts)
				require.NoError(t, err)
				require.Equal(t, c.text, text)
			}
			opts, err := protocol.ParseOptions(c.text)
			require.NoError(t, err)
			require.Equal(t, c.all[len(c.all)-1], opts)
			seen[c.text] = true
		}
	}
	require.Len(t, seen, 24)
	for _, opts := range []crypto.SignerOpts{
		nil, (*rsa.PSSOptions)(nil), crypto.Hash(0), crypto.SHA1, crypto.SHA224, crypto.SHA512_256, &rsa.PSSOptions{}, &rsa.PSSOptions{Hash: crypto.SHA1},
		&rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: -2}, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 1025},
	} {
		_, err := protocol.FormatOptions(opts)
		require.ErrorIs(t, err, protocol.ErrMalformed)
	}
	for _, text := range []string{
		"", "/", "pkcs1v15", "pkcs1v15/", "pkcs1v15/SHA-1", "pkcs1v15/sha-256", "PSS/SHA-256", "pkcs1v15/SHA-256/", "pkcs1v15/SHA-256/32", "pss/SHA-256/",
		"pss/SHA-256/0", "pss/SHA-256/32", "pss/SHA-256/-1", "pss/SHA-256/+20", "pss/SHA-256/020", "pss/SHA-256/1025", "pss/SHA-256/20/", " pss/SHA-256",
		"pss/SHA-256/99999999999999999999", "oaep/SHA-256", "/SHA-256", "pkcs1v15/unknown hash value 0", strings.Repeat("x", 1<<20),
	} {
		_, err := protocol.ParseOptions(text)
		require.ErrorIs(t, err, protocol.ErrMalformed, text)
		require.Less(t, len(err.Error()), 200)
	}
	_, err := protocol.ParseOptions(strings.Repeat("x", 40))
	require.NotContains(t, err.Error(), "...")
	_, err = protocol.ParseOptions(strings.Repeat("x", 41))
	require.ErrorContains(t, err, strings.Repeat("x", 40)+"...")
}

func FuzzParseOptions(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		opts, err := protocol.ParseOptions(text)
		if err != nil {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			return
		}
		again, err := protocol.FormatOptions(opts)
		require.NoError(t, err)
		require.Equal(t, text, again)
	})
}

// A service says what a challenge is for, and an app reads it.
func ExampleFormatOptions() {
	text, err := protocol.FormatOptions(&rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash})
	fmt.Println(text, err)
	opts, err := protocol.ParseOptions(text)
	fmt.Println(opts.HashFunc(), err)
	// Output:
	// pss/SHA-256 <nil>
	// SHA-256 <nil>
}
