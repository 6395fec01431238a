//go:build unix

package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
)

// hang is after what time something is taken to hang.
const hang = 2 * time.Minute

// running is "tandem serve" in a process of its own.
type running struct {
	t       *testing.T
	cmd     *exec.Cmd
	dir     string
	url     string
	address string
	metrics string
	ended   chan struct{}

	mu     sync.Mutex
	log    bytes.Buffer
	heard  map[string]chan struct{} // by message of the log
	stdout syncBuffer
}

// serve starts the service of a folder, and returns when it listens.
func serve(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	s := &running{t: t, dir: dir, ended: make(chan struct{}), heard: map[string]chan struct{}{}}
	self, err := os.Executable()
	require.NoError(t, err)
	s.cmd = exec.Command(self, append([]string{"serve", "-dir", dir}, args...)...)
	s.cmd.Args[0] = "tandem" // see TestMain
	s.cmd.Stdout = &s.stdout
	stderr, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.line(lines.Bytes())
		}
		_ = s.cmd.Wait()
	}()
	t.Cleanup(s.kill)
	s.await("serving")
	return s
}

func (s *running) line(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Write(append(bytes.Clone(line), '\n'))
	var l struct{ Msg, Address, URL string }
	if json.Unmarshal(line, &l) != nil {
		return
	}
	switch l.Msg {
	case "serving":
		s.url, s.address = l.URL, l.Address
	case "metrics":
		s.metrics = "http://" + l.Address
	}
	close(s.channel(l.Msg))
	s.heard[l.Msg] = closed
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// channel is closed when a message is in the log. The caller holds the lock.
func (s *running) channel(message string) chan struct{} {
	c, ok := s.heard[message]
	if !ok || c == closed {
		c = make(chan struct{})
		if ok {
			return c // said before: nobody waits for it
		}
		s.heard[message] = c
	}
	return c
}

// await returns when a message is in the log.
func (s *running) await(message string) {
	s.t.Helper()
	s.mu.Lock()
	c, ok := s.heard[message]
	if !ok {
		c = s.channel(message)
	}
	s.mu.Unlock()
	select {
	case <-c:
	case <-s.ended:
		select {
		case <-c: // both
			return
		default:
		}
		require.Fail(s.t, "the service ended", "waiting for %q; its log: %s", message, s.logged())
	case <-time.After(hang):
		require.Fail(s.t, "the service hangs", "waiting for %q; its log: %s", message, s.logged())
	}
}

func (s *running) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// kill is kill -9.
func (s *running) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop is SIGTERM, and wants the service to end well.
func (s *running) stop() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.awaitEnd()
}

func (s *running) awaitEnd() {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(hang):
		require.Fail(s.t, "the service does not end", "%s", s.logged())
	}
	require.Equal(s.t, 0, s.cmd.ProcessState.ExitCode(), s.logged())
}

// tandem runs a command on the service, or on a phone of it, and returns its JSON.
func (s *running) tandem(want int, env map[string]string, args ...string) map[string]any {
	s.t.Helper()
	all := map[string]string{"TANDEM_DIR": s.dir, "TANDEM_PHONE": filepath.Join(s.dir, "phone"), "TANDEM_PIN": "2749 80351"}
	maps.Copy(all, env)
	var out bytes.Buffer
	a := newApp()
	a.out, a.errOut, a.env = &out, io.Discard, func(name string) string { return all[name] }
	code := a.run(append(args, "-json"))
	require.Equal(s.t, want, code, "%v: %s\n%s", args, out.String(), s.logged())
	var v map[string]any
	require.NoError(s.t, json.Unmarshal(out.Bytes(), &v), out.String())
	return v
}

// prepareService has a relying party and a person with a phone, and returns what the
// phone said of the account.
func (s *running) prepareService() (registered, account map[string]any) {
	s.t.Helper()
	s.tandem(exitOK, nil, "rp", "add", "-uuid", demoParty, "-name", "DEMO")
	registered = s.tandem(exitOK, nil, "register", "-given", "MARI", "-surname", "MAASIKAS", "-born", "1905-04-04", person)
	return registered, s.enroll(registered["code"].(string))
}

