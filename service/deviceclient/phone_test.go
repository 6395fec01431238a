package deviceclient_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha3"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

var mari = rp.Target{Person: &servicetest.Mari.ID}

// login2 is a login of version 2.
func login2(interaction rp.InteractionType) rp.Request {
	digest := sha256.Sum256([]byte(rand.Text()))
	return rp.Request{
		Version: rp.V2, Kind: rp.Authentication, Flow: rp.Notification, Target: mari, RelyingPartyUUID: servicetest.Party, RelyingPartyName: "DEMO",
		Level: rp.LevelQualified, Digest: digest[:], Algorithm: rp.Algorithm{Hash: crypto.SHA256},
		Interactions: []rp.Interaction{{Type: interaction, Text: "Log in"}},
	}
}

// login3 is one of version 3.
func login3(flow rp.Flow, interaction rp.InteractionType) rp.Request {
	r := login2(interaction)
	r.Version, r.Flow, r.Digest, r.Algorithm = rp.V3, flow, nil, rp.Algorithm{Hash: crypto.SHA3_512, PSS: true}
	if flow == rp.DeviceLink {
		r.Target = rp.Target{}
	}
	challenge := make([]byte, 64)
	rand.Read(challenge)
	r.Challenge = base64.StdEncoding.EncodeToString(challenge)
	_, member := interaction.MaxText()
	text, err := json.Marshal([]map[string]string{{"type": string(interaction), member: "Log in"}})
	if err != nil {
		panic(err)
	}
	r.InteractionsText = base64.StdEncoding.EncodeToString(text)
	return r
}

// service is a service that phones reach through a proxy, which may change or lose what
// it answers.
type service struct {
	*servicetest.Service
	t      *testing.T
	url    string
	change atomic.Pointer[func(path string, status int, body []byte) (int, []byte)]
}

func newService(t *testing.T, db *database.DB, change ...func(*servicetest.Config)) *service {
	secrets, err := servicetest.NewSecrets()
	require.NoError(t, err)
	config := servicetest.Config{DB: db, Secrets: secrets}
	for _, f := range change {
		f(&config)
	}
	s := &service{t: t}
	s.Service, err = servicetest.Open(config)
	require.NoError(t, err)
	s.AddParty(t)
	real := http.StripPrefix("/device/v1", s.Handler)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change := s.change.Load()
		if change == nil {
			real.ServeHTTP(w, r)
			return
		}
		recorder := &recorder{ResponseRecorder: httptest.NewRecorder()}
		real.ServeHTTP(recorder, r)
		status, body := (*change)(r.URL.Path[len("/device/v1"):], recorder.Code, recorder.Body.Bytes())
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", recorder.Header().Get("Content-Type"))
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(func() {
		s.Handler.Close()
		web.Close()
	})
	s.url = web.URL + "/device/v1"
	return s
}

// recorder has deadlines, as a connection does.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

func (s *service) answers(f func(path string, status int, body []byte) (int, []byte)) {
	if f == nil {
		s.change.Store(nil)
		return
	}
	s.change.Store(&f)
}

// loses has the proxy lose the next answer on a path.
func (s *service) loses(path string) {
	var lost atomic.Bool // requests come on several connections
	s.answers(func(p string, status int, body []byte) (int, []byte) {
		if p == path && lost.CompareAndSwap(false, true) {
			return 0, nil
		}
		return status, body
	})
}

func (s *service) begin(r rp.Request) rp.Session {
	session, err := s.Engine.Begin(s.t.Context(), r, servicetest.Source)
	require.NoError(s.t, err)
	return session
}

func (s *service) outcome(id string) *rp.Outcome {
	st, err := s.Engine.Status(s.t.Context(), id, 0, servicetest.Source)
	require.NoError(s.t, err)
	return st.Outcome
}

