package exploretest

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Op is what the owner asks of the device.
type Op int8

const (
	Sign Op = iota
	SignWrong
	Batch // of two documents
	Refresh
	ChangePIN
	ChangePINWrong
	Confirm
	ConfirmWrong
	Enroll
	cancel
	resume
	report
	document
)

var opNames = [...]string{"sign", "sign with a wrong PIN", "batch", "refresh", "change PIN", "change PIN with a wrong one",
	"confirm", "confirm with a wrong PIN", "enroll", "cancel", "resume", "report", "take the key document"}

func (o Op) String() string { return opNames[o] }

// right says that the PIN is, where the operation has one.
func (o Op) right() bool { return o != SignWrong && o != ChangePINWrong && o != ConfirmWrong }

// begins says that the operation makes a request with a number of its own.
func (o Op) begins() bool { return o <= Enroll }

func (o Op) changes() bool { return o == ChangePIN || o == ChangePINWrong }

// callKey is a call of the device's, with all that its result depends on.
type callKey struct {
	dev    int32 // the storage before
	op     Op
	issuer int8  // the node that made the challenge
	stage  int8  // of the roll-out, then
	at     int64 // then, in milliseconds
	enroll int16 // of an enrolment: the first, the second and so on
}

// call is one that waits for an answer, and of which the storage does not hold
// everything: a new PIN, or the key of the answer to a Cancel or a Report, is in memory
// only.
type call struct {
	callKey
	heard  []int32
	script []int8 // the choices so far
	sent   int32  // the request that it waits for
}

// runKey is a step of a call: to its first request, or from an answer (0 for none) to the
// next request or its end.
type runKey struct {
	callKey
	call int32
	step int32 // -1 to begin
}

// outcome is where a step leads.
type outcome struct {
	op     Op
	dev    int32
	call   int32  // that waits, or 0
	sent   int32  // what was sent, or 0
	ended  bool   // the call returned,
	err    error  // and what
	faults string // what failed
	clean  bool   // nothing did
}

// begin starts a call.
func (w *world) begin(k callKey) []outcome {
	return w.step(runKey{callKey: k, step: -1}, k, nil, nil)
}

// hear continues a call that waits, or resumes the pending request and hears the answer.
func (w *world) hear(m *moment, ans int32) []outcome {
	if m.call != 0 {
		c := w.calls.all[m.call]
		return w.step(runKey{call: m.call, step: ans}, c.callKey, append(slices.Clone(c.heard), ans), c.script)
	}
	k := w.resuming(m.dev)
	return w.step(runKey{callKey: k, step: ans}, k, []int32{ans}, nil)
}

// resuming is the call of Resume.
func (w *world) resuming(dev int32) callKey {
	return callKey{dev: dev, op: resume}
}

func (w *world) step(key runKey, k callKey, heard []int32, script []int8) []outcome {
	if outs, ok := w.runs[key]; ok {
		return outs
	}
	var outs []outcome
	each(script, w.scope.Faults, func(c *chooser) {
		o := w.runCall(c, k, heard)
		if !slices.ContainsFunc(outs, func(p outcome) bool {
			return p.dev == o.dev && p.call == o.call && p.sent == o.sent && p.ended == o.ended && verdict(p.err) == verdict(o.err)
		}) {
			outs = append(outs, o)
		}
	})
	w.runs[key] = outs
	return outs
}

// runCall runs the real device from the beginning of the call.
func (w *world) runCall(c *chooser, k callKey, heard []int32) outcome {
	*w.phone = storage{data: []byte(w.devs.bytes[k.dev]), c: c}
	i := 0
	w.wire = func(_ context.Context, sealed []byte) ([]byte, error) {
		if i == len(heard) {
			w.phone.over = true
			panic(waiting{slices.Clone(sealed)})
		}
		i++
		if heard[i-1] == 0 {
			return nil, protocoltest.ErrLost
		}
		return w.answers.all[heard[i-1]].sealed, nil
	}
	o := outcome{op: k.op}
	ended := w.real(func() { o.err = w.perform(k) })
	o.ended, o.clean = ended == nil, len(c.told) == 0
	for _, f := range c.told {
		o.faults += "; " + f
	}
	o.dev = w.learn(k, w.phone.data)
	if wait, ok := ended.(waiting); ok {
		o.sent = w.request(wait.request, k, false)
		w.checkSent(o)
		if p := w.devs.all[o.dev]; o.sent != p.request || k.op.changes() {
			cl := &call{k, heard, slices.Clone(c.taken), o.sent}
			key := fmt.Sprint(k, heard, cl.script, o.sent)
			n, ok := w.calls.find(key)
			if !ok {
				n = w.calls.add(key, cl)
			}
			o.call = n
		}
	}
	return o
}

