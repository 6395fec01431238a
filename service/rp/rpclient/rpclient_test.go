package rpclient_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

func TestMain(m *testing.M) { webtest.Main(m) }

const party = "11111111-2222-4333-8444-555555555555"

type object = map[string]any

// wire is the connection to the service, on which answers can be changed.
type wire struct {
	http.RoundTripper
	change func(path string, answer object)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(r)
	if err != nil || w.change == nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	defer response.Body.Close()
	var answer object
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	w.change(r.URL.Path, answer)
	text, err := json.Marshal(answer)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return response, err
}

// world is a service, a relying party of it, and the connection between both.
type world struct {
	*webtest.World
	config rpclient.Config
	wire   *wire
}

func newWorld(t testing.TB) *world {
	w := &world{World: webtest.New(t, func(c *node.Config) { c.Quotas = accounts.Quotas{} })}
	require.NoError(t, w.Node.Accounts().SetRelyingParty(t.Context(), accounts.RelyingParty{
		UUID: party, Names: []string{"Tree"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Advanced: true,
	}))
	w.wire = &wire{RoundTripper: w.Web.Client().Transport}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(w.Root)
	intermediates.AddCert(w.CA)
	w.config = rpclient.Config{
		URL: w.URL + "/smart-id-rp", HTTP: &http.Client{Transport: w.wire}, UUID: party, Name: "Tree", Scheme: webtest.Scheme,
		Roots: roots, Intermediates: intermediates, Profile: w.Config.Profile, Revoked: rpclient.OCSP(w.Web.Client(), ""),
	}
	return w
}

func (w *world) client(t testing.TB, change func(*rpclient.Config)) *rpclient.Client {
	c := w.config
	if change != nil {
		change(&c)
	}
	client, err := rpclient.New(c)
	require.NoError(t, err)
	return client
}

var text = rp.Interaction{Type: rp.DisplayTextAndPIN, Text: "Log in to Tree"}

// at returns the object at a path such as "signature/value" and the last name of it.
func at(o object, path string) (object, string) {
	names := strings.Split(path, "/")
	for _, n := range names[:len(names)-1] {
		o = o[n].(object)
	}
	return o, names[len(names)-1]
}

func set(path string, value any) func(string, object) {
	return func(_ string, o object) {
		in, name := at(o, path)
		in[name] = value
	}
}

// flip changes a bit of a value in base64.
func flip(path string) func(string, object) {
	return func(_ string, o object) {
		in, name := at(o, path)
		b, err := base64.StdEncoding.DecodeString(in[name].(string))
		if err != nil {
			panic(err)
		}
		b[len(b)/2] ^= 1
		in[name] = base64.StdEncoding.EncodeToString(b)
	}
}

// anotherOf is the number of another account of the same person and level.
func anotherOf(d identity.Document) identity.Document {
	label := "ABCD"
	if d.Label == label {
		label = "ABCE"
	}
	d.Label = label
	return d
}

// TestLogin: a login by number is whose phone signed it; and nothing else that an answer
// says, or a login that is not the one that was begun, makes one.
func TestLogin(t *testing.T) {
	w := newWorld(t)
	mari, jaan := webtest.Person("40504040001", "MARI", "MÄND"), webtest.Person("37101010021", "JAAN", "TAMM")
	phone, other := w.Enrol(t, mari, identity.Qualified, "phone"), w.Enrol(t, jaan, identity.Advanced, "phone")
	c := w.client(t, nil)
	begin := func(p *webtest.Phone, level identity.Level) rpclient.Login {
		l, err := c.LoginByID(t.Context(), p.Account.Person.ID, level, text)
		require.NoError(t, err)
		require.Regexp(t, `^\d{4}$`, l.Code())
		tx, err := p.Next(t.Context())
		require.NoError(t, err)
		require.NoError(t, p.Answer(t.Context(), tx, l.Code()))
		return l
	}
	l := begin(phone, identity.Qualified)
	person, err := c.LoginStatus(t.Context(), l, time.Second)
	require.NoError(t, err)
	require.Equal(t, &rpclient.Person{ID: mari.ID, Given: "MARI", Surname: "MÄND", Document: phone.Account.Document, Certificate: phone.Account.Keys[0].Certificate}, person)

	another := begin(phone, identity.Qualified)
	jaans := begin(other, identity.Advanced)
	person, err = c.LoginStatus(t.Context(), jaans, time.Second)
	require.NoError(t, err)
	require.Equal(t, "JAAN", person.Given)

	refused := func(name string, c *rpclient.Client, l rpclient.Login, change func(string, object)) {
		t.Helper()
		w.wire.change = change
		defer func() { w.wire.change = nil }()
		person, err := c.LoginStatus(t.Context(), l, time.Second)
		require.ErrorIs(t, err, rpclient.ErrInvalid, name)
		require.Nil(t, person, name)
	}
	b64 := base64.StdEncoding.EncodeToString
	for name, change := range map[string]func(string, object){
		"a state":                     set("state", "DONE"),
		"an end":                      set("result/endResult", "FINE"),
		"no account":                  set("result/documentNumber", ""),
		"another account":             set("result/documentNumber", anotherOf(phone.Account.Document).String()),
		"another person's account":    set("result/documentNumber", other.Account.Document.String()),
		"a lower level":               set("cert/certificateLevel", "ADVANCED"),
		"a certificate":               set("cert/value", "AAAA"),
		"not base64":                  set("cert/value", "!"),
		"another person's":            set("cert/value", b64(other.Account.Keys[0].Certificate)),
		"the one for signatures":      set("cert/value", b64(phone.Account.Keys[1].Certificate)),
		"the CA's":                    set("cert/value", b64(w.CA.Raw)),
		"a changed certificate":       flip("cert/value"),
		"another signature":           flip("signature/value"),
		"another serverRandom":        flip("signature/serverRandom"),
		"no serverRandom":             set("signature/serverRandom", ""),
		"another userChallenge":       set("signature/userChallenge", strings.Repeat("A", 43)),
		"another protocol":            set("signatureProtocol", "RAW_DIGEST_SIGNATURE"),
		"another algorithm":           set("signature/signatureAlgorithm", "sha512WithRSAEncryption"),
		"another hash":                set("signature/signatureAlgorithmParameters/hashAlgorithm", "SHA-256"),
		"another salt":                set("signature/signatureAlgorithmParameters/saltLength", 20),
		"no parameters":               set("signature/signatureAlgorithmParameters", nil),
		"another flow":                set("signature/flowType", "QR"),
		"another interaction":         set("interactionTypeUsed", "confirmationMessage"),
		"no interaction":              set("interactionTypeUsed", ""),
		"an interaction of no type":   set("interactionTypeUsed", 1),
		"a session that is none here": func(_ string, o object) { clear(o) },
	} {
		refused(name, c, l, change)
	}
	swapped := l
	swapped.Session = another.Session
	refused("another login's session", c, swapped, nil)
	swapped = l
	swapped.Person = jaan.ID
	refused("another person", c, swapped, nil)
	swapped = jaans
	swapped.Level = identity.Qualified
	refused("a level that is too low", c, swapped, nil)
	swapped = l
	swapped.Interactions = b64([]byte(`[{"type":"displayTextAndPIN","displayText60":"Log in to Leaf"}]`))
	refused("another text", c, swapped, nil)
	for name, change := range map[string]func(*rpclient.Config){
		"another name":   func(c *rpclient.Config) { c.Name = "TREE" },
		"another scheme": func(c *rpclient.Config) { c.Scheme = "smart-id" },
		"another root": func(c *rpclient.Config) {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			require.NoError(t, err)
			root, err := ca.NewRoot(key, ca.TestName("root"), 0)
			require.NoError(t, err)
			c.Roots = x509.NewCertPool()
			c.Roots.AddCert(root)
		},
		"expired":       func(c *rpclient.Config) { c.Clock = func() time.Time { return time.Now().AddDate(4, 0, 0) } },
		"not yet valid": func(c *rpclient.Config) { c.Clock = func() time.Time { return time.Now().Add(-time.Hour) } },
		"policies":      func(c *rpclient.Config) { c.Profile.AuthenticationQualified.Policies = []string{"1.2.3"} },
		"uses":          func(c *rpclient.Config) { c.Profile.AuthenticationQualified.ExtKeyUsage = []string{"1.2.3"} },
		"revoked": func(c *rpclient.Config) {
			c.Revoked = func(context.Context, *x509.Certificate, *x509.Certificate) error { return errors.New("revoked") }
		},
	} {
		refused(name, w.client(t, change), l, nil)
	}
	person, err = c.LoginStatus(t.Context(), l, time.Second)
	require.NoError(t, err, "it is as it was")
	require.NotNil(t, person)

	// When the account has ended its certificate is revoked, and the login nobody's.
	require.NoError(t, w.Node.Accounts().End(t.Context(), phone.Account.Document, accounts.ByOwner))
	refused("a revoked certificate", c, l, nil)
	refused("no answer of OCSP", w.client(t, func(c *rpclient.Config) { c.Revoked = rpclient.OCSP(w.Web.Client(), w.URL+"/nothing") }), jaans, nil)
	_, err = c.LoginByID(t.Context(), mari.ID, identity.Qualified, text)
	require.True(t, rpclient.NoAccount(err), "%v", err)
}

// TestEnds: what is under way is nobody's yet, and a refusal says so.
func TestEnds(t *testing.T) {
	w := newWorld(t)
	phone := w.Enrol(t, webtest.Person("40504040001", "MARI", "MÄND"), identity.Qualified, "phone")
	c := w.client(t, nil)
	l, err := c.LoginByID(t.Context(), phone.Account.Person.ID, identity.Qualified, text)
	require.NoError(t, err)
	person, err := c.LoginStatus(t.Context(), l, time.Second)
	require.NoError(t, err)
	require.Nil(t, person)
	tx, err := phone.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, tx.Refuse(t.Context(), deviceclient.PINScreen))
	_, err = c.LoginStatus(t.Context(), l, time.Second)
	var end *rpclient.EndError
	require.ErrorAs(t, err, &end)
	require.Equal(t, rp.UserRefusedInteraction, end.End)
	require.Equal(t, rp.DisplayTextAndPIN, end.Interaction)

	_, err = w.client(t, func(c *rpclient.Config) { c.Name = "Leaf" }).LoginByID(t.Context(), phone.Account.Person.ID, identity.Qualified, text)
	var answer *rpclient.Error
	require.ErrorAs(t, err, &answer)
	require.Equal(t, http.StatusForbidden, answer.Status)
	l.Session = "00000000-0000-4000-8000-000000000000"
	_, err = c.LoginStatus(t.Context(), l, time.Second)
	require.True(t, rpclient.NoAccount(err))
	for _, bad := range []rp.Interaction{{}, {Type: "x", Text: "x"}, {Type: rp.DisplayTextAndPIN}, {Type: rp.DisplayTextAndPIN, Text: strings.Repeat("x", 61)}, {Type: rp.DisplayTextAndPIN, Text: "a\nb"}} {
		_, err := c.LoginByID(t.Context(), phone.Account.Person.ID, identity.Qualified, bad)
		require.ErrorIs(t, err, rpclient.ErrConfig)
	}
	// An error goes into logs, which have no person.
	_, err = w.client(t, func(c *rpclient.Config) { c.URL = "http://192.0.2.1"; c.HTTP = &http.Client{Transport: broken{}} }).LoginByID(t.Context(), phone.Account.Person.ID, identity.Qualified, text)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "40504040001")
	// What is answered to a request is no session.
	for _, change := range []func(string, object){set("sessionID", ""), set("sessionToken", "x")} {
		w.wire.change = change
		_, err := c.LoginByID(t.Context(), phone.Account.Person.ID, identity.Qualified, text)
		require.ErrorIs(t, err, rpclient.ErrInvalid)
	}
	for _, change := range []func(string, object){set("sessionToken", ""), set("sessionToken", "&"), set("sessionSecret", "x"), set("deviceLinkBase", "https://x/?")} {
		w.wire.change = change
		_, err := c.LoginByLink(t.Context(), "", identity.Qualified, text)
		require.ErrorIs(t, err, rpclient.ErrInvalid)
	}
}