func (s *service) link(r rp.Request, x rp.Session, flow rp.FlowType) string {
	token, text, base := x.Link()
	secret, err := devicelink.ParseSecret(text)
	require.NoError(s.t, err)
	link, err := devicelink.Session{
		Scheme: servicetest.Scheme, Base: base, Token: token, Kind: r.Kind, Challenge: r.Challenge, RelyingPartyName: r.RelyingPartyName,
		Interactions: r.InteractionsText, CallbackURL: r.CallbackURL,
	}.Link(secret, flow, 0, "eng")
	require.NoError(s.t, err)
	return link
}

// open opens the session that waits.
func open(t *testing.T, p *servicetest.Phone) *deviceclient.Transaction {
	pending, err := p.Poll(t.Context(), nil, time.Minute)
	require.NoError(t, err)
	require.NotNil(t, pending)
	tx, err := p.Open(t.Context(), pending)
	require.NoError(t, err)
	return tx
}

var pin1, pin2 = servicetest.PINs.Authentication, servicetest.PINs.Signature

// TestWhole: from the registrar's code to signatures that the certificates verify, by
// HTTP, on both engines.
func TestWhole(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, openDB func() *database.DB) {
		s := newService(t, openDB())
		p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
		a, err := p.Phone.Account(t.Context())
		require.NoError(t, err)
		require.Equal(t, "MARI", a.Given)
		require.Equal(t, string(accounts.Active), a.State)
		none, err := p.Poll(t.Context(), nil, 0)
		require.NoError(t, err)
		require.Nil(t, none)

		r := login2(rp.DisplayTextAndPIN)
		x := s.begin(r)
		tx := open(t, p)
		require.Equal(t, x.ID, tx.Session)
		require.Equal(t, rp.Interaction{Type: rp.DisplayTextAndPIN, Text: "Log in"}, tx.Interaction)
		require.Equal(t, protocol.VerificationCode(r.Digest), tx.Code)
		require.WithinDuration(t, time.Now().Add(2*time.Minute), tx.Deadline, time.Minute)
		require.Empty(t, tx.CallbackURL())
		require.NoError(t, tx.Sign(t.Context(), pin1))
		verify(t, s.outcome(x.ID), r, r.Digest)
		require.NoError(t, tx.Sign(t.Context(), nil), "said again")

		r = login3(rp.Notification, rp.ConfirmationMessageAndVerificationCodeChoice)
		r.Kind, r.Digest, r.Challenge = rp.Signature, bytes.Repeat([]byte{7}, 64), ""
		x = s.begin(r)
		tx = open(t, p)
		require.ErrorIs(t, tx.Sign(t.Context(), pin2), deviceclient.ErrConfig, "before the code")
		require.ErrorIs(t, tx.Choose(t.Context(), "12345"), deviceclient.ErrConfig)
		require.NoError(t, tx.Choose(t.Context(), x.Code))
		require.NoError(t, tx.Sign(t.Context(), pin2))
		verify(t, s.outcome(x.ID), r, r.Digest)
	})
}

// verify checks an outcome as relying parties do.
func verify(t *testing.T, o *rp.Outcome, r rp.Request, digest []byte) {
	t.Helper()
	require.NotNil(t, o)
	require.Equal(t, rp.OK, o.End)
	c, err := x509.ParseCertificate(o.Certificate)
	require.NoError(t, err)
	key := c.PublicKey.(*rsa.PublicKey)
	if r.Algorithm.PSS {
		require.NoError(t, rsa.VerifyPSS(key, r.Algorithm.Hash, digest, o.Signature, &rsa.PSSOptions{SaltLength: r.Algorithm.Hash.Size()}))
		return
	}
	require.NoError(t, rsa.VerifyPKCS1v15(key, r.Algorithm.Hash, digest, o.Signature))
}

