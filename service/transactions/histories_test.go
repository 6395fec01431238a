package transactions

import (
	"cmp"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/rp"
)

// TestHistories: whatever relying parties and phones do, one after the other or two at
// once, on nodes that come and go, each session ends as the model says: in one way, with
// one signature at most, and not after its time.
func TestHistories(t *testing.T) {
	t.Parallel()
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		w := newWorld(t, open)
		handles := []*database.DB{w.db, open()}
		for n := range durabletest.Times(1000, 25, 10) {
			seed := uint64(n)
			h := &history{world: w, t: t, random: rand.New(rand.NewPCG(seed, 1)), handles: handles, seed: seed}
			h.run()
			for _, e := range h.nodes {
				checkParsed(t, e)
			}
		}
		durabletest.Claim(t, "transactions: %s: %d histories, %d sessions: each ended as the model says", t.Name(), durabletest.Times(1000, 25, 10), w.begun)
	})
}

// history is one of them.
type history struct {
	*world
	t       *testing.T
	random  *rand.Rand
	seed    uint64
	handles []*database.DB
	nodes   []*Engine
	model   model

	accounts []accounts.Account
	requests []rp.Request
	sessions []rp.Session
	claims   map[[2]int]*Claimed
	toSign   map[[2]int]*ToSign
	log      []string
}

func (h *history) run() {
	h.model = model{now: h.clock.Now(), dead: map[deadKey]bool{}}
	h.claims, h.toSign = map[[2]int]*Claimed{}, map[[2]int]*ToSign{}
	number := fmt.Sprintf("5%010d", h.random.Int64N(1e10))
	for range 1 + h.random.IntN(3) {
		h.accounts = append(h.accounts, h.account(number, identity.Qualified))
	}
	h.accounts = append(h.accounts, h.account(number+"9", identity.Qualified))
	h.nodes = []*Engine{h.restart(), h.restart()}
	h.begin()
	for range 25 {
		switch h.random.IntN(10) {
		case 0:
			if len(h.sessions) < 4 {
				h.begin()
			}
		case 1:
			h.pass()
		case 2:
			h.nodes[h.random.IntN(2)] = h.restart()
			require.NoError(h.t, h.nodes[0].Sweep(h.t.Context()))
		case 3:
			h.pair(h.draw(), h.draw())
		default:
			h.one(h.draw())
		}
		h.compare()
	}
	h.clock.Add(DefaultLife)
	h.model.now = h.clock.Now()
	h.compare()
	for _, s := range h.model.sessions {
		require.NotZero(h.t, s.end, "a session that never ends: %s", h.story())
	}
	h.clock.Add(Retention) // they are nobody's any more
}

func (h *history) story() string { return fmt.Sprintf("history %d: %q", h.seed, h.log) }

// restart starts a node: with all that it knows from the database.
func (h *history) restart() *Engine {
	e := *h.Engine
	e.store = newStore(e.db)
	e.db = h.handles[h.random.IntN(len(h.handles))]
	return &e
}

