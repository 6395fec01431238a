package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// The stories of transcript.json: which requests are made, and what becomes of them on
// the way.

// party is one key: its server, its owner and perhaps a copy of the owner's state.
type party struct {
	f              *file
	g              *group
	name           string
	pair           pair
	d              dealt
	recipient      recipient
	next           recipient // the HPKE key that document names
	document       []byte    // nil until the server has one
	taken          bool      // the owner has taken it
	challengeKey   []byte
	kdev           []byte
	token          []byte // the first one
	id             []byte
	hardwareKey    []byte // nil without one
	hardwarePublic []byte
	attestation    []byte
	now            int64
	rec            record
	owner, copy    *phone
	sent           []*request // all that were made, in order
}

func (p *party) label(field string) string { return "transcript/" + p.name + "/" + field }

func newParty(f *file, name string, pr pair, hardware bool) *party {
	p := &party{f: f, name: name, pair: pr, now: 1767225600000}
	p.recipient = newRecipient(stream(p.label("hpkePrivate"), 32))
	p.challengeKey, p.kdev, p.id = stream(p.label("challengeKey"), 32), stream(p.label("deviceKey"), 32), stream(p.label("keyId"), 16)
	p.d = deal(pr.sharing, pr.key, stream(p.label("x"), pr.key.k()+8))
	p.token = stream(p.label("token"), 32)
	p.owner = &phone{phase: "enrolling", token: p.token}
	t := pr.fields()
	t["name"] = name
	if hardware {
		p.hardwareKey, p.attestation = stream(p.label("hardwareKey"), 32), stream(p.label("attestation"), 300)
		p.hardwarePublic = point(scalar(p.hardwareKey))
		t["hardwareKey"], t["hardwarePublic"], t["attestation"] = hex.EncodeToString(p.hardwareKey), hex.EncodeToString(p.hardwarePublic), hex.EncodeToString(p.attestation)
	}
	t["x"], t["ds"], t["serverShareEnc"] = hex.EncodeToString(p.d.x), fix(p.d.ds, pr.key.k()), hex.EncodeToString(p.d.shareEnc())
	t["hpkePrivate"], t["hpkePublic"] = hex.EncodeToString(p.recipient.seed), hex.EncodeToString(p.recipient.public())
	t["challengeKey"], t["authKey"], t["keyId"] = hex.EncodeToString(p.challengeKey), hex.EncodeToString(p.kdev), hex.EncodeToString(p.id)
	t["token"] = hex.EncodeToString(p.owner.token)
	p.g = f.group("Transcript", t)
	return p
}

// delivery says what happens to a request on the way.
type delivery struct {
	device, way, forgery string
}

var delivered, requestLost, answerLost = delivery{"owner", "delivered", ""}, delivery{"owner", "request-lost", ""}, delivery{"owner", "answer-lost", ""}

// byCopy is the same delivery of the copy's request.
func (d delivery) byCopy() delivery { d.device = "copy"; return d }

// begin enrols, confirms and signs once.
func (p *party) begin() {
	p.enrolled(delivered)
	p.do("confirmation", "confirm", options{}, delivered)
	p.sign("a signature", options{}, delivered)
}

func (p *party) enrolled(d delivery) { p.enrolledAs("enrolment", "none", d) }

// enrolledAs is an enrolment with a change; a stranger's leaves the owner as he is.
func (p *party) enrolledAs(comment, change string, d delivery) *request {
	q, t := p.enroll(options{change: change})
	if d.device == "owner" {
		p.owner.pending, p.owner.chain = q, hash(q.bytes)
	}
	p.send(q.id, comment, q, t, d)
	return q
}

// sign is do for signatures: of one document with SHA-256 and PKCS #1 v1.5, unless the
// options say otherwise.
func (p *party) sign(comment string, o options, d delivery) *request {
	if o.padding == "" {
		o.padding = "PKCS1"
	}
	if o.documents == 0 && o.change != "no-documents" {
		o.documents = 1
	}
	return p.do(comment, "sign", o, d)
}

