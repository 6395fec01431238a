package main

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
)

// The messages of docs/protocol.md, all bytes from the seed. A party plays the device and a model of the server.

var operations = map[string]byte{"enroll": 1, "confirm": 2, "sign": 3, "refresh": 4, "change pin": 5}

type party struct {
	f         *file
	g         *group
	pair      pair
	d         dealt
	recipient recipient
	challenge []byte // the server's challenge key
	kdev      []byte
	id        []byte

	// The device's.
	tokens  [][]byte
	givenUp []request

	// The server's.
	now       int64
	condition string
	reason    byte
	counter   state
	current   []byte
	ring      map[string]settled
	until     int64 // of a pending key
}

// request is one that was sent.
type request struct {
	bytes     []byte
	challenge []byte
	secret    []byte // of the response
	answer    func() (code byte, body []byte)
	fields    T
	next      []byte
}

type settled struct {
	code byte
	body []byte
}

const (
	challengeLife = 5 * 60 * second
	pendingLife   = 15 * 60 * second
)

func u16(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func u8(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

func u64(x int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(x)) }

func cat(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func hash(parts ...[]byte) []byte {
	h := sha256.Sum256(cat(parts...))
	return h[:]
}

func (p *party) label(field string) string { return "transcript/" + p.pair.name() + "/" + field }

func newParty(f *file, pr pair) *party {
	p := &party{f: f, pair: pr, condition: "none", ring: map[string]settled{}, now: 1767225600000}
	p.recipient = newRecipient(stream(p.label("hpkePrivate"), 32))
	p.challenge = stream(p.label("challengeKey"), 32)
	p.kdev = stream(p.label("deviceKey"), 32)
	p.id = stream(p.label("keyId"), 16)
	p.d = deal(pr.sharing, pr.key, stream(p.label("x"), pr.key.k()+8))
	p.tokens = [][]byte{stream(p.label("token"), 32)}
	t := pr.fields()
	t["x"], t["ds"], t["serverShareEnc"] = hex.EncodeToString(p.d.x), fix(p.d.ds, pr.key.k()), hex.EncodeToString(p.d.shareEnc())
	t["hpkePrivate"], t["hpkePublic"] = hex.EncodeToString(p.recipient.seed), hex.EncodeToString(p.recipient.public())
	t["challengeKey"], t["deviceKey"], t["keyId"] = hex.EncodeToString(p.challenge), hex.EncodeToString(p.kdev), hex.EncodeToString(p.id)
	t["token"] = hex.EncodeToString(p.tokens[0])
	p.g = f.group("Transcript", t)
	return p
}

// issue is a challenge, issued a second before now.
func (p *party) issue(label string, purpose byte, binding []byte, issued int64) []byte {
	body := cat([]byte{1, purpose}, p.id, u64(issued), u64(issued+challengeLife), stream(label, 16))
	return cat(body, mac(p.challenge, []byte("tandem v1 challenge"), body, binding))
}

func expires(challenge []byte) int64 { return int64(binary.BigEndian.Uint64(challenge[26:])) }

func issued(challenge []byte) int64 { return int64(binary.BigEndian.Uint64(challenge[18:])) }

// seal makes the request around a plaintext.
func (p *party) seal(id int, op string, plaintext []byte, t T) request {
	m, e := p.f.derive(id, "encapsulation", 32), p.f.derive(id, "ephemeral", 32)
	shared, enc := p.recipient.encapsulate(m, e)
	key, nonce, exporter := schedule(shared, "tandem v1 "+op)
	public := p.recipient.public()
	ct := gcm(key, nonce, plaintext, p.id)
	bytes := cat([]byte{1, operations[op]}, hash(public)[:8], p.id, enc, ct)
	secret := labeledExpand(exporter, "sec", []byte("tandem v1 response"), 32)
	for name, b := range map[string][]byte{"plaintext": plaintext, "encapsulation": m, "ephemeral": e, "sharedSecret": shared,
		"hpkeKey": key, "hpkeNonce": nonce, "exporterSecret": exporter, "requestEnc": bytes, "responseSecret": secret} {
		t[name] = hex.EncodeToString(b)
	}
	t["operation"] = op
	return request{bytes: bytes, secret: secret, fields: t}
}

// enroll makes the first request.
func (p *party) enroll(id int) request {
	c := p.issue(p.f.label(id, "challenge"), 1, nil, p.now-second)
	commitment := hash(p.tokens[0])
	plaintext := cat([]byte{1}, u8(c), u16(p.d.shareEnc()), p.kdev, commitment)
	r := p.seal(id, "enroll", plaintext, T{"challenge": hex.EncodeToString(c)})
	r.challenge, r.next = c, commitment
	return r
}

// options are what a request has beside the ordinary.
type options struct {
	padding string
	wrong   bool     // another share, as a wrong PIN gives
	y       *big.Int // in place of the right one
	issued  int64    // of the challenge
	tokens  [][]byte // in place of the device's
	digest  string   // the challenge is for another digest
	badMAC  bool
}

// ask makes any other request.
func (p *party) ask(id int, op string, o options) request {
	t := T{}
	var text, binding []byte
	var m message
	purpose := byte(3)
	if o.issued == 0 {
		o.issued = p.now - second
	}
	text = cat([]byte{0, 0}, u8(nil))
	if op == "sign" {
		purpose = 2
		m = p.f.messageAs(id, "digest", hashes[0], o.padding, p.pair.n())
		text = cat([]byte{1, map[string]byte{"PKCS1": 1, "PSS": 2}[o.padding]}, u8(m.digest))
		bound := m.digest
		if o.digest != "" {
			bound = p.f.derive(id, o.digest, 32)
		}
		binding = hash([]byte("tandem v1 transaction"), text[:2], bound)
		m.put(t)
	}
	c := p.issue(p.f.label(id, "challenge"), purpose, binding, o.issued)
	t["challenge"] = hex.EncodeToString(c)
	var y []byte
	if op != "refresh" {
		if op != "sign" {
			m = encode(hashes[0], "PKCS1", hash([]byte("tandem v1 "+op), c), nil, p.pair.n())
			m.put(t)
		}
		d := p.d
		if o.wrong {
			d = deal(p.pair.sharing, p.pair.key, p.f.derive(id, "otherX", len(p.d.x)))
			t["otherX"] = hex.EncodeToString(d.x)
		}
		v := d.partial(m.int())
		if o.y != nil {
			v = o.y
		}
		y = i2osp(v, p.pair.key.k())
		t["y"] = hex.EncodeToString(y)
	}
	var salt []byte
	if op == "sign" {
		salt = m.salt
	}
	// Tokens: all that the device has; a new one is drawn while there are less than three.
	named := p.tokens
	next := p.tokens[len(p.tokens)-1]
	if o.tokens != nil {
		named, next = o.tokens, p.f.derive(id, "token", 32)
	} else if len(p.tokens) < 3 {
		next = p.f.derive(id, "token", 32)
		p.tokens = append(p.tokens[:len(p.tokens):len(p.tokens)], next)
	}
	t["nextToken"] = hex.EncodeToString(next)
	list := []string{}
	for _, n := range named {
		list = append(list, hex.EncodeToString(n))
	}
	t["tokens"] = list
	var given []byte
	names := []T{}
	for _, g := range p.givenUp {
		if o.tokens == nil && issued(c) < expires(g.challenge)+60*second {
			given = cat(given, hash(g.bytes), u64(expires(g.challenge)))
			names = append(names, T{"request": hex.EncodeToString(hash(g.bytes)), "expires": expires(g.challenge)})
		}
	}
	t["givenUp"] = names
	body := cat([]byte{1, operations[op]}, u8(c), text, u16(salt), u16(y), u8(cat(named...)), hash(next), u16(given))
	tag := mac(p.kdev, []byte("tandem v1 request"), p.id, body)
	if o.badMAC {
		tag[31] ^= 1
	}
	r := p.seal(id, op, cat(body, tag), t)
	r.challenge, r.next = c, hash(next)
	r.answer = func() (byte, []byte) { return p.judge(r, op, o, named, m) }
	return r
}

// judge is the server's model: docs/protocol.md, section 5, from 7 on.
func (p *party) judge(r request, op string, o options, named [][]byte, m message) (byte, []byte) {
	key := string(hash(r.bytes))
	if s, ok := p.ring[key]; ok {
		return s.code, s.body
	}
	switch {
	case p.condition == "destroyed":
		return 6, []byte{p.reason}
	case expires(r.challenge) <= p.now:
		return 7, nil
	case p.condition == "pending" && op != "confirm":
		return 9, nil
	}
	current := false
	for _, t := range named {
		current = current || string(hash(t)) == string(p.current)
	}
	if !current {
		p.condition, p.reason = "destroyed", 2
		p.counter.lock = forever
		return 6, []byte{2}
	}
	settle := func(code byte, body []byte) (byte, []byte) {
		for _, g := range p.givenUp {
			if h := string(hash(g.bytes)); p.ring[h].code == 0 && expires(g.challenge) > p.now {
				p.ring[h] = settled{8, nil}
			}
		}
		p.ring[key] = settled{code, body}
		return code, body
	}
	if op == "refresh" {
		p.current = r.next
		return settle(3, u16(nil))
	}
	outcome := "right"
	if o.wrong {
		outcome = "wrong"
	}
	next, t := defaultPolicy.step(p.counter, outcome, p.now)
	if o.y != nil && t["verdict"] != "locked" {
		return 10, nil
	}
	p.counter = next
	switch t["verdict"] {
	case "locked":
		return 5, u64(t["lockedUntil"].(int64))
	case "wrong":
		until, _ := t["lockedUntil"].(int64)
		if next.lock == forever {
			p.condition, p.reason = "destroyed", 1
		}
		return settle(4, cat([]byte{byte(t["remaining"].(int)), byte(t["remainingTotal"].(int))}, u64(until)))
	}
	p.current, p.condition = r.next, "active"
	sig := i2osp(p.pair.whole(m.int()), (p.pair.n().BitLen()+7)/8)
	p.pair.verify(m, sig)
	return settle(3, u16(sig))
}

var codeClass = map[byte]string{2: "ErrKeyRefused", 4: "WrongPINError", 5: "LockedError", 6: "DestroyedError", 7: "ErrExpired",
	8: "ErrGivenUp", 9: "ErrUnconfirmed", 10: "ErrRejected"}

// send records one exchange. Without a code there is no answer.
func (p *party) send(id int, comment string, r request, code byte, body []byte, fl ...string) {
	t := T{}
	for k, v := range r.fields {
		t[k] = v
	}
	t["at"] = p.now
	if code == 0 {
		refuse(t, "server", "ErrRefused")
	} else {
		current := make([]byte, 32)
		if code == 3 || code == 4 {
			current = p.current
		}
		plaintext := cat([]byte{1, code}, current, u16(body), u16(nil))
		salt := p.f.derive(id, "responseSalt", 32)
		prk, err := hkdf.Extract(sha256.New, r.secret, cat(hash(r.bytes), salt))
		must(err)
		key, err := hkdf.Expand(sha256.New, prk, "key", 32)
		must(err)
		nonce, err := hkdf.Expand(sha256.New, prk, "nonce", 12)
		must(err)
		t["code"] = code
		for name, b := range map[string][]byte{"responsePlaintext": plaintext, "responseSalt": salt, "responseKey": key, "responseNonce": nonce,
			"responseEnc": cat([]byte{1}, salt, gcm(key, nonce, plaintext, nil))} {
			t[name] = hex.EncodeToString(b)
		}
		if class := codeClass[code]; class != "" {
			refuse(t, "server", class)
		}
		// What the device makes of the answer.
		switch code {
		case 3, 4:
			for _, have := range p.tokens {
				if string(hash(have)) == string(current) {
					p.tokens = [][]byte{have}
				}
			}
			p.givenUp = nil
		case 5, 7, 9, 10:
			p.givenUp = append(p.givenUp, r)
		}
	}
	t["condition"] = p.condition
	if p.condition != "none" {
		t["counterEnc"], t["current"] = hex.EncodeToString(p.counter.enc()), hex.EncodeToString(p.current)
	}
	p.g.add(id, comment, flags(fl...), t)
	p.now += 10 * second
}

// enrolled is the body of the answer to an enrolment, with a challenge for confirm.
func (p *party) enrolled(id int) []byte {
	n := p.pair.n().Bytes()
	return cat(u16(n), binary.BigEndian.AppendUint32(nil, uint32(p.pair.key.e.Int64())), u8(p.issue(p.f.label(id, "confirmChallenge"), 3, nil, p.now)), u64(p.until))
}

// begin enrols and confirms.
func (p *party) begin() {
	id := p.f.next()
	r := p.enroll(id)
	p.condition, p.until, p.current = "pending", p.now+pendingLife, r.next
	p.send(id, "enrolment", r, 1, p.enrolled(id), "Enrolment")
	id = p.f.next()
	p.send(id, "the same bytes again", r, 1, p.enrolled(id), "Enrolment", "Retry")
	p.do("a signature before the enrolment is confirmed", "sign", options{padding: "PKCS1"}, "Unconfirmed")
	p.do("confirmation with a wrong PIN", "confirm", options{wrong: true}, "Enrolment", "WrongPin")
	p.do("confirmation", "confirm", options{}, "Enrolment")
}

// do makes a request and has it answered.
func (p *party) do(comment, op string, o options, fl ...string) request {
	id := p.f.next()
	r := p.ask(id, op, o)
	code, body := r.answer()
	p.send(id, comment, r, code, body, fl...)
	return r
}

// again sends the same bytes once more.
func (p *party) again(comment string, r request, fl ...string) {
	given := p.givenUp
	tokens := p.tokens
	code, body := r.answer()
	p.send(p.f.next(), comment, r, code, body, fl...)
	p.givenUp, p.tokens = given, tokens
}

// unanswered is a request that gets no answer, and changes nothing.
func (p *party) unanswered(comment, op string, o options, change func(r *request), fl ...string) {
	id := p.f.next()
	tokens := p.tokens
	r := p.ask(id, op, o)
	if change != nil {
		change(&r)
		r.fields["requestEnc"] = hex.EncodeToString(r.bytes)
	}
	p.tokens = tokens
	p.send(id, comment, r, 0, nil, fl...)
}

func transcript() *file {
	f := &file{name: "transcript", algorithm: "tandem-protocol", schema: "transcript", notes: map[string]note{
		"Enrolment":   {"NORMAL", "Enrolment and its confirmation.", "", nil},
		"Unconfirmed": {"NORMAL", "A request for a key that is not confirmed.", "A key whose PIN was mistyped.", nil},
		"Signature":   {"NORMAL", "A signature.", "", nil},
		"Retry":       {"NORMAL", "The same bytes as before.", "An attempt that is counted twice.", nil},
		"WrongPin":    {"NORMAL", "y of another share.", "Unlimited guesses, if it is not counted.", nil},
		"Lock":        {"NORMAL", "The key is locked, or was.", "A guess for nothing.", nil},
		"Refresh":     {"NORMAL", "A new token without a PIN.", "", nil},
		"ChangePin":   {"NORMAL", "The proof of the old PIN.", "", nil},
		"Expired":     {"EDGE_CASE", "The challenge is too old.", "A replay.", nil},
		"GivenUp":     {"EDGE_CASE", "A request that was given up arrives late.", "A replay.", nil},
		"Rejected":    {"EDGE_CASE", "y is out of range.", "An attempt that is counted, or a right answer without a PIN.", nil},
		"BadMac":      {"MODIFIED_PARAMETER", "The request's MAC is wrong.", "A stranger locks a key.", nil},
		"BadSeal":     {"MODIFIED_PARAMETER", "The ciphertext, the operation or the key's id is changed.", "A stranger locks a key.", nil},
		"OtherDigest": {"MODIFIED_PARAMETER", "The challenge was issued for another digest.", "A signature of another document.", nil},
		"Clone":       {"NORMAL", "A copy of the device's state.", "A thief who guesses for ever.", nil},
		"Destroyed":   {"NORMAL", "The key is dead.", "A key that lives on.", nil},
	}}
	p := newParty(f, pair{"multiplicative", device(2048, 1), nil})
	p.begin()
	r := p.do("PKCS #1 v1.5", "sign", options{padding: "PKCS1"}, "Signature")
	p.again("the same bytes again", r, "Signature", "Retry")
	p.do("PSS", "sign", options{padding: "PSS"}, "Signature")
	copied := p.tokens // a thief copies the state here
	p.do("a wrong PIN", "sign", options{padding: "PKCS1", wrong: true}, "WrongPin")
	r = p.do("a second wrong PIN", "sign", options{padding: "PSS", wrong: true}, "WrongPin")
	p.again("the same bytes again count nothing", r, "WrongPin", "Retry")
	late := p.do("y = 1", "sign", options{padding: "PKCS1", y: big.NewInt(1)}, "Rejected")
	p.do("y = n1-1", "sign", options{padding: "PKCS1", y: new(big.Int).Sub(p.pair.key.n, one)}, "Rejected")
	p.do("an expired challenge", "sign", options{padding: "PKCS1", issued: p.now - challengeLife}, "Expired")
	p.unanswered("a wrong MAC", "sign", options{padding: "PKCS1", badMAC: true}, nil, "BadMac")
	p.unanswered("a challenge for another digest", "sign", options{padding: "PKCS1", digest: "otherDigest"}, nil, "OtherDigest")
	p.unanswered("the last bit of the request is changed", "sign", options{padding: "PKCS1"}, func(r *request) { r.bytes[len(r.bytes)-1] ^= 1 }, "BadSeal")
	p.unanswered("the first bit of the encapsulated key is changed", "sign", options{padding: "PKCS1"}, func(r *request) { r.bytes[26] ^= 0x80 }, "BadSeal")
	p.unanswered("another operation in the envelope", "sign", options{padding: "PKCS1"}, func(r *request) { r.bytes[1] = 2 }, "BadSeal")
	p.unanswered("another key id in the envelope", "sign", options{padding: "PKCS1"}, func(r *request) { r.bytes[10] ^= 1 }, "BadSeal")
	p.unanswered("another HPKE key", "sign", options{padding: "PKCS1"}, func(r *request) { r.bytes[2] ^= 1 }, "BadSeal")
	p.unanswered("another version", "sign", options{padding: "PKCS1"}, func(r *request) { r.bytes[0] = 2 }, "BadSeal")
	p.do("a third wrong PIN locks", "sign", options{padding: "PKCS1", wrong: true}, "WrongPin", "Lock")
	p.again("a request that was given up arrives late", late, "GivenUp")
	p.do("the right PIN while locked", "sign", options{padding: "PKCS1"}, "Lock")
	p.do("a wrong PIN while locked", "sign", options{padding: "PKCS1", wrong: true}, "Lock")
	p.do("a refresh while locked", "refresh", options{}, "Lock", "Refresh")
	p.now = p.counter.at + p.counter.lock - 1
	p.do("one millisecond before the end of the lock", "sign", options{padding: "PSS"}, "Lock")
	p.now = p.counter.at + p.counter.lock
	p.do("at the end of the lock", "sign", options{padding: "PSS"}, "Lock", "Signature")
	p.do("change of the PIN", "change pin", options{}, "ChangePin")
	p.do("the copy: an old token, with a wrong PIN", "sign", options{padding: "PKCS1", wrong: true, tokens: copied}, "Clone")
	p.do("the owner", "sign", options{padding: "PKCS1"}, "Clone", "Destroyed")
	p.do("a refresh of a dead key", "refresh", options{}, "Destroyed")

	p = newParty(f, pair{"additive", device(2048, 1), server(2048, 1)})
	p.begin()
	p.do("PKCS #1 v1.5", "sign", options{padding: "PKCS1"}, "Signature")
	p.do("PSS", "sign", options{padding: "PSS"}, "Signature")
	for i, lock := range []int64{3 * hour, 24 * hour, forever} {
		for range 2 {
			p.do("a wrong PIN", "sign", options{padding: "PKCS1", wrong: true}, "WrongPin")
		}
		r := p.do("the last wrong PIN of the round", "sign", options{padding: "PSS", wrong: true}, "WrongPin", "Lock")
		p.again("the same bytes again", r, "WrongPin", "Retry")
		p.do("the right PIN", "sign", options{padding: "PKCS1"}, []string{"Lock", "Lock", "Destroyed"}[i])
		p.now += min(lock, 100*hour)
	}
	p.do("the right PIN, days later", "sign", options{padding: "PKCS1"}, "Destroyed")
	return f
}
