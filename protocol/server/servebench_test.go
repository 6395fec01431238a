//go:build unix

package server

import (
	"bytes"
	"context"
	"crypto"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// queue is what one phone will send: right requests for one signature each, sealed in
// advance.
type queue struct {
	key      protocoltest.EnrolledKey
	messages wire.Messages
	salts    [][]byte
	partials [][]byte
	requests [][]byte
}

// fill seals n more requests.
func (q *queue) fill(tb testing.TB, s *service, n int) {
	k := &q.key
	for range n {
		raw, err := s.ChallengeSignAll(context.Background(), k.ID, q.messages.Digests, crypto.SHA256)
		require.NoError(tb, err)
		c, err := wire.ParseChallenge(raw)
		require.NoError(tb, err)
		next := wire.DrawSecret()
		r := &wire.Request{Op: protocol.OpSign, Challenge: c, Number: k.Number + 1, Token: k.Token, Chain: k.Chain, Target: next.Commitment(),
			Messages: q.messages, Salts: q.salts, Partials: q.partials}
		sealed, key, err := r.Seal(s.config.HPKE.Current.PublicKey(), k.AuthKey, k.ID, nil)
		require.NoError(tb, err)
		k.Number, k.Token, k.Chain = k.Number+1, next, wire.NextChain(k.Chain, key.Request, wire.FateRight)
		q.requests = append(q.requests, sealed)
	}
}

// queue is what the phone will send.
func (p *phone) queue(tb testing.TB) *queue {
	st, err := protocoltest.ParseState(p.state.Data)
	require.NoError(tb, err)
	box, err := pinlock.ParseLockbox(st.Key.Lockbox)
	require.NoError(tb, err)
	share, err := box.Unlock(protocoltest.RightPIN, protocoltest.Cheapest)
	require.NoError(tb, err)
	final, err := st.Key.FinalKey()
	require.NoError(tb, err)
	q := &queue{key: *st.Key, salts: [][]byte{nil}}
	q.messages, err = wire.NewMessages([][]byte{protocoltest.DigestOf("contract")}, crypto.SHA256)
	require.NoError(tb, err)
	m, err := final.Encode(q.messages.Digests[0], crypto.SHA256)
	require.NoError(tb, err)
	y, err := share.SignPartial(m)
	require.NoError(tb, err)
	q.partials = [][]byte{y}
	return q
}

// another is a phone whose key has another id, and all else of this one: its record is
// sealed anew.
func (q *queue) another(tb testing.TB, s *service, n byte) *queue {
	ctx := context.Background()
	rec, err := s.load(ctx, q.key.ID)
	require.NoError(tb, err)
	other := *q
	other.key.ID[0], other.requests = q.key.ID[0]+n, nil
	require.NoError(tb, s.resealAs(ctx, rec, q.key.ID, other.key.ID))
	value, err := rec.encode()
	require.NoError(tb, err)
	require.NoError(tb, s.config.Store.Create(ctx, recordID(other.key.ID), value))
	return &other
}

// resealAs seals the secrets of one key's record for another key id.
func (s *service) resealAs(ctx context.Context, rec *record, from, to protocol.KeyID) error {
	keys, err := openDeviceSecrets(ctx, s.config.Sealer, authKeyAAD(from), rec.sealedKey)
	if err == nil {
		rec.sealedKey, err = keys.seal(ctx, s.config.Sealer, authKeyAAD(to))
	}
	return err
}

// BenchmarkServe is a signature of the server's, request to answer, with 64 clients at
// once: composite of 4096 bits, store in memory, a log that is thrown away. What the
// clients do was done before. arithmetic is the part that nothing can save: Check and
// Finish, and opening one HPKE message.
func BenchmarkServe(b *testing.B) {
	const clients = 64
	b.Run("4096/serve", func(b *testing.B) {
		s := newService(b, func(c *Config) {
			c.Store, c.Log = new(storetest.MemoryStore), slog.New(slog.NewTextHandler(io.Discard, nil))
		})
		queues := make([]*queue, clients)
		first := newReadyPhone(b, s).queue(b)
		for i := range queues {
			queues[i] = first.another(b, s, byte(i+1))
			queues[i].fill(b, s, b.N/clients+1)
		}
		var left atomic.Int64
		left.Store(int64(b.N))
		w := stopwatch{b: b}
		var group sync.WaitGroup
		b.ResetTimer()
		w.start()
		for _, q := range queues {
			group.Go(func() {
				for _, r := range q.requests {
					if left.Add(-1) < 0 {
						return
					}
					if _, err := s.Handle(b.Context(), r); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
		w.stop()
		w.report()
	})
	b.Run("4096/arithmetic", func(b *testing.B) {
		x := newSignBench(b)
		q := x.queue(b)
		q.fill(b, x.service, 1)
		w := stopwatch{b: b}
		b.ResetTimer()
		w.start()
		for range b.N {
			x.serverArithmetic(b)
			e, err := wire.ParseEnvelope(q.requests[0])
			require.NoError(b, err)
			_, err = e.Open(x.service.keys.Get())
			require.NoError(b, err)
		}
		w.stop()
		w.report()
	})
}

// BenchmarkRefuse is what a request costs that is not answered, by how far it gets.
//
//	garbage    bytes that are no request
//	ticket     a request without a ticket of the server's
//	future     with one that is not yet good
//	opened     with a good one, encrypted to nobody
//	challenge  with a good one that is not its challenge's
//	unknown    for a key that does not exist
//	mac        for somebody else's key
func BenchmarkRefuse(b *testing.B) {
	s := newService(b, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) })
	p := newReadyPhone(b, s)
	own := p.challenge(b)
	future := s.challenges.Issue(wire.ForOwnUse, p.id, s.clock.Now().Add(time.Hour), time.Minute, wire.Hash{})
	unknown := protocol.KeyID{9}
	for _, kind := range []struct {
		name    string
		request []byte
	}{
		{"garbage", bytes.Repeat([]byte{0xa5}, 2000)},
		{"ticket", envelope(s, new(wire.Ticket))},
		{"future", envelope(s, ticketOf(future))},
		{"opened", envelope(s, ticketOf(own))},
		{"challenge", forge(b, s, p.id, unknown, protocol.OpSign, wire.DrawSecret())},
		{"unknown", forge(b, s, unknown, unknown, protocol.OpSign, wire.DrawSecret())},
		{"mac", forge(b, s, p.id, p.id, protocol.OpSign, wire.DrawSecret())},
	} {
		b.Run(kind.name, func(b *testing.B) {
			w := stopwatch{b: b}
			w.start()
			for range b.N {
				if _, err := s.Handle(b.Context(), kind.request); err != ErrRefused {
					b.Fatal(err)
				}
			}
			w.stop()
			w.report()
		})
	}
}
