package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"
)

// The messages of docs/protocol.md, section 3, all bytes from the seed.

var operations = map[string]byte{"enroll": 1, "confirm": 2, "sign": 3, "refresh": 4, "change pin": 5, "cancel": 6, "report": 7}

const (
	challengeLife = 5 * 60 * second
	pendingLife   = 15 * 60 * second
)

func u8(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

func u16(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func u24(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b)))[1:], b...)
}

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

// request is a request as the server sees it and as its author remembers it.
type request struct {
	id        int // the test that made it
	op        string
	bytes     []byte
	challenge []byte
	ticket    []byte // in the envelope
	secret    []byte // of the response
	number    uint64
	token     []byte
	chain     []byte
	target    []byte // commitment, or what a Cancel names
	next      []byte // the next token
	binding   []byte // of the digests in the request
	messages  []message
	partials  []*big.Int
	unfit     bool // a salt or a y has a length that cannot be
	ignored   bool // it is not the device's: no answer
	otherID   bool // an enrolment under another key id
}

// subject is the number and the hash of the request that this one settles.
func (r *request) subject() []byte {
	if r.op == "cancel" {
		return r.target
	}
	return hash(r.bytes)
}

// options are the choices for a request.
type options struct {
	hash      int // of hashes
	padding   string
	documents int
	change    string
}

// issue makes a challenge.
func (p *party) issue(label string, purpose byte, binding []byte, issued int64) []byte {
	return p.issueFor(p.id, label, purpose, binding, issued)
}

func (p *party) issueFor(id []byte, label string, purpose byte, binding []byte, issued int64) []byte {
	if binding == nil {
		binding = make([]byte, 32)
	}
	body := cat(p.ticket(id, label, purpose, issued), binding)
	return cat(body, mac(p.challengeKey, []byte("tandem v2 challenge"), body))
}

const ticketSize = 82

// ticket is where a challenge begins.
func (p *party) ticket(id []byte, label string, purpose byte, issued int64) []byte {
	head := cat([]byte{2, purpose}, id, u64(issued), u64(issued+challengeLife), stream(label, 16))
	return cat(head, mac(p.challengeKey, []byte("tandem v2 ticket"), head))
}

func issued(challenge []byte) int64 { return int64(binary.BigEndian.Uint64(challenge[18:])) }

func expires(challenge []byte) int64 { return int64(binary.BigEndian.Uint64(challenge[26:])) }

// otherID is the key id with its lowest bit changed.
func (p *party) otherID() []byte {
	id := bytes.Clone(p.id)
	id[len(id)-1] ^= 1
	return id
}

// seal makes the request around a plaintext.
func (p *party) seal(r *request, id, plaintext []byte, t T) {
	m, e := p.f.derive(r.id, "encapsulation", 32), p.f.derive(r.id, "ephemeral", 32)
	to := p.recipient
	if p.taken {
		to = p.next
	}
	shared, enc := to.encapsulate(m, e)
	key, nonce, exporter := schedule(shared, "tandem v2 "+r.op)
	ct := gcm(key, nonce, plaintext, id)
	r.bytes = cat([]byte{2, operations[r.op]}, hash(to.public())[:8], r.ticket, enc, ct)
	r.secret = labeledExpand(exporter, "sec", []byte("tandem v2 response"), 32)
	for name, b := range map[string][]byte{"plaintext": plaintext, "encapsulation": m, "ephemeral": e, "sharedSecret": shared,
		"hpkeKey": key, "hpkeNonce": nonce, "exporterSecret": exporter, "responseSecret": r.secret} {
		t[name] = hex.EncodeToString(b)
	}
}