// TestSameDevice: a login that a link on the same device began goes back to where it came
// from, with what only this phone knows.
func TestSameDevice(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
	for _, flow := range []rp.FlowType{rp.FlowQR, rp.FlowWeb2App} {
		r := login3(rp.DeviceLink, rp.ConfirmationMessage)
		r.CallbackURL = "https://bank.example/cb?value=1"
		x := s.begin(r)
		link := s.link(r, x, flow)
		tx, err := p.OpenLink(t.Context(), link)
		require.NoError(t, err)
		require.Empty(t, tx.Code)
		_, text, _ := x.Link()
		secret, err := devicelink.ParseSecret(text)
		require.NoError(t, err)
		refused := ""
		if flow == rp.FlowWeb2App {
			refused = acsp.CallbackURL(r.CallbackURL, secret.Digest(), "")
		}
		require.Equal(t, refused, tx.CallbackURL(), "with the verifier only after a success")
		require.NoError(t, tx.Sign(t.Context(), pin1))
		o := s.outcome(x.ID)
		digest, err := acsp.Payload{
			Scheme: servicetest.Scheme, ServerRandom: o.ServerRandom, Challenge: r.Challenge, UserChallenge: o.UserChallenge, RelyingPartyName: "DEMO",
			Interactions: r.InteractionsText, Interaction: rp.ConfirmationMessage, CallbackURL: r.CallbackURL, Flow: flow,
		}.Digest(crypto.SHA3_512)
		require.NoError(t, err)
		verify(t, o, r, digest)
		back := tx.CallbackURL()
		if flow == rp.FlowQR {
			require.Empty(t, back)
			continue
		}
		u, err := http.NewRequest(http.MethodGet, back, nil)
		require.NoError(t, err)
		q := u.URL.Query()
		require.True(t, acsp.VerifyCallback(q.Get("sessionSecretDigest"), secret.Digest(), q.Get("userChallengeVerifier"), o.UserChallenge))
	}
	_, err := p.OpenLink(t.Context(), "https://id.example/other")
	require.ErrorIs(t, err, devicelink.ErrMalformed)
}

// TestPINs: a wrong PIN is told, and the session goes on; a lock ends it, and the account
// says for how long.
func TestPINs(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
	x := s.begin(login2(rp.DisplayTextAndPIN))
	tx := open(t, p)
	var wrong *limiter.WrongPINError
	for range 2 {
		require.ErrorAs(t, tx.Sign(t.Context(), []byte("0000")), &wrong)
		require.Nil(t, s.outcome(x.ID))
	}
	require.ErrorAs(t, tx.Sign(t.Context(), []byte("0000")), &wrong)
	require.Equal(t, rp.DocumentUnusable, s.outcome(x.ID).End)
	a, err := p.Phone.Account(t.Context())
	require.NoError(t, err)
	require.Positive(t, a.Keys[0].LockedSeconds)
	require.Equal(t, wrong.LockedUntil.UTC(), a.Keys[0].LockedUntil.UTC())
	require.Zero(t, a.Keys[1].LockedSeconds, "the other PIN is not locked")
	require.False(t, a.Keys[0].Destroyed)

	x = s.begin(login2(rp.DisplayTextAndPIN))
	pending, err := p.Poll(t.Context(), nil, time.Minute)
	require.NoError(t, err)
	_, err = p.Open(t.Context(), pending)
	require.True(t, deviceclient.Is(err, deviceclient.CodeUnusable))
	require.Equal(t, rp.DocumentUnusable, s.outcome(x.ID).End)
}

