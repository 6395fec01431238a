package web_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/web"
)

func newFrame(t testing.TB, url string) *web.Frame {
	f, err := web.New(web.Config{URL: url, Trial: true})
	require.NoError(t, err)
	return f
}

func serve(h http.Handler, method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(text)
}

// TestTexts: each language has every text, with the same arguments, and no other; each is
// used somewhere, and what is used there is.
func TestTexts(t *testing.T) {
	tables := map[string]map[string]string{}
	for _, l := range []string{"en", "et", "lv", "lt"} {
		text, err := os.ReadFile("texts/" + l + ".json")
		require.NoError(t, err)
		table := map[string]string{}
		require.NoError(t, json.Unmarshal(text, &table))
		// A key that is there twice would be lost.
		require.Equal(t, len(table), strings.Count(string(text), `": "`), l)
		tables[l] = table
	}
	english := tables["en"]
	require.Greater(t, len(english), 100)
	verb := regexp.MustCompile(`%[a-z]`)
	for l, table := range tables {
		for key, text := range english {
			require.NotEmpty(t, table[key], "%s: %s", l, key)
			require.Equal(t, verb.FindAllString(text, -1), verb.FindAllString(table[key], -1), "%s: %s", l, key)
		}
		require.Len(t, table, len(english), l)
	}
	for _, l := range []web.Language{web.English, web.Estonian, web.Latvian, web.Lithuanian} {
		for _, key := range []string{"bank.login", "self.login", "bank.signshort"} {
			require.LessOrEqual(t, len([]rune(l.Text(key))), 60, "the phone shows 60 characters")
		}
	}

	used := map[string]bool{}
	word := regexp.MustCompile(`"([a-z]+\.[a-z]+)"`)
	for _, tree := range []string{".", "../node"} {
		require.NoError(t, filepath.WalkDir(tree, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() && slices.Contains([]string{"testdata", "phone", "texts"}, d.Name()) {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return err
			}
			if e := filepath.Ext(name); d.IsDir() || strings.HasSuffix(name, "_test.go") || e != ".go" && e != ".html" {
				return nil
			}
			text, err := os.ReadFile(name)
			for _, m := range word.FindAllStringSubmatch(string(text), -1) {
				used[m[1]] = true
			}
			return err
		}))
	}
	for key := range english {
		require.True(t, used[key], "nobody uses %s", key)
	}
	families := map[string]bool{}
	for key := range english {
		family, _, _ := strings.Cut(key, ".")
		families[family] = true
	}
	for key := range used {
		family, rest, _ := strings.Cut(key, ".")
		if families[family] && !slices.Contains([]string{"js", "html", "svg"}, rest) {
			require.NotEmpty(t, english[key], "%s is used", key)
		}
	}
}

// TestLanguage: what a browser has chosen, else what it prefers, else English; a choice
// leads back to the page, and nowhere else.
func TestLanguage(t *testing.T) {
	for header, want := range map[string]web.Language{
		"": web.English, "et-EE,et;q=0.9,en;q=0.8": web.Estonian, "de, lv;q=0.4, lt;q=0.6": web.Lithuanian, "LV": web.Latvian, "ru": web.English,
		"et;q=x, lt;q=0.1": web.Lithuanian, "et;q=0": web.English, strings.Repeat("x,", 1000) + "et": web.Estonian,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", header)
		require.Equal(t, want, web.LanguageOf(r), header)
		r.AddCookie(&http.Cookie{Name: "tandem-lang", Value: "lv"})
		require.Equal(t, web.Latvian, web.LanguageOf(r))
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "tandem-lang", Value: "../../en"})
	require.Equal(t, web.English, web.LanguageOf(r))
	home := newFrame(t, "https://id.example").Home()
	for target, to := range map[string]string{"/?lang=et": "/", "/a/b?x=1&lang=lv&y=2": "/a/b?x=1&y=2", "http://h//evil.example/?lang=lt": "/", "/?lang=et&lang=lv": "/"} {
		response := serve(home, "GET", target)
		require.Equal(t, http.StatusSeeOther, response.StatusCode, target)
		require.Equal(t, to, response.Header.Get("Location"), target)
		require.True(t, response.Cookies()[0].Secure)
	}
	require.Equal(t, 200, serve(home, "GET", "/?lang=eng").StatusCode, "of a device link")
	require.Equal(t, "nothing", web.Estonian.Text("nothing"))
}