// do makes a request of the device and sends it.
func (p *party) do(comment, op string, o options, d delivery) *request {
	if o.change == "" {
		o.change = "none"
	}
	ph := p.phone(d.device)
	if d.device == "stranger" {
		unseen := *p.owner
		ph = &unseen
	}
	if o.change == "followed" {
		ph.number, ph.chain = p.rec.last.number, p.rec.chain
	}
	if (op != "cancel" && op != "report") && ph.pending != nil && d.device == "owner" {
		panic(comment + ": an earlier request is pending")
	}
	q, t := p.ask(ph, op, o)
	switch op {
	case "cancel":
		ph.marked = true
	case "report":
	default:
		ph.pending, ph.marked, ph.refused = q, false, false
	}
	p.send(q.id, comment, q, t, d)
	return q
}

// again sends the same bytes once more.
func (p *party) again(comment string, q *request, d delivery) {
	id := p.f.next()
	p.send(id, comment, q, T{"again": q.id, "change": "none"}, d)
}

var byStranger = delivery{"stranger", "delivered", ""}

// stranger sends a request that gets no answer.
func (p *party) stranger(comment string, o options) { p.sign(comment, o, byStranger) }

// refused is a request that is refused unread, and then cancelled.
func (p *party) refused(comment string, o options) {
	p.sign(comment, o, delivered)
	p.cancel("and it is cancelled, with the same challenge")
}

func (p *party) cancel(comment string) { p.do(comment, "cancel", options{}, delivered) }

func (p *party) phone(device string) *phone {
	switch device {
	case "owner":
		return p.owner
	case "copy":
		return p.copy
	}
	return nil
}

// stolen copies the owner's state.
func (p *party) stolen() {
	copied := *p.owner
	p.copy = &copied
	p.g.fields["copiedAfter"] = p.f.id
}

// rotate gives the server another HPKE key, and a key document that names it.
func (p *party) rotate() {
	authority := ed25519.NewKeyFromSeed(stream(p.label("authorityPrivate"), 32))
	p.next = newRecipient(stream(p.label("nextHpkePrivate"), 32))
	body := cat([]byte{2}, u64(1), p.next.public())
	p.document = cat(body, ed25519.Sign(authority, cat([]byte("tandem v2 key document"), body)))
	p.g.fields["rotatedAfter"] = p.f.id
	for name, b := range map[string][]byte{"authorityPrivate": authority.Seed(), "authorityPublic": authority.Public().(ed25519.PublicKey),
		"nextHpkePrivate": p.next.seed, "nextHpkePublic": p.next.public(), "keyDocument": p.document} {
		p.g.fields[name] = hex.EncodeToString(b)
	}
}

// send records one message and what follows.
func (p *party) send(id int, comment string, q *request, t T, d delivery) {
	if t["again"] == nil {
		p.sent = append(p.sent, q)
	}
	wasDead := p.rec.condition == "destroyed"
	var code byte
	var body []byte
	secret := q.secret
	switch d.way {
	case "delivered", "answer-lost":
		code, body = p.judge(q)
	case "forged":
		code, body, secret = p.forge(id, q, d.forgery)
	}
	var challenge, document []byte
	if code != 0 {
		if d.way != "forged" && p.document != nil && !bytes.Equal(q.bytes[2:10], hash(p.next.public())[:8]) {
			document = p.document
		}
		if hasChallenge(code, body) {
			challenge = p.issue(p.f.label(id, "answerChallenge"), 3, nil, p.now)
		}
		p.response(id, q, secret, cat([]byte{2, code}, u8(challenge), u24(body), u16(document)), t)
		t["code"] = code
	}
	believed := d.forgery != "right" && d.forgery != "other-key"
	if ph := p.phone(d.device); ph != nil {
		if code != 0 && d.way != "answer-lost" && believed {
			ph.hear(q, code, body, challenge)
			p.taken = p.taken || document != nil
		}
		t["storage"] = ph.object()
	}
	t["at"], t["device"], t["way"], t["operation"] = p.now, d.device, d.way, q.op
	if d.way == "forged" {
		t["forgery"] = d.forgery
	}
	p.verdict(t, q.op, d, code, believed)
	if p.rec.condition != "" {
		t["condition"], t["counterEnc"], t["current"] = p.rec.condition, hex.EncodeToString(p.rec.counter.enc()), hex.EncodeToString(p.rec.current)
		t["chainAfter"], t["lastEnc"], t["events"] = hex.EncodeToString(p.rec.chain), hex.EncodeToString(p.rec.last.enc()), p.rec.events
	}
	if p.rec.reason != 0 {
		t["reason"] = p.rec.reason
	}
	fl := flagsOf(t, q.op, d, code)
	if !wasDead && p.rec.reason == reasonClone {
		fl = append(fl, "Clone")
	}
	p.g.add(id, comment, flags(fl...), t)
	p.now += 10 * second
}

