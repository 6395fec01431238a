// Package storetest holds an implementation of [limiter.Store] to its contract, and of
// [limiter.Lister] if it is one.
//
// Every Store, whoever wrote it, should pass [Run], and [RunReopen] if it is meant to be
// durable. No test of this kind can show that a confirmed write survives a power failure:
// an fsync must come before, which only the implementation's own tests can look for.
package storetest

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// Database is what a check runs on: a set of records, empty at first, and the ways to it.
type Database struct {
	// Open returns another handle on the records: a Store as another process or another
	// machine has it. It shares nothing with the other handles but the database: it has
	// its own connection, mutex and cache, if any. A test whose handles are the same, or
	// share a lock of the process, tests nothing that happens between two nodes: so Run
	// refuses a handle that it was given before.
	Open func() limiter.Store

	// Close ends a handle in good order. It may be nil if handles need no end.
	Close func(limiter.Store)

	// Single says that by contract one process at a time has the records, and that its
	// goroutines share one handle. Open is then called again only after Close, and may
	// return the same Store. An implementation's own tests must show that a second
	// process is refused.
	Single bool

	// Remove deletes a record behind the Store's back, as an administrator might. Only
	// one check needs it, and is left out if it is nil.
	Remove func(id string)

	// Server and OpenAt are for a store that reaches its records over TCP: Server is the
	// address ("host:port") of what serves them, and OpenAt does what Open does, with
	// another address in its place. There is a proxy at that address, which loses, holds
	// and cuts connections before, during and after a write. All calls of this handle
	// must go to that address. The checks of lost connections are left out if OpenAt is
	// nil.
	Server string
	OpenAt func(address string) limiter.Store

	// EveryByte has connections cut at every byte of a call, which takes minutes: else at
	// some of them, which differ from run to run.
	EveryByte bool
}

// Run runs every check of the contract, each in a subtest on a database of its own.
// database returns an empty one and cleans up with t.Cleanup. Every check of concurrent
// calls uses several handles, and the others run twice: on one handle, and on several in
// turn.
func Run(t *testing.T, database func(t *testing.T) Database) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.on(t, database(t)) })
	}
}

// RunReopen checks that records and versions survive the end of all handles, as in a
// restart of every process.
func RunReopen(t *testing.T, database func(t *testing.T) Database) {
	for _, c := range reopenChecks {
		t.Run(c.name, func(t *testing.T) { c.on(t, database(t)) })
	}
}

// tester is what a check needs of *testing.T. A recorder takes its place in the tests of
// this package, which see that each check fails on a store that breaks what it checks.
type tester interface {
	require.TestingT
	Helper()
}

type check struct {
	name string
	run  func(t tester, h *handles)
}

// on runs the check and closes its handles.
func (c check) on(t tester, db Database) {
	h := &handles{t: t, db: db}
	defer h.close()
	c.run(t, h)
}

var checks = slices.Concat([]check{
	{"ConcurrentCreate", concurrentCreate},
	{"ConcurrentSwap", concurrentSwap},
	{"ConcurrentCount", concurrentCount},
	{"ConcurrentReaders", concurrentReaders},
	{"ConcurrentLarge", concurrentLarge},
	{"CancelledMeanwhile", cancelledMeanwhile},
	{"GuessesWrong", guessesWrong},
	{"GuessesMixed", guessesMixed},
	{"HandleCloses", handleCloses},
	{"VersionNeverReusedAfterRemoval", versionNeverReusedAfterRemoval},
}, sequential(
	sequence{"CreateLoad", createLoad},
	sequence{"LoadUnknown", loadUnknown},
	sequence{"CreateTwice", createTwice},
	sequence{"SwapCurrent", swapCurrent},
	sequence{"SwapUnknown", swapUnknown},
	sequence{"SwapStale", swapStale},
	sequence{"SwapOtherVersions", swapOtherVersions},
	sequence{"VersionNeverReused", versionNeverReused},
	sequence{"SameValue", sameValue},
	sequence{"Values", values},
	sequence{"IDs", ids},
	sequence{"Limits", limits},
	sequence{"RecordsApart", recordsApart},
	sequence{"CopiesOnWrite", copiesOnWrite},
	sequence{"CopiesOnRead", copiesOnRead},
	sequence{"ContextDone", contextDone},
), listChecks, networkChecks)

var reopenChecks = []check{
	{"RecordsSurvive", recordsSurvive},
	{"VersionsSurvive", versionsSurvive},
	{"VersionNeverReused", versionNeverReusedAfterReopen},
	{"ListSurvives", onListers(listSurvives)},
}

// nodes is how many handles work at once.
const nodes = 4

// handles are the open handles of one database.
type handles struct {
	t      tester
	db     Database
	opened []limiter.Store
}

// take returns n handles, opening those that are missing: one n times if there can be
// only one.
func (h *handles) take(n int) []limiter.Store {
	h.t.Helper()
	if h.db.Single {
		if len(h.opened) == 0 {
			h.opened = append(h.opened, h.db.Open())
		}
		out := make([]limiter.Store, n)
		for i := range out {
			out[i] = h.opened[0]
		}
		return out
	}
	for len(h.opened) < n {
		next := h.db.Open()
		for _, other := range h.opened {
			require.False(h.t, same(next, other), "Open returned a handle that is open already")
		}
		h.opened = append(h.opened, next)
	}
	return h.opened[:n:n]
}

// same reports whether two handles are one value.
func same(a, b limiter.Store) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	return va.Type() == vb.Type() && va.Comparable() && vb.Comparable() && va.Equal(vb)
}

// close ends every handle.
func (h *handles) close() {
	for _, s := range h.opened {
		if h.db.Close != nil {
			h.db.Close(s)
		}
	}
	h.opened = nil
}
