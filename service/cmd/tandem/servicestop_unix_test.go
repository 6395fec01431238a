//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// repoint has a phone use another address of its service.
func repoint(t *testing.T, phone, base string) {
	t.Helper()
	name := filepath.Join(phone, phoneFile)
	p, err := readPhoneConfig(name)
	require.NoError(t, err)
	p.URL = base + "/device/v1"
	text, err := json.Marshal(p)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, text, publicMode))
}

func (s *running) phone() string { return filepath.Join(s.dir, "phone") }

// slowly is between a phone and its service: it says what it is going to sign, and sends
// the rest when it may. The service has the request then, and waits for its body.
func (s *running) slowly(held chan<- struct{}, release <-chan struct{}) *httptest.Server {
	target, err := url.Parse(s.url)
	require.NoError(s.t, err)
	rest := httputil.NewSingleHostReverseProxy(target)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/device/v1/sign" {
			rest.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		status, answer, err := half(target.Host, r, body, held, release)
		if err != nil {
			s.t.Errorf("the service does not answer: %v", err)
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	}))
	s.t.Cleanup(web.Close)
	return web
}

func half(host string, r *http.Request, body []byte, held chan<- struct{}, release <-chan struct{}) (int, []byte, error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /device/v1/sign HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		host, r.Header.Get("Authorization"), len(body))
	if err != nil {
		return 0, nil, err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n') // the service reads the body: so it works on the request
	if err != nil || !strings.Contains(line, " 100 ") {
		return 0, nil, fmt.Errorf("%q, %w", line, err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		return 0, nil, err
	}
	held <- struct{}{}
	<-release
	if _, err := conn.Write(body); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(in, r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// awaitMetric returns when a line is in the metrics.
func (s *running) awaitMetric(line string) {
	s.t.Helper()
	s.eventually(line, func() bool { return strings.Contains(fetch(s.t, s.metrics+"/metrics"), "\n"+line+"\n") })
}

// TestServiceStops: SIGTERM in the middle of a long poll and of a signature. Both are
// answered, and the signature reaches its relying party from the next start.
func TestServiceStops(t *testing.T) {
	t.Parallel()
	s := startService(t, filepath.Join(t.TempDir(), "d"))
	s.prepareService()
	held, release := make(chan struct{}, 1), make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free() // a test that fails does not hang
	repoint(t, s.phone(), s.slowly(held, release).URL)

	x := s.begin("authentication", "displayTextAndPIN")
	polled, signed := s.waits(x), s.signs()
	<-held
	s.awaitMetric(`tandem_requests_in_flight{who="rp"} 1`)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.await("stopping")
	require.Equal(t, answered{http.StatusOK, map[string]any{"state": "RUNNING"}, nil}, <-polled)
	free()
	require.Equal(t, exitOK, <-signed)
	s.awaitEnd()
	s.await("stopped")

	again := startService(t, s.dir)
	again.verify(x, again.status(x))
	// What to do next is printed once the service answers.
	again.eventually("what to do next", func() bool { return strings.Contains(again.stdout.String(), "Ctrl-C") })
	require.NotContains(t, again.stdout.String(), " rp add ", "it is there")
	require.NotContains(t, again.stdout.String(), " register ", "likewise")
	require.Contains(t, again.stdout.String(), "has an account already")
	again.stop()
}

// deaths is how often a service is killed, at moments spread evenly over a signature.
func deaths() time.Duration {
	if testing.Short() {
		return 2
	}
	return 5
}

// TestServiceKilled kills the service with -9 at moments of a signature. When it is there
// again the phone goes on, the relying party gets the signature, the person's tries are
// all there, and nothing is stuck.
func TestServiceKilled(t *testing.T) {
	t.Parallel()
	s := startService(t, filepath.Join(t.TempDir(), "d"))
	s.prepareService()
	x := s.begin("authentication", "displayTextAndPIN")
	start := time.Now()
	s.tandem(exitOK, nil, "phone", "sign")
	whole := time.Since(start)
	s.verify(x, s.status(x))

	for i := range deaths() {
		x := s.begin("authentication", "displayTextAndPIN")
		signing := s.signs()
		time.Sleep(whole * i / deaths()) // whichever moment it is
		s.kill()
		code := <-signing
		s = startService(t, s.dir)
		repoint(t, s.phone(), s.url)
		if code != exitOK {
			s.tandem(exitOK, nil, "phone", "sign")
		}
		s.verify(x, s.status(x))
		require.Equal(t, false, s.tandem(exitOK, nil, "phone", "poll")["found"])
		for _, key := range s.tandem(exitOK, nil, "phone", "home")["keys"].([]any) {
			require.EqualValues(t, []any{3., 9., false}, []any{key.(map[string]any)["tries_left"], key.(map[string]any)["tries_left_in_all"], key.(map[string]any)["destroyed"]})
		}
	}
	s.stop()
	require.Len(t, s.events("signature made"), 1+int(deaths()), "one signature for each session")
}

// TestServiceNodes: two nodes on one PostgreSQL. A relying party waits at one of them for
// what the phone signs at the other; wrong PINs are counted together; and when a node is
// killed the other goes on.
func TestServiceNodes(t *testing.T) {
	t.Parallel()
	pg := pgtest.New(t)
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	for _, schema := range []string{"counters", "accounts"} {
		pg.Exec(t, "CREATE SCHEMA "+schema)
	}
	require.NoError(t, os.MkdirAll(first, folderMode))
	code, out := inProcess(nil, "init", "-server", filepath.Join(first, "server"), "-store", "postgres:"+pg.URL("search_path=counters"))
	require.Equal(t, exitOK, code, out)
	config, err := json.Marshal(map[string]any{"production": false, "key_stock": 0, "database": pg.URL("search_path=accounts")})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(first, serviceFile), config, secretMode))
	a := startService(t, first)
	a.prepareService()

	// Another node has the same files, and a mark of its own.
	require.NoError(t, copyFolder(first, second))
	for _, name := range []string{markFile, markFile + lockSuffix} {
		require.NoError(t, os.Remove(filepath.Join(second, "server", name)))
	}
	code, out = inProcess(nil, "store", "mark", "-server", filepath.Join(second, "server"))
	require.Equal(t, exitOK, code, out)
	b := startService(t, second)

	repoint(t, a.phone(), b.url)
	x := a.begin("authentication", "displayTextAndPIN")
	waiting := a.waits(x)
	a.awaitMetric(`tandem_requests_in_flight{who="rp"} 1`)
	a.tandem(exitOK, nil, "phone", "sign")
	answer := <-waiting
	require.NoError(t, answer.err)
	a.verify(x, answer.body)

	x = b.begin("authentication", "displayTextAndPIN")
	for i, node := range []*running{a, b} {
		repoint(t, a.phone(), node.url)
		failed := a.tandem(exitWrongPIN, map[string]string{"TANDEM_PIN": "2748"}, "phone", "sign")
		require.EqualValues(t, 2-i, failed["error"].(map[string]any)["tries_left"])
	}
	a.kill()
	a.tandem(exitOK, nil, "phone", "sign")
	b.verify(x, b.status(x))
	b.stop()
}
