package storetest

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// memory is a database that lives in this process: by contract its goroutines share one
// handle.
func memory(*testing.T) Database {
	s := new(MemoryStore)
	return Database{Open: func() limiter.Store { return s }, Single: true}
}

func TestMemoryStore(t *testing.T) { Run(t, memory) }

// TestMemoryStoreShared: what the goroutines of one process share survives its handles.
func TestMemoryStoreShared(t *testing.T) { RunReopen(t, memory) }

// TestMemoryStoreOnNodes gives the checks several handles on one memory: a store of many
// nodes that is right passes them.
func TestMemoryStoreOnNodes(t *testing.T) {
	database := func(*testing.T) Database {
		s := new(MemoryStore)
		return Database{Open: func() limiter.Store { return &view{s, s} }}
	}
	Run(t, database)
	RunReopen(t, database)
}

type view struct {
	limiter.Store
	limiter.Lister
}

// TestRefusesOneHandleTwice: a store that returns one handle twice would test one node
// only.
func TestRefusesOneHandleTwice(t *testing.T) {
	for _, c := range checks {
		if c.name == "ConcurrentSwap" {
			s := new(MemoryStore)
			c.on(t, Database{Open: func() limiter.Store { return &view{s, nil} }})
			s = new(MemoryStore)
			require.True(t, fails(c, Database{Open: func() limiter.Store { return s }}))
			return
		}
	}
	require.Fail(t, "no such check")
}

// recorder takes the place of *testing.T and records that a check failed.
type recorder struct{ failed bool }

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) FailNow()              { r.failed = true; runtime.Goexit() }

// fails reports whether a check fails, on a goroutine of its own since FailNow ends it.
func fails(c check, db Database) bool {
	r := new(recorder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.on(r, db)
	}()
	<-done
	return r.failed
}

// attempts bounds how often a check of concurrent calls, or of calls that are cancelled
// at a random moment, runs until it finds a fault: on a busy machine they may not meet in
// a harmful order.
const attempts = 50

// finds reports whether a check finds a fault: in one run, if its calls follow one
// another.
func finds(t *testing.T, c check, fault string) bool {
	for range attempts {
		if fails(c, newDatabase(fault).tested(t)) {
			return true
		}
		if !atOnce(c.name) {
			return false
		}
	}
	return false
}

func atOnce(name string) bool {
	return name == "CancelledMeanwhile" || strings.HasPrefix(name, "Concurrent") || strings.HasPrefix(name, "Guesses") || strings.HasSuffix(name, "DuringWrites")
}

// faults names checks that find each fault; others may too.
var faults = map[string][]string{
	// Faults of one handle.
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
	"one conflict is none":        {"SwapStale", "ConcurrentSwap", "GuessesWrong"},
	"conflict has no name":        {"SwapStale", "ConcurrentSwap"},
	"same value is no write":      {"SameValue"},
	"swap shows up late":          {"SwapCurrent", "ConcurrentCount"},
	"versions wrap":               {"VersionNeverReused"},
	"versions go beyond 63 bits":  {"CreateLoad"},
	"versions start at 0":         {"CreateLoad"},
	"version from value":          {"VersionNeverReused", "SwapStale"},
	"one version for all":         {"RecordsApart"},
	"versions go down":            {"VersionNeverReused"},
	"versions of each record":     {"VersionNeverReusedAfterRemoval"},
	"empty is absent":             {"Values"},
	"zero ends value":             {"Values"},
	"short values":                {"Values"},

	// Faults between handles: each handle is right by itself.
	"swap atomic in the process only":   {"ConcurrentSwap", "ConcurrentCount", "GuessesWrong", "GuessesMixed"},
	"create atomic in the process only": {"ConcurrentCreate"},
	"reads from a cache":                {"SwapCurrentInTurn", "ConcurrentCount", "ConcurrentReaders"},
	"reads from a cache for a while":    {"SwapCurrentInTurn", "ConcurrentCount"},
	"remembers what is not there":       {"LoadUnknownInTurn"},
	"versions of each handle":           {"VersionNeverReusedInTurn"},
	"swap compares with a cache":        {"SwapStaleInTurn", "ConcurrentSwap"},
	"others see a write late":           {"SwapCurrentInTurn", "ConcurrentCount"},
	"others see a creation late":        {"CreateLoadInTurn", "ConcurrentCreate"},
	"writes when it closes":             {"CreateLoadInTurn"},
	"closes for all":                    {"HandleCloses"},
	"takes its records with it":         {"HandleCloses"},

	"reads in pieces":               {"ConcurrentLarge"},
	"a cancelled creation succeeds": {"CancelledMeanwhile"},
	"a cancelled swap succeeds":     {"CancelledMeanwhile"},
	"a cancelled swap conflicts":    {"CancelledMeanwhile"},

	// Faults of the way to the server.
	"a lost swap succeeds":        {"LostDuringSwap", "Unreachable"},
	"a lost swap conflicts":       {"LostDuringSwap", "LateSwap"},
	"a lost swap is repeated":     {"LostDuringSwap"},
	"a lost creation succeeds":    {"LostDuringCreate", "Unreachable"},
	"a lost creation conflicts":   {"LostDuringCreate", "LateCreate"},
	"a lost creation is repeated": {"LostDuringCreate"},
	"what is lost is not found":   {"LostDuringLoad", "Unreachable"},
	"what is lost is empty":       {"LostDuringLoad"},
	"a lost list is at its end":   {"LostDuringList"},
	"looks, and then swaps":       {"LateSwap"},
	"looks, and then creates":     {"LateCreate"},
	"goes another way":            {"LostDuringSwap", "LateSwap"},

	// Faults of lists.
	"list unsorted":            {"ListOrder", "ListMany"},
	"list folds case":          {"ListOrder"},
	"list ignores prefix":      {"ListPrefix"},
	"list prefix is a pattern": {"ListPrefix"},
	"list without its prefix":  {"ListPrefix"},
	"list ignores after":       {"ListAfter", "ListOrder"},
	"list includes after":      {"ListAfter"},
	"list skips one":           {"ListOrder", "ListMany"},
	"list ignores limit":       {"ListOrder"},
	"list ends at 1000":        {"ListMany"},
	"list without limits":      {"ListLimits"},
	"list ignores context":     {"ListContextDone"},
	"list from a cache":        {"ListElsewhere", "ListDuringWrites"},
	"list forgets new ids":     {"ListDuringWrites"},
	"list without swapped ids": {"ListOrder", "ListDuringWrites"},
}

