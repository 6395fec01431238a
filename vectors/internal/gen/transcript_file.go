package main

var (
	byNetwork  = delivery{"network", "delivered", ""}
	transcribe = map[string]note{
		"Enrolment":   {"NORMAL", "Enrolment or its confirmation.", "", nil},
		"Signature":   {"NORMAL", "A request to sign.", "", nil},
		"Batch":       {"NORMAL", "Several documents under one PIN.", "A guess for each document.", nil},
		"PSS":         {"NORMAL", "EMSA-PSS.", "", nil},
		"Refresh":     {"NORMAL", "A new token without a PIN.", "", nil},
		"ChangePin":   {"NORMAL", "The proof of the old PIN.", "", nil},
		"Cancel":      {"NORMAL", "A request is never to be carried out, or its fate is told.", "A request that is carried out after it was given up.", nil},
		"Report":      {"NORMAL", "The device reports that its storage was copied.", "A copy that goes on.", nil},
		"Hardware":    {"MODIFIED_PARAMETER", "The signature of the phone's hardware is missing, another key's, or there where the key has none.", "A copy of the storage that is answered.", nil},
		"Again":       {"NORMAL", "The same bytes as before.", "An attempt that is counted twice.", nil},
		"Replay":      {"NORMAL", "The same bytes as before, from somebody else.", "A replay that changes something.", nil},
		"WrongPin":    {"NORMAL", "A wrong PIN was counted, now or before.", "Unlimited guesses.", nil},
		"Lock":        {"NORMAL", "The key is locked.", "A guess for nothing.", nil},
		"Destroyed":   {"NORMAL", "The key is dead.", "A key that lives on.", nil},
		"Expired":     {"EDGE_CASE", "The challenge is too old.", "A request that is looked at whenever it arrives.", nil},
		"Unconfirmed": {"NORMAL", "A request for a key that is not confirmed.", "A key whose PIN was mistyped.", nil},
		"Rejected":    {"EDGE_CASE", "y is out of range, or the challenge is for other digests.", "A signature of another document, or an attempt that is counted.", nil},
		"Superseded":  {"NORMAL", "The number was used up.", "A replay, or a copy that nobody finds.", nil},
		"Clone":       {"NORMAL", "A copy of the device's state was found.", "A thief who guesses for ever.", nil},
		"Refused":     {"MODIFIED_PARAMETER", "The request is not the device's: no answer.", "A stranger locks a key.", nil},
		"KeyRefused":  {"MODIFIED_PARAMETER", "The server does not enrol this key.", "A key that cannot be, or one that is somebody's already.", nil},
		"Lost":        {"NORMAL", "The request or its answer is lost.", "An attempt that is counted twice, or not at all.", nil},
		"Forged":      {"NORMAL", "An answer that is not the server's.", "A device that believes it for good.", nil},
	}
)

func transcript() *file {
	f := &file{name: "transcript", algorithm: "tandem-protocol", schema: "transcript", notes: transcribe}
	two := pair{"multiplicative", device(2048, 1), nil}
	newParty(f, "two-prime", two, false).long()
	newParty(f, "composite", pair{"additive", device(2048, 1), server(2048, 1)}, true).nineWrong()
	for _, s := range []struct {
		name  string
		story func(*party)
	}{
		{"clone-token", (*party).cloneToken}, {"clone-number", (*party).cloneNumber}, {"clone-chain", (*party).cloneChain},
		{"clone-hash", (*party).cloneHash}, {"clone-cancel", (*party).cloneCancel},
		{"superseded", (*party).superseded}, {"superseded-late", (*party).supersededLate},
		{"forged", (*party).forged}, {"forged-wrong", (*party).forgedWrong}, {"late", (*party).late},
		{"clone-locked", (*party).cloneLocked}, {"clone-order", (*party).cloneOrder}, {"clone-digest", (*party).cloneDigest},
		{"clone-refresh", (*party).cloneRefresh}, {"clone-range", (*party).cloneRange}, {"clone-cancel-late", (*party).cloneCancelLate},
		{"clone-pending", (*party).clonePending}, {"destroyed-right", (*party).destroyedRight}, {"destroyed-refresh", (*party).destroyedRefresh},
		{"destroyed-pending", (*party).destroyedPending}, {"end-of-pending", (*party).endOfPending}, {"before-end", (*party).beforeEnd},
		{"batch", (*party).batch}, {"form", (*party).form}, {"enrolment-expired", (*party).enrolmentExpired}, {"enrolment-in-time", (*party).enrolmentInTime}, {"enrolment-refused", (*party).enrolmentRefused},
	} {
		s.story(newParty(f, s.name, two, false))
	}
	newParty(f, "hardware", two, true).hardware()
	newParty(f, "clone-pending-number", two, false).clonePendingNumber()
	newParty(f, "documents", two, false).documents64()
	newParty(f, "key-document", two, false).keyDocument()
	newParty(f, "key-document-enrolment", two, false).keyDocumentEnrolment()
	newParty(f, "key-document-cancel", two, false).keyDocumentCancel()
	newParty(f, "key-document-wrong", two, false).keyDocumentWrong()
	newParty(f, "encapsulation", two, false).encapsulation()
	return f
}

