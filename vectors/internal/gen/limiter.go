package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// The limiter of section 5, in milliseconds. A lock for ever is 2^63-1.
const forever = math.MaxInt64

type round struct {
	tries int
	lock  int64
}

type policy []round

const (
	second = int64(1000)
	hour   = 3600 * second
	maxAt  = int64(253402300799999)
)

var defaultPolicy = policy{{3, 3 * hour}, {3, 24 * hour}, {3, forever}}

type state struct {
	wrong int
	at    int64
	lock  int64
}

func (s state) enc() []byte {
	b := []byte{1, byte(s.wrong)}
	b = binary.BigEndian.AppendUint64(b, uint64(s.at))
	return binary.BigEndian.AppendUint64(b, uint64(s.lock))
}

// attached is the lock that a policy attaches to a number of wrong PINs.
func (p policy) attached(wrong int) int64 {
	total := 0
	for _, r := range p {
		total += r.tries
		if wrong == total {
			return r.lock
		}
		if wrong < total {
			return 0
		}
	}
	return forever
}

// left is the number of tries before the next lock and in all.
func (p policy) left(wrong int) (next, all int) {
	for _, r := range p {
		all += r.tries
		if next == 0 && all > wrong {
			next = all - wrong
		}
	}
	return next, max(0, all-wrong)
}

// step is one attempt: section 5.3 and, if that admits it, 5.4.
func (p policy) step(s state, outcome string, now int64) (state, T) {
	t := T{"at": now, "outcome": outcome}
	answer := func(verdict string, until int64, remaining, total int) (state, T) {
		t["verdict"], t["remaining"], t["remainingTotal"], t["counterEnc"] = verdict, remaining, total, hex.EncodeToString(s.enc())
		if until > 0 {
			t["lockedUntil"] = until
		}
		return s, t
	}
	lock := max(s.lock, p.attached(s.wrong))
	_, total := p.left(s.wrong)
	switch {
	case lock == forever:
		s.lock = forever
		return answer("destroyed", 0, 0, 0)
	case lock > 0 && now < s.at:
		s.at, s.lock = now, lock
		return answer("locked", now+lock, 0, total)
	case lock > 0 && now < s.at+lock:
		s.lock = lock
		return answer("locked", s.at+lock, 0, total)
	}
	if outcome == "right" {
		s = state{0, now, 0}
		next, total := p.left(0)
		return answer("right", 0, next, total)
	}
	s = state{s.wrong + 1, now, p.attached(s.wrong + 1)}
	next, total := p.left(s.wrong)
	switch s.lock {
	case 0:
		return answer("wrong", 0, next, total)
	case forever:
		return answer("wrong", 0, 0, 0)
	}
	return answer("wrong", now+s.lock, 0, total)
}

// t0 is 2026-01-01T00:00:00Z.
const t0 = 1767225600000

func (p policy) object() []T {
	out := []T{}
	for _, r := range p {
		o := T{"tries": r.tries}
		if r.lock != forever {
			o["lock"] = r.lock
		}
		out = append(out, o)
	}
	return out
}

