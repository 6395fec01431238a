package exploretest

import (
	"fmt"

	"github.com/tandem-rsa/tandem/protocol/device"
)

// checkCalm: from each moment on, if nothing fails any more, the owner ends what is
// pending and gets a signature; then both sides agree, and no wrong PIN is left.
func (w *world) checkCalm(m *moment) {
	from := moment{dev: m.dev, store: m.store, now: m.now, stage: m.stage, wrongs: m.wrongs}
	from.send(w, w.devs.all[m.dev].request)
	key := w.key(&from)
	var full [32]byte
	copy(full[:], key[:])
	if w.closed[full] {
		return
	}
	w.closed[full] = true
	if what := w.calm(from); what != "" {
		w.bad("a fair network does not help: %s", what)
	}
}

func (w *world) calm(m moment) string {
	n := w.node(int(m.stage), 0)
	for range 12 {
		rec := w.record(&m)
		if rec == nil || rec.condition == destroyed { // the device has learnt of it, or will
			return ""
		}
		if p := w.devs.all[m.dev]; m.stage >= 2 && p.Serial < 2 { // it comes with the challenge
			m.dev = w.begin(callKey{dev: m.dev, op: document})[0].dev
			continue
		} else if p.request != 0 {
			if stuck := w.settle(&m, n); stuck != "" {
				return stuck
			}
			continue
		}
		if w.lockedAt(rec, w.base.UnixMilli()+m.now) {
			m.now = rec.at + rec.lock - w.base.UnixMilli()
		}
		op := Sign
		if device.Phase(w.devs.all[m.dev].Phase) == device.Unconfirmed {
			op = Confirm
		}
		o := w.begin(callKey{dev: m.dev, op: op, stage: m.stage, at: m.now})[0]
		if o.sent == 0 {
			return fmt.Sprintf("%v: %s", op, verdict(o.err))
		}
		m.dev = o.dev
		r := w.clean(m.store, o.sent, m.now, n)
		if r.answer == 0 {
			return fmt.Sprintf("%v: no answer", op)
		}
		m.store = r.store
		if w.record(&m).condition == destroyed { // it was not confirmed in time
			return ""
		}
		h := w.hear(&m, r.answer)[0]
		if h.err != nil || !h.ended {
			return fmt.Sprintf("%v: %s", op, verdict(h.err))
		}
		m.dev = h.dev
		p, rec := w.devs.all[m.dev], w.record(&m)
		if p.Pending != nil || p.Key.Number != rec.number || p.Key.Chain != rec.chain || p.token != rec.commitment || rec.wrong != 0 {
			return "the two sides disagree in the end"
		}
		return ""
	}
	return "it never ends"
}

// settle resumes what is pending, or cancels it if it is not answered.
func (w *world) settle(m *moment, n node) string {
	req := m.awaited(w)
	r := w.clean(m.store, req, m.now, n)
	var o outcome
	if r.answer == 0 {
		o = w.begin(callKey{dev: m.dev, op: cancel, stage: m.stage, at: m.now})[0]
		if o.sent == 0 {
			return "cancel: " + verdict(o.err)
		}
	} else {
		m.store = r.store
		o = w.hear(m, r.answer)[0]
	}
	m.dev, m.call = o.dev, o.call
	for m.call != 0 {
		r := w.clean(m.store, o.sent, m.now, n)
		if r.answer == 0 {
			return "no answer to " + w.reqs.all[o.sent].name
		}
		m.store = r.store
		o = w.hear(m, r.answer)[0]
		m.dev, m.call = o.dev, o.call
	}
	if w.devs.all[m.dev].request == req {
		return "still pending: " + verdict(o.err)
	}
	return ""
}