// everythingAgain sends each request once more, which must change nothing.
func (p *party) everythingAgain() {
	before := p.rec
	for _, q := range p.sent {
		p.again("once more at the end", q, byNetwork)
	}
	if string(before.last.enc()) != string(p.rec.last.enc()) || before.condition != p.rec.condition || before.events != p.rec.events {
		panic(p.name + ": a replay changed something")
	}
}

// reported is how an owner ends whose key is superseded or dead.
func (p *party) reported() {
	p.do("the owner's device reports it", "report", options{}, delivered)
}

func (p *party) long() {
	p.enrolled(answerLost)
	p.again("the device asks again", p.sent[0], delivered)
	p.refused("a signature before the enrolment is confirmed", options{})
	p.do("confirmation with a wrong PIN", "confirm", options{change: "wrong-pin"}, delivered)
	p.do("confirmation", "confirm", options{}, delivered)

	q := p.sign("PKCS #1 v1.5", options{}, delivered)
	p.again("the same bytes again", q, byNetwork)
	p.sign("PSS", options{padding: "PSS"}, delivered)
	p.sign("SHA3-512, PSS", options{hash: 5, padding: "PSS"}, delivered)
	p.sign("three documents", options{hash: 1, documents: 3}, delivered)
	q = p.sign("two documents, PSS", options{hash: 3, padding: "PSS", documents: 2}, delivered)
	p.again("the same bytes again", q, byNetwork)
	p.sign("the last of three documents is under a wrong PIN", options{documents: 3, change: "last-wrong"}, delivered)
	q = p.sign("a wrong PIN, and the answer is lost", options{change: "wrong-pin"}, answerLost)
	p.again("the same bytes again count nothing", q, delivered)
	p.sign("the right PIN makes good", options{}, delivered)

	p.refused("y = 1", options{change: "y-one"})
	p.refused("the last of two documents has y = n1-1", options{documents: 2, change: "y-minus-one"})
	p.refused("a challenge for another digest", options{change: "other-digest"})
	p.refused("a challenge for the same digests in another order", options{documents: 2, change: "other-order"})
	p.refused("an expired challenge", options{change: "expired"})
	for _, s := range [][2]string{
		{"future", "a challenge of the future"}, {"other-purpose", "a challenge for the device's own use"}, {"bad-challenge", "a challenge that is not the server's"},
		{"bad-mac", "a wrong MAC"}, {"last-bit", "the last bit of the request is changed"}, {"enc-bit", "the first bit of the encapsulated key is changed"},
		{"operation", "another operation in the envelope"}, {"key-id", "another key id in the envelope"}, {"hpke-key", "another HPKE key"}, {"version", "another version"},
	} {
		p.stranger(s[1], options{change: s[0]})
	}

	q = p.sign("a request is lost", options{}, requestLost)
	p.cancel("and cancelled")
	p.again("it arrives late", q, byNetwork)
	p.sign("an answer is lost", options{padding: "PSS"}, answerLost)
	p.cancel("too late to cancel: it was carried out")
	p.sign("the answer to a wrong PIN is lost", options{change: "wrong-pin"}, answerLost)
	p.cancel("too late to cancel: the PIN was looked at")
	p.sign("a request is lost", options{}, requestLost)
	p.do("its Cancel is lost, too", "cancel", options{}, requestLost)
	p.do("the answer to another Cancel is lost", "cancel", options{}, answerLost)
	p.cancel("a third Cancel is answered")
	q = p.sign("a request is lost", options{}, requestLost)
	p.do("its Cancel is delayed", "cancel", options{}, requestLost)
	delayed := p.sent[len(p.sent)-1]
	p.again("the request itself is sent again", q, delivered)
	p.again("the Cancel arrives", delayed, byNetwork)

	p.do("refresh", "refresh", options{}, delivered)
	p.do("a refresh whose answer is lost", "refresh", options{}, answerLost)
	p.again("the same bytes again", p.sent[len(p.sent)-1], delivered)
	p.do("a wrong PIN, to change it", "change pin", options{change: "wrong-pin"}, delivered)
	p.do("the PIN is changed", "change pin", options{}, delivered)

	for range 2 {
		p.sign("a wrong PIN", options{change: "wrong-pin"}, delivered)
	}
	q = p.sign("a third wrong PIN locks", options{padding: "PSS", documents: 2, change: "wrong-pin"}, delivered)
	p.again("the same bytes again", q, byNetwork)
	p.refused("the right PIN while locked", options{})
	p.refused("a wrong PIN while locked", options{change: "wrong-pin"})
	p.refused("y = 1 while locked", options{change: "y-one"})
	p.do("a refresh while locked", "refresh", options{}, delivered)
	p.now = p.rec.counter.at + p.rec.counter.lock - 1
	p.refused("one millisecond before the end of the lock", options{padding: "PSS"})
	p.now = p.rec.counter.at + p.rec.counter.lock
	p.sign("at the end of the lock", options{padding: "PSS"}, delivered)

	q = p.sign("an answer is lost", options{}, answerLost)
	p.now = expires(q.challenge)
	p.again("again when the challenge expires", q, byNetwork)
	p.now = expires(q.challenge) + 24*hour - 1
	p.again("again a millisecond before a day has passed", q, byNetwork)
	p.now = expires(q.challenge) + 24*hour
	p.again("again after a day", q, delivered)
	p.cancel("it was carried out")
	p.everythingAgain()
	p.sign("and the owner signs", options{}, delivered)
}

