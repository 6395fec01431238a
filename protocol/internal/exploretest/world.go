package exploretest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// A world is the real device and the real servers, one of each configuration, between
// which nothing is kept: each step puts storage, store and clock into the state that it
// begins with. What steps begin and end with is numbered: equal bytes, one number.
type world struct {
	t     *testing.T
	scope Scope

	device  *device.Device
	phone   *storage
	wire    device.Transport
	store   *store
	clock   time.Time
	servers [challengeKeys][hpkeStages]*server.Server
	chals   [challengeKeys]wire.ChallengeKey
	ring    map[wire.HPKEKeyID]hpke.PrivateKey
	nextKey wire.HPKEKeyID // of the key that devices are led to
	nextDoc []byte
	signed  func(server.Signed) error
	policy  limiter.Policy
	base    time.Time
	id      protocol.KeyID // of the key in scopes that begin with one
	authKey wire.Secret    // likewise

	devs    table[*phone]
	stores  table[*stored]
	calls   table[*call]
	reqs    table[*request]
	answers table[*answer]
	known   table[*loot]
	pins    map[string]int // which PIN a lockbox has
	parents map[wire.Hash]link
	closed  map[[sha256.Size]byte]bool // from where a fair network was tried

	runs    map[runKey][]outcome
	served  map[servedKey][]response
	raced   map[[3]int64]bool
	stolen  map[string]int32 // requests of the thief's
	most    map[int]*[4]int  // what he was told: see Result
	steps   int              // of the real code
	playing bool             // what changes nothing is a step as well
	broken  []string
}

const (
	challengeKeys = 2
	hpkeStages    = 4 // old; old and next retiring; next and old retiring; next
)

// link says how a chain came about.
type link struct {
	from    wire.Hash
	subject wire.Hash
	fate    wire.Fate
	depth   int
}

// table numbers what has equal bytes, from 1.
type table[T any] struct {
	of    map[string]int32
	bytes []string
	all   []T
}

func (b *table[T]) find(key string) (int32, bool) {
	i, ok := b.of[key]
	return i, ok
}

func (b *table[T]) add(key string, v T) int32 {
	if b.of == nil {
		b.of, b.all, b.bytes = make(map[string]int32), make([]T, 1), make([]string, 1)
	}
	i := int32(len(b.all))
	b.of[key], b.all, b.bytes = i, append(b.all, v), append(b.bytes, key)
	return i
}

func newWorld(t *testing.T, scope Scope) *world {
	w := &world{t: t, scope: scope, phone: new(storage), store: new(store), pins: make(map[string]int),
		parents: make(map[wire.Hash]link), closed: make(map[[sha256.Size]byte]bool), runs: make(map[runKey][]outcome), served: make(map[servedKey][]response),
		raced: make(map[[3]int64]bool), stolen: make(map[string]int32), most: make(map[int]*[4]int)}
	w.base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w.clock = w.base
	w.policy = scope.policy()
	w.random(1)
	var keys [2]hpke.PrivateKey
	w.ring = make(map[wire.HPKEKeyID]hpke.PrivateKey)
	for i := range keys {
		keys[i] = protocoltest.NewHPKE(t)
		w.ring[wire.HPKEKeyIDOf(keys[i].PublicKey().Bytes())] = keys[i]
	}
	for i := range w.chals {
		var err error
		w.chals[i], err = wire.NewChallengeKey(challengeKey(i))
		require.NoError(t, err)
	}
	next := protocoltest.DocumentOf(t, 2, keys[1].PublicKey().Bytes())
	w.nextKey, w.nextDoc = wire.HPKEKeyIDOf(keys[1].PublicKey().Bytes()), next
	stages := [hpkeStages]server.HPKEKeys{
		{Current: keys[0]},
		{Current: keys[0], Retiring: keys[1:]},
		{Current: keys[1], Retiring: keys[:1], Document: next},
		{Current: keys[1], Document: next},
	}
	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{7}, server.SealerKeySize))
	require.NoError(t, err)
	for i := range w.servers {
		for j := range w.servers[i] {
			w.servers[i][j], err = server.New(server.Config{
				Store: w.store, Policy: w.policy, Keys: scope.keys(), Sealer: sealer, HPKE: stages[j], ChallengeKey: challengeKey(i),
				Clock: func() time.Time { return w.clock }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
				Signed: func(_ context.Context, s server.Signed) error { return w.signed(s) },
			})
			require.NoError(t, err)
		}
	}
	w.device, err = device.New(device.Config{Storage: w.phone, HPKEKey: keys[0].PublicKey().Bytes(), Serial: 1,
		Authority: protocoltest.Authority.Public().(ed25519.PublicKey), Params: protocoltest.Cheapest,
		Transport: func(ctx context.Context, r []byte) ([]byte, error) { return w.wire(ctx, r) }})
	require.NoError(t, err)
	return w
}

func challengeKey(i int) []byte { return bytes.Repeat([]byte{9 + byte(i)}, 32) }