func (s *running) enroll(code string) map[string]any {
	s.t.Helper()
	return s.tandem(exitOK, nil, "phone", "enroll", "-argon2", "1,32,1", "-service", filepath.Join(s.dir, phoneFile), code)
}

const person = "PNOEE-40504040001"

// post and get are the curl lines of the documents.
func (s *running) post(path string, body any) (int, map[string]any) {
	s.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(s.t, err)
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/smart-id-rp"+path, bytes.NewReader(text))
	require.NoError(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	return s.do(r)
}

func (s *running) get(path string) (int, map[string]any) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/smart-id-rp"+path, nil)
	require.NoError(s.t, err)
	return s.do(r)
}

func (s *running) do(r *http.Request) (int, map[string]any) {
	s.t.Helper()
	a := ask(r)
	require.NoError(s.t, a.err, "%s", s.logged())
	return a.status, a.body
}

// answered is what became of a request.
type answered struct {
	status int
	body   map[string]any
	err    error
}

func ask(r *http.Request) (a answered) {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answered{err: err}
	}
	defer response.Body.Close()
	a.status = response.StatusCode
	a.err = json.NewDecoder(response.Body).Decode(&a.body)
	return a
}

// waits asks for the status of a session in the background.
func (s *running) waits(x *transaction) <-chan answered {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/smart-id-rp/v2/session/"+x.id+"?timeoutMs=120000", nil)
	require.NoError(s.t, err)
	out := make(chan answered, 1)
	go func() { out <- ask(r) }()
	return out
}

// signs has the phone sign in the background, and says with which exit code.
func (s *running) signs() <-chan int {
	out := make(chan int, 1)
	go func() {
		code, _ := inProcess(map[string]string{"TANDEM_PHONE": s.phone(), "TANDEM_PIN": "2749 80351"}, "phone", "sign")
		out <- code
	}()
	return out
}

// transaction is a session of version 2.
type transaction struct {
	kind   string
	digest [32]byte
	id     string
}

// begin begins a login or a signature of version 2.
func (s *running) begin(kind, interaction string) *transaction {
	s.t.Helper()
	x := &transaction{kind: kind, digest: sha256.Sum256([]byte(rand.Text()))}
	text := "displayText60"
	if strings.HasPrefix(interaction, "confirmation") {
		text = "displayText200"
	}
	status, answer := s.post("/v2/"+kind+"/etsi/"+person, map[string]any{
		"relyingPartyUUID": demoParty, "relyingPartyName": "DEMO", "hashType": "SHA256", "hash": base64.StdEncoding.EncodeToString(x.digest[:]),
		"allowedInteractionsOrder": []map[string]string{{"type": interaction, text: "Log in to DEMO"}},
	})
	require.Equal(s.t, http.StatusOK, status, answer)
	x.id = answer["sessionID"].(string)
	return x
}

// status waits for the end of a session.
func (s *running) status(x *transaction) map[string]any {
	s.t.Helper()
	status, answer := s.get("/v2/session/" + x.id + "?timeoutMs=120000")
	require.Equal(s.t, http.StatusOK, status, answer)
	return answer
}

func endOf(answer map[string]any) any {
	r, _ := answer["result"].(map[string]any)
	return r["endResult"]
}

