package observe_test

import (
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// A health check names the parts that do not answer. The causes are for the log.
func ExamplePingError() {
	err := error(&observe.PingError{Store: errors.New("connection refused")}) // what server.Server.Ping returns
	var unwell *observe.PingError
	if errors.As(err, &unwell) {
		fmt.Println("store:", unwell.Store == nil)
		fmt.Println("sealer:", unwell.Sealer == nil)
		fmt.Println("keys:", unwell.Keys == nil)
	}
	// Output:
	// store: false
	// sealer: true
	// keys: true
}
