//go:build unix

package node_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

const party = "00000000-0000-4000-8000-000000000000"

// loaded is a node as it is in a folder, with phones that answer.
type loaded struct {
	url    string
	phones []*deviceclient.Phone
	ids    []identity.ID
}

var pins = deviceclient.PINs{Authentication: []byte("2749"), Signature: []byte("80351")}

// newLoaded starts a node on SQLite and bolt, with n persons.
func newLoaded(b *testing.B, registry *prometheus.Registry, n int) *loaded {
	config, _ := newConfig(b, "TEST Tree issuing")
	dir := b.TempDir()
	db, err := database.Open(b.Context(), "sqlite:"+filepath.Join(dir, "accounts.db"), database.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	store, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	keys, err := server.NewKeyPool(2048, 0)
	require.NoError(b, err)
	b.Cleanup(keys.Close)
	config.DB, config.Server.Store, config.Server.Keys, config.Quotas, config.Metrics = db, store, keys, accounts.Quotas{}, registry
	open, err := node.Open(b.Context(), config)
	require.NoError(b, err)
	web := httptest.NewServer(open)
	b.Cleanup(func() {
		open.Drain()
		web.Close()
		open.Close()
	})
	require.NoError(b, open.Accounts().SetRelyingParty(b.Context(), accounts.RelyingParty{
		UUID: party, Names: []string{"DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}))
	l := &loaded{url: web.URL}
	for i := range n {
		id := identity.ID{Type: "PNO", Country: "EE", Number: fmt.Sprintf("4050404%04d", i)}
		r, err := open.Accounts().Register(b.Context(), accounts.Registration{Person: identity.Person{ID: id, Given: "MARI", Surname: "MAASIKAS"}, Level: identity.Qualified})
		require.NoError(b, err)
		c := deviceclient.Config{URL: web.URL + "/device/v1", Token: deviceclient.NewToken(), Scheme: config.Scheme}
		for _, d := range []*device.Config{&c.Authentication, &c.Signature} {
			storage, err := device.NewFileStorage(b.TempDir())
			require.NoError(b, err)
			*d = device.Config{Storage: storage, HPKEKey: open.HPKEKey(), Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}}
		}
		phone, err := deviceclient.New(c)
		require.NoError(b, err)
		_, err = phone.Enrol(b.Context(), r.Code, "phone", pins)
		require.NoError(b, err)
		l.phones, l.ids = append(l.phones, phone), append(l.ids, id)
	}
	return l
}

// login is one from the relying party's first request to its result.
func (l *loaded) login(b *testing.B, i int) error {
	digest := sha256.Sum256([]byte(rand.Text()))
	var begun struct{ SessionID string }
	err := call(http.MethodPost, l.url+"/smart-id-rp/v2/authentication/etsi/"+l.ids[i].String(), map[string]any{
		"relyingPartyUUID": party, "relyingPartyName": "DEMO", "hashType": "SHA256", "hash": base64.StdEncoding.EncodeToString(digest[:]),
		"allowedInteractionsOrder": []map[string]string{{"type": "displayTextAndPIN", "displayText60": "Log in"}},
	}, &begun)
	if err != nil {
		return err
	}
	pending, err := l.phones[i].Poll(b.Context(), nil, time.Minute)
	if err != nil || pending == nil {
		return fmt.Errorf("poll: %v, %w", pending, err)
	}
	t, err := l.phones[i].Open(b.Context(), pending)
	if err != nil {
		return err
	}
	if err := t.Sign(b.Context(), pins.Authentication); err != nil {
		return err
	}
	var status struct{ Result struct{ EndResult string } }
	err = call(http.MethodGet, l.url+"/smart-id-rp/v2/session/"+begun.SessionID+"?timeoutMs=60000", nil, &status)
	if err == nil && status.Result.EndResult != "OK" {
		err = fmt.Errorf("it ended with %q", status.Result.EndResult)
	}
	return err
}

func call(method, url string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, out)
}

// cpu is how much processor time the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// seconds is the sum of a histogram.
func seconds(b *testing.B, registry *prometheus.Registry, name, label, value string) (sum float64) {
	families, err := registry.Gather()
	require.NoError(b, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					sum += m.GetHistogram().GetSampleSum()
				}
			}
		}
	}
	return sum
}

// BenchmarkLogin is the closed loop from the relying party's request to its result, over
// HTTP on this machine, with SQLite and bolt: several persons log in at once, each again
// as soon as the last login ended. All parties are in this process: cpu-ms/op is theirs
// together, and handle-ms/op is the time in the protocol's server, waits included.
func BenchmarkLogin(b *testing.B) {
	for _, persons := range []int{1, 8} {
		b.Run(fmt.Sprintf("composite4096/persons=%d", persons), func(b *testing.B) {
			registry := prometheus.NewRegistry()
			l := newLoaded(b, registry, persons)
			var mu sync.Mutex
			var took []time.Duration
			var next atomic.Int64
			handled, used := seconds(b, registry, "tandem_request_seconds", "operation", "sign"), cpu()
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for i := range persons {
				all.Go(func() {
					for next.Add(1) <= int64(b.N) {
						start := time.Now()
						if err := l.login(b, i); err != nil {
							b.Error(err)
							return
						}
						mu.Lock()
						took = append(took, time.Since(start))
						mu.Unlock()
					}
				})
			}
			all.Wait()
			b.StopTimer()
			if b.Failed() {
				return
			}
			slices.Sort(took)
			n := float64(b.N)
			b.ReportMetric(n/b.Elapsed().Seconds(), "logins/s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64((cpu()-used).Microseconds())/1000/n, "cpu-ms/op")
			b.ReportMetric(1000*(seconds(b, registry, "tandem_request_seconds", "operation", "sign")-handled)/n, "handle-ms/op")
		})
	}
}
