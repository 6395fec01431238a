package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

const (
	childURL    = "TANDEM_POSTGRES_TEST_URL"
	childNumber = "TANDEM_POSTGRES_TEST_GUESSES"
	processes   = 4
)

// attempt is limiter.Limiter.Attempt at a time that the caller names. loaded is called
// once the record was read for the first time.
func attempt(ctx context.Context, s limiter.Store, id string, outcome limiter.Outcome, now time.Time, loaded func()) (verdict error, err error) {
	err = limiter.Update(ctx, s, id, func(value []byte) ([]byte, error) {
		loaded()
		c, err := limiter.ParseCounter(value)
		if err != nil {
			return nil, err
		}
		next, err := limiter.DefaultPolicy().Next(c, outcome, now)
		if !limiter.IsVerdict(err) {
			return nil, err
		}
		verdict = err
		if next == c {
			return nil, nil
		}
		return next.MarshalBinary()
	})
	return verdict, err
}

// guessAtOnce is a server process. For each line "load TIME" on its standard input it
// begins all of its guesses at once; when all have read the counter and would try their
// PIN it says "loaded" and waits for a line; then it says what they were answered.
func guessAtOnce() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var guesses int
	if _, err := fmt.Sscan(os.Getenv(childNumber), &guesses); err != nil {
		fail(err)
	}
	s, err := Open(context.Background(), os.Getenv(childURL), Options{})
	if err != nil {
		fail(err)
	}
	in := bufio.NewReader(os.Stdin)
	for {
		var now int64
		if _, err := fmt.Fscanf(in, "load %d\n", &now); err != nil {
			return // the parent has ended
		}
		var wrong, locked, destroyed, none int
		var mu sync.Mutex
		var begun, wg sync.WaitGroup
		begun.Add(guesses)
		start := make(chan struct{})
		for range guesses {
			wg.Go(func() {
				wait := sync.OnceFunc(func() {
					begun.Done()
					<-start
				})
				verdict, err := attempt(context.Background(), s, "key", limiter.Wrong, time.UnixMilli(now), wait)
				mu.Lock()
				defer mu.Unlock()
				var w *limiter.WrongPINError
				var l *limiter.LockedError
				switch {
				case errors.Is(err, context.DeadlineExceeded):
					none++ // too many conflicts for a slow machine
				case err != nil:
					fail(err)
				case errors.As(verdict, &w):
					wrong++
				case errors.As(verdict, &l):
					locked++
				case errors.Is(verdict, limiter.ErrDestroyed):
					destroyed++
				default:
					fail(fmt.Errorf("a wrong PIN is answered %v", verdict))
				}
			})
		}
		begun.Wait()
		fmt.Println("loaded")
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		close(start)
		wg.Wait()
		fmt.Println("answered", wrong, locked, destroyed, none)
	}
}

// TestProcesses: of any number of guesses at once, through several server processes on
// one database, exactly three are answered in each round, and then the key is destroyed.
func TestProcesses(t *testing.T) {
	guesses := durabletest.Times(10_000, 600, 200)
	server := pgtest.Shared(t)
	url := server.URL(newSchema(t, server))
	s := open(t, url)
	first, err := limiter.Counter{}.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, s.Create(t.Context(), "key", first))
	self, err := os.Executable()
	require.NoError(t, err)
	type child struct {
		in  io.Writer
		out *bufio.Reader
	}
	var children []child
	for range processes {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childRole+"=guess", childURL+"="+url, fmt.Sprintf("%s=%d", childNumber, guesses/processes))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			in.Close() // which ends it
			cmd.Wait()
		})
		children = append(children, child{in, bufio.NewReader(out)})
	}
	now := time.Now()
	answered := 0
	for round, c := range []struct {
		after   time.Duration
		answers int
	}{{0, 3}, {time.Hour, 0}, {3 * time.Hour, 3}, {24 * time.Hour, 3}, {time.Hour, 0}} {
		now = now.Add(c.after)
		for _, child := range children {
			fmt.Fprintf(child.in, "load %d\n", now.UnixMilli())
		}
		for _, child := range children {
			line, err := child.out.ReadString('\n')
			require.NoError(t, err, "a process ended by itself")
			require.Equal(t, "loaded\n", line)
		}
		for _, child := range children {
			fmt.Fprintln(child.in, "go")
		}
		var sum [4]int
		for _, child := range children {
			var n [4]int
			_, err := fmt.Fscanf(child.out, "answered %d %d %d %d\n", &n[0], &n[1], &n[2], &n[3])
			require.NoError(t, err, "a process ended by itself")
			for i := range sum {
				sum[i] += n[i]
			}
		}
		t.Logf("round %d: %d wrong, %d locked, %d destroyed, %d without an answer", round, sum[0], sum[1], sum[2], sum[3])
		// A guess without an answer may have been counted: an answer less.
		require.LessOrEqual(t, sum[0], c.answers, "answers of round %d", round)
		require.GreaterOrEqual(t, sum[0]+sum[3], c.answers, "answers of round %d", round)
		require.Equal(t, guesses/processes*processes, sum[0]+sum[1]+sum[2]+sum[3])
		answered += sum[0]
	}
	value, _, err := s.Load(t.Context(), "key")
	require.NoError(t, err)
	c, err := limiter.ParseCounter(value)
	require.NoError(t, err)
	require.True(t, c.Destroyed())
	durabletest.Claim(t, "never more answers: PostgreSQL %s, %d guesses at once in each of 3 rounds through %d processes: %d answers", server.Version(t), guesses, processes, answered)
}