// verify checks a signature with the certificate that came along, and that with the CA's,
// as a relying party does.
func (s *running) verify(x *transaction, answer map[string]any) *x509.Certificate {
	s.t.Helper()
	require.Equal(s.t, "OK", endOf(answer), answer)
	of := func(part, member string) []byte {
		b, err := base64.StdEncoding.DecodeString(answer[part].(map[string]any)[member].(string))
		require.NoError(s.t, err)
		return b
	}
	certificate, err := x509.ParseCertificate(of("cert", "value"))
	require.NoError(s.t, err)
	root, issuing := x509.NewCertPool(), x509.NewCertPool()
	root.AddCert(s.certificate("root.crt"))
	issuing.AddCert(s.certificate("issuing-1.crt"))
	_, err = certificate.Verify(x509.VerifyOptions{Roots: root, Intermediates: issuing, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	require.NoError(s.t, err)
	require.Equal(s.t, "MAASIKAS,MARI", certificate.Subject.CommonName)
	require.NoError(s.t, rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, x.digest[:], of("signature", "value")))
	return certificate
}

func (s *running) certificate(name string) *x509.Certificate {
	text, err := os.ReadFile(filepath.Join(s.dir, "ca", name))
	require.NoError(s.t, err)
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	require.NoError(s.t, err)
	return certificate
}

// quiet is how tests start a service: on free ports, without keys that nobody will need.
func quiet(t *testing.T, dir string) []string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, folderMode))
	name := filepath.Join(dir, serviceFile)
	if _, err := os.Stat(name); err != nil {
		require.NoError(t, os.WriteFile(name, []byte(`{"production": false, "key_stock": 0}`), secretMode))
	}
	return []string{"-listen", "127.0.0.1:0", "-metrics", "127.0.0.1:0"}
}

func startService(t *testing.T, dir string) *running { return serve(t, dir, quiet(t, dir)...) }