// perform makes the call. What it draws is decided by the storage, which has the number
// and the chain of the next request, by the operation, and by what its challenge depends
// on: so no two requests draw the same, unless they are the same.
func (w *world) perform(k callKey) error {
	ctx := w.t.Context()
	w.random(seedOf(w.devs.bytes[k.dev], int64(k.op), int64(k.issuer), int64(k.stage), k.at, int64(k.enroll)))
	n := w.node(int(k.stage), int(k.issuer))
	w.clock = w.at(k.at + n.ahead)
	s := w.servers[n.challenge][n.hpke]
	pin, other := w.pinOf(k.dev)
	if !k.op.right() {
		pin = protocoltest.WrongPIN
	}
	digests := [][]byte{protocoltest.DigestOf("x"), protocoltest.DigestOf("y")}
	var c []byte
	var err error
	switch k.op {
	case Sign, SignWrong:
		c, err = s.ChallengeSignAll(ctx, w.idOf(k.dev), digests[:1], crypto.SHA256)
	case Batch:
		c, err = s.ChallengeSignAll(ctx, w.idOf(k.dev), digests, crypto.SHA256)
	case Enroll:
		_, c, err = s.ChallengeEnroll(ctx)
	case Confirm, ConfirmWrong, Refresh, ChangePIN, ChangePINWrong, cancel, report:
		c, err = s.Challenge(ctx, w.idOf(k.dev))
	}
	require.NoError(w.t, err)
	switch k.op {
	case Sign, SignWrong:
		_, err = w.device.Sign(ctx, c, digests[0], crypto.SHA256, pin)
	case Batch:
		_, err = w.device.SignAll(ctx, c, digests, crypto.SHA256, pin)
	case Refresh:
		err = w.device.Refresh(ctx, c)
	case ChangePIN, ChangePINWrong:
		err = w.device.ChangePIN(ctx, c, pin, other)
	case Confirm, ConfirmWrong:
		err = w.device.Confirm(ctx, c, pin)
	case Enroll:
		client, share := protocoltest.Shares()
		err = w.device.Enroll(ctx, device.EnrollOptions{Challenge: c, PIN: pins[0], Client: client, Server: share})
	case cancel:
		err = w.device.Cancel(ctx, c)
	case report:
		err = w.device.Report(ctx, c)
	case resume:
		_, err = w.device.Resume(ctx)
	case document:
		err = w.device.UseKeyDocument(w.nextDoc)
	}
	return err
}

func seedOf(content string, also ...int64) uint64 {
	b := []byte(content)
	for _, v := range also {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

func (w *world) at(ms int64) time.Time { return w.base.Add(time.Duration(ms) * time.Millisecond) }

func (w *world) idOf(dev int32) protocol.KeyID {
	if k := w.devs.all[dev].Key; k != nil {
		return k.ID
	}
	return w.id
}

// pinOf returns the PIN of the lockbox, and the one that it can be changed to.
func (w *world) pinOf(dev int32) (pin, other []byte) {
	n := w.devs.all[dev].pin
	return pins[n], pins[1-n]
}

// learn numbers a storage that a call has left, and what is new in it.
func (w *world) learn(k callKey, data []byte) int32 {
	if i, ok := w.devs.find(string(data)); ok {
		return i
	}
	s := new(protocoltest.State)
	if len(data) > 0 {
		var err error
		s, err = protocoltest.ParseState(data)
		require.NoError(w.t, err)
	}
	if s.Key != nil && len(s.Key.Lockbox) > 0 {
		if _, ok := w.pins[string(s.Key.Lockbox)]; !ok {
			before := w.devs.all[k.dev]
			switch k.op {
			case ChangePIN:
				w.pins[string(s.Key.Lockbox)] = 1 - before.pin
			case Enroll:
				w.pins[string(s.Key.Lockbox)] = 0
			default:
				w.bad("a lockbox that %v has made", k.op)
				w.pins[string(s.Key.Lockbox)] = before.pin
			}
		}
	}
	if s.Pending != nil {
		w.request(s.Pending.Request, k, false)
	}
	return w.dev(data)
}

// checkSent: what is sent is saved. A request that has a number is the pending one; a
// Cancel is of the pending one, and its mark is saved; a Report is a superseded key's.
func (w *world) checkSent(o outcome) {
	r, p := w.reqs.all[o.sent], w.devs.all[o.dev]
	switch {
	case r.op == protocol.OpCancel:
		if p.Pending == nil || !p.Pending.Cancel || p.Pending.Hash() != r.target {
			w.bad("a Cancel was sent of what is not stored as to be cancelled")
		}
	case r.op == protocol.OpReport:
		if device.Phase(p.Phase) != device.Superseded {
			w.bad("a Report of a key that is not stored as superseded")
		}
	case p.request != o.sent:
		w.bad("%s was sent and is not what is stored as pending", r.name)
	}
}

// pendingOf returns the pending request that has a number, or nil.
func (w *world) pendingOf(m *moment) *request {
	if i := w.devs.all[m.dev].request; i != 0 {
		return w.reqs.all[i]
	}
	return nil
}

// fateOf is what the store says of a request: its fate, or 0 for one that is not settled,
// and whether it still can be.
func fateOf(rec *record, r *request) (f wire.Fate, open bool) {
	switch {
	case rec == nil:
		return 0, true
	case rec.number == r.number && rec.last == r.hash:
		return rec.fate, false
	}
	return 0, r.number > rec.number && rec.condition != destroyed
}