// TestLostAnswers: whatever answer is lost, the phone says the same again and all is
// well: one signature, one attempt.
func TestLostAnswers(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)

	r := login3(rp.Notification, rp.ConfirmationMessageAndVerificationCodeChoice)
	x := s.begin(r)
	pending, err := p.Poll(t.Context(), nil, time.Minute)
	require.NoError(t, err)
	s.loses("/claim")
	_, err = p.Open(t.Context(), pending)
	require.Error(t, err)
	tx, err := p.Open(t.Context(), pending)
	require.NoError(t, err)
	challenge, err := base64.StdEncoding.DecodeString(r.Challenge)
	require.NoError(t, err)
	code := protocol.VerificationCode(challenge)
	s.loses("/choice")
	require.Error(t, tx.Choose(t.Context(), code))
	require.NoError(t, tx.Choose(t.Context(), code))
	s.loses("/sign")
	require.ErrorIs(t, tx.Sign(t.Context(), pin1), device.ErrUnanswered)
	require.Equal(t, rp.OK, s.outcome(x.ID).End, "the relying party has it all the same")
	require.NoError(t, tx.Sign(t.Context(), []byte("0000")), "a PIN that is not looked at")
	status, err := s.Server.Status(t.Context(), p.Account.Keys[0].ID)
	require.NoError(t, err)
	require.Equal(t, 3, status.Attempts.Remaining)

	// The app is started anew, and has forgotten what it showed.
	x = s.begin(login3(rp.Notification, rp.DisplayTextAndPIN))
	open(t, p)
	p.Start(t)
	require.NoError(t, open(t, p).Sign(t.Context(), pin1))
	require.Equal(t, rp.OK, s.outcome(x.ID).End)

	// Refused, and not heard.
	x = s.begin(login2(rp.DisplayTextAndPIN))
	tx = open(t, p)
	s.loses("/refuse")
	require.Error(t, tx.Refuse(t.Context(), deviceclient.PINScreen))
	require.True(t, deviceclient.Is(tx.Refuse(t.Context(), deviceclient.PINScreen), deviceclient.CodeGone))
	require.Equal(t, rp.UserRefusedInteraction, s.outcome(x.ID).End)

	// The session has gone when the person types the PIN: no attempt, and nothing waits.
	require.True(t, deviceclient.Is(tx.Sign(t.Context(), []byte("0000")), deviceclient.CodeGone))
	state, err := p.Authentication().Status()
	require.NoError(t, err)
	require.Nil(t, state.Pending)
	status, err = s.Server.Status(t.Context(), p.Account.Keys[0].ID)
	require.NoError(t, err)
	require.Equal(t, 3, status.Attempts.Remaining)
	x = s.begin(login2(rp.DisplayTextAndPIN))
	require.NoError(t, open(t, p).Sign(t.Context(), pin1))
	require.Equal(t, rp.OK, s.outcome(x.ID).End)
}

// TestUncertainCommit: the database fails before or after it has the signature. The phone
// is told to ask again, and then all is well.
func TestUncertainCommit(t *testing.T) {
	for _, written := range []bool{false, true} {
		var failed atomic.Bool
		var s *service
		s = newService(t, databasetest.Open(t, databasetest.SQLite(t)), func(c *servicetest.Config) {
			c.Signed = func(ctx context.Context, x server.Signed) error {
				if !failed.CompareAndSwap(false, true) {
					return s.Engine.Signed(ctx, x)
				}
				if written {
					require.NoError(t, s.Engine.Signed(ctx, x))
				}
				return database.ErrUnknown
			}
		})
		p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
		r := login2(rp.DisplayTextAndPIN)
		x := s.begin(r)
		tx := open(t, p)
		require.ErrorIs(t, tx.Sign(t.Context(), pin1), device.ErrUnanswered)
		require.Equal(t, written, s.outcome(x.ID) != nil)
		if written {
			p.Start(t) // the app is started anew, and has nothing more to do
			none, err := p.Poll(t.Context(), nil, 0)
			require.NoError(t, err)
			require.Nil(t, none)
		} else {
			require.NoError(t, tx.Sign(t.Context(), pin1))
		}
		verify(t, s.outcome(x.ID), r, r.Digest)
		x = s.begin(login2(rp.DisplayTextAndPIN))
		require.NoError(t, open(t, p).Sign(t.Context(), pin1))
		require.Equal(t, rp.OK, s.outcome(x.ID).End)
	}
}

// TestNotTaken: the session ends while the signature is made. The phone is told that the
// relying party did not get it.
func TestNotTaken(t *testing.T) {
	var s *service
	var p *servicetest.Phone
	var x rp.Session
	s = newService(t, databasetest.Open(t, databasetest.SQLite(t)), func(c *servicetest.Config) {
		c.Signed = func(ctx context.Context, signed server.Signed) error {
			require.NoError(t, s.Engine.Refuse(ctx, p.Account, x.ID, 0))
			return s.Engine.Signed(ctx, signed)
		}
	})
	p = s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
	x = s.begin(login2(rp.DisplayTextAndPIN))
	tx := open(t, p)
	require.ErrorIs(t, tx.Sign(t.Context(), pin1), deviceclient.ErrNotTaken)
	require.Equal(t, &rp.Outcome{End: rp.UserRefused}, s.outcome(x.ID))
}