func limiter() *file {
	f := &file{name: "limiter", algorithm: "tandem-limiter", schema: "limiter", notes: map[string]note{
		"ThirdWrongLocks":   {"NORMAL", "The third wrong PIN locks the key for 3 hours.", "A fourth guess.", nil},
		"LockedRightPin":    {"EDGE_CASE", "A right PIN while the key is locked gets the answer that a wrong one gets.", "A guess for nothing.", nil},
		"OneMsBeforeExpiry": {"EDGE_CASE", "One millisecond before the lock is over.", "A lock that is too short.", nil},
		"AtExpiry":          {"EDGE_CASE", "At the millisecond in which the lock is over.", "A lock that is too long.", nil},
		"SecondRound24h":    {"NORMAL", "The sixth wrong PIN in a row locks the key for 24 hours.", "Rounds without end.", nil},
		"NinthIsForever":    {"NORMAL", "The ninth wrong PIN in a row destroys the key.", "A tenth guess.", nil},
		"ResetOnSuccess":    {"NORMAL", "A right PIN starts again at the first round.", "A key that its owner wears out.", nil},
		"SuccessAfterLock":  {"NORMAL", "A right PIN after a lock.", "A key that stays locked.", nil},
		"ClockBack":         {"EDGE_CASE", "The clock shows an earlier time than before.", "A lock of years, or none.", nil},
		"ClockForward":      {"EDGE_CASE", "The clock jumps ahead.", "Tries given back: their number does not depend on time.", nil},
		"PolicyChange":      {"EDGE_CASE", "The counter was counted under another policy.", "A lock that is shortened, a key that is revived.", nil},
		"OtherPolicy":       {"NORMAL", "A policy that is not the default.", "Numbers that are built in.", nil},
		"Random":            {"NORMAL", "Outcomes and times are derived.", "", nil},
		"MalformedCounter":  {"MODIFIED_PARAMETER", "Bytes that are no counter.", "A damaged counter taken for a new one.", nil},
		"CounterEdge":       {"EDGE_CASE", "The least and the largest values of a counter.", "A reader that is too strict.", nil},
		"InvalidPolicy":     {"MODIFIED_PARAMETER", "A policy that breaks a rule.", "Guessing without end.", nil},
		"ClockRange":        {"EDGE_CASE", "The clock shows a year before 1970 or after 9999.", "An attempt that is answered and not counted.", nil},
	}}
	for _, s := range limiterSequences {
		f.sequence(f.next(), s.comment, s.policy, s.start, s.attempts(), strings.Fields(s.flags))
	}
	for i := range 60 {
		id := f.next()
		p, attempts := f.randomSequence(id, i)
		f.sequence(id, "derived", p, state{}, attempts, []string{"Random"})
	}
	for _, g := range f.groups {
		sum := sha256.New()
		for _, t := range g.tests {
			fmt.Fprintln(sum, t["startEnc"])
			for _, s := range t["steps"].([]T) {
				fmt.Fprintln(sum, s["at"], s["outcome"], s["verdict"])
			}
		}
		g.fields["sha256"] = hex.EncodeToString(sum.Sum(nil))
	}

	g := f.group("Counter", nil)
	for _, c := range counterEdges {
		g.add(f.next(), c.comment, flags("CounterEdge"), T{"counterEnc": hex.EncodeToString(c.state.enc()),
			"wrong": c.state.wrong, "at": c.state.at, "lock": fmt.Sprint(c.state.lock)})
	}
	for _, c := range malformedCounters {
		g.add(f.next(), c.comment, flags("MalformedCounter"), refuse(T{"baseEnc": hex.EncodeToString(malformedBase),
			"edit": c.edit.object(), "counterEnc": hex.EncodeToString(c.edit.apply(malformedBase))}, "parse-counter", "ErrCounter"))
	}
	right := func(at int64) T {
		return T{"startEnc": hex.EncodeToString(state{}.enc()), "at": at, "outcome": "right"}
	}
	g = f.group("Policy", nil)
	for _, c := range invalidPolicies {
		t := right(t0)
		t["policy"] = c.policy.object()
		g.add(f.next(), c.comment, flags("InvalidPolicy"), refuse(t, "policy", "ErrPolicy"))
	}
	g = f.group("Clock", T{"policy": defaultPolicy.object()})
	for _, at := range []int64{-1, -62135596800000, maxAt + 1, maxAt + 87600*hour} {
		g.add(f.next(), fmt.Sprintf("at %d ms", at), flags("ClockRange"), refuse(right(at), "limiter", "ErrClock"))
	}
	return f
}

var verdictClass = map[string]string{"wrong": "WrongPINError", "locked": "LockedError", "destroyed": "ErrDestroyed"}

// sequence adds a test to the group of its policy.
func (f *file) sequence(id int, comment string, p policy, start state, attempts []attempt, fl []string) {
	i := slices.IndexFunc(f.groups, func(g *group) bool { return reflect.DeepEqual(g.fields["policy"], p.object()) })
	if i < 0 {
		i = len(f.groups)
		f.group("Limiter", T{"policy": p.object()})
	}
	s := start
	var steps []T
	for _, a := range attempts {
		var t T
		s, t = p.step(s, a.outcome, a.at)
		steps = append(steps, t)
	}
	t := T{"startEnc": hex.EncodeToString(start.enc()), "steps": steps}
	if last := steps[len(steps)-1]["verdict"].(string); last != "right" {
		refuse(t, "limiter", verdictClass[last])
	}
	f.groups[i].add(id, comment, flags(fl...), t)
}
