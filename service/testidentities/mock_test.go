package testidentities

import (
	"context"
	"crypto"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// linked is a session of a device link, as the relying party has it.
type linked struct {
	id     string
	links  devicelink.Session
	secret devicelink.Secret
	began  time.Time
}

// beginLink starts a session of a device link.
func (w *world) beginLink(path string, body object) linked {
	w.t.Helper()
	code, o := w.call("POST", "/smart-id-rp/v3/"+path, body)
	require.Equal(w.t, 200, code, "%v", o)
	secret, err := devicelink.ParseSecret(o["sessionSecret"].(string))
	require.NoError(w.t, err)
	l := linked{o["sessionID"].(string), devicelink.Session{Scheme: scheme, Base: o["deviceLinkBase"].(string), Token: o["sessionToken"].(string), RelyingPartyName: "DEMO"}, secret, time.Now()}
	l.links.CallbackURL, _ = body["initialCallbackUrl"].(string)
	l.links.Interactions, _ = body["interactions"].(string)
	l.links.Kind = rp.CertificateChoice
	if p, ok := body["signatureProtocolParameters"].(object); ok {
		if l.links.Challenge, ok = p["rpChallenge"].(string); ok {
			l.links.Kind = rp.Authentication
		} else {
			l.links.Challenge, l.links.Kind = p["digest"].(string), rp.Signature
		}
	}
	return l
}

// open hands a device link in, for the phone of a test person.
func (w *world) open(l linked, flow rp.FlowType, number string, more object) (int, object) {
	w.t.Helper()
	link, err := l.links.Link(l.secret, flow, time.Since(l.began), "eng")
	require.NoError(w.t, err)
	d, ok := w.identities.Document(id(number), 0)
	require.True(w.t, ok)
	body := object{"documentNumber": d.String(), "deviceLink": link, "flowType": string(flow)}
	for k, v := range more {
		body[k] = v
	}
	return w.call("POST", "/mock/device-link", body)
}

func (w *world) status(id string) object {
	w.t.Helper()
	code, o := w.call("GET", "/smart-id-rp/v3/session/"+id+"?timeoutMs=60000", nil)
	require.Equal(w.t, 200, code, "%v", o)
	return o
}

// site is a relying party's web site, to which phones lead back.
type site struct {
	*httptest.Server
	visits chan *http.Request
}

func newSite(t *testing.T) site {
	s := site{visits: make(chan *http.Request, 8)}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.visits <- r
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s site) host() string { return strings.TrimPrefix(s.URL, "https://") }

// TestDeviceLinks: a test person's phone opens links of each type, and comes back to the
// relying party's site, with what proves that it was the phone that signed.
func TestDeviceLinks(t *testing.T) {
	s := newSite(t)
	w := newWorldWith(t, func(c *Config) { c.CallbackHosts, c.CallbackClient = []string{s.host()}, s.Client() }, who(t, "EE-40504040001"), who(t, "30403039917"))
	const ok, refuses = "40504040001", "30403039917"

	login := body3("authentication", "displayTextAndPIN")
	l := w.beginLink("authentication/device-link/anonymous", login)
	code, o := w.open(l, rp.FlowQR, ok, nil)
	require.Equal(t, 200, code, "%v", o)
	status := w.status(l.id)
	require.Equal(t, "OK", status["result"].(object)["endResult"])
	require.Equal(t, "QR", status["signature"].(object)["flowType"])

	callback := s.URL + "/callback?value=Rr"
	login["initialCallbackUrl"] = callback
	for _, flow := range []rp.FlowType{rp.FlowWeb2App, rp.FlowApp2App} {
		l = w.beginLink("authentication/device-link/etsi/PNOEE-"+ok, login)
		code, o = w.open(l, flow, ok, object{"browserCookie": "session=17", "initialCallbackUrl": callback})
		require.Equal(t, 200, code, "%v", o)
		visit := <-s.visits
		require.Equal(t, "session=17", visit.Header.Get("Cookie"))
		require.Equal(t, "Rr", visit.URL.Query().Get("value"))
		status = w.status(l.id)
		require.Equal(t, "OK", status["result"].(object)["endResult"])
		signature := status["signature"].(object)
		require.True(t, acsp.VerifyCallback(visit.URL.Query().Get("sessionSecretDigest"), l.secret.Digest(), visit.URL.Query().Get("userChallengeVerifier"), signature["userChallenge"].(string)))
		p := acsp.Payload{
			Scheme: scheme, ServerRandom: signature["serverRandom"].(string), Challenge: l.links.Challenge, UserChallenge: signature["userChallenge"].(string), RelyingPartyName: "DEMO",
			Interactions: l.links.Interactions, Interaction: rp.DisplayTextAndPIN, CallbackURL: callback, Flow: flow,
		}
		want, err := p.Digest(crypto.SHA512)
		require.NoError(t, err)
		requireSigned(t, w, status, want, crypto.SHA512)
	}

	// Who refuses comes back as well, with nothing to verify a login by.
	l = w.beginLink("authentication/device-link/anonymous", login)
	code, o = w.open(l, rp.FlowWeb2App, refuses, nil)
	require.Equal(t, 200, code, "%v", o)
	visit := <-s.visits
	require.Equal(t, l.secret.Digest(), visit.URL.Query().Get("sessionSecretDigest"))
	require.False(t, visit.URL.Query().Has("userChallengeVerifier"))
	require.Equal(t, "USER_REFUSED", w.status(l.id)["result"].(object)["endResult"])

	// A choice of certificate, and the signature that is linked to it.
	l = w.beginLink("signature/certificate-choice/device-link/anonymous", object{"relyingPartyUUID": demo, "relyingPartyName": "DEMO"})
	code, o = w.open(l, rp.FlowQR, ok, nil)
	require.Equal(t, 200, code, "%v", o)
	status = w.status(l.id)
	require.Equal(t, "OK", status["result"].(object)["endResult"])
	number := status["result"].(object)["documentNumber"].(string)
	sign := body3("signature", "displayTextAndPIN")
	sign["linkedSessionID"] = l.id
	result, status := w.end(3, "signature/notification/linked/"+number, sign)
	require.Equal(t, "OK", result)
	requireSigned(t, w, status, digest[:], crypto.SHA512)
	code, o = w.call("POST", "/smart-id-rp/v3/signature/certificate/"+number, object{"relyingPartyUUID": demo, "relyingPartyName": "DEMO"})
	require.Equal(t, 200, code)
	require.Equal(t, status["cert"], o["cert"])
}

// TestDeviceLinksRefused: what is wrong with a link, or leads to a host that is not on
// the list, is refused, and nobody is called.
func TestDeviceLinksRefused(t *testing.T) {
	s := newSite(t)
	w := newWorldWith(t, func(c *Config) { c.CallbackHosts, c.CallbackClient = []string{"rp.example"}, s.Client() }, who(t, "EE-40504040001"))
	const ok = "40504040001"
	login := body3("authentication", "displayTextAndPIN")
	login["initialCallbackUrl"] = s.URL + "/callback"
	l := w.beginLink("authentication/device-link/anonymous", login)
	refuse := func(pointer string, flow rp.FlowType, more object) {
		t.Helper()
		code, o := w.open(l, flow, ok, more)
		require.Equal(t, 400, code, "%v", o)
		require.Equal(t, pointer, o["errors"].([]any)[0].(object)["pointer"], "%v", o)
	}
	other := l.links
	other.RelyingPartyName = "Other"
	forged, err := other.Link(l.secret, rp.FlowQR, 0, "eng")
	require.NoError(t, err)
	old, err := l.links.Link(l.secret, rp.FlowQR, time.Minute, "eng")
	require.NoError(t, err)
	refuse("/deviceLink", rp.FlowQR, object{"deviceLink": "x"})
	refuse("/deviceLink", rp.FlowQR, object{"deviceLink": forged})
	refuse("/deviceLink", rp.FlowQR, object{"deviceLink": old})
	refuse("/flowType", rp.FlowQR, object{"flowType": "Web2App"})
	refuse("/flowType", rp.FlowQR, object{"flowType": "Notification"})
	refuse("/documentNumber", rp.FlowQR, object{"documentNumber": "PNOEE-40504040001-XXXX-Q"})
	refuse("/documentNumber", rp.FlowQR, object{"documentNumber": nil})
	refuse("/browserCookie", rp.FlowQR, object{"browserCookie": "a\r\nb: c"})
	for _, bad := range []string{s.URL + "/callback", "https://rp.example:8443/", "https://rp.example@" + s.host(), "http://rp.example/", "https://rp.example.evil/", "https://169.254.169.254/", "://"} {
		refuse("/initialCallbackUrl", rp.FlowWeb2App, object{"initialCallbackUrl": bad})
	}
	code, o := w.call("GET", "/smart-id-rp/v3/session/"+l.id+"?timeoutMs=1000", nil)
	require.Equal(t, 200, code)
	require.Equal(t, "RUNNING", o["state"], "none of it reached the phone")

	// The session's own callback URL is known to the phone only.
	refuse("/initialCallbackUrl", rp.FlowWeb2App, object{"initialCallbackUrl": "https://rp.example/callback"})
	l = w.beginLink("authentication/device-link/anonymous", login)
	refuse("/initialCallbackUrl", rp.FlowWeb2App, nil)
	require.Empty(t, s.visits)

	for method, status := range map[string]int{"GET": 405, "PUT": 405} {
		r := httptest.NewRecorder()
		w.identities.Handler().ServeHTTP(r, httptest.NewRequest(method, "/", nil))
		require.Equal(t, status, r.Code)
	}
	r := httptest.NewRecorder()
	w.identities.Handler().ServeHTTP(r, httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat(" ", 1<<20))))
	require.Equal(t, 413, r.Code)
}

