// Package phonetest has what every kind of phone must do, as scenarios: package mobile in
// Go, and in a browser. A scenario plays the person, the relying party and the registrar.
package phonetest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha3" // version 3's hash
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/phoneops"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// Phone is a phone of some kind.
type Phone interface {
	// Call calls an operation of package phoneops. Bytes among the arguments are PINs.
	Call(op string, args Args) (phoneops.Result, error)
	// Restart starts the app anew: it has what it has stored.
	Restart()
}

// Args are the arguments of a call.
type Args map[string]any

// String, Int and Bytes are as phoneops.Args has them.
func (a Args) String(name string) string { s, _ := a[name].(string); return s }
func (a Args) Int(name string) int       { i, _ := a[name].(int); return i }
func (a Args) Bytes(name string) []byte  { b, _ := a[name].([]byte); return b }

// World is a service, and its relying party.
type World struct {
	*servicetest.Service
	URL string // of the web server; phones call /device/v1 on it

	t        testing.TB
	lose     atomic.Pointer[string]
	at       atomic.Pointer[moment]
	answered atomic.Int64
}

// moment is one at which a test does something.
type moment struct {
	path    string
	handled bool
	do      func()
}

const devicePath = "/device/v1"

// New starts a service. Other paths than the phones' are answered by others.
func New(t testing.TB, db *database.DB, others http.Handler) *World {
	return NewWith(t, servicetest.Config{DB: db}, others)
}

// NewWith is New with more of the service's configuration.
func NewWith(t testing.TB, c servicetest.Config, others http.Handler) *World {
	w := &World{Service: servicetest.NewWith(t, c), t: t}
	phones := http.StripPrefix(devicePath, w.Handler)
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		path, device := strings.CutPrefix(r.URL.Path, devicePath)
		lost := w.lose.Load()
		if m := w.at.Load(); m != nil && m.path == path && w.at.CompareAndSwap(m, nil) {
			answer := &recorder{httptest.NewRecorder()}
			if m.handled {
				phones.ServeHTTP(answer, r)
			}
			m.do()
			if m.handled {
				panic(http.ErrAbortHandler) // nobody is there to hear it
			}
		}
		switch {
		case !device && others != nil:
			others.ServeHTTP(rw, r)
		case device && lost != nil && *lost == path && w.lose.CompareAndSwap(lost, nil):
			phones.ServeHTTP(&recorder{httptest.NewRecorder()}, r)
			// Browsers send a request again whose connection broke.
			http.Error(rw, "bad gateway", http.StatusBadGateway)
		default:
			began := time.Now()
			phones.ServeHTTP(rw, r)
			w.answered.Add(int64(time.Since(began)))
		}
	}))
	t.Cleanup(func() {
		w.Handler.Close()
		web.Close()
	})
	w.URL = web.URL
	return w
}

// recorder has deadlines, as a connection does.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

// Loses has the service's next answer on a path lost.
func (w *World) Loses(path string) { w.lose.Store(&path) }

// Answered is how long requests of phones have taken by now, each from its arrival to the
// end of its answer.
func (w *World) Answered() time.Duration { return time.Duration(w.answered.Load()) }

// At has a function called when the next request on a path has come, or has been handled
// and not answered.
func (w *World) At(path string, handled bool, do func()) { w.at.Store(&moment{path, handled, do}) }

// PhoneJSON is what an app is shipped with.
func (w *World) PhoneJSON() []byte {
	text, err := json.Marshal(map[string]any{"url": w.URL + devicePath, "scheme": servicetest.Scheme, "hpke_key": w.Server.HPKEKey()})
	require.NoError(w.t, err)
	return text
}

// Register returns a registrar's code for Mari.
func (w *World) Register() string {
	r, err := w.Accounts.Register(w.t.Context(), accounts.Registration{Person: servicetest.Mari, Level: identity.Qualified})
	require.NoError(w.t, err)
	return r.Code
}

// Login is a login of version 3; by a device link it goes back to a callback URL.
func Login(flow rp.Flow, interaction rp.InteractionType) rp.Request {
	r := request(rp.Authentication, interaction)
	r.Version, r.Flow, r.Algorithm = rp.V3, flow, rp.Algorithm{Hash: crypto.SHA3_512, PSS: true}
	if flow == rp.DeviceLink {
		r.Target, r.CallbackURL = rp.Target{}, "https://bank.example/cb?value=1"
	}
	challenge := make([]byte, 64)
	rand.Read(challenge)
	r.Challenge = base64.StdEncoding.EncodeToString(challenge)
	_, member := interaction.MaxText()
	text, err := json.Marshal([]map[string]string{{"type": string(interaction), member: "Log in"}})
	if err != nil {
		panic(err) // strings are JSON
	}
	r.InteractionsText = base64.StdEncoding.EncodeToString(text)
	return r
}