// enroll makes the first request.
func (p *party) enroll(o options) (*request, T) {
	r := &request{id: p.f.next(), op: "enroll", target: hash(p.token)}
	purpose, at, id, share := byte(1), p.now-second, p.id, p.d.shareEnc()
	switch o.change {
	case "other-purpose":
		purpose = 3
	case "future":
		at = p.now + 60*second + 1
	case "other-id":
		id, r.otherID = p.otherID(), true
	case "zero-share":
		clear(share[len(share)-p.pair.key.k():])
		r.unfit = true
	}
	r.challenge = p.issueFor(id, p.f.label(r.id, "challenge"), purpose, nil, at)
	r.ticket = r.challenge[:ticketSize]
	t := T{"challenge": hex.EncodeToString(r.challenge), "target": hex.EncodeToString(r.target), "change": o.change}
	body := cat([]byte{2}, u8(r.challenge), u16(share), p.kdev, r.target, u8(p.hardwarePublic), u16(p.attestation))
	p.seal(r, id, cat(body, u8(p.hardwareSign(r.id, body, o.change, t))), t)
	t["requestEnc"] = hex.EncodeToString(r.bytes)
	r.ignored = slices.Contains(notAnswered, o.change)
	return r, t
}

// ask makes any other request of a device.
func (p *party) ask(ph *phone, op string, o options) (*request, T) {
	r := &request{id: p.f.next(), op: op, number: ph.number + 1, token: ph.token, chain: ph.chain}
	t := T{"change": o.change}
	switch op {
	case "report":
		r.number, r.token, r.chain, r.target = 0, make([]byte, 32), make([]byte, 32), make([]byte, 32)
	case "cancel":
		r.target = hash(ph.pending.bytes)
		t["cancels"] = ph.pending.id
	default:
		r.next = p.f.derive(r.id, "nextToken", 32)
		r.target = hash(r.next)
		t["nextToken"] = hex.EncodeToString(r.next)
	}
	switch o.change {
	case "number+1":
		r.number++
	case "number-zero":
		r.number = 0
	case "report-token":
		r.token = ph.token
	}
	p.challengeFor(ph, r, o)
	text := p.documents(r, o, t)
	head := []byte{2, operations[op]}
	switch o.change {
	case "inner-version":
		head[0] = 1
	case "inner-operation":
		head[1] = operations["refresh"]
	case "other-hash":
		text[0] = map[string]byte{"sign": 7, "refresh": 1}[op]
	}
	body := cat(head, u8(r.challenge), u64(int64(r.number)), r.token, r.chain, r.target, text)
	body = cat(body, u8(p.hardwareSign(r.id, body, o.change, t)))
	tag := mac(p.kdev, []byte("tandem v2 request"), p.id, body)
	switch o.change {
	case "bad-mac":
		tag[31] ^= 1
	case "byte-more":
		tag = append(tag, 0)
	}
	p.seal(r, p.id, cat(body, tag), t)
	damage(r.bytes, o.change)
	r.ignored = slices.Contains(notAnswered, o.change)
	t["number"] = r.number
	for name, b := range map[string][]byte{"challenge": r.challenge, "token": r.token, "chain": r.chain, "target": r.target, "requestEnc": r.bytes} {
		t[name] = hex.EncodeToString(b)
	}
	return r, t
}

var notAnswered = []string{"other-purpose", "bad-challenge", "bad-mac", "no-hardware", "other-hardware", "stray-hardware",
	"ticket", "other-ticket", "last-bit", "enc-bit", "enc-low-bit", "operation", "key-id", "hpke-key", "version", "other-key", "unknown-key", "inner-version", "inner-operation",
	"byte-more", "number-zero", "report-token", "other-hash", "no-documents", "too-many", "salt-pkcs1"}

// damage changes a request that was sealed.
func damage(b []byte, change string) {
	switch change {
	case "last-bit":
		b[len(b)-1] ^= 1
	case "enc-bit":
		b[10+ticketSize] ^= 0x80
	case "enc-low-bit":
		b[10+ticketSize] ^= 1
	case "operation":
		b[1] = 2
	case "key-id":
		b[12] ^= 1
	case "ticket":
		b[10+ticketSize-1] ^= 1
	case "hpke-key":
		b[2] ^= 1
	case "version":
		b[0] = 1
	}
}

