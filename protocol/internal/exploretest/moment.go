package exploretest

import (
	"fmt"
	"slices"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
)

// room is how many requests, and how many answers, may be under way. A moment that has
// more is an error of the scope, and none is left out.
const room = 12

// moment is all that the future depends on, and what the claims are about.
type moment struct {
	dev, call, store int32
	requests         [room]int32 // that were sent, and may arrive at any time, any number of times
	answers          [room]int32 // that were made, to the request that the device waits for
	now              int64       // the right time, in milliseconds since the exploration began
	stage            int8        // of the roll-out
	enrolments       int16       // that were begun
	left             int8        // operations that the owner may still begin; -1 for any number
	wrongs           int8        // wrong PINs that were settled since the last right one
	heist
}

func (m *moment) send(w *world, req int32) {
	if req == 0 || slices.Contains(m.requests[:], req) {
		return
	}
	i := slices.Index(m.requests[:], 0)
	if i < 0 {
		w.t.Fatalf("%s: more than %d requests under way", w.scope.Name, room)
	}
	m.requests[i] = req
}

func (m *moment) answered(w *world, ans int32) {
	if ans == 0 || w.answers.all[ans].request != m.awaited(w) || slices.Contains(m.answers[:], ans) {
		return
	}
	i := slices.Index(m.answers[:], 0)
	if i < 0 {
		w.t.Fatalf("%s: more than %d answers under way", w.scope.Name, room)
	}
	m.answers[i] = ans
}

// awaited is the request whose answer would be heard.
func (m *moment) awaited(w *world) int32 {
	if m.call != 0 {
		return w.calls.all[m.call].sent
	}
	return w.devs.all[m.dev].request
}

// tidy leaves out what can change nothing any more. An answer to a request that the
// device waits for no more opens nothing. A request is kept until scope.Window later ones
// were settled. Of several Cancels of one request, which differ in the challenge, the one
// that the device waits for is kept, or any, for each challenge key; and so of Reports.
func (m *moment) tidy(w *world) {
	if w.silent(m) {
		m.call, m.answers = 0, [room]int32{}
	}
	rec, awaited := w.record(m), m.awaited(w)
	kept := make(map[alike]bool)
	if awaited != 0 {
		kept[w.reqs.all[awaited].alike()] = true
	}
	was := m.requests
	m.requests = [room]int32{}
	n := 0
	for _, i := range was {
		if i == 0 {
			continue
		}
		r := w.reqs.all[i]
		old := rec != nil && w.scope.Window > 0 && r.op != protocol.OpReport && r.op != protocol.OpEnroll && r.number+uint64(w.scope.Window) <= rec.number
		if i == awaited || !old && !kept[r.alike()] {
			m.requests[n] = i
			n++
			kept[r.alike()] = true
		}
	}
	heard := m.answers
	m.answers = [room]int32{}
	n = 0
	for _, a := range heard {
		if a != 0 && w.answers.all[a].request == awaited {
			m.answers[n] = a
			n++
		}
	}
}

// alike is what a node sees of a request, but for its challenge where it has no number of
// its own.
type alike struct {
	op      protocol.Operation
	subject [32]byte
	minted  int
}

func (r *request) alike() alike {
	a := alike{op: r.op, minted: r.minted}
	if r.op != protocol.OpReport {
		a.subject = r.subject()
	}
	return a
}

// sequel is one thing that can happen next.
type sequel struct {
	label string
	said  string // what a node answers, or what the owner hears
	to    moment
}

// next returns everything that can happen next, each under a label of its own.
func (w *world) next(m moment) []sequel {
	if rec := w.record(&m); m.copies > 0 && rec != nil && rec.condition == destroyed && !w.playing {
		return nil // the thief gets nothing any more, and the owner has been told or will be
	}
	var all []sequel
	seen := make(map[string]int)
	emit := func(to moment, said, format string, args ...any) {
		to.tidy(w)
		if to == m && !w.playing {
			return
		}
		label := fmt.Sprintf(format, args...)
		if seen[label]++; seen[label] > 1 {
			label += fmt.Sprintf(" (%d)", seen[label])
		}
		all = append(all, sequel{label, said, to})
	}
	if !w.silent(&m) {
		w.ownerActs(m, emit)
		w.deviceHears(m, emit)
	}
	w.nodesServe(m, emit)
	w.worldMoves(m, emit)
	w.thiefActs(m, emit)
	return all
}

// silent: nobody hears of the owner any more.
func (w *world) silent(m *moment) bool { return w.scope.Silent && m.acted }

// said is what the owner hears: nothing from a call that waits or has crashed.
func (o outcome) said() string {
	if !o.ended {
		return ""
	}
	return verdict(o.err)
}

// told is what a node answers.
func (w *world) told(ans int32) string {
	if ans == 0 {
		return ""
	}
	return w.answers.all[ans].name
}

type emitter func(to moment, said, format string, args ...any)

