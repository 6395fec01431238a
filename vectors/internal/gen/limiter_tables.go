package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// sequence is a state and attempts from a given time on. w and r are wrong and right
// PINs, a second apart; other words say how long after the last one the next one comes.
type sequence struct {
	comment string
	policy  policy
	start   state
	at      int64
	script  string
	flags   string
}

var (
	strict           = policy{{2, 24 * hour}, {2, forever}}
	unequal          = policy{{1, second}, {4, hour}, {2, forever}}
	limiterSequences = []sequence{
		{"one wrong PIN", defaultPolicy, state{}, t0, "w", ""},
		{"two wrong PINs", defaultPolicy, state{}, t0, "ww", ""},
		{"a right PIN", defaultPolicy, state{}, t0, "r", ""},
		{"three wrong PINs", defaultPolicy, state{}, t0, "www", "ThirdWrongLocks"},
		{"a fourth wrong PIN", defaultPolicy, state{}, t0, "wwww", "ThirdWrongLocks"},
		{"a right PIN while locked", defaultPolicy, state{}, t0, "wwwr", "LockedRightPin ThirdWrongLocks"},
		{"the lock does not grow", defaultPolicy, state{}, t0, "wwwwwwww", "ThirdWrongLocks"},
		{"a right PIN one millisecond before the end of the lock", defaultPolicy, state{}, t0, "www 3h -1ms r", "OneMsBeforeExpiry LockedRightPin"},
		{"a wrong PIN one millisecond before the end of the lock", defaultPolicy, state{}, t0, "www 3h -1ms w", "OneMsBeforeExpiry"},
		{"a right PIN at the end of the lock", defaultPolicy, state{}, t0, "www 3h r", "AtExpiry SuccessAfterLock"},
		{"a wrong PIN at the end of the lock", defaultPolicy, state{}, t0, "www 3h w", "AtExpiry"},
		{"a right PIN one millisecond after the end of the lock", defaultPolicy, state{}, t0, "www 3h 1ms r", "SuccessAfterLock"},
		{"six wrong PINs", defaultPolicy, state{}, t0, "www 3h www", "SecondRound24h"},
		{"3 hours after the sixth wrong PIN", defaultPolicy, state{}, t0, "www 3h www 3h r", "SecondRound24h LockedRightPin"},
		{"one millisecond before the end of the second lock", defaultPolicy, state{}, t0, "www 3h www 24h -1ms r", "SecondRound24h OneMsBeforeExpiry LockedRightPin"},
		{"at the end of the second lock", defaultPolicy, state{}, t0, "www 3h www 24h r", "SecondRound24h AtExpiry SuccessAfterLock"},
		{"nine wrong PINs", defaultPolicy, state{}, t0, "www 3h www 24h www", "NinthIsForever"},
		{"a right PIN after nine wrong ones", defaultPolicy, state{}, t0, "www 3h www 24h wwwr", "NinthIsForever LockedRightPin"},
		{"a right PIN a hundred years after nine wrong ones", defaultPolicy, state{}, t0, "www 3h www 24h www 876000h r", "NinthIsForever LockedRightPin ClockForward"},
		{"a right PIN at the eighth wrong one", defaultPolicy, state{}, t0, "www 3h www 24h wwr", "ResetOnSuccess"},
		{"two wrong, right, two wrong, right", defaultPolicy, state{}, t0, "wwrwwr", "ResetOnSuccess"},
		{"two wrong, right, three wrong", defaultPolicy, state{}, t0, "wwrwww", "ResetOnSuccess ThirdWrongLocks"},
		{"after a lock and a right PIN the first round again", defaultPolicy, state{}, t0, "www 3h rwww", "ResetOnSuccess SuccessAfterLock ThirdWrongLocks"},
		{"after the second lock and a right PIN the first round again", defaultPolicy, state{}, t0, "www 3h www 24h rwwww", "ResetOnSuccess SuccessAfterLock ThirdWrongLocks"},
		{"wrong PINs years apart are in a row", defaultPolicy, state{}, t0, "w 26280h w 26280h w", "ClockForward ThirdWrongLocks"},
		{"the clock jumps ahead over the lock", defaultPolicy, state{}, t0, "www 26280h www", "ClockForward SecondRound24h"},
		{"the clock goes back one millisecond while locked", defaultPolicy, state{}, t0, "www -1ms r", "ClockBack LockedRightPin"},
		{"the clock goes back a year while locked", defaultPolicy, state{}, t0, "www -8760h r", "ClockBack LockedRightPin"},
		{"a lock restarted by a clock that went back lasts in full", defaultPolicy, state{}, t0, "www -8760h r 3h -1ms r", "ClockBack OneMsBeforeExpiry LockedRightPin"},
		{"a lock restarted by a clock that went back ends", defaultPolicy, state{}, t0, "www -8760h r 3h r", "ClockBack AtExpiry SuccessAfterLock"},
		{"a lock that had run out restarts if the clock goes back", defaultPolicy, state{}, t0, "www 3h w -4h r", "ClockBack"},
		{"the clock goes back before the last wrong PIN, no lock", defaultPolicy, state{}, t0, "ww -8760h r", "ClockBack ResetOnSuccess"},
		{"the clock goes back before the last wrong PIN, then a third", defaultPolicy, state{}, t0, "ww -8760h w", "ClockBack ThirdWrongLocks"},
		{"the clock goes back twice while locked", defaultPolicy, state{}, t0, "www -1h w -1h r", "ClockBack LockedRightPin"},
		{"back and forward again: the lock counts from the earlier time", defaultPolicy, state{}, t0, "www -8760h w 8760h r", "ClockBack ClockForward SuccessAfterLock"},
		{"the clock goes back in the second lock", defaultPolicy, state{}, t0, "www 3h www -100h r 24h -1ms r", "ClockBack SecondRound24h OneMsBeforeExpiry"},
		{"the clock goes back after the key was destroyed", defaultPolicy, state{}, t0, "www 3h www 24h www -8760h r", "ClockBack NinthIsForever"},
		{"at the year 1970", defaultPolicy, state{}, 0, "wwwr", "LockedRightPin"},
		{"at the end of the year 9999", defaultPolicy, state{}, maxAt - 2, "w 1ms w 1ms w 0s r", "LockedRightPin ThirdWrongLocks"},
		{"one try in all", policy{{1, forever}}, state{}, t0, "wr", "OtherPolicy"},
		{"one try in all, right", policy{{1, forever}}, state{}, t0, "rrw", "OtherPolicy"},
		{"a hundred tries", policy{{100, forever}}, state{}, t0, strings.Repeat("w", 100) + "r", "OtherPolicy"},
		{"locks of a millisecond", policy{{1, 1}, {1, 1}, {1, forever}}, state{}, t0, "w 0s r 1ms w 0s r 1ms r", "OtherPolicy"},
		{"locks of ten years", policy{{1, 87600 * hour}, {1, forever}}, state{}, t0, "w 87600h -1ms r 1ms w", "OtherPolicy"},
		{"rounds of different lengths", unequal, state{}, t0, "w 1s wwww 1h ww", "OtherPolicy"},
		{"rounds of different lengths, right at last", unequal, state{}, t0, "w 1s wwww 1h wr", "OtherPolicy"},
		{"locks that grow shorter", policy{{2, 24 * hour}, {2, hour}, {2, forever}}, state{}, t0, "ww 24h ww 1h r", "OtherPolicy"},
		{"a round that the stricter policy has ended: locked from the last wrong PIN on", strict, state{2, t0, 0}, t0 + hour, "r", "PolicyChange"},
		{"a round that the stricter policy has ended: over after its lock", strict, state{2, t0, 0}, t0 + 24*hour, "r", "PolicyChange"},
		{"a round that the stricter policy has ended: one millisecond before", strict, state{2, t0, 0}, t0 + 24*hour - 1, "r", "PolicyChange"},
		{"all tries of the stricter policy are used up", strict, state{4, t0, 0}, t0 + 1000*hour, "r", "PolicyChange"},
		{"more tries than the stricter policy has", strict, state{8, t0, 0}, t0 + 1000*hour, "r", "PolicyChange"},
		{"a longer lock is recorded: it is not shortened", defaultPolicy, state{3, t0, 24 * hour}, t0 + 3*hour, "r", "PolicyChange"},
		{"a longer lock is recorded: it ends", defaultPolicy, state{3, t0, 24 * hour}, t0 + 24*hour, "r", "PolicyChange"},
		{"a lock is recorded where the policy has none", defaultPolicy, state{2, t0, hour}, t0 + hour - 1, "r", "PolicyChange"},
		{"a lock is recorded where the policy has none: it ends", defaultPolicy, state{2, t0, hour}, t0 + hour, "w", "PolicyChange"},
		{"a shorter lock is recorded than the policy's", defaultPolicy, state{3, t0, hour}, t0 + 2*hour, "r", "PolicyChange"},
		{"a shorter lock is recorded, and the clock goes back", defaultPolicy, state{3, t0, hour}, t0 - hour, "r 2h r", "PolicyChange"},
		{"destroyed for another reason, no wrong PIN", defaultPolicy, state{0, t0, forever}, t0 + hour, "r", "PolicyChange"},
		{"destroyed under a stricter policy", defaultPolicy, state{2, t0, forever}, t0 + hour, "r", "PolicyChange"},
		{"a hundred wrong PINs", policy{{100, forever}}, state{100, t0, 0}, t0 + hour, "r", "PolicyChange"},
		{"between rounds under the policy at hand", defaultPolicy, state{4, t0, 0}, t0 + hour, "ww", "PolicyChange"},
		{"eight wrong PINs without a lock", defaultPolicy, state{8, t0, 0}, t0, "w", "PolicyChange"},
	}
)