// TestTimeout: who sleeps lets the session's time run out.
func TestTimeout(t *testing.T) {
	w := newWorld(t, who(t, "30403039983"))
	code, o := w.call("POST", "/smart-id-rp/v2/authentication/etsi/PNOEE-30403039983", body2("displayTextAndPIN"))
	require.Equal(t, 200, code)
	path := "/smart-id-rp/v2/session/" + o["sessionID"].(string) + "?timeoutMs=1000"
	code, status := w.call("GET", path, nil)
	require.Equal(t, 200, code)
	require.Equal(t, object{"state": "RUNNING"}, status)
	w.ahead.Store(int64(3 * time.Minute))
	code, status = w.call("GET", path, nil)
	require.Equal(t, 200, code)
	require.Equal(t, object{"state": "COMPLETE", "result": object{"endResult": "TIMEOUT"}}, status)
}

// TestOpenAgain: the persons of before are there after a restart, with the same accounts,
// and so is one whose enrolment was cut off.
func TestOpenAgain(t *testing.T) {
	w := newWorld(t, who(t, "EE-40504040001"), who(t, "39901012239"))
	before, ok := w.identities.Document(id("39901012239"), 1)
	require.True(t, ok)
	w.identities.Close()
	again, err := Open(t.Context(), w.config)
	require.NoError(t, err)
	t.Cleanup(again.Close)
	after, ok := again.Document(id("39901012239"), 1)
	require.True(t, ok)
	require.Equal(t, before, after)
	_, ok = again.Document(id("39901012239"), 2)
	require.False(t, ok)
	_, ok = again.Document(id("11111111111"), 0)
	require.False(t, ok)
	all, err := w.accounts.ByPerson(t.Context(), id("39901012239"))
	require.NoError(t, err)
	require.Len(t, all, 2)

	// Somebody ends an account: the person has another one from the next start on.
	require.NoError(t, w.accounts.End(t.Context(), after, accounts.ByOwner))
	again.Close()
	again, err = Open(t.Context(), w.config)
	require.NoError(t, err)
	t.Cleanup(again.Close)
	other, ok := again.Document(id("39901012239"), 1)
	require.True(t, ok)
	require.NotEqual(t, after, other)

	// Cut off after the first key.
	enrolled := 0
	cut := w.config
	cut.Folder, cut.Identities = t.TempDir(), []Identity{who(t, "50001029996")}
	cut.Protocol = failing{w.config.Protocol, func() bool { enrolled++; return enrolled > 3 }}
	_, err = Open(t.Context(), cut)
	require.Error(t, err)
	cut.Protocol = w.config.Protocol
	last, err := Open(t.Context(), cut)
	require.NoError(t, err)
	last.Close()
	all, err = w.accounts.ByPerson(t.Context(), id("50001029996"))
	require.NoError(t, err)
	require.Len(t, all, 1)
}

