package server

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

var (
	schedules = flag.Int("schedules", 0, "number of schedules that TestBadNetwork runs; 0: a few")
	firstSeed = flag.Uint64("seed", 1, "seed of the first schedule of TestBadNetwork")
)

// TestBadNetwork runs a device and a server over a network that drops, repeats, delays,
// reorders and damages, with crashes of both sides and of the store at every step, and
// then lets everything calm down.
//
//	go test ./protocol/server -run TestBadNetwork -schedules 20000
//	go test ./protocol/server -run TestBadNetwork -seed 4711 -schedules 1
func TestBadNetwork(t *testing.T) {
	count := *schedules
	if count == 0 {
		count = 300
		if testing.Short() {
			count = 60
		}
	}
	var next atomic.Uint64
	var faults, signatures, wrong, dead atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= uint64(count) {
					return
				}
				s := newSchedule(*firstSeed + i)
				s.run()
				if len(s.failures) > 0 {
					t.Errorf("seed %d: %v", *firstSeed+i, s.failures)
				}
				faults.Add(int64(s.faults))
				signatures.Add(int64(s.signatures))
				wrong.Add(int64(s.wrong))
				if s.over {
					dead.Add(1)
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d schedules in %v: %d faults, %d signatures, %d wrong PINs answered, %d ended with a dead key",
		count, time.Since(start).Round(time.Second), faults.Load(), signatures.Load(), wrong.Load(), dead.Load())
	if count < 50 {
		return // one schedule that is replayed need not have everything in it
	}
	require.Positive(t, faults.Load())
	require.Positive(t, signatures.Load())
	require.Positive(t, wrong.Load())
	require.Positive(t, dead.Load())
	require.Less(t, dead.Load(), int64(count)/4, "most schedules must get to their end")
}

// schedule is a user in a world.
type schedule struct {
	*world
	seed       uint64
	pin        []byte
	signatures int
	wrong      int
	over       bool // the key is dead, rightly
	clumsy     bool // the user mistypes the PIN until the key is dead
}

func newSchedule(seed uint64) *schedule {
	return &schedule{world: newWorld(seed), seed: seed, pin: protocoltest.RightPIN, clumsy: seed%16 == 5}
}

func (s *schedule) run() {
	if s.enroll() {
		s.spoilClocks(s.seed)
		steps := 4 + s.random.IntN(6)
		if s.clumsy {
			steps = 60
		}
		for range steps {
			s.step()
			s.pass()
			if s.clumsy && s.random.IntN(3) == 0 {
				s.now = s.now.Add(25 * time.Hour)
			}
			if s.over || len(s.failures) > 0 {
				break
			}
		}
	}
	if len(s.failures) == 0 {
		s.settleDown()
	}
}

// attempt runs one call of the device, which may crash. A crash is an error that says
// nothing.
func (s *schedule) attempt(typed wire.Fate, call func(*device.Device) error) (err error) {
	s.pinTyped = typed
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(crash)
			if !ok {
				panic(r)
			}
			s.restartDevice()
			err = fmt.Errorf("crash of the %s", c.what)
		}
	}()
	return call(s.device)
}

// enroll gets the key to work, or reports that it never will.
func (s *schedule) enroll() bool {
	ctx := context.Background()
	client, server := protocoltest.Shares()
	var challenge []byte
	var err error
	s.id, challenge, err = s.nodes[0].ChallengeEnroll(ctx)
	s.must(err)
	options := device.EnrollOptions{Challenge: challenge, PIN: s.pin, Client: client, Server: server}
	for len(s.failures) == 0 {
		switch s.phase() {
		case device.NoKey, device.Enrolling:
			err = s.attempt(wire.FateRight, func(d *device.Device) error { return d.Enroll(ctx, options) })
			if errors.Is(err, device.ErrNotCarriedOut) || errors.Is(err, device.ErrRejected) {
				s.over = true // too late; the modulus may be taken by the attempt that was given up
				return false
			}
		case device.Unconfirmed:
			// What came of it shows in the phase.
			if s.random.IntN(6) == 0 { // an app that does something else first
				challenge, err := s.nodes[0].Challenge(ctx, s.id)
				s.must(err)
				_ = s.attempt(wire.FateRight, func(d *device.Device) error { return d.Refresh(ctx, challenge) })
			} else {
				_ = s.attempt(wire.FateRight, func(d *device.Device) error { return s.confirm(ctx, d) })
			}
		case device.Ready:
			return true
		case device.Superseded: // it was not confirmed in time, and the report of it was lost
			_ = s.attempt(0, func(d *device.Device) error { _, err := d.Resume(ctx); return err })
		case device.Dead:
			s.mustBeDead(protocol.ReasonExpired)
			return false
		}
		s.now = s.now.Add(time.Duration(s.random.IntN(10)) * time.Second)
	}
	return false
}

func (s *schedule) confirm(ctx context.Context, d *device.Device) error {
	status, err := d.Status()
	if err != nil {
		return err
	}
	if status.Pending != nil && s.random.IntN(4) > 0 {
		_, err = d.Resume(ctx)
		return err
	}
	challenge, err := s.nodes[s.random.IntN(2)].Challenge(ctx, s.id)
	s.must(err)
	return d.Confirm(ctx, challenge, s.pin)
}

func (s *schedule) phase() device.Phase {
	status, err := s.device.Status()
	s.must(err)
	return status.Phase
}

