package model

import (
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "look at the long scopes too, and at all faults")

// faults change the model. In the scope named, the property named does not hold any more.
var faults = []struct {
	name     string
	changes  []string // old and new text, in turns
	scope    string
	property string
}{
	{"the answer leaves before the write", []string{":: !calm                                        /* a crash */", ":: write -> tell()"}, "owner", countedFirst},
	{"a write that does not compare", []string{":: v != version -> load(); goto weigh", ":: false -> goto weigh", ":: v == version ->", ":: true ->"}, "owner", oneFate},
	{"a request is sent before it is saved", []string{"phone.pending = made;", "if :: phone.pending = made :: skip fi;"}, "owner", noFalseAlarm},
	{"the request that was settled last is not known again", []string{"x == r.last -> if", "x == r.last && false -> if"}, "owner", noFalseAlarm},
	{"a Cancel without a mark", []string{"phone.mark = true; calling", "calling"}, "owner", noFalseEnd},
	{"a pending request is forgotten", []string{"/* or patience ends */", "\n :: atomic { phone.pending && !calling && !calm -> phone.pending = 0; heard = 0 }"}, "owner", noFalseAlarm},
	{"a request that was not looked at is forgotten", []string{"heard = heard & ~(1 << UNSEEN); cancel()", "phone.pending = 0; heard = 0"}, "owner", noFalseAlarm},
	{"a Cancel that settles nothing", []string{":: cancel -> f = CANCELLED; goto settle", ":: cancel -> answer(CANCELLED)"}, "owner", noFalseAlarm},
	{"an old number is a clone", []string{"req[q].number <= r.number -> answer(SUPERSEDED)", "req[q].number <= r.number -> goto clone"}, "owner", noFalseAlarm},
	{"a wrong PIN replaces the token", []string{":: f == RIGHT -> r.token", ":: f != CANCELLED -> r.token"}, "owner", noFalseAlarm},
	{"the phone keeps its token", []string{":: c == RIGHT -> phone.token = phone.pending", ":: c > RIGHT + LAST -> skip"}, "owner", noFalseAlarm},
	{"the token is not compared", []string{" && req[q].token == r.token", ""}, "copies", shutsCopies},
	{"the chain is not compared", []string{" && req[q].chain == r.chain", "", "assert(q == T || !used);", ""}, "guesses", noLie},
	{"a wrong PIN takes no number", []string{"f = WRONG; r.wrong++ fi; r.at = t;", "f = WRONG; r.wrong++ fi; r.at = t; if :: f == WRONG -> write = true; answer(WRONG) :: else fi;"}, "copies", shutsOwner},
	{"a Refresh clears the counter", []string{"if :: req[q].refresh -> f = RIGHT;", "if :: req[q].refresh -> f = RIGHT; r.wrong = 0;"}, "copies", fewGuesses},
	{"a lock is not looked at", []string{"if :: LOCKED(r) && t <= r.at", "if :: false"}, "guesses", fewGuesses},
	{"the last wrong PIN does not end the key", []string{"r.wrong == TRIES*ROUNDS -> r.dead = true;", "r.wrong == TRIES*ROUNDS -> "}, "guesses", fewGuesses},
	{"a signature is made once", []string{"cancel || !late -> RIGHT : UNSEEN", "cancel -> RIGHT : UNSEEN"}, "obtained", notLive},
	{"a Cancel waits for the lock to end", []string{"if :: cancel -> f = CANCELLED;", "if :: cancel && LOCKED(r) -> answer(0) :: cancel && !LOCKED(r) -> f = CANCELLED;"}, "resolved", notLive},
	{"nothing is reported", []string{";\n    calling = true; wire = wire | (1 << REPORT)\n}", "\n}", ":: atomic { phone.superseded && !phone.dead", ":: atomic { false"}, "noticed", notLive},

	// The bounds are exact: each is reached.
	{"fewer guesses for each lock", []string{"guesses <= TRIES*(waits+1)", "guesses < TRIES*(waits+1)"}, "guesses", fewGuesses},
	{"fewer guesses in all", []string{"guesses <= TRIES*ROUNDS", "guesses < TRIES*ROUNDS"}, "guesses", fewGuesses},
	{"fewer guesses before a lock", []string{"(locked || guesses < TRIES)", "(locked || guesses < TRIES-1)"}, "guesses", fewGuesses},
}

// TestFaults: a fault in the rules is found, by the property meant. All of them with
// -long.
func TestFaults(t *testing.T) {
	x, text := need(t), readModel(t)
	for i, f := range faults {
		if !*long && i%3 != 0 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			changed := text
			for i := 0; i < len(f.changes); i += 2 {
				require.Equal(t, 1, strings.Count(changed, f.changes[i]), f.changes[i])
				changed = strings.Replace(changed, f.changes[i], f.changes[i+1], 1)
			}
			out := x.check(t, changed, scopes[f.scope], "-O0")
			found := failure.FindStringSubmatch(out)
			require.NotNil(t, found, "not found: %s", out)
			require.Contains(t, strings.ReplaceAll(found[1], " ", ""), strings.ReplaceAll(f.property, " ", ""))
		})
	}
}
