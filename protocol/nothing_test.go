package protocol_test

import (
	"crypto/rsa"
	"testing"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/protocol"
)

// TestNothing: no nil or zero value causes a panic or is accepted.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*protocol.KeyID)(nil), (*protocol.DestroyedError)(nil), (*protocol.Operation)(nil), (*protocol.Reason)(nil)},
		Functions: map[string]any{
			"ParseKeyID": protocol.ParseKeyID, "VerificationCode": protocol.VerificationCode, "CodeChoice": protocol.CodeChoice,
			"CodeChoiceOf": protocol.CodeChoiceOf, "RandomCode": protocol.RandomCode,
			"FormatOptions": protocol.FormatOptions, "ParseOptions": protocol.ParseOptions,
		},
		Nils: []any{(*rsa.PSSOptions)(nil)},
		May:  map[string]string{"KeyID.MarshalText": "an id of zeros is an id"},
	})
}