// TestEnrolmentLost: an enrolment goes on wherever it was cut off.
func TestEnrolmentLost(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	r, err := s.Accounts.Register(t.Context(), accounts.Registration{Person: servicetest.Mari, Level: identity.Qualified})
	require.NoError(t, err)
	p := s.NewPhone(t, s.url)
	same := servicetest.PINs
	same.Signature = same.Authentication
	_, err = p.Enrol(t.Context(), r.Code, "Mari's phone", same)
	require.ErrorIs(t, err, deviceclient.ErrConfig)
	// The first enrolment and the first confirmation, of both keys, are not answered.
	left := 8
	s.answers(func(path string, status int, body []byte) (int, []byte) {
		if left--; left%2 == 1 {
			return 0, nil
		}
		return status, body
	})
	var o deviceclient.Opened
	for range 20 {
		if o, err = p.Enrol(t.Context(), r.Code, "Mari's phone", servicetest.PINs); err == nil {
			break
		}
		p.Start(t)
	}
	require.NoError(t, err)
	s.answers(nil)
	s.Opened(t, p, o)
	x := s.begin(login2(rp.DisplayTextAndPIN))
	require.NoError(t, open(t, p).Sign(t.Context(), pin1))
	require.Equal(t, rp.OK, s.outcome(x.ID).End)
}

// TestNewPhone: a new phone takes the place of the old one, with its PIN.
func TestNewPhone(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	old := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
	p := s.NewPhone(t, s.url)
	request, err := p.Ask(t.Context(), "New phone")
	require.NoError(t, err)
	_, err = p.Resume(t.Context(), servicetest.PINs)
	require.True(t, deviceclient.Is(err, deviceclient.CodeNotApproved))
	s.answers(func(path string, status int, body []byte) (int, []byte) {
		return status, bytes.Replace(body, []byte("New phone"), []byte("Old phone"), 1)
	})
	_, err = old.Scanned(t.Context(), request)
	require.ErrorIs(t, err, deviceclient.ErrMismatch)
	s.answers(nil)
	scanned, err := old.Scanned(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, "New phone", scanned.Device)
	require.NoError(t, old.Approve(t.Context(), scanned, pin2))
	o, err := p.Resume(t.Context(), servicetest.PINs)
	require.NoError(t, err)
	s.Opened(t, p, o)
	a, err := old.Phone.Account(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(accounts.Deleted), a.State)
	require.True(t, a.Keys[0].Destroyed)
	_, err = old.Poll(t.Context(), nil, 0)
	require.True(t, deviceclient.Is(err, deviceclient.CodeEnded))

	// And ends.
	s.begin(login2(rp.DisplayTextAndPIN))
	tx := open(t, p)
	require.NoError(t, p.Delete(t.Context()))
	require.Equal(t, rp.DocumentUnusable, s.outcome(tx.Session).End)
	require.True(t, deviceclient.Is(tx.Sign(t.Context(), pin1), deviceclient.CodeEnded))
}

// TestChangePIN: what signs nothing has challenges, too.
func TestChangePIN(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
	challenge, err := p.Challenge(t.Context(), p.Signature())
	require.NoError(t, err)
	require.NoError(t, p.Signature().ChangePIN(t.Context(), challenge, pin2, []byte("51834")))
	r := login2(rp.DisplayTextAndPIN)
	r.Kind = rp.Signature
	x := s.begin(r)
	require.NoError(t, open(t, p).Sign(t.Context(), []byte("51834")))
	verify(t, s.outcome(x.ID), r, r.Digest)
	lines, err := p.History(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "signature", lines[0].Kind)
	require.Equal(t, "127.0.0.1", lines[0].Address)
	require.Equal(t, "Mari's phone", lines[0].Device)
	_, err = p.Challenge(t.Context(), nil)
	require.ErrorIs(t, err, deviceclient.ErrConfig)
}
