package protocol

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
)

// world is a device, two server nodes, a store and a network, all of which fail at random, as a seed says. It runs
// in one goroutine: what happens at the same time in a deployment is nested here, so
// that the seed of a failing schedule replays it.
type world struct {
	random *rand.Rand
	calm   bool // nothing fails any more
	now    time.Time
	config Config        // of both nodes, but for what comes next
	keys   [2]byte       // their challenge keys
	ahead  time.Duration // of the second one's clock
	nodes  [2]*Server
	store  *crashingStore
	state  *crashingState
	wrong  time.Duration // how far the device's clock is off
	device *Device
	id     KeyID

	wire     [][]byte         // every request that was ever sent, to be delivered again at any time
	replies  [][]byte         // every response, likewise
	truth    map[hash]fate    // what PIN a request was made with
	fates    map[hash]settled // what the record says that requests were settled as, and when
	pinTyped fate             // of the operation at hand
	depth    int
	faults   int
	failures []string
}

type hash = [sha256.Size]byte

// crash unwinds a node or the device.
type crash struct{ what string }

func newWorld(seed uint64) *world {
	w := &world{
		random: rand.New(rand.NewPCG(seed, 0x7461_6e64_656d)),
		now:    time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		truth:  make(map[hash]fate), fates: make(map[hash]settled),
	}
	w.store = &crashingStore{world: w, Store: pinlock.NewMemoryStore()}
	w.state = &crashingState{world: w}
	key, err := kem.GenerateKey()
	w.must(err)
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{7}, SealerKeySize))
	w.must(err)
	w.config = Config{
		Store: w.store, Policy: pinlock.DefaultPolicy(), Sealer: sealer, HPKE: HPKEKeys{Current: key}, ChallengeLife: DefaultChallengeLife,
		Log: slog.New(slog.NewTextHandler(logChecker{w}, nil)),
		Signed: func(context.Context, Signed) error {
			if w.happens(0.05) {
				return errors.New("the service's database is down")
			}
			return nil
		},
	}
	if seed%8 == 0 {
		w.config.Keys = fixedKeys{} // a composite takes longer and differs in nothing that happens here
	}
	if seed%3 == 1 {
		w.config.ChallengeLife = []time.Duration{3 * time.Minute, maxChallengeLife}[seed/3%2]
	}
	w.ahead = []time.Duration{20 * time.Second, clockSkew}[seed/4%2]
	w.restartNode(0)
	w.restartNode(1)
	w.wrong = []time.Duration{0, -time.Hour, 2 * time.Hour, -20 * 365 * 24 * time.Hour}[seed/2%4]
	w.restartDevice()
	return w
}

func (w *world) restartNode(i int) {
	config, ahead := w.config, time.Duration(i)*w.ahead
	config.ChallengeKey = bytes.Repeat([]byte{1 + w.keys[i]}, 32)
	config.Clock = func() time.Time { return w.now.Add(ahead) }
	var err error
	w.nodes[i], err = NewServer(config)
	w.must(err)
}

// operate is what operators do: they roll out a new challenge key, one node after the other, and change the HPKE key, or take back
// the plan to change it.
func (w *world) operate() {
	keys := &w.config.HPKE
	switch {
	case w.keys[0] != w.keys[1]:
		w.keys[1] = w.keys[0]
	case w.random.IntN(3) == 0:
		w.keys[0]++
	case keys.Next == nil:
		next, err := kem.GenerateKey()
		w.must(err)
		keys.Next, keys.NextStart = next, w.now.Add(time.Duration(w.random.IntN(600))*time.Second)
	case w.now.After(keys.NextStart):
		*keys = HPKEKeys{Current: keys.Next, Retiring: append(keys.Retiring, keys.Current)}
	default:
		*keys = HPKEKeys{Current: keys.Current, Retiring: append(keys.Retiring, keys.Next)}
	}
	w.restartNode(0)
	w.restartNode(1)
}

