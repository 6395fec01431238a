package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
)

// The two parties as docs/protocol.md has them: what the server checks and stores
// (sections 4 and 5), and what a device makes of an answer (section 7).

// record is what the server has.
type record struct {
	condition  string // empty before the enrolment
	reason     byte
	until      int64 // of a pending key
	counter    state
	enrollment []byte
	current    []byte
	chain      []byte
	last       settled
	events     int
}

// settled is the request that was settled last.
type settled struct {
	number  uint64
	request []byte
	fate    byte
	verdict []byte
}

func (s settled) enc() []byte {
	if s.number == 0 {
		return make([]byte, 51)
	}
	return cat(u64(int64(s.number)), s.request, []byte{s.fate}, s.verdict)
}

const (
	fateRight, fateWrong, fateCancelled       = 1, 2, 3
	reasonPIN, reasonClone, reasonUnconfirmed = 1, 2, 4
)

func (r *record) destroy(reason byte) (byte, []byte) {
	r.condition, r.reason, r.counter.lock = "destroyed", reason, forever
	r.events++
	return 6, []byte{reason}
}

// settle is step 17.
func (r *record) settle(q *request, fate byte, verdict []byte) {
	if verdict == nil {
		verdict = make([]byte, 10)
	}
	r.last = settled{q.number, q.subject(), fate, verdict}
	r.chain = hash([]byte("tandem v2 chain"), r.chain, q.subject(), []byte{fate})
	if fate == fateRight {
		r.current = q.target
	}
	r.events++
}

// judge returns the server's answer: a code and a body, or 0.
func (p *party) judge(q *request) (byte, []byte) {
	rec := &p.rec
	switch {
	case q.ignored, issued(q.challenge) > p.now+60*second:
		return 0, nil
	case q.op == "enroll":
		return p.judgeEnrollment(q)
	}
	subject, dead := q.subject(), rec.condition == "destroyed"
	live := q.op == "cancel" || expires(q.challenge) > p.now
	switch {
	case q.op == "report" && !dead: // 7
		return rec.destroy(reasonClone)
	case q.op == "report":
		return 6, []byte{rec.reason}
	case q.number == rec.last.number && bytes.Equal(subject, rec.last.request): // 8
		return p.judgeAgain(q)
	case q.number == rec.last.number && live && !dead: // 9
		return rec.destroy(reasonClone)
	case q.number <= rec.last.number: // 10
		return 12, nil
	case dead: // 11
		return 6, []byte{rec.reason}
	case !live:
		return 7, nil
	case rec.condition == "pending" && q.op != "cancel" && p.now >= rec.until:
		return rec.destroy(reasonUnconfirmed)
	case rec.condition == "pending" && q.op != "cancel" && q.op != "confirm":
		return 9, nil
	// 12
	case q.number != rec.last.number+1 || !bytes.Equal(q.chain, rec.chain) || !bytes.Equal(hash(q.token), rec.current):
		return rec.destroy(reasonClone)
	case q.op == "cancel": // 13
		rec.settle(q, fateCancelled, nil)
		return 8, nil
	case q.op == "refresh":
		rec.settle(q, fateRight, nil)
		return 3, make([]byte, 3)
	case q.op == "sign" && !bytes.Equal(q.challenge[82:114], q.binding): // 14
		return 10, nil
	}
	return p.judgePIN(q)
}

// judgePIN has the checks from 15 on.
func (p *party) judgePIN(q *request) (byte, []byte) {
	rec := &p.rec
	outcome := p.outcome(q)
	next, t := defaultPolicy.step(rec.counter, map[bool]string{true: "right", false: "wrong"}[outcome == "right"], p.now)
	if outcome == "malformed" && t["verdict"] != "locked" {
		return 10, nil
	}
	rec.counter = next
	until, _ := t["lockedUntil"].(int64)
	switch t["verdict"] {
	case "locked":
		return 5, u64(until)
	case "wrong":
		verdict := cat([]byte{byte(t["remaining"].(int)), byte(t["remainingTotal"].(int))}, u64(until))
		rec.settle(q, fateWrong, verdict)
		if next.lock == forever {
			rec.condition, rec.reason = "destroyed", reasonPIN
		}
		return 4, verdict
	}
	rec.settle(q, fateRight, nil)
	rec.condition = "active"
	return 3, p.signatures(q)
}

// outcome checks all partial signatures: s1^e = m1.
func (p *party) outcome(q *request) string {
	outcome, k := "right", p.pair.key
	if q.unfit {
		return "malformed"
	}
	for i, m := range q.messages {
		y := q.partials[i]
		if y.Cmp(one) <= 0 || y.Cmp(new(big.Int).Sub(k.n, one)) >= 0 {
			return "malformed"
		}
		m1 := new(big.Int).Mod(m.int(), k.n)
		if new(big.Int).Exp(p.d.s1(y, m.int()), k.e, k.n).Cmp(m1) != 0 {
			outcome = "wrong"
		}
	}
	return outcome
}

