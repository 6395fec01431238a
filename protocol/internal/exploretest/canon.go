package exploretest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Tokens, chains and hashes are random to the code under test: it compares them, and does
// nothing else with them. So two moments are equal if one becomes the other when these
// values are renamed. The canonical form of a moment numbers them in the order in which
// they appear. Numbers of requests are relative to the record's, and times to now; what
// is long over is over.
type namer struct {
	w     *world
	names map[wire.Hash]uint64
	root  wire.Hash          // the chain from which all others are named
	owner map[wire.Hash]bool // requests of the owner's in the moment
	now   int64
	last  uint64
	b     []byte
}

func (n *namer) put(values ...int64) {
	for _, v := range values {
		n.b = binary.AppendVarint(n.b, v)
	}
}

func (n *namer) flag(flags ...bool) {
	for _, f := range flags {
		v := byte(0)
		if f {
			v = 1
		}
		n.b = append(n.b, v)
	}
}

func (n *namer) name(h wire.Hash) {
	if (h == wire.Hash{}) {
		n.b = append(n.b, 0)
		return
	}
	id, ok := n.names[h]
	if !ok {
		id = uint64(len(n.names) + 1)
		n.names[h] = id
	}
	n.b = binary.AppendUvarint(n.b, id)
}

// chain writes a chain as what was settled since the root, as far as these are requests
// of the owner's that are in the moment. Nobody gets to a chain by any other way: who has
// not settled the same requests never has the same chain.
func (n *namer) chain(c wire.Hash) {
	l := n.w.parents[c]
	switch {
	case c == n.root:
		n.put(0)
	case !n.owner[l.subject]:
		n.put(1)
		n.name(c)
	default:
		n.put(2, int64(l.fate))
		n.name(l.subject)
		n.chain(l.from)
	}
}

// rooted finds the latest chain from which all come, if there is one.
func (n *namer) rooted(chains []wire.Hash) {
	for {
		slices.SortFunc(chains, func(a, b wire.Hash) int {
			return cmp.Or(cmp.Compare(n.w.parents[b].depth, n.w.parents[a].depth), slices.Compare(a[:], b[:]))
		})
		chains = slices.Compact(chains)
		if len(chains) < 2 || !n.owner[n.w.parents[chains[0]].subject] {
			break
		}
		chains[0] = n.w.parents[chains[0]].from
	}
	if len(chains) == 1 {
		n.root = chains[0]
	}
}

// number writes the number of a request as far as it is above or below the record's. One
// that is three below never comes up again: a thief who makes the device believe untrue
// fates needs a copied response key for each.
func (n *namer) number(i uint64) { n.put(max(int64(i-n.last), -3)) }

// over is how long ago everything is over at every node: the slowest is a minute behind.
const over = -minute

// longOver: signatures are not made anew any more, at any node.
const longOver = -24*60*minute - minute

func (n *namer) time(ms int64) {
	d := ms - n.w.base.UnixMilli() - n.now
	switch {
	case n.w.scope.Latest > 0: // clocks go back: nothing is over for ever
	case d <= longOver:
		d = -2 * minute
	case d <= over:
		d = -minute
	}
	n.put(d)
}

// challenge writes a challenge. One that a Cancel or a Report carries, or will carry,
// never expires, and is looked at for its issue only by a node whose clock is behind.
func (n *namer) challenge(c *wire.Challenge, minted int, expires bool) {
	n.put(int64(c.Purpose), int64(minted))
	if expires || n.w.scope.Nodes > 1 || n.w.scope.Latest > 0 || n.w.scope.Enrolment {
		n.time(c.Issued)
		n.time(c.Expires)
	}
	n.name(c.Binding)
}

func (n *namer) record(r *record) {
	if r == nil {
		n.put(-1)
		return
	}
	n.put(int64(r.condition), int64(r.reason))
	if r.condition == pending {
		n.time(r.until)
	}
	n.put(int64(r.wrong), r.lock)
	if r.lock > 0 && r.lock < forever {
		n.time(r.at)
		n.time(r.at + r.lock)
	} else if n.w.scope.Latest > 0 {
		n.time(r.at)
	}
	n.name(r.commitment)
	n.chain(r.chain)
	n.name(r.last)
	n.put(int64(r.fate), int64(r.verdict.Total))
	n.flag(r.number == 0, r.verdict.Until != 0)
}

func (n *namer) phone(i int32) {
	p := n.w.devs.all[i]
	n.put(int64(p.Phase), int64(p.Reason), int64(p.Serial))
	n.flag(wire.HPKEKeyIDOf(p.HPKEKey) == n.w.nextKey)
	k := p.Key
	n.flag(k != nil, p.Pending != nil)
	if k == nil {
		return
	}
	n.flag(p.offered != nil)
	if p.offered != nil {
		n.challenge(p.offered, p.minted, false)
	}
	if device.Phase(p.Phase) == device.Superseded {
		return
	}
	n.number(k.Number)
	n.put(int64(p.pin))
	n.name(p.token)
	n.chain(k.Chain)
	if q := p.Pending; q != nil {
		n.flag(q.Cancel)
		n.name(p.next)
		n.request(n.w.reqs.all[p.request])
	}
}

