package limiter

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hexBytes is a byte string in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type vectorRound struct {
	Tries int
	Lock  *int64 // nil for ever
}

func vectorPolicy(rounds []vectorRound) Policy {
	p := Policy{}
	for _, r := range rounds {
		lock := Forever
		if r.Lock != nil {
			lock = time.Duration(*r.Lock) * time.Millisecond
		}
		p = append(p, Round{Tries: r.Tries, Lock: lock})
	}
	return p
}

type vectorGroup struct {
	Type   string
	Policy []vectorRound
	Tests  []vectorTest
}

type vectorTest struct {
	TcID                 int
	Comment              string
	Result               string
	Reject               struct{ Class string }
	StartEnc, CounterEnc hexBytes
	At                   int64
	Outcome              string
	Policy               []vectorRound
	Steps                []vectorStep
}

type vectorStep struct {
	At                        int64
	Outcome, Verdict          string
	Remaining, RemainingTotal int
	LockedUntil               int64
	CounterEnc                hexBytes
}

var vectorErrors = map[string]error{"ErrPolicy": errPolicy, "ErrCounter": ErrCounter, "ErrClock": errClock}

// refused fails the test unless err is what the vector names, and nothing else.
func (v *vectorTest) refused(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, "invalid", v.Result)
	require.Contains(t, vectorErrors, v.Reject.Class)
	for name, e := range vectorErrors {
		require.Equal(t, name == v.Reject.Class, errors.Is(err, e), "%d %s: %v", v.TcID, v.Comment, err)
	}
}

func runVectors(t *testing.T, name string, want int, run func(t *testing.T, g *vectorGroup, v *vectorTest)) {
	t.Helper()
	b, err := os.ReadFile("../../vectors/" + name + ".json")
	require.NoError(t, err)
	var file struct {
		NumberOfTests int
		TestGroups    []vectorGroup
	}
	require.NoError(t, json.Unmarshal(b, &file))
	ran := 0
	for i := range file.TestGroups {
		g := &file.TestGroups[i]
		for j := range g.Tests {
			run(t, g, &g.Tests[j])
			ran++
		}
	}
	require.Equal(t, want, file.NumberOfTests)
	require.Equal(t, want, ran)
}

func (s *vectorStep) check(t *testing.T, comment string, err error) {
	t.Helper()
	var wrong *WrongPINError
	var locked *LockedError
	until := func(want time.Time) {
		if s.LockedUntil == 0 {
			require.Zero(t, want, comment)
			return
		}
		require.Equal(t, time.UnixMilli(s.LockedUntil).UTC(), want, comment)
	}
	switch s.Verdict {
	case "right":
		require.NoError(t, err, comment)
	case "wrong":
		require.ErrorAs(t, err, &wrong, comment)
		require.Equal(t, s.Remaining, wrong.Remaining, comment)
		require.Equal(t, s.RemainingTotal, wrong.RemainingTotal, comment)
		until(wrong.LockedUntil)
		require.Equal(t, s.RemainingTotal == 0, errors.Is(err, ErrDestroyed), comment)
	case "locked":
		require.ErrorAs(t, err, &locked, comment)
		until(locked.Until)
	case "destroyed":
		require.Equal(t, ErrDestroyed, err, comment)
	default:
		require.Fail(t, s.Verdict)
	}
}

var vectorOutcome = map[string]Outcome{"right": Right, "wrong": Wrong}

func TestVectorsLimiter(t *testing.T) {
	runVectors(t, "limiter", 160, func(t *testing.T, g *vectorGroup, v *vectorTest) {
		p := vectorPolicy(g.Policy)
		switch g.Type {
		case "Limiter":
			s, err := ParseCounter(v.StartEnc)
			require.NoError(t, err)
			for i := range v.Steps {
				step := &v.Steps[i]
				comment := fmt.Sprintf("%d %s, step %d", v.TcID, v.Comment, i+1)
				now := time.UnixMilli(step.At)
				admitted, refusal := p.Admit(s, now)
				next, verdict := p.Next(s, vectorOutcome[step.Outcome], now)
				step.check(t, comment, verdict)
				if refusal != nil {
					require.Equal(t, verdict, refusal, comment)
					require.Equal(t, next, admitted, comment)
				}
				// A locked or destroyed key gives the same verdict whatever the outcome.
				if step.Verdict == "locked" || step.Verdict == "destroyed" {
					other, verdict := p.Next(s, Wrong+Right-vectorOutcome[step.Outcome], now)
					step.check(t, comment, verdict)
					require.Equal(t, next, other, comment)
				}
				enc, err := next.MarshalBinary()
				require.NoError(t, err)
				require.Equal(t, []byte(step.CounterEnc), enc, comment)
				status, err := p.Peek(next, now)
				require.NoError(t, err)
				require.Equal(t, step.Remaining, status.Remaining, comment)
				require.Equal(t, step.RemainingTotal, status.RemainingTotal, comment)
				s, err = ParseCounter(enc)
				require.NoError(t, err)
			}
		case "Counter":
			s, err := ParseCounter(v.CounterEnc)
			if v.Result == "invalid" {
				v.refused(t, err)
				return
			}
			require.NoError(t, err)
			enc, err := s.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, []byte(v.CounterEnc), enc)
		case "Policy", "Clock":
			if g.Type == "Policy" {
				p = vectorPolicy(v.Policy)
				v.refused(t, p.Validate())
			}
			s, err := ParseCounter(v.StartEnc)
			require.NoError(t, err)
			next, err := p.Next(s, vectorOutcome[v.Outcome], time.UnixMilli(v.At))
			v.refused(t, err)
			require.Equal(t, s, next)
			require.False(t, IsVerdict(err))
		default:
			require.Fail(t, g.Type)
		}
	})
}
