//go:build cgo && unix && !nopkcs11

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/internal/durable"
	"github.com/tandem-rsa/tandem/internal/needtest"
)

// objects counts what a token of SoftHSM holds, by its files.
func objects(t *testing.T, token hsmtest.Token) int {
	files, err := filepath.Glob(filepath.Join(token.Dir, "*", "*.object"))
	require.NoError(t, err)
	return len(files)
}

// TestFailedInitLeavesNoKeys: whatever ends an init after it made keys in a token, Ctrl-C
// too, takes them away.
func TestFailedInitLeavesNoKeys(t *testing.T) {
	token := hsmtest.SoftHSM(t)
	before := objects(t, token)
	for _, shape := range []string{composite, twoPrime} {
		for _, canceled := range []bool{false, true} {
			a := newApp()
			a.errOut, a.env = &strings.Builder{}, func(string) string { return token.PIN }
			ctx, cancel := context.WithCancel(t.Context())
			config := serverConfig{Version: configVersion, Shape: shape, ClientBits: 2048, HSM: &hsmConfig{Module: token.Module, Token: token.Label}}
			no := errors.New("no room")
			made := 0
			err := fillServer(ctx, &call{app: a, progress: newProgress(a.errOut)}, t.TempDir(), &config, hsmPIN{}, func() error {
				made = objects(t, token) - before
				if canceled {
					cancel()
					return ctx.Err()
				}
				return no
			})
			cancel()
			if canceled {
				require.ErrorIs(t, err, context.Canceled)
			} else {
				require.ErrorIs(t, err, no)
			}
			require.NotZero(t, made)
			require.Equal(t, before, objects(t, token), "keys are left")
		}
	}
}

// TestFailedInitLeavesNoMark: whatever ends an init after it made a mark in a token, the
// next one finds none under that label.
func TestFailedInitLeavesNoMark(t *testing.T) {
	token := hsmtest.SoftHSM(t)
	env := map[string]string{"TANDEM_HSM_PIN": token.PIN}
	folder := filepath.Join(t.TempDir(), "server")
	args := []string{"init", "-server", folder, "-shape", twoPrime, "-hsm", token.Module + ":" + token.Label, "-mark", "token:node"}
	before := 0
	for i, op := range []durable.Op{durable.Sync, durable.Rename} {
		empty := fill(t, op, map[durable.Op]string{durable.Sync: configFile, durable.Rename: "server"}[op])
		code, out := inProcess(env, args...)
		require.Equal(t, exitFailure, code, "%s", out)
		require.Contains(t, out, "no space left")
		empty()
		if i == 0 {
			before = objects(t, token)
		}
		require.Equal(t, before, objects(t, token), "more and more is left")
	}
	code, out := inProcess(env, args...)
	require.Equal(t, exitOK, code, "%s", out)
}

// TestCAInToken: a root whose key is in a token certifies issuing CAs from there. What is
// refused makes no key.
func TestCAInToken(t *testing.T) {
	openssl := needtest.Program(t, "openssl", "openssl")
	token := hsmtest.SoftHSM(t)
	dir, place := filepath.Join(t.TempDir(), "d"), token.Module+":"+token.Label
	folder := filepath.Join(dir, "ca")
	do := func(want int, pin string, args ...string) string {
		t.Helper()
		code, out := inProcess(map[string]string{"TANDEM_HSM_PIN": pin}, append(args, "-dir", dir, "-json")...)
		require.Equal(t, want, code, out)
		return out
	}
	before := objects(t, token)
	require.Contains(t, do(exitFailure, "999999", slices.Concat(createCA, []string{"-root-hsm", place})...), "hsm_pin")
	require.Equal(t, before, objects(t, token))
	require.NoDirExists(t, folder)
	do(exitOK, token.PIN, slices.Concat(createCA, []string{"-root-hsm", place})...)
	require.NoFileExists(t, filepath.Join(folder, "root.key"))
	require.FileExists(t, filepath.Join(folder, "issuing-1.key"))
	made := objects(t, token)
	require.Greater(t, made, before)

	do(exitFailure, token.PIN, slices.Concat(createCA, []string{"-root-hsm", place, "-hsm", place})...)
	do(exitUsage, token.PIN, "ca", "add", "-issuing", "Tree issuing", "-hsm", place)
	do(exitOK, token.PIN, "ca", "add", "-issuing", "Tree issuing 2")
	require.Equal(t, made, objects(t, token))
	for _, name := range []string{"issuing-1.crt", "issuing-2.crt"} {
		text, err := exec.Command(openssl, "verify", "-x509_strict", "-CAfile", filepath.Join(folder, "root.crt"), filepath.Join(folder, name)).CombinedOutput()
		require.NoError(t, err, string(text))
	}
	require.NoError(t, os.Rename(filepath.Join(folder, "root.ref"), filepath.Join(dir, "root.ref")))
	do(exitFailure, token.PIN, "ca", "add", "-issuing", "Tree issuing 3", "-hsm", place)
	require.Equal(t, made, objects(t, token))
}

// TestInitWithoutWrapping: a token that wraps no keys has no composite keys, and the
// failure says which keys it can have.
func TestInitWithoutWrapping(t *testing.T) {
	token := hsmtest.SoftHSM(t)
	conf, err := os.OpenFile(os.Getenv("SOFTHSM2_CONF"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = conf.WriteString("slots.mechanisms = CKM_RSA_X_509,CKM_RSA_PKCS_KEY_PAIR_GEN,CKM_AES_CBC,CKM_AES_KEY_GEN,CKM_GENERIC_SECRET_KEY_GEN,CKM_SHA256_HMAC\n")
	require.NoError(t, err)
	require.NoError(t, conf.Close())
	before := objects(t, token)
	env := map[string]string{"TANDEM_HSM_PIN": token.PIN}
	folder := filepath.Join(t.TempDir(), "s")
	code, out := inProcess(env, "init", "-server", folder, "-hsm", token.Module+":"+token.Label)
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, "-shape two-prime")
	require.NoDirExists(t, folder)
	require.Equal(t, before, objects(t, token), "keys are left")
	code, out = inProcess(env, "init", "-server", folder, "-shape", twoPrime, "-hsm", token.Module+":"+token.Label)
	require.Equal(t, exitOK, code, "%s", out)
}
