package deviceapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceapi"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(nodeFolder); folder != "" {
		if err := runNode(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(databasetest.Main(m))
}

// posts are all paths that take a body.
var posts = []string{
	devicewire.EnrolBegin, devicewire.EnrolAsk, devicewire.EnrolContinue, devicewire.EnrolFinish, devicewire.History, devicewire.NewPhone,
	devicewire.Approve, devicewire.Poll, devicewire.Claim, devicewire.Choice, devicewire.Sign, devicewire.Refuse, devicewire.Challenge,
	devicewire.Push,
}

// enrolment are those for which the token need not be an account's.
var enrolment = map[string]bool{devicewire.EnrolBegin: true, devicewire.EnrolAsk: true, devicewire.EnrolContinue: true, devicewire.EnrolFinish: true}

type caller struct {
	t       *testing.T
	handler http.Handler
	token   string
}

// do makes a request, and returns the status and the answer.
func (c caller) do(method, path, body string, change ...func(*http.Request)) (int, devicewire.Error) {
	c.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.token)
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	require.Equal(c.t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(c.t, "no-store", w.Header().Get("Cache-Control"))
	var e devicewire.Error
	require.NoError(c.t, json.Unmarshal(w.Body.Bytes(), &e))
	require.Equal(c.t, w.Code == http.StatusOK, e.Code == "")
	return w.Code, e
}

// newCaller is a service with one phone.
func newCaller(t *testing.T) (caller, *servicetest.Service, *servicetest.Phone) {
	s := servicetest.New(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.Enrol(t, s.Serve(t), servicetest.Mari, identity.Qualified)
	return caller{t, s.Handler, p.Config.Token}, s, p
}

// TestRefusals: what is no request of a phone's is refused in the order of what it costs,
// with what is wrong.
func TestRefusals(t *testing.T) {
	c, _, p := newCaller(t)
	stranger := caller{t, c.handler, deviceclient.NewToken()}
	for _, path := range posts {
		status, e := c.do("GET", path, "")
		require.Equal(t, 405, status)
		require.Equal(t, devicewire.Method, e.Code)
		for _, wrong := range []func(*http.Request){
			func(r *http.Request) { r.Header.Del("Content-Type") },
			func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		} {
			status, e = c.do("POST", path, "{}", wrong)
			require.Equal(t, 415, status)
			require.Equal(t, devicewire.MediaType, e.Code)
		}
		for _, wrong := range []func(*http.Request){
			func(r *http.Request) { r.Header.Del("Authorization") },
			func(r *http.Request) { r.Header.Set("Authorization", "Basic "+p.Config.Token) },
		} {
			status, e = c.do("POST", path, "{}", wrong)
			require.Equal(t, 401, status)
			require.Equal(t, devicewire.Unauthorized, e.Code)
		}
		if !enrolment[path] {
			// The body of a stranger is not read.
			status, e = stranger.do("POST", path, "", func(r *http.Request) { r.Body = io.NopCloser(failing{t}) })
			require.Equal(t, 401, status, path)
			require.Equal(t, devicewire.Unauthorized, e.Code)
		}
		status, e = c.do("POST", path, strings.Repeat(" ", 64<<10)+"{}")
		require.Equal(t, 413, status)
		require.Equal(t, devicewire.TooLarge, e.Code)
		status, e = c.do("POST", path, "{}", func(r *http.Request) {
			r.ContentLength = -1
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat(" ", 1<<20)), failing{t}))
		})
		require.Equal(t, 413, status)
		require.Equal(t, devicewire.TooLarge, e.Code)
		for _, body := range []string{"", "[]", "{", "{}{}", `{"a":1,"a":2}`, `{"a":"\ud800"}`, "\xff", strings.Repeat(`{"a":`, 20)} {
			status, e = c.do("POST", path, body)
			require.Equal(t, 400, status, body)
			require.Equal(t, devicewire.Invalid, e.Code)
		}
	}
	for _, path := range []string{"", "/", "/poll/", "//poll", "/account/x"} {
		status, e := c.do("POST", "/x", "{}", func(r *http.Request) { r.URL.Path = path })
		require.Equal(t, 404, status)
		require.Equal(t, devicewire.NotFound, e.Code)
	}
	status, _ := c.do("POST", devicewire.Account, "{}")
	require.Equal(t, 405, status)
	status, _ = stranger.do("GET", devicewire.Account, "")
	require.Equal(t, 401, status)
	status, _ = stranger.do("DELETE", devicewire.Account, "")
	require.Equal(t, 401, status)
	status, _ = c.do("GET", devicewire.Account, "")
	require.Equal(t, 200, status)
}

// failing is a body that must not be read.
type failing struct{ t *testing.T }

func (f failing) Read([]byte) (int, error) {
	f.t.Error("the body was read")
	return 0, io.EOF
}

