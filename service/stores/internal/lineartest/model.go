package lineartest

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// The policy of the histories: as in limiter.DefaultPolicy three tries a round, with
// locks that the clock of a history reaches.
const (
	triesARound = 3
	firstLock   = 20 // milliseconds
	secondLock  = 40
	triesInAll  = 9
)

// counter is the attempt counter of one key, as the specification has it (scheme.md). It
// is written down here a second time, so that the limiter is held to it and not to
// itself.
type counter struct {
	wrong     int
	begun     int64 // when the lock began
	locked    int64 // how long it lasts; 0 for none
	destroyed bool
}

type call struct {
	key   string
	right bool
	peek  bool // looks and counts nothing
	now   int64
}

// verdict is what a call was answered.
type verdict struct {
	kind  kind
	left  int   // tries in all, of wrong and free
	until int64 // of locked, and of a wrong PIN that locks
}

type kind string

const (
	free      kind = "free" // a key that may be tried: of peek alone
	accepted  kind = "right"
	wrong     kind = "wrong"
	locked    kind = "locked"
	destroyed kind = "destroyed"
	unknown   kind = "unknown" // the write may have happened
)

// next is the counter after a call, and its verdict.
func (c counter) next(in call) (counter, verdict) {
	if c.destroyed {
		return c, verdict{kind: destroyed}
	}
	if c.locked > 0 && in.now < c.begun {
		// The clock went back, so the lock begins anew. To look is not to write it.
		if in.peek {
			return c, verdict{kind: locked, left: triesInAll - c.wrong, until: in.now + c.locked}
		}
		c.begun = in.now
	}
	if c.locked > 0 && in.now < c.begun+c.locked {
		v := verdict{kind: locked, until: c.begun + c.locked}
		if in.peek {
			v.left = triesInAll - c.wrong
		}
		return c, v
	}
	switch {
	case in.peek:
		return c, verdict{kind: free, left: triesInAll - c.wrong}
	case in.right:
		return counter{begun: in.now}, verdict{kind: accepted}
	}
	c = counter{wrong: c.wrong + 1, begun: in.now}
	v := verdict{kind: wrong, left: triesInAll - c.wrong}
	switch c.wrong {
	case triesARound:
		c.locked = firstLock
	case 2 * triesARound:
		c.locked = secondLock
	case triesInAll:
		c.destroyed = true
	}
	if c.locked > 0 {
		v.until = in.now + c.locked
	}
	return c, v
}

// model is the sequential specification of a store under a limiter: each key is a
// counter.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{counter{}} },
	Partition: func(history []porcupine.Operation) (byKey [][]porcupine.Operation) {
		index := make(map[string]int)
		for _, op := range history {
			key := op.Input.(call).key
			i, ok := index[key]
			if !ok {
				i = len(byKey)
				index[key] = i
				byKey = append(byKey, nil)
			}
			byKey[i] = append(byKey[i], op)
		}
		return byKey
	},
	Step: func(state, input, output any) []any {
		c := state.(counter)
		after, v := c.next(input.(call))
		switch out := output.(verdict); {
		case out.kind == unknown:
			return []any{c, after}
		case out == v:
			return []any{after}
		}
		return nil
	},
	Equal:             func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}).ToModel()
