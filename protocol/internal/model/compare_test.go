package model

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/exploretest"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// The words of package exploretest for the numbers of the model.
var (
	codes = []string{"", "right", "wrong PIN", "cancelled", "wrong PIN", "superseded", "destroyed"}
	kinds = []string{"sign with a wrong PIN", "sign", "refresh"}
)

const (
	right = iota + 1
	wrong
	_
	last
	_
	_
	unseen
	ops    = 4
	thief  = ops + 1 // T
	report = 15
)

// schedule is one of the model's, in the words of package exploretest.
type schedule struct {
	steps, said []string // said is "" where the model does not say
	names       [ops + 1]string
	sent        [ops + 1]int    // the hour of a request's Cancel, + 1
	answers     [ops + 1]string // that a node gave, the latest that is "locked" or "expired", or of a wrong PIN
	hour        int
	report      int
	pending     int
	calling     bool
	heard       map[int]bool // answers to what is pending that package exploretest keeps: until the next call
	skip        string       // why it cannot be told to package exploretest
}

func (s *schedule) add(said, format string, args ...any) {
	s.steps, s.said = append(s.steps, fmt.Sprintf(format, args...)), append(s.said, said)
}

// simulate makes one random schedule, and returns it with the values at its end.
// Requests are numbered from before+1.
func simulate(t *testing.T, spin, file string, seed, before int, defines string) (*schedule, map[string]int) {
	args := append([]string{"-T", fmt.Sprintf("-n%d", seed), "-g", "-u6000"}, strings.Fields(defines)...)
	out, err := exec.CommandContext(t.Context(), spin, append(args, file)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "violated")
	s, values := new(schedule), make(map[string]int)
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	forged, calm, waiting := false, false, ""
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, value, ok := strings.Cut(line, " = "); ok {
			if n, err := strconv.Atoi(value); err == nil {
				values[name] = n
			}
		}
		step, ok := strings.CutPrefix(line, "step: ")
		if !ok {
			continue
		}
		var a, b, c, d, e int
		switch {
		case scan(step, "make %d %d number %d", &a, &b, &c):
			s.names[a] = fmt.Sprintf("%s %d", kinds[b], c+before)
			s.add("", "%s", s.names[a])
			s.pending, s.heard = a, make(map[int]bool)
		case scan(step, "cancel %d", &a):
			s.cancel(a)
			s.add("", "cancel %s", number(s.names[a]))
		case step == "report":
			s.reports()
			s.add("", "report 0")
		case step == "crash":
			s.add("", "crash")
			s.calling = false
		case step == "hour":
			s.hour++
			s.add("", "wait %v", server.DefaultChallengeLife)
		case step == "calm":
			calm = true
		case step == "copy":
			s.add("", "the thief copies the storage")
		case step == "forged":
			forged = true
		case scan(step, "hear %d of the call", &a):
			s.add(map[int]string{right: "carried out"}[a], "hear %s", name(a, waiting))
			s.calling, s.pending = false, 0
			if a == 5 { // a Report follows
				s.reports()
			}
		case scan(step, "hear %d of %d", &a, &b):
			said := map[int]string{right: "done"}[a]
			if !forged && !s.heard[a] {
				s.skip = "an answer that is older than a call"
			}
			switch {
			case forged && a == unseen:
				s.add(said, "hear forged: expired")
			case forged && a == wrong:
				s.add(said, "hear forged: wrong PIN, 8 left")
			case forged:
				s.add(said, "hear forged: %s", name(a, "0 left"))
			default:
				s.add(said, "hear %s", name(a, s.answers[b]))
			}
			forged = false
			if a == unseen {
				s.cancel(b)
			} else if a > last || a == last || a == 3 && s.sent[b] == 0 {
				s.reports()
			}
			if a != unseen {
				s.pending = 0
			}
		case scan(step, "deliver %d: %d, %d left, at %d live %d", &a, &b, &c, &d, &e):
			if d != s.hour {
				s.skip = "a lock ended while a node was at work"
			}
			said := name(b, fmt.Sprintf("%d left", c))
			if b == unseen {
				said = map[int]string{0: "expired", 1: "locked"}[e]
			}
			switch {
			case a == thief:
				s.said[len(s.said)-1] = said
			case a == report:
				s.add(said, "deliver the report to A")
				if !s.calling {
					s.skip = "a Report that nobody waits for"
				}
			case a > 8 && b == 5 && (a-8 != s.pending || !s.calling): // late for all: package exploretest leaves it out
			case a > 8:
				s.add(said, "deliver the cancel of %s to A", number(s.names[a-8]))
				waiting = fmt.Sprintf("%d left", c)
			default:
				s.add(said, "deliver %s to A", s.names[a])
				if a == s.pending && !s.calling {
					s.heard[b] = true
				}
				if b == unseen {
					s.answers[a] = said
				} else if b == wrong || b == last {
					s.answers[a] = fmt.Sprintf("%d left", c)
				}
			}
		case scan(step, "thief %d %d, next %d, token %d of %d", &a, &b, &c, &d, &e):
			if d != e || a == 1 || a == 2 && c != thief {
				s.skip = "the other thief does not do this"
			}
			s.add("", "%s", map[int]string{0: "the thief guesses", 1: "", 2: "the thief refreshes", 4: "the thief cancels"}[a])
			if b != thief {
				s.steps[len(s.steps)-1] = "the thief cancels what the owner has sent"
			}
		default:
			require.Fail(t, "an unknown step", step)
		}
	}
	if !calm || strings.Contains(string(out), "depth-limit") {
		s.skip = "it does not end"
	}
	return s, values
}