// signatures is the body of code 3.
func (p *party) signatures(q *request) []byte {
	n := p.pair.n()
	size := (n.BitLen() + 7) / 8
	body := binary.BigEndian.AppendUint16([]byte{byte(len(q.messages))}, uint16(size))
	for _, m := range q.messages {
		sig := i2osp(p.pair.whole(m.int()), size)
		p.pair.verify(m, sig)
		body = append(body, sig...)
	}
	return body
}

// judgeAgain is step 8: it answers with the fate again.
func (p *party) judgeAgain(q *request) (byte, []byte) {
	rec := &p.rec
	switch {
	case rec.last.fate == fateWrong:
		return 4, rec.last.verdict
	case rec.last.fate == fateCancelled:
		return 8, nil
	case q.op == "refresh":
		return 3, make([]byte, 3)
	case rec.condition == "destroyed":
		return 6, []byte{rec.reason}
	case q.op == "cancel":
		return 3, make([]byte, 3)
	case p.now >= expires(q.challenge)+24*hour:
		return 7, nil
	}
	return 3, p.signatures(q)
}

func (p *party) judgeEnrollment(q *request) (byte, []byte) {
	rec := &p.rec
	switch {
	case expires(q.challenge) <= p.now && (q.otherID || rec.condition == ""): // 5
		return 7, nil
	case q.otherID: // 7
		return 2, []byte{2}
	case q.unfit: // 6
		return 2, []byte{1}
	case rec.condition == "":
		*rec = record{condition: "pending", until: p.now + pendingLife, enrollment: hash(q.bytes), chain: hash(q.bytes), current: q.target, events: 1}
	case !bytes.Equal(hash(q.bytes), rec.enrollment):
		return 0, nil
	case rec.condition == "destroyed":
		return 6, []byte{rec.reason}
	case rec.condition == "pending" && p.now >= rec.until:
		return 6, []byte{reasonUnconfirmed}
	}
	e := binary.BigEndian.AppendUint32(nil, uint32(p.pair.key.e.Int64()))
	return 1, cat(u16(p.pair.n().Bytes()), e, u64(rec.until))
}

// hasChallenge reports whether an answer has a challenge for the device's next step.
func hasChallenge(code byte, body []byte) bool {
	return code == 1 || code == 6 || code == 12 || code == 4 && body[1] == 0
}

// phone is what a device has.
type phone struct {
	phase     string
	number    uint64
	token     []byte
	chain     []byte
	pending   *request
	marked    bool   // to be cancelled
	refused   bool   // the pending request was answered with 5, 7, 9 or 10
	challenge []byte // that came with the answer which made it superseded
}

// hear handles the answer to a request of this device.
func (ph *phone) hear(q *request, code byte, body, challenge []byte) {
	end := func(dead bool) {
		if *ph = (phone{phase: "superseded", challenge: challenge}); dead {
			*ph = phone{phase: "dead"}
		}
	}
	fate := byte(0)
	switch {
	case q.op == "report":
		if code == 6 {
			ph.phase = "dead"
		}
		return
	case q.op == "enroll":
		switch code {
		case 1:
			ph.phase, ph.pending = "unconfirmed", nil
		case 2, 7:
			*ph = phone{phase: "no key"}
		}
		return
	case code == 3:
		fate, ph.token, ph.phase = fateRight, ph.pending.next, "ready"
	case code == 8 && ph.marked:
		fate = fateCancelled
	case code == 4 && body[1] > 0:
		fate = fateWrong
	case code == 4, code == 6:
		end(q.op == "cancel")
		return
	case code == 8, code == 12:
		end(false)
		return
	default:
		ph.refused = ph.refused || code == 5 || code == 7 || code == 9 || code == 10
		return
	}
	ph.number, ph.chain = ph.number+1, hash([]byte("tandem v2 chain"), ph.chain, hash(ph.pending.bytes), []byte{fate})
	ph.pending, ph.marked, ph.refused = nil, false, false
}

func (ph *phone) object() T {
	t := T{"phase": ph.phase}
	if ph.phase == "superseded" || ph.phase == "dead" || ph.phase == "no key" {
		return t
	}
	t["number"], t["token"], t["chain"] = ph.number, hex.EncodeToString(ph.token), hex.EncodeToString(ph.chain)
	if ph.pending != nil {
		t["pending"] = ph.pending.id
	}
	if ph.marked {
		t["toBeCancelled"] = true
	}
	return t
}
