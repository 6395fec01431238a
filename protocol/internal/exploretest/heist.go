package exploretest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// heist is what a thief has and has done. He copies the device's storage at any moment,
// once or twice. From then on he knows the authentication key, all numbers and chains,
// and all requests; he sends what he likes, controls the network, and answers in the
// server's place where he has the response key. He lacks the PIN, and the tokens that
// were drawn after his copies.
type heist struct {
	loot   int32 // tokens and response keys; 0 before the first copy
	copies int8
	before int8 // wrong PINs in a row that were the owner's, at the latest copy before a guess
	told   int8 // wrong PINs that the thief was told of
	locks  int8 // that began since the first copy
	acted  bool // a number was settled for a request of his that the owner knows nothing of
	lied   bool // the device believes an untrue fate
}

// loot is what the copies hold.
type loot struct {
	tokens []wire.Secret
	keys   []int32 // requests whose response key he has
}

func (l *loot) knows(commitment wire.Hash) *wire.Secret {
	for i := range l.tokens {
		if l.tokens[i].Commitment() == commitment {
			return &l.tokens[i]
		}
	}
	return nil
}

// gain adds to the thief's loot.
func (w *world) gain(m *moment, tokens []wire.Secret, key int32) {
	l := new(loot)
	if m.loot != 0 {
		old := w.known.all[m.loot]
		l.tokens, l.keys = slices.Clone(old.tokens), slices.Clone(old.keys)
	}
	for _, t := range tokens {
		if l.knows(t.Commitment()) == nil {
			l.tokens = append(l.tokens, wire.NewSecret(t.Get()))
		}
	}
	if key != 0 && !slices.Contains(l.keys, key) {
		l.keys = append(l.keys, key)
	}
	slices.SortFunc(l.tokens, func(a, b wire.Secret) int { return bytes.Compare(a.Get(), b.Get()) })
	slices.Sort(l.keys)
	id := fmt.Sprint(l.keys)
	for _, t := range l.tokens {
		id += string(t.Get())
	}
	i, ok := w.known.find(id)
	if !ok {
		i = w.known.add(id, l)
	}
	m.loot = i
}

// heist writes what the thief has, as far as it is good for anything: tokens and response
// keys that appear in the moment. All others are old.
func (n *namer) heist(m *moment) {
	if n.w.scope.Copies == 0 {
		return
	}
	n.put(int64(m.copies), int64(m.before), int64(m.told), int64(m.locks))
	n.flag(m.acted, m.lied)
	if m.loot == 0 {
		return
	}
	l := n.w.known.all[m.loot]
	var known []uint64
	for _, t := range l.tokens {
		if id, ok := n.names[t.Commitment()]; ok {
			known = append(known, id)
		}
	}
	for _, k := range l.keys {
		if id, ok := n.names[n.w.reqs.all[k].hash]; ok {
			known = append(known, id)
		}
	}
	slices.Sort(known)
	for _, id := range known {
		n.put(int64(id))
	}
}