func (h *history) node() *Engine { return h.nodes[h.random.IntN(2)] }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// begin has a relying party begin a session.
func (h *history) begin() {
	i := h.random.IntN(len(h.accounts))
	kind := pick(h.random, rp.Authentication, rp.Authentication, rp.Signature, rp.Signature, rp.CertificateChoice)
	interaction := pick(h.random, rp.DisplayTextAndPIN, rp.ConfirmationMessageAndVerificationCodeChoice, rp.VerificationCodeChoice)
	target, asked := of(h.accounts[i]), map[int]bool{i: true}
	if h.random.IntN(2) == 0 {
		target = person(h.accounts[i])
		for j, a := range h.accounts {
			if a.Document.ID == h.accounts[i].Document.ID {
				asked[j] = true
			}
		}
	}
	var r rp.Request
	var link map[int]bool
	switch {
	case kind != rp.CertificateChoice && h.random.IntN(4) == 0:
		// A device link, for whoever opens it, or for whom the relying party knows.
		interaction = rp.ConfirmationMessage
		link = asked
		if h.random.IntN(2) == 0 {
			target = rp.Target{}
			for j := range h.accounts {
				link[j] = true
			}
		}
		r = login3(rp.DeviceLink, target, interaction)
		if kind == rp.Signature {
			r = signature3(rp.DeviceLink, target, interaction)
		}
	case kind == rp.CertificateChoice:
		r = choice(pick(h.random, rp.V2, rp.V3), rp.Notification, target)
	case h.random.IntN(2) == 0 && interaction != rp.VerificationCodeChoice:
		r = login3(rp.Notification, target, interaction)
		if kind == rp.Signature {
			r = signature3(rp.Notification, target, interaction)
		}
	default:
		r = login2(target, interaction)
		r.Kind = kind
	}
	r.RelyingPartyUUID = pick(h.random, bank, clinic)
	s := modelSession{
		kind: kind, asked: asked, codes: interaction.Choice() && kind != rp.CertificateChoice, text: interaction == rp.ConfirmationMessage, began: h.model.now, deadline: h.model.now.Add(DefaultLife),
		claimed: map[int]bool{}, picked: map[int]bool{}, left: map[int]bool{},
	}
	alive := map[int]bool{}
	for j := range asked {
		if h.people.accounts[h.accounts[j].Document.String()].State == accounts.Active {
			alive[j] = true
		}
	}
	made, err := h.node().Begin(h.t.Context(), r, h.source)
	h.log = append(h.log, fmt.Sprintf("begin %d: kind %d, flow %d, %s, asked %v", len(h.sessions), kind, r.Flow, interaction, asked))
	if len(alive) == 0 && target != (rp.Target{}) {
		var p *rp.Problem
		require.ErrorAs(h.t, err, &p, h.story())
		require.Equal(h.t, rp.NotFound, p.Kind, h.story())
		return
	}
	if link == nil {
		asked, s.asked = alive, alive
	}
	require.NoError(h.t, err, h.story())
	if link != nil {
		s.asked, s.link, s.deadline = map[int]bool{}, link, h.model.now.Add(DefaultLinkLife)
	}
	if kind == rp.CertificateChoice && len(asked) == 1 {
		for j := range asked {
			s.end, s.by, s.ended = rp.OK, j, h.model.now
			if h.model.dead[s.key(j)] {
				s.end = rp.DocumentUnusable
			}
		}
	}
	h.begun++
	h.requests, h.sessions = append(h.requests, r), append(h.sessions, made)
	h.model.sessions = append(h.model.sessions, s)
}

// pass lets time pass: a little, or to about an end.
func (h *history) pass() {
	d := time.Duration(h.random.Int64N(int64(30 * time.Second)))
	if h.random.IntN(3) == 0 {
		d = DefaultLife + pick(h.random, -time.Millisecond, 0, time.Millisecond)
	}
	d = d.Truncate(time.Millisecond)
	h.clock.Add(d)
	h.model.now = h.clock.Now()
	h.log = append(h.log, "pass "+d.String())
}

// draw draws a step.
func (h *history) draw() step {
	st := step{
		what:    pick(h.random, "claim", "claim", "claim", "pick", "account", "sign", "sign", "sign", "replay", "refuse", "close"),
		session: h.random.IntN(len(h.sessions)), account: h.random.IntN(len(h.accounts)), right: h.random.IntN(4) > 0, lock: h.random.IntN(3) == 0,
		screen: pick(h.random, NoScreen, AccountScreen, CodesScreen, ConfirmationScreen, PINScreen),
	}
	if st.what == "close" && h.random.IntN(3) > 0 {
		st.what = "sign"
	}
	if st.what == "replay" && h.toSign[[2]int{st.session, st.account}] == nil {
		st.what = "claim" // there is nothing to send again
	}
	return st
}

// take does a step on a node, and returns what the phone is told, in the model's words.
func (h *history) take(e *Engine, st step) (told string, c *Claimed, t *ToSign) {
	ctx := h.t.Context()
	a, err := h.people.ByDocument(ctx, h.accounts[st.account].Document)
	require.NoError(h.t, err)
	id, key := h.sessions[st.session].ID, [2]int{st.session, st.account}
	switch st.what {
	case "claim":
		r := ClaimRequest{Session: id, UserChallenge: userChallenge, Interactions: all}
		if x := h.model.sessions[st.session]; x.link != nil {
			r.Session = ""
			r.DeviceLink = h.link(h.requests[st.session], h.sessions[st.session], rp.FlowQR, h.clock.Now().Sub(x.began))
		}
		c, err = e.Claim(ctx, a, r)
	case "pick":
		s, _ := e.look(ctx, id, nil)
		code := s.Code
		if !st.right {
			code = "none"
		}
		if s.Code == "" {
			code = "1234"
		}
		t, err = e.Choose(ctx, a, id, code)
	case "account":
		t, err = e.Choose(ctx, a, id, "")
	case "refuse":
		err = e.Refuse(ctx, a, id, st.screen)
	case "close":
		err = e.db.Tx(ctx, func(tx *sql.Tx) error { return e.CloseAccount(ctx, tx, a.Document) })
		h.people.mu.Lock()
		a.State = accounts.Deleted
		h.people.accounts[a.Document.String()] = a
		h.people.mu.Unlock()
	case "sign", "replay":
		to := h.toSign[key]
		if to == nil {
			to = &ToSign{Challenge: []byte("none"), Algorithm: rp.Algorithm{Hash: crypto.SHA256}}
		}
		pin := "wrong"
		switch {
		case st.right || st.what == "replay":
			pin = "right"
		case st.lock:
			pin = "lock"
		}
		if st.what == "replay" {
			_, err = h.signer.Handle(ctx, request(to, pin))
			break
		}
		_, err = e.Sign(ctx, a, id, request(to, pin))
	}
	var unusable *UnusableError
	for _, e := range []struct {
		err  error
		told string
	}{{ErrNotFound, "not found"}, {ErrGone, "gone"}, {ErrOrder, "order"}, {ErrWrongCode, "wrong code"}, {ErrWrongAccount, "wrong account"}} {
		if errors.Is(err, e.err) {
			return e.told, nil, nil
		}
	}
	if errors.As(err, &unusable) {
		return "unusable", nil, nil
	}
	require.NoError(h.t, err, h.story())
	return "ok", c, t
}

