//go:build dudect

package server

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/timingtest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestTiming: partial signatures under as many PINs as there are documents are one wrong
// guess, and the time from the request to the answer does not tell whether some of them
// were right. Signatures are made of right ones alone, and take time; so all right is
// compared on a store that fails at the write, when they were looked at and none was
// made.
func TestTiming(t *testing.T) {
	store := new(stillStore)
	s := newService(t, func(c *Config) {
		store.Store = c.Store
		c.Keys, c.Store, c.Log = nil, store, slog.New(slog.DiscardHandler)
	})
	p := newReadyPhone(t, s)
	b := newBatch(t, p)
	before := s.recorded(t, p.id)
	store.still = true
	for _, c := range []struct {
		name    string
		classes [2]func() [][]byte
		fails   error
	}{
		{"all or one wrong", [2]func() [][]byte{b.allWrong, b.oneWrong}, nil},
		{"all right or all wrong", [2]func() [][]byte{b.allRight, b.allWrong}, protocoltest.ErrLost},
		{"all right or one wrong", [2]func() [][]byte{b.allRight, b.oneWrong}, protocoltest.ErrLost},
	} {
		store.fails = c.fails
		requests := timingtest.NewInputs(100, func(class int) []byte { return b.request(t, c.classes[class]()) })
		store.writes = 0
		r := timingtest.Compare(fmt.Sprintf("Handle 2048, %d documents: %s", len(b.right), c.name), timingtest.Long(),
			requests.Prepare, func() { s.Handle(context.Background(), requests.Current) }).Print()
		require.GreaterOrEqual(t, store.writes, r.N, "each was counted, or would have been")
		require.Equal(t, before, s.recorded(t, p.id))
		require.False(t, r.Found(), r)
	}
}

// stillStore is one that, once it is still, writes no more: each request finds the same
// record.
type stillStore struct {
	limiter.Store
	still  bool
	fails  error
	writes int
}

func (s *stillStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if s.still {
		s.writes++
		return s.fails
	}
	return s.Store.Swap(ctx, id, version, value)
}

// batch is the longest list of documents, and right and wrong partial signatures of each.
type batch struct {
	*phone
	challenge *wire.Challenge
	messages  wire.Messages
	right     [][]byte
	wrong     [20][][]byte
}

func newBatch(t *testing.T, p *phone) *batch {
	digests := digestsOf(protocol.MaxDocuments)
	raw, err := p.service.ChallengeSignAll(t.Context(), p.id, digests, crypto.SHA256)
	require.NoError(t, err)
	b := &batch{phone: p}
	b.challenge, err = wire.ParseChallenge(raw)
	require.NoError(t, err)
	b.messages, err = wire.NewMessages(digests, crypto.SHA256)
	require.NoError(t, err)
	client, _ := protocoltest.Shares()
	final := splitkeytest.FinalKey(t, client.PublicKey())
	sign := func(share *splitkey.ClientShare) (partials [][]byte) {
		for _, digest := range digests {
			m, err := final.Encode(digest, crypto.SHA256)
			require.NoError(t, err)
			y, err := share.SignPartial(m)
			require.NoError(t, err)
			partials = append(partials, y)
		}
		return partials
	}
	b.right = sign(client)
	for i := range b.wrong {
		x := make([]byte, len(client.Secret()))
		rand.Read(x)
		share, err := splitkey.NewClientShare(client.PublicKey(), splitkey.Multiplicative, x)
		require.NoError(t, err)
		b.wrong[i] = sign(share)
	}
	return b
}

func (b *batch) allRight() [][]byte { return slices.Clone(b.right) }

// allWrong is made under another PIN for each document.
func (b *batch) allWrong() [][]byte {
	partials := make([][]byte, len(b.right))
	for i := range partials {
		partials[i] = b.wrong[mathrand.IntN(len(b.wrong))][i]
	}
	return partials
}

func (b *batch) oneWrong() [][]byte {
	partials, i := b.allRight(), mathrand.IntN(len(b.right))
	partials[i] = b.wrong[mathrand.IntN(len(b.wrong))][i]
	return partials
}

// request is one as a device seals it, the next after those that were settled.
func (b *batch) request(t *testing.T, partials [][]byte) []byte {
	k := b.stored(t).Key
	r := &wire.Request{Op: protocol.OpSign, Challenge: b.challenge, Messages: b.messages, Salts: make([][]byte, len(partials)), Partials: partials,
		Number: k.Number + 1, Token: k.Token, Chain: k.Chain, Target: wire.DrawSecret().Commitment()}
	plaintext, err := r.Encode(k.AuthKey, k.ID, nil)
	require.NoError(t, err)
	pub, err := wire.KEM.NewPublicKey(b.service.HPKEKey())
	require.NoError(t, err)
	request, _, err := protocoltest.SealRequest(pub, protocol.OpSign, plaintext)
	require.NoError(t, err)
	return request
}