// thiefActs: he copies; he guesses, refreshes to a token of his own or one that he knows,
// and cancels, for himself or for the owner; and he answers what the owner has sent.
// Requests of the owner's that he holds back or repeats are in nodesServe.
func (w *world) thiefActs(m moment, emit emitter) {
	p, rec := w.devs.all[m.dev], w.record(&m)
	if w.scope.Copies == 0 || rec == nil || rec.condition == destroyed {
		return
	}
	if m.copies < int8(w.scope.Copies) && device.Phase(p.Phase) == device.Ready {
		to := m
		to.copies++
		tokens := []wire.Secret{p.Key.Token}
		if p.Pending != nil {
			tokens = append(tokens, p.Pending.Next)
		}
		w.gain(&to, tokens, p.request)
		if m.told == 0 {
			to.before = m.wrongs
			if q := w.pendingOf(&m); q != nil && provesPIN(q.op) && q.right { // the owner's last PIN
				to.before = 0
			}
		}
		emit(to, "", "the thief copies the storage")
	}
	if m.copies == 0 {
		return
	}
	l := w.known.all[m.loot]
	token := l.knows(rec.commitment)
	if token == nil { // the server must notice this
		token = &l.tokens[0]
	}
	w.random(w.thiefSeed(&m, "a token"))
	own := wire.DrawSecret()
	do := func(what string, r wire.Request, gained []wire.Secret) {
		r.Number, r.Token, r.Chain = max(r.Number, rec.number+1), *token, rec.chain
		req := w.steal(&m, r)
		to := m
		if gained != nil {
			w.gain(&to, gained, 0)
		}
		said := w.thiefServed(&m, &to, req, p)
		emit(to, said, "%s", what)
	}
	guess := make([]byte, 256)
	guess[255] = 2
	do("the thief guesses", wire.Request{Op: protocol.OpChangePIN, Salts: [][]byte{nil}, Partials: [][]byte{guess}, Target: own.Commitment()}, nil)
	do("the thief guesses, and leaves a number out", wire.Request{Op: protocol.OpChangePIN, Number: rec.number + 2, Salts: [][]byte{nil}, Partials: [][]byte{guess}, Target: own.Commitment()}, nil)
	do("the thief refreshes", wire.Request{Op: protocol.OpRefresh, Target: own.Commitment()}, []wire.Secret{own})
	for i, t := range l.tokens {
		if i < 3 {
			do(fmt.Sprintf("the thief refreshes to token %d", i), wire.Request{Op: protocol.OpRefresh, Target: t.Commitment()}, nil)
		}
	}
	do("the thief cancels", wire.Request{Op: protocol.OpCancel, Target: wire.Hash{9}}, nil)
	if p.request != 0 {
		do("the thief cancels what the owner has sent", wire.Request{Op: protocol.OpCancel, Target: w.reqs.all[p.request].hash}, nil)
	}
	if a := m.awaited(w); a != 0 && !w.silent(&m) && slices.Contains(l.keys, a) {
		w.thiefAnswers(m, a, emit)
	}
}

// steal makes a request of the thief's.
func (w *world) steal(m *moment, r wire.Request) int32 {
	key := fmt.Sprint(m.store, m.now, m.stage, r.Op, r.Number, r.Target, r.Token.Commitment())
	if i, ok := w.stolen[key]; ok {
		return i
	}
	w.random(w.thiefSeed(m, key))
	n := w.node(int(m.stage), 0)
	w.clock = w.at(m.now + n.ahead)
	raw, err := w.servers[n.challenge][n.hpke].Challenge(w.t.Context(), w.id)
	require.NoError(w.t, err)
	r.Challenge, err = wire.ParseChallenge(raw)
	require.NoError(w.t, err)
	pub, err := wire.KEM.NewPublicKey(w.servers[n.challenge][n.hpke].HPKEKey())
	require.NoError(w.t, err)
	sealed, _, err := r.Seal(pub, w.authKey, w.id, nil)
	require.NoError(w.t, err)
	i := w.request(sealed, callKey{}, true)
	w.stolen[key] = i
	return i
}

// thiefSeed decides what the thief draws. The chain in the store is another one after
// each request that is settled, so that he never draws the same again.
func (w *world) thiefSeed(m *moment, what string) uint64 {
	return seedOf(w.stores.bytes[m.store]+what, m.now)
}

// thiefServed gives a request of the thief's to a node, and notes what he is told.
func (w *world) thiefServed(m, to *moment, req int32, p *phone) (said string) {
	q := w.reqs.all[req]
	r := w.clean(m.store, req, m.now, w.node(int(m.stage), 0))
	before := w.record(m)
	w.arrived(m, to, req, r)
	after := w.record(to)
	if r.answer != 0 && w.answers.all[r.answer].Code == wire.CodeWrong {
		to.told++
	}
	if w.known.all[m.loot].knows(before.commitment) == nil && after.condition != destroyed {
		w.bad("a copy was used after the owner had a new token, and is not found")
	}
	if after.number > before.number && (p.request == 0 || q.subject() != w.reqs.all[p.request].hash) {
		to.acted = true
	}
	if lock := lockAfter(w.policy, after.wrong); after.wrong > before.wrong && lock > 0 && lock != forever {
		to.locks++
	}
	if to.told > m.told {
		w.tell(to, int(m.locks))
	}
	return w.told(r.answer)
}