// keep remembers what a phone was given.
func (h *history) keep(st step, c *Claimed, t *ToSign) {
	key := [2]int{st.session, st.account}
	if c != nil {
		if before := h.claims[key]; before != nil && c.ToSign != nil && before.ToSign != nil {
			require.Equal(h.t, before.ToSign, c.ToSign, "a second claim: %s", h.story())
		}
		h.claims[key] = c
		t = c.ToSign
	}
	if t != nil {
		h.toSign[key] = t
	}
}

func (h *history) one(st step) {
	h.log = append(h.log, fmt.Sprintf("%+v", st))
	told, c, t := h.take(h.node(), st)
	require.Equal(h.t, h.model.do(st), told, h.story())
	h.keep(st, c, t)
}

// pair takes two steps at once: what comes of them is what comes of one after the other.
func (h *history) pair(x, y step) {
	if x.session == y.session && x.account == y.account || x.what == "close" || y.what == "close" || x.what == "sign" || y.what == "sign" {
		h.one(x) // one phone does one thing at a time; Sign is several transactions
		return
	}
	h.log = append(h.log, fmt.Sprintf("at once: %+v and %+v", x, y))
	type result struct {
		told string
		c    *Claimed
		t    *ToSign
	}
	a, b := make(chan result, 1), make(chan result, 1)
	for _, s := range []struct {
		c    chan result
		node *Engine
		st   step
	}{{a, h.nodes[0], x}, {b, h.nodes[1], y}} {
		go func() {
			told, c, t := h.take(s.node, s.st)
			s.c <- result{told, c, t}
		}()
	}
	ra, rb := <-a, <-b
	h.keep(x, ra.c, ra.t)
	h.keep(y, rb.c, rb.t)
	first, second := h.model.clone(), h.model.clone()
	fits := func(m *model, xFirst bool) bool {
		var tx, ty string
		if xFirst {
			tx, ty = m.do(x), m.do(y)
		} else {
			ty, tx = m.do(y), m.do(x)
		}
		return tx == ra.told && ty == rb.told && h.differs(m) == ""
	}
	switch {
	case fits(&first, true):
		h.model = first
	case fits(&second, false):
		h.model = second
	default:
		require.Fail(h.t, "neither order", "%s and %s: %s, %s", ra.told, rb.told, h.differs(&first), h.story())
	}
}

// compare requires that all sessions are as the model has them, for everybody who asks.
func (h *history) compare() {
	h.model.tick()
	require.Empty(h.t, h.differs(&h.model), h.story())
}

func (h *history) differs(m *model) string {
	for i, s := range h.sessions {
		want := m.sessions[i]
		st, err := h.node().Status(h.t.Context(), s.ID, 0, h.source)
		if want.end != 0 && !m.now.Before(want.ended.Add(Retention)) {
			var p *rp.Problem
			if !errors.As(err, &p) || p.Kind != rp.NotFound {
				return fmt.Sprintf("session %d can be read after its time: %v", i, err)
			}
			continue
		}
		if err != nil {
			return fmt.Sprintf("session %d: %v", i, err)
		}
		o := cmp.Or(st.Outcome, &rp.Outcome{})
		if o.End != want.end {
			return fmt.Sprintf("session %d ended %v, not %v", i, o.End, want.end)
		}
		if o.End != rp.OK {
			continue
		}
		a := h.accounts[want.by]
		if o.Document != a.Document {
			return fmt.Sprintf("session %d was answered by another account", i)
		}
		if want.kind == rp.CertificateChoice {
			continue
		}
		t := h.toSign[[2]int{i, want.by}]
		if t == nil || string(o.Signature) != string(signatureOf(a.Key(useOf(want.kind)).ID, t.Digest)) {
			return fmt.Sprintf("session %d has another signature", i)
		}
	}
	return ""
}
