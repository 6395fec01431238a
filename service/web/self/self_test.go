package self_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/web/login"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

func TestMain(m *testing.M) { webtest.Main(m) }

var shownCode = regexp.MustCompile(`<output>(\d{4})</output>`)

// enter logs a person in with a phone.
func enter(t testing.TB, b *webtest.Browser, phone *webtest.Phone) {
	p := b.Post("/self/login/id", url.Values{"country": {"EE"}, "number": {phone.Account.Person.ID.Number}})
	m := shownCode.FindStringSubmatch(p.Text)
	require.NotNil(t, m, p.Text)
	tx, err := phone.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, phone.Answer(t.Context(), tx, m[1]))
	for {
		var s login.State
		require.NoError(t, json.Unmarshal([]byte(b.Get("/self/login/state").Text), &s))
		if s.To != "" {
			require.Equal(t, "/self/", s.To)
			return
		}
	}
}

// TestSelf: a person sees the accounts that are hers, with their locks, certificates and
// history, and those of nobody else; ends one that is lost; and is out when the account
// of her login has ended.
func TestSelf(t *testing.T) {
	w := webtest.New(t, func(c *node.Config) { c.Quotas = accounts.Quotas{} })
	mari, jaan := webtest.Person("40504040001", "MARI", "MÄND"), webtest.Person("37101010021", "JAAN", "TAMM")
	lost := w.Enrol(t, mari, identity.Qualified, "Lost phone")
	phone := w.Enrol(t, mari, identity.Qualified, "New phone")
	other := w.Enrol(t, jaan, identity.Qualified, "Jaan's phone")
	b := w.Browser(t)
	for _, path := range []string{"/self/", "/self/history", "/self/end/" + lost.Account.Document.String(), "/self/certificate/" + lost.Account.Document.String() + "/signature"} {
		require.Equal(t, "/self/login", b.Get(path).Path)
	}
	require.Equal(t, "/self/login", b.Post("/self/end/"+lost.Account.Document.String(), nil).Path)
	enter(t, b, phone)

	p := b.Get("/self/")
	for _, text := range []string{"MARI MÄND", "Lost phone", "New phone", lost.Account.Document.String(), "logged in with it", "wrong attempts until a lock: 3", "qualified"} {
		require.Contains(t, p.Text, text)
	}
	require.NotContains(t, p.Text, "Jaan")
	require.Contains(t, p.Header.Get("Cache-Control"), "no-store")

	p = b.Get("/self/certificate/" + lost.Account.Document.String() + "/authentication")
	require.Equal(t, lost.Account.Keys[0].Certificate, []byte(p.Text))
	p = b.Get("/self/certificate/" + lost.Account.Document.String() + "/signature")
	c, err := x509.ParseCertificate([]byte(p.Text))
	require.NoError(t, err)
	require.Equal(t, x509.KeyUsageContentCommitment, c.KeyUsage)

	// What is another person's is not there.
	for _, path := range []string{"/self/end/", "/self/certificate/"} {
		path += other.Account.Document.String()
		if strings.Contains(path, "certificate") {
			path += "/signature"
		}
		require.Equal(t, http.StatusNotFound, b.Get(path).Status)
	}
	require.Equal(t, http.StatusNotFound, b.Post("/self/end/"+other.Account.Document.String(), nil).Status)
	require.Equal(t, accounts.Active, state(t, w, other))

	p = b.Get("/self/history")
	require.Contains(t, p.Text, "Account opened")
	require.Contains(t, p.Text, "Log in to the self-service")
	require.NotContains(t, p.Text, "Jaan")
	p = b.Get("/self/history?kind=logins&account=" + phone.Account.Document.String())
	require.NotContains(t, p.Text, "Account opened")
	require.Equal(t, 1, strings.Count(p.Text, "<time"))

	// The lost phone's account ends; the history says so.
	require.Contains(t, b.Get("/self/end/"+lost.Account.Document.String()).Text, "End the account for ever")
	require.Equal(t, "/self/", b.Post("/self/end/"+lost.Account.Document.String(), nil).Path)
	require.Equal(t, accounts.Deleted, state(t, w, lost))
	require.Contains(t, b.Get("/self/end/"+lost.Account.Document.String()).Text, "has ended already")
	require.Equal(t, http.StatusForbidden, b.Post("/self/end/"+lost.Account.Document.String(), nil).Status)
	require.Contains(t, b.Get("/self/history?kind=account").Text, "by its owner")

	// Whose account has ended, elsewhere or here, is out.
	enter(t, b, phone)
	require.NoError(t, w.Node.Accounts().Suspend(t.Context(), phone.Account.Document))
	require.Equal(t, "/self/login", b.Get("/self/history").Path)
	require.NoError(t, w.Node.Accounts().Resume(t.Context(), phone.Account.Document))
	require.Equal(t, "/self/login", b.Get("/self/").Path, "the visit is over")
	enter(t, b, phone)
	require.Equal(t, "/self/login", b.Post("/self/end/"+phone.Account.Document.String(), nil).Path)
	require.Equal(t, "/self/login", b.Get("/self/").Path)
	require.Empty(t, w.Log.Errors())
}

