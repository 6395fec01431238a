package rphttp

import (
	"context"
	"time"

	"github.com/tandem-rsa/tandem/service/rp"
)

// Engine is what the handler is in front of: it finds out who the relying party is and
// whether it may, and has the sessions. Its errors are [*rp.Problem]; any other is
// an internal error, of which the relying party learns nothing.
//
// Requests have the right form. Nobody who sent one was authenticated: the Source of each
// call is what the connection tells.
type Engine interface {
	// Begin starts a session, or finds the one that an equal request got just before.
	Begin(context.Context, rp.Request, rp.Source) (rp.Session, error)
	// Certificate answers a request whose Kind is rp.Certificate. Its Outcome ends with
	// OK or with DocumentUnusable.
	Certificate(context.Context, rp.Request, rp.Source) (rp.Outcome, error)
	// Status returns the status of a session, at the latest after wait: when it is
	// complete, or as it is then. It returns early, with a running session or the
	// context's error, when the context ends.
	Status(ctx context.Context, sessionID string, wait time.Duration, source rp.Source) (rp.Status, error)
}
