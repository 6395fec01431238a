// Package storetest holds an implementation of [pinlock.Store] to its contract.
//
// Every Store, whoever wrote it, should pass [Run], and [RunReopen] if it is meant to be durable.
// What no test of this kind can show is that a confirmed write survives a power failure: that takes
// an fsync, which only the implementation's own tests can look for.
package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
)

// Run runs every check of the contract, each in a subtest on a store of its own. open
// returns an empty store, or one whose records are out of the way of these, and cleans up after itself with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) pinlock.Store) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, open(t))
		})
	}
}

// RunReopen checks that records and versions survive closing. reopen closes the store that open or reopen returned
// last and returns a new one on the same records, as a restarted process or another node would.
func RunReopen(t *testing.T, open func(t *testing.T) (store pinlock.Store, reopen func() pinlock.Store)) {
	for _, c := range reopenChecks {
		t.Run(c.name, func(t *testing.T) {
			store, reopen := open(t)
			c.run(t, store, reopen)
		})
	}
}

// tester is what a check needs of *testing.T. The tests of this package put a recorder in its
// place, to see that each check fails on a store that breaks what it checks.
type tester interface {
	require.TestingT
	Helper()
}

type check struct {
	name string
	run  func(t tester, s pinlock.Store)
}

type reopenCheck struct {
	name string
	run  func(t tester, s pinlock.Store, reopen func() pinlock.Store)
}

var checks = []check{
	{"CreateLoad", createLoad},
	{"LoadUnknown", loadUnknown},
	{"CreateTwice", createTwice},
	{"SwapCurrent", swapCurrent},
	{"SwapUnknown", swapUnknown},
	{"SwapStale", swapStale},
	{"SwapOtherVersions", swapOtherVersions},
	{"VersionNeverReused", versionNeverReused},
	{"SameValue", sameValue},
	{"Values", values},
	{"IDs", ids},
	{"Limits", limits},
	{"RecordsApart", recordsApart},
	{"CopiesOnWrite", copiesOnWrite},
	{"CopiesOnRead", copiesOnRead},
	{"ContextDone", contextDone},
	{"ConcurrentCreate", concurrentCreate},
	{"ConcurrentSwap", concurrentSwap},
	{"ConcurrentCount", concurrentCount},
	{"ConcurrentReaders", concurrentReaders},
	{"GuessesWrong", guessesWrong},
	{"GuessesMixed", guessesMixed},
}

var reopenChecks = []reopenCheck{
	{"RecordsSurvive", recordsSurvive},
	{"VersionsSurvive", versionsSurvive},
	{"VersionNeverReused", versionNeverReusedAfterReopen},
}
