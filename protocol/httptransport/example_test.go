package httptransport_test

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"log"
	"net/http/httptest"
	"os"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/httphandler"
	"github.com/tandem-rsa/tandem/protocol/httptransport"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// A phone enrols and signs over HTTPS; anybody verifies.
func Example() {
	ctx, secrets, pin := context.Background(), make([]byte, 64), []byte("4917")
	rand.Read(secrets) // a real service keeps its secrets, and its records in a database
	hpkeKey := must(hpke.MLKEM768X25519().GenerateKey())
	pool := must(server.NewKeyPool(2048, 1))
	defer pool.Close()
	srv := must(server.New(server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: must(server.NewSoftwareSealer(secrets[:32])),
		HPKE: server.HPKEKeys{Current: hpkeKey}, ChallengeKey: secrets[32:],
	}))
	service := httptest.NewTLSServer(must(httphandler.NewHandler(srv, httphandler.Options{}))) // a real one is an http.Server
	defer service.Close()
	folder := must(os.MkdirTemp("", "phone"))
	defer os.RemoveAll(folder)
	phone := must(device.New(device.Config{
		Storage: must(device.NewFileStorage(folder)), HPKEKey: srv.HPKEKey(), // which the app is shipped with
		Transport: must(httptransport.NewTransport(service.URL, service.Client())), // nil is a client of its own
	}))
	id, challenge, err := srv.ChallengeEnroll(ctx) // for a user who has logged in, and brings it to the phone
	must(id, err)
	err = phone.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: pin})
	must(phone, err)
	err = phone.Confirm(ctx, nil, pin)
	must(phone, err)
	digest := sha256.Sum256([]byte("the contract"))
	challenge = must(srv.ChallengeSign(ctx, id, digest[:], crypto.SHA256)) // for each transaction
	signature := must(phone.Sign(ctx, challenge, digest[:], crypto.SHA256, pin))
	fmt.Println(rsa.VerifyPKCS1v15(must(phone.Status()).PublicKey, crypto.SHA256, digest[:], signature))
	// Output: <nil>
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
