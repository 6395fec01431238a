package main

const (
	inStoretest = "./pinlock/limiter/storetest"

	everyFault = "TestEveryFaultIsFound"
)

// Stores: bolt, and what storetest must see.
var storeMutants = []mutant{
	// The conformance suite: each of these would pass a store that is broken.
	{"storetest: one handle for all nodes", "pinlock/limiter/storetest/storetest.go", "	if h.db.Single {", "	if true {", inStoretest, everyFault},
	{"storetest: the same handle twice", "pinlock/limiter/storetest/storetest.go", "require.False(h.t, same(next, other)", "require.False(h.t, false && same(next, other)", inStoretest, "TestRefusesOneHandleTwice"},
	{"storetest: all swaps on one node", "pinlock/limiter/storetest/concurrent.go", "return stores[i%nodes].Swap(", "return stores[i%1].Swap(", inStoretest, everyFault},
	{"storetest: all creations on one node", "pinlock/limiter/storetest/concurrent.go", "return stores[i%nodes].Create(context.Background(), id, fmt", "return stores[i%1].Create(context.Background(), id, fmt", inStoretest, everyFault},
	{"storetest: all guesses on one node", "pinlock/limiter/storetest/guesses.go", "limiters[i%len(limiters)].Attempt(", "limiters[i%1].Attempt(", inStoretest, everyFault},
	{"storetest: each call on the same handle", "pinlock/limiter/storetest/turns.go", "n.order.IntN(len(n.stores))", "n.order.IntN(1)", inStoretest, everyFault},
	{"storetest: a fourth wrong guess", "pinlock/limiter/storetest/guesses.go", "require.Equal(t, 3, a.wrong)", "require.GreaterOrEqual(t, a.wrong, 3)", inStoretest, everyFault},
	{"storetest: versions of a removed record", "pinlock/limiter/storetest/reopen.go", "		h.db.Remove(\"id\")", "		h.db.Remove(\"other\")\n		return", inStoretest, everyFault},
	{"storetest: lists that leave out what is new", "pinlock/limiter/storetest/list.go", "if begin < id && id <= end && !listed[id] {", "if begin < id && id <= end && listed[id] && len(id) == 0 {", inStoretest, everyFault},
	{"storetest: lists that leave out what was there", "pinlock/limiter/storetest/list.go", "		if !listed[id] {\n			return fmt.Errorf(\"%q was there", "		if listed[id] && len(id) == 0 {\n			return fmt.Errorf(\"%q was there", inStoretest, everyFault},

	// Listing.
	{"a page that begins with the last id", "pinlock/limiter/storetest/memory.go", "if id > after && strings", "if id >= after && strings", inStoretest, "TestMemoryStore"},
	{"a list of every id, whatever the prefix", "pinlock/limiter/storetest/memory.go", "strings.HasPrefix(id, prefix) {", "strings.HasPrefix(id, \"\") {", inStoretest, "TestMemoryStore"},
	{"a page longer than its limit", "pinlock/limiter/storetest/memory.go", "ids[:min(len(ids), limit)], nil", "ids, nil", inStoretest, "TestMemoryStore"},
	{"a page of no ids", "pinlock/limiter/lister.go", "case limit < 1:", "case limit < 0:", inStoretest, "TestMemoryStore"},

	// bolt.
	{"bolt: a checksum that is not bound to the id", "service/stores/bolt/record.go", "h.Write(key)", "h.Write(key[:0])", inBolt, "TestDamagedRecord"},
	{"bolt: a checksum without the version", "service/stores/bolt/record.go", "h.Write(binary.BigEndian.AppendUint64(nil, r.version))", "h.Write(binary.BigEndian.AppendUint64(nil, 0))", inBolt, "TestEveryFlippedBitOfARecord"},
	{"bolt: a checksum without the value", "service/stores/bolt/record.go", "h.Write(r.value)", "h.Write(nil)", inBolt, "TestEveryFlippedBitOfARecord"},
	{"bolt: a checksum that nobody checks", "service/stores/bolt/record.go", "if string(r.sum(key)) != string(b[8:recordHeader]) {", "if len(r.sum(key)) != len(b[8:recordHeader]) {", inBolt, "TestEveryFlippedBitOfARecord|TestDamagedRecord"},
	{"bolt: a version that was never given", "service/stores/bolt/snapshot.go", "if err == nil && r.version > s.last {", "if err == nil && s.last == 0 {", inBolt, "TestDamagedRecord"},
	{"bolt: no fsync", "service/stores/bolt/bolt.go", "ReadOnly: readOnly}", "ReadOnly: readOnly, NoSync: true}", inBolt, "TestSyncs"},
	{"bolt: no sync of the directory", "service/stores/bolt/bolt.go", "errors.Join(err, o.sync(h.db), o.disk.SyncFolder(filepath.Dir(path)))", "errors.Join(err, o.sync(h.db), map[string]error{}[filepath.Dir(path)])", inBolt, "TestOpenSyncs"},
	{"bolt: no sync of what a killed process left", "service/stores/bolt/bolt.go", "errors.Join(err, o.sync(h.db), o.disk.SyncFolder(filepath.Dir(path)))", "errors.Join(err, o.disk.SyncFolder(filepath.Dir(path)))", inBolt, "TestOpenSyncs"},
	{"bolt: answer before the commit", "service/stores/bolt/commit.go", "\tid, refused := 0, false\n", "\tid, refused := 0, false\n\tfor _, w := range batch {\n\t\tw.result <- nil\n\t}\n", inBolt, "TestResultsOfABatch|TestCancelledWhileWaiting"},
	{"bolt: a conflict of a transaction that failed", "service/stores/bolt/commit.go", "\t\ts.settle(0, err)\n\t\tanswer(err)\n", "\t\ts.settle(0, err)\n\t\tfor _, w := range batch {\n\t\t\tif w.err == nil {\n\t\t\t\tw.err = err\n\t\t\t}\n\t\t\tw.result <- w.err\n\t\t}\n", inBolt, "TestConflictInAFailedBatch"},
	{"bolt: every version matches", "service/stores/bolt/commit.go", "found && old.version != w.version {", "found && old.version == 0 {", inBolt, "TestContract"},
	{"bolt: create over a record", "service/stores/bolt/commit.go", "if found == w.create ||", "if !found && !w.create || !w.create &&", inBolt, "TestContract"},
	{"bolt: one result for a whole batch", "service/stores/bolt/commit.go", "\t\tw.result <- w.err\n", "\t\tw.result <- batch[0].err\n", inBolt, "TestResultsOfABatch"},
	{"bolt: writes of a batch that do not see each other", "service/stores/bolt/commit.go", "old, found := b.written[string(w.key)]", "old, found := b.written[\"\"]", inBolt, "TestResultsOfABatch|TestContract"},
	{"bolt: versions that begin anew", "service/stores/bolt/commit.go", "if b.last++; b.last > lastVersion {", "if b.last = uint64(len(b.written)) + 2; b.last > lastVersion {", inBolt, "TestContract"},
	{"bolt: a batch without its count of versions", "service/stores/bolt/commit.go", "record{version: b.last}.encode(versionKey)", "record{version: 1}.encode(versionKey)", inBolt, "TestContract"},
	{"bolt: read what is not yet on disk", "service/stores/bolt/check.go", "if err := s.awaitDurable(ctx, seen); err != nil {", "if err := s.awaitDurable(ctx, 0); err != nil {", inBolt, "TestLoadAwaitsSync"},
	{"bolt: back up what is not yet on disk", "service/stores/bolt/backup.go", "if err := s.awaitDurable(ctx, int(m.transaction)); err != nil {", "if err := s.awaitDurable(ctx, 0); err != nil {", inBolt, "TestBackupFails"},
	{"bolt: go on after a failed commit", "service/stores/bolt/commit.go", "\t\ts.broken = fmt.Errorf", "\t\t_ = fmt.Errorf", inBolt, "TestBrokenStaysBroken"},
	{"bolt: ignore a context that is done", "service/stores/bolt/bolt.go", "\tif err := ctx.Err(); err != nil {\n\t\treturn err\n\t}\n\tselect {", "\tselect {", inBolt, "TestContract"},
	{"bolt: close twice", "service/stores/bolt/bolt.go", "\terr := ErrClosed\n\tif s == nil", "\tvar err error\n\tif s == nil", inBolt, "TestClosed"},
	{"bolt: ids of any length", "service/stores/bolt/bolt.go", "limiter.CheckRecord(id, value)", "limiter.CheckRecord(\"id\", value)", inBolt, "TestContract"},
	{"bolt: values of any length", "service/stores/bolt/bolt.go", "limiter.CheckRecord(id, value)", "limiter.CheckRecord(id, nil)", inBolt, "TestContract"},
	{"bolt: keep the caller's value", "service/stores/bolt/commit.go", "w.value = bytes.Clone(value)", "w.value, _ = value, bytes.Clone", inBolt, "TestCancelledWhileWaiting"},
	{"bolt: believe an absence without its neighbours", "service/stores/bolt/snapshot.go", "\t\tcase seen == 1 && order < 0:\n\t\t\treturn true, nil\n\t\tcase seen == 2 && order > 0:\n\t\t\treturn false, nil\n\t\t}\n\t\treturn false, damaged(\"a record is missing, or out of order\")\n\t})\n\tif err == nil && !found && seen < 2 {", "\t\tcase order < 0:\n\t\t\treturn false, nil\n\t\t}\n\t\treturn false, damaged(\"a record is missing, or out of order\")\n\t})\n\tif err == nil && !found && seen < 1 {", inBolt, "TestFlippedBitsUnderAStore"},
	{"bolt: read a page that is free", "service/stores/bolt/snapshot.go", "err != nil || freed {", "err != nil || freed && id == 0 {", inBolt, "TestOldCopyOfAPage"},
	{"bolt: follow a branch to any page", "service/stores/bolt/snapshot.go", "if len(child.elements) == 0 || !bytes.Equal(child.elements[0].key, e.key) {", "if len(child.elements) == 0 || len(e.key) == 0 {", inBolt, "TestOldCopyOfAPage"},
	{"bolt: a page that is as long as it says", "service/stores/bolt/snapshot.go", "if overflow >= s.end-id || (overflow+1)*uint64(s.pageSize) > maxPage {", "if (overflow+1)*uint64(s.pageSize) > 1<<28 {", inBolt, "TestWritesOnDamagedPages"},
	{"bolt: elements anywhere on a page", "service/stores/bolt/page.go", "if uint64(position) != uint64(at-offset) ||", "if uint64(position) == 0 ||", inBolt, "TestElementOutOfPlace|TestFlippedBits"},
	{"bolt: a page in any order", "service/stores/bolt/page.go", "if i > 0 && bytes.Compare(p.elements[i-1].key, e.key) >= 0 {", "if i > 0 && bytes.Compare(p.elements[i-1].key, e.key) > 255 {", inBolt, "TestPageOutOfOrder"},
	{"bolt: a meta page without a checksum", "service/stores/bolt/page.go", "if metaSum(b) != native.Uint64(b[metaLength-8:]) {", "if metaSum(b) == 0 {", inBolt, "TestElementOutOfPlace|TestFlippedBits"},
	{"bolt: go back by a transaction", "service/stores/bolt/check.go", "if seen < least || seen > last+1 {", "if seen > last+1 {", inBolt, "TestFlippedBitsUnderAStore|TestMetaPageIsNotTheOne"},
	{"bolt: wait for a transaction that nobody wrote", "service/stores/bolt/check.go", "if seen < least || seen > last+1 {", "if seen < least {", inBolt, "TestMetaPageIsNotTheOne"},
	{"bolt: give up when overtaken", "service/stores/bolt/check.go", "\t\tcase overtaken:\n\t\t\tcontinue\n", "\t\tcase overtaken:\n\t\t\treturn err\n", inBolt, "TestOvertakenOften"},
	{"bolt: a meta page that is being written is damaged", "service/stores/bolt/check.go", "if s.lastDurable() > least {", "if s.lastDurable() < least {", inBolt, "TestOvertakenOften"},
	{"bolt: a damaged meta page is being written", "service/stores/bolt/check.go", "err != nil && last > seen; err != nil {", "err != nil && last >= seen; err != nil {", inBolt, "TestMetaPageIsNotTheOne"},
	{"bolt: a meta page of another transaction", "service/stores/bolt/snapshot.go", "if err == nil && m.transaction != transaction {", "if err == nil && m.transaction%2 != transaction%2 {", inBolt, "TestMetaPageIsNotTheOne"},
	{"bolt: read the meta page again", "service/stores/bolt/backup.go", "\tif _, err := checkSnapshot(ctx, file, m); err != nil {\n", "\tm, err := metaOf(file, m.pageSize, m.transaction)\n\tif err != nil {\n\t\treturn err\n\t}\n\tif _, err := checkSnapshot(ctx, file, m); err != nil {\n", inBolt, "TestMetaPageIsReadOnce|TestBackupOvertaken"},
	{"bolt: open a file unchecked", "service/stores/bolt/bolt.go", "err == nil && info.Size() > 0 {", "err == nil && info.Size() < 0 {", inBolt, "TestFlippedBitsInAFile|TestDamagedPages"},
	{"bolt: write to pages in use", "service/stores/bolt/check.go", "\t\t\tif err := use(id, 0); err != nil {", "\t\t\tif err := use(id, 0); err != nil && id < 2 {", inBolt, "TestFreelist"},
	{"bolt: a freelist in any order", "service/stores/bolt/check.go", "if id <= last || id >= s.end {", "if id >= s.end {", inBolt, "TestFreelist"},
	{"bolt: pages without a use", "service/stores/bolt/check.go", "if !used.has(id) {", "if !used.has(id) && id < 2 {", inBolt, "TestFreelist"},
	{"bolt: a full disk is the end", "service/stores/bolt/full.go", "if !grow && !write {", "if !grow && !(write && grow) {", inBolt, "TestFull"},
	{"bolt: a disk without room to grow is the end", "service/stores/bolt/full.go", "if !grow && !write {", "if !(grow && write) && !write {", inBolt, "TestFull|TestOnlyFull"},
	{"bolt: a sync that fails for want of room is a full disk", "service/stores/bolt/full.go", "path.Op == \"write\" &&", "path.Op != \"\" &&", inBolt, "TestOnlyFull"},
	{"bolt: a full disk, whatever was committed", "service/stores/bolt/full.go", "metasBefore != nil && bytes.Equal(metas, metasBefore)", "metasBefore != nil && bytes.Equal(metas, metas)", inBolt, "TestOnlyFull"},
	{"bolt: a ping that writes nothing", "service/stores/bolt/commit.go", "\t\tif w.ping {\n\t\t\tresult = nil", "\t\tif w.ping {\n\t\t\tresult = errNothing", inBolt, "TestPing"},
	{"bolt: back up a damaged store", "service/stores/bolt/backup.go", "if _, err := checkSnapshot(ctx, file, m); err != nil {", "if _, err := newSnapshot(file, m, nil); err != nil {", inBolt, "TestOldCopyOfAPage"},
	{"bolt: a backup that cannot be cancelled", "service/stores/bolt/backup.go", "\tif err := c.ctx.Err(); err != nil {\n\t\treturn 0, err\n\t}\n", "", inBolt, "TestBackupFails"},
	{"bolt: a backup with the newer meta page first", "service/stores/bolt/backup.go", "if m.transaction%2 == 1 {\n\t\tnewer", "if m.transaction%2 == 2 {\n\t\tnewer", inBolt, "TestBackupWhileCounting|TestBackupFile"},
	{"bolt: list without the first id", "service/stores/bolt/list.go", "\t\tif id > after {", "\t\tif id > after && len(ids) > 0 || seen > 2 {", inBolt, "TestContract"},
}