func (n *namer) request(r *request) {
	n.name(r.hash)
	n.put(int64(r.op), int64(r.hpke), int64(r.documents))
	n.flag(r.right, r.thief)
	n.challenge(r.challenge, r.minted, r.numbered())
	n.name(r.target)
	if r.op == protocol.OpEnroll || r.op == protocol.OpReport {
		return
	}
	n.number(r.number)
	n.name(r.token)
	n.chain(r.chain)
}

func (n *namer) answer(a *answer) {
	n.name(n.w.reqs.all[a.request].hash)
	n.put(int64(a.Code), int64(a.Verdict.Total), int64(a.Reason), int64(len(a.Signatures)), int64(len(a.Document)))
	n.flag(a.forged, a.Verdict.Until != 0)
	if a.Parsed != nil {
		n.challenge(a.Parsed, a.minted, false)
	}
}

func (n *namer) call(i int32) {
	n.flag(i != 0)
	if i == 0 {
		return
	}
	c := n.w.calls.all[i]
	n.put(int64(c.op), int64(c.issuer), int64(c.stage))
	if c.op.begins() {
		n.time(n.w.base.UnixMilli() + c.at)
	}
	if c.dev != 0 {
		n.phone(c.dev)
	}
	for _, a := range c.heard {
		n.flag(a != 0)
		if a != 0 {
			n.answer(n.w.answers.all[a])
		}
	}
	for _, s := range c.script {
		n.put(int64(s))
	}
	n.put(-1)
	n.request(n.w.reqs.all[c.sent])
}

// others writes whose record the device's key has, the records of other keys, and for
// whom a modulus is reserved.
func (n *namer) others(s *stored, rec *record, p *phone) {
	if p.Key != nil {
		n.name(sha256.Sum256(p.Key.ID[:]))
	}
	for _, e := range s.entries {
		kind, name, _ := strings.Cut(e.id, "/")
		n.b = append(n.b, kind...)
		switch kind {
		case "key":
			id, _ := protocol.ParseKeyID(name)
			n.name(sha256.Sum256(id[:]))
			if r := s.records[id]; r != rec {
				n.record(r)
			}
		case "n1":
			n.name(sha256.Sum256(e.value[1:]))
		case "spent":
			n.name(wire.Hash(e.value[1:33]))
			n.b = append(n.b, e.value[33])
		}
	}
}

// key is the canonical form of a moment, hashed: of a billion moments two would be taken
// for one with a probability of 2^-68.
func (w *world) key(m *moment) [16]byte {
	n := &namer{w: w, names: make(map[wire.Hash]uint64), now: m.now, b: make([]byte, 0, 512)}
	s := w.stores.all[m.store]
	rec := w.record(m)
	p := w.devs.all[m.dev]
	var chains []wire.Hash
	if rec != nil {
		n.last = rec.number
		chains = append(chains, rec.chain)
	}
	if p.Key != nil && device.Phase(p.Phase) != device.Superseded {
		chains = append(chains, p.Key.Chain)
	}
	n.owner = make(map[wire.Hash]bool)
	requests := make([]*request, 0, room)
	for _, i := range m.requests {
		if i != 0 {
			r := w.reqs.all[i]
			requests = append(requests, r)
			if r.numbered() {
				n.owner[r.hash] = true
			}
			if r.op != protocol.OpEnroll && r.op != protocol.OpReport {
				chains = append(chains, r.chain)
			}
		}
	}
	n.rooted(chains)
	n.record(rec)
	if w.scope.Enrolment {
		n.others(s, rec, p)
	}
	n.phone(m.dev)
	n.call(m.call)
	slices.SortStableFunc(requests, func(a, b *request) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.op, b.op), cmp.Compare(a.challenge.Issued, b.challenge.Issued))
	})
	for _, r := range requests {
		n.request(r)
	}
	n.put(-1)
	var heard []string
	for _, i := range m.answers {
		if i != 0 {
			from := len(n.b)
			n.answer(w.answers.all[i])
			heard = append(heard, string(n.b[from:]))
			n.b = n.b[:from]
		}
	}
	slices.Sort(heard)
	for _, a := range slices.Compact(heard) {
		n.b = append(n.b, a...)
	}
	n.put(int64(m.stage), int64(m.left), int64(m.wrongs))
	if w.scope.Latest > 0 {
		n.put(m.now)
	}
	n.heist(m)
	sum := sha256.Sum256(n.b)
	return [16]byte(sum[:])
}
