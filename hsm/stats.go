package hsm

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Stats counts what happened since the token was opened. The numbers only grow, except
// Running, Idle and Sessions.
type Stats struct {
	// Calls by result. Inputs refused before the module are not counted.
	OK, Unavailable, Refused, Faults uint64
	// Abandoned calls did not return in time; Running have not returned yet.
	Abandoned uint64
	Running   int
	// Recoveries of either level, and how many of them restarted the module.
	Recoveries, Restarts uint64
	Generation           uint64        // logins
	Time                 time.Duration // spent in calls, waits and recoveries included
	// Sessions is the number of calls that may run, Idle of pooled sessions.
	Sessions, Idle int
	PINRefused     bool // the token needs a human
	Down           bool // the last recovery failed
}

// Stats returns the counters.
func (t *Token) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Running, s.Generation, s.Sessions, s.Idle = t.abandoned, t.gen, t.live, len(t.idle)
	s.PINRefused, s.Down = t.pinErr != nil, t.downErr != nil
	return s
}

func (t *Token) count(err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Time += took
	switch {
	case err == nil:
		t.stats.OK++
	case errors.Is(err, ErrUnavailable):
		t.stats.Unavailable++
	default:
		t.stats.Refused++
	}
}

// fault counts and logs a wrong result.
func (t *Token) fault(op string) error {
	t.mu.Lock()
	t.stats.Faults++
	t.mu.Unlock()
	t.log.Error("hsm: the module reported success and gave a wrong result", slog.String("op", op))
	return fmt.Errorf("%w: %s", ErrFault, op)
}
