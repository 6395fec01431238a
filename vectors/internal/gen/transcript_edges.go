package main

// Stories of one edge each: the order of the checks of docs/protocol.md, section 5, the
// moments at which something ends, and the form of what is sent.

// cloneLocked: a lock hides no clone (12 before 15), and no challenge for other digests
// (14 before 15).
func (p *party) cloneLocked() {
	p.begin()
	p.stolen()
	p.do("the owner refreshes", "refresh", options{}, delivered)
	for range 3 {
		p.sign("a wrong PIN of the owner's", options{change: "wrong-pin"}, delivered)
	}
	p.refused("a challenge for another digest while locked", options{change: "other-digest"})
	p.sign("the copy guesses while locked, with its old token", options{change: "followed"}, delivered.byCopy())
	p.sign("the owner, with an expired challenge", options{change: "expired"}, delivered)
	p.reported()
	p.everythingAgain()
}

// misled: the copy acts, and forges the answer to the owner's pending request, so that
// the owner's chain is wrong from then on.
func (p *party) misled() {
	p.begin()
	q := p.sign("the owner's request is kept back", options{}, requestLost)
	p.stolen()
	p.sign("the copy guesses with the owner's number", options{change: "wrong-pin"}, delivered.byCopy())
	p.again("and forges the answer to the owner", q, delivery{"owner", "forged", "wrong"})
}

func (p *party) cloneOrder() {
	p.misled()
	p.sign("another chain, and an expired challenge", options{change: "expired"}, delivered)
	p.cancel("the Cancel has another chain, and a challenge that does not matter")
	p.everythingAgain()
}