// TestPages: the headers of a page, what it loads, and that texts are escaped.
func TestPages(t *testing.T) {
	f := newFrame(t, "https://id.example")
	response := serve(f.Home(web.Site{Path: "/self/", Name: "<b>", About: "home.self"}), "GET", "/", "Accept-Language", "et")
	text := body(t, response)
	policy := response.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} {
		require.Contains(t, policy, part)
	}
	require.NotContains(t, policy, "script")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, text, "<script")
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Contains(t, text, `<html lang="et">`)
	require.Contains(t, text, "Mis siin on")
	require.Contains(t, text, "&lt;b&gt;")
	require.NotContains(t, text, "<b>")

	// Whatever a page loads is of this host.
	for _, m := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		require.True(t, strings.HasPrefix(m[1], "/") && !strings.HasPrefix(m[1], "//") || strings.HasPrefix(m[1], "#"), m[1])
	}
	for _, folder := range []string{"static", "templates", "login/templates", "bank/templates", "self/templates"} {
		files, err := filepath.Glob(folder + "/*")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range files {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			text = regexp.MustCompile(`xmlns="http://www.w3.org/2000/svg"`).ReplaceAll(text, nil)
			require.NotRegexp(t, `(?i)https?:|@import|style="|\son[a-z]+="|javascript:|innerHTML|eval\(`, string(text), name)
		}
	}

	// A device link is handed on as it is; what cannot be one is not.
	const link = "/device-link?deviceLinkType=Web2App&sessionToken=abc&lang=eng&authCode=x-_"
	text = body(t, serve(f.DeviceLink("/phone/"), "GET", link))
	require.Contains(t, text, `href="/phone/#https://id.example`+strings.ReplaceAll(link, "&", "&amp;")+`"`)
	text = body(t, serve(f.DeviceLink("/phone/"), "GET", "/device-link?a=%22%3E%3Cscript%3E"))
	require.NotContains(t, text, "<script>")
	require.NotContains(t, body(t, serve(f.DeviceLink(""), "GET", link)), "/phone/")
	require.Equal(t, http.StatusNotFound, serve(f.NoPhone(), "GET", "/phone/").StatusCode)
}

// TestForms: what another site sends is refused, and what is too long.
func TestForms(t *testing.T) {
	f := newFrame(t, "https://id.example")
	h := f.Handler(10, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	post := func(text string, length int64, headers ...string) int {
		r := httptest.NewRequest("POST", "http://inside/", strings.NewReader(text))
		r.ContentLength = length
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 200, post("0123456789", 10, "Sec-Fetch-Site", "same-origin"))
	require.Equal(t, 200, post("x", 1, "Origin", "https://id.example"), "a proxy has changed the host")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "http://id.example"},
	} {
		require.Equal(t, http.StatusForbidden, post("x", 1, headers...), "%v", headers)
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, post("0123456789a", 11, "Sec-Fetch-Site", "same-origin"))
	require.Equal(t, http.StatusTeapot, post("0123456789a", -1, "Sec-Fetch-Site", "same-origin"))
}