// TestService is the whole of it, over real processes and real connections: a relying
// party is added, a person registered, a phone enrolled; then logins and signatures go
// from the relying party to the phone and back, and are verified with the CA's chain. At
// the end nothing of it is in a log.
func TestService(t *testing.T) {
	t.Parallel()
	s := startService(t, filepath.Join(t.TempDir(), "d"))
	var secrets []string // what must be in no log
	registered, account := s.prepareService()
	require.Equal(t, person, registered["person"])
	document := account["document"].(string)
	require.Regexp(t, "^"+person+"-[A-Z0-9]{4}-Q$", document)
	secrets = append(secrets, registered["code"].(string), account["revocation_code"].(string))

	require.Equal(t, false, s.tandem(exitOK, nil, "phone", "poll")["found"])

	// A login, with a code to compare.
	x := s.begin("authentication", "displayTextAndPIN")
	shown := s.tandem(exitOK, nil, "phone", "claim")
	require.Equal(t, []any{"DEMO", "Log in to DEMO", "authentication", x.id}, []any{shown["relying_party"], shown["text"], shown["what"], shown["session"]})
	require.Equal(t, protocol.VerificationCode(x.digest[:]), shown["verification_code"])
	failed := s.tandem(exitWrongPIN, map[string]string{"TANDEM_PIN": "2748"}, "phone", "sign")
	require.EqualValues(t, 2, failed["error"].(map[string]any)["tries_left"])
	require.Equal(t, true, s.tandem(exitOK, nil, "phone", "sign")["done"])
	login := s.verify(x, s.status(x))
	secrets = append(secrets, base64.StdEncoding.EncodeToString(x.digest[:]), hex.EncodeToString(x.digest[:]))

	// A signature, with three codes; then one whose code is another.
	x = s.begin("signature", "verificationCodeChoice")
	shown = s.tandem(exitOK, nil, "phone", "claim")
	right := protocol.VerificationCode(x.digest[:])
	require.Contains(t, shown["codes"], right)
	require.Len(t, shown["codes"], 3)
	s.tandem(exitOK, nil, "phone", "choose", right)
	require.Equal(t, true, s.tandem(exitOK, nil, "phone", "sign")["done"])
	require.NotEqual(t, login.SerialNumber, s.verify(x, s.status(x)).SerialNumber)
	secrets = append(secrets, base64.StdEncoding.EncodeToString(x.digest[:]), hex.EncodeToString(x.digest[:]))

	x = s.begin("signature", "verificationCodeChoice")
	for _, code := range s.tandem(exitOK, nil, "phone", "claim")["codes"].([]any) {
		if code != protocol.VerificationCode(x.digest[:]) {
			failed = s.tandem(exitFailure, nil, "phone", "sign", "-code", code.(string))
			require.Equal(t, "wrong_code", failed["error"].(map[string]any)["answer"])
			break
		}
	}
	require.Equal(t, "WRONG_VC", endOf(s.status(x)))
	x = s.begin("authentication", "confirmationMessage")
	require.Equal(t, true, s.tandem(exitOK, nil, "phone", "refuse", "-screen", "confirmation")["refused"])
	require.Equal(t, "USER_REFUSED_CONFIRMATIONMESSAGE", endOf(s.status(x)))

	// Another PIN.
	s.tandem(exitOK, map[string]string{"TANDEM_NEW_PIN": "90417"}, "phone", "change-pin", "-key", "sign")
	s.begin("signature", "displayTextAndPIN")
	s.tandem(exitWrongPIN, nil, "phone", "sign")
	s.tandem(exitOK, map[string]string{"TANDEM_PIN": "90417"}, "phone", "sign")
	require.NotEmpty(t, s.tandem(exitOK, nil, "phone", "history")["entries"])

	// A new phone in place of the old one.
	first := map[string]string{"TANDEM_PIN": "90417"}
	second := map[string]string{"TANDEM_PHONE": filepath.Join(s.dir, "phone2"), "TANDEM_PIN": "4917 83015"}
	request := s.tandem(exitOK, second, "phone", "ask", "-argon2", "1,32,1", "-label", "new", "-service", filepath.Join(s.dir, phoneFile))["request"].(string)
	failed = s.tandem(exitFailure, second, "phone", "enroll", "-argon2", "1,32,1")
	require.Equal(t, "not_approved", failed["error"].(map[string]any)["answer"])
	require.Equal(t, "new", s.tandem(exitOK, first, "phone", "approve", request)["device"])
	account = s.tandem(exitOK, second, "phone", "enroll", "-argon2", "1,32,1")
	require.NotEqual(t, document, account["document"])
	secrets = append(secrets, account["revocation_code"].(string))
	require.Equal(t, "deleted", s.tandem(exitOK, first, "phone", "home")["state"])

	// The operator's end of it.
	all := s.tandem(exitOK, nil, "account", "list", person)["accounts"].([]any)
	require.Len(t, all, 1)
	require.Len(t, s.tandem(exitOK, nil, "account", "list")["accounts"].([]any), 2)
	var parties []any
	for _, p := range s.tandem(exitOK, nil, "rp", "list")["relying_parties"].([]any) {
		parties = append(parties, p.(map[string]any)["names"].([]any)...)
	}
	require.ElementsMatch(t, []any{"DEMO", "Tandem self-service"}, parties)
	require.Equal(t, "deleted", s.tandem(exitOK, nil, "account", "delete", account["document"].(string))["state"])
	require.Equal(t, "deleted", s.tandem(exitOK, second, "phone", "home")["state"])
	status, answer := s.post("/v2/authentication/etsi/"+person, map[string]any{
		"relyingPartyUUID": demoParty, "relyingPartyName": "DEMO", "hashType": "SHA256", "hash": base64.StdEncoding.EncodeToString(x.digest[:]),
		"allowedInteractionsOrder": []map[string]string{{"type": "displayTextAndPIN", "displayText60": "Log in"}},
	})
	require.Equal(t, http.StatusNotFound, status, answer)
	s.tandem(exitOK, nil, "rp", "remove", demoParty)

	s.awaitReady()
	for path, want := range map[string]string{s.url + "/healthz": "ok\n", s.url + "/readyz": "ready\n", s.metrics + "/metrics": "tandem_signatures_total 4\n", s.metrics + "/readyz": "ready\n"} {
		require.Contains(t, fetch(t, path), want, path)
	}
	require.Contains(t, s.stdout.String(), " rp add ")
	require.Contains(t, s.stdout.String(), " register ")

	// What the command ended, the service destroys and revokes: at the latest when it is
	// next started.
	s.stop()
	again := startService(t, s.dir)
	crl, err := url.Parse(login.CRLDistributionPoints[0])
	require.NoError(t, err)
	again.eventually("both keys of both phones are destroyed, and their certificates revoked", func() bool {
		list, err := x509.ParseRevocationList([]byte(fetch(t, again.url+crl.Path)))
		require.NoError(t, err)
		require.NoError(t, list.CheckSignatureFrom(s.certificate("issuing-1.crt")))
		return len(list.RevokedCertificateEntries) == 4 && len(again.events("key destroyed")) == 4
	})
	again.stop()
	audit := again.audit()

	for _, phone := range []string{"phone", "phone2"} {
		token, err := os.ReadFile(filepath.Join(s.dir, phone, tokenFile))
		require.NoError(t, err)
		secrets = append(secrets, strings.TrimSpace(string(token)))
	}
	secrets = append(secrets, "2749", "2748", "80351", "90417", "4917", "83015", "MARI", "MAASIKAS", "40504040001", "Log in")
	for _, log := range []string{s.logged(), again.logged(), audit} {
		for _, secret := range secrets {
			require.NotContains(t, withoutNumbers(log), secret)
		}
	}
	require.Contains(t, s.logged(), `"msg":"relying-party request"`)
}

