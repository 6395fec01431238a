package bolt_test

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/httphandler"
	"github.com/tandem-rsa/tandem/protocol/httptransport"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

// secrets are what a server must not lose: without them no record can be opened.
type secrets struct {
	sealer, challenge []byte
	hpke              hpke.PrivateKey
}

// loadSecrets reads the secrets from a file, which it makes when there is none. With an
// HSM only the HPKE and the challenge key are in a file, sealed by it.
func loadSecrets(name string) (s secrets, err error) {
	const size = server.SealerKeySize + 32
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		private, err := hpke.MLKEM768X25519().GenerateKey()
		if err != nil {
			return s, err
		}
		encoded, err := private.Bytes()
		if err != nil {
			return s, err
		}
		text = make([]byte, size)
		rand.Read(text)
		text = append(text, encoded...)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return s, err
		}
	} else if err != nil {
		return s, err
	}
	if len(text) < size {
		return s, errors.New("the secrets are cut off")
	}
	s.sealer, s.challenge = text[:server.SealerKeySize], text[server.SealerKeySize:size]
	s.hpke, err = hpke.MLKEM768X25519().NewPrivateKey(text[size:])
	return s, err
}

// openService starts a service whose records and secrets are in a folder.
func openService(folder string) (*server.Server, func(), error) {
	s, err := loadSecrets(filepath.Join(folder, "secrets"))
	if err != nil {
		return nil, nil, err
	}
	sealer, err := server.NewSoftwareSealer(s.sealer)
	if err != nil {
		return nil, nil, err
	}
	store, err := bolt.Open(filepath.Join(folder, "keys.db"), bolt.Options{})
	if err != nil {
		return nil, nil, err
	}
	pool, err := server.NewKeyPool(2048, 1)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	stop := func() {
		pool.Close()
		store.Close()
	}
	srv, err := server.New(server.Config{
		Store: store, Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: s.hpke}, ChallengeKey: s.challenge, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		stop()
		return nil, nil, err
	}
	return srv, stop, nil
}

// A service that keeps its keys in a file, over HTTP, and a phone that keeps its own in a
// folder. A service that is started again knows the key.
func Example_service() {
	ctx, pin := context.Background(), []byte("4917")
	folder, err := os.MkdirTemp("", "service")
	check(err)
	defer os.RemoveAll(folder)
	srv, stop, err := openService(folder)
	check(err)
	handler, err := httphandler.NewHandler(srv, httphandler.Options{})
	check(err)
	web := httptest.NewTLSServer(handler) // a real one is an http.Server

	storage, err := device.NewFileStorage(filepath.Join(folder, "phone"))
	check(err)
	transport, err := httptransport.NewTransport(web.URL, web.Client())
	check(err)
	phone, err := device.New(device.Config{Storage: storage, Transport: transport, HPKEKey: srv.HPKEKey()})
	check(err)
	id, challenge, err := srv.ChallengeEnroll(ctx)
	check(err)
	check(phone.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: pin}))
	check(phone.Confirm(ctx, nil, pin))
	digest := sha256.Sum256([]byte("the contract"))
	challenge, err = srv.ChallengeSign(ctx, id, digest[:], crypto.SHA256)
	check(err)
	signature, err := phone.Sign(ctx, challenge, digest[:], crypto.SHA256, pin)
	check(err)

	web.Close()
	stop()
	srv, stop, err = openService(folder)
	check(err)
	defer stop()
	status, err := srv.Status(ctx, id)
	check(err)
	fmt.Println(status.Condition, rsa.VerifyPKCS1v15(status.PublicKey, crypto.SHA256, digest[:], signature))
	// Output: active <nil>
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
