package exploretest

import (
	"bytes"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// unenrolled is a device without a key, and a store without a record. All enrolments are
// of the same shares: a device that makes its own ones is the easier case, since no
// modulus is reserved for another key then.
func (w *world) unenrolled() moment { return moment{dev: w.dev(nil), store: w.stored(nil)} }

// checkEnrolled holds against "Enrolment" in docs/protocol.md, section 5, what an
// enrolment has done at a node.
func (w *world) checkEnrolled(k servedKey, r response) {
	q, at := w.reqs.all[k.request], w.base.UnixMilli()+k.at
	before, after := w.stores.all[k.store], w.stores.all[r.store]
	own := after.records[q.id]
	living := 0
	for id, rec := range after.records {
		was := before.records[id]
		switch {
		case was == nil:
			if id != q.id || rec.condition != pending || rec.commitment != q.target || rec.chain != q.hash || rec.enrollment != q.hash || rec.number != 0 || rec.wrong != 0 {
				w.bad("an enrolment made a record that is not its own")
			}
			if q.challenge.Expires <= at {
				w.bad("an enrolment was carried out after its challenge had expired")
			}
		case !sameEntry(before, after, id) && !(rec.condition == destroyed && protocol.Reason(rec.reason) == protocol.ReasonExpired && was.condition == pending && at >= was.until):
			w.bad("an enrolment changed a record that existed")
		}
		if rec.condition == active || rec.condition == pending && at < rec.until {
			living++
		}
	}
	if living > 1 {
		w.bad("two keys with one modulus")
	}
	if r.answer == 0 {
		if r.clean && q.minted == int(k.challenge) && w.canOpen(q, k) {
			w.bad("no answer to %s", q.name)
		}
		return
	}
	switch a := w.answers.all[r.answer]; a.Code {
	case wire.CodeEnrolled:
		if own == nil || own.enrollment != q.hash || own.condition == destroyed {
			w.bad("enrolled, and there is no such record")
		}
	case wire.CodeExpired:
		if q.challenge.Expires > at || own != nil {
			w.bad("an enrolment is called expired, and it is not")
		}
	case wire.CodeKeyRefused:
		if len(before.entries) == 0 || own != nil {
			w.bad("an enrolment is refused, and nothing stands in its way")
		}
	case wire.CodeDestroyed:
		if own == nil || own.condition != destroyed && at < own.until {
			w.bad("an enrolment is called destroyed, and it is not")
		}
	case wire.CodeLater:
		if r.clean && !w.scope.Composite {
			w.bad("later, and nothing failed, to %s", q.name)
		}
	default:
		w.bad("code %d to an enrolment", a.Code)
	}
}

func sameEntry(a, b *stored, id protocol.KeyID) bool {
	name := "key/" + id.String()
	for _, x := range a.entries {
		for _, y := range b.entries {
			if x.id == name && y.id == name {
				return bytes.Equal(x.value, y.value)
			}
		}
	}
	return false
}

// checkEnrolling: on a fair network an enrolment under way ends, by the end of its
// challenge at the latest; and a key that is then unconfirmed is in step with its record.
func (w *world) checkEnrolling(m *moment) {
	from := moment{dev: m.dev, store: m.store, now: m.now, stage: m.stage}
	n := w.node(int(from.stage), 0)
	for range 3 {
		r := w.clean(from.store, w.devs.all[from.dev].request, from.now, n)
		if r.answer == 0 {
			w.bad("an enrolment without an answer")
			return
		}
		from.store = r.store
		from.dev = w.hear(&from, r.answer)[0].dev
		p := w.devs.all[from.dev]
		if phase := device.Phase(p.Phase); phase != device.Enrolling {
			if phase == device.Unconfirmed {
				w.checkInStep(p, w.record(&from))
			}
			return
		}
		from.now += life.Milliseconds()
	}
	w.bad("an enrolment that does not end")
}