// broken is a connection that does not come about.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("broken") }

// TestLinks: whoever scans the QR code is logged in; on the same device only the browser
// that has come back, with what the app has added.
func TestLinks(t *testing.T) {
	w := newWorld(t)
	phone := w.Enrol(t, webtest.Person("40504040001", "MARI", "MÄND"), identity.Qualified, "phone")
	c := w.client(t, nil)
	open := func(l rpclient.Login, flow rp.FlowType) string {
		link, err := c.Link(l, flow, "est")
		require.NoError(t, err)
		tx, err := phone.OpenLink(t.Context(), link)
		require.NoError(t, err)
		require.NoError(t, phone.Answer(t.Context(), tx, ""))
		return tx.CallbackURL()
	}
	l, err := c.LoginByLink(t.Context(), "", identity.Qualified, text)
	require.NoError(t, err)
	require.Empty(t, l.Code())
	_, err = c.Link(l, rp.FlowWeb2App, "eng")
	require.ErrorIs(t, err, rpclient.ErrInvalid, "there is no way back")
	require.Empty(t, open(l, rp.FlowQR))
	person, err := c.LoginStatus(t.Context(), l, time.Second)
	require.NoError(t, err)
	require.Equal(t, phone.Account.Document, person.Document)
	_, err = c.LoginReturned(t.Context(), l, "x", "y", time.Second)
	require.ErrorIs(t, err, rpclient.ErrConfig)

	const callback = "https://tree.example/back?value=1"
	l, err = c.LoginByLink(t.Context(), callback, identity.Qualified, text)
	require.NoError(t, err)
	url := open(l, rp.FlowWeb2App)
	query, ok := strings.CutPrefix(url, callback+"&sessionSecretDigest=")
	require.True(t, ok, url)
	digest, verifier, ok := strings.Cut(query, "&userChallengeVerifier=")
	require.True(t, ok, url)
	person, err = c.LoginReturned(t.Context(), l, digest, verifier, time.Second)
	require.NoError(t, err)
	require.Equal(t, phone.Account.Document, person.Document)
	_, err = c.LoginStatus(t.Context(), l, time.Second)
	require.ErrorIs(t, err, rpclient.ErrConfig, "nobody is known without the way back")
	for _, bad := range [][2]string{{digest, ""}, {"", verifier}, {"", ""}, {digest, strings.Repeat("A", 43)}, {strings.Repeat("A", 43), verifier}} {
		person, err = c.LoginReturned(t.Context(), l, bad[0], bad[1], time.Second)
		require.ErrorIs(t, err, rpclient.ErrInvalid)
		require.Nil(t, person)
	}
	other := l
	other.Callback = "https://tree.example/back?value=2"
	_, err = c.LoginReturned(t.Context(), other, digest, verifier, time.Second)
	require.ErrorIs(t, err, rpclient.ErrInvalid, "another way back")

	// Scanned from another screen, it is not a login on the same device.
	l, err = c.LoginByLink(t.Context(), callback, identity.Qualified, text)
	require.NoError(t, err)
	require.Empty(t, open(l, rp.FlowQR))
	_, err = c.LoginReturned(t.Context(), l, digest, verifier, time.Second)
	require.ErrorIs(t, err, rpclient.ErrInvalid)
}

