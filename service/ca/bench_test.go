package ca_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
)

// BenchmarkOCSP is one answer of the responder, from a store in memory.
func BenchmarkOCSP(b *testing.B) {
	a := newAuthority(b)
	c := a.issue(b, ca.Signature, identity.Qualified)
	for name, request := range map[string][]byte{
		"answered/P-256": ocspFor(a.issuing(), sha1ID, append([]byte{4, 16}, make([]byte, 16)...), c.SerialNumber),
		"malformed":      []byte("malformed"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := a.OCSP(context.Background(), request)
				require.Equal(b, name == "malformed", err != nil)
			}
		})
	}
}

// BenchmarkIssue is one certificate, from a store in memory.
func BenchmarkIssue(b *testing.B) {
	a := newAuthority(b)
	b.Run("6144/P-384", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.issue(b, ca.Signature, identity.Qualified)
		}
	})
}
