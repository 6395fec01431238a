package main

var protocolMutants = []mutant{
	{"crash on a sealer that is a nil in an interface", "protocol/config.go", "case isnil.Value(c.Sealer):", "case c.Sealer == nil:", inProtocol, "TestNothing"},
	// The protocol.
	{"the last bytes of the digest as the code", "protocol/verification.go", "binary.BigEndian.Uint16(sum[sha256.Size-2:])", "binary.BigEndian.Uint16(append(sum[:0:0], digest...)[len(digest)-2:])", inProtocol, "TestVectorsVerificationCode"},
	{"the first bytes of the hash as the code", "protocol/verification.go", "sum[sha256.Size-2:]", "sum[:2]", inProtocol, "TestVectorsVerificationCode"},
	{"a code without leading zeros", "protocol/verification.go", `fmt.Sprintf("%04d", n)`, `fmt.Sprintf("%d", n)`, inProtocol, "TestVectorsVerificationCode"},
	{"skip the request's MAC", "protocol/request.go", "return hmac.Equal(a.mac[:], deviceMAC(key, id, a.body))", "return len(a.mac) == len(deviceMAC(key, id, a.body))", inProtocol, "TestStranger"},
	{"forget clones", "protocol/serverattempt.go", "if !t.holdsToken(rec.current) {", "if len(t.tokens) == 0 {", inProtocol, "TestClone$|TestCloneByRefresh"},
	{"take an expired challenge", "protocol/serverattempt.go", "case t.challenge.expires <= at:", "case t.challenge.expires < 0:", inProtocol, "TestRetry|TestChallengeIsChecked|TestReplay"},
	{"take a challenge for another digest", "protocol/challenge.go", "return hmac.Equal(c.raw[challengeBody:], k.mac(c.raw[:challengeBody], binding))", "return hmac.Equal(c.raw[challengeBody:], k.mac(c.raw[:challengeBody], binding)) || len(binding) > 0", inProtocol, "TestChallengeIsChecked"},
	{"count a retry again", "protocol/serverattempt.go", "if before := rec.ring.find(t.request); before != nil {", "if before := rec.ring.find(t.request); before != nil && before.fate == fateGivenUp {", inProtocol, "TestRetry|TestSameSignatureTwice"},
	{"give tries back without a new token", "protocol/serverattempt.go", "if t.holdsToken(t.next) {", "if len(t.tokens) == 0 {", inProtocol, "TestThiefDropsAnswers"},
	{"forget what a challenge alone calls dead", "protocol/deviceexchange.go", "if must || mayLive(g.expires, now) {", "if must {", inProtocol, "TestForgedChallengesForgetNothing"},
	{"forget a settled request as soon as its challenge is over", "protocol/ring.go", "if s.expires > now-clockSkew.Milliseconds() {", "if s.expires > now {", inProtocol, "TestRingOutlastsChallenge"},
	{"move the record's time back", "protocol/serverattempt.go", "return max(t.now, rec.latest), nil", "return t.now, nil", inProtocol, "TestLockDoesNotRestart"},
	{"learn of a confirmation only from its own answer", "protocol/deviceexchange.go", "if a.code == codeRight { //", "if a.code == codeRight && p.op == OpConfirm { //", inProtocol, "TestConfirmedUnheard"},
	{"accept an enrolment that was refused", "protocol/serverenroll.go", "s.expire(ctx, *owner, e.challenge.issued)", "s.expire(ctx, *owner, now)", inProtocol, "TestRefusedEnrolmentStaysRefused"},
	{"say nothing where the store says nothing", "protocol/serverattempt.go", "s.auditUnknown(ctx, e.keyID, t.events...)", "_ = t.events", inProtocol, "TestAuditUnknown"},
	{"make an old signature anew for ever", "protocol/serverattempt.go", "case t.op != OpRefresh && t.now >= before.expires+answerLife.Milliseconds():", "case t.now < 0:", inProtocol, "TestAnswerIsNotMadeForever"},
	{"keep the old token", "protocol/serverattempt.go", "entry.fate = fateRight\n\t\trec.current = t.next", "entry.fate = fateRight", inProtocol, "TestClone$"},

	// What a device keeps.
	{"save without syncing the value", "internal/durable/durable.go", "if err == nil {\n\t\terr = d.step(Sync, name, file, file.Sync)\n\t}", "", inProtocol, "TestSaveIsDurable"},
	{"save without syncing the folder", "internal/durable/durable.go", "\treturn d.SyncFolder(filepath.Dir(name))\n}\n\n// RemoveLeftover", "\treturn nil\n}\n\n// RemoveLeftover", inProtocol, "TestSaveIsDurable"},
	{"a sync of a file that does nothing", "internal/durable/durable.go", "file, file.Sync)", "file, func() error { return nil })", inDurable, "TestSyncIsReal"},
	{"a sync of a folder that does nothing", "internal/durable/disk_unix.go", "folder.Sync()", "error(nil)", inDurable, "TestSyncFolderSyncs"},
	{"write over a draft that is there", "internal/durable/durable.go", "os.O_WRONLY|os.O_CREATE|os.O_EXCL", "os.O_WRONLY|os.O_CREATE|os.O_TRUNC", inDurable, "TestDraftIsNew"},
	{"leave the draft of a save that failed", "internal/durable/durable.go", "return errors.Join(err, d.RemoveLeftover(name))", "return err", inProtocol, "TestFailedSaveLeavesNothing"},
	{"leave a second lockbox after a crash", "protocol/filestate.go", "f.disk.RemoveLeftover(f.name())", "error(nil)", inProtocol, "TestChangePINKilled"},
	{"give a lock back by closing alone", "internal/durable/disk_unix.go", "errors.Join(flock(file, syscall.LOCK_UN), file.Close())", "file.Close()", inDurable, "TestUnlockBeforeClose"},
	{"make a folder without syncing the one above", "internal/durable/durable.go", "\tif err != nil {\n\t\treturn err\n\t}\n\treturn d.SyncFolder(above)", "\treturn err", inDurable, "TestMakeFolder"},
	{"create over what somebody else made meanwhile", "internal/durable/durable.go", "if err == nil || errors.Is(err, fs.ErrExist) {", "if err == nil {", inDurable, "TestCreateLosesRace"},
}