// random makes all that is drawn from now on a function of the seed.
func (w *world) random(seed uint64) { cryptotest.SetGlobalRandom(w.t, seed) }

// enrolled puts a confirmed key into the device's storage and into the store, and returns
// the moment after that.
func (w *world) enrolled() moment {
	s := w.servers[0][0]
	none := new(chooser)
	*w.phone, *w.store = storage{c: none}, store{c: none}
	w.signed = func(server.Signed) error { return nil }
	w.wire = func(ctx context.Context, r []byte) ([]byte, error) { return s.Handle(ctx, r) }
	id, challenge, err := s.ChallengeEnroll(w.t.Context())
	require.NoError(w.t, err)
	w.id = id
	client, share := protocoltest.Shares()
	require.NoError(w.t, w.device.Enroll(w.t.Context(), device.EnrollOptions{Challenge: challenge, PIN: pins[0], Client: client, Server: share}))
	require.NoError(w.t, w.device.Confirm(w.t.Context(), nil, pins[0]))
	state, err := protocoltest.ParseState(w.phone.data)
	require.NoError(w.t, err)
	w.pins[string(state.Key.Lockbox)], w.authKey = 0, state.Key.AuthKey
	w.base = w.base.Add(2 * 24 * time.Hour) // the enrolment is long over
	return moment{dev: w.dev(w.phone.data), store: w.stored(w.store.entries)}
}

// pins are those that a key may have; a change goes to the other one.
var pins = [2][]byte{protocoltest.RightPIN, protocoltest.NewPIN}

// real runs real code, and reports how it ended otherwise than by returning.
func (w *world) real(f func()) (ended any) {
	w.steps++
	defer func() {
		switch r := recover().(type) {
		case nil:
		case crashed, waiting:
			ended = r
		default:
			panic(r)
		}
	}()
	f()
	return nil
}

// bad notes that a claim does not hold.
func (w *world) bad(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// phone is what a storage holds.
type phone struct {
	*protocoltest.State
	token, next wire.Hash       // commitments, of the present token and of the pending one
	request     int32           // the pending one
	pin         int             // that the lockbox has
	offered     *wire.Challenge // for the next step, or nil
	minted      int             // which challenge key made it
}

// dev numbers a storage. The pending request in it is numbered before.
func (w *world) dev(data []byte) int32 {
	if i, ok := w.devs.find(string(data)); ok {
		return i
	}
	p := &phone{State: new(protocoltest.State)}
	if len(data) > 0 {
		var err error
		p.State, err = protocoltest.ParseState(data)
		require.NoError(w.t, err)
	}
	if k := p.Key; k != nil {
		p.token = k.Token.Commitment()
		p.pin = w.pins[string(k.Lockbox)]
		if len(k.Challenge) > 0 {
			var err error
			p.offered, err = wire.ParseChallenge(k.Challenge)
			require.NoError(w.t, err)
			p.minted = w.minted(p.offered)
		}
	}
	if q := p.Pending; q != nil {
		p.next = q.Next.Commitment()
		i, ok := w.reqs.find(string(q.Request))
		require.True(w.t, ok, "a pending request that was never made")
		p.request = i
	}
	return w.devs.add(string(data), p)
}

// stored numbers a store.
func (w *world) stored(entries []entry) int32 {
	key := pack(entries)
	if i, ok := w.stores.find(key); ok {
		return i
	}
	s, err := newStored(entries)
	require.NoError(w.t, err)
	return w.stores.add(key, s)
}

// record returns the record of the device's key, or nil.
func (w *world) record(m *moment) *record {
	p := w.devs.all[m.dev]
	id := w.id
	if p.Key != nil {
		id = p.Key.ID
	}
	return w.stores.all[m.store].records[id]
}

// verdict is what a caller of the device hears, in a word or two.
func verdict(err error) string {
	var wrong *limiter.WrongPINError
	var locked *limiter.LockedError
	var dead *protocol.DestroyedError
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &dead):
		return fmt.Sprintf("destroyed: %v", dead.Reason)
	case errors.As(err, &wrong):
		return fmt.Sprintf("wrong PIN, %d left", wrong.RemainingTotal)
	case errors.Is(err, device.ErrSuperseded):
		return "superseded"
	case errors.Is(err, device.ErrCarriedOut):
		return "carried out"
	case errors.Is(err, device.ErrNotCarriedOut):
		return "not carried out"
	case errors.Is(err, device.ErrPINUnchanged):
		return "PIN unchanged"
	case errors.As(err, &locked):
		return "locked"
	case errors.Is(err, device.ErrRejected):
		return "rejected"
	case errors.Is(err, device.ErrUnanswered):
		return "unanswered"
	case errors.Is(err, device.ErrPending):
		return "an earlier one is pending"
	case errors.Is(err, device.ErrNothingPending):
		return "nothing pending"
	case errors.Is(err, device.ErrPhase):
		return "not in this phase"
	case errors.Is(err, protocoltest.ErrLost):
		return "not saved"
	}
	return err.Error()
}