// attempt is one step: a time and an outcome.
type attempt struct {
	at      int64
	outcome string
}

func (s sequence) attempts() (out []attempt) {
	now, last := s.at, s.at
	for _, word := range strings.Fields(s.script) {
		if strings.Trim(word, "wr") != "" {
			d, err := time.ParseDuration(word)
			must(err)
			last += d.Milliseconds()
			now = last
			continue
		}
		for _, c := range word {
			out = append(out, attempt{now, map[rune]string{'w': "wrong", 'r': "right"}[c]})
			last = now
			now += second
		}
	}
	return out
}

// randomSequence derives its steps from the seed.
func (f *file) randomSequence(id, i int) (policy, []attempt) {
	b, now := f.derive(id, "steps", 2*24), int64(t0)
	var out []attempt
	for j := 0; j < len(b); j += 2 {
		// Which way the clock goes, in a quarter of a lock's length; and one right PIN in
		// four.
		now += []int64{-hour, second, second, second, 3 * hour, 3 * hour, 3*hour - 1, 24 * hour}[b[j]%8]
		out = append(out, attempt{now, []string{"right", "wrong", "wrong", "wrong"}[b[j+1]%4]})
	}
	return []policy{defaultPolicy, strict, unequal}[i%3], out
}

var counterEdges = []struct {
	comment string
	state   state
}{
	{"a new key", state{}},
	{"one wrong PIN at the first millisecond", state{1, 0, 0}},
	{"a right PIN at the last millisecond", state{0, maxAt, 0}},
	{"the largest values", state{100, maxAt, 87600 * hour}},
	{"the least lock", state{1, t0, 1}},
	{"destroyed without a wrong PIN", state{0, 0, forever}},
	{"destroyed after nine", state{9, t0, forever}},
}

