package server

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

var manyTries = flag.Bool("tries", false, "TestThiefExactly: rounds of as many tries as docs/protocol.md speaks of")

// heist is a moment in the life of a key of whose device a thief has a copy. The server
// and the owner's device are the real ones. The thief knows all numbers and chains,
// controls the network, and acts as he likes; he lacks the PIN and every token that he
// did not copy.
type heist struct {
	record, owner []byte
	now           time.Time
	tokens        []wire.Secret // that the thief knows
	replyKey      *wire.Hash    // the request whose reply key he copied
	verdicts      int
	waits         int  // locks that were waited out; 2 stands for more
	locked        bool // a lock began after the copy
	proved        bool // the owner's right PIN was settled, of a request made after the copy
	afterProof    int  // verdicts since then
	giveBack      bool // a right PIN of the owner's counted after a verdict
}

// burglary explores every moment that can follow, up to moments that differ in nothing
// that matters.
type burglary struct {
	t     *testing.T
	s     *service
	id    protocol.KeyID
	owner *phone // one device for all moments: it keeps nothing but its storage
	seen  map[string]bool
	queue []*heist
	cost  int
}

// at makes the moment the present one, and returns the owner's phone.
func (b *burglary) at(h *heist) *phone {
	store := new(storetest.MemoryStore)
	require.NoError(b.t, store.Create(b.t.Context(), recordID(b.id), h.record))
	b.s.store = store
	b.s.Server = b.s.node(b.t, func(c *Config) { c.Store = store })
	b.s.clock.Set(h.now)
	b.owner.state.Data = slices.Clone(h.owner)
	b.owner.transport = b.s.Handle
	b.cost++
	return b.owner
}

// after adds the moment that follows, unless it is known.
func (b *burglary) after(h heist, p *phone) {
	before, err := parseRecord(h.record)
	require.NoError(b.t, err)
	h.record, h.owner = b.s.recorded(b.t, b.id), slices.Clone(p.state.Data)
	rec, err := parseRecord(h.record)
	require.NoError(b.t, err)
	status, err := b.s.config.Policy.Peek(rec.counter, h.now)
	require.NoError(b.t, err)
	h.locked = h.locked || !status.LockedUntil.IsZero()
	if before.condition == Active && rec.last.number == before.last.number+1 && rec.counter != before.counter && rec.last.fate == wire.FateRight && h.verdicts > 0 {
		h.giveBack = true
	}
	if key := b.key(&h, rec); !b.seen[key] {
		b.seen[key] = true
		b.queue = append(b.queue, &h)
	}
}

// key is all of a moment that the future depends on.
func (b *burglary) key(h *heist, rec *record) string {
	st, err := protocoltest.ParseState(h.owner)
	require.NoError(b.t, err)
	status, err := b.s.config.Policy.Peek(rec.counter, h.now)
	require.NoError(b.t, err)
	key := fmt.Sprint(rec.condition, status.RemainingTotal, !status.LockedUntil.IsZero(), h.verdicts, h.waits, h.locked, h.proved, h.afterProof, h.giveBack,
		h.known(rec.commitment), device.Phase(st.Phase))
	if device.Phase(st.Phase) == device.Ready {
		key += fmt.Sprint(min(rec.last.number-st.Key.Number, 2), rec.chain == st.Key.Chain, st.Key.Token.Commitment() == rec.commitment, h.known(st.Key.Token.Commitment()))
		if p := st.Pending; p != nil {
			key += fmt.Sprint(p.Op, p.Cancel, p.Hash() == rec.last.request, rec.last.fate, p.Next.Commitment() == rec.commitment, h.known(p.Next.Commitment()),
				h.replyKey != nil && *h.replyKey == p.Hash())
		}
	}
	return key
}

func (h *heist) known(c wire.Hash) bool {
	return slices.ContainsFunc(h.tokens, func(t wire.Secret) bool { return t.Commitment() == c })
}

// copied is the moment at which the thief copies the owner's state.
func (b *burglary) copied(p *phone) {
	st := p.stored(b.t)
	h := heist{record: b.s.recorded(b.t, b.id), owner: slices.Clone(p.state.Data), now: b.s.clock.Now(), tokens: []wire.Secret{st.Key.Token}}
	if st.Pending != nil {
		request := st.Pending.Hash()
		h.tokens, h.replyKey = append(h.tokens, st.Pending.Next), &request
	}
	b.after(h, p)
}

