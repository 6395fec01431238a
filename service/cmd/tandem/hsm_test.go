//go:build cgo && unix && !nopkcs11

package main

import (
	"os"
	"testing"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// TestHSM runs the script of testdata/hsm with two tokens of SoftHSM, of one label and in
// two folders.
func TestHSM(t *testing.T) {
	other := hsmtest.SoftHSM(t)
	otherConf := os.Getenv("SOFTHSM2_CONF")
	withToken(t, "testdata/hsm", "other="+otherConf, "otherpin="+other.PIN)
}

// TestMarkInToken runs the script of testdata/hsmmark with a token of its own: SoftHSM
// writes what it keeps of a token in place, and a process that begins then sees no token.
func TestMarkInToken(t *testing.T) { withToken(t, "testdata/hsmmark") }

// withToken runs scripts with a new token of SoftHSM.
func withToken(t *testing.T, folder string, env ...string) {
	token := hsmtest.SoftHSM(t)
	scripts(t, folder, append(env, "SOFTHSM2_CONF="+os.Getenv("SOFTHSM2_CONF"),
		"module="+token.Module, "label="+token.Label, "hsmpin="+token.PIN)...)
}
