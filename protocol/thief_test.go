package protocol

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// heist is a moment in the life of a key of whose device a thief has a copy. The server and the owner's device are the
// real ones. The thief knows all numbers and chains, controls the network, and acts as he likes; he lacks the PIN and
// every token that he did not copy.
type heist struct {
	record, owner []byte
	now           time.Time
	tokens        []secret // that the thief knows
	replyKey      *hash    // the request whose reply key he copied
	verdicts      int
	waits         int  // locks that were waited out; 2 stands for more
	locked        bool // a lock began after the copy
	proved        bool // the owner's right PIN was settled, of a request made after the copy
	afterProof    int  // verdicts since then
	giveBack      bool // a right PIN of the owner's counted after a verdict
}

// burglary explores every moment that can follow, up to moments that differ in nothing that matters.
type burglary struct {
	t     *testing.T
	s     *service
	id    KeyID
	seen  map[string]bool
	queue []*heist
	cost  int
}

// at makes the moment the present one, and returns the owner's phone.
func (b *burglary) at(h *heist) *phone {
	store := new(storetest.MemoryStore)
	require.NoError(b.t, store.Create(b.t.Context(), b.id.recordID(), h.record))
	b.s.store = store
	b.s.Server = b.s.node(b.t, func(c *Config) { c.Store = store })
	b.s.clock.mu.Lock()
	b.s.clock.now = h.now
	b.s.clock.mu.Unlock()
	p := openPhone(b.t, b.s, &memoryState{data: h.owner}, nil)
	p.id = b.id
	b.cost++
	return p
}

// after adds the moment that follows, unless it is known.
func (b *burglary) after(h heist, p *phone) {
	before, err := parseRecord(h.record)
	require.NoError(b.t, err)
	h.record, h.owner = b.s.recorded(b.t, b.id), slices.Clone(p.state.data)
	rec, err := parseRecord(h.record)
	require.NoError(b.t, err)
	status, err := b.s.config.Policy.Peek(rec.counter, h.now)
	require.NoError(b.t, err)
	h.locked = h.locked || !status.LockedUntil.IsZero()
	if before.condition == Active && rec.last.number == before.last.number+1 && rec.counter != before.counter && rec.last.fate == fateRight && h.verdicts > 0 {
		h.giveBack = true
	}
	if key := b.key(&h, rec); !b.seen[key] {
		b.seen[key] = true
		b.queue = append(b.queue, &h)
	}
}

// key is all of a moment that the future depends on.
func (b *burglary) key(h *heist, rec *record) string {
	st, err := parseDeviceState(h.owner, nil)
	require.NoError(b.t, err)
	status, err := b.s.config.Policy.Peek(rec.counter, h.now)
	require.NoError(b.t, err)
	key := fmt.Sprint(rec.condition, status.RemainingTotal, !status.LockedUntil.IsZero(), h.verdicts, h.waits, h.locked, h.proved, h.afterProof, h.giveBack,
		h.known(rec.current), st.phase)
	if st.phase == Ready {
		key += fmt.Sprint(min(rec.last.number-st.key.number, 2), rec.chain == st.key.chain, st.key.token.commitment() == rec.current, h.known(st.key.token.commitment()))
		if p := st.pending; p != nil {
			key += fmt.Sprint(p.op, p.cancel, p.hash() == rec.last.request, rec.last.fate, p.next.commitment() == rec.current, h.known(p.next.commitment()),
				h.replyKey != nil && *h.replyKey == p.hash())
		}
	}
	return key
}

func (h *heist) known(c hash) bool {
	return slices.ContainsFunc(h.tokens, func(t secret) bool { return t.commitment() == c })
}

// copied is the moment at which the thief copies the owner's state.
func (b *burglary) copied(p *phone) {
	st := p.stored(b.t)
	h := heist{record: b.s.recorded(b.t, b.id), owner: slices.Clone(p.state.data), now: b.s.clock.Now(), tokens: []secret{st.key.token}}
	if st.pending != nil {
		request := st.pending.hash()
		h.tokens, h.replyKey = append(h.tokens, st.pending.next), &request
	}
	b.after(h, p)
}

