package deviceapi_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

// nodeFolder is where this test binary, run again as a node, finds its service.
const nodeFolder = "TANDEM_DEVICEAPI_TEST_FOLDER"

// runNode serves phones from a folder, and prints where, until its standard input ends.
func runNode(folder string) error {
	var secrets servicetest.Secrets
	text, err := os.ReadFile(filepath.Join(folder, "secrets"))
	if err == nil {
		err = json.Unmarshal(text, &secrets)
	}
	if err != nil {
		return err
	}
	address, err := os.ReadFile(filepath.Join(folder, "database"))
	if err != nil {
		return err
	}
	db, err := database.Open(context.Background(), string(address), database.Options{})
	if err != nil {
		return err
	}
	store, err := bolt.Open(filepath.Join(folder, "keys.db"), bolt.Options{LockTimeout: time.Minute})
	if err != nil {
		return err
	}
	s, err := servicetest.Open(servicetest.Config{DB: db, Store: store, Secrets: secrets})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() { _ = http.Serve(listener, http.StripPrefix("/device/v1", s.Handler)) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// node is one.
type node struct {
	cmd *exec.Cmd
	url string
}

func startNode(t *testing.T, folder string) *node {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeFolder+"="+folder)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe() // it ends with this process
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	n := &node{cmd: cmd}
	t.Cleanup(n.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	n.url = "http://" + strings.TrimSpace(line) + "/device/v1"
	return n
}

// kill is kill -9.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}

// TestKill: the node that a phone signs with is killed at any moment. The relying party,
// which asks another node, gets one signature all the same; the attempt counts once; and
// nothing is stuck.
func TestKill(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { killNodes(t, databasetest.SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { killNodes(t, databasetest.Postgres(t)) })
}

func killNodes(t *testing.T, address string) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "database"), []byte(address), 0o600))
	secrets, err := servicetest.NewSecrets()
	require.NoError(t, err)
	text, err := json.Marshal(secrets)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "secrets"), text, 0o600))
	other, err := servicetest.Open(servicetest.Config{DB: databasetest.Open(t, address), Secrets: secrets})
	require.NoError(t, err)
	other.AddParty(t)
	n := startNode(t, folder)
	p := other.Enrol(t, n.url, servicetest.Mari, identity.Qualified)
	verify := func(r rp.Request, o *rp.Outcome) {
		require.NotNil(t, o)
		require.Equal(t, rp.OK, o.End)
		c, err := x509.ParseCertificate(o.Certificate)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPKCS1v15(c.PublicKey.(*rsa.PublicKey), crypto.SHA256, r.Digest, o.Signature))
	}
	var typical time.Duration // of a signature that nobody disturbs
	before, after, times := 0, 0, durabletest.Times(300, 10, 4)
	for i := range times {
		digest := sha256.Sum256([]byte(rand.Text()))
		r := rp.Request{
			Version: rp.V2, Kind: rp.Authentication, Flow: rp.Notification, Target: rp.Target{Person: &servicetest.Mari.ID}, RelyingPartyUUID: servicetest.Party,
			RelyingPartyName: "DEMO", Level: rp.LevelQualified, Digest: digest[:], Algorithm: rp.Algorithm{Hash: crypto.SHA256},
			Interactions: []rp.Interaction{{Type: rp.DisplayTextAndPIN, Text: "Log in"}},
		}
		x, err := other.Engine.Begin(t.Context(), r, servicetest.Source)
		require.NoError(t, err)
		outcome := func() *rp.Outcome {
			st, err := other.Engine.Status(t.Context(), x.ID, 0, servicetest.Source)
			require.NoError(t, err)
			return st.Outcome
		}
		pending, err := p.Poll(t.Context(), nil, time.Minute)
		require.NoError(t, err)
		tx, err := p.Open(t.Context(), pending)
		require.NoError(t, err)
		began := time.Now()
		signed := make(chan error, 1)
		go func() { signed <- tx.Sign(t.Context(), servicetest.PINs.Authentication) }()
		if i == 0 {
			require.NoError(t, <-signed)
			typical = time.Since(began)
			verify(r, outcome())
			continue
		}
		time.Sleep(time.Duration(mathrand.Int64N(int64(2 * typical))))
		n.kill()
		err = <-signed
		done := outcome()
		if err == nil {
			require.NotNil(t, done, "a phone was told of a signature that the relying party does not get")
		}
		if done == nil {
			before++
		} else {
			after++
		}

		// The phone's app is started anew, and goes on with another node.
		n = startNode(t, folder)
		p.Config.URL = n.url
		p.Start(t)
		pending, err = p.Poll(t.Context(), nil, 0)
		require.NoError(t, err)
		if pending != nil {
			tx, err = p.Open(t.Context(), pending)
			if err == nil {
				err = tx.Sign(t.Context(), servicetest.PINs.Authentication)
			}
			// What the node has sent before it died, a database may commit some time
			// after that.
			if !deviceclient.Is(err, deviceclient.CodeGone) {
				require.NoError(t, err)
			}
		}
		o := outcome()
		verify(r, o)
		if done != nil {
			require.Equal(t, done, o, "an end that changes")
		}
		a, err := p.Phone.Account(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, a.Keys[0].Remaining)
	}
	durabletest.Claim(t, "deviceapi: %s: %d nodes killed during a signature, %d before the session had it and %d after: one signature each", t.Name(), times-1, before, after)
}