// TestSign: a signature is over the digest, by the account that was asked, whose
// certificate was known before; and nothing else that an answer says is one.
func TestSign(t *testing.T) {
	w := newWorld(t)
	phone, other := w.Enrol(t, webtest.Person("40504040001", "MARI", "MÄND"), identity.Qualified, "phone"), w.Enrol(t, webtest.Person("37101010021", "JAAN", "TAMM"), identity.Qualified, "phone")
	c := w.client(t, nil)
	certificate, err := c.Certificate(t.Context(), phone.Account.Document)
	require.NoError(t, err)
	require.Equal(t, phone.Account.Keys[1].Certificate, certificate.Raw)
	digest := sha512.Sum512([]byte("a contract"))
	pss, pkcs := rp.Algorithm{Hash: crypto.SHA512, PSS: true}, rp.Algorithm{Hash: crypto.SHA512}
	sign := func(a rp.Algorithm) rpclient.Signing {
		s, err := c.Sign(t.Context(), phone.Account.Document, digest[:], a, rand.Text(), rp.Interaction{Type: rp.ConfirmationMessageAndVerificationCodeChoice, Text: "Sign"}, text)
		require.NoError(t, err)
		signature, person, err := c.SignStatus(t.Context(), s, time.Second)
		require.NoError(t, err)
		require.Nil(t, signature)
		require.Nil(t, person)
		tx, err := phone.Next(t.Context())
		require.NoError(t, err)
		require.Contains(t, tx.Codes, s.Code)
		require.NoError(t, phone.Answer(t.Context(), tx, s.Code))
		return s
	}
	for _, a := range []rp.Algorithm{pss, pkcs} {
		s := sign(a)
		signature, person, err := c.SignStatus(t.Context(), s, time.Second)
		require.NoError(t, err)
		require.Len(t, signature, certificate.PublicKey.(interface{ Size() int }).Size())
		require.Equal(t, certificate.Raw, person.Certificate)
		refused := func(name string, s rpclient.Signing, change func(string, object)) {
			t.Helper()
			w.wire.change = change
			defer func() { w.wire.change = nil }()
			signature, person, err := c.SignStatus(t.Context(), s, time.Second)
			require.ErrorIs(t, err, rpclient.ErrInvalid, name)
			require.Nil(t, signature, name)
			_ = person
		}
		changed := s
		another := digest
		another[0] ^= 1
		changed.Digest = another[:]
		refused("another digest", changed, nil)
		changed = s
		changed.Algorithm = map[bool]rp.Algorithm{true: pkcs, false: pss}[a.PSS]
		refused("another algorithm", changed, nil)
		changed = s
		changed.Document = other.Account.Document
		refused("another account", changed, nil)
		refused("another signature", s, flip("signature/value"))
		refused("a login", s, set("signatureProtocol", "ACSP_V2"))
		refused("a flow", s, set("signature/flowType", "QR"))
		refused("an interaction", s, set("interactionTypeUsed", "confirmationMessage"))
		refused("the certificate for logins", s, set("cert/value", base64.StdEncoding.EncodeToString(phone.Account.Keys[0].Certificate)))
		refused("another person's certificate", s, set("cert/value", base64.StdEncoding.EncodeToString(other.Account.Keys[1].Certificate)))
	}
	_, err = c.Sign(t.Context(), phone.Account.Document, digest[1:], pss, "", text)
	require.ErrorIs(t, err, rpclient.ErrConfig)
	_, err = c.Sign(t.Context(), phone.Account.Document, digest[:], rp.Algorithm{}, "", text)
	require.ErrorIs(t, err, rpclient.ErrConfig)
	for name, change := range map[string]func(string, object){
		"level": set("cert/certificateLevel", "ADVANCED"), "state": set("state", "x"),
		"another's": set("cert/value", base64.StdEncoding.EncodeToString(other.Account.Keys[1].Certificate)),
		"login":     set("cert/value", base64.StdEncoding.EncodeToString(phone.Account.Keys[0].Certificate)),
	} {
		w.wire.change = change
		_, err := c.Certificate(t.Context(), phone.Account.Document)
		require.ErrorIs(t, err, rpclient.ErrInvalid, name)
	}
	// By its use alone, where policies do not tell.
	alike := w.client(t, func(c *rpclient.Config) { c.Profile.SignatureQualified = c.Profile.AuthenticationQualified })
	w.wire.change = set("cert/value", base64.StdEncoding.EncodeToString(phone.Account.Keys[0].Certificate))
	_, err = alike.Certificate(t.Context(), phone.Account.Document)
	require.ErrorIs(t, err, rpclient.ErrInvalid)
	w.wire.change = nil
	require.NoError(t, w.Node.Accounts().Suspend(t.Context(), phone.Account.Document))
	_, err = c.Certificate(t.Context(), phone.Account.Document)
	require.Error(t, err)
}

