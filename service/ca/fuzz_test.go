package ca

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"
)

// FuzzOCSPRequest: what is read has what golang.org/x/crypto/ocsp finds as well, and is
// within its limits.
func FuzzOCSPRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := parseOCSPRequest(der)
		if err != nil {
			require.Equal(t, errMalformedOCSP, err)
			require.Nil(t, r)
			return
		}
		require.NotEmpty(t, r.ids)
		require.LessOrEqual(t, len(r.ids), maxCertIDs)
		require.LessOrEqual(t, len(r.nonce), maxNonce+3)
		// It does not look at extensions, versions and hashes that it does not know.
		if other, err := ocsp.ParseRequest(der); err == nil {
			require.Zero(t, other.SerialNumber.Cmp(r.ids[0].serial))
			require.Equal(t, other.IssuerNameHash, r.ids[0].name)
			require.Equal(t, other.IssuerKeyHash, r.ids[0].key)
		}
	})
}

// FuzzOCSPPath: what a URL decodes to is never longer than it.
func FuzzOCSPPath(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		b, err := decodePath(s)
		if err == nil {
			require.LessOrEqual(t, len(b), len(s))
		}
	})
}
