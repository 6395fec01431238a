package ca_test

import (
	"context"
	"crypto/ecdsa"
	"testing"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
)

// TestNothing: no nil or zero value causes a panic or is accepted.
func TestNothing(t *testing.T) {
	a := newAuthority(t)
	niltest.Check(t, niltest.Package{
		Types:  []any{(*ca.Authority)(nil), (*ca.Issuing)(nil), (*ca.Serial)(nil), (*ca.Setup)(nil)},
		Values: []func() any{func() any { return a.Authority }},
		Functions: map[string]any{
			"New": ca.New, "NewRoot": ca.NewRoot, "NewIssuing": ca.NewIssuing, "TestName": ca.TestName, "CompatProfile": ca.CompatProfile,
			"CreateFolder": ca.CreateFolder, "OpenFolder": ca.OpenFolder, "ReadFolder": ca.ReadFolder, "AddIssuing": ca.AddIssuing, "SerialOf": ca.SerialOf,
		},
		Good: []any{context.Background(), a.root, a.signer, ca.TestName("x")},
		Nils: []any{(*catest.MemoryStore)(nil), (*ecdsa.PrivateKey)(nil)},
	})
}
