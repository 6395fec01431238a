package mobile_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/internal/phoneops"
	"github.com/tandem-rsa/tandem/service/internal/phonetest"
	"github.com/tandem-rsa/tandem/service/mobile"
	"github.com/tandem-rsa/tandem/splitkey"
)

func TestMain(m *testing.M) {
	code := databasetest.Main(m)
	if bindFolder != "" {
		_ = os.RemoveAll(bindFolder)
	}
	os.Exit(code)
}

// storage is an app's. What it hands out and is handed is gone after the call, as
// gobind's bytes are.
type storage struct {
	mu     sync.Mutex
	values map[string][]byte
	lent   [][]byte
	http   http.RoundTripper // nil is Go's
}

func (s *storage) gone() {
	for _, b := range s.lent {
		for i := range b {
			b[i] = 0xaa
		}
	}
	s.lent = nil
}

func (s *storage) Load(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone()
	value := bytes.Clone(s.values[name])
	s.lent = append(s.lent, value)
	return value, nil
}

func (s *storage) Save(name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone()
	s.values[name] = bytes.Clone(value)
	return nil
}

func (s *storage) Fetch(ctx context.Context, r deviceclient.Request) (*deviceclient.Response, error) {
	return deviceclient.NewHTTP(&http.Client{Transport: s.http})(ctx, r)
}

// keys are a platform's.
type keys struct {
	storage []byte
	request *ecdsa.PrivateKey
	signed  int
	fail    error
}

func newKeys(t testing.TB) *keys {
	k := &keys{storage: make([]byte, 32)}
	rand.Read(k.storage)
	var err error
	k.request, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return k
}

func (k *keys) StorageKey() ([]byte, error) { return bytes.Clone(k.storage), nil }
func (k *keys) RequestKey() ([]byte, error) { return k.request.PublicKey.Bytes() }

func (k *keys) SignRequest(message []byte) ([]byte, error) {
	if k.fail != nil {
		return nil, k.fail
	}
	k.signed++
	digest := sha256.Sum256(message)
	return ecdsa.SignASN1(rand.Reader, k.request, digest[:])
}

// app is a phonetest.Phone in Go.
type app struct {
	t       testing.TB
	json    []byte
	storage *storage
	keys    *keys
	*mobile.Phone
}

func newApp(t testing.TB, w *phonetest.World) *app {
	a := &app{t: t, json: w.PhoneJSON(), storage: &storage{values: map[string][]byte{}}}
	if !fips140.Enforced() {
		a.keys = newKeys(t)
	}
	a.Restart()
	return a
}

func (a *app) Restart() {
	c, err := mobile.ReadConfig(a.json)
	require.NoError(a.t, err)
	c.Passes, c.MemoryKiB, c.Lanes = 1, 8, 1
	a.Phone, err = mobile.NewPhone(c, a.storage, a.keys)
	require.NoError(a.t, err)
}

// sealing reports whether a phone may have a storage key: not in FIPS 140-only mode,
// where it is refused.
func sealing(t *testing.T, w *phonetest.World) bool {
	if !fips140.Enforced() {
		return true
	}
	a := newApp(t, w)
	a.keys = newKeys(t)
	a.Restart()
	_, err := a.Status()
	require.ErrorIs(t, err, splitkey.ErrFIPS)
	return false
}

// Call checks that no PIN outlives a call in the caller's memory.
func (a *app) Call(op string, args phonetest.Args) (phoneops.Result, error) {
	r, err := phoneops.Call(a.Phone, op, args)
	for name, v := range args {
		if pin, ok := v.([]byte); ok {
			require.Equal(a.t, make([]byte, len(pin)), pin, "%s of %s", name, op)
		}
	}
	return r, err
}

// newWorld is a service on SQLite.
func newWorld(t *testing.T) *phonetest.World {
	return phonetest.New(t, databasetest.Open(t, databasetest.SQLite(t)), nil)
}

// enrolled is a phone with an account.
func enrolled(t *testing.T, w *phonetest.World) *app {
	a := newApp(t, w)
	o, err := a.Enrol(w.Register(), "Mari's phone", []byte(pin1), []byte(pin2))
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, o.Code)
	return a
}

const pin1, pin2 = "4917", "83015"
