package server

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// settleDown: nothing fails any more. Every signature that was promised is obtained, and
// both sides agree.
func (s *schedule) settleDown() {
	s.calm = true
	for s.keys[0] != s.keys[1] {
		s.operate()
	}
	s.restartDevice() // with the HPKE key of now, as an update of the app has it
	ctx := context.Background()
	if s.phase() == device.Superseded {
		challenge, err := s.nodes[0].Challenge(ctx, s.id)
		s.must(err)
		s.check(s.attempt(0, func(d *device.Device) error { return d.Report(ctx, challenge) }))
	}
	if s.over || len(s.failures) > 0 {
		return
	}
	st, err := protocoltest.ParseState(s.state.Data)
	s.must(err)
	if p := st.Pending; p != nil {
		fate, settled := s.fates[p.Hash()]
		at := s.now.UnixMilli()
		live := p.Challenge.Issued <= at+clockSkew.Milliseconds() && at < p.Challenge.Expires+answerLife.Milliseconds() && s.known(p)
		err := s.attempt(0, func(d *device.Device) error { _, err := d.Resume(ctx); return err })
		if settled && fate == wire.FateRight && live && err != nil && !errors.Is(err, device.ErrPINUnchanged) {
			s.fail("a promised signature was not obtained: %v", err)
		}
		s.check(err)
		if s.over || len(s.failures) > 0 {
			return
		}
		if s.pending() != nil { // its challenge or its HPKE key is gone
			challenge, err := s.nodes[0].Challenge(ctx, s.id)
			s.must(err)
			s.check(s.attempt(0, func(d *device.Device) error { return d.Cancel(ctx, challenge) }))
			if s.over || len(s.failures) > 0 {
				return
			}
			if s.pending() != nil {
				s.fail("a Cancel on a calm day, and the request is still pending: %v", err)
			}
		}
	}
	for range 3 { // each lock may have to be waited for
		var locked *limiter.LockedError
		var signatures [][]byte
		challenge, err := s.nodes[0].ChallengeSignAll(ctx, s.id, texts, crypto.SHA256)
		s.must(err)
		err = s.attempt(wire.FateRight, func(d *device.Device) (err error) {
			signatures, err = d.SignAll(ctx, challenge, texts, crypto.SHA256, s.pin)
			return err
		})
		if errors.As(err, &locked) {
			s.now = locked.Until.Add(time.Second)
			continue
		}
		if err != nil {
			s.check(err)
			if !s.over {
				s.fail("not even on a calm day: %v", err)
			}
			return
		}
		s.signed(signatures)
		break
	}
	s.agree()
	s.replay()
	s.agree()
	s.told()
}

func (s *schedule) pending() *protocoltest.Pending {
	st, err := protocoltest.ParseState(s.state.Data)
	s.must(err)
	return st.Pending
}

// agree: one token, number and chain, the same on both sides, and nothing open.
func (s *schedule) agree() {
	st, err := protocoltest.ParseState(s.state.Data)
	s.must(err)
	rec := s.record()
	if st.Key.Token.Commitment() != rec.commitment || st.Key.Number != rec.last.number || st.Key.Chain != rec.chain || st.Pending != nil {
		s.fail("the two sides disagree")
	}
	if rec.condition != Active || device.Phase(st.Phase) != device.Ready {
		s.fail("the key is %v, and %v for the device", rec.condition, device.Phase(st.Phase))
	}
}

// told: every event was delivered, after a sweep.
func (s *schedule) told() {
	s.must(s.nodes[1].DeliverEvents(context.Background(), s.id))
	rec := s.record()
	if len(rec.events) != 0 || uint64(len(s.events)) != rec.eventNumber {
		s.fail("%d events, %d delivered, %d in the record", rec.eventNumber, len(s.events), len(rec.events))
	}
}

// replay sends again what was sent, in random order, now and much later.
// (TestReplayEverything does so at leisure.)
func (s *schedule) replay() {
	before := s.stored()
	for _, later := range []time.Duration{0, 1000 * time.Hour} {
		s.now = s.now.Add(later)
		order := s.random.Perm(len(s.wire))
		for _, i := range order[:min(len(order), 10)] {
			s.deliver(context.Background(), s.wire[i])
		}
	}
	if !bytes.Equal(before, s.stored()) {
		s.fail("a replay changed the record")
	}
}

func (s *schedule) stored() []byte {
	value, _, err := s.store.Store.Load(context.Background(), recordID(s.id))
	s.must(err)
	return value
}
