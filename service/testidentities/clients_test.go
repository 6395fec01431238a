package testidentities

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

const clients = "testdata/clients"

// node runs a script of testdata/clients, where public clients of the API are installed
// as npm has them, and returns what came of each step.
func (w *world) node(script string, input object) (out []object) {
	w.t.Helper()
	node := needtest.Program(w.t, "node", "nodejs")
	if _, err := os.Stat(filepath.Join(clients, "node_modules", strings.TrimSuffix(script, ".js"))); err != nil {
		needtest.Need(w.t, "clients of npm are missing: apt-get install nodejs npm, and npm ci --ignore-scripts --prefix service/testidentities/testdata/clients")
	}
	text, err := json.Marshal(input)
	require.NoError(w.t, err)
	trust := filepath.Join(w.t.TempDir(), "tls.pem")
	require.NoError(w.t, os.WriteFile(trust, pemOf(w.api.Certificate().Raw), 0o600))
	cmd := exec.CommandContext(w.t.Context(), node, script)
	cmd.Dir, cmd.Stdin = clients, bytes.NewReader(text)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+trust)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	require.NoError(w.t, err, stderr.String())
	_, result, found := strings.Cut(string(stdout), "\nRESULT")
	if !found {
		result = string(stdout)
	}
	require.NoError(w.t, json.Unmarshal([]byte(result), &out), "%s%s", stdout, &stderr)
	return out
}

func pemOf(der ...[]byte) (out []byte) {
	for _, d := range der {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d})...)
	}
	return out
}

// refusals are the persons who do not sign, as version 2 names what they do.
var refusals = []struct{ number, interaction, end string }{
	{"30403039917", "displayTextAndPIN", "USER_REFUSED"},
	{"30403039928", "displayTextAndPIN", "USER_REFUSED_DISPLAYTEXTANDPIN"},
	{"30403039928", "verificationCodeChoice", "USER_REFUSED_DISPLAYTEXTANDPIN"},
	{"30403039939", "verificationCodeChoice", "USER_REFUSED_VC_CHOICE"},
	{"30403039946", "confirmationMessage", "USER_REFUSED_CONFIRMATIONMESSAGE"},
	{"30403039950", "confirmationMessageAndVerificationCodeChoice", "USER_REFUSED_CONFIRMATIONMESSAGE_WITH_VC_CHOICE"},
	{"30403039961", "", "USER_REFUSED_CERT_CHOICE"},
	{"30403039972", "verificationCodeChoice", "WRONG_VC"},
	{"30403039994", "displayTextAndPIN", "DOCUMENT_UNUSABLE"},
	{"30403039895", "displayTextAndPIN", ""}, // begins nothing
}

// persons are those of refusals, and one who signs.
func persons(t *testing.T) []Identity {
	out := []Identity{who(t, "EE-40504040001")}
	for i, r := range refusals {
		if i == 0 || r.number != refusals[i-1].number {
			out = append(out, who(t, "EE-"+r.number))
		}
	}
	return out
}

// TestUndersign: undersign, of npm, logs persons in by version 2, chooses certificates,
// signs, and makes a container, whose signature xmlsec1 verifies; each refusal has the
// name that the client knows.
func TestUndersign(t *testing.T) {
	xmlsec := needtest.Program(t, "xmlsec1", "xmlsec1")
	w := newWorld(t, persons(t)...)
	folder := t.TempDir()
	container, signature := filepath.Join(folder, "contract.asice"), filepath.Join(folder, "signatures.xml")
	const person = "PNOEE-40504040001"
	steps := []object{
		{"do": "login", "person": person, "interaction": "displayTextAndPIN"},
		{"do": "login", "person": person, "interaction": "verificationCodeChoice"},
		{"do": "choose", "person": person},
		{"do": "sign", "person": person, "interaction": "confirmationMessage"},
		{"do": "contain", "person": person, "interaction": "displayTextAndPIN", "file": container, "xades": signature},
		{"do": "login", "person": "PNOEE-11111111111", "interaction": "displayTextAndPIN"},
		{"do": "choose", "person": "PNOEE-11111111111"},
		{"do": "login", "person": person, "interaction": "none"},
	}
	successes := len(steps)
	for _, r := range refusals {
		step := object{"do": "login", "person": "PNOEE-" + r.number, "interaction": r.interaction}
		if r.interaction == "" {
			step["do"] = "choose"
		}
		steps = append(steps, step)
	}
	out := w.node("undersign.js", object{"url": w.api.URL + "/smart-id-rp/v2/", "name": "DEMO", "uuid": demo, "issuer": string(pemOf(w.issuing.Raw)), "steps": steps})
	require.Len(t, out, len(steps))

	d, ok := w.identities.Document(id("40504040001"), 0)
	require.True(t, ok)
	for _, o := range out[:5] {
		require.Nil(t, o["error"], "%v", o)
		require.Nil(t, o["message"], "%v", o)
		require.Equal(t, "OK", o["subject"].(object)["givenName"])
		require.Equal(t, "TESTNUMBER", o["subject"].(object)["surname"])
		require.Equal(t, d.String(), o["document"])
		require.Equal(t, "QUALIFIED", o["level"])
	}
	for _, i := range []int{0, 1, 3} {
		require.Equal(t, true, out[i]["signed"])
	}
	require.Equal(t, true, out[3]["same"])
	require.Equal(t, []any{"good"}, out[4]["ocsp"])
	require.Equal(t, "ACCOUNT_NOT_FOUND", out[5]["error"])
	require.Equal(t, "ACCOUNT_NOT_FOUND", out[6]["error"])
	require.Equal(t, "BAD_REQUEST", out[7]["error"])
	require.Contains(t, out[7]["message"], "/allowedInteractionsOrder/0/type ")
	for i, r := range refusals {
		o := out[successes+i]
		if r.end == "" {
			require.Contains(t, o["message"], "472", "the client knows no 472")
			continue
		}
		require.Equal(t, r.end, o["error"], "%v", o)
	}

	w.openssl(out[3]["certificate"].(string), out[3]["signature"].(string))
	w.verifyContainer(xmlsec, container, signature)
}

