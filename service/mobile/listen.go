package mobile

import (
	"context"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

// Listener is an app that hears of transactions while it is open.
type Listener interface {
	// Look is called when there may be something to Poll for. Its error ends Listen.
	Look() error
}

// listenTime is how long Listen goes on.
const listenTime = 12 * time.Hour

// Listen calls the listener when the service's stream of events opens, and then whenever
// there may be something to Poll for, until Hush or Cancel is called (CodeCancelled), the
// connection fails (CodeOffline), or the service ends the stream (CodeOK), as it does
// when it restarts, and when the account listens elsewhere: poll for a while then, and
// listen again. It runs beside all other calls. Another Listen ends it.
func (p *Phone) Listen(listener Listener) (*Outcome, error) {
	if isnil.Value(listener) {
		return nil, errNothing
	}
	return p.read(listenTime, func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(c.ctx)
		defer cancel()
		c.Phone.mu.Lock()
		before := c.Phone.hush
		c.Phone.hush = cancel
		c.Phone.mu.Unlock()
		if before != nil {
			before()
		}
		return c.phone.Listen(ctx, func() error { return called(listener.Look()) })
	})
}

// Hush ends Listen: the app is closed, or not seen any more.
func (p *Phone) Hush() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hush != nil {
		p.hush()
	}
}

// Subscribe has the phone woken by push while the app is closed: at an address, such as
// the device's token, of a kind that the service knows. Of a browser the kind is "web",
// and the address the JSON of its PushSubscription. Without an address it is not woken
// any more. The app says it again each time that it starts.
func (p *Phone) Subscribe(kind, address string) (*Outcome, error) {
	return p.read(0, func(c *call) error {
		if err := c.known(); err != nil {
			return err
		}
		return c.phone.Subscribe(c.ctx, kind, address)
	})
}
