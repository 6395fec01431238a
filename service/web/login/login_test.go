package login_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/web/login"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

func TestMain(m *testing.M) { webtest.Main(m) }

var (
	shownCode = regexp.MustCompile(`<output>(\d{4})</output>`)
	shownLink = regexp.MustCompile(`class="button" href="([^"]*)"`)
)

func find(t testing.TB, p webtest.Page, r *regexp.Regexp) string {
	m := r.FindStringSubmatch(p.Text)
	require.NotNil(t, m, p.Text)
	return html.UnescapeString(m[1])
}

func ask(t testing.TB, b *webtest.Browser) (s login.State) {
	p := b.Get("/bank/login/state")
	require.Equal(t, 200, p.Status, p.Text)
	require.NoError(t, json.Unmarshal([]byte(p.Text), &s))
	return s
}

// until asks until the page says where to go.
func until(t testing.TB, b *webtest.Browser) string {
	for {
		if s := ask(t, b); s.To != "" {
			return s.To
		}
	}
}

func cookie(t testing.TB, b *webtest.Browser) string {
	u, err := url.Parse(b.URL + "/bank/login")
	require.NoError(t, err)
	for _, c := range b.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, "tandem-bank") {
			return c.Value
		}
	}
	return ""
}

// world is a node without limits, and a person with a phone.
func world(t testing.TB) (*webtest.World, *webtest.Phone) {
	w := webtest.New(t, func(c *node.Config) { c.Quotas = accounts.Quotas{} })
	return w, w.Enrol(t, webtest.Person("40504040001", "MARI", "MÄND"), identity.Qualified, "Mari's phone")
}

// TestLogin: a login by number ends in the browser that began it, with a cookie that was
// not seen before; what the phone refuses is told, and nobody is in.
func TestLogin(t *testing.T) {
	w, phone := world(t)
	b := w.Browser(t)
	number := url.Values{"country": {"EE"}, "number": {" 40504040001 "}}
	p := b.Post("/bank/login/id", number)
	require.Equal(t, "/bank/login", p.Path)
	before := cookie(t, b)
	require.Len(t, before, 26)
	tx, err := phone.Next(t.Context())
	require.NoError(t, err)

	// Another browser learns nothing, and is not let in when the phone has signed.
	other := w.Browser(t)
	require.Equal(t, "/bank/login", ask(t, other).To)
	require.NoError(t, phone.Answer(t.Context(), tx, find(t, p, shownCode)))
	require.Equal(t, "/bank/login", ask(t, other).To)
	require.Equal(t, "/bank/login", other.Get("/bank/").Path)

	require.Equal(t, "/bank/", until(t, b))
	after := cookie(t, b)
	require.Len(t, after, 26)
	require.NotEqual(t, before, after)
	require.Contains(t, b.Get("/bank/").Text, "MARI MÄND")
	require.Equal(t, "/bank/", b.Get("/bank/login").Path)

	// The cookie from before the login is worth nothing.
	setCookie(t, other, before)
	require.Equal(t, "/bank/login", other.Get("/bank/").Path)
	setCookie(t, other, after)
	require.Equal(t, "/bank/", other.Get("/bank/").Path)
	require.Equal(t, "/bank/login", b.Post("/bank/logout", nil).Path)
	require.Equal(t, "/bank/login", other.Get("/bank/").Path, "logged out everywhere")

	// Cancel on the phone.
	b.Post("/bank/login/id", number)
	tx, err = phone.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, tx.Refuse(t.Context(), deviceclient.PINScreen))
	require.Equal(t, "/bank/login", until(t, b))
	require.Contains(t, b.Get("/bank/login").Text, "You have cancelled it")
	require.Equal(t, "/bank/login", b.Get("/bank/").Path)

	// Cancel on the page: the signature is for nobody.
	p = b.Post("/bank/login/id", number)
	tx, err = phone.Next(t.Context())
	require.NoError(t, err)
	b.Post("/bank/login/cancel", nil)
	require.NoError(t, phone.Answer(t.Context(), tx, find(t, p, shownCode)))
	require.Equal(t, "/bank/login", ask(t, b).To)
	require.Equal(t, "/bank/login", b.Get("/bank/").Path)
	require.Empty(t, w.Log.Errors())
}