func state(t testing.TB, w *webtest.World, p *webtest.Phone) accounts.State {
	a, err := w.Node.Accounts().ByDocument(t.Context(), p.Account.Document)
	require.NoError(t, err)
	return a.State
}

// TestEndRefused: a login of a lower level ends no account of a higher one.
func TestEndRefused(t *testing.T) {
	w := webtest.New(t, func(c *node.Config) { c.Quotas = accounts.Quotas{} })
	mari := webtest.Person("40504040001", "MARI", "MÄND")
	qualified := w.Enrol(t, mari, identity.Qualified, "Qualified phone")
	advanced := w.Enrol(t, mari, identity.Advanced, "Advanced phone")
	b := w.Browser(t)
	enter(t, b, advanced)
	path := "/self/end/" + qualified.Account.Document.String()
	require.Contains(t, b.Get(path).Text, "logged in with an advanced account")
	p := b.Post(path, nil)
	require.Equal(t, http.StatusForbidden, p.Status)
	require.Equal(t, accounts.Active, state(t, w, qualified))
	b.Post("/self/logout", nil)

	enter(t, b, qualified)
	require.Contains(t, b.Get("/self/end/"+advanced.Account.Document.String()).Text, "End the account for ever")
	require.Contains(t, b.Get(path).Text, "You will be logged out")
}

// TestCode: the revocation code ends its account without a login; another code does not,
// and who tries too many is told to wait.
func TestCode(t *testing.T) {
	w := webtest.New(t, func(c *node.Config) { c.Quotas = accounts.DefaultQuotas() })
	phone := w.Enrol(t, webtest.Person("40504040001", "MARI", "MÄND"), identity.Qualified, "Only phone")
	b := w.Browser(t)
	require.Contains(t, b.Get("/self/login").Text, `href="/self/code"`)
	p := b.Post("/self/code", url.Values{"code": {"AAAA-BBBB-CCCC-DDDD"}})
	require.Equal(t, http.StatusForbidden, p.Status)
	require.Contains(t, p.Text, "No account has this code")
	require.Equal(t, accounts.Active, state(t, w, phone))
	p = b.Post("/self/code", url.Values{"code": {strings.ToLower(phone.Code)}})
	require.Contains(t, p.Text, "The account "+phone.Account.Document.String()+" has ended.")
	require.Equal(t, accounts.Deleted, state(t, w, phone))
	late := false
	for range 1000 { // some come free meanwhile, however slow this machine is
		if b.Post("/self/code", url.Values{"code": {"AAAA-BBBB-CCCC-DDDD"}}).Status == http.StatusTooManyRequests {
			late = true
			break
		}
	}
	require.True(t, late)
	require.Empty(t, w.Log.Errors())
}
