package server_test

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/httphandler"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// A service with the server in its own mux. It keeps its keys and records where a real
// one must not: in memory.
func ExampleServer_Handle() {
	private, err := hpke.MLKEM768X25519().GenerateKey() // a real service loads its keys
	check(err)
	sealer, err := server.NewSoftwareSealer(random(server.SealerKeySize))
	check(err)
	pool, err := server.NewKeyPool(2048, 4)
	check(err)
	defer pool.Close()
	var mu sync.Mutex
	filed := map[string][][]byte{} // by challenge; a real service has its transactions in a database
	server, err := server.New(server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Keys: pool, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: random(32),
		Signed: func(_ context.Context, s server.Signed) error {
			mu.Lock()
			defer mu.Unlock()
			// It may come more than once, and after the transaction has ended.
			if _, there := filed[string(s.Challenge)]; !there {
				filed[string(s.Challenge)] = s.Signatures
			}
			return nil // an error: the phone gets its answer when it asks again and this succeeds
		},
	})
	check(err)

	handler, err := httphandler.NewHandler(server, httphandler.Options{})
	check(err)
	mux := http.NewServeMux()
	mux.Handle("/device", handler)
	mux.HandleFunc("POST /contracts/{key}/sign", func(w http.ResponseWriter, r *http.Request) {
		id, err := protocol.ParseKeyID(r.PathValue("key")) // of the user who is logged in
		if err != nil {
			http.NotFound(w, r)
			return
		}
		digest := sha256.Sum256([]byte("the contract"))
		challenge, err := server.ChallengeSign(r.Context(), id, digest[:], crypto.SHA256)
		if err != nil {
			http.Error(w, "cannot be signed", http.StatusUnprocessableEntity)
			return
		}
		// The page shows the code; the app gets the rest, and shows the same code.
		json.NewEncoder(w).Encode(map[string]any{"code": protocol.VerificationCode(digest[:]), "challenge": challenge, "digest": digest[:]})
	})
	service := httptest.NewServer(mux) // a real one: http.Server.ListenAndServeTLS
	defer service.Close()

	// Whoever sends what is not a device's request hears this.
	response, err := http.Post(service.URL+"/device", "application/octet-stream", strings.NewReader("let me in"))
	check(err)
	defer response.Body.Close()
	fmt.Println(response.Status)
	// Output: 403 Forbidden
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleSoftwareSealer() {
	ctx := context.Background()
	oldKey, newKey := random(server.SealerKeySize), random(server.SealerKeySize)
	before, err := server.NewSoftwareSealer(oldKey)
	check(err)
	sealed, err := before.Seal(ctx, []byte("key 1"), []byte("share"))
	check(err)

	// After a rotation the old key still opens what it sealed.
	after, err := server.NewSoftwareSealer(newKey, oldKey)
	check(err)
	share, err := after.Open(ctx, []byte("key 1"), sealed)
	check(err)
	fmt.Printf("%s\n", share)
	_, err = after.Open(ctx, []byte("key 2"), sealed)
	fmt.Println(errors.Is(err, server.ErrSealed))
	// Output:
	// share
	// true
}
