package server

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// notes is an observer that keeps all that it is told, as text without times.
type notes struct {
	mu      sync.Mutex
	handled []string
	called  map[string]int
	facts   []string
	waiting []int
	all     strings.Builder // with everything in it
	took    time.Duration   // of the shortest
}

func (n *notes) note(v any) {
	fmt.Fprintf(&n.all, "%+v %#v\n", v, v)
}

func (n *notes) Handled(h observe.Handled) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(h)
	if n.took == 0 || h.Took < n.took {
		n.took = h.Took
	}
	n.handled = append(n.handled, strings.Trim(fmt.Sprintf("%v: %s %s", h.Operation, h.Outcome, h.Cause), " "))
}

func (n *notes) Called(c observe.Call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(c)
	if n.called == nil {
		n.called = make(map[string]int)
	}
	n.called[fmt.Sprintf("%s %s %s", c.Part, c.Name, c.Result)]++
}

func (n *notes) Happened(f observe.Fact) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(f)
	text := f.Kind
	if f.Reason != 0 {
		text += " " + f.Reason.String()
	}
	if f.Documents != 0 {
		text += fmt.Sprintf(" %d", f.Documents)
	}
	n.facts = append(n.facts, text)
}

func (n *notes) Undelivered(waiting int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(waiting)
	n.waiting = append(n.waiting, waiting)
}

// take returns what was noted since the last time.
func (n *notes) take() (handled, facts []string, called map[string]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	handled, facts, called = n.handled, n.facts, n.called
	n.handled, n.facts, n.called = nil, nil, nil
	return handled, facts, called
}

func watched(n *notes) func(*Config) { return func(c *Config) { c.Observer = n } }

// TestObserver: the observer is told of each answer, of each fact once, and of each call.
func TestObserver(t *testing.T) {
	n := new(notes)
	s := newService(t, watched(n))
	tap := &wiretap{service: s}
	p := newPhone(t, s, tap.transport)
	p.enroll(t)
	handled, facts, called := n.take()
	require.Equal(t, []string{"enroll: enrolled"}, handled)
	require.Equal(t, []string{"key enrolled"}, facts)
	require.Equal(t, map[string]int{
		"store load not found": 3, "store create ok": 3, "store load ok": 1, "sealer seal ok": 1, "keys new ok": 1, "audit record ok": 1,
	}, called)
	require.Positive(t, n.took)

	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	_, err := p.signAll(t, digestsOf(3), crypto.SHA256, protocoltest.RightPIN)
	require.NoError(t, err)
	_, err = s.Handle(t.Context(), tap.requests[len(tap.requests)-1])
	require.NoError(t, err)
	handled, facts, called = n.take()
	require.Equal(t, []string{"confirm: right", "sign: right", "sign: right"}, handled)
	require.Equal(t, []string{"key confirmed", "signature made 3"}, facts, "what is sent again happens once")
	require.Equal(t, map[string]int{
		"store load ok": 3, "store swap ok": 2, "sealer open ok": 3, "keys find ok": 3, "keys finish ok": 7, "audit record ok": 2,
	}, called)

	for range 3 {
		_, err = p.sign(t, "x", protocoltest.WrongPIN)
		require.Error(t, err)
	}
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.Error(t, err)
	require.NoError(t, s.Revoke(t.Context(), p.id, "stolen"))
	handled, facts, _ = n.take()
	require.Equal(t, []string{"sign: wrong PIN", "sign: wrong PIN", "sign: wrong PIN", "sign: locked", "cancel: cancelled"}, handled)
	require.Equal(t, []string{"wrong PIN", "wrong PIN", "wrong PIN", "key locked", "request cancelled", "key revoked", "key destroyed revoked"}, facts)

	// A copy is found, and a policy that destroys.
	p = newReadyPhone2(t, s)
	copied := openPhone(t, s, p.state.Copy(), nil)
	copied.id = p.id
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	n.take()
	require.Error(t, copied.Refresh(t.Context(), p.challenge(t)))
	handled, facts, _ = n.take()
	require.Equal(t, "refresh: destroyed", handled[0])
	require.Equal(t, []string{"clone detected", "key destroyed the device's storage was copied"}, facts)
}