// verifyContainer has xmlsec1 verify the signature in a container, from the file that it
// signs to the root, and refuse it for another file.
func (w *world) verifyContainer(xmlsec, container, signature string) {
	t := w.t
	folder := t.TempDir()
	z, err := zip.OpenReader(container)
	require.NoError(t, err)
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		in, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, filepath.Base(f.Name)), text, 0o600))
	}
	require.Equal(t, []string{"mimetype", "contract.txt", "META-INF/signatures-1.xml", "META-INF/manifest.xml"}, names)
	require.Equal(t, zip.Store, z.File[0].Method)
	inside, err := os.ReadFile(filepath.Join(folder, "signatures-1.xml"))
	require.NoError(t, err)
	outside, err := os.ReadFile(signature)
	require.NoError(t, err)
	require.Equal(t, string(outside), string(inside))

	require.NoError(t, os.WriteFile(filepath.Join(folder, "root.pem"), pemOf(w.root.Raw), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "issuing.pem"), pemOf(w.issuing.Raw), 0o600))
	verify := func(root string) (string, error) {
		cmd := exec.CommandContext(t.Context(), xmlsec, "--verify", "--trusted-pem", root, "--untrusted-pem", "issuing.pem",
			"--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--enabled-key-data", "x509", "signatures-1.xml")
		cmd.Dir = folder
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	text, err := verify("root.pem")
	require.NoError(t, err, text)
	require.Contains(t, text, "SignedInfo References (ok/all): 2/2")
	other := newRoot(t)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "other.pem"), pemOf(other.Raw), 0o600))
	text, err = verify("other.pem")
	require.Error(t, err, text)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "contract.txt"), []byte("Contract"), 0o600))
	text, err = verify("root.pem")
	require.Error(t, err, text)
}

// TestSmartIDRest: smart-id-rest, of npm, logs persons in by version 1 over HTTPS, gets
// certificates and signatures, and learns each end.
func TestSmartIDRest(t *testing.T) {
	w := newWorld(t, persons(t)...)
	step := func(do, number string) object { return object{"do": do, "country": "EE", "number": number} }
	steps := []object{
		step("login", "40504040001"), step("choose", "40504040001"), step("sign", "40504040001"),
		step("login", "11111111111"), step("choose", "11111111111"), step("sign", "11111111111"),
	}
	// It offers a text and the PIN, and knows of version 1 no more than that.
	ends := map[string]string{"30403039917": "USER_REFUSED", "30403039928": "USER_REFUSED", "30403039994": "DOCUMENT_UNUSABLE", "30403039939": "DOCUMENT_UNUSABLE"}
	var numbers []string
	for number := range ends {
		numbers = append(numbers, number)
		steps = append(steps, step("login", number), step("sign", number))
	}
	steps = append(steps, step("choose", "30403039961"), step("login", "30403039895"))
	out := w.node("smart-id-rest.js", object{
		"host": strings.TrimPrefix(w.api.URL, "https://"), "path": "/smart-id-rp/v1", "name": "DEMO", "uuid": oldDemo, "steps": steps,
		"issuers": []object{{"C": "EE", "O": "Tree", "OID": "NTREE-12345678", "CN": "TEST Tree issuing"}},
	})
	require.Len(t, out, len(steps))
	d, ok := w.identities.Document(id("40504040001"), 0)
	require.True(t, ok)
	person := object{"firstName": "OK", "lastName": "TESTNUMBER", "pid": "PNOEE-40504040001", "country": "EE"}
	require.Equal(t, object{"end": "OK", "document": d.String(), "person": person, "code": out[0]["code"]}, out[0])
	require.Regexp(t, "^[0-9]{4}$", out[0]["code"])
	require.Equal(t, object{"end": "OK", "person": person}, out[1])
	require.Equal(t, object{"end": "OK", "code": out[2]["code"], "signed": true}, out[2])
	require.Equal(t, object{"error": "404", "message": "Not Found"}, out[3])
	require.Equal(t, object{"error": "", "message": "Not Found"}, out[4])
	require.Equal(t, object{"error": "", "message": "Not Found"}, out[5])
	for i, number := range numbers {
		require.Equal(t, ends[number], out[6+2*i]["end"], number)
		require.Equal(t, ends[number], out[7+2*i]["end"], number)
	}
	require.Equal(t, object{"end": "USER_REFUSED"}, out[len(out)-2])
	require.Equal(t, "472", out[len(out)-1]["error"])
}

