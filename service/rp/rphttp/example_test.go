package rphttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// The handler in an http.Server of its own, which stops in good order. The engine is
// service/transactions in a service; here it is one in memory.
func ExampleNewHandler() {
	handler, err := rphttp.NewHandler(newBook(), rphttp.Options{Base: "/smart-id-rp"})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	server.RegisterOnShutdown(handler.Drain)

	// In place of server.ListenAndServeTLS:
	r := httptest.NewRequest("POST", "/smart-id-rp/v2/certificatechoice/etsi/PNOEE-40504040001", strings.NewReader(`{"relyingPartyUUID": 7}`))
	r.Header.Set("Content-Type", "application/json")
	w := recorder{httptest.NewRecorder()}
	server.Handler.ServeHTTP(w, r)
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "/relyingPartyUUID is not a string"))
	// Output: 400 true
}