// Signature is a signature of version 2.
func Signature(interaction rp.InteractionType) rp.Request {
	r := request(rp.Signature, interaction)
	digest := sha256.Sum256([]byte(rand.Text()))
	r.Digest, r.Algorithm = digest[:], rp.Algorithm{Hash: crypto.SHA256}
	return r
}

// Choice is a choice of a certificate, by a QR code: which of the person's accounts it
// is, the service does not know.
func Choice() rp.Request {
	r := request(rp.CertificateChoice, "")
	r.Version, r.Flow, r.Target, r.Interactions = rp.V3, rp.DeviceLink, rp.Target{}, nil
	return r
}

func request(kind rp.Kind, interaction rp.InteractionType) rp.Request {
	return rp.Request{
		Version: rp.V2, Kind: kind, Flow: rp.Notification, Target: rp.Target{Person: &servicetest.Mari.ID}, RelyingPartyUUID: servicetest.Party,
		RelyingPartyName: "DEMO", Level: rp.LevelQualified, Interactions: []rp.Interaction{{Type: interaction, Text: "Log in"}},
	}
}

// Begin begins a session of the relying party.
func (w *World) Begin(r rp.Request) rp.Session {
	s, err := w.Engine.Begin(w.t.Context(), r, servicetest.Source)
	require.NoError(w.t, err)
	return s
}

// Outcome is what became of it; nil while it goes on.
func (w *World) Outcome(s rp.Session) *rp.Outcome {
	status, err := w.Engine.Status(w.t.Context(), s.ID, 0, servicetest.Source)
	require.NoError(w.t, err)
	return status.Outcome
}

// RefuseElsewhere ends a session as if the person had refused on another way.
func (w *World) RefuseElsewhere(s rp.Session) {
	all, err := w.Accounts.ByPerson(w.t.Context(), servicetest.Mari.ID)
	require.NoError(w.t, err)
	for _, a := range all {
		if a.State == accounts.Active {
			require.NoError(w.t, w.Engine.Refuse(w.t.Context(), a, s.ID, 0))
		}
	}
	require.NotNil(w.t, w.Outcome(s))
}

// Link is the device link of a session.
func (w *World) Link(r rp.Request, s rp.Session, flow rp.FlowType) string {
	token, text, base := s.Link()
	secret, err := devicelink.ParseSecret(text)
	require.NoError(w.t, err)
	link, err := devicelink.Session{
		Scheme: servicetest.Scheme, Base: base, Token: token, Kind: r.Kind, Challenge: r.Challenge, RelyingPartyName: r.RelyingPartyName,
		Interactions: r.InteractionsText, CallbackURL: r.CallbackURL,
	}.Link(secret, flow, 0, "eng")
	require.NoError(w.t, err)
	return link
}

// Verify checks the signature of a session as relying parties do.
func (w *World) Verify(r rp.Request, s rp.Session, flow rp.FlowType) *rp.Outcome {
	w.t.Helper()
	o := w.Outcome(s)
	require.NotNil(w.t, o)
	require.Equal(w.t, rp.OK, o.End)
	c, err := x509.ParseCertificate(o.Certificate)
	require.NoError(w.t, err)
	key, digest := c.PublicKey.(*rsa.PublicKey), r.Digest
	if !r.Algorithm.PSS {
		require.NoError(w.t, rsa.VerifyPKCS1v15(key, r.Algorithm.Hash, digest, o.Signature))
		return o
	}
	digest, err = acsp.Payload{
		Scheme: servicetest.Scheme, ServerRandom: o.ServerRandom, Challenge: r.Challenge, UserChallenge: o.UserChallenge, RelyingPartyName: "DEMO",
		Interactions: r.InteractionsText, Interaction: r.Interactions[0].Type, CallbackURL: r.CallbackURL, Flow: flow,
	}.Digest(r.Algorithm.Hash)
	require.NoError(w.t, err)
	require.NoError(w.t, rsa.VerifyPSS(key, r.Algorithm.Hash, digest, o.Signature, &rsa.PSSOptions{SaltLength: r.Algorithm.Hash.Size()}))
	return o
}
