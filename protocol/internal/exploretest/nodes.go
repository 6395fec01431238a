package exploretest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// node is one of the server's: its clock, and the keys that it has.
type node struct {
	name      string
	ahead     int64 // of the right time, in milliseconds
	challenge int   // which challenge key
	hpke      int   // how far the roll-out of the next HPKE key is
}

const minute = int64(time.Minute / time.Millisecond)

// nodes are the three nodes in each stage of a roll-out. The second is as far ahead as a
// challenge's issuer may be, and the third as far behind.
var stages = [][3]node{
	{{"A", 0, 0, 0}, {"B", minute, 0, 0}, {"C", -minute, 0, 0}},
	{{"A", 0, 1, 1}, {"B", minute, 0, 1}, {"C", -minute, 0, 1}}, // A has the new challenge key
	{{"A", 0, 1, 2}, {"B", minute, 1, 1}, {"C", -minute, 1, 1}}, // A leads devices to the next HPKE key
	{{"A", 0, 1, 2}, {"B", minute, 1, 2}, {"C", -minute, 1, 2}},
	{{"A", 0, 1, 3}, {"B", minute, 1, 3}, {"C", -minute, 1, 3}}, // the old HPKE key is erased
}

func (w *world) node(stage, i int) node { return stages[stage][i] }

// servedKey is a step of a server's, with all that its result depends on.
type servedKey struct {
	store, request  int32
	at              int64 // by the node's clock
	challenge, hpke int8
}

// response is where a step of a server's leads.
type response struct {
	store  int32
	answer int32 // 0: none left the node
	faults string
	clean  bool
	signed bool // the service was given signatures,
	taken  bool // and took them
}

// serve gives a request to a node.
func (w *world) serve(store, req int32, now int64, n node) []response {
	key := servedKey{store, req, now + n.ahead, int8(n.challenge), int8(n.hpke)}
	if outs, ok := w.served[key]; ok {
		return outs
	}
	var outs []response
	each(nil, w.scope.Faults && !w.reqs.all[req].thief, func(c *chooser) {
		r := w.runNode(c, key)
		w.checkServed(key, r)
		if !slices.ContainsFunc(outs, func(p response) bool { return p.store == r.store && p.answer == r.answer }) {
			outs = append(outs, r)
		}
	})
	w.served[key] = outs
	return outs
}

// clean is serve where nothing fails.
func (w *world) clean(store, req int32, now int64, n node) response {
	return w.serve(store, req, now, n)[0]
}

func (w *world) runNode(c *chooser, k servedKey) response {
	w.random(1)
	w.clock = w.at(k.at)
	*w.store = store{entries: w.stores.all[k.store].entries, c: c}
	var out response
	q := w.reqs.all[k.request]
	w.signed = func(s server.Signed) error {
		rec := w.stores.all[w.stored(w.store.entries)].records[q.id]
		if rec == nil || rec.last != q.hash || rec.fate != wire.FateRight {
			w.bad("signatures were made before the count was durable")
		}
		out.signed = true
		if c.choose("", "the service does not take the signatures") > 0 {
			return protocoltest.ErrLost
		}
		out.taken = true
		return nil
	}
	s := w.servers[k.challenge][k.hpke]
	var sealed []byte
	var err error
	ended := w.real(func() { sealed, err = s.Handle(context.WithoutCancel(w.t.Context()), q.sealed) })
	out.store = w.stored(w.store.entries)
	if ended == nil && err == nil {
		out.answer = w.answer(k.request, sealed, false)
	}
	out.clean = len(c.told) == 0
	for _, f := range c.told {
		out.faults += "; " + f
	}
	return out
}

// revoke has the service revoke the device's key at the first node.
func (w *world) revoke(m *moment) (int32, bool) {
	n := w.node(int(m.stage), 0)
	w.clock = w.at(m.now + n.ahead)
	none := new(chooser)
	*w.store = store{entries: w.stores.all[m.store].entries, c: none}
	ok := false
	w.real(func() { ok = w.servers[n.challenge][n.hpke].Revoke(w.t.Context(), w.idOf(m.dev), "explored") == nil })
	return w.stored(w.store.entries), ok
}

// race: the write of another request comes between a node's load and its write. The
// result must be that of one after the other.
func (w *world) race(m *moment, a, b int32) {
	n := w.node(int(m.stage), 0)
	k := [3]int64{int64(m.store), int64(a)<<32 | int64(b), m.now}
	if w.raced[k] {
		return
	}
	w.raced[k] = true
	first := w.clean(m.store, b, m.now, n)
	if first.store == m.store {
		return
	}
	want := w.clean(first.store, a, m.now, n)
	key := servedKey{m.store, a, m.now + n.ahead, int8(n.challenge), int8(n.hpke)}
	w.random(1)
	w.clock = w.at(key.at)
	q := w.reqs.all[a]
	*w.store = store{entries: w.stores.all[key.store].entries, c: new(chooser)}
	hit := false
	w.store.between = func() {
		hit = true
		w.store.entries = slices.Clone(w.stores.all[first.store].entries)
		for i := range w.store.entries {
			w.store.entries[i].version = 7
		}
	}
	w.signed = func(server.Signed) error { return nil }
	var sealed []byte
	var err error
	w.real(func() { sealed, err = w.servers[n.challenge][n.hpke].Handle(w.t.Context(), q.sealed) })
	if !hit {
		return
	}
	var got int32
	if err == nil {
		got = w.answer(a, sealed, false)
	}
	if w.stored(w.store.entries) != want.store || !w.sameAnswer(got, want.answer) {
		w.bad("%s at the same time as %s ends otherwise than after it", q.name, w.reqs.all[b].name)
	}
}

// sameAnswer: answers differ in nothing but the random part of a challenge.
func (w *world) sameAnswer(a, b int32) bool {
	if a == 0 || b == 0 {
		return a == b
	}
	x, y := w.answers.all[a].Answer, w.answers.all[b].Answer
	return x.Code == y.Code && x.Verdict == y.Verdict && x.Reason == y.Reason && fmt.Sprint(x.Signatures) == fmt.Sprint(y.Signatures)
}