// audit is what is in the log of events.
func (s *running) audit() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "server", auditFile))
	require.NoError(s.t, err)
	return string(text)
}

// events are those of a kind. Each may be there more than once.
func (s *running) events(kind string) map[string]bool {
	s.t.Helper()
	out := map[string]bool{}
	for line := range strings.Lines(s.audit()) {
		var e struct {
			Msg, Key string
			Event    int
		}
		require.NoError(s.t, json.Unmarshal([]byte(line), &e), line)
		if e.Msg == kind {
			out[fmt.Sprint(e.Key, e.Event)] = true
		}
	}
	return out
}

// eventually waits for what nobody tells of.
func (s *running) eventually(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(hang); !ok(); time.Sleep(50 * time.Millisecond) {
		require.True(s.t, time.Now().Before(end), "%s\n%s", what, s.logged())
	}
}

// awaitReady returns when the service says that it is ready: on a busy machine the store
// and the database may answer a first look too late.
func (s *running) awaitReady() {
	s.t.Helper()
	s.eventually("ready", func() bool { return fetch(s.t, s.metrics+"/readyz") == "ready\n" })
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

// ofAccount is a line that an audit needs: why the service destroys keys of an account,
// which it names by its document number.
var ofAccount = regexp.MustCompile(`"why":"the account PNO[A-Z]{2}-\S+-[A-Z0-9]{4}-N?Q has ended: [a-z]+"`)

// withoutNumbers takes out of a log the times, durations, ports and random names in which
// the four digits of a PIN may come up, and why keys were destroyed.
func withoutNumbers(log string) string {
	log = ofAccount.ReplaceAllString(log, `"why":""`)
	var out strings.Builder
	for line := range strings.Lines(log) {
		var members map[string]any
		if json.Unmarshal([]byte(line), &members) != nil {
			out.WriteString(line)
			continue
		}
		for _, name := range []string{"time", "took", "request", "session", "rp", "key", "event", "address", "url", "until"} {
			delete(members, name)
		}
		text, err := json.Marshal(members)
		if err != nil {
			panic(err)
		}
		out.Write(append(text, '\n'))
	}
	return out.String()
}

// TestProductionStarts: production works with the example's profile, and the CA that the
// command makes.
func TestProductionStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	code, out := inProcess(nil, "init", "-server", filepath.Join(dir, "server"), "-shape", "two-prime", "-bits", "3072")
	require.Equal(t, exitOK, code, out)
	code, out = inProcess(nil, slices.Concat(createCA, []string{"-dir", dir})...)
	require.Equal(t, exitOK, code, out)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "accounts.key"), []byte(strings.Repeat("5a", 32)), secretMode))
	text, err := os.ReadFile("../../deploy/service.json")
	require.NoError(t, err)
	var config map[string]any
	require.NoError(t, json.Unmarshal(text, &config))
	delete(config, "database") // SQLite
	config["listen"], config["metrics"], config["drain"] = "127.0.0.1:0", "127.0.0.1:0", "0s"
	text, err = json.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, serviceFile), text, secretMode))
	s := serve(t, dir)
	require.Contains(t, s.logged(), `"production":true`)
	s.awaitReady()
	s.stop()
}