// challengeFor chooses the challenge of a request.
func (p *party) challengeFor(ph *phone, r *request, o options) {
	defer func() {
		if r.ticket == nil {
			r.ticket = r.challenge[:ticketSize]
		}
	}()
	purpose, at := byte(3), p.now-second
	switch {
	case r.op == "cancel" && ph.refused:
		r.challenge = ph.pending.challenge
		return
	case r.op == "report" && ph.challenge != nil:
		r.challenge = ph.challenge
		return
	case o.change == "other-purpose":
		purpose = map[string]byte{"sign": 3, "cancel": 1, "report": 1}[r.op]
		if purpose == 0 {
			purpose = 2
		}
	case r.op == "sign":
		purpose = 2
	}
	var named []byte
	if r.op == "sign" {
		digests := make([][]byte, o.documents)
		for i := range digests {
			digests[i] = p.f.derive(r.id, item("digest", i), hashes[o.hash].h.Size())
		}
		r.binding = binding(o, digests)
		switch o.change {
		case "other-digest":
			for i := range digests {
				digests[i] = p.f.derive(r.id, item("otherDigest", i), len(digests[i]))
			}
		case "other-order":
			digests = append(digests[len(digests)-1:], digests[:len(digests)-1]...)
		}
		if named = binding(o, digests); purpose == 3 {
			named = nil
		}
	}
	switch o.change {
	case "expired":
		at = p.now - challengeLife
	case "minute-ahead":
		at = p.now + 60*second
	case "future":
		at = p.now + 60*second + 1
	}
	id := p.id
	switch o.change {
	case "other-key":
		id = p.otherID()
		r.ticket = p.ticket(p.id, p.f.label(r.id, "challenge"), purpose, at)
	case "other-ticket":
		r.ticket = p.ticket(p.id, p.f.label(r.id, "otherTicket"), purpose, at)
	}
	r.challenge = p.issueFor(id, p.f.label(r.id, "challenge"), purpose, named, at)
	if o.change == "bad-challenge" {
		r.challenge[len(r.challenge)-1] ^= 1
	}
}

var paddings = map[string]byte{"PKCS1": 1, "PSS": 2}

func binding(o options, digests [][]byte) []byte {
	return hash([]byte("tandem v2 transaction"), []byte{byte(o.hash + 1), paddings[o.padding], byte(len(digests))}, cat(digests...))
}

func item(field string, i int) string { return field + "/" + strconv.Itoa(i) }

