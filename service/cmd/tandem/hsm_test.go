//go:build cgo && unix && !nopkcs11

package main

import (
	"os"
	"testing"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// TestHSM runs the script of testdata/hsm with two tokens of SoftHSM, of one label and in
// folders of their own.
func TestHSM(t *testing.T) {
	other := hsmtest.SoftHSM(t)
	otherConf := os.Getenv("SOFTHSM2_CONF")
	token := hsmtest.SoftHSM(t)
	scripts(t, "testdata/hsm",
		"SOFTHSM2_CONF="+os.Getenv("SOFTHSM2_CONF"), "other="+otherConf,
		"module="+token.Module, "label="+token.Label, "hsmpin="+token.PIN, "otherpin="+other.PIN)
}