// thiefAnswers: the device hears whatever he likes.
func (w *world) thiefAnswers(m moment, req int32, emit emitter) {
	n := w.node(int(m.stage), 0)
	w.random(4 << 20)
	w.clock = w.at(m.now + n.ahead)
	challenge, err := w.servers[n.challenge][n.hpke].Challenge(w.t.Context(), w.id)
	require.NoError(w.t, err)
	garbage := bytes.Repeat([]byte{3}, 256)
	for _, forged := range []*wire.Answer{
		{Code: wire.CodeRight}, {Code: wire.CodeRight, Signatures: [][]byte{garbage}},
		{Code: wire.CodeWrong, Verdict: wire.Verdict{Remaining: 2, Total: 8}}, {Code: wire.CodeWrong, Challenge: challenge},
		{Code: wire.CodeLocked, Verdict: wire.Verdict{Until: w.at(m.now).UnixMilli() + minute}},
		{Code: wire.CodeDestroyed, Reason: protocol.ReasonRevoked, Challenge: challenge},
		{Code: wire.CodeExpired}, {Code: wire.CodeCancelled}, {Code: wire.CodeUnconfirmed}, {Code: wire.CodeRejected},
		{Code: wire.CodeSuperseded, Challenge: challenge},
	} {
		plain, err := forged.Encode()
		require.NoError(w.t, err)
		w.random(5 << 20)
		sealed, err := w.reqs.all[req].key.Seal(plain)
		require.NoError(w.t, err)
		ans := w.answer(req, sealed, true)
		for _, o := range w.hear(&m, ans) {
			to := m
			to.dev, to.call = o.dev, o.call
			to.send(w, o.sent)
			if q := w.reqs.all[req]; o.ended && o.err == nil && q.op != protocol.OpRefresh {
				w.bad("the device takes a forged answer for signatures of %s", q.name)
			}
			if q, f := w.reqs.all[req], fates[forged.Code]; w.devs.all[o.dev].Pending == nil && f != 0 && device.Phase(w.devs.all[o.dev].Phase) == device.Ready {
				if true_, _ := fateOf(w.record(&m), q); true_ != f {
					to.lied = true
				}
			}
			emit(to, o.said(), "hear %s%s", w.answers.all[ans].name, o.faults)
		}
	}
}

// tell keeps the most that a thief was told, of how many locks he had waited for.
func (w *world) tell(m *moment, waited int) {
	most := w.most[int(m.before)]
	if most == nil {
		most = new([4]int)
		w.most[int(m.before)] = most
	}
	if m.locks == 0 {
		most[0] = max(most[0], int(m.told))
	}
	i := min(waited, 2) + 1
	most[i] = max(most[i], int(m.told))
}

// comesTrue: what the thief has said of a request may become true, if it arrives later.
func (w *world) comesTrue(m *moment) {
	if k := w.devs.all[m.dev].Key; m.lied && k != nil && k.Chain == w.record(m).chain {
		m.lied = false
	}
}

// checkHeist: what a thief gets, and that he is found.
func (w *world) checkHeist(m *moment) {
	rec, p := w.record(m), w.devs.all[m.dev]
	if int(m.told+m.before) > tries(w.policy) {
		w.bad("the thief is told of more wrong PINs than the policy allows")
	}
	if (m.acted || m.lied) && rec.condition != destroyed && device.Phase(p.Phase) == device.Ready {
		from := moment{dev: m.dev, store: m.store, now: m.now, stage: m.stage, wrongs: m.wrongs}
		var full [32]byte
		key := w.key(&from)
		copy(full[:], key[:])
		full[31] = 1
		if !w.closed[full] {
			w.closed[full] = true
			if !w.caught(from) {
				w.bad("the thief used a copy, and the owner's next requests do not end the key")
			}
		}
	}
}

// caught: on a fair network, after the thief has used his copy, the owner's next request
// ends the key, or the Report that follows does.
func (w *world) caught(m moment) bool {
	n := w.node(int(m.stage), 0)
	for rounds, done := 0, 0; done < 2 && rounds < 10; rounds++ {
		if w.record(&m).condition == destroyed {
			return true
		}
		var o outcome
		switch p := w.devs.all[m.dev]; {
		case device.Phase(p.Phase) == device.Superseded:
			o = w.begin(callKey{dev: m.dev, op: report, stage: m.stage, at: m.now})[0]
		case p.request != 0:
			o = outcome{dev: m.dev, sent: p.request}
		default:
			done++
			o = w.begin(callKey{dev: m.dev, op: Refresh, stage: m.stage, at: m.now})[0]
		}
		for range 4 {
			if o.sent == 0 {
				break
			}
			m.dev, m.call = o.dev, o.call
			r := w.clean(m.store, o.sent, m.now, n)
			m.store = r.store
			if r.answer == 0 {
				return w.record(&m).condition == destroyed
			}
			o = w.hear(&m, r.answer)[0]
		}
		m.dev, m.call = o.dev, 0
	}
	return w.record(&m).condition == destroyed
}