// known reports whether both nodes still take a request's challenge for the server's.
func (w *world) known(p *pending) bool {
	var binding []byte
	if p.op == OpSign {
		binding = p.text.binding()
	}
	return w.nodes[0].challenges.authentic(p.challenge, binding) && w.nodes[1].challenges.authentic(p.challenge, binding)
}

func (w *world) restartDevice() {
	d, err := NewDevice(DeviceConfig{State: w.state, Transport: w.transport, ServerKey: w.nodes[0].ServerKey(), Params: cheapest,
		Clock: func() time.Time { return w.now.Add(w.wrong) }})
	w.must(err)
	w.device = d
}

func (w *world) must(err error) {
	if err != nil {
		w.fail("unexpected: %v", err)
	}
}

func (w *world) fail(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

// happens reports whether a fault with probability p happens now.
func (w *world) happens(p float64) bool {
	if w.calm || w.random.Float64() >= p {
		return false
	}
	w.faults++
	return true
}

// pass lets time pass: mostly seconds, at times more than a challenge lives.
func (w *world) pass() {
	switch w.random.IntN(24) {
	case 2: // a lock may be over by then
		w.now = w.now.Add(time.Duration(w.random.IntN(30)) * time.Hour)
	case 0:
		w.now = w.now.Add(w.config.ChallengeLife + time.Duration(w.random.IntN(120))*time.Second)
	case 1:
		w.now = w.now.Add(time.Duration(w.random.IntN(300)) * time.Second)
	default:
		w.now = w.now.Add(time.Duration(w.random.IntN(15_000)) * time.Millisecond)
	}
}

// transport is the network as the device sees it.
func (w *world) transport(ctx context.Context, request []byte) ([]byte, error) {
	w.wire = append(w.wire, bytes.Clone(request))
	if w.happens(0.03) {
		panic(crash{"device, before it sent"})
	}
	w.oldTraffic()
	if w.happens(0.15) {
		return nil, errors.New("request lost")
	}
	if w.happens(0.03) {
		w.deliver(ctx, request[:w.random.IntN(len(request))])
	}
	if w.happens(0.03) {
		damaged := bytes.Clone(request)
		damaged[w.random.IntN(len(damaged))] ^= 1 << w.random.IntN(8)
		w.deliver(ctx, damaged)
	}
	response := w.deliver(ctx, request)
	if w.happens(0.10) {
		response = w.deliver(ctx, request) // the answer to the duplicate
	}
	if response != nil {
		w.replies = append(w.replies, bytes.Clone(response))
	}
	w.oldTraffic()
	switch {
	case w.happens(0.05):
		panic(crash{"device, before it heard the answer"})
	case w.happens(0.15):
		return nil, errors.New("response lost")
	case len(response) > 0 && w.happens(0.03):
		return response[:w.random.IntN(len(response))], nil
	case len(w.replies) > 0 && w.happens(0.03):
		return w.replies[w.random.IntN(len(w.replies))], nil // late, or forged
	case response == nil:
		return nil, errors.New("no answer")
	}
	return response, nil
}

// oldTraffic delivers requests that were delayed, or recorded, to any node.
func (w *world) oldTraffic() {
	for w.depth < 3 && len(w.wire) > 0 && w.happens(0.15) {
		w.deliver(context.Background(), w.wire[w.random.IntN(len(w.wire))])
	}
}

// deliver hands a request to one of the nodes, which may crash.
func (w *world) deliver(ctx context.Context, request []byte) (response []byte) {
	w.depth++
	defer func() {
		w.depth--
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			response = nil
		}
	}()
	response, err := w.nodes[w.random.IntN(len(w.nodes))].Handle(ctx, request)
	if err != nil && (!errors.Is(err, ErrRefused) || response != nil) {
		w.fail("Handle: %v", err)
	}
	return response
}

// crashingStore fails before and after each write, and lets other requests in between a load and
// a write.
type crashingStore struct {
	pinlock.Store
	world *world
}

func (s *crashingStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if s.world.happens(0.02) {
		return nil, 0, errors.New("store is down")
	}
	return s.Store.Load(ctx, id)
}