func setCookie(t testing.TB, b *webtest.Browser, value string) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	u, err := url.Parse(b.URL)
	require.NoError(t, err)
	jar.SetCookies(u, []*http.Cookie{{Name: "__Secure-tandem-bank", Value: value, Path: "/bank/", Secure: true}})
	b.Jar = jar
}

// TestOneWins: of many questions at once, one lets the person in.
func TestOneWins(t *testing.T) {
	w, phone := world(t)
	b := w.Browser(t)
	p := b.Post("/bank/login/id", url.Values{"country": {"EE"}, "number": {"40504040001"}})
	tx, err := phone.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, phone.Answer(t.Context(), tx, find(t, p, shownCode)))
	value := cookie(t, b)
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for range 8 {
		wg.Go(func() {
			one := w.Browser(t)
			setCookie(t, one, value)
			for {
				p := one.Get("/bank/login/state")
				var s login.State
				if json.Unmarshal([]byte(p.Text), &s) != nil || s.To == "" {
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if s.To == "/bank/" {
					in++
				}
				return
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, in)
}

// TestQR: the code of the page is another one with each question. (What it says a phone
// reads in TestBrowser of package web.)
func TestQR(t *testing.T) {
	w := webtest.New(t, nil)
	b := w.Browser(t)
	p := b.Post("/bank/login/qr", nil)
	require.Equal(t, "/bank/login", p.Path)
	require.Contains(t, p.Text, "data-qr")
	first := ask(t, b)
	require.NotNil(t, first.QR)
	second := ask(t, b)
	require.NotEqual(t, first.QR.Path, second.QR.Path)
	require.Equal(t, "/bank/login", b.Get("/bank/").Path)
}

// TestSameDevice: a login on the same device ends at its callback URL, in the browser
// that began it, by the app that signed, once; not by asking how it is.
func TestSameDevice(t *testing.T) {
	w, phone := world(t)
	b, thief := w.Browser(t), w.Browser(t)
	begin := func() (*deviceclient.Transaction, *url.URL) {
		p := b.Post("/bank/login/device", nil)
		tx, err := phone.OpenLink(t.Context(), find(t, p, shownLink))
		require.NoError(t, err)
		require.NoError(t, phone.Answer(t.Context(), tx, ""))
		u, err := url.Parse(tx.CallbackURL())
		require.NoError(t, err)
		return tx, u
	}
	refused := func(p webtest.Page) {
		t.Helper()
		require.NotEqual(t, "/bank/", p.Path)
		require.Contains(t, p.Text, "did not begin in this browser")
	}
	changed := func(u *url.URL, name string) string {
		q := u.Query()
		require.NotEmpty(t, q.Get(name))
		q.Set(name, strings.Repeat("A", len(q.Get(name))))
		return u.Path + "?" + q.Encode()
	}
	_, u := begin()
	require.Empty(t, ask(t, b).To, "the phone has signed, and the browser has not come back")
	refused(thief.Get(u.RequestURI()))
	thief.Post("/bank/login/device", nil) // one that has begun a login of its own
	refused(thief.Get(u.RequestURI()))
	refused(b.Get(changed(u, "value")))
	p := b.Get(u.RequestURI())
	require.Equal(t, "/bank/", p.Path)
	require.Contains(t, p.Text, "MARI MÄND")
	require.Equal(t, "/bank/", b.Get(u.RequestURI()).Path, "the same browser is in already")
	b.Post("/bank/logout", nil)
	refused(b.Get(u.RequestURI()))

	// Another verifier, or another secret, is of another phone or another session: that
	// login is over.
	for _, name := range []string{"userChallengeVerifier", "sessionSecretDigest"} {
		_, u = begin()
		refused(b.Get(changed(u, name)))
		refused(b.Get(u.RequestURI()))
	}

	// Refused on the phone: the app comes back without a verifier.
	p = b.Post("/bank/login/device", nil)
	tx, err := phone.OpenLink(t.Context(), find(t, p, shownLink))
	require.NoError(t, err)
	require.NoError(t, tx.Refuse(t.Context(), deviceclient.PINScreen))
	u, err = url.Parse(tx.CallbackURL())
	require.NoError(t, err)
	p = b.Get(u.RequestURI())
	require.Equal(t, "/bank/login", p.Path)
	require.Contains(t, p.Text, "You have cancelled it")
	require.Empty(t, w.Log.Errors())
}

// TestRefused: what another site sends, what is no number, who has no account, and who
// comes too often.
func TestRefused(t *testing.T) {
	w := webtest.New(t, nil)
	b := w.Browser(t)
	number := url.Values{"country": {"EE"}, "number": {"40504040001"}}
	for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		for _, path := range []string{"/bank/login/qr", "/bank/login/id", "/bank/logout", "/bank/transfer", "/self/login/qr", "/self/code", "/self/end/PNOEE-40504040001-AAAA-Q"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+path, strings.NewReader(number.Encode()))
			require.NoError(t, err)
			r.Header.Set(header, value)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			p := b.Do(r)
			require.Equal(t, http.StatusForbidden, p.Status, path)
			require.Contains(t, p.Text, "another site")
		}
	}
	require.Empty(t, cookie(t, b))
	require.Contains(t, b.Post("/bank/login/id", url.Values{"country": {"EE"}, "number": {"x y"}}).Text, "no account")
	require.Contains(t, b.Post("/bank/login/id", url.Values{"country": {"XX"}, "number": {"1"}}).Text, "not a personal code")
	require.Contains(t, b.Post("/bank/login/id", number).Text, "You probably have no account")
	long := url.Values{"country": {"EE"}, "number": {strings.Repeat("1", 1<<21)}}
	require.Equal(t, http.StatusRequestEntityTooLarge, b.Post("/bank/login/id", long).Status)

	late := false
	for range 1000 { // 20 a minute come free, however slow this machine is
		if strings.Contains(b.Post("/bank/login/qr", nil).Text, "Too many attempts") {
			late = true
			break
		}
	}
	require.True(t, late)
	require.Empty(t, w.Log.Errors())
}

// TestNodes: a login that begins at one node ends at another.
func TestNodes(t *testing.T) {
	w, phone := world(t)
	second, err := node.Open(t.Context(), w.Config)
	require.NoError(t, err)
	web := httptest.NewTLSServer(second)
	defer func() {
		second.Drain()
		web.Close()
		second.Close()
	}()
	b := w.Browser(t)
	p := b.Post("/bank/login/id", url.Values{"country": {"EE"}, "number": {"40504040001"}})
	tx, err := phone.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, phone.Answer(t.Context(), tx, find(t, p, shownCode)))
	b.URL = web.URL
	b.Transport = web.Client().Transport
	require.Equal(t, "/bank/", until(t, b))
	require.Contains(t, b.Get("/bank/").Text, "MARI MÄND")
}

// TestSameDeviceLocal: in a trial on this machine, without TLS, an app leads back, too.
func TestSameDeviceLocal(t *testing.T) {
	w, phone := world(t)
	var h http.Handler
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h.ServeHTTP(rw, r) }))
	config := w.Config
	config.Pages = &node.Pages{URL: "http://" + web.Listener.Addr().String(), Bank: true}
	second, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	h = second
	web.Start()
	defer func() {
		second.Drain()
		web.Close()
		second.Close()
	}()
	b := w.Browser(t)
	b.URL = config.Pages.URL
	p := b.Post("/bank/login/device", nil)
	tx, err := phone.OpenLink(t.Context(), find(t, p, shownLink))
	require.NoError(t, err)
	require.NoError(t, phone.Answer(t.Context(), tx, ""))
	u, err := url.Parse(tx.CallbackURL())
	require.NoError(t, err)
	require.Equal(t, config.Pages.URL, u.Scheme+"://"+u.Host)
	p = b.Get(u.RequestURI())
	require.Equal(t, "/bank/", p.Path)
	require.Contains(t, p.Text, "MARI MÄND")
}