func TestEveryFaultIsFound(t *testing.T) {
	byName := make(map[string]check)
	caught := make(map[string]bool)
	for _, c := range checks {
		require.NotContains(t, byName, c.name)
		byName[c.name] = c
		require.False(t, fails(c, newDatabase("").tested(t)), c.name)
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Run(fault, func(t *testing.T) {
			require.NotEmpty(t, faults[fault])
			for _, name := range faults[fault] {
				require.Contains(t, byName, name)
				require.True(t, finds(t, byName[name], fault), "%s passes", name)
				caught[name] = true
			}
		})
	}
	for _, c := range checks {
		if _, twin := byName[c.name+"InTurn"]; twin {
			caught[c.name+"InTurn"] = true // the same check, on more handles
		}
	}
	for name := range byName {
		require.True(t, caught[name], "no fault makes %s fail", name)
	}
}

// TestNodesAreNeeded: a store whose handles do not agree passes every check on one
// handle.
func TestNodesAreNeeded(t *testing.T) {
	ran := 0
	for _, c := range checks {
		switch c.name {
		case "ConcurrentCreate", "ConcurrentSwap", "ConcurrentCount":
			ran++
			for _, fault := range []string{"swap atomic in the process only", "create atomic in the process only"} {
				db := newDatabase(fault).tested(t)
				db.Single = true
				require.False(t, fails(c, db), "%s: %s", c.name, fault)
			}
		}
	}
	require.Equal(t, 3, ran)
}

// TestEveryReopenFaultIsFound reopens in ways that lose something.
func TestEveryReopenFaultIsFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		reopen func(d *database)
		found  string
	}{
		{"forgets all", func(d *database) { clear(d.records) }, "RecordsSurvive"},
		{"forgets the last write", func(d *database) {
			for _, r := range d.records {
				if r.before != nil {
					r.value = r.before
				}
			}
		}, "RecordsSurvive"},
		{"counts versions anew", func(d *database) {
			d.last = 0
			for _, r := range d.records {
				d.last++
				r.version = d.last
			}
		}, "VersionNeverReused"},
		{"changes versions", func(d *database) {
			for _, r := range d.records {
				r.version += 100
			}
		}, "VersionsSurvive"},
		{"loses an id", func(d *database) { delete(d.records, oddIDs[3]) }, "ListSurvives"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := false
			for _, check := range reopenChecks {
				require.False(t, fails(check, newDatabase("").tested(t)), check.name)
				if check.name == c.found {
					d := newDatabase("")
					d.reopen = c.reopen
					found = fails(check, d.tested(t))
				}
			}
			require.True(t, found, c.found)
		})
	}
}