func (s *crashingStore) Create(ctx context.Context, id string, value []byte) error {
	return s.write(func() error { return s.Store.Create(ctx, id, value) })
}

func (s *crashingStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	s.world.oldTraffic()
	before, _, _ := s.Store.Load(ctx, id)
	return s.write(func() error {
		err := s.Store.Swap(ctx, id, version, value)
		if err == nil {
			s.world.changed(before, value)
		}
		return err
	})
}

func (s *crashingStore) write(write func() error) error {
	w := s.world
	switch {
	case w.happens(0.02):
		panic(crash{"node, before a write"})
	case w.happens(0.02):
		return errors.New("store is down")
	}
	err := write()
	switch {
	case w.happens(0.02):
		panic(crash{"node, after a write"})
	case w.happens(0.02):
		return errors.New("connection lost: who knows whether it was written")
	}
	return err
}

// changed holds each durable change of the record against what is known of the requests.
func (w *world) changed(before, after []byte) {
	old, err := parseRecord(before)
	w.must(err)
	rec, err := parseRecord(after)
	w.must(err)
	if len(w.failures) > 0 {
		return
	}
	var fresh []settled
	for _, s := range rec.ring {
		known, seen := w.fates[s.request]
		switch {
		case !seen:
			w.fates[s.request] = s
			if s.fate != fateGivenUp {
				fresh = append(fresh, s)
			}
		case known != s:
			w.fail("request %x settled twice: %+v, %+v", s.request[:4], known, s)
		case old.ring.find(s.request) == nil:
			w.fail("request %x left the ring and came back", s.request[:4])
		}
	}
	if old.condition != Pending && rec.condition == Pending || old.condition == Destroyed {
		w.fail("%v became %v", old.condition, rec.condition)
	}
	if rec.condition == Destroyed && rec.reason == ReasonExpired && old.condition == Pending {
		return
	}
	if len(fresh) != 1 {
		w.fail("one write settled %d requests", len(fresh))
		return
	}
	s := fresh[0]
	if truth, ok := w.truth[s.request]; !ok || truth != s.fate {
		w.fail("request %x is settled as %d, its PIN was %d", s.request[:4], s.fate, truth)
	}
	w.checkCount(old, rec, s)
}

// checkCount: a wrong PIN takes exactly one try, a right one gives all back.
func (w *world) checkCount(old, rec *record, s settled) {
	policy := pinlock.DefaultPolicy()
	was, err := policy.Status(old.counter, w.now.Add(time.Minute))
	w.must(err)
	is, err := policy.Status(rec.counter, w.now.Add(time.Minute))
	w.must(err)
	switch {
	case s.fate == fateWrong && is.RemainingTotal != was.RemainingTotal-1:
		w.fail("a wrong PIN took %d tries", was.RemainingTotal-is.RemainingTotal)
	case s.fate == fateRight && is.RemainingTotal != 9 && old.counter != rec.counter:
		w.fail("a right PIN left %d tries", is.RemainingTotal)
	}
}

// crashingState fails before and after each save of the device.
type crashingState struct {
	memoryState
	world *world
}

func (s *crashingState) Save(data []byte) error {
	w := s.world
	if st, err := parseDeviceState(data, nil); err != nil {
		w.fail("a state that cannot be read: %v", err)
	} else if st.pending != nil {
		h := st.pending.reply().request
		if _, known := w.truth[h]; !known {
			w.truth[h] = w.pinTyped
		}
	}
	switch {
	case w.happens(0.03):
		panic(crash{"device, before a save"})
	case w.happens(0.02):
		return errors.New("disk is full")
	}
	err := s.memoryState.Save(data)
	switch {
	case w.happens(0.03):
		panic(crash{"device, after a save"})
	case w.happens(0.02):
		return errors.New("disk is gone: who knows whether it was written")
	}
	return err
}

// logChecker fails the schedule if the server says that there is a clone.
type logChecker struct{ world *world }

func (l logChecker) Write(p []byte) (int, error) {
	if strings.Contains(string(p), eventClone) {
		l.world.fail("an honest device was called a clone")
	}
	return len(p), nil
}
