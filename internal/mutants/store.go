package main

const (
	inStoretest = "./pinlock/storetest"

	everyFault = "TestEveryFaultIsFound"
)

// Stores: bolt, and what storetest must see.
var storeMutants = []mutant{
	// The conformance suite: each of these would pass a store that is broken.
	{"storetest: one handle for all nodes", "pinlock/storetest/storetest.go", "	if h.db.Single {", "	if true {", inStoretest, everyFault},
	{"storetest: the same handle twice", "pinlock/storetest/storetest.go", "require.False(h.t, same(next, other)", "require.False(h.t, false && same(next, other)", inStoretest, "TestRefusesOneHandleTwice"},
	{"storetest: all swaps on one node", "pinlock/storetest/concurrent.go", "return stores[i%nodes].Swap(", "return stores[i%1].Swap(", inStoretest, everyFault},
	{"storetest: all creations on one node", "pinlock/storetest/concurrent.go", "return stores[i%nodes].Create(context.Background(), id, fmt", "return stores[i%1].Create(context.Background(), id, fmt", inStoretest, everyFault},
	{"storetest: all guesses on one node", "pinlock/storetest/guesses.go", "limiters[i%len(limiters)].Attempt(", "limiters[i%1].Attempt(", inStoretest, everyFault},
	{"storetest: each call on the same handle", "pinlock/storetest/turns.go", "n.order.IntN(len(n.stores))", "n.order.IntN(1)", inStoretest, everyFault},
	{"storetest: a fourth wrong guess", "pinlock/storetest/guesses.go", "require.Equal(t, 3, a.wrong)", "require.GreaterOrEqual(t, a.wrong, 3)", inStoretest, everyFault},
	{"storetest: versions of a removed record", "pinlock/storetest/reopen.go", "		h.db.Remove(\"id\")", "		h.db.Remove(\"other\")\n		return", inStoretest, everyFault},
	{"storetest: lists that leave out what is new", "pinlock/storetest/list.go", "if begin < id && id <= end && !listed[id] {", "if begin < id && id <= end && listed[id] && len(id) == 0 {", inStoretest, everyFault},
	{"storetest: lists that leave out what was there", "pinlock/storetest/list.go", "		if !listed[id] {\n			return fmt.Errorf(\"%q was there", "		if listed[id] && len(id) == 0 {\n			return fmt.Errorf(\"%q was there", inStoretest, everyFault},

	// Listing.
	{"a page that begins with the last id", "pinlock/memory.go", "if id > after && strings", "if id >= after && strings", inStoretest, "TestMemoryStore"},
	{"a list of every id, whatever the prefix", "pinlock/memory.go", "strings.HasPrefix(id, prefix) {", "strings.HasPrefix(id, \"\") {", inStoretest, "TestMemoryStore"},
	{"a page longer than its limit", "pinlock/memory.go", "ids[:min(len(ids), limit)], nil", "ids, nil", inStoretest, "TestMemoryStore"},
	{"a page of no ids", "pinlock/lister.go", "case limit < 1:", "case limit < 0:", inStoretest, "TestMemoryStore"},
	{"a sweep that a store keeps busy for ever", "pinlock/lister.go", "if id <= after || ", "if ", inPinlock, "TestIDsEnds"},
	{"a sweep of other records", "pinlock/lister.go", "!strings.HasPrefix(id, prefix) {", "!strings.HasPrefix(id, \"\") {", inPinlock, "TestIDsEnds"},
	{"a sweep that goes on after an error", "pinlock/lister.go", "yield(\"\", err)\n				return", "if !yield(\"\", err) {\n					return\n				}", inPinlock, "TestIDsEnds"},
}
