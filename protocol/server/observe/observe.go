// Package observe is what a server.Server tells of itself beside its audit events: counts
// and times for metrics ([Observer]), whether its parts answer ([PingError]), and the
// name of a request in the log ([WithRequestID]).
//
// # Security
//
// Nothing here has a key id, a digest, a signature or anything else that came out of a
// request: the audit sink of a server.Config is where key ids are. Each string is one of
// those that its field lists, so that a counter for each of them stays small, whatever
// strangers send.
package observe

import (
	"time"

	"github.com/tandem-rsa/tandem/protocol"
)

// Observer counts what a server does. It is told of each request once, when its answer is
// ready, and of each fact once at most, by the node that wrote it, when it is durable:
// not at all if the store failed and wrote all the same.
//
// The server calls it in the middle of its work and from many goroutines at once: each
// method returns soon, and does not call the server.
type Observer interface {
	Handled(h Handled)
	Called(c Call)
	Happened(f Fact)
	// Undelivered is told each time that the audit sink does not take an event, and how
	// many wait then in the record of that key: 1 to 9. With 8 the key stands still.
	Undelivered(waiting int)
}

// Handled is one call of server.Server.Handle, or a request that a transport refused
// before that.
type Handled struct {
	// Operation is 0 for what could not be decrypted.
	Operation protocol.Operation
	// Outcome is what the sender was told: "enrolled", "key refused", "right", "wrong
	// PIN", "locked", "destroyed", "expired", "cancelled", "unconfirmed", "rejected",
	// "later" or "superseded", which only devices hear; or "refused". A request that is
	// sent again has its outcome again: see [Observer].Happened for what counts once.
	Outcome string
	// Cause is why a request was refused: "malformed"; "HPKE", not encrypted to a key of
	// this server's; "challenge", not one of this server's for this key; "unknown key";
	// "MAC", not authenticated by the key's device; "hardware", a right MAC without the
	// hardware's signature; "gone", the caller went away; or "failure", of the server's
	// own. A transport has causes of its own. It is empty for what was answered.
	Cause string
	// Took is the time from the request to the answer; 0 for what a transport refused.
	Took time.Duration
}

// A Part is one of what a server works with.
type Part string

// The parts.
const (
	Store  Part = "store"
	Sealer Part = "sealer"
	Keys   Part = "keys"  // the source of server keys, and the keys
	Audit  Part = "audit" // the sink
)

// Call is one call of a part.
type Call struct {
	Part Part
	// Name is "load", "create" or "swap" of the store; "seal" or "open" of the sealer;
	// "new" or "find" of the source of server keys, or "finish": one signature is joined
	// with the server key's half, if there is one, and verified; "record" of the sink.
	Name string
	// Result is "ok" or "failed"; of the store also "conflict" and "not found".
	Result string
	Took   time.Duration
}

// Fact is what happened to a key.
type Fact struct {
	Kind      string          // as in server.Event
	Reason    protocol.Reason // of "key destroyed"
	Documents int             // of "signature made": how many were signed
}