// cancel notes that a request is cancelled: later than once it is another Cancel.
func (s *schedule) cancel(i int) {
	if s.sent[i] != 0 && s.sent[i] != s.hour+1 {
		s.skip = "two Cancels with two challenges"
	}
	s.sent[i], s.calling, s.heard = s.hour+1, true, make(map[int]bool)
}

func (s *schedule) reports() {
	if s.report != 0 {
		s.skip = "two Reports"
	}
	s.report++
	s.calling, s.pending = true, 0
}

func scan(step, format string, values ...any) bool {
	n, err := fmt.Sscanf(step, format, values...)
	return err == nil && n == len(values)
}

var digits = regexp.MustCompile(`\d+$`)

func number(name string) string { return digits.FindString(name) }

// name is an answer's; left is what goes with a wrong PIN, or what was not looked at.
func name(code int, left string) string {
	switch code {
	case wrong, last:
		return "wrong PIN, " + left
	case unseen:
		return left
	}
	return codes[code]
}

// TestRealCode carries out random schedules of the model with the real device and server:
// each node answers as in the model, and both sides are at the end where the model is.
// What package exploretest leaves out, or tells apart where the model does not, is left
// out here too (schedule.skip).
func TestRealCode(t *testing.T) {
	spin, text := need(t).spin, readModel(t)
	for _, change := range []struct{ old, new string }{
		// Calm comes when a dozen requests have arrived.
		{"{ !atWork && !calling -> calm = true", "{ !left && !atWork && !calling -> calm = true"},
		{"atWork++;", "atWork++; left = (left -> left-1 : 0);"},
		{"Request req[OPS+2];", "Request req[OPS+2]; byte left = 12;"},
		// The thief does what that of package exploretest does.
		{":: req[T].right = true :: req[T].refresh", ":: req[T].refresh"},
		{"req[T].token = i;", "req[T].token = (HAS(tokens, rec.token) -> rec.token : i);"},
		{"req[T].next = i", "req[T].next = (req[T].refresh -> T : i)"},
		// All clocks are right.
		{":: !calm && m != T -> live = false :: !calm && m != T -> live = false; late = true fi", "fi"},
	} {
		require.Equal(t, 1, strings.Count(text, change.old), change.old)
		text = strings.Replace(text, change.old, change.new, 1)
	}
	file := filepath.Join(t.TempDir(), "protocol.pml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	for _, c := range []struct {
		name, defines string
		scope         exploretest.Scope
		rounds        int
	}{
		{"owner", "-DROUNDS=2", exploretest.Scope{}, 2},
		{"thief", "-DROUNDS=3 -DCOPIES=1", exploretest.Scope{Copies: 1}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			scope := c.scope
			scope.Name, scope.Nodes, scope.Tries = c.name, 1, 2
			scope.Kinds, scope.Moves = []exploretest.Op{exploretest.Sign, exploretest.SignWrong, exploretest.Refresh}, []time.Duration{server.DefaultChallengeLife}
			start := exploretest.Play(t, scope)
			verdicts, skipped, compared := make(map[string]int), make(map[string]int), 0
			enough := 8
			if testing.Short() {
				enough = 3
			}
			for seed := 1; compared < enough; seed++ {
				require.Less(t, seed, 40*enough, "too few schedules can be told: %v", skipped)
				s, end := simulate(t, spin, file, seed, int(start.Device), fmt.Sprintf("-DOPS=%d -DTRIES=2 -DNODES=1 %s", ops, c.defines))
				if skipped[s.skip]++; s.skip != "" {
					continue
				}
				compared++
				p := exploretest.Play(t, scope, s.steps...)
				told := strings.Join(s.steps, "\n")
				require.Empty(t, p.Broken, told)
				require.Len(t, p.Said, len(s.steps), told)
				for i, want := range s.said {
					if want == "" {
						continue
					}
					require.Equal(t, want, p.Said[i], "seed %d, step %d of\n%s", seed, i+1, told)
					verdict, _, _ := strings.Cut(want, ",")
					verdicts[verdict]++
				}
				require.Equal(t, end["rec.number"], int(p.Number-start.Number), "seed %d\n%s", seed, told)
				require.Equal(t, end["rec.wrong"], p.Wrong, "seed %d\n%s", seed, told)
				require.Equal(t, end["rec.dead"] == 1, strings.HasPrefix(p.Key, "destroyed"), "seed %d\n%s", seed, told)
				require.Equal(t, end["phone.pending"] != 0, p.Waits, "seed %d\n%s", seed, told)
				phase := device.Ready
				if end["phone.dead"] == 1 {
					phase = device.Dead
				} else if end["phone.superseded"] == 1 {
					phase = device.Superseded
				} else {
					require.Equal(t, end["phone.number"], int(p.Device-start.Device), "seed %d\n%s", seed, told)
				}
				require.Equal(t, phase, p.Phase, "seed %d\n%s", seed, told)
			}
			t.Logf("%d schedules, verdicts: %v", compared, verdicts)
			t.Logf("left out: %v", skipped)
		})
	}
}
