package exploretest

import (
	"bytes"
	"errors"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// What is claimed of one step of the device's: that what it keeps, and what it tells its
// caller, is so. The answers are the server's here, also late ones; what a thief may make
// the device believe is in heist.go.

// checkOutcome holds an outcome against the record as it stands. ans is the answer that
// was heard, or 0.
func (w *world) checkOutcome(m *moment, ans int32, o outcome) {
	before, after := w.devs.all[m.dev], w.devs.all[o.dev]
	w.checkLockbox(m, ans, o, before, after)
	if ans == 0 && o.ended && o.dev != m.dev && after.Pending == nil && before.Pending != nil && device.Phase(before.Phase) != device.Enrolling {
		w.bad("what was pending is gone, and nothing was heard of it")
	}
	if ans != 0 && w.answers.all[ans].Code == wire.CodeLater && o.dev != m.dev {
		w.bad("the device acts on an answer that asks it to wait")
	}
	if ans != 0 && w.answers.all[ans].Code == wire.CodeCancelled && before.Pending != nil && !before.Pending.Cancel && after.Pending == nil &&
		device.Phase(after.Phase) == device.Ready {
		w.bad("the device goes on after a Cancel that its owner did not ask for")
	}
	if m.copies > 0 || !o.ended || o.op == document {
		return
	}
	q := w.pendingOf(m)
	if q == nil || !q.numbered() {
		return
	}
	rec := w.record(m)
	f, open := fateOf(rec, q)
	err := o.err
	said := verdict(err)
	var dead *protocol.DestroyedError
	var wrong *limiter.WrongPINError
	switch {
	case errors.As(err, &dead):
		if rec.condition != destroyed {
			w.bad("%s: the caller hears that the key is destroyed, and it is not", q.name)
		}
	case errors.As(err, &wrong):
		if f != wire.FateWrong {
			w.bad("%s: the caller hears of a wrong PIN, and the fate is %d", q.name, f)
		}
	case said == "superseded" && rec.condition != destroyed:
		w.bad("%s: the caller hears of a copy, and there is none", q.name)
	case said == "carried out":
		if f != wire.FateRight {
			w.bad("%s: the caller hears that it was carried out, and the fate is %d", q.name, f)
		}
	case said == "not carried out":
		if f == wire.FateRight || f == wire.FateWrong || open && rec.condition != destroyed {
			w.bad("%s: the caller hears that it was not and will not be carried out; fate %d, open %v", q.name, f, open)
		}
	case said == "done" && o.op == cancel:
		if f != wire.FateCancelled {
			w.bad("%s: the caller hears that it is cancelled, and the fate is %d", q.name, f)
		}
	case said == "done" || said == "PIN unchanged":
		if f != wire.FateRight {
			w.bad("%s: the caller hears that it is done, and the fate is %d", q.name, f)
		}
	}
	if o.clean && (said == "done" || said == "carried out" || said == "not carried out" || wrong != nil) && after.Pending != nil && o.dev != m.dev {
		w.bad("%s: %s, and it is still pending", q.name, said)
	}
}

// checkLockbox: there is one lockbox at a time, and a new one only once the server has
// found the old PIN right.
func (w *world) checkLockbox(m *moment, ans int32, o outcome, before, after *phone) {
	if before.Key == nil || after.Key == nil || device.Phase(after.Phase) > device.Ready || device.Phase(before.Phase) < device.Unconfirmed {
		return
	}
	if before.Key.ID != after.Key.ID { // another enrolment
		return
	}
	changed := !bytes.Equal(before.Key.Lockbox, after.Key.Lockbox)
	if changed && (ans == 0 || w.answers.all[ans].Code != wire.CodeRight || m.call == 0 || o.op != ChangePIN || after.Pending != nil) {
		w.bad("a new lockbox before the server found the old PIN right")
	}
	if q := w.pendingOf(m); !changed && o.ended && o.err == nil && ans != 0 && q != nil && q.op == protocol.OpChangePIN && o.op != cancel {
		w.bad("the caller hears that the PIN is changed, and it is not")
	}
}
