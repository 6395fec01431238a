package storetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
)

func TestMemoryStore(t *testing.T) {
	Run(t, func(*testing.T) pinlock.Store { return pinlock.NewMemoryStore() })
}

func TestMemoryStoreShared(t *testing.T) {
	RunReopen(t, func(*testing.T) (pinlock.Store, func() pinlock.Store) {
		s := pinlock.NewMemoryStore() // a second node on the same records
		return s, func() pinlock.Store { return s }
	})
}

// recorder takes the place of *testing.T and notes failure instead of failing.
type recorder struct{ failed bool }

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) FailNow()              { r.failed = true; runtime.Goexit() }

// fails reports whether a check fails, on a goroutine of its own since FailNow ends it.
func fails(run func(t tester)) bool {
	r := new(recorder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(r)
	}()
	<-done
	return r.failed
}

// broken is a store on one map, with a switch for each way to get it wrong.
type broken struct {
	mu      sync.Mutex
	records map[string]*record
	last    uint64
	fault   string
}

type record struct {
	value, before []byte
	version       uint64
	loads         int
}

func (b *broken) is(fault string) bool { return b.fault == fault }

func (b *broken) check(ctx context.Context, id string, value []byte) error {
	if !b.is("ignores context") && ctx.Err() != nil {
		return ctx.Err()
	}
	if err := pinlock.CheckID(id); err != nil && !b.is("no id limit") {
		return err
	}
	if err := pinlock.CheckValue(value); err != nil && !b.is("no value limit") {
		return err
	}
	return nil
}

func (b *broken) key(id string) string {
	switch b.fault {
	case "folds case":
		return strings.ToLower(id)
	case "trims ids":
		return strings.TrimSpace(id)
	case "zero ends id":
		id, _, _ = strings.Cut(id, "\x00")
	case "repairs UTF-8":
		return strings.ToValidUTF8(id, "?")
	case "truncates ids":
		return id[:min(len(id), pinlock.MaxID-1)]
	}
	return id
}

func (b *broken) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if err := b.check(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.records[b.key(id)]
	switch {
	case !ok && b.is("unknown is empty"):
		return nil, 1, nil
	case !ok:
		return nil, 0, pinlock.ErrNotFound
	case b.is("hands out its slice"):
		return r.value, r.version, nil
	case b.is("stale reads"):
		if r.loads++; r.before != nil && r.loads%7 == 0 {
			return bytes.Clone(r.before), r.version, nil
		}
	case b.is("load bumps version"):
		b.last++
		r.version = b.last
	}
	return bytes.Clone(r.value), r.version, nil
}

