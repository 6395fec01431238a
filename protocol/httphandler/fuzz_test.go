package httphandler

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// rewindStore is a store in memory that can be put back.
type rewindStore struct{ values map[string]entry }

type entry struct {
	value   []byte
	version uint64
}

func (r *rewindStore) Load(_ context.Context, id string) ([]byte, uint64, error) {
	e, ok := r.values[id]
	if !ok {
		return nil, 0, limiter.ErrNotFound
	}
	return bytes.Clone(e.value), e.version, nil
}

func (r *rewindStore) Create(_ context.Context, id string, value []byte) error {
	if _, ok := r.values[id]; ok {
		return limiter.ErrConflict
	}
	r.values[id] = entry{bytes.Clone(value), 1}
	return nil
}

func (r *rewindStore) Swap(_ context.Context, id string, version uint64, value []byte) error {
	if r.values[id].version != version || version == 0 {
		return limiter.ErrConflict
	}
	r.values[id] = entry{bytes.Clone(value), version + 1}
	return nil
}

func newRewindService(tb testing.TB) (*service, *rewindStore) {
	store := &rewindStore{values: make(map[string]entry)}
	return newService(tb, func(c *server.Config) { c.Store = store }), store
}

// life records each kind of request that a phone sends, as it travels.
func life(t *testing.T, s *service) protocoltest.Seeds {
	p := newPhone(t, s, nil)
	challenge := func() []byte {
		c, err := s.Challenge(t.Context(), p.id)
		require.NoError(t, err)
		return c
	}
	require.NoError(t, p.sign(t, protocoltest.RightPIN, "contract"))
	require.NoError(t, p.sign(t, protocoltest.RightPIN, "contract", "annex", "receipt"))
	require.Error(t, p.sign(t, protocoltest.WrongPIN, "contract"))
	require.NoError(t, p.Refresh(t.Context(), challenge()))
	require.NoError(t, p.ChangePIN(t.Context(), challenge(), protocoltest.RightPIN, protocoltest.NewPIN))
	p.lost(t)
	require.NoError(t, p.Cancel(t.Context(), challenge()))
	seeds := make(protocoltest.Seeds)
	for i, name := range []string{"enroll", "confirm", "sign", "three", "wrong", "refresh", "change", "lost", "cancel"} {
		seeds["good-"+name] = []any{[]byte(post(p.sent[i]))}
	}
	require.Len(t, p.sent, len(seeds))
	return seeds
}

// TestCorpora: see protocoltest.CheckCorpora. What is called good in the corpus is
// answered.
func TestCorpora(t *testing.T) {
	s, _ := newRewindService(t)
	seeds := life(t, s)
	sign := seeds["good-sign"][0].([]byte)
	body := sign[bytes.Index(sign, []byte("\r\n\r\n"))+4:]
	for name, text := range map[string]string{
		"get": "GET /device HTTP/1.1\r\nHost: x\r\n\r\n", "chunked": chunked(body, "0\r\nX-A: b\r\n\r\n", "Trailer: X-A"),
		"short": post(body[:len(body)-1]), "cut": post(body)[:1500], "json": strings.Replace(post(body), "octet-stream", "json", 1),
		"http10": strings.Replace(post(body), "HTTP/1.1", "HTTP/1.0", 1), "gzip": post(body, "Content-Encoding: gzip"), "id": post(body, "X-Request-Id: r-17"),
		"broken-chunk": chunked(body, "zz\r\n"), "long": "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 131073\r\n\r\n",
		"garbage": post(bytes.Repeat([]byte{0xa5}, 1300)), "empty": post(nil), "expects": post(body, "Expect: 100-continue"), "two": post(body) + post(body),
	} {
		seeds[name] = []any{[]byte(text)}
	}
	protocoltest.CheckCorpora(t, map[string]protocoltest.Seeds{"FuzzHandler": seeds})

	s, _ = newRewindService(t)
	h := s.handler(t, Options{})
	for _, name := range []string{"enroll", "confirm", "sign", "three", "wrong", "refresh", "change", "lost", "cancel"} {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(seed(t, "good-"+name))))
		require.NoError(t, err, name)
		w := newRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, name)
	}
}

var seedText = regexp.MustCompile(`(?s)^go test fuzz v1\n\[\]byte\((.*)\)\n$`)

// seed returns one of the corpus.
func seed(tb testing.TB, name string) []byte {
	text, err := os.ReadFile(filepath.Join("testdata", "fuzz", "FuzzHandler", name))
	require.NoError(tb, err)
	m := seedText.FindSubmatch(text)
	require.NotNil(tb, m)
	b, err := strconv.Unquote(string(m[1]))
	require.NoError(tb, err)
	return []byte(b)
}

// FuzzHandler: bytes of HTTP/1, read as net/http reads them, for a server that has the
// key of the corpus. Whatever they are, the answer is one of a device's, or the refusal,
// with which nothing was written.
func FuzzHandler(f *testing.F) {
	s, store := newRewindService(f)
	h := s.handler(f, Options{Concurrent: 1})
	for _, name := range []string{"good-enroll", "good-confirm"} {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(seed(f, name))))
		require.NoError(f, err)
		h.ServeHTTP(newRecorder(), r)
	}
	before := maps.Clone(store.values)
	require.NotEmpty(f, before)
	f.Fuzz(func(t *testing.T, text []byte) {
		store.values = maps.Clone(before)
		in := bufio.NewReader(bytes.NewReader(text))
		for range 3 { // as many as one connection may bring
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			w, saved := newRecorder(), maps.Clone(store.values)
			h.ServeHTTP(w, r)
			_, _ = io.Copy(io.Discard, r.Body)
			header := http.Header{"Cache-Control": {"no-store"}, "Content-Length": {fmt.Sprint(w.Body.Len())}}
			if w.Code != http.StatusOK {
				require.Equal(t, http.StatusForbidden, w.Code)
				require.Zero(t, w.Body.Len())
				if r.ProtoMajor == 1 {
					header["Connection"] = []string{"close"}
				}
				require.Equal(t, header, w.Header())
				require.Equal(t, saved, store.values)
				return
			}
			header["Content-Type"] = []string{"application/octet-stream"}
			require.Equal(t, header, w.Header())
			require.Positive(t, w.Body.Len())
			require.LessOrEqual(t, w.Body.Len(), protocol.MaxResponse)
		}
	})
}
