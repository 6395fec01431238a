//go:build cgo && unix && !nopkcs11

package main

import (
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// TestServiceRealParts is production with nothing embedded: the server's keys, its mark
// and the key of the issuing CA in a token of SoftHSM, counters in etcd, accounts in
// PostgreSQL, and the example's configuration. OpenSSL verifies whom it certifies; a
// wrong PIN is counted over a restart; the log says what becomes of the token.
func TestServiceRealParts(t *testing.T) {
	openssl := needtest.Program(t, "openssl", "openssl")
	token, cluster, pg := hsmtest.SoftHSM(t), etcdtest.Start(t, 1), pgtest.New(t)
	pg.Exec(t, "CREATE SCHEMA accounts")
	dir := filepath.Join(t.TempDir(), "d")
	require.NoError(t, os.MkdirAll(dir, folderMode))
	pin, place := filepath.Join(dir, "pin"), token.Module+":"+token.Label
	require.NoError(t, os.WriteFile(pin, []byte(token.PIN+"\n"), secretMode))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "accounts.key"), []byte(strings.Repeat("5a", 32)), secretMode))
	text, err := os.ReadFile("../../deploy/service.json")
	require.NoError(t, err)
	var config map[string]any
	require.NoError(t, json.Unmarshal(text, &config))
	for name, value := range map[string]any{
		"listen": "127.0.0.1:0", "metrics": "127.0.0.1:0", "drain": "0s", "database": pg.URL("search_path=accounts"), "hsm_pin_file": "pin", "hsm_sessions": 2, "key_stock": 0,
	} {
		config[name] = value
	}
	text, err = json.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, serviceFile), text, secretMode))
	folder := filepath.Join(dir, "server")
	code, out := inProcess(nil, "init", "-server", folder, "-hsm", place, "-hsm-pin-file", pin, "-mark", "token:node1",
		"-store", "etcd:"+strings.Join(cluster.Endpoints(), ",")+"?prefix=real/")
	require.Equal(t, exitOK, code, out)
	code, out = inProcess(nil, slices.Concat(createCA, []string{"-dir", dir, "-hsm", place, "-hsm-pin-file", pin})...)
	require.Equal(t, exitOK, code, out)
	for _, secret := range []string{"server/sealer.key", "server/store.db", "server/store.mark", "ca/issuing-1.key"} {
		require.NoFileExists(t, filepath.Join(dir, secret))
	}

	start := func() *running {
		s := serve(t, dir)
		s.url = "http://" + s.address // there is no proxy
		repoint(t, dir, s.url)
		s.awaitReady()
		require.Contains(t, s.logged(), `"msg":"hsm: logged in","token":"`+token.Label+`"`)
		require.Contains(t, s.logged(), `"msg":"hsm: self-test"`)
		return s
	}
	s := start()
	s.prepareService()
	for _, kind := range []string{"authentication", "signature"} {
		x := s.begin(kind, "displayTextAndPIN")
		s.tandem(exitOK, nil, "phone", "sign")
		certificate := s.verify(x, s.status(x))
		person := filepath.Join(dir, kind+".pem")
		require.NoError(t, os.WriteFile(person, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), publicMode))
		text, err := exec.Command(openssl, "verify", "-x509_strict", "-CAfile", filepath.Join(dir, "ca", "root.crt"),
			"-untrusted", filepath.Join(dir, "ca", "issuing-1.crt"), person).CombinedOutput()
		require.NoError(t, err, string(text))
		// The token signs the OCSP responder's certificate, too.
		text, err = exec.Command(openssl, "ocsp", "-issuer", filepath.Join(dir, "ca", "issuing-1.crt"), "-cert", person, "-url", s.url+"/pki/ocsp",
			"-CAfile", filepath.Join(dir, "ca", "root.crt"), "-verify_other", filepath.Join(dir, "ca", "issuing-1.crt")).CombinedOutput()
		require.NoError(t, err, string(text))
		require.Contains(t, string(text), "Response verify OK")
		require.Contains(t, string(text), ".pem: good")
	}
	x := s.begin("authentication", "displayTextAndPIN")
	s.tandem(exitWrongPIN, map[string]string{"TANDEM_PIN": "2748"}, "phone", "sign")
	s.stop()

	// Whoever looks at the store needs the token, too, and the log of events says so.
	require.NotContains(t, s.audit(), "hsm: logged in", "the service has a log of its own")
	code, out = inProcess(nil, "store", "check", "-server", folder, "-hsm-pin-file", pin, "-json")
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, `"store": "etcd:`)
	require.Regexp(t, `"records": [2-9]`, out, "both keys among them")
	require.Contains(t, s.audit(), "hsm: logged in")

	again := start()
	repoint(t, again.phone(), again.url)
	require.EqualValues(t, 2, again.tandem(exitOK, nil, "phone", "home")["keys"].([]any)[0].(map[string]any)["tries_left"])
	again.tandem(exitOK, nil, "phone", "sign")
	again.verify(x, again.status(x))
	again.stop()
}