// forge is an answer of somebody else's.
func (p *party) forge(id int, q *request, forgery string) (code byte, body, secret []byte) {
	switch forgery {
	case "wrong":
		return 4, cat([]byte{2, 8}, u64(0)), q.secret
	case "cancelled":
		return 8, nil, q.secret
	case "other-key":
		return 3, p.signatures(q), p.f.derive(id, "forgedSecret", 32)
	}
	size := (p.pair.n().BitLen() + 7) / 8
	body = binary.BigEndian.AppendUint16([]byte{byte(len(q.messages))}, uint16(size))
	for i := range q.messages {
		sig := p.f.derive(id, item("forgedSignature", i), size)
		sig[0] = 0
		body = append(body, sig...)
	}
	return 3, body, q.secret
}

var codeClass = map[byte]string{0: "ErrRefused", 2: "ErrKeyRefused", 4: "WrongPINError", 5: "LockedError", 6: "DestroyedError", 7: "ErrExpired",
	8: "ErrCancelled", 9: "ErrUnconfirmed", 10: "ErrRejected", 12: "ErrSuperseded"}

// verdict records how the test ends.
func (p *party) verdict(t T, op string, d delivery, code byte, believed bool) {
	good := code == 1 || code == 3 || code == 8 && op == "cancel" || code == 6 && op == "report"
	switch {
	case d.way == "request-lost":
		refuse(t, "network", "ErrUnanswered")
	case d.way == "forged" && !believed:
		refuse(t, "network", "ErrAnswer")
	case d.way == "forged":
		refuse(t, "network", codeClass[code])
	case !good:
		refuse(t, "server", codeClass[code])
	}
}

var opFlag = map[string]string{"enroll": "Enrolment", "confirm": "Enrolment", "sign": "Signature", "refresh": "Refresh",
	"change pin": "ChangePin", "cancel": "Cancel", "report": "Report"}

var codeFlag = map[byte]string{2: "KeyRefused", 4: "WrongPin", 5: "Lock", 6: "Destroyed", 7: "Expired", 9: "Unconfirmed", 10: "Rejected", 12: "Superseded"}

// flagsOf are the flags that follow from a test's fields.
func flagsOf(t T, op string, d delivery, code byte) []string {
	fl := []string{opFlag[op]}
	add := func(flag string, ok bool) {
		if ok {
			fl = append(fl, flag)
		}
	}
	documents, _ := t["documents"].([]T)
	add("Batch", len(documents) > 1)
	add("PSS", t["padding"] == "PSS")
	add("Hardware", strings.HasSuffix(t["change"].(string), "-hardware"))
	add("Again", t["again"] != nil)
	add("Replay", t["again"] != nil && d.device == "network")
	add(codeFlag[code], codeFlag[code] != "")
	add("Refused", code == 0 && d.way != "request-lost")
	add("Lost", d.way == "request-lost" || d.way == "answer-lost")
	add("Forged", d.way == "forged")
	return fl
}
