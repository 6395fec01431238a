package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// world is a device, two server nodes, a store and a network, all of which fail at
// random, as a seed says. It runs in one goroutine: what happens at the same time in a
// deployment is nested here, so that the seed of a failing schedule replays it.
type world struct {
	random *rand.Rand
	calm   bool // nothing fails any more
	now    time.Time
	config Config        // of both nodes, but for what comes next
	keys   [2]byte       // their challenge keys
	ahead  time.Duration // of the second one's clock, by hours perhaps
	nodes  [2]*Server
	store  *crashingStore
	state  *crashingState
	device *device.Device
	id     protocol.KeyID

	wire      [][]byte           // every request that was ever sent, to be delivered again at any time
	replies   [][]byte           // every response, likewise
	authority ed25519.PrivateKey // of key documents
	serial    uint64

	truth    map[wire.Hash]wire.Fate // what PIN a request was made with
	wished   map[wire.Hash]bool      // that it be cancelled
	fates    map[wire.Hash]wire.Fate // what the record says that requests were settled as
	events   map[uint64][]string     // that were delivered
	pinTyped wire.Fate               // of the operation at hand
	depth    int
	faults   int
	failures []string
}

// crash unwinds a node or the device.
type crash struct{ what string }

func newWorld(seed uint64) *world {
	w := &world{
		random: rand.New(rand.NewPCG(seed, 0x7461_6e64_656d)),
		now:    time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		truth:  make(map[wire.Hash]wire.Fate), fates: make(map[wire.Hash]wire.Fate), wished: make(map[wire.Hash]bool), events: make(map[uint64][]string),
	}
	w.store = &crashingStore{world: w, Store: new(storetest.MemoryStore)}
	w.state = &crashingState{world: w}
	key, err := wire.KEM.GenerateKey()
	w.must(err)
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{7}, SealerKeySize))
	w.must(err)
	w.config = Config{
		Store: w.store, Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: HPKEKeys{Current: key}, ChallengeLife: DefaultChallengeLife,
		Log: slog.New(slog.DiscardHandler),
		Signed: func(context.Context, Signed) error {
			if w.happens(0.05) {
				return errors.New("the service's database is down")
			}
			return nil
		},
		Audit: w,
	}
	if seed%8 == 0 {
		w.config.Keys = protocoltest.FixedKeys{} // a composite takes longer and differs in nothing that happens here
	}
	if seed%3 == 1 {
		w.config.ChallengeLife = []time.Duration{3 * time.Minute, wire.MaxChallengeLife}[seed/3%2]
	}
	_, w.authority, err = ed25519.GenerateKey(nil)
	w.must(err)
	w.restartNode(0)
	w.restartNode(1)
	w.restartDevice()
	return w
}

func (w *world) restartNode(i int) {
	config, ahead := w.config, time.Duration(i)*w.ahead
	config.ChallengeKey = bytes.Repeat([]byte{1 + w.keys[i]}, 32)
	config.Clock = func() time.Time { return w.now.Add(ahead) }
	var err error
	w.nodes[i], err = New(config)
	w.must(err)
}

// spoilClocks sets one node's clock wrong. Before the key is confirmed it would end the
// enrolment.
func (w *world) spoilClocks(seed uint64) {
	w.ahead = []time.Duration{20 * time.Second, clockSkew, -5 * time.Hour, time.Hour}[seed/4%4]
	w.restartNode(1)
}

// Record makes the world a sink that fails now and then. What comes twice is the same.
func (w *world) Record(_ context.Context, e Event) error {
	if w.happens(0.1) {
		return errors.New("the sink is down")
	}
	if e.Kind == eventClone {
		w.fail("an honest device was called a clone")
	}
	text, err := e.MarshalJSON()
	w.must(err)
	told := w.events[e.Number]
	if !slices.Contains(told, string(text)) {
		w.events[e.Number] = append(told, string(text))
	}
	if len(w.events[e.Number]) > 2 && e.Number > 0 {
		w.fail("event %d is %q", e.Number, w.events[e.Number])
	}
	return nil
}

