package exploretest

import (
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// Scope says what may happen. Within it everything does: messages are lost, held back,
// repeated and overtaken any number of times.
type Scope struct {
	Name       string
	Kinds      []Op            // what the owner does
	Operations int             // how often in all; 0 for any number
	Nodes      int             // that answer: 1 to 3
	Issuers    int             // nodes whose challenges the owner uses; 1 if 0
	Faults     bool            // processes crash, and writes fail, at any point
	Moves      []time.Duration // by which the clocks go on, at any moment
	Latest     time.Duration   // if not 0, clocks also go back, within this time
	Rollout    bool            // the keys for challenges and of HPKE are replaced
	Revoke     bool            // the service may revoke the key
	Races      bool            // two nodes write at once
	Enrolment  bool            // begins without a key
	Composite  bool            // the server has keys of its own
	Copies     int             // of the device's storage that a thief may make
	Silent     bool            // the owner is not heard any more once the thief has acted
	Window     int             // a request is replayed until so many later ones are settled; 0 for ever
	Tries      int             // in each round of the policy; 2 if 0
	Limit      int             // moments, after which an exploration ends unfinished; 0 for no limit
}

// life is that of a challenge, and the shortest lock that goes with it.
const life = server.DefaultChallengeLife

// everyMove is half of a challenge's life, so that one node still takes a challenge that
// another does not; and more than signatures are made anew.
var everyMove = []time.Duration{4 * time.Minute, 25 * time.Hour}

// lateMoves end a challenge, and then the time in which a key is to be confirmed.
var lateMoves = []time.Duration{8 * time.Minute}

// policy has the shortest locks that a server takes. A thief has three rounds, and an
// owner alone two, since what tells rounds apart is whether another one follows.
func (s *Scope) policy() limiter.Policy {
	k := max(s.Tries, 2)
	p := limiter.Policy{{Tries: k, Lock: life}, {Tries: k, Lock: limiter.Forever}}
	if s.Copies > 0 {
		p = append(limiter.Policy{{Tries: k, Lock: life}}, p...)
	}
	return p
}

func (s *Scope) keys() server.KeySource {
	if s.Composite {
		return protocoltest.FixedKeys{}
	}
	return nil
}

// ops are those of the scope that a device in this phase is asked for.
func (s *Scope) ops(phase device.Phase) (ops []Op) {
	for _, op := range s.Kinds {
		ready := op != Confirm && op != ConfirmWrong && op != Enroll
		confirms := op == Confirm || op == ConfirmWrong || op == Sign
		if phase == device.Ready && ready || phase == device.Unconfirmed && confirms ||
			op == Enroll && phase != device.Ready && phase != device.Superseded {
			ops = append(ops, op)
		}
	}
	return ops
}