var malformedBase = state{3, t0, 3 * hour}.enc()

var malformedCounters = []struct {
	comment string
	edit    edit
}{
	{"no bytes", edit{0, 18, ""}},
	{"one byte short", edit{17, 1, ""}},
	{"one byte more", edit{18, 0, "00"}},
	{"twice", edit{18, 0, hex.EncodeToString(malformedBase)}},
	{"version 0", edit{0, 1, "00"}},
	{"version 2", edit{0, 1, "02"}},
	{"101 wrong PINs", edit{1, 1, "65"}},
	{"255 wrong PINs", edit{1, 1, "ff"}},
	{"the year 10000", edit{2, 8, fmt.Sprintf("%016x", maxAt+1)}},
	{"a time with bit 63", edit{2, 8, "8000000000000000"}},
	{"a time of ff bytes", edit{2, 8, "ffffffffffffffff"}},
	{"a lock of ten years and a millisecond", edit{10, 8, fmt.Sprintf("%016x", 87600*hour+1)}},
	{"one less than for ever", edit{10, 8, "7ffffffffffffffe"}},
	{"one more than for ever", edit{10, 8, "8000000000000000"}},
	{"a lock of ff bytes", edit{10, 8, "ffffffffffffffff"}},
	{"a lock without a wrong PIN", edit{1, 1, "00"}},
}

var invalidPolicies = []struct {
	comment string
	policy  policy
}{
	{"no rounds", policy{}},
	{"no tries", policy{{0, forever}}},
	{"negative tries", policy{{-1, forever}}},
	{"101 tries in one round", policy{{101, forever}}},
	{"101 tries in all", policy{{50, hour}, {51, forever}}},
	{"no end: the last lock is not for ever", policy{{3, hour}, {3, 24 * hour}}},
	{"for ever before the last round", policy{{3, forever}, {3, forever}}},
	{"a lock of no time", policy{{3, 0}, {3, forever}}},
	{"a negative lock", policy{{3, -hour}, {3, forever}}},
	{"a lock of ten years and a millisecond", policy{{3, 87600*hour + 1}, {3, forever}}},
}