// TestConfig: what cannot work is refused before anybody is called.
func TestConfig(t *testing.T) {
	good := rpclient.Config{URL: "https://id.example/smart-id-rp", UUID: party, Name: "Tree", Scheme: "smart-id", Roots: x509.NewCertPool(), Profile: ca.CompatProfile()}
	_, err := rpclient.New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*rpclient.Config){
		"url": func(c *rpclient.Config) { c.URL = "id.example" }, "scheme of the URL": func(c *rpclient.Config) { c.URL = "ftp://id.example" },
		"query": func(c *rpclient.Config) { c.URL += "?a" }, "uuid": func(c *rpclient.Config) { c.UUID = "" }, "name": func(c *rpclient.Config) { c.Name = "" },
		"scheme": func(c *rpclient.Config) { c.Scheme = "" }, "roots": func(c *rpclient.Config) { c.Roots = nil }, "profile": func(c *rpclient.Config) { c.Profile = ca.Profile{} },
	} {
		c := good
		change(&c)
		_, err := rpclient.New(c)
		require.ErrorIs(t, err, rpclient.ErrConfig, name)
	}
}

// TestPrint: no printer shows a token or a secret.
func TestPrint(t *testing.T) {
	const token = "t0ken-of-the-relying-party"
	config := rpclient.Config{URL: "https://id.example/smart-id-rp", UUID: party, Name: "Tree", Scheme: "smart-id", Roots: x509.NewCertPool(), Profile: ca.CompatProfile(), Token: token}
	client, err := rpclient.New(config)
	require.NoError(t, err)
	printtest.Hidden(t, map[string][]byte{"token": []byte(token)}, client, *client)
	// A Login is for encoding/json, and a Config is a struct: they hide from package fmt.
	for _, v := range []any{config, &config, rpclient.Login{Session: "s", Secret: token}, &rpclient.Login{Secret: token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			for _, form := range printtest.Forms([]byte(token)) {
				require.NotContains(t, fmt.Sprintf(verb, v), form)
			}
		}
	}
	encoded, err := json.Marshal(struct{ C any }{struct {
		rpclient.Config
		Roots, Intermediates, Revoked, Clock, HTTP *int
	}{Config: config}})
	require.NoError(t, err)
	require.NotContains(t, string(encoded), token)
}

// TestNothing: nothing is an error, and never a panic.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*rpclient.Client)(nil), (*rpclient.Config)(nil), (*rpclient.Login)(nil), (*rpclient.Error)(nil), (*rpclient.EndError)(nil)},
		Functions: map[string]any{"New": rpclient.New, "NoAccount": rpclient.NoAccount, "OCSP": rpclient.OCSP},
		May: map[string]string{
			"Login.Code": "a login without a person has none", "NoAccount": "nil is no error", "OCSP": "it has defaults",
			"Error.Error": "it is a text", "EndError.Error": "it is a text",
		},
	})
}
