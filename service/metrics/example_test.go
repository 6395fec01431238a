package metrics_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tandem-rsa/tandem/protocol/server/observe"
	"github.com/tandem-rsa/tandem/service/metrics"
)

// The metrics are a server's observer, and go out through promhttp. A service gives them
// what server.Server.Ping returns, every few seconds.
func ExampleMetrics() {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry) // server.Config{Observer: m, and so on}
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Pinged(&observe.PingError{Store: errors.New("disk full")}) // m.Pinged(srv.Ping(ctx))

	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "tandem_up") {
			fmt.Print(line)
		}
	}
	// Output:
	// tandem_up{part="keys"} 1
	// tandem_up{part="sealer"} 1
	// tandem_up{part="store"} 0
}