// mustBeDead: the store says so too, and for this reason.
func (s *schedule) mustBeDead(why protocol.Reason) {
	s.over = true
	rec := s.record()
	if rec == nil || rec.condition != Destroyed || rec.reason != why {
		s.fail("the device thinks that the key is dead (%v), the record says %+v", why, rec)
	}
}

func (s *schedule) record() *record {
	value, _, err := s.store.Store.Load(context.Background(), recordID(s.id))
	if errors.Is(err, limiter.ErrNotFound) {
		return nil
	}
	s.must(err)
	rec, err := parseRecord(value)
	s.must(err)
	return rec
}

// step is one thing that a user does.
func (s *schedule) step() {
	ctx := context.Background()
	if s.random.IntN(8) == 0 {
		s.operate()
	}
	status, err := s.device.Status()
	s.must(err)
	if status.Phase == device.Superseded { // the key is dead, and the report of it was lost
		s.resume(ctx)
		return
	}
	if status.Pending != nil {
		switch s.random.IntN(8) {
		case 0, 1:
			s.cancel(ctx)
			return
		case 2: // the new request says what happens to the old one
		default:
			s.resume(ctx)
			return
		}
	}
	node := s.nodes[s.random.IntN(2)]
	challenge, err := node.Challenge(ctx, s.id)
	s.must(err)
	choice := s.random.IntN(10)
	if s.clumsy {
		choice = 3
	}
	switch choice {
	case 0, 1:
		s.check(s.attempt(wire.FateRight, func(d *device.Device) error { return d.Refresh(ctx, challenge) }))
	case 2:
		s.changePIN(ctx, challenge)
	case 3, 4, 5:
		s.sign(ctx, node, protocoltest.WrongPIN, wire.FateWrong)
	default:
		s.sign(ctx, node, s.pin, wire.FateRight)
	}
}

func (s *schedule) resume(ctx context.Context) {
	var result *device.Request
	err := s.attempt(0, func(d *device.Device) (err error) { result, err = d.Resume(ctx); return err })
	if err == nil && result.Operation == protocol.OpSign {
		s.signed(result.Signatures)
	}
	s.check(err)
}

func (s *schedule) cancel(ctx context.Context) {
	challenge, err := s.nodes[s.random.IntN(2)].Challenge(ctx, s.id)
	s.must(err)
	s.check(s.attempt(0, func(d *device.Device) error { return d.Cancel(ctx, challenge) }))
}

var texts = [][]byte{protocoltest.DigestOf("one"), protocoltest.DigestOf("two"), protocoltest.DigestOf("three")}

func (s *schedule) sign(ctx context.Context, node *Server, pin []byte, typed wire.Fate) {
	digests := texts[:1+s.random.IntN(10)/8*2] // mostly one, at times three
	challenge, err := node.ChallengeSignAll(ctx, s.id, digests, crypto.SHA256)
	s.must(err)
	s.pass()
	var signatures [][]byte
	err = s.attempt(typed, func(d *device.Device) (err error) {
		signatures, err = d.SignAll(ctx, challenge, digests, crypto.SHA256, pin)
		return err
	})
	if err == nil {
		if typed != wire.FateRight {
			s.fail("a signature with a wrong PIN")
		}
		s.signed(signatures)
	}
	s.check(err)
}

func (s *schedule) signed(signatures [][]byte) {
	s.signatures += len(signatures) // the device has verified them
	if len(signatures) == 0 {
		s.fail("no signature and no error")
	}
}

// changePIN: whatever happens, the device's lockbox opens with exactly the PIN that the
// caller was told of, except where the process ended after the save.
func (s *schedule) changePIN(ctx context.Context, challenge []byte) {
	other := protocoltest.NewPIN
	if bytes.Equal(s.pin, protocoltest.NewPIN) {
		other = protocoltest.RightPIN
	}
	before := s.lockbox()
	err := s.attempt(wire.FateRight, func(d *device.Device) error { return d.ChangePIN(ctx, challenge, s.pin, other) })
	changed := !bytes.Equal(before, s.lockbox())
	if err == nil && !changed {
		s.fail("the PIN was not changed")
	}
	if changed {
		s.pin = other
	}
	s.check(err)
}

func (s *schedule) lockbox() []byte {
	st, err := protocoltest.ParseState(s.state.Data)
	s.must(err)
	if st == nil || st.Key == nil {
		return nil
	}
	return st.Key.Lockbox
}

// check holds what the device was told against what is recorded.
func (s *schedule) check(err error) {
	var wrong *limiter.WrongPINError
	var dead *protocol.DestroyedError
	switch {
	case errors.As(err, &dead):
		s.mustBeDead(protocol.ReasonPIN)
		if n := s.fatesOf(wire.FateWrong); n < 9 {
			s.fail("destroyed after %d wrong PINs", n)
		}
	case errors.As(err, &wrong):
		s.wrong++
		if n := s.fatesOf(wire.FateWrong); n < 9-wrong.RemainingTotal {
			s.fail("told of %d wrong PINs, recorded %d", 9-wrong.RemainingTotal, n)
		}
	case errors.Is(err, device.ErrSuperseded) && s.record().condition != Destroyed:
		s.fail("an honest device was superseded")
	case errors.Is(err, device.ErrStorage), errors.Is(err, device.ErrRejected), errors.Is(err, device.ErrPhase):
		s.fail("%v", err)
	}
}

func (s *schedule) fatesOf(f wire.Fate) int {
	n := 0
	for _, x := range s.fates {
		if x == f {
			n++
		}
	}
	return n
}
