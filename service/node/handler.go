package node

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// ServeHTTP implements [http.Handler].
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if w == nil || r == nil {
		return
	}
	if n == nil || n.stop == nil {
		http.Error(w, "no node", http.StatusInternalServerError)
		return
	}
	switch path := r.URL.Path; {
	// Clients concatenate a base URL and a path: there may be more slashes than one.
	case under("/"+strings.TrimLeft(path, "/"), rpPath):
		n.parties.ServeHTTP(w, r)
	case under(path, devicePath):
		n.phones.ServeHTTP(w, r)
	case under(path, caPath):
		n.pki.ServeHTTP(w, r)
	case path == mockPath && n.mock != nil:
		n.mock.ServeHTTP(w, r)
	case path == healthPath:
		tell(w, r, http.StatusOK, "ok\n")
	case path == readyPath:
		if n.Ready() != nil {
			tell(w, r, http.StatusServiceUnavailable, "not ready\n")
			return
		}
		tell(w, r, http.StatusOK, "ready\n")
	case n.browser(path) != nil:
		n.browser(path).ServeHTTP(w, r)
	case path == linkPath:
		tell(w, r, http.StatusOK, "This link opens the app on a phone. Open it there, or scan the QR code with the app.\n")
	default:
		tell(w, r, http.StatusNotFound, "not found\n")
	}
}

func under(path, prefix string) bool { return strings.HasPrefix(path, prefix+"/") }

// tell answers with a line of text that depends on nothing that was sent.
func tell(w http.ResponseWriter, r *http.Request, status int, text string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		status, text = http.StatusMethodNotAllowed, "method not allowed\n"
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // whoever hung up does not hear it
}

const (
	lookEvery = 2 * time.Second
	lookTime  = 5 * time.Second // for the parts to answer
)

// watch looks at the parts now and then. So how often somebody asks /readyz costs them
// nothing.
func (n *Node) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.look(ctx)
		}
	}
}

// look asks each part whether it can work. One that the end of the node cuts off says
// nothing of them.
func (n *Node) look(parent context.Context) {
	ctx, cancel := context.WithTimeout(parent, lookTime)
	defer cancel()
	err := n.server.Ping(ctx)
	db := n.db.Ping(ctx)
	signers := n.pingSigners(ctx)
	if parent.Err() != nil && n.problem.Load() != nil {
		return
	}
	n.metrics.pinged(err)
	n.metrics.database(db)
	if err == nil {
		err = db
	}
	if err == nil {
		err = signers
	}
	waiting, failed, e := n.outbox.Waiting(ctx)
	if e == nil {
		n.metrics.notices(waiting, failed)
	}
	before := n.problem.Swap(&err)
	switch was := before != nil && *before != nil; {
	case err != nil && !was:
		n.config.Log.ErrorContext(ctx, "not ready", "cause", err)
	case err == nil && was:
		n.config.Log.InfoContext(ctx, "ready again")
	}
}

// pingSigners asks the CA's keys that can be asked whether they are there: those in a
// token.
func (n *Node) pingSigners(ctx context.Context) error {
	var all []error
	for _, i := range n.config.Issuing {
		if p, ok := i.Signer.(observe.Pinger); ok {
			all = append(all, p.Ping(ctx))
		}
	}
	return errors.Join(all...)
}

// Ready returns nil if database, store, sealer, server keys and the tokens of the CA's
// keys answered when they were last asked, some seconds ago at most, and Drain was not
// called.
func (n *Node) Ready() error {
	if n == nil || n.stop == nil {
		return ErrConfig
	}
	if n.draining.Load() {
		return errDraining
	}
	return *n.problem.Load()
}