// TestProduction: there are no test persons but for a CA for tests.
func TestProduction(t *testing.T) {
	w := newService(t, "Tree issuing")
	w.config.Identities = []Identity{who(t, "EE-40504040001")}
	test := newRoot(t) // whose name begins with TEST
	for name, change := range map[string]func(*Config){
		"another CA": func(*Config) {}, "no CA": func(c *Config) { c.IssuingCA = nil }, "no folder": func(c *Config) { c.IssuingCA, c.Folder = test, "" },
		"no accounts": func(c *Config) { c.IssuingCA, c.Accounts = test, nil }, "no engine": func(c *Config) { c.IssuingCA, c.Engine = test, nil }, "no server": func(c *Config) { c.IssuingCA, c.Protocol = test, nil },
	} {
		bad := w.config
		change(&bad)
		_, err := Open(t.Context(), bad)
		require.ErrorIs(t, err, ErrConfig, name)
	}
	// A configuration that names a CA for tests, while this one issues: the account ends.
	all, err := w.accounts.AllByPerson(t.Context(), id("40504040001"))
	require.NoError(t, err)
	require.Empty(t, all)
	w.config.IssuingCA = test
	_, err = Open(t.Context(), w.config)
	require.ErrorIs(t, err, ErrConfig)
	all, err = w.accounts.AllByPerson(t.Context(), id("40504040001"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, accounts.ByMistake, all[0].Cause)
}

// FuzzDeviceLink: whatever is handed in is refused with 400 or 413, and its name.
func FuzzDeviceLink(f *testing.F) {
	i := &Identities{config: Config{CallbackHosts: []string{"rp.example"}}}
	f.Fuzz(func(t *testing.T, body []byte, callback string) {
		_, err := i.parse(body)
		var p *rp.Problem
		require.ErrorAs(t, err, &p) // there are no persons
		require.Equal(t, rp.Invalid, p.Kind)
		require.NotEmpty(t, p.Detail)
		if i.mayCall(callback) {
			u, err := url.Parse(callback)
			require.NoError(t, err)
			require.Equal(t, "rp.example", u.Host)
			require.True(t, strings.HasPrefix(strings.ToLower(callback), "https://rp.example"))
			require.True(t, len(callback) == 18 || strings.ContainsAny(callback[18:19], "/?#"))
		}
	})
}

// failing is a server that is gone from some request on.
type failing struct {
	Protocol
	gone func() bool
}

func (f failing) Handle(ctx context.Context, request []byte) ([]byte, error) {
	if f.gone() {
		return nil, os.ErrClosed
	}
	return f.Protocol.Handle(ctx, request)
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*Identities)(nil)},
		Functions: map[string]any{"Open": Open, "All": All},
		May:       map[string]string{"Identities.Watch": "it watches for nobody"},
	})
}
