package node_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/childtest"
	"github.com/tandem-rsa/tandem/service/node"
)

// clientsChild has this program run as the clients of a node: relying party and phones
// are in a process of their own, so that the node's processor time is its own.
const clientsChild = "TANDEM_NODE_TEST_CLIENTS"

const party = "00000000-0000-4000-8000-000000000000"

var pins = deviceclient.PINs{Authentication: []byte("2749"), Signature: []byte("80351")}

// clients is what the child is told first.
type clients struct {
	URL, Scheme, Folder string
	HPKE                []byte
	Persons             []client
}

type client struct {
	ID    identity.ID
	Code  string // of the registrar
	From  string // where the relying party's requests for the person come from; this machine if empty
	phone *deviceclient.Phone
}

// register registers a relying party of this machine, and persons.
func register(t testing.TB, n *node.Node, persons int) (all []client) {
	require.NoError(t, n.Accounts().SetRelyingParty(t.Context(), accounts.RelyingParty{
		UUID: party, Names: []string{"DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}))
	for i := range persons {
		p := identity.Person{ID: identity.ID{Type: "PNO", Country: "EE", Number: fmt.Sprintf("4050404%04d", i)}, Given: "MARI", Surname: "MAASIKAS"}
		r, err := n.Accounts().Register(t.Context(), accounts.Registration{Person: p, Level: identity.Qualified})
		require.NoError(t, err)
		all = append(all, client{ID: p.ID, Code: r.Code})
	}
	return all
}

// logins is what the child tells of the logins that it was told to make.
type logins struct {
	Took  []time.Duration
	Error string
}

var web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}

// enrol enrols the phones.
func (c *clients) enrol(ctx context.Context) error {
	for i := range c.Persons {
		config := deviceclient.Config{URL: c.URL + "/device/v1", Fetch: deviceclient.NewHTTP(web), Token: deviceclient.NewToken(), Scheme: c.Scheme}
		for use, d := range []*device.Config{&config.Authentication, &config.Signature} {
			storage, err := device.NewFileStorage(fmt.Sprintf("%s/%d-%d", c.Folder, i, use))
			if err != nil {
				return err
			}
			*d = device.Config{Storage: storage, HPKEKey: c.HPKE, Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}}
		}
		phone, err := deviceclient.New(config)
		if err != nil {
			return err
		}
		if _, err := phone.Enrol(ctx, c.Persons[i].Code, "phone", pins); err != nil {
			return err
		}
		c.Persons[i].phone = phone
	}
	return nil
}

// login is one, as it is: the phone waits for it, and the relying party for its result.
func (c *clients) login(ctx context.Context, p client) error {
	answered := make(chan error, 1)
	go func() { answered <- answer(ctx, p.phone) }()
	session, err := c.begin(ctx, p)
	if err != nil {
		return err
	}
	return errors.Join(c.result(ctx, p, session), <-answered)
}

// begin is the relying party's first request.
func (c *clients) begin(ctx context.Context, p client) (session string, err error) {
	digest := sha256.Sum256([]byte(rand.Text()))
	var begun struct{ SessionID string }
	err = call(ctx, p, http.MethodPost, c.URL+"/smart-id-rp/v2/authentication/etsi/"+p.ID.String(), map[string]any{
		"relyingPartyUUID": party, "relyingPartyName": "DEMO", "hashType": "SHA256", "hash": base64.StdEncoding.EncodeToString(digest[:]),
		"allowedInteractionsOrder": []map[string]string{{"type": "displayTextAndPIN", "displayText60": "Log in"}},
	}, &begun)
	return begun.SessionID, err
}

// result is its second one.
func (c *clients) result(ctx context.Context, p client, session string) error {
	var status struct{ Result struct{ EndResult string } }
	err := call(ctx, p, http.MethodGet, c.URL+"/smart-id-rp/v2/session/"+session+"?timeoutMs=60000", nil, &status)
	if err == nil && status.Result.EndResult != "OK" {
		err = fmt.Errorf("it ended with %q", status.Result.EndResult)
	}
	return err
}

// answer is what a phone does.
func answer(ctx context.Context, phone *deviceclient.Phone) error {
	pending, err := phone.Poll(ctx, nil, time.Minute)
	if err != nil || pending == nil {
		return fmt.Errorf("poll: %v, %w", pending, err)
	}
	t, err := phone.Open(ctx, pending)
	if err != nil {
		return err
	}
	return t.Sign(ctx, pins.Authentication)
}

func call(ctx context.Context, p client, method, url string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if p.From != "" {
		r.Header.Set("X-Forwarded-For", p.From)
	}
	response, err := web.Do(r)
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

// make makes logins in a closed loop: each person logs in again as soon as the last login
// has ended.
func (c *clients) make(n int64) (out logins) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var mu sync.Mutex
	var next atomic.Int64
	var all sync.WaitGroup
	for _, p := range c.Persons {
		all.Go(func() {
			for next.Add(1) <= n && ctx.Err() == nil {
				start := time.Now()
				if err := c.login(ctx, p); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				out.Took = append(out.Took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		out.Error = err.Error()
	}
	return out
}

// runClients is the child: it enrols, says so, and makes as many logins as each line of
// its input says, until there is none.
func runClients() {
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	end := func(err error) {
		if err != nil && !errors.Is(err, io.EOF) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var c clients
	end(in.Decode(&c))
	end(c.enrol(context.Background()))
	end(out.Encode(logins{}))
	for {
		var n int64
		err := in.Decode(&n)
		end(err)
		if err != nil {
			os.Exit(0)
		}
		end(out.Encode(c.make(n)))
	}
}

// startClients starts the child, and returns what has it make logins.
func startClients(t testing.TB, c clients) func(n int) []time.Duration {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), clientsChild+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, childtest.Start(cmd, syscall.SIGKILL))
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	in, out := json.NewEncoder(stdin), json.NewDecoder(stdout)
	answer := func() []time.Duration {
		var l logins
		require.NoError(t, out.Decode(&l))
		require.Empty(t, l.Error)
		return l.Took
	}
	require.NoError(t, in.Encode(c))
	answer()
	return func(n int) []time.Duration {
		require.NoError(t, in.Encode(n))
		return answer()
	}
}