// openssl has OpenSSL verify a signature of "contract" by its certificate, the chain to
// the root, and, over HTTP, that the certificate is not revoked, by CRL and by OCSP; and
// after its account has ended, that it is.
func (w *world) openssl(certificate, signature string) {
	t := w.t
	openssl := needtest.Program(t, "openssl", "openssl")
	folder := t.TempDir()
	write := func(name string, text []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = folder
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	must := func(args ...string) string {
		t.Helper()
		text, err := run(args...)
		require.NoError(t, err, text)
		return text
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	require.NoError(t, err)
	write("person.pem", []byte(certificate))
	write("root.pem", pemOf(w.root.Raw))
	write("issuing.pem", pemOf(w.issuing.Raw))
	write("contract", []byte("contract"))
	write("other", []byte("Contract"))
	write("signature", raw)
	require.Contains(t, must("verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "-x509_strict", "person.pem"), "OK")
	write("person.pub", []byte(must("x509", "-in", "person.pem", "-noout", "-pubkey")))
	require.Contains(t, must("dgst", "-sha256", "-verify", "person.pub", "-signature", "signature", "contract"), "Verified OK")
	text, err := run("dgst", "-sha256", "-verify", "person.pub", "-signature", "signature", "other")
	require.Error(t, err, text)

	// The addresses are those in the certificate.
	url := strings.TrimSpace(must("x509", "-in", "person.pem", "-noout", "-ocsp_uri"))
	require.True(t, strings.HasPrefix(url, w.pki.URL), url)
	details := must("x509", "-in", "person.pem", "-noout", "-text")
	_, crl, found := strings.Cut(details, "CRL Distribution Points:")
	require.True(t, found)
	_, crl, found = strings.Cut(crl, "URI:")
	require.True(t, found)
	crl, _, _ = strings.Cut(crl, "\n")
	fetch := func() string {
		out, err := w.pki.Client().Get(strings.TrimSpace(crl))
		require.NoError(t, err)
		defer out.Body.Close()
		der, err := io.ReadAll(out.Body)
		require.NoError(t, err)
		write("issuing.crl", der)
		require.Contains(t, must("crl", "-inform", "DER", "-in", "issuing.crl", "-CAfile", "issuing.pem", "-noout"), "verify OK")
		must("crl", "-inform", "DER", "-in", "issuing.crl", "-out", "issuing.crl.pem")
		return must("crl", "-inform", "DER", "-in", "issuing.crl", "-noout", "-text")
	}
	serial := strings.TrimPrefix(strings.TrimSpace(must("x509", "-in", "person.pem", "-noout", "-serial")), "serial=")
	ocsp := func() string {
		return must("ocsp", "-issuer", "issuing.pem", "-cert", "person.pem", "-url", url, "-CAfile", "root.pem", "-verify_other", "issuing.pem")
	}
	require.NotContains(t, fetch(), serial)
	text = ocsp()
	require.Contains(t, text, "Response verify OK")
	require.Contains(t, text, "person.pem: good")

	d, ok := w.identities.Document(id("40504040001"), 0)
	require.True(t, ok)
	require.NoError(t, w.accounts.End(t.Context(), d, "owner"))
	require.Contains(t, fetch(), serial)
	text = ocsp()
	require.Contains(t, text, "Response verify OK")
	require.Contains(t, text, "person.pem: revoked")
	text, err = run("verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "-crl_check", "-CRLfile", "issuing.crl.pem", "person.pem")
	require.Error(t, err)
	require.Contains(t, text, "certificate revoked")
}