// TestMembers: what is wrong with a body is named.
func TestMembers(t *testing.T) {
	c, _, _ := newCaller(t)
	const id = `"session":"9137cc94-06e2-4a0b-af83-b8544970b00a"`
	for _, v := range []struct{ path, body, pointer string }{
		{devicewire.EnrolBegin, `{"device":"x"}`, "/code"},
		{devicewire.EnrolBegin, `{"code":1,"device":"x"}`, "/code"},
		{devicewire.EnrolBegin, `{"code":"x"}`, "/device"},
		{devicewire.EnrolAsk, `{}`, "/device"},
		{devicewire.History, `{"before":7}`, "/before"},
		{devicewire.History, `{"before":"` + strings.Repeat("a", 65) + `"}`, "/before"},
		{devicewire.NewPhone, `{}`, "/request"},
		{devicewire.Approve, `{"request":"x"}`, "/signature"},
		{devicewire.Approve, `{"request":"x","signature":"AB=="}`, "/signature"},
		{devicewire.Poll, `{"known":[]}`, "/known"},
		{devicewire.Claim, `{"session":"x"}`, "/session"},
		{devicewire.Claim, `{"session":null,"deviceLink":1}`, "/deviceLink"},
		{devicewire.Claim, `{` + id + `,"interactions":"x"}`, "/interactions"},
		{devicewire.Claim, `{` + id + `,"interactions":[1]}`, "/interactions/0"},
		{devicewire.Claim, `{` + id + `,"interactions":["","","","","","","","",""]}`, "/interactions"},
		{devicewire.Choice, `{}`, "/session"},
		{devicewire.Choice, `{` + id + `,"code":1234}`, "/code"},
		{devicewire.Sign, `{` + id + `}`, "/request"},
		{devicewire.Sign, `{` + id + `,"request":"AA\nAA"}`, "/request"},
		{devicewire.Refuse, `{` + id + `,"screen":"x"}`, "/screen"},
		{devicewire.Refuse, `{` + id + `,"screen":{}}`, "/screen"},
		{devicewire.Challenge, `{"use":"x"}`, "/use"},
		{devicewire.Push, `{"kind":1}`, "/kind"},
		{devicewire.Push, `{"kind":"web","address":[]}`, "/address"},
	} {
		status, e := c.do("POST", v.path, v.body)
		require.Equal(t, 400, status, v.body)
		require.Equal(t, devicewire.Error{Code: devicewire.Invalid, Detail: e.Detail, Pointer: v.pointer}, e, v.body)
		require.NotEmpty(t, e.Detail)
	}
	for _, v := range []struct {
		path, body string
		status     int
		code       string
	}{
		{devicewire.EnrolBegin, `{"code":"0000-0000-0000","device":"x"}`, 404, devicewire.NoCode},
		{devicewire.EnrolBegin, `{"code":"0000-0000-0000","device":""}`, 400, devicewire.Invalid},
		{devicewire.EnrolContinue, `{}`, 200, ""}, // the enrolment has ended, and is remembered
		{devicewire.NewPhone, `{"request":"x"}`, 404, devicewire.NoCode},
		{devicewire.Approve, `{"request":"x","signature":"AAAA"}`, 404, devicewire.NoCode},
		{devicewire.Poll + "?timeoutMs=x", `{}`, 400, devicewire.Invalid},
		{devicewire.Poll, `{}`, 200, ""},
		{devicewire.Claim, `{` + id + `}`, 404, devicewire.NotFound},
		{devicewire.Claim, `{}`, 400, devicewire.Invalid},
		{devicewire.Claim, `{"deviceLink":"x"}`, 403, devicewire.WrongLink},
		{devicewire.Choice, `{` + id + `}`, 404, devicewire.NotFound},
		{devicewire.Sign, `{` + id + `,"request":"AAAA"}`, 404, devicewire.NotFound},
		{devicewire.Refuse, `{` + id + `,"screen":"pin"}`, 404, devicewire.NotFound},
	} {
		status, e := c.do("POST", v.path, v.body)
		require.Equal(t, v.status, status, v.body)
		require.Equal(t, v.code, e.Code, v.body)
	}
}

// TestMessage: what the protocol's own handler answers is not looked at, and a stranger
// hears from it what he does elsewhere.
func TestMessage(t *testing.T) {
	_, s, p := newCaller(t)
	r, err := http.NewRequest(http.MethodPost, p.Config.URL+devicewire.Message, bytes.NewReader([]byte("garbage")))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/octet-stream")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 403, response.StatusCode)
	require.Zero(t, response.ContentLength)
	require.NotNil(t, s)
}

// TestWaiters: no more polls wait than may, and none when the service ends.
func TestWaiters(t *testing.T) {
	_, s, p := newCaller(t)
	h, err := deviceapi.NewHandler(deviceapi.Config{Engine: s.Engine, Accounts: s.Accounts, Server: s.Server, Waiters: 1, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	web := httptest.NewServer(h)
	defer web.Close()
	config := p.Config
	config.URL = web.URL
	phone, err := deviceclient.New(config)
	require.NoError(t, err)
	answered := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := phone.Poll(t.Context(), nil, 2*time.Minute)
			answered <- err
		}()
	}
	require.NoError(t, <-answered, "the one that may not wait")
	select {
	case err := <-answered:
		require.Fail(t, "the other one does not wait", "%v", err)
	default:
	}
	h.Close()
	require.NoError(t, <-answered)
	_, err = phone.Poll(t.Context(), nil, 2*time.Minute)
	require.NoError(t, err)
}

// TestLog: nothing that is secret, and no person's data, is logged.
func TestLog(t *testing.T) {
	_, s, p := newCaller(t)
	var log bytes.Buffer
	h, err := deviceapi.NewHandler(deviceapi.Config{Engine: s.Engine, Accounts: s.Accounts, Server: s.Server, Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	c := caller{t, h, p.Config.Token}
	require.NoError(t, s.DB.Close())
	status, e := c.do("POST", devicewire.Poll, `{"known":"secret"}`)
	require.Equal(t, 500, status)
	require.Equal(t, devicewire.Error{Code: devicewire.Internal}, e)
	require.Contains(t, log.String(), "a phone's request failed")
	require.Contains(t, log.String(), "/poll")
	for _, never := range []string{p.Config.Token, "secret", "MARI"} {
		require.NotContains(t, log.String(), never)
	}
}