// expand adds whatever can happen next.
func (b *burglary) expand(h *heist) {
	rec, err := parseRecord(h.record)
	require.NoError(b.t, err)
	st, err := parseDeviceState(h.owner, nil)
	require.NoError(b.t, err)
	if rec.condition == Destroyed || !h.known(rec.current) && (st.pending == nil || !h.known(st.pending.next.commitment())) {
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

// ownerActs: the owner signs, with the right PIN or a wrong one, refreshes, resumes or cancels. The request or the answer
// may be lost.
func (b *burglary) ownerActs(h *heist, st *deviceState) {
	if st.phase != Ready {
		return
	}
	acts := map[string]func(p *phone){
		"right":   func(p *phone) { _, _ = p.sign(b.t, "x", rightPIN) },
		"wrong":   func(p *phone) { _, _ = p.sign(b.t, "x", wrongPIN) },
		"refresh": func(p *phone) { _ = p.Refresh(b.t.Context(), p.challenge(b.t)) },
	}
	if st.pending != nil {
		acts = map[string]func(p *phone){
			"resume": func(p *phone) { _, _ = p.Resume(b.t.Context()) },
			"cancel": func(p *phone) { _ = p.Cancel(b.t.Context(), p.challenge(b.t)) },
		}
	}
	for name, act := range acts {
		for _, loss := range []string{"none", "request", "answer"} {
			p := b.at(h)
			p.config.Transport = func(ctx context.Context, request []byte) ([]byte, error) {
				if loss == "request" {
					return nil, errLost
				}
				response, err := b.s.Handle(ctx, request)
				if loss == "answer" {
					return nil, errLost
				}
				return response, err
			}
			before, err := parseRecord(h.record)
			require.NoError(b.t, err)
			act(p)
			next := *h
			rec := loadRecord(b.t, b.s, b.id)
			if name == "right" && rec.last.number > before.last.number && rec.last.fate == fateRight {
				next.proved = true
			}
			b.after(next, p)
		}
	}
}

// thiefActs: he guesses, refreshes, to a token of his own or one that he copied, and cancels, for himself or for the
// owner; forges answers to the request that he copied; and sends again what the owner has sent.
func (b *burglary) thiefActs(h *heist, rec *record, st *deviceState) {
	i := slices.IndexFunc(h.tokens, func(t secret) bool { return t.commitment() == rec.current })
	if i >= 0 {
		send := func(r *request) (*answer, *phone) {
			p := b.at(h)
			r.number, r.token, r.chain = rec.last.number+1, h.tokens[i], rec.chain
			c, err := parseChallenge(p.challenge(b.t))
			require.NoError(b.t, err)
			r.challenge = c
			plaintext, err := r.encode(st.key.authKey, b.id, nil)
			require.NoError(b.t, err)
			return exchange(b.t, b.s, r.op, b.id, plaintext), p
		}
		guess := make([]byte, 256)
		guess[255] = 2
		a, p := send(&request{op: OpChangePIN, salts: [][]byte{nil}, partials: [][]byte{guess}, target: hash{1}})
		next := *h
		if a.code == codeWrong {
			next.verdicts++
			if h.proved {
				next.afterProof++
			}
		}
		b.after(next, p)
		mine := drawSecret()
		for _, token := range append([]secret{mine}, h.tokens...) {
			_, p = send(&request{op: OpRefresh, target: token.commitment()})
			next := *h
			next.tokens = append(slices.Clone(h.tokens), mine)
			b.after(next, p)
		}
		targets := []hash{{9}}
		if st.pending != nil {
			targets = append(targets, st.pending.hash())
		}
		for _, target := range targets {
			_, p = send(&request{op: OpCancel, target: target})
			b.after(*h, p)
		}
	}
	if pending := st.pending; pending != nil {
		p := b.at(h)
		_, _ = b.s.Handle(b.t.Context(), pending.request)
		b.after(*h, p)
		if h.replyKey != nil && *h.replyKey == pending.hash() {
			b.forgeries(h, pending)
		}
	}
}

func (b *burglary) forgeries(h *heist, pending *pending) {
	for _, forged := range []*answer{{code: codeWrong, verdict: verdict{2, 8, 0}}, {code: codeCancelled}, {code: codeRight}, {code: codeExpired}} {
		p := b.at(h)
		answered := false
		p.config.Transport = func(ctx context.Context, request []byte) ([]byte, error) {
			if answered {
				return nil, errLost // he keeps what the device says of it
			}
			answered = true
			plaintext, err := forged.encode()
			require.NoError(b.t, err)
			return pending.reply().seal(plaintext)
		}
		_, _ = p.Resume(b.t.Context())
		b.after(*h, p)
	}
}

// TestThiefExactly explores everything that an owner and a thief can do, from copies made at each kind of moment, until
// nothing new comes: the most that the thief learns is what docs/protocol.md says, and not less. With rounds of k tries:
// k-1 verdicts without a lock; k, 2k and 3k where none, one and two or more locks are waited out; one less after a wrong
// PIN of the owner's; none after a right one, and no right one that counts after any.
func TestThiefExactly(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(p *phone, lose func(request, answer bool))
		tries   int
		used    int // tries of the first round that the owner has used
	}{
		"nothing pending":                {func(*phone, func(bool, bool)) {}, 3, 0},
		"after a wrong PIN":              {func(p *phone, _ func(bool, bool)) { _, _ = p.sign(t, "x", wrongPIN) }, 2, 1},
		"a request pending, not settled": {func(p *phone, lose func(bool, bool)) { lose(true, true); _, _ = p.sign(t, "x", rightPIN) }, 2, 0},
		"a request pending, settled":     {func(p *phone, lose func(bool, bool)) { lose(false, true); _, _ = p.sign(t, "x", rightPIN) }, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := c.tries
			if testing.Short() || !thiefInFull {
				k = 1 + c.used
			}
			s := newService(t, func(config *Config) {
				config.Keys = nil
				config.Policy = limiter.Policy{{Tries: k, Lock: 3 * time.Hour}, {Tries: k, Lock: 24 * time.Hour}, {Tries: k, Lock: limiter.Forever}}
			})
			p, l := newLossyPhone(t, s)
			c.prepare(p, func(request, answer bool) { l.loseRequest, l.loseResponse = request, answer })
			b := &burglary{t: t, s: s, id: p.id, seen: make(map[string]bool)}
			b.copied(p)
			most, without := make([]int, 3), 0
			for len(b.queue) > 0 {
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
			require.Equal(t, []int{k - c.used, 2*k - c.used, 3*k - c.used}, most)
			require.Equal(t, k-1-c.used, without)
		})
	}
}