// expand adds whatever can happen next.
func (b *burglary) expand(h *heist) {
	rec, err := parseRecord(h.record)
	require.NoError(b.t, err)
	st, err := protocoltest.ParseState(h.owner)
	require.NoError(b.t, err)
	if rec.condition == Destroyed || !h.known(rec.commitment) && (st.Pending == nil || !h.known(st.Pending.Next.Commitment())) {
		return // the thief has no token that is good for anything, and gets none
	}
	if status, _ := b.s.config.Policy.Peek(rec.counter, h.now); !status.LockedUntil.IsZero() {
		next := *h
		next.now, next.waits = status.LockedUntil, min(h.waits+1, 2)
		b.after(next, b.at(&next))
	}
	b.ownerActs(h, st)
	b.thiefActs(h, rec, st)
}

// ownerActs: the owner signs, with the right PIN or a wrong one, refreshes, resumes or
// cancels. The request or the answer may be lost.
func (b *burglary) ownerActs(h *heist, st *protocoltest.State) {
	if device.Phase(st.Phase) != device.Ready {
		return
	}
	acts := map[string]func(p *phone){
		"right":   func(p *phone) { _, _ = p.sign(b.t, "x", protocoltest.RightPIN) },
		"wrong":   func(p *phone) { _, _ = p.sign(b.t, "x", protocoltest.WrongPIN) },
		"refresh": func(p *phone) { _ = p.Refresh(b.t.Context(), p.challenge(b.t)) },
	}
	if st.Pending != nil {
		acts = map[string]func(p *phone){
			"resume": func(p *phone) { _, _ = p.Resume(b.t.Context()) },
			"cancel": func(p *phone) { _ = p.Cancel(b.t.Context(), p.challenge(b.t)) },
		}
	}
	for name, act := range acts {
		for _, loss := range []string{"none", "request", "answer"} {
			p := b.at(h)
			p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
				if loss == "request" {
					return nil, protocoltest.ErrLost
				}
				response, err := b.s.Handle(ctx, request)
				if loss == "answer" {
					return nil, protocoltest.ErrLost
				}
				return response, err
			}
			before, err := parseRecord(h.record)
			require.NoError(b.t, err)
			act(p)
			next := *h
			rec := loadRecord(b.t, b.s, b.id)
			if name == "right" && rec.last.number > before.last.number && rec.last.fate == wire.FateRight {
				next.proved = true
			}
			b.after(next, p)
		}
	}
}

// thiefActs: he guesses, refreshes, to a token of his own or one that he copied, and
// cancels, for himself or for the owner; forges answers to the request that he copied;
// and sends again what the owner has sent.
func (b *burglary) thiefActs(h *heist, rec *record, st *protocoltest.State) {
	i := slices.IndexFunc(h.tokens, func(t wire.Secret) bool { return t.Commitment() == rec.commitment })
	if i >= 0 {
		send := func(r *wire.Request) (*wire.Answer, *phone) {
			p := b.at(h)
			r.Number, r.Token, r.Chain = rec.last.number+1, h.tokens[i], rec.chain
			c, err := wire.ParseChallenge(p.challenge(b.t))
			require.NoError(b.t, err)
			r.Challenge = c
			plaintext, err := r.Encode(st.Key.AuthKey, b.id, nil)
			require.NoError(b.t, err)
			return exchange(b.t, b.s, r.Op, b.id, plaintext), p
		}
		guess := make([]byte, 256)
		guess[255] = 2
		a, p := send(&wire.Request{Op: protocol.OpChangePIN, Salts: [][]byte{nil}, Partials: [][]byte{guess}, Target: wire.Hash{1}})
		next := *h
		if a.Code == wire.CodeWrong {
			next.verdicts++
			if h.proved {
				next.afterProof++
			}
		}
		b.after(next, p)
		mine := wire.DrawSecret()
		for _, token := range append([]wire.Secret{mine}, h.tokens...) {
			_, p = send(&wire.Request{Op: protocol.OpRefresh, Target: token.Commitment()})
			next := *h
			next.tokens = append(slices.Clone(h.tokens), mine)
			b.after(next, p)
		}
		targets := []wire.Hash{{9}}
		if st.Pending != nil {
			targets = append(targets, st.Pending.Hash())
		}
		for _, target := range targets {
			_, p = send(&wire.Request{Op: protocol.OpCancel, Target: target})
			b.after(*h, p)
		}
	}
	if pending := st.Pending; pending != nil {
		p := b.at(h)
		_, _ = b.s.Handle(b.t.Context(), pending.Request)
		b.after(*h, p)
		if h.replyKey != nil && *h.replyKey == pending.Hash() {
			b.forgeries(h, pending)
		}
	}
}