// TestAssets: files have a type, a tag and a hash in their address, are sent short to who
// takes that, and not sent again to who has them.
func TestAssets(t *testing.T) {
	f := newFrame(t, "https://id.example")
	h := http.StripPrefix("/assets", f.Assets())
	address := f.Asset("style.css")
	require.Regexp(t, `^/assets/style\.css\?b=[0-9a-f]{16}$`, address)
	response := serve(h, "GET", address)
	plain := body(t, response)
	require.Equal(t, "text/css; charset=utf-8", response.Header.Get("Content-Type"))
	require.Contains(t, response.Header.Get("Cache-Control"), "immutable")
	require.Equal(t, "no-cache", serve(h, "GET", "/assets/style.css").Header.Get("Cache-Control"))
	require.Equal(t, "no-cache", serve(h, "GET", "/assets/style.css?b=0000000000000000").Header.Get("Cache-Control"))
	tag := response.Header.Get("ETag")
	require.NotEmpty(t, tag)
	require.Equal(t, http.StatusNotModified, serve(h, "GET", address, "If-None-Match", tag).StatusCode)
	require.Equal(t, 200, serve(h, "GET", address, "If-None-Match", `"x"`).StatusCode)

	response = serve(h, "GET", address, "Accept-Encoding", "br, gzip")
	require.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
	require.NotEqual(t, tag, response.Header.Get("ETag"))
	unpacked, err := gzip.NewReader(response.Body)
	require.NoError(t, err)
	text, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	require.Equal(t, plain, string(text))
	for _, refused := range []string{"gzip;q=0", "gzip; q=0.0", "xgzip", ""} {
		require.Empty(t, serve(h, "GET", address, "Accept-Encoding", refused).Header.Get("Content-Encoding"), refused)
	}
	texts := map[string]string{}
	require.NoError(t, json.Unmarshal([]byte(body(t, serve(h, "GET", "/assets/et.json"))), &texts))
	require.Equal(t, web.Estonian.Text("login.title"), texts["login.title"])
	for _, none := range []string{"/assets/", "/assets/nothing", "/assets/../frame.go", "/assets/%2e%2e/frame.go"} {
		require.Equal(t, http.StatusNotFound, serve(h, "GET", none).StatusCode, none)
	}
	require.Equal(t, http.StatusMethodNotAllowed, serve(h, "POST", address).StatusCode)
	require.Empty(t, body(t, serve(h, "HEAD", address)))
	require.Contains(t, serve(h, "GET", address).Header.Get("Content-Security-Policy"), "default-src 'none'")

	files, err := web.NewFiles(fstest.MapFS{"index.html": {Data: []byte("home")}, "a.wasm": {Data: []byte("plain")}, "a.wasm.br": {Data: []byte("short")}}, web.PhonePolicy)
	require.NoError(t, err)
	response = serve(files, "GET", "/a.wasm", "Accept-Encoding", "gzip, br")
	require.Equal(t, "br", response.Header.Get("Content-Encoding"))
	require.Equal(t, "application/wasm", response.Header.Get("Content-Type"))
	require.Equal(t, "short", body(t, response))
	require.Equal(t, "plain", body(t, serve(files, "GET", "/a.wasm")))
	require.Equal(t, "home", body(t, serve(files, "GET", "/")))
	require.Equal(t, http.StatusNotFound, serve(files, "GET", "/a.wasm.br").StatusCode)
	require.Contains(t, serve(files, "GET", "/").Header.Get("Content-Security-Policy"), "'wasm-unsafe-eval'")
}

// TestSessions: a session is found by its identifier until its time is over, is replaced
// once, is of one site, and is not in the database by its identifier.
func TestSessions(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		now := time.Now()
		s, err := web.NewSessions(db, "a", func() time.Time { return now })
		require.NoError(t, err)
		other, err := web.NewSessions(db, "b", nil)
		require.NoError(t, err)
		ctx := t.Context()
		id, err := s.New(ctx, "one", time.Minute)
		require.NoError(t, err)
		require.Len(t, id, 26)
		var value string
		require.NoError(t, s.Get(ctx, id, &value))
		require.Equal(t, "one", value)
		for _, none := range []string{"", "x", strings.ToLower(id)} {
			require.ErrorIs(t, s.Get(ctx, none, &value), web.ErrNoSession)
		}
		require.ErrorIs(t, other.Get(ctx, id, &value), web.ErrNoSession)
		require.NoError(t, other.Delete(ctx, id))
		require.NoError(t, s.Change(ctx, id, &value, func() error { value += "!"; return nil }))
		require.NoError(t, s.Get(ctx, id, &value))
		require.Equal(t, "one!", value)

		next, err := s.Replace(ctx, id, "two", time.Minute)
		require.NoError(t, err)
		require.NotEqual(t, id, next)
		require.ErrorIs(t, s.Get(ctx, id, &value), web.ErrNoSession)
		_, err = s.Replace(ctx, id, "three", time.Minute)
		require.ErrorIs(t, err, web.ErrNoSession)
		require.ErrorIs(t, s.Change(ctx, id, &value, func() error { return nil }), web.ErrNoSession)

		now = now.Add(time.Minute)
		require.ErrorIs(t, s.Get(ctx, next, &value), web.ErrNoSession)
		require.ErrorIs(t, s.Change(ctx, next, &value, func() error { return nil }), web.ErrNoSession)
		_, err = s.New(ctx, "four", time.Minute)
		require.NoError(t, err)
		rows, err := db.Exec(ctx, "DELETE FROM web_sessions WHERE id = $1 OR id = $2", id, next)
		require.NoError(t, err)
		require.Zero(t, rows)
		rows, err = db.Exec(ctx, "DELETE FROM web_sessions WHERE expires > 0")
		require.NoError(t, err)
		require.EqualValues(t, 1, rows, "what has expired is gone")
	})
	for url, want := range map[string]string{
		"https://id.example": "__Secure-tandem-a=x; Path=/a/; HttpOnly; Secure; SameSite=Lax", "http://127.0.0.1:8080": "tandem-a=x; Path=/a/; HttpOnly; SameSite=Lax",
	} {
		s, err := web.NewSessions(databasetest.Open(t, databasetest.SQLite(t)), "a", nil)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		s.SetCookie(w, newFrame(t, url), "x")
		require.Equal(t, want, w.Header().Get("Set-Cookie"))
	}
}