func (b *broken) Create(ctx context.Context, id string, value []byte) error {
	if err := b.check(ctx, id, value); err != nil {
		return err
	}
	if b.is("create races") {
		b.mu.Lock()
		_, ok := b.records[b.key(id)]
		b.mu.Unlock()
		if ok {
			return pinlock.ErrConflict
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.records[b.key(id)]; ok && !b.is("create overwrites") && !b.is("create races") {
		return pinlock.ErrConflict
	}
	if b.is("create forgets") {
		return nil
	}
	b.put(id, value)
	return nil
}

func (b *broken) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := b.check(ctx, id, value); err != nil {
		return err
	}
	if b.is("swap races") {
		b.mu.Lock()
		r, ok := b.records[b.key(id)]
		stale := !ok || r.version != version
		b.mu.Unlock()
		if stale {
			return pinlock.ErrConflict
		}
		time.Sleep(time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.records[b.key(id)]
	switch {
	case b.is("swap races"):
	case !ok && b.is("swap creates"):
	case !ok:
		return pinlock.ErrConflict
	case b.is("version 0 always matches") && version == 0:
	case b.is("older versions match") && version < r.version:
	case b.is("newer versions match") && version > r.version:
	case b.is("version compared in 32 bits") && uint32(version) == uint32(r.version):
	case r.version != version && b.is("conflict writes"):
		b.put(id, value)
		return pinlock.ErrConflict
	case r.version != version && b.is("conflict has no name"):
		return fmt.Errorf("serialization failure")
	case r.version != version:
		return pinlock.ErrConflict
	}
	if b.is("same value is no write") && ok && bytes.Equal(r.value, value) {
		return nil
	}
	b.put(id, value)
	if b.is("swap shows up late") {
		r := b.records[b.key(id)]
		now := r.value
		r.value = r.before
		time.AfterFunc(20*time.Millisecond, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			r.value = now
		})
	}
	return nil
}

func (b *broken) put(id string, value []byte) {
	id = b.key(id)
	r := &record{value: bytes.Clone(value)}
	if old := b.records[id]; old != nil {
		r.before, r.loads = old.value, old.loads
	}
	b.last++
	r.version = b.last
	switch b.fault {
	case "keeps the slice":
		r.value = value
	case "versions wrap":
		r.version = b.last%16 + 1
	case "versions go beyond 63 bits":
		r.version = b.last | 1<<63
	case "versions start at 0":
		r.version = b.last - 1
	case "version from value":
		r.version = uint64(len(value)) + 1
		for _, c := range value {
			r.version += uint64(c)
		}
	case "one version for all":
		for _, other := range b.records {
			other.version = b.last
		}
	case "empty is absent":
		if len(value) == 0 {
			delete(b.records, id)
			return
		}
	case "zero ends value":
		r.value, _, _ = bytes.Cut(r.value, []byte{0})
	case "short values":
		r.value = r.value[:min(len(r.value), pinlock.MaxValue-1)]
	}
	b.records[id] = r
}

// faults names checks that find each fault; others may too.
var faults = map[string][]string{
	"ignores context":             {"ContextDone"},
	"no id limit":                 {"Limits"},
	"no value limit":              {"Limits"},
	"folds case":                  {"IDs"},
	"trims ids":                   {"IDs"},
	"zero ends id":                {"IDs"},
	"repairs UTF-8":               {"IDs"},
	"truncates ids":               {"IDs"},
	"unknown is empty":            {"LoadUnknown"},
	"hands out its slice":         {"CopiesOnRead"},
	"keeps the slice":             {"CopiesOnWrite"},
	"stale reads":                 {"ConcurrentReaders", "ConcurrentCount"},
	"load bumps version":          {"CreateLoad"},
	"create races":                {"ConcurrentCreate"},
	"create overwrites":           {"CreateTwice", "ConcurrentCreate"},
	"create forgets":              {"CreateLoad"},
	"swap races":                  {"ConcurrentSwap", "ConcurrentCount", "GuessesWrong", "GuessesMixed"},
	"swap creates":                {"SwapUnknown"},
	"version 0 always matches":    {"SwapOtherVersions"},
	"older versions match":        {"SwapStale", "SameValue"},
	"newer versions match":        {"SwapOtherVersions"},
	"version compared in 32 bits": {"SwapOtherVersions"},
	"conflict writes":             {"SwapStale"},
	"conflict has no name":        {"SwapStale", "ConcurrentSwap"},
	"same value is no write":      {"SameValue"},
	"swap shows up late":          {"SwapCurrent", "ConcurrentCount"},
	"versions wrap":               {"VersionNeverReused"},
	"versions go beyond 63 bits":  {"CreateLoad"},
	"versions start at 0":         {"CreateLoad"},
	"version from value":          {"VersionNeverReused", "SwapStale"},
	"one version for all":         {"RecordsApart"},
	"empty is absent":             {"Values"},
	"zero ends value":             {"Values"},
	"short values":                {"Values"},
}

func TestEveryFaultIsFound(t *testing.T) {
	run := make(map[string]func(t tester, s pinlock.Store))
	caught := make(map[string]bool)
	for _, c := range checks {
		run[c.name] = c.run
		require.False(t, fails(func(t tester) { c.run(t, &broken{records: make(map[string]*record)}) }), c.name)
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Run(fault, func(t *testing.T) {
			require.NotEmpty(t, faults[fault])
			for _, name := range faults[fault] {
				require.Contains(t, run, name)
				b := &broken{records: make(map[string]*record), fault: fault}
				require.True(t, fails(func(t tester) { run[name](t, b) }), "%s passes", name)
				caught[name] = true
			}
		})
	}
	for name := range run {
		require.True(t, caught[name], "no fault makes %s fail", name)
	}
}

// TestEveryReopenFaultIsFound reopens in ways that lose something.
func TestEveryReopenFaultIsFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		reopen func(b *broken)
		found  string
	}{
		{"forgets all", func(b *broken) { clear(b.records) }, "RecordsSurvive"},
		{"forgets the last write", func(b *broken) {
			for _, r := range b.records {
				if r.before != nil {
					r.value = r.before
				}
			}
		}, "RecordsSurvive"},
		{"counts versions anew", func(b *broken) {
			b.last = 0
			for _, r := range b.records {
				b.last++
				r.version = b.last
			}
		}, "VersionNeverReused"},
		{"changes versions", func(b *broken) {
			for _, r := range b.records {
				r.version += 100
			}
		}, "VersionsSurvive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, check := range reopenChecks {
				b := &broken{records: make(map[string]*record)}
				whole := fails(func(t tester) { check.run(t, b, func() pinlock.Store { return b }) })
				require.False(t, whole, check.name)
				b = &broken{records: make(map[string]*record)}
				failed := fails(func(t tester) {
					check.run(t, b, func() pinlock.Store { c.reopen(b); return b })
				})
				if check.name == c.found {
					require.True(t, failed, check.name)
				}
			}
		})
	}
}