func (b *burglary) forgeries(h *heist, pending *protocoltest.Pending) {
	for _, forged := range []*wire.Answer{{Code: wire.CodeWrong, Verdict: wire.Verdict{Remaining: 2, Total: 8, Until: 0}}, {Code: wire.CodeCancelled}, {Code: wire.CodeRight}, {Code: wire.CodeExpired}} {
		p := b.at(h)
		answered := false
		p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
			if answered {
				return nil, protocoltest.ErrLost // he keeps what the device says of it
			}
			answered = true
			plaintext, err := forged.Encode()
			require.NoError(b.t, err)
			return pending.ResponseKey().Seal(plaintext)
		}
		_, _ = p.Resume(b.t.Context())
		b.after(*h, p)
	}
}

// TestThiefExactly explores everything that an owner and a thief can do, from copies made
// at each kind of moment, until nothing new comes: the most that the thief learns is what
// docs/protocol.md says, and not less. With rounds of k tries: k-1 verdicts without a
// lock; k, 2k and 3k where none, one and two or more locks are waited out; one less after
// a wrong PIN of the owner's; none after a right one, and no right one that counts after
// any. A round has the fewest tries with which a case can be, or with -tries more.
func TestThiefExactly(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(p *phone, lose func(request, answer bool))
		few     int // tries of a round
		many    int // with -tries
		used    int // tries of the first round that the owner has used
	}{
		"nothing pending":                {func(*phone, func(bool, bool)) {}, 2, 3, 0},
		"after a wrong PIN":              {func(p *phone, _ func(bool, bool)) { _, _ = p.sign(t, "x", protocoltest.WrongPIN) }, 2, 2, 1},
		"a request pending, not settled": {func(p *phone, lose func(bool, bool)) { lose(true, true); _, _ = p.sign(t, "x", protocoltest.RightPIN) }, 1, 2, 0},
		"a request pending, settled":     {func(p *phone, lose func(bool, bool)) { lose(false, true); _, _ = p.sign(t, "x", protocoltest.RightPIN) }, 1, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := c.few
			if *manyTries {
				k = c.many
			}
			s := newService(t, func(config *Config) {
				config.Keys = nil
				config.Policy = limiter.Policy{{Tries: k, Lock: 3 * time.Hour}, {Tries: k, Lock: 24 * time.Hour}, {Tries: k, Lock: limiter.Forever}}
			})
			p, l := newLossyPhone(t, s)
			c.prepare(p, func(request, answer bool) { l.loseRequest, l.loseResponse = request, answer })
			b := &burglary{t: t, s: s, id: p.id, owner: p, seen: make(map[string]bool)}
			b.copied(p)
			most, without := make([]int, 3), 0
			// Short mode sees the first moments, and no more than the whole allows.
			for len(b.queue) > 0 && !(testing.Short() && len(b.seen) > 40) {
				h := b.queue[0]
				b.queue = b.queue[1:]
				most[h.waits] = max(most[h.waits], h.verdicts)
				if !h.locked {
					without = max(without, h.verdicts)
				}
				require.Zero(t, h.afterProof, "verdicts after a right PIN of the owner's")
				require.False(t, h.giveBack, "a right PIN of the owner's gave tries back after a guess")
				b.expand(h)
			}
			t.Logf("%d moments, %d steps: most %v, without a lock %d", len(b.seen), b.cost, most, without)
			allowed := []int{k - c.used, 2*k - c.used, 3*k - c.used}
			if len(b.queue) == 0 {
				require.Equal(t, allowed, most)
				require.Equal(t, k-1-c.used, without)
			}
			for i, n := range most {
				require.LessOrEqual(t, n, allowed[i])
			}
			require.LessOrEqual(t, without, k-1-c.used)
		})
	}
}