// ownerActs: the owner begins something, or cancels or reports. The first request is
// sent, unless a save fails.
func (w *world) ownerActs(m moment, emit emitter) {
	if m.call != 0 {
		return
	}
	p := w.devs.all[m.dev]
	do := func(k callKey, what string) {
		for _, o := range w.begin(k) {
			w.checkOutcome(&m, 0, o)
			if k.op.begins() && w.stillPending(&m, k) && (o.dev != m.dev || verdict(o.err) != "an earlier one is pending") {
				w.bad("a new request while another one is pending and may still be answered")
			}
			if o.dev == m.dev && o.sent == 0 && !w.playing {
				continue
			}
			to := m
			to.dev, to.call = o.dev, o.call
			if k.op.begins() {
				if k.op == Enroll && o.dev != m.dev {
					to.enrolments, to.wrongs = k.enroll, 0
				}
				to.left = max(m.left-1, min(m.left, -1))
			}
			to.send(w, w.devs.all[o.dev].request)
			to.send(w, o.sent)
			from := ""
			if w.scope.Issuers > 1 && k.op != resume && k.op != document {
				from = " with a challenge of " + w.node(int(m.stage), int(k.issuer)).name
			}
			emit(to, o.said(), "%s%s%s", what, from, o.faults)
		}
	}
	for issuer := range int8(max(1, w.scope.Issuers)) {
		k := callKey{dev: m.dev, issuer: issuer, stage: m.stage, at: m.now}
		if p.request != 0 {
			k.op = cancel
			do(k, fmt.Sprintf("cancel %d", w.reqs.all[p.request].number))
		}
		if device.Phase(p.Phase) == device.Superseded {
			k.op = report
			do(k, "report")
		}
		if m.left == 0 {
			continue
		}
		for i, op := range w.scope.ops(device.Phase(p.Phase)) {
			// While a request is pending a new one is refused. Which one that is makes no
			// difference, so one is tried.
			k.op = op
			if i > 0 && !w.playing && w.stillPending(&m, k) {
				break
			}
			if op == Enroll {
				k.enroll = m.enrolments + 1
				do(k, fmt.Sprintf("enroll %d", k.enroll))
			} else if p.Key != nil {
				do(k, fmt.Sprintf("%v %d", op, p.Key.Number+1))
			}
		}
	}
	if device.Phase(p.Phase) == device.Superseded {
		do(w.resuming(m.dev), "resume")
	}
	if w.scope.Rollout && m.stage >= 2 && p.Serial < 2 && device.Phase(p.Phase) <= device.Ready {
		do(callKey{dev: m.dev, op: document}, document.String())
	}
}

// stillPending: a request is pending that its owner has not given up, and whose challenge
// had not expired when that of the new call was issued.
func (w *world) stillPending(m *moment, k callKey) bool {
	q := w.devs.all[m.dev].Pending
	return q != nil && k.op != Enroll && !q.Cancel && w.at(k.at+w.node(int(k.stage), int(k.issuer)).ahead).UnixMilli() < q.Challenge.Expires
}

// deviceHears: an answer arrives at the device, in the call that waits for it or in a
// Resume; or the call gets none, or ends with its process.
func (w *world) deviceHears(m moment, emit emitter) {
	hear := func(ans int32, what string) {
		for _, o := range w.hear(&m, ans) {
			w.checkOutcome(&m, ans, o)
			to := m
			to.dev, to.call = o.dev, o.call
			to.send(w, w.devs.all[o.dev].request)
			to.send(w, o.sent)
			emit(to, o.said(), "%s%s", what, o.faults)
		}
	}
	for _, ans := range m.answers {
		if ans != 0 {
			hear(ans, "hear "+w.answers.all[ans].name)
		}
	}
	if m.call != 0 {
		hear(0, "no answer")
		to := m
		to.call = 0
		emit(to, "", "crash")
	} else if w.devs.all[m.dev].request != 0 {
		hear(0, "no answer")
	}
}

// nodesServe: a request arrives at a node.
func (w *world) nodesServe(m moment, emit emitter) {
	for _, req := range m.requests {
		if req == 0 {
			continue
		}
		for i := range w.scope.Nodes {
			n := w.node(int(m.stage), i)
			for _, r := range w.serve(m.store, req, m.now, n) {
				to := m
				w.arrived(&m, &to, req, r)
				w.comesTrue(&to)
				emit(to, w.told(r.answer), "deliver %s to %s%s", w.reqs.all[req].name, n.name, r.faults)
			}
		}
		if w.scope.Races {
			for _, other := range m.requests {
				if other != 0 && other != req {
					w.race(&m, req, other)
				}
			}
		}
	}
}

// worldMoves: time passes, a roll-out goes on, the service revokes the key.
func (w *world) worldMoves(m moment, emit emitter) {
	for _, d := range w.scope.Moves {
		to := m
		to.now += d.Milliseconds()
		if w.scope.Latest > 0 && (to.now < 0 || to.now > w.scope.Latest.Milliseconds()) {
			continue
		}
		emit(to, "", "wait %v", d)
	}
	if w.scope.Rollout && int(m.stage) < len(stages)-1 {
		to := m
		to.stage++
		emit(to, "", "roll out, stage %d", to.stage)
	}
	if rec := w.record(&m); w.scope.Revoke && rec != nil && rec.condition != destroyed {
		to := m
		store, ok := w.revoke(&m)
		if !ok {
			w.bad("a key that cannot be revoked")
		}
		to.store = store
		emit(to, "", "revoke")
	}
}