// TestObservedCauses: each refusal has its cause, in one word of a list, and a race is a
// conflict.
func TestObservedCauses(t *testing.T) {
	n := new(notes)
	s := newService(t, watched(n))
	p := newReadyPhone(t, s)
	good := forge(t, s, p.id, p.id, protocol.OpSign, wire.DrawSecret())
	otherKey := append([]byte{}, good...)
	otherKey[2] ^= 1
	damaged := append([]byte{}, good...)
	damaged[len(damaged)-1] ^= 1
	challengeless := newService(t, func(c *Config) { c.ChallengeKey = []byte(strings.Repeat("x", 32)); c.HPKE = s.config.HPKE })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	away := s.node(t, func(c *Config) { c.Store = brokenStore{c.Store, errors.New("10.0.0.7 is away")} })
	unknown := protocol.KeyID{9}
	for _, c := range []struct {
		node    *Server
		ctx     context.Context
		request []byte
		want    string
	}{
		{s.Server, t.Context(), nil, "Operation(0): refused malformed"},
		{s.Server, t.Context(), otherKey, "Operation(0): refused HPKE"},
		{s.Server, t.Context(), damaged, "Operation(0): refused HPKE"},
		{s.Server, t.Context(), forge(t, challengeless, p.id, p.id, protocol.OpSign, wire.DrawSecret()), "Operation(0): refused challenge"},
		{s.Server, t.Context(), forge(t, s, p.id, unknown, protocol.OpSign, wire.DrawSecret()), "sign: refused challenge"},
		{s.Server, t.Context(), forge(t, s, unknown, unknown, protocol.OpRefresh, wire.DrawSecret()), "refresh: refused unknown key"},
		{s.Server, t.Context(), good, "sign: refused MAC"},
		{s.Server, gone, good, "sign: refused gone"},
		{away, t.Context(), good, "sign: refused failure"},
	} {
		n.take()
		_, err := c.node.Handle(c.ctx, c.request)
		require.Equal(t, ErrRefused, err, c.want)
		handled, facts, _ := n.take()
		require.Equal(t, []string{c.want}, handled)
		require.Empty(t, facts)
	}
	require.Equal(t, ErrRefused, s.Refuse(t.Context(), "too long"))
	handled, _, _ := n.take()
	require.Equal(t, []string{"Operation(0): refused too long"}, handled)
	var none context.Context
	require.Equal(t, ErrRefused, s.Refuse(none, "x"))

	// The right MAC without the hardware's signature.
	require.Equal(t, "hardware", causeOf(fmt.Errorf("%w: key", errHardware)))
	require.Equal(t, "failure", causeOf(fmt.Errorf("%w: %w", errInternal, ErrUnknownKey)))

	store := &loser{Store: s.store}
	racing := s.node(t, func(c *Config) { c.Store = store })
	p.transport = racing.Handle
	n.take()
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	_, _, called := n.take()
	require.Equal(t, 1, called["store swap conflict"])
	require.Equal(t, 1, called["store swap ok"])
}

// loser loses the race for its first Swap.
type loser struct {
	limiter.Store
	once bool
}

func (l *loser) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if !l.once {
		l.once = true
		return limiter.ErrConflict
	}
	return l.Store.Swap(ctx, id, version, value)
}

// TestObserverSeesNoID: whatever happens, nothing that the observer is told has a key id,
// a digest, or an error's text in it.
func TestObserverSeesNoID(t *testing.T) {
	n := new(notes)
	s := newService(t, watched(n))
	p, tap := life(t, s, new(protocoltest.MemoryStorage), nil)
	for _, r := range tap.requests {
		_, _ = s.Handle(t.Context(), r)
		_, _ = s.Handle(t.Context(), r[:len(r)-1])
	}
	broken := s.node(t, func(c *Config) {
		c.Store = brokenStore{c.Store, fmt.Errorf("no %s", recordID(p.id))}
	})
	_, err := broken.Handle(t.Context(), tap.requests[len(tap.requests)-1])
	require.ErrorIs(t, err, ErrRefused)
	require.NoError(t, s.Revoke(t.Context(), p.id, "stolen"))
	text := n.all.String()
	require.Greater(t, strings.Count(text, "\n"), 100)
	for _, secret := range []string{
		p.id.String(), hex.EncodeToString(p.id[:8]), string(p.id[:]), fmt.Sprint(p.id[:]), fmt.Sprintf("%#v", p.id), "key/", "stolen",
		hex.EncodeToString(protocoltest.DigestOf("contract")), string(protocoltest.DigestOf("contract")),
	} {
		require.NotContains(t, text, secret)
	}
	require.Contains(t, text, "wrong PIN", "the search finds what is there")
}

