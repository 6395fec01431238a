package observe

import (
	"context"
	"strings"
)

// Pinger is what a store, a sealer or a source of server keys may be beside: Ping returns
// nil if the part can do its work now, as far as can be told without doing it. It must
// return soon after ctx is done.
type Pinger interface {
	Ping(ctx context.Context) error
}

// PingError is what server.Server.Ping returns: which parts do not answer, and why. What
// is well is nil.
type PingError struct {
	Store, Sealer, Keys error
}

// Error names the parts that do not answer, and the causes.
func (e *PingError) Error() string {
	if e == nil {
		return "server: nil PingError"
	}
	var bad []string
	for _, p := range e.parts() {
		if p.err != nil {
			bad = append(bad, string(p.part)+": "+p.err.Error())
		}
	}
	return "server: not well: " + strings.Join(bad, "; ")
}

// Unwrap returns the causes.
func (e *PingError) Unwrap() []error {
	var causes []error
	if e != nil {
		for _, p := range e.parts() {
			if p.err != nil {
				causes = append(causes, p.err)
			}
		}
	}
	return causes
}

type answer struct {
	part Part
	err  error
}

func (e *PingError) parts() [3]answer {
	return [3]answer{{Store, e.Store}, {Sealer, e.Sealer}, {Keys, e.Keys}}
}