// documents makes the messages to sign and the partial signatures, and returns the fields
// of the plaintext from the hash function on.
func (p *party) documents(r *request, o options, t T) []byte {
	head := []byte{0, 0}
	salt := 0
	n := p.pair.n()
	switch r.op {
	case "sign":
		head = []byte{byte(o.hash + 1), paddings[o.padding]}
		t["hash"], t["padding"] = hashes[o.hash].name, o.padding
		for i := range o.documents {
			size := hashes[o.hash].h.Size()
			digest := p.f.derive(r.id, item("digest", i), size)
			switch {
			case o.change == "long-salt":
				salt = (n.BitLen()+6)/8 - size - 1
			case o.padding == "PSS":
				salt = size
			case o.change == "salt-pkcs1":
				salt = 1
			}
			s := p.f.derive(r.id, item("salt", i), salt)
			if o.change == "long-salt" {
				r.messages = append(r.messages, message{digest: digest, salt: s})
				r.unfit = true
				continue
			}
			m := encode(hashes[o.hash], o.padding, digest, s, n)
			m.salt = s
			r.messages = append(r.messages, m)
		}
	case "confirm", "change pin":
		r.messages = []message{encode(hashes[0], "PKCS1", hash([]byte("tandem v2 "+r.op), r.challenge), nil, n)}
	default:
		return make([]byte, 7)
	}
	other := p.d
	if slices.Contains([]string{"wrong-pin", "last-wrong", "first-wrong", "wrong-and-one", "one-and-wrong"}, o.change) {
		other = deal(p.pair.sharing, p.pair.key, p.f.derive(r.id, "otherX", len(p.d.x)))
		t["otherX"] = hex.EncodeToString(other.x)
	}
	k, size := p.pair.key.k(), p.pair.key.k() // of y as it is sent
	switch o.change {
	case "no-documents":
		size = 0
	case "short-y":
		size = k - 1
		r.unfit = true
	}
	out := cat(head, []byte{byte(len(r.messages))}, binary.BigEndian.AppendUint16(nil, uint16(salt)), binary.BigEndian.AppendUint16(nil, uint16(size)))
	documents := []T{}
	for i, m := range r.messages {
		d, first, last := p.d, i == 0, i == len(r.messages)-1
		if o.change == "first-wrong" && first || o.change == "last-wrong" && last ||
			slices.Contains([]string{"wrong-pin", "wrong-and-one", "one-and-wrong"}, o.change) {
			d = other
		}
		y := d.partial(m.int())
		switch {
		case last && (o.change == "y-one" || o.change == "wrong-and-one"), first && o.change == "one-and-wrong":
			y = big.NewInt(1)
		case last && o.change == "y-minus-one":
			y = new(big.Int).Sub(p.pair.key.n, one)
		case o.change == "long-salt":
			y = big.NewInt(2)
		}
		r.partials = append(r.partials, y)
		if r.op == "sign" {
			out = cat(out, m.digest)
		}
		sent := i2osp(y, k)[:size]
		out = cat(out, m.salt, sent)
		documents = append(documents, T{"digest": hex.EncodeToString(m.digest), "salt": hex.EncodeToString(m.salt),
			"em": hex.EncodeToString(m.em), "y": hex.EncodeToString(sent)})
	}
	t["documents"] = documents
	return out
}

// scalar is an exponent of P-256 from 32 bytes.
func scalar(b []byte) *big.Int {
	q := new(big.Int).Sub(elliptic.P256().Params().N, one)
	return q.Add(q.Mod(os2ip(b), q), one)
}

// point is the public key of a scalar: uncompressed.
func point(d *big.Int) []byte {
	key, err := ecdh.P256().NewPrivateKey(i2osp(d, 32))
	must(err)
	return key.PublicKey().Bytes()
}

// hardwareSign is the ECDSA signature of a body by the phone's hardware, with a nonce
// from the seed; empty where there is no such key.
func (p *party) hardwareSign(id int, body []byte, change string, t T) []byte {
	var d *big.Int
	switch {
	case change == "other-hardware" || change == "stray-hardware":
		d = scalar(p.f.derive(id, "otherHardware", 32))
	case p.hardwareKey == nil || change == "no-hardware":
		return nil
	default:
		d = scalar(p.hardwareKey)
	}
	q, k := elliptic.P256().Params().N, scalar(p.f.derive(id, "hardwareNonce", 32))
	r := os2ip(point(k)[1:33])
	r.Mod(r, q)
	s := new(big.Int).Mul(r, d)
	s.Add(s, os2ip(hash([]byte("tandem v2 hardware"), p.id, body)))
	s.Mul(s, new(big.Int).ModInverse(k, q)).Mod(s, q)
	out := cat(i2osp(r, 32), i2osp(s, 32))
	t["hardwareSignature"] = hex.EncodeToString(out)
	return out
}

// response seals an answer's plaintext.
func (p *party) response(id int, r *request, secret, plaintext []byte, t T) {
	salt := p.f.derive(id, "responseSalt", 32)
	prk, err := hkdf.Extract(sha256.New, secret, cat(hash(r.bytes), salt))
	must(err)
	key, err := hkdf.Expand(sha256.New, prk, "key", 32)
	must(err)
	nonce, err := hkdf.Expand(sha256.New, prk, "nonce", 12)
	must(err)
	for name, b := range map[string][]byte{"responsePlaintext": plaintext, "responseSalt": salt, "responseKey": key, "responseNonce": nonce,
		"responseEnc": cat([]byte{2}, salt, gcm(key, nonce, plaintext, nil))} {
		t[name] = hex.EncodeToString(b)
	}
}
