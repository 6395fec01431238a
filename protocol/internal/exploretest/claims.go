package exploretest

import (
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// What is claimed of one step of a server's: sections 5 and 7 of docs/scheme.md. It goes
// by the records before and after, by what the request is known to be, and by a policy
// that is worked out here.

// lockAfter is the lock, in milliseconds, after so many wrong PINs in a row.
func lockAfter(p limiter.Policy, wrong int) int64 {
	for _, round := range p {
		if wrong -= round.Tries; wrong == 0 {
			if round.Lock == limiter.Forever {
				return forever
			}
			return round.Lock.Milliseconds()
		} else if wrong < 0 {
			return 0
		}
	}
	return forever
}

// tries is how many wrong PINs the policy allows in all.
func tries(p limiter.Policy) (n int) {
	for _, round := range p {
		n += round.Tries
	}
	return n
}

// lockedAt reports whether a key is locked by a clock. One that went back behind the
// beginning of the lock does not end it.
func (w *world) lockedAt(r *record, ms int64) bool {
	lock := max(r.lock, lockAfter(w.policy, r.wrong))
	if r.wrong == 0 {
		lock = r.lock
	}
	return lock > 0 && (lock == forever || ms < r.at+lock)
}

// provesPIN says that the request tries one.
func provesPIN(op protocol.Operation) bool {
	return op == protocol.OpSign || op == protocol.OpConfirm || op == protocol.OpChangePIN
}

func (w *world) checkServed(k servedKey, r response) {
	q := w.reqs.all[k.request]
	before, after := w.stores.all[k.store].records[q.id], w.stores.all[r.store].records[q.id]
	at := w.base.UnixMilli() + k.at
	if q.op == protocol.OpEnroll {
		w.checkEnrolled(k, r)
		return
	}
	if before == nil {
		return
	}
	if k.store != r.store {
		w.checkWrite(q, before, after, at, int(k.challenge))
	}
	if r.answer != 0 {
		w.checkAnswer(q, before, after, at, r)
	} else if r.clean && !q.thief && q.minted == int(k.challenge) && q.challenge.Issued <= at+minute && w.canOpen(q, k) {
		w.bad("no answer to %s, which the device made", q.name)
	}
	if r.answer != 0 && q.op == protocol.OpSign && len(w.answers.all[r.answer].Signatures) > 0 && !r.taken {
		w.bad("the device gets signatures that the service has not taken: %s", q.name)
	}
	if r.signed && (after.last != q.hash || after.fate != wire.FateRight) {
		w.bad("signatures for %s, which was not counted", q.name)
	}
}

// canOpen says that the node has the HPKE key that the request is sealed to.
func (w *world) canOpen(q *request, k servedKey) bool {
	return q.hpke == 0 && k.hpke < 3 || q.hpke == 1 && k.hpke > 0
}

// checkWrite holds a write against what may be written.
func (w *world) checkWrite(q *request, before, after *record, at int64, challenge int) {
	bad := func(what string) { w.bad("%s, on %s", what, q.name) }
	kept := after.commitment == before.commitment && after.chain == before.chain
	switch {
	case before.condition == destroyed:
		bad("the record of a destroyed key changed")
	case q.minted != challenge || q.challenge.Issued > at+minute:
		bad("a write for a challenge that is not the server's, or of the future")
	case after.number == before.number && after.condition == destroyed:
		if after.last != before.last || !kept || after.share || after.wrong != before.wrong {
			bad("the destruction of a key changed more than that")
		}
	case after.number == before.number: // the clock went back, and the lock begins anew
		if !w.lockedAt(before, at) || after.at != at || after.wrong != before.wrong || !kept || after.last != before.last || after.lock < before.lock {
			bad("a write that settles nothing")
		}
	case after.number != before.number+1 || q.number != after.number || after.last != q.subject():
		bad("a request was settled under another number or name than its own")
	case q.op != protocol.OpCancel && q.challenge.Expires <= at:
		bad("a request was settled after its challenge had expired")
	case q.chain != before.chain || q.token != before.commitment:
		bad("a request was settled that does not follow on what was settled before")
	case after.chain != wire.NextChain(before.chain, after.last, after.fate):
		bad("the chain did not move on")
	case after.fate == wire.FateCancelled:
		if q.op != protocol.OpCancel || after.commitment != before.commitment || after.wrong != before.wrong || after.at != before.at || after.lock != before.lock {
			bad("a request was cancelled that nobody cancelled, or with an effect")
		}
	case q.op == protocol.OpRefresh:
		if after.fate != wire.FateRight || after.commitment != q.target || after.wrong != before.wrong || after.at != before.at || after.lock != before.lock {
			bad("a Refresh that does anything but replace the token")
		}
	case !provesPIN(q.op):
		bad("a Cancel or a Report tried a PIN")
	case w.lockedAt(before, at):
		bad("a PIN was looked at while the key was locked")
	case before.condition == pending && (q.op != protocol.OpConfirm || at >= before.until):
		bad("a PIN was looked at for a key that is not confirmed, or too late")
	case (after.fate == wire.FateRight) != q.right:
		bad("the verdict on the PIN is wrong")
	case after.fate == wire.FateRight:
		if after.commitment != q.target || after.wrong != 0 || after.lock != 0 || after.condition != active {
			bad("a right PIN that does not clear the counter together with a new token")
		}
	default:
		lock := lockAfter(w.policy, before.wrong+1)
		if after.commitment != before.commitment || after.wrong != before.wrong+1 || after.at != at || after.lock != lock ||
			(after.condition == destroyed) != (lock == forever) || int(after.verdict.Total) != tries(w.policy)-after.wrong {
			bad("a wrong PIN was not counted as the policy says")
		}
	}
}

// fates are what codes say of a request.
var fates = map[wire.Code]wire.Fate{
	wire.CodeRight: wire.FateRight, wire.CodeWrong: wire.FateWrong, wire.CodeCancelled: wire.FateCancelled,
}

// checkAnswer: what is told is what is durably stored.
func (w *world) checkAnswer(q *request, before, after *record, at int64, r response) {
	a := w.answers.all[r.answer]
	bad := func(what string) { w.bad("%s, to %s", what, q.name) }
	settled := after.number == q.number && after.last == q.subject()
	switch a.Code {
	case wire.CodeRight, wire.CodeWrong, wire.CodeCancelled:
		if !settled || after.fate != fates[a.Code] {
			bad("a verdict was told that is not stored")
		}
		if a.Code == wire.CodeWrong && a.Verdict != after.verdict {
			bad("a retry heard another verdict")
		}
		if n := len(a.Signatures); n > 0 && q.op == protocol.OpCancel || a.Code == wire.CodeRight && provesPIN(q.op) && n != q.documents {
			bad("too many signatures, or too few")
		}
		if a.Code == wire.CodeRight && len(a.Signatures) > 0 && (after.condition == destroyed || at >= q.challenge.Expires+24*60*minute) {
			bad("signatures of a destroyed key, or a day too late")
		}
	case wire.CodeLocked:
		if !w.lockedAt(before, at) || q.op == protocol.OpCancel || q.op == protocol.OpRefresh {
			bad("locked, and it is not")
		}
	case wire.CodeExpired:
		if q.challenge.Expires > at || q.op == protocol.OpCancel {
			bad("expired, and it is not")
		}
	case wire.CodeDestroyed:
		if after.condition != destroyed {
			bad("destroyed, and it is not")
		}
	case wire.CodeSuperseded:
		if q.number > before.number || settled {
			bad("superseded, and it is not")
		}
		if q.number == before.number && (q.op == protocol.OpCancel || q.challenge.Expires > at) && before.condition != destroyed {
			bad("another request of the last number, which only a copy can have made, has no effect")
		}
	case wire.CodeLater:
		if r.clean {
			bad("later, and nothing failed")
		}
	}
}

// arrived notes in the moment what a request has done at a node.
func (w *world) arrived(m, to *moment, req int32, r response) {
	to.store = r.store
	to.answered(w, r.answer)
	before, after := w.record(m), w.record(to)
	if before == nil || after == nil || after.number == before.number {
		return
	}
	switch {
	case after.fate == wire.FateWrong:
		to.wrongs++
	case after.fate == wire.FateRight && w.reqs.all[req].op != protocol.OpRefresh:
		to.wrongs = 0
	}
}

// check is for each moment.
func (w *world) check(m *moment) {
	p, rec := w.devs.all[m.dev], w.record(m)
	phase := device.Phase(p.Phase)
	if phase == device.Enrolling {
		w.checkEnrolling(m)
		return
	}
	if rec == nil {
		return
	}
	if int(m.wrongs) > tries(w.policy) {
		w.bad("more wrong PINs were answered than the policy allows")
	}
	if rec.condition != destroyed && rec.wrong != int(m.wrongs) {
		w.bad("the counter shows %d wrong PINs, and %d were answered", rec.wrong, m.wrongs)
	}
	if phase == device.Dead && rec.condition != destroyed {
		w.bad("the device takes its key for dead, and the key lives")
	}
	if m.copies > 0 {
		w.checkHeist(m)
		return
	}
	if rec.condition == destroyed && protocol.Reason(rec.reason) == protocol.ReasonClone {
		w.bad("an owner without a copy is called a clone")
	}
	if phase == device.Superseded && rec.condition != destroyed {
		w.bad("the device takes its key for superseded, and the key lives")
	}
	if phase != device.Ready && phase != device.Unconfirmed || rec.condition == destroyed && rec.number == 0 {
		return
	}
	w.checkInStep(p, rec)
	w.checkPromise(m, p, rec)
	w.checkCalm(m)
}

// checkInStep is claim A of docs/protocol.md, section 8: both walk through one list.
func (w *world) checkInStep(p *phone, rec *record) {
	k := p.Key
	switch {
	case k.Number == rec.number:
		if rec.condition != destroyed && (k.Chain != rec.chain || p.token != rec.commitment) {
			w.bad("the device knows all fates, and its chain or token is not the record's")
		}
	case k.Number+1 != rec.number || p.Pending == nil || p.Pending.Hash() != rec.last:
		w.bad("the device is at number %d, and the record at %d, of another request", k.Number, rec.number)
	default:
		token := p.token
		if rec.fate == wire.FateRight {
			token = p.next
		}
		if wire.NextChain(k.Chain, rec.last, rec.fate) != rec.chain || token != rec.commitment {
			w.bad("the device could not follow the record with what it has stored")
		}
	}
}

// checkPromise: a signature that was counted can be had, at each node, as long as it is
// promised.
func (w *world) checkPromise(m *moment, p *phone, rec *record) {
	q := w.pendingOf(m)
	if q == nil || m.call != 0 || rec.condition == destroyed {
		return
	}
	if f, _ := fateOf(rec, q); f != wire.FateRight {
		return
	}
	for i := range w.scope.Nodes {
		n := w.node(int(m.stage), i)
		k := servedKey{challenge: int8(n.challenge), hpke: int8(n.hpke)}
		at := w.base.UnixMilli() + m.now + n.ahead
		if q.minted != n.challenge || !w.canOpen(q, k) || at >= q.challenge.Expires+24*60*minute || q.challenge.Issued > at+minute {
			continue
		}
		r := w.clean(m.store, m.awaited(w), m.now, n)
		if r.answer == 0 || w.answers.all[r.answer].Code != wire.CodeRight {
			w.bad("%s was found right, and its signatures cannot be had again at node %s", q.name, n.name)
			continue
		}
		if o := w.hear(m, r.answer)[0]; o.err != nil && verdict(o.err) != "PIN unchanged" {
			w.bad("%s was found right, and the device does not take the answer: %v", q.name, o.err)
		}
	}
}
