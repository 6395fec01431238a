package bolt

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

const (
	childRole = "TANDEM_BOLT_TEST_ROLE"
	childPath = "TANDEM_BOLT_TEST_PATH"

	// workers is how many goroutines of the child count at once, each on a guessed key of
	// its own, and each on the record "count" that they share.
	workers = 4
)

// maxTries is how often a key can be guessed under any policy, and under patient.
const maxTries = 100

var patient = limiter.Policy{{Tries: maxTries, Lock: limiter.Forever}}

// guessForever counts wrong PINs and increments a counter, and acknowledges each on
// standard output once it is durable: "w KEY N" for the N-th wrong PIN, "c N" for the
// counter. It runs until it is killed.
func guessForever(path string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s, err := Open(path, Options{LockTimeout: 10 * time.Second})
	if err != nil {
		fail(err)
	}
	l, err := limiter.New(s, patient)
	if err != nil {
		fail(err)
	}
	var mu sync.Mutex // one acknowledgement a write
	acknowledge := func(format string, args ...any) {
		line := fmt.Appendf(nil, format, args...)
		mu.Lock()
		defer mu.Unlock()
		os.Stdout.Write(line)
	}
	ctx := context.Background()
	if err := s.Create(ctx, "count", make([]byte, 8)); err != nil && !errors.Is(err, limiter.ErrConflict) {
		fail(err)
	}
	acknowledge("open\n")
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for k := 0; ; k++ {
				key := fmt.Sprintf("%d-%d", i, k)
				if err := l.Create(ctx, key); err != nil && !errors.Is(err, limiter.ErrConflict) {
					fail(err)
				}
				for alive := true; alive; {
					err := l.Attempt(ctx, key, func(context.Context) (limiter.Outcome, error) { return limiter.Wrong, nil })
					var wrong *limiter.WrongPINError
					switch {
					case errors.As(err, &wrong):
						acknowledge("w %s %d\n", key, maxTries-wrong.RemainingTotal)
					case err == limiter.ErrDestroyed:
						alive = false // as an earlier process left it, or this one
					default:
						fail(err)
					}
					n, err := increment(ctx, s)
					if err != nil {
						fail(err)
					}
					acknowledge("c %d\n", n)
				}
			}
		})
	}
	wg.Wait()
}

func increment(ctx context.Context, s limiter.Store) (n uint64, err error) {
	err = limiter.Update(ctx, s, "count", func(value []byte) ([]byte, error) {
		if len(value) != 8 {
			return nil, fmt.Errorf("counter of %d bytes", len(value))
		}
		n = binary.BigEndian.Uint64(value) + 1
		return binary.BigEndian.AppendUint64(nil, n), nil
	})
	return n, err
}

// child is this test binary, run again in another role.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	pipe  io.ReadCloser
}

func startChild(t *testing.T, role, path string) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{cmd, bufio.NewReader(pipe), pipe}
	t.Cleanup(func() { cmd.Process.Kill() })
	return c
}

// read returns the next n lines that the child writes.
func (c *child) read(t *testing.T, n int) (lines []string) {
	t.Helper()
	for range n {
		line, err := c.lines.ReadString('\n')
		require.NoError(t, err, "the child ended by itself")
		lines = append(lines, line)
	}
	return lines
}

// kill kills the child (SIGKILL) and returns every whole line that it wrote and that
// nobody had read.
func (c *child) kill(t *testing.T) (lines []string) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill(), "the child ended by itself")
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil { // a last line without its end was not acknowledged
			break
		}
		lines = append(lines, line)
	}
	var exit *exec.ExitError
	require.ErrorAs(t, c.cmd.Wait(), &exit)
	require.False(t, exit.Exited(), "the child ended by itself: %v", exit)
	return lines
}

// TestKill kills a process that counts attempts, at a random moment, again and again, and
// after each time opens the store as a restarted service would. Every attempt that was
// acknowledged is still counted, none was counted that was never made, and every record
// can be read. (This says nothing of a power failure, against which every acknowledgement
// waits for fdatasync.)
func TestKill(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	wrongs := make(map[string]int) // acknowledged wrong PINs by key
	var count uint64               // acknowledged count
	kills, acknowledged, early := thorough(200, 20), 0, 0
	// Kills before the first acknowledgement are welcome too, but do not count.
	for kill := 0; kill-early < kills; kill++ {
		if kill%20 == 19 {
			// Now and then a new file, to be killed while it is made.
			path = filepath.Join(dir, fmt.Sprint("store ", kill))
			clear(wrongs)
			count = 0
		}
		c := startChild(t, "guess", path)
		// A third of the kills come at any time after the start of the process, the
		// others soon after some number of acknowledgements, so that a slow machine
		// counts as much as a fast one.
		var lines []string
		if kill%3 == 0 {
			time.Sleep(rand.N(40 * time.Millisecond))
		} else {
			lines = c.read(t, 1+rand.IntN(60))
			time.Sleep(rand.N(3 * time.Millisecond))
		}
		lines = append(lines, c.kill(t)...)
		if len(lines) == 0 {
			early++
		}
		for _, line := range lines {
			var key string
			var n int
			if _, err := fmt.Sscanf(line, "w %s %d\n", &key, &n); err == nil {
				wrongs[key] = max(wrongs[key], n)
				acknowledged++
			} else if _, err := fmt.Sscanf(line, "c %d\n", &n); err == nil {
				count = max(count, uint64(n))
				acknowledged++
			} else {
				require.Equal(t, "open\n", line)
			}
		}
		verify(t, path, wrongs, &count)
	}
	t.Logf("%d kills among %d acknowledged counts, and %d before the first one", kills, acknowledged, early)
	require.Greater(t, acknowledged, 2*kills)
}

// verify opens the store and compares it with what was acknowledged. At most one attempt
// of each worker may have been counted without an acknowledgement; from then on it is
// known to be counted and must stay so.
func verify(t *testing.T, path string, wrongs map[string]int, count *uint64) {
	t.Helper()
	s, err := Open(path, Options{LockTimeout: 10 * time.Second})
	require.NoError(t, err)
	defer s.Close()
	l, err := limiter.New(s, patient)
	require.NoError(t, err)
	for i := range workers {
		for k := 0; ; k++ {
			key := fmt.Sprintf("%d-%d", i, k)
			status, err := l.Peek(t.Context(), key)
			if errors.Is(err, limiter.ErrNotFound) {
				_, known := wrongs[key]
				require.False(t, known, "key %s is lost", key)
				break
			}
			require.NoError(t, err)
			counted := maxTries - status.RemainingTotal
			require.GreaterOrEqual(t, counted, wrongs[key], "key %s lost counts", key)
			require.LessOrEqual(t, counted, wrongs[key]+1, "key %s counted what nobody did", key)
			wrongs[key] = counted
		}
	}
	value, _, err := s.Load(t.Context(), "count")
	if errors.Is(err, limiter.ErrNotFound) {
		require.Zero(t, *count)
		return
	}
	require.NoError(t, err)
	require.Len(t, value, 8)
	n := binary.BigEndian.Uint64(value)
	require.GreaterOrEqual(t, n, *count, "the count was lost")
	require.LessOrEqual(t, n, *count+workers, "counted what nobody did")
	*count = n
}
