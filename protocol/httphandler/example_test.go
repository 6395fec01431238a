package httphandler_test

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol/httphandler"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// The handler in the service's mux, with an http.Server whose timeouts hold before a
// handler is called, and a page for those who watch over the service.
func ExampleNewHandler() {
	srv := newServer()
	handler, err := httphandler.NewHandler(srv, httphandler.Options{RequestIDHeader: "X-Request-Id"})
	check(err)
	mux := http.NewServeMux()
	mux.Handle("/device", handler)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if bad, ok := errors.AsType[*observe.PingError](srv.Ping(ctx)); ok {
			http.Error(w, bad.Error(), http.StatusServiceUnavailable)
		}
	})
	service := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}

	// In place of service.ListenAndServeTLS:
	for _, request := range []*http.Request{httptest.NewRequest("GET", "/health", nil), httptest.NewRequest("PUT", "/elsewhere", nil)} {
		w := httptest.NewRecorder()
		service.Handler.ServeHTTP(w, request)
		fmt.Println(request.URL, w.Code)
	}
	// Output:
	// /health 200
	// /elsewhere 404
}

// newServer keeps its keys and records where a real one must not: in memory.
func newServer() *server.Server {
	secrets := make([]byte, 64)
	rand.Read(secrets)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	check(err)
	sealer, err := server.NewSoftwareSealer(secrets[:32])
	check(err)
	srv, err := server.New(server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: secrets[32:],
	})
	check(err)
	return srv
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
