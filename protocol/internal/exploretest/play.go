package exploretest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
)

// Played is what a schedule has led to.
type Played struct {
	// Said has an entry for each step: the answer that a node has given ("right", "wrong
	// PIN, 3 left", "locked", "expired", "cancelled", "superseded", "destroyed",
	// "later"), or what the caller of the device has heard ("done", "wrong PIN, 3 left",
	// "locked", "not carried out", "carried out", "PIN unchanged", "superseded",
	// "destroyed: " and the reason, "unanswered"); "" if neither.
	Said []string

	Key    string // of the record: "pending", "active", or "destroyed: " and the reason
	Wrong  int    // wrong PINs in a row that the record has counted
	Number uint64 // of the last request that was settled
	Phase  device.Phase
	Device uint64 // number of the last request whose fate the device knows
	Waits  bool   // a request is pending at the device

	// Next is all that can happen next, each in the words of a step.
	Next []string

	// Broken are the claims that do not hold: the schedule ends at the first step that
	// shows one.
	Broken []string
}

// Play carries out a schedule, step by step, with the real device and server, and checks
// all claims at each step. A step is one of Next of the steps before it:
//
//	sign 2                              the owner begins; the request is saved and sent.
//	                                    2 is its number (the Confirm had number 1)
//	sign with a wrong PIN 3             likewise; refresh 4, batch 5, change PIN 6, ...
//	deliver sign 2 to A                 the request arrives at a node, and its answer
//	                                    leaves; as often as one likes
//	hear right                          the device hears an answer to what it waits for
//	no answer                           the call returns without one
//	crash                               the process ends while the call waits
//	cancel 2                            the owner cancels request 2, or
//	deliver the cancel of 2 to A        ... and this is its request
//	the thief copies the storage, the thief guesses, ...
//	wait 4m0s, revoke, roll out, stage 2
//
// What fails in a step is added to it: "deliver sign 2 to A; the node crashes after the
// write", "hear right; crash before the save". A message that is lost is not delivered.
//
// A step that cannot happen ends the test, with a list of what can.
func Play(t *testing.T, scope Scope, steps ...string) Played {
	w := newWorld(t, scope)
	w.playing = true
	m := w.first()
	var p Played
	for i, step := range steps {
		w.check(&m)
		found := false
		var can []string
		for _, s := range w.next(m) {
			can = append(can, s.label)
			if s.label == step {
				m, found = s.to, true
				p.Said = append(p.Said, s.said)
				break
			}
		}
		if p.Broken = w.broken; len(p.Broken) > 0 {
			return p
		}
		if !found {
			t.Fatalf("step %d, %q, cannot happen. What can:\n%s", i+1, step, strings.Join(can, "\n"))
		}
	}
	w.check(&m)
	for _, s := range w.next(m) {
		p.Next = append(p.Next, s.label)
	}
	p.Broken = w.broken
	p.see(w, &m)
	return p
}

func (p *Played) see(w *world, m *moment) {
	d := w.devs.all[m.dev]
	p.Phase, p.Waits = device.Phase(d.Phase), d.request != 0
	if d.Key != nil {
		p.Device = d.Key.Number
	}
	rec := w.record(m)
	if rec == nil {
		return
	}
	p.Wrong, p.Number = rec.wrong, rec.number
	switch rec.condition {
	case pending:
		p.Key = "pending"
	case active:
		p.Key = "active"
	default:
		p.Key = fmt.Sprintf("destroyed: %v", protocol.Reason(rec.reason))
	}
}
