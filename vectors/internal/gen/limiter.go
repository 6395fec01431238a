package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
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

// step is one attempt: section 5.3 and, if it is admitted, 5.4.
func (p policy) step(s state, outcome string, now int64) (state, T) {
	t := T{"at": now, "outcome": outcome}
	answer := func(verdict string, until int64, remaining, total int) (state, T) {
		t["verdict"], t["remaining"], t["remainingTotal"], t["stateEnc"] = verdict, remaining, total, hex.EncodeToString(s.enc())
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

type attempt struct {
	at      int64
	outcome string
}

func (p policy) object() (out []T) {
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
		"PolicyChange":      {"EDGE_CASE", "The state was counted under another policy.", "A lock that is shortened, a key that is revived.", nil},
		"OtherPolicy":       {"NORMAL", "A policy that is not the default.", "Numbers that are built in.", nil},
		"Random":            {"NORMAL", "Outcomes and times are derived.", "", nil},
		"MalformedState":    {"MODIFIED_PARAMETER", "Bytes that are no state.", "A damaged counter taken for a new one.", nil},
		"StateEdge":         {"EDGE_CASE", "The least and the largest values of a state.", "A reader that is too strict.", nil},
		"InvalidPolicy":     {"MODIFIED_PARAMETER", "A policy that breaks a rule.", "Guessing without end.", nil},
		"ClockRange":        {"EDGE_CASE", "The clock shows a year before 1970 or after 9999.", "An attempt that is answered and not counted.", nil},
	}}
	const t0 = int64(1767225600000) // 2026-01-01T00:00:00Z
	groups := map[string]*group{}
	run := func(id int, comment string, p policy, start state, attempts []attempt, fl ...string) {
		key := fmt.Sprint(p)
		if groups[key] == nil {
			groups[key] = f.group("Limiter", T{"policy": p.object()})
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
			refuse(t, "limiter", map[string]string{"wrong": "WrongPINError", "locked": "LockedError", "destroyed": "ErrDestroyed"}[last])
		}
		groups[key].add(id, comment, flags(fl...), t)
	}
	// Scripts: w and r are wrong and right PINs one second apart, and the rest moves the clock.
	script := func(start int64, words ...any) (out []attempt) {
		now := start
		for _, w := range words {
			switch w := w.(type) {
			case string:
				for _, c := range w {
					out = append(out, attempt{now, map[rune]string{'w': "wrong", 'r': "right"}[c]})
					now += second
				}
			case int64:
				now += w - second // from the last attempt
			}
		}
		return out
	}
	for _, c := range []struct {
		comment string
		steps   []attempt
		flags   []string
	}{
		{"one wrong PIN", script(t0, "w"), nil},
		{"two wrong PINs", script(t0, "ww"), nil},
		{"a right PIN", script(t0, "r"), nil},
		{"three wrong PINs", script(t0, "www"), []string{"ThirdWrongLocks"}},
		{"a fourth wrong PIN", script(t0, "wwww"), []string{"ThirdWrongLocks"}},
		{"a right PIN while locked", script(t0, "wwwr"), []string{"LockedRightPin", "ThirdWrongLocks"}},
		{"the lock does not grow", script(t0, "wwwwwwww"), []string{"ThirdWrongLocks"}},
		{"a right PIN one millisecond before the end of the lock", script(t0, "www", 3*hour-1, "r"), []string{"OneMsBeforeExpiry", "LockedRightPin"}},
		{"a wrong PIN one millisecond before the end of the lock", script(t0, "www", 3*hour-1, "w"), []string{"OneMsBeforeExpiry"}},
		{"a right PIN at the end of the lock", script(t0, "www", 3*hour, "r"), []string{"AtExpiry", "SuccessAfterLock"}},
		{"a wrong PIN at the end of the lock", script(t0, "www", 3*hour, "w"), []string{"AtExpiry"}},
		{"a right PIN one millisecond after the end of the lock", script(t0, "www", 3*hour+1, "r"), []string{"SuccessAfterLock"}},
		{"six wrong PINs", script(t0, "www", 3*hour, "www"), []string{"SecondRound24h"}},
		{"3 hours after the sixth wrong PIN", script(t0, "www", 3*hour, "www", 3*hour, "r"), []string{"SecondRound24h", "LockedRightPin"}},
		{"one millisecond before the end of the second lock", script(t0, "www", 3*hour, "www", 24*hour-1, "r"), []string{"SecondRound24h", "OneMsBeforeExpiry", "LockedRightPin"}},
		{"at the end of the second lock", script(t0, "www", 3*hour, "www", 24*hour, "r"), []string{"SecondRound24h", "AtExpiry", "SuccessAfterLock"}},
		{"nine wrong PINs", script(t0, "www", 3*hour, "www", 24*hour, "www"), []string{"NinthIsForever"}},
		{"a right PIN after nine wrong ones", script(t0, "www", 3*hour, "www", 24*hour, "wwwr"), []string{"NinthIsForever", "LockedRightPin"}},
		{"a right PIN a hundred years after nine wrong ones", script(t0, "www", 3*hour, "www", 24*hour, "www", 876000*hour, "r"), []string{"NinthIsForever", "LockedRightPin", "ClockForward"}},
		{"a right PIN at the eighth wrong one", script(t0, "www", 3*hour, "www", 24*hour, "wwr"), []string{"ResetOnSuccess"}},
		{"two wrong, right, two wrong, right", script(t0, "wwrwwr"), []string{"ResetOnSuccess"}},
		{"two wrong, right, three wrong", script(t0, "wwrwww"), []string{"ResetOnSuccess", "ThirdWrongLocks"}},
		{"after a lock and a right PIN the first round again", script(t0, "www", 3*hour, "rwww"), []string{"ResetOnSuccess", "SuccessAfterLock", "ThirdWrongLocks"}},
		{"after the second lock and a right PIN the first round again", script(t0, "www", 3*hour, "www", 24*hour, "rwwww"), []string{"ResetOnSuccess", "SuccessAfterLock", "ThirdWrongLocks"}},
		{"wrong PINs years apart are in a row", script(t0, "w", 26280*hour, "w", 26280*hour, "w"), []string{"ClockForward", "ThirdWrongLocks"}},
		{"the clock jumps ahead over the lock", script(t0, "www", 26280*hour, "www"), []string{"ClockForward", "SecondRound24h"}},
		{"the clock goes back one millisecond while locked", script(t0, "www", -1*int64(1), "r"), []string{"ClockBack", "LockedRightPin"}},
		{"the clock goes back a year while locked", script(t0, "www", -8760*hour, "r"), []string{"ClockBack", "LockedRightPin"}},
		{"a lock restarted by a clock that went back lasts in full", script(t0, "www", -8760*hour, "r", 3*hour-1, "r"), []string{"ClockBack", "OneMsBeforeExpiry", "LockedRightPin"}},
		{"a lock restarted by a clock that went back ends", script(t0, "www", -8760*hour, "r", 3*hour, "r"), []string{"ClockBack", "AtExpiry", "SuccessAfterLock"}},
		{"a lock that had run out restarts if the clock goes back", script(t0, "www", 3*hour, "w", -4*hour, "r"), []string{"ClockBack"}},
		{"the clock goes back before the last wrong PIN, no lock", script(t0, "ww", -8760*hour, "r"), []string{"ClockBack", "ResetOnSuccess"}},
		{"the clock goes back before the last wrong PIN, then a third", script(t0, "ww", -8760*hour, "w"), []string{"ClockBack", "ThirdWrongLocks"}},
		{"the clock goes back twice while locked", script(t0, "www", -hour, "w", -hour, "r"), []string{"ClockBack", "LockedRightPin"}},
		{"back and forward again: the lock counts from the earlier time", script(t0, "www", -8760*hour, "w", 8760*hour, "r"), []string{"ClockBack", "ClockForward", "SuccessAfterLock"}},
		{"the clock goes back in the second lock", script(t0, "www", 3*hour, "www", -100*hour, "r", 24*hour-1, "r"), []string{"ClockBack", "SecondRound24h", "OneMsBeforeExpiry"}},
		{"the clock goes back after the key was destroyed", script(t0, "www", 3*hour, "www", 24*hour, "www", -8760*hour, "r"), []string{"ClockBack", "NinthIsForever"}},
		{"at the year 1970", script(0, "wwwr"), []string{"LockedRightPin"}},
		{"at the end of the year 9999", []attempt{{maxAt - 2, "wrong"}, {maxAt - 1, "wrong"}, {maxAt, "wrong"}, {maxAt, "right"}}, []string{"LockedRightPin", "ThirdWrongLocks"}},
	} {
		run(f.next(), c.comment, defaultPolicy, state{}, c.steps, c.flags...)
	}
	for _, c := range []struct {
		comment string
		p       policy
		steps   []attempt
	}{
		{"one try in all", policy{{1, forever}}, script(t0, "wr")},
		{"one try in all, right", policy{{1, forever}}, script(t0, "rrw")},
		{"a hundred tries", policy{{100, forever}}, script(t0, "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwr")},
		{"locks of a millisecond", policy{{1, 1}, {1, 1}, {1, forever}}, []attempt{{t0, "wrong"}, {t0, "right"}, {t0 + 1, "wrong"}, {t0 + 1, "right"}, {t0 + 2, "right"}}},
		{"locks of ten years", policy{{1, 87600 * hour}, {1, forever}}, script(t0, "w", 87600*hour-1, "r", 1*int64(1), "w")},
		{"rounds of different lengths", policy{{1, second}, {4, hour}, {2, forever}}, script(t0, "w", second, "wwww", hour, "ww")},
		{"rounds of different lengths, right at last", policy{{1, second}, {4, hour}, {2, forever}}, script(t0, "w", second, "wwww", hour, "wr")},
		{"locks that grow shorter", policy{{2, 24 * hour}, {2, hour}, {2, forever}}, script(t0, "ww", 24*hour, "ww", hour, "r")},
	} {
		run(f.next(), c.comment, c.p, state{}, c.steps, "OtherPolicy")
	}
	// States counted under another policy.
	strict := policy{{2, 24 * hour}, {2, forever}}
	for _, c := range []struct {
		comment string
		p       policy
		s       state
		steps   []attempt
	}{
		{"a round that the stricter policy has ended: locked from the last wrong PIN on", strict, state{2, t0, 0}, script(t0+hour, "r")},
		{"a round that the stricter policy has ended: over after its lock", strict, state{2, t0, 0}, script(t0+24*hour, "r")},
		{"a round that the stricter policy has ended: one millisecond before", strict, state{2, t0, 0}, script(t0+24*hour-1, "r")},
		{"all tries of the stricter policy are used up", strict, state{4, t0, 0}, script(t0+1000*hour, "r")},
		{"more tries than the stricter policy has", strict, state{8, t0, 0}, script(t0+1000*hour, "r")},
		{"a longer lock is recorded: it is not shortened", defaultPolicy, state{3, t0, 24 * hour}, script(t0+3*hour, "r")},
		{"a longer lock is recorded: it ends", defaultPolicy, state{3, t0, 24 * hour}, script(t0+24*hour, "r")},
		{"a lock is recorded where the policy has none", defaultPolicy, state{2, t0, hour}, script(t0+hour-1, "r")},
		{"a lock is recorded where the policy has none: it ends", defaultPolicy, state{2, t0, hour}, script(t0+hour, "w")},
		{"a shorter lock is recorded than the policy's", defaultPolicy, state{3, t0, hour}, script(t0+2*hour, "r")},
		{"a shorter lock is recorded, and the clock goes back", defaultPolicy, state{3, t0, hour}, script(t0-hour, "r", 2*hour, "r")},
		{"destroyed for another reason, no wrong PIN", defaultPolicy, state{0, t0, forever}, script(t0+hour, "r")},
		{"destroyed under a stricter policy", defaultPolicy, state{2, t0, forever}, script(t0+hour, "r")},
		{"a hundred wrong PINs", policy{{100, forever}}, state{100, t0, 0}, script(t0+hour, "r")},
		{"between rounds under the policy at hand", defaultPolicy, state{4, t0, 0}, script(t0+hour, "ww")},
		{"eight wrong PINs without a lock", defaultPolicy, state{8, t0, 0}, script(t0, "w")},
	} {
		run(f.next(), c.comment, c.p, c.s, c.steps, "PolicyChange")
	}
	for i := range 60 {
		id := f.next()
		p := []policy{defaultPolicy, strict, {{1, second}, {4, hour}, {2, forever}}}[i%3]
		b := f.derive(id, "steps", 2*24)
		now := t0
		var steps []attempt
		for j := 0; j < len(b); j += 2 {
			// Which way the clock goes, in a quarter of a lock's length; and one right PIN in four.
			switch b[j] % 8 {
			case 0:
				now -= hour
			case 1, 2, 3:
				now += second
			case 4, 5:
				now += 3 * hour
			case 6:
				now += 3*hour - 1
			case 7:
				now += 24 * hour
			}
			steps = append(steps, attempt{now, []string{"right", "wrong", "wrong", "wrong"}[b[j+1]%4]})
		}
		run(id, "derived", p, state{}, steps, "Random")
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

	g := f.group("State", nil)
	for _, c := range []struct {
		comment string
		s       state
	}{
		{"a new key", state{}}, {"one wrong PIN at the first millisecond", state{1, 0, 0}}, {"a right PIN at the last millisecond", state{0, maxAt, 0}},
		{"the largest values", state{100, maxAt, 87600 * hour}}, {"the least lock", state{1, t0, 1}}, {"destroyed without a wrong PIN", state{0, 0, forever}},
		{"destroyed after nine", state{9, t0, forever}},
	} {
		g.add(f.next(), c.comment, flags("StateEdge"), T{"stateEnc": hex.EncodeToString(c.s.enc()), "wrong": c.s.wrong, "at": c.s.at, "lock": fmt.Sprint(c.s.lock)})
	}
	base := state{3, t0, 3 * hour}.enc()
	for _, c := range []struct {
		comment string
		e       edit
	}{
		{"no bytes", edit{0, 18, ""}}, {"one byte short", edit{17, 1, ""}}, {"one byte more", edit{18, 0, "00"}}, {"twice", edit{18, 0, hex.EncodeToString(base)}},
		{"version 0", edit{0, 1, "00"}}, {"version 2", edit{0, 1, "02"}}, {"101 wrong PINs", edit{1, 1, "65"}}, {"255 wrong PINs", edit{1, 1, "ff"}},
		{"the year 10000", edit{2, 8, fmt.Sprintf("%016x", maxAt+1)}}, {"a time with bit 63", edit{2, 8, "8000000000000000"}}, {"a time of ff bytes", edit{2, 8, "ffffffffffffffff"}},
		{"a lock of ten years and a millisecond", edit{10, 8, fmt.Sprintf("%016x", 87600*hour+1)}}, {"one less than for ever", edit{10, 8, "7ffffffffffffffe"}},
		{"one more than for ever", edit{10, 8, "8000000000000000"}}, {"a lock of ff bytes", edit{10, 8, "ffffffffffffffff"}},
		{"a lock without a wrong PIN", edit{1, 1, "00"}},
	} {
		g.add(f.next(), c.comment, flags("MalformedState"), refuse(T{"baseEnc": hex.EncodeToString(base), "edit": c.e.object(), "stateEnc": hex.EncodeToString(c.e.apply(base))}, "parse-state", "ErrState"))
	}
	g = f.group("Policy", nil)
	for _, c := range []struct {
		comment string
		p       policy
	}{
		{"no rounds", policy{}}, {"no tries", policy{{0, forever}}}, {"negative tries", policy{{-1, forever}}}, {"101 tries in one round", policy{{101, forever}}},
		{"101 tries in all", policy{{50, hour}, {51, forever}}}, {"no end: the last lock is not for ever", policy{{3, hour}, {3, 24 * hour}}},
		{"for ever before the last round", policy{{3, forever}, {3, forever}}}, {"a lock of no time", policy{{3, 0}, {3, forever}}},
		{"a negative lock", policy{{3, -hour}, {3, forever}}}, {"a lock of ten years and a millisecond", policy{{3, 87600*hour + 1}, {3, forever}}},
	} {
		o := c.p.object()
		if o == nil {
			o = []T{}
		}
		g.add(f.next(), c.comment, flags("InvalidPolicy"), refuse(T{"policy": o, "startEnc": hex.EncodeToString(state{}.enc()), "at": t0, "outcome": "right"}, "policy", "ErrPolicy"))
	}
	g = f.group("Clock", T{"policy": defaultPolicy.object()})
	for _, at := range []int64{-1, -62135596800000, maxAt + 1, maxAt + 87600*hour} {
		g.add(f.next(), fmt.Sprintf("at %d ms", at), flags("ClockRange"), refuse(T{"startEnc": hex.EncodeToString(state{}.enc()), "at": at, "outcome": "right"}, "limiter", "ErrClock"))
	}
	return f
}