// TestGuard: a source has its attempts, and 64 bits of an IPv6 address are one source.
func TestGuard(t *testing.T) {
	var from netip.Addr
	g, err := web.NewGuard(databasetest.Open(t, databasetest.SQLite(t)), "page", quota.Rules{Source: []quota.Rule{{N: 2, Per: time.Hour}}}, func(*http.Request) netip.Addr { return from })
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/", nil)
	try := func(address string) bool {
		from = netip.MustParseAddr(address)
		err := g.Allow(t.Context(), r)
		var later *quota.Later
		if err != nil {
			require.ErrorAs(t, err, &later)
		}
		return err == nil
	}
	require.True(t, try("192.0.2.1"))
	require.True(t, try("::ffff:192.0.2.1"))
	require.False(t, try("192.0.2.1"))
	require.True(t, try("192.0.2.2"))
	require.True(t, try("2001:db8::1"))
	require.True(t, try("2001:db8::2"))
	require.False(t, try("2001:db8::3"))
	require.True(t, try("2001:db8:0:1::3"))
	require.Equal(t, "2001:db8:0:1::3", g.Source(r))
}

// TestQRPath: the path draws the modules of the code, inside a quiet zone.
func TestQRPath(t *testing.T) {
	q, err := web.NewQR("https://id.example/device-link?" + strings.Repeat("x", 300))
	require.NoError(t, err)
	var dark int
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(q.Path, -1) {
		var x, y, run, back int
		_, err := fmt.Sscanf(strings.Join(m[1:], " "), "%d %d %d %d", &x, &y, &run, &back)
		require.NoError(t, err)
		require.Equal(t, run, back)
		require.True(t, x >= 4 && y >= 4 && x+run <= q.Size-4 && y < q.Size-4, m[0])
		dark += run
	}
	area := (q.Size - 8) * (q.Size - 8)
	require.True(t, dark > area/3 && dark < area*2/3, "%d of %d", dark, area)
	_, err = web.NewQR(strings.Repeat("x", 5000))
	require.Error(t, err)
}

// TestConfig: what cannot work is refused.
func TestConfig(t *testing.T) {
	for _, url := range []string{"", "id.example", "ftp://id.example", "https://id.example/path", "https://id.example/?a", "https://"} {
		_, err := web.New(web.Config{URL: url})
		require.ErrorIs(t, err, web.ErrConfig, url)
	}
}

// TestReturns: an app leads back by https, and in a trial on this machine.
func TestReturns(t *testing.T) {
	for url, want := range map[string][2]bool{
		"https://id.example": {true, true}, "http://127.0.0.1:8080": {true, false}, "http://[::1]:8080": {true, false}, "http://192.0.2.1": {false, false}, "http://id.example": {false, false},
	} {
		for i, trial := range []bool{true, false} {
			f, err := web.New(web.Config{URL: url, Trial: trial})
			require.NoError(t, err)
			require.Equal(t, want[i], f.Returns(), "%s %v", url, trial)
		}
	}
}

// TestNothing: nothing is an error, and never a panic.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*web.Frame)(nil), (*web.Pages)(nil), (*web.Files)(nil), (*web.Sessions)(nil), (*web.Guard)(nil)},
		Functions: map[string]any{
			"New": web.New, "NewFiles": web.NewFiles, "LanguageOf": web.LanguageOf, "NewSessions": web.NewSessions, "NewGuard": web.NewGuard,
			"DefaultRules": web.DefaultRules, "NewQR": web.NewQR,
		},
		Good: []any{httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)},
		May: map[string]string{
			"Frame.URL": "it is empty", "Frame.Secure": "it is not", "Frame.Returns": "it does not", "Frame.Asset": "it is empty", "Frame.Assets": "it answers with 500", "Frame.Home": "it answers with 500",
			"Frame.DeviceLink": "it answers with 500", "Frame.NoPhone": "it answers with 500", "Frame.Handler": "it answers with 500", "Frame.Failed": "it answers with 500",
			"Pages.Render": "it answers with 500", "Files.ServeHTTP": "it answers with 500", "Sessions.SetCookie": "there is nothing to do", "Sessions.Cookie": "there is none",
			"Guard.Source": "it is empty", "LanguageOf": "it is English", "DefaultRules": "it has no arguments", "NewQR": "a code may say nothing",
		},
	})
}