func (p *party) cloneDigest() {
	p.misled()
	p.sign("another chain, and a challenge for another digest", options{change: "other-digest"}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneRefresh() {
	p.misled()
	p.do("another chain, to refresh", "refresh", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneRange() {
	p.misled()
	p.sign("another chain, and y = 1", options{change: "y-one"}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) cloneCancelLate() {
	p.begin()
	p.stolen()
	p.sign("the owner's challenge has expired", options{change: "expired"}, delivered)
	p.do("his Cancel is lost", "cancel", options{}, requestLost)
	p.sign("the copy guesses with the owner's number", options{change: "wrong-pin"}, delivered.byCopy())
	p.cancel("the owner cancels, with the challenge that has expired")
	p.everythingAgain()
}

func (p *party) clonePending() {
	p.enrolled(delivered)
	p.stolen()
	p.do("confirmation with a wrong PIN", "confirm", options{change: "wrong-pin"}, delivered)
	p.sign("the copy signs before the confirmation, with an old chain", options{change: "number+1"}, delivered.byCopy())
	p.do("the copy confirms, with an old chain", "confirm", options{change: "number+1"}, delivered.byCopy())
	p.do("the owner confirms", "confirm", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) clonePendingNumber() {
	p.enrolled(delivered)
	p.stolen()
	p.do("confirmation with a wrong PIN", "confirm", options{change: "wrong-pin"}, delivered)
	p.do("the copy confirms, with the same number", "confirm", options{}, delivered.byCopy())
	p.do("the owner confirms", "confirm", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) destroyedRight() {
	p.begin()
	p.stolen()
	p.sign("the owner's answer is lost", options{}, answerLost)
	p.sign("the copy's token is old", options{change: "followed"}, delivered.byCopy())
	p.cancel("the owner cancels what was carried out")
	p.everythingAgain()
}

func (p *party) destroyedRefresh() {
	p.begin()
	p.stolen()
	p.do("the owner refreshes, and the answer is lost", "refresh", options{}, answerLost)
	p.sign("the copy's token is old", options{change: "followed"}, delivered.byCopy())
	p.cancel("the owner cancels what was carried out")
	p.everythingAgain()
}

func (p *party) destroyedPending() {
	p.begin()
	p.stolen()
	p.sign("the owner's request is lost", options{}, requestLost)
	p.sign("the copy skips a number", options{change: "number+1"}, delivered.byCopy())
	p.cancel("the owner cancels")
	p.everythingAgain()
}

func (p *party) endOfPending() {
	p.enrolled(delivered)
	p.now = p.rec.until
	p.do("at the end of pending, with an expired challenge", "confirm", options{change: "expired"}, delivered)
	p.now = p.rec.until
	p.cancel("and it is cancelled, with the same challenge")
	p.now = p.rec.until
	p.do("at the end of pending", "confirm", options{}, delivered)
	p.reported()
	p.everythingAgain()
}

func (p *party) beforeEnd() {
	p.enrolled(delivered)
	last := p.rec.until - 1
	p.now = last
	p.sign("a signature one millisecond before the end of pending", options{}, delivered)
	p.now = last
	p.cancel("and it is cancelled, with the same challenge")
	p.now = last
	p.do("confirmation one millisecond before the end of pending", "confirm", options{}, delivered)
	p.sign("a signature", options{}, delivered)
	p.everythingAgain()
}

func (p *party) batch() {
	p.begin()
	p.sign("the first of three documents is under a wrong PIN", options{documents: 3, change: "first-wrong"}, delivered)
	p.refused("y is wrong, and that of the last document 1", options{documents: 2, change: "wrong-and-one"})
	p.refused("y of the first document is 1, and the others are wrong", options{documents: 2, change: "one-and-wrong"})
	p.refused("each y is a byte short", options{documents: 2, change: "short-y"})
	p.refused("each salt is a byte too long", options{hash: 2, padding: "PSS", documents: 2, change: "long-salt"})
	p.sign("a challenge that is exactly a minute ahead", options{change: "minute-ahead"}, delivered)
	p.everythingAgain()
}

func (p *party) form() {
	p.begin()
	p.stranger("a challenge that is a millisecond more than a minute ahead", options{change: "future"})
	for _, s := range [][2]string{
		{"stray-hardware", "a hardware's signature, and the key has none"}, {"other-key", "a challenge for another key id"},
		{"other-ticket", "the ticket of another challenge"}, {"ticket", "a ticket that is not the server's"},
		{"inner-version", "version 1 in the plaintext"}, {"inner-operation", "another operation in the plaintext"},
		{"byte-more", "a byte after the MAC"}, {"number-zero", "the number 0"}, {"other-hash", "an unknown hash function"},
		{"no-documents", "no documents"}, {"salt-pkcs1", "a salt with PKCS #1 v1.5"},
	} {
		p.stranger(s[1], options{change: s[0]})
	}
	p.do("a refresh with a hash function", "refresh", options{change: "other-hash"}, byStranger)
	p.do("a report with a token", "report", options{change: "report-token"}, byStranger)
	for _, op := range []string{"confirm", "refresh", "change pin", "report"} {
		p.do("a challenge of another purpose, to "+op, op, options{change: "other-purpose"}, byStranger)
	}
	p.enrolledAs("an enrolment of another purpose", "other-purpose", byStranger)
	p.enrolledAs("another enrolment under this key id", "second", byStranger)
	p.enrolledAs("the same n1 under another key id", "other-id", byStranger)
	p.sign("a request is lost", options{}, requestLost)
	p.do("a challenge of another purpose, to cancel", "cancel", options{change: "other-purpose"}, byStranger)
	p.cancel("and cancelled")
	p.sign("a signature", options{}, delivered)
	p.everythingAgain()
}

func (p *party) enrolmentExpired() {
	p.enrolledAs("an enrolment with a challenge of another purpose", "other-purpose", byStranger)
	q := p.enrolledAs("an enrolment is lost", "none", requestLost)
	p.do("a refresh, and there is no record", "refresh", options{change: "unknown-key"}, byStranger)
	p.do("a report, and there is no record", "report", options{change: "unknown-key"}, byStranger)
	p.now = expires(q.challenge)
	p.again("the enrolment when its challenge expires", q, delivered)
	p.everythingAgain()
}

func (p *party) enrolmentRefused() {
	p.enrolledAs("d_s = 0", "zero-share", delivered)
	p.everythingAgain()
}

func (p *party) enrolmentInTime() {
	q := p.enrolledAs("an enrolment is lost", "none", requestLost)
	p.now = expires(q.challenge) - 1
	p.again("the enrolment a millisecond before its challenge expires", q, delivered)
	p.everythingAgain()
}

func (p *party) hardware() {
	p.enrolledAs("an enrolment with another key's signature", "other-hardware", byStranger)
	p.enrolledAs("an enrolment without the hardware's signature", "no-hardware", byStranger)
	p.enrolled(delivered)
	for _, op := range []string{"confirm", "refresh", "change pin", "report"} {
		p.do("without the hardware's signature, to "+op, op, options{change: "no-hardware"}, byStranger)
	}
	p.do("confirmation", "confirm", options{}, delivered)
	p.sign("a request is lost", options{}, requestLost)
	p.do("without the hardware's signature, to cancel", "cancel", options{change: "no-hardware"}, byStranger)
	p.cancel("and cancelled")
	p.everythingAgain()
}

func (p *party) documents64() {
	p.enrolled(delivered)
	p.do("confirmation", "confirm", options{}, delivered)
	p.sign("64 documents", options{documents: 64}, delivered)
	p.sign("the last of 64 documents is under a wrong PIN", options{documents: 64, change: "last-wrong"}, delivered)
	p.stranger("65 documents", options{documents: 65, change: "too-many"})
	p.sign("a signature", options{}, delivered)
	p.everythingAgain()
}

func (p *party) keyDocument() {
	p.begin()
	p.rotate()
	q := p.sign("a request to the old HPKE key, and the answer is lost", options{}, answerLost)
	p.again("the same bytes again: the answer has the key document", q, delivered)
	p.sign("a request to the new HPKE key", options{}, delivered)
	p.sign("a wrong PIN", options{change: "wrong-pin"}, delivered)
	p.sign("a request is lost", options{}, requestLost)
	p.cancel("and cancelled")
	p.do("refresh", "refresh", options{}, delivered)
	p.everythingAgain()
}

func (p *party) keyDocumentEnrolment() {
	p.enrolled(requestLost)
	p.rotate()
	p.again("the same bytes again, to the old HPKE key, and the answer is lost", p.sent[0], answerLost)
	p.again("the same bytes again: the answer has a challenge and the key document", p.sent[0], delivered)
	p.do("confirmation", "confirm", options{}, delivered)
	p.sign("a signature", options{}, delivered)
	p.everythingAgain()
}

// keyDocumentCancel: what follows a lost answer is still sealed to the old HPKE key.
func (p *party) keyDocumentCancel() {
	p.begin()
	p.rotate()
	p.sign("a request to the old HPKE key, and the answer is lost", options{}, answerLost)
	p.cancel("and cancelled, at the old HPKE key: the answer has the key document")
	p.sign("a request to the new HPKE key", options{}, delivered)
	p.everythingAgain()
}

// keyDocumentWrong: the key document comes with refusals, too.
func (p *party) keyDocumentWrong() {
	p.begin()
	p.rotate()
	p.sign("a wrong PIN at the old HPKE key: the answer has the key document", options{change: "wrong-pin"}, delivered)
	p.sign("a request to the new HPKE key", options{}, delivered)
	p.everythingAgain()
}

// encapsulation: ML-KEM decrypts a ciphertext with this change to what it was made of.
// Only encryption anew shows that it was changed.
func (p *party) encapsulation() {
	p.begin()
	p.stranger("the lowest bit of the encapsulated key's first byte is changed", options{change: "enc-low-bit"})
	p.sign("a signature", options{}, delivered)
	p.everythingAgain()
}
