package bank_test

import (
	"bytes"
	"encoding/json"
	"html"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/web/bank/asice"
	"github.com/tandem-rsa/tandem/service/web/login"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

func TestMain(m *testing.M) { webtest.Main(m) }

var shownCode = regexp.MustCompile(`<output>(\d{4})</output>`)

func code(t testing.TB, p webtest.Page) string {
	m := shownCode.FindStringSubmatch(p.Text)
	require.NotNil(t, m, p.Text)
	return m[1]
}

// state asks until the page says where to go.
func state(t testing.TB, b *webtest.Browser, path string) string {
	for {
		p := b.Get(path)
		require.Equal(t, 200, p.Status, p.Text)
		var s login.State
		require.NoError(t, json.Unmarshal([]byte(p.Text), &s))
		if s.To != "" {
			return s.To
		}
	}
}

// enter logs a person in by number.
func enter(t testing.TB, b *webtest.Browser, phone *webtest.Phone) {
	p := b.Post("/bank/login/id", url.Values{"country": {"EE"}, "number": {phone.Account.Person.ID.Number}})
	require.Equal(t, "/bank/login", p.Path)
	shown := code(t, p)
	tx, err := phone.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "Tree Bank", tx.RelyingParty)
	require.Equal(t, "Log in to Tree Bank", tx.Interaction.Text)
	require.NoError(t, phone.Answer(t.Context(), tx, shown))
	require.Equal(t, "/bank/", state(t, b, "/bank/login/state"))
}

// TestBank: a person logs in by number, transfers money with the right one of three codes
// and PIN2, signs a file, gets it back signed, and has it verified; what is refused on
// the phone is not done.
func TestBank(t *testing.T) {
	w := webtest.New(t, nil)
	phone := w.Enrol(t, webtest.Person("40504040001", "MARI", "MÄND"), identity.Qualified, "Mari's phone")
	b := w.Browser(t)
	require.Equal(t, "/bank/login", b.Get("/bank/").Path)
	enter(t, b, phone)
	p := b.Get("/bank/")
	require.Contains(t, p.Text, "MARI MÄND")
	require.Contains(t, p.Text, "1000.00 €")

	transfer := func(to, amount string) (*deviceclient.Transaction, string) {
		p := b.Post("/bank/transfer", url.Values{"to": {to}, "amount": {amount}})
		require.Equal(t, "/bank/sign", p.Path, p.Text)
		tx, err := phone.Next(t.Context())
		require.NoError(t, err)
		require.Len(t, tx.Codes, 3)
		return tx, code(t, p)
	}
	tx, shown := transfer("Jüri  Kask ", "12,50")
	require.Equal(t, "Transfer 12.50 € to Jüri Kask", tx.Interaction.Text)
	require.NoError(t, phone.Answer(t.Context(), tx, shown))
	require.Equal(t, "/bank/", state(t, b, "/bank/sign/state"))
	p = b.Get("/bank/")
	require.Contains(t, p.Text, "The money is on its way.")
	require.Contains(t, p.Text, "987.50 €")
	require.NotContains(t, b.Get("/bank/").Text, "on its way")
	require.Equal(t, "/bank/", state(t, b, "/bank/sign/state"))
	require.Contains(t, b.Get("/bank/").Text, "987.50 €", "it was done once")

	// Another code, or Cancel, and nothing is done.
	tx, shown = transfer("Jüri Kask", "1")
	for _, c := range tx.Codes {
		if c != shown {
			require.True(t, deviceclient.Is(tx.Choose(t.Context(), c), deviceclient.CodeWrongCode))
			break
		}
	}
	require.Equal(t, "/bank/", state(t, b, "/bank/sign/state"))
	p = b.Get("/bank/")
	require.Contains(t, p.Text, "Another code was chosen")
	tx, _ = transfer("Jüri Kask", "1")
	require.NoError(t, tx.Refuse(t.Context(), deviceclient.CodesScreen))
	require.Equal(t, "/bank/", state(t, b, "/bank/sign/state"))
	p = b.Get("/bank/")
	require.Contains(t, p.Text, "You have cancelled it")
	require.Contains(t, p.Text, "987.50 €")

	// What the person cancels on the page is not done, although the phone signs it.
	tx, shown = transfer("Jüri Kask", "1")
	require.Equal(t, "/bank/", b.Post("/bank/sign/cancel", nil).Path)
	require.NoError(t, phone.Answer(t.Context(), tx, shown))
	require.Equal(t, "/bank/", state(t, b, "/bank/sign/state"))
	require.Contains(t, b.Get("/bank/").Text, "987.50 €")

	for _, bad := range []url.Values{
		{"to": {"x"}, "amount": {"1000"}}, {"to": {""}, "amount": {"1"}}, {"to": {"x\u202ey"}, "amount": {"1"}}, {"to": {"x"}, "amount": {"0"}},
		{"to": {"x"}, "amount": {"-1"}}, {"to": {"x"}, "amount": {"1.234"}}, {"to": {"x"}, "amount": {"1e3"}}, {"to": {"x"}, "amount": {"99999999999999999999"}}, {},
	} {
		p := b.Post("/bank/transfer", bad)
		require.Equal(t, "/bank/", p.Path, "%v", bad)
		require.Contains(t, p.Text, `role="alert"`, "%v", bad)
	}

	content := []byte("A contract.\n")
	p = upload(t, b, "/bank/document", "leping & co.txt", content)
	require.Equal(t, "/bank/sign", p.Path, p.Text)
	tx, err := phone.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "Sign the file leping & co.txt", tx.Interaction.Text)
	require.NoError(t, phone.Answer(t.Context(), tx, code(t, p)))
	require.Equal(t, "/bank/", state(t, b, "/bank/sign/state"))
	require.Contains(t, html.UnescapeString(b.Get("/bank/").Text), "leping & co.txt.asice")
	p = b.Get("/bank/document/0")
	require.Equal(t, asice.MimeType, p.Header.Get("Content-Type"))
	s, err := asice.Open([]byte(p.Text))
	require.NoError(t, err)
	require.Equal(t, content, s.Content)
	require.Equal(t, phone.Account.Keys[1].Certificate, s.Certificate)
	container := []byte(p.Text)
	require.Equal(t, 404, b.Get("/bank/document/1").Status)

	// Anyone may have it verified.
	other := w.Browser(t)
	p = upload(t, other, "/bank/verify", "x.asice", container)
	require.Contains(t, p.Text, "The signature is valid.")
	require.Contains(t, p.Text, "MÄND,MARI")
	require.Contains(t, upload(t, other, "/bank/verify", "x.asice", content).Text, "This is not a file that was signed here")
	require.Equal(t, "/bank/login", other.Get("/bank/document/0").Path)

	require.Equal(t, "/bank/login", b.Post("/bank/logout", nil).Path)
	require.Equal(t, "/bank/login", b.Get("/bank/").Path)
	require.Empty(t, w.Log.Errors())
}

func upload(t testing.TB, b *webtest.Browser, path, name string, content []byte) webtest.Page {
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", `form-data; name="file"; filename="`+name+`"`)
	h.Set("Content-Type", "text/plain")
	part, err := m.CreatePart(h)
	require.NoError(t, err)
	_, err = part.Write(content)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+path, &body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", m.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.Do(r)
}
