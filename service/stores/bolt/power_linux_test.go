package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/powertest"
)

// counted is what the store holds after a number of steps.
type counted struct {
	count uint64
	keys  int
}

// after is the state after n steps: each third creates a record, the others count.
func after(n int) (s counted) {
	for i := range n {
		if i%3 == 0 {
			s.keys++
		} else {
			s.count++
		}
	}
	return s
}

// countSteps is the child: it opens the store, goes on where it is, and acknowledges each
// step on standard output. One without syncs is there for the test of the test.
func countSteps(path string, steps int, sync bool) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	s.db.NoSync = !sync
	ctx := context.Background()
	if err := s.Create(ctx, "count", make([]byte, 8)); err != nil && !errors.Is(err, limiter.ErrConflict) {
		return err
	}
	first, err := step(ctx, s)
	if err != nil {
		return err
	}
	fmt.Println("step", first) // what it read is what it may tell others
	for i := first; i < first+steps; i++ {
		if i%3 == 0 {
			err = s.Create(ctx, fmt.Sprintf("key %05d", i), bytes.Repeat([]byte{byte(i)}, 700))
		} else {
			_, err = increment(ctx, s)
		}
		if err != nil {
			return err
		}
		fmt.Println("step", i+1)
	}
	return nil // without Close: the power is cut
}

// step returns how many steps a store holds, or -1.
func step(ctx context.Context, s *Store) (int, error) {
	value, _, err := s.Load(ctx, "count")
	if errors.Is(err, limiter.ErrNotFound) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	keys, err := s.List(ctx, "key ", "", 1<<20)
	if err != nil {
		return 0, err
	}
	is := counted{binary.BigEndian.Uint64(value), len(keys)}
	n := int(is.count) + is.keys
	if is != after(n) {
		return 0, fmt.Errorf("%+v is no state that there was", is)
	}
	return n, nil
}

func init() {
	for role, sync := range map[string]bool{"power": true, "power without syncs": false} {
		roles[role] = func(path string) {
			steps, err := strconv.Atoi(os.Getenv("TANDEM_BOLT_TEST_STEPS"))
			if err == nil {
				err = countSteps(path, steps, sync)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

// recorded is what a child does to a store in a folder, after what is in the log.
func recorded(t *testing.T, folder string, log powertest.Log, steps int, role string) powertest.Log {
	t.Helper()
	return powertest.Record(t, folder, log, childRole+"="+role,
		childPath+"="+filepath.Join(folder, "store.db"), "TANDEM_BOLT_TEST_STEPS="+strconv.Itoa(steps))
}

// cutPower has a restarted service look at what the disk may have after each operation.
// Nobody has an answer yet while the store is made.
func cutPower(t *testing.T, log powertest.Log) (powertest.Shown, error) {
	folder := powertest.Folder(t)
	return log.Cut(folder, powertest.Cuts{From: log.First(powertest.Step)}, func() (int64, error) {
		s, err := Open(filepath.Join(folder, "store.db"), Options{sync: func(*bbolt.DB) error { return nil }})
		if err != nil {
			return 0, err
		}
		defer s.Close()
		n, err := step(t.Context(), s)
		return int64(n), err
	})
}

// TestPowerCut: wherever the power is cut, whatever the disk has of what was not synced,
// the store opens, and holds every step that was acknowledged.
func TestPowerCut(t *testing.T) {
	steps := durabletest.Times(400, 20, 8)
	log := recorded(t, t.TempDir(), nil, steps, "power")
	require.Equal(t, powertest.Op{Kind: powertest.Step, At: int64(steps)}, log[len(log)-1])
	shown, err := cutPower(t, log)
	require.NoError(t, err)
	require.GreaterOrEqual(t, shown.Operations, 4*steps)
	durabletest.Claim(t, "power cut: bolt, %d writes, %d moments, %d states of the disk: none older than an acknowledged one", steps, shown.Operations, shown.States)
}

// TestPowerCutAfterKill: a service that starts after another was killed, before that had
// synced, tells nothing that a power cut takes back.
func TestPowerCutAfterKill(t *testing.T) {
	log := recorded(t, t.TempDir(), nil, 4, "power")
	last := log.Last(powertest.Sync)
	folder := t.TempDir()
	killed := slices.Clone(log[:last])
	require.NoError(t, killed.Place(folder))
	next := recorded(t, folder, killed, 3, "power")
	require.Contains(t, next[last:], powertest.Op{Kind: powertest.Step, At: 4}, "it reads what was not synced")
	_, err := cutPower(t, next)
	require.NoError(t, err)

	// Without the sync with which it begins.
	first := next[last:].First(powertest.Sync)
	require.GreaterOrEqual(t, first, 0)
	_, err = cutPower(t, next.Without(func(i int, _ powertest.Op) bool { return i == last+first }))
	require.ErrorIs(t, err, powertest.ErrOlder)
}

// TestPowerCutFindsFaults: the same test finds a store that does not sync, one that syncs
// after it has acknowledged, one that writes its meta page before its pages are synced,
// and one whose name is not synced.
func TestPowerCutFindsFaults(t *testing.T) {
	_, err := cutPower(t, recorded(t, t.TempDir(), nil, 6, "power without syncs"))
	require.Error(t, err)

	log := recorded(t, t.TempDir(), nil, 6, "power")
	_, err = cutPower(t, log)
	require.NoError(t, err)
	early, steps := log.Early()
	require.GreaterOrEqual(t, steps, 6)
	_, err = cutPower(t, early)
	require.ErrorIs(t, err, powertest.ErrOlder)

	// Of each step only the last sync: pages and meta page in any order.
	begin := log.First(powertest.Step)
	_, err = cutPower(t, log.Without(func(i int, o powertest.Op) bool {
		return i > begin && o.Kind == powertest.Sync && (i+1 == len(log) || log[i+1].Kind != powertest.Step)
	}))
	require.Error(t, err)

	_, err = cutPower(t, log.Without(func(_ int, o powertest.Op) bool { return o.Kind == powertest.SyncFolder }))
	require.ErrorIs(t, err, powertest.ErrOlder)
}
