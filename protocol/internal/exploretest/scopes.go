package exploretest

import "time"

// What is explored. "Any number" is that of the owner's operations, where Operations is
// 0.

var (
	pinned = []Op{Sign, SignWrong}
	every  = []Op{Sign, SignWrong, Batch, Refresh, ChangePIN, ChangePINWrong}
	five   = []time.Duration{life}
)

// signs is the smallest scope of an owner who goes on for ever. It is explored in the
// short form, too.
var signs = Scope{Name: "signs", Kinds: pinned, Nodes: 1, Faults: true, Races: true, Window: 1}

// owners are scopes without a copy.
var owners = []Scope{
	{Name: "every operation, any number of times", Kinds: every, Nodes: 1, Faults: true, Races: true, Window: 1},
	{Name: "locks and challenges that end", Kinds: pinned, Nodes: 1, Faults: true, Moves: five, Window: 1},
	{Name: "late replays", Kinds: pinned, Nodes: 1, Faults: true, Revoke: true, Window: 2},
	{Name: "nothing is forgotten", Kinds: every, Nodes: 1, Faults: true, Operations: 2},
	{Name: "three clocks", Kinds: pinned, Nodes: 3, Issuers: 2, Races: true, Moves: everyMove, Window: 1, Operations: 2},
	{Name: "clocks that go back", Kinds: pinned, Nodes: 2, Moves: []time.Duration{life, -life}, Latest: 2 * life, Window: 1, Operations: 2},
	{Name: "keys rolled out", Kinds: []Op{Sign, SignWrong, Refresh}, Nodes: 3, Rollout: true, Window: 1, Operations: 2},
	{Name: "enrolment, two-prime", Kinds: []Op{Enroll, Confirm, ConfirmWrong, Sign}, Nodes: 1, Faults: true, Enrolment: true, Moves: lateMoves, Window: 1, Operations: 3},
	{Name: "enrolment, composite", Kinds: []Op{Enroll, Confirm, ConfirmWrong}, Nodes: 1, Faults: true, Enrolment: true, Composite: true, Moves: lateMoves, Window: 1, Operations: 3},
}

// robberies are scopes of a thief with copies. He has the owner's network. The beginning
// of the first is explored in the short form, too.
var robberies = []Scope{
	{Name: "a copy of an owner who signs once", Kinds: []Op{Sign}, Nodes: 1, Copies: 1, Tries: 3, Window: 1, Operations: 1},
	{Name: "two copies", Kinds: pinned, Nodes: 1, Copies: 2, Window: 1, Operations: 1},
	{Name: "a copy, and locks", Kinds: pinned, Nodes: 1, Copies: 1, Silent: true, Window: 1, Operations: 1, Moves: five},
	{Name: "two copies, and locks", Kinds: pinned, Nodes: 1, Copies: 2, Silent: true, Window: 1, Operations: 1, Moves: five},
}