// TestObserverOff: without an observer nothing stands between the server and its parts,
// and with one a request that is refused allocates nothing more.
func TestObserverOff(t *testing.T) {
	off := newService(t, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) })
	require.Equal(t, off.config.Store, off.Server.config.Store)
	require.Equal(t, off.config.Sealer, off.Server.config.Sealer)
	require.Equal(t, off.config.Keys, off.Server.config.Keys)
	on := off.node(t, func(c *Config) { c.Observer = silent{} })
	request := forge(t, off, protocol.KeyID{9}, protocol.KeyID{9}, protocol.OpRefresh, wire.DrawSecret())
	// The fewest of several times: a collection at the wrong moment makes them more.
	allocations := func(s *Server) float64 {
		fewest := math.Inf(1)
		for range 10 {
			fewest = min(fewest, testing.AllocsPerRun(5, func() {
				_, err := s.Handle(t.Context(), request)
				require.ErrorIs(t, err, ErrRefused)
			}))
		}
		return fewest
	}
	require.InDelta(t, allocations(off.Server), allocations(on), 1)
	_, err := New(func() Config { c := off.config; c.Observer = (*notes)(nil); return c }())
	require.ErrorIs(t, err, protocol.ErrConfig)
}

// silent is an observer that does nothing.
type silent struct{}

func (silent) Handled(observe.Handled) {}
func (silent) Called(observe.Call)     {}
func (silent) Happened(observe.Fact)   {}
func (silent) Undelivered(int)         {}

// TestObserverHearsOfASinkThatIsDown: the observer is told how full the record is.
func TestObserverHearsOfASinkThatIsDown(t *testing.T) {
	n := new(notes)
	down := &sink{}
	s := newService(t, watched(n), func(c *Config) { c.Audit = down })
	p := newReadyPhone(t, s)
	require.Empty(t, n.waiting)
	down.fails = true
	for range maxEvents + 1 {
		_ = p.Refresh(t.Context(), p.challenge(t))
	}
	require.Subset(t, n.waiting, []int{1, 2, 3, 4, 5, 6, 7, maxEvents})
	require.NotContains(t, n.waiting, maxEvents+1)
	require.NoError(t, s.Revoke(t.Context(), p.id, "stolen"))
	require.Contains(t, n.waiting, maxEvents+1, "the destruction has a place of its own")
	_, _, called := n.take()
	require.Positive(t, called["audit record failed"])
}

// TestRefusalsAreLogged: of refusals that are the sender's fault the log has the first
// ten of a minute, at level info, with the request's id; and they hide no failure.
func TestRefusalsAreLogged(t *testing.T) {
	s := newService(t, func(c *Config) {})
	p := newReadyPhone(t, s)
	log := new(fullDisk)
	node := s.node(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	ctx := observe.WithRequestID(t.Context(), "r-17")
	for range linesAtOnce {
		_, err := node.Handle(ctx, forge(t, s, p.id, p.id, protocol.OpSign, wire.DrawSecret()))
		require.Equal(t, ErrRefused, err)
		require.Equal(t, ErrRefused, node.Refuse(ctx, "too long"))
	}
	require.Equal(t, linesAtOnce, strings.Count(log.String(), "level=INFO msg=\"request refused\""))
	require.Equal(t, linesAtOnce, strings.Count(log.String(), " request=r-17\n"))
	require.Equal(t, linesAtOnce/2, strings.Count(log.String(), `cause="too long"`))
	require.Equal(t, linesAtOnce/2, strings.Count(log.String(), "not the device's"))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := node.Handle(gone, forge(t, s, p.id, p.id, protocol.OpSign, wire.DrawSecret()))
	require.Equal(t, ErrRefused, err)
	require.Contains(t, log.String(), "context canceled", "whatever strangers send")
	s.clock.Add(linesPeriod)
	require.Equal(t, ErrRefused, node.Refuse(t.Context(), "too long"))
	require.Contains(t, log.String(), "cause=\"too long\" left_out=10\n")

	// A request that is "later" has its id too.
	log.Reset()
	p.transport = func(_ context.Context, r []byte) ([]byte, error) {
		return s.node(t, func(c *Config) {
			c.Store, c.Log = &swapFails{c.Store, io.ErrShortWrite}, slog.New(slog.NewTextHandler(log, nil))
		}).Handle(ctx, r)
	}
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), device.ErrUnanswered)
	require.Contains(t, log.String(), "request=r-17")
}