// operate is what operators do: they roll out a new challenge key, one node after the
// other, and change the HPKE key, with or without a document, or drop the old ones though
// the device may be away.
func (w *world) operate() {
	keys := &w.config.HPKE
	switch {
	case w.keys[0] != w.keys[1]:
		w.keys[1] = w.keys[0]
	case w.random.IntN(3) == 0:
		w.keys[0]++
	case w.random.IntN(2) == 0:
		next, err := wire.KEM.GenerateKey()
		w.must(err)
		w.serial++
		document, err := SignKeyDocument(w.authority, w.serial, next.PublicKey().Bytes())
		w.must(err)
		*keys = HPKEKeys{Current: next, Retiring: append(keys.Retiring, keys.Current), Document: document}
	default:
		keys.Retiring = nil
	}
	w.restartNode(0)
	w.restartNode(1)
}

// known reports whether the node that is left on a calm day can read a request, and takes
// its challenge for the server's.
func (w *world) known(p *protocoltest.Pending) bool {
	e, err := wire.ParseEnvelope(p.Request)
	w.must(err)
	return w.nodes[0].challenges.Authentic(p.Challenge) && w.nodes[0].keys.Get()[e.HPKEKey] != nil
}

func (w *world) restartDevice() {
	d, err := device.New(device.Config{Storage: w.state, Transport: w.transport, HPKEKey: w.nodes[0].HPKEKey(), Params: protocoltest.Cheapest,
		Authority: w.authority.Public().(ed25519.PublicKey), Serial: w.serial})
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
	node := w.nodes[0]
	if !w.calm {
		node = w.nodes[w.random.IntN(len(w.nodes))]
	}
	response, err := node.Handle(ctx, request)
	if err != nil && (!errors.Is(err, ErrRefused) || response != nil) {
		w.fail("Handle: %v", err)
	}
	return response
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
	if old.condition != Pending && rec.condition == Pending || old.condition == Destroyed && rec.condition != Destroyed {
		w.fail("%v became %v", old.condition, rec.condition)
	}
	if rec.last == old.last {
		if rec.commitment != old.commitment || rec.chain != old.chain {
			w.fail("the token or the chain changed and nothing was settled")
		}
		return
	}
	l := rec.last
	truth, made := w.truth[l.request]
	_, twice := w.fates[l.request]
	switch {
	case l.number != old.last.number+1 || rec.chain != wire.NextChain(old.chain, l.request, l.fate):
		w.fail("request %d was settled after %d", l.number, old.last.number)
	case twice:
		w.fail("request %d was settled twice", l.number)
	case !made:
		w.fail("request %d was never made", l.number)
	case l.fate == wire.FateCancelled && !w.wished[l.request]:
		w.fail("request %d was cancelled by nobody", l.number)
	case l.fate != wire.FateCancelled && truth != l.fate:
		w.fail("request %d is settled as %d, its PIN was %d", l.number, l.fate, truth)
	case (rec.commitment != old.commitment) != (l.fate == wire.FateRight):
		w.fail("fate %d, and the token", l.fate)
	case rec.eventNumber != old.eventNumber+1:
		w.fail("fate %d and no event", l.fate)
	}
	w.fates[l.request] = l.fate
	w.checkCount(old, rec)
}

// checkCount: a wrong PIN takes exactly one try, a right one gives all back or, of a
// Refresh, none.
func (w *world) checkCount(old, rec *record) {
	policy := limiter.DefaultPolicy()
	was, err := policy.Peek(old.counter, w.now.Add(time.Minute))
	w.must(err)
	is, err := policy.Peek(rec.counter, w.now.Add(time.Minute))
	w.must(err)
	switch f := rec.last.fate; {
	case f == wire.FateWrong && is.RemainingTotal != was.RemainingTotal-1:
		w.fail("a wrong PIN took %d tries", was.RemainingTotal-is.RemainingTotal)
	case f == wire.FateRight && is.RemainingTotal != 9 && old.counter != rec.counter:
		w.fail("a right PIN left %d tries", is.RemainingTotal)
	case f == wire.FateCancelled && old.counter != rec.counter:
		w.fail("a Cancel changed the counter")
	}
}