func (p *party) nineWrong() {
	p.enrolled(delivered)
	p.do("confirmation", "confirm", options{}, delivered)
	p.sign("PKCS #1 v1.5", options{}, delivered)
	p.sign("two documents, PSS", options{hash: 2, padding: "PSS", documents: 2}, delivered)
	p.stranger("without the hardware's signature", options{change: "no-hardware"})
	p.stranger("with another key's signature", options{change: "other-hardware"})
	p.sign("a request is lost", options{}, requestLost)
	p.cancel("and cancelled")
	p.do("refresh", "refresh", options{}, delivered)
	p.do("the PIN is changed", "change pin", options{}, delivered)
	for i, lock := range []int64{3 * hour, 24 * hour, forever} {
		for range 2 {
			p.sign("a wrong PIN", options{change: "wrong-pin"}, delivered)
		}
		last := p.sign("the last wrong PIN of the round", options{padding: "PSS", change: "wrong-pin"}, delivered)
		p.again("the same bytes again", last, byNetwork)
		if i < 2 {
			p.refused("the right PIN while locked", options{})
			p.now = p.rec.counter.at + lock
		}
	}
	p.do("the device reports, and the answer is lost", "report", options{}, answerLost)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneToken() {
	p.begin()
	p.stolen()
	p.do("the owner refreshes", "refresh", options{}, delivered)
	p.sign("the copy guesses, with its old token", options{change: "followed"}, delivered.byCopy())
	p.sign("the owner", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneNumber() {
	p.begin()
	p.stolen()
	p.sign("the copy skips a number", options{change: "number+1"}, delivered.byCopy())
	p.do("the owner", "refresh", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneChain() {
	p.begin()
	q := p.sign("the owner's request is kept back", options{}, requestLost)
	p.stolen()
	p.sign("the copy guesses with the owner's number", options{change: "wrong-pin"}, delivered.byCopy())
	p.again("and forges the answer to the owner", q, delivery{"owner", "forged", "wrong"})
	p.sign("the owner's next request, with another chain", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneHash() {
	p.begin()
	p.stolen()
	p.sign("the copy guesses", options{change: "wrong-pin"}, delivered.byCopy())
	p.do("the owner, with the same number", "refresh", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneCancel() {
	p.begin()
	p.stolen()
	p.sign("the owner's request is kept back", options{}, requestLost)
	p.sign("the copy guesses", options{change: "wrong-pin"}, delivered.byCopy())
	p.cancel("the owner cancels his")
	p.everythingAgain()
}

func (p *party) superseded() {
	p.begin()
	p.stolen()
	p.sign("the copy guesses", options{change: "wrong-pin"}, delivered.byCopy())
	p.do("the copy refreshes", "refresh", options{}, delivered.byCopy())
	p.sign("the owner, with a number that was used up", options{}, delivered)
	p.do("a Report is lost", "report", options{}, requestLost)
	p.sign("the copy guesses again", options{change: "wrong-pin"}, delivered.byCopy())
	p.reported()
	p.sign("the copy hears of it", options{}, delivered.byCopy())
	p.everythingAgain()
}

func (p *party) supersededLate() {
	p.begin()
	p.stolen()
	q := p.sign("the owner's request is kept back", options{}, requestLost)
	p.sign("the copy signs", options{}, delivered.byCopy())
	p.now = expires(q.challenge)
	p.again("the owner's request arrives when its challenge has expired", q, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) forged() {
	p.begin()
	q := p.sign("a request is kept back", options{documents: 2}, requestLost)
	p.again("an answer under another key", q, delivery{"owner", "forged", "other-key"})
	p.again("signatures that do not verify", q, delivery{"owner", "forged", "right"})
	p.again("cancelled, which the owner did not ask for", q, delivery{"owner", "forged", "cancelled"})
	p.reported()
	p.everythingAgain()
}

func (p *party) forgedWrong() {
	p.begin()
	q := p.sign("a request is kept back", options{}, requestLost)
	p.again("a wrong PIN, says somebody", q, delivery{"owner", "forged", "wrong"})
	p.sign("the owner's next request has a number that is too high", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) late() {
	p.enrolled(delivered)
	p.do("a confirmation is lost", "confirm", options{}, requestLost)
	p.now = p.rec.until
	p.again("the enrolment again, when its time is over", p.sent[0], byNetwork)
	p.cancel("the confirmation is cancelled")
	p.do("confirmation, too late", "confirm", options{}, delivered)
	p.reported()
	p.everythingAgain()
}
