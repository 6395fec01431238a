package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
)

// guessing is what a process is told to do, in TANDEM_TEST_GUESSING.
type guessing struct {
	Endpoints []string
	Prefix    string
	Guesses   int
	Clock     time.Time
}

// answers is what it prints.
type answers struct{ Wrong, Locked, Destroyed, None int }

func TestMain(m *testing.M) {
	if order := os.Getenv("TANDEM_TEST_GUESSING"); order != "" {
		if err := guess(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// guess makes all guesses of one process at once.
func guess(order string) error {
	var g guessing
	if err := json.Unmarshal([]byte(order), &g); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := Open(ctx, Options{Endpoints: g.Endpoints, Prefix: g.Prefix})
	if err != nil {
		return err
	}
	defer s.Close()
	var mu sync.Mutex
	var a answers
	var all sync.WaitGroup
	var begun sync.WaitGroup
	begun.Add(g.Guesses)
	for range g.Guesses {
		all.Go(func() {
			begun.Done()
			begun.Wait()
			err := attempt(ctx, s, g.Clock)
			mu.Lock()
			defer mu.Unlock()
			var wrong *limiter.WrongPINError
			var locked *limiter.LockedError
			switch {
			case errors.As(err, &wrong):
				a.Wrong++
			case errors.As(err, &locked):
				a.Locked++
			case errors.Is(err, limiter.ErrDestroyed):
				a.Destroyed++
			default:
				a.None++
			}
		})
	}
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(a)
}

// attempt counts a wrong PIN at a time that the test chooses.
func attempt(ctx context.Context, s limiter.Store, now time.Time) error {
	var verdict error
	err := limiter.Update(ctx, s, "key", func(value []byte) ([]byte, error) {
		c, err := limiter.ParseCounter(value)
		if err != nil {
			return nil, err
		}
		next, refusal := limiter.DefaultPolicy().Next(c, limiter.Wrong, now)
		verdict = refusal
		var wrong *limiter.WrongPINError
		if !errors.As(refusal, &wrong) {
			return nil, nil
		}
		return next.MarshalBinary()
	})
	if err != nil {
		return err
	}
	return verdict
}

// processes: of any number of guesses at once, through four processes, three are answered
// in each round; then the key is dead.
func processes(t *testing.T, c *etcdtest.Cluster) {
	s := openOn(t, c, Options{})
	l, err := limiter.New(s, limiter.DefaultPolicy())
	require.NoError(t, err)
	require.NoError(t, l.Create(t.Context(), "key"))
	self, err := os.Executable()
	require.NoError(t, err)
	const nodes = 4
	guesses := durabletest.Times(10_000, 400, 200)
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	none, answered := 0, []int(nil)
	for round := range 4 {
		order, err := json.Marshal(guessing{c.Endpoints(), s.options.Prefix, guesses / nodes, clock})
		require.NoError(t, err)
		var outs, errs [nodes]bytes.Buffer
		var running sync.WaitGroup
		for i := range nodes {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), "TANDEM_TEST_GUESSING="+string(order))
			cmd.Stdout, cmd.Stderr = &outs[i], &errs[i]
			running.Go(func() {
				if err := cmd.Run(); err != nil {
					errs[i].WriteString(err.Error())
				}
			})
		}
		running.Wait()
		var sum answers
		for i := range nodes {
			var a answers
			require.NoError(t, json.NewDecoder(strings.NewReader(outs[i].String())).Decode(&a), &errs[i])
			sum = answers{sum.Wrong + a.Wrong, sum.Locked + a.Locked, sum.Destroyed + a.Destroyed, sum.None + a.None}
		}
		none += sum.None
		answered = append(answered, sum.Wrong)
		require.Equal(t, guesses, sum.Wrong+sum.Locked+sum.Destroyed+sum.None)
		want := 3
		if round == 3 {
			want = 0
		}
		// A guess that has no answer may have been counted: an answer less.
		require.LessOrEqual(t, sum.Wrong, want)
		require.GreaterOrEqual(t, sum.Wrong+sum.None, want)
		clock = clock.Add(25 * time.Hour)
	}
	status, err := l.Peek(t.Context(), "key")
	require.NoError(t, err)
	require.True(t, status.Destroyed)
	durabletest.Claim(t, "never more answers: etcd %s, 3 members, %d at once through %d processes: %v answers in each round, of 3, 3, 3 and 0 that the policy allows (%d guesses in all had no answer)", c.Version(), guesses, nodes, answered, none)
}
