package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

func digestsOf(n int) [][]byte {
	var digests [][]byte
	for i := range n {
		digests = append(digests, protocoltest.DigestOf(fmt.Sprint("document ", i)))
	}
	return digests
}

// signAll asks for one challenge and signs a list with it.
func (p *phone) signAll(tb testing.TB, digests [][]byte, opts crypto.SignerOpts, pin []byte) ([][]byte, error) {
	challenge, err := p.service.ChallengeSignAll(tb.Context(), p.id, digests, opts)
	require.NoError(tb, err)
	return p.SignAll(tb.Context(), challenge, digests, opts, pin)
}

// TestEachSignatureIsVerified: the device returns none if one of them, whichever it is,
// does not verify.
func TestEachSignatureIsVerified(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	const documents = 3
	damaged := -1
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := s.Handle(ctx, request)
		if err != nil || damaged < 0 {
			return response, err
		}
		reply := p.stored(t).Pending.ResponseKey() // what only the server has, or who copied the state
		plaintext, err := reply.Open(response)
		require.NoError(t, err)
		a, err := wire.ParseAnswer(plaintext)
		require.NoError(t, err)
		require.Len(t, a.Signatures, documents)
		a.Signatures[damaged][9] ^= 1
		plaintext, err = a.Encode()
		require.NoError(t, err)
		return reply.Seal(plaintext)
	}
	for i := range documents {
		damaged = i
		signatures, err := p.signAll(t, digestsOf(documents), crypto.SHA256, protocoltest.RightPIN)
		require.ErrorContains(t, err, "unacceptable answer")
		require.Empty(t, signatures)
		damaged = -1
		result, err := p.Resume(t.Context())
		require.NoError(t, err)
		require.Len(t, result.Signatures, documents)
	}
}

// TestSignAll: one PIN, one count, one durable write, one call of Signed, and a signature
// for each digest, in order; also after a lost answer, and with the longest lists and
// salts.
func TestSignAll(t *testing.T) {
	var got []Signed
	store, hsm := new(protocoltest.CountingStore), new(countedHSM)
	s := newService(t, func(c *Config) {
		store.Store = c.Store
		c.Keys, c.Store, c.Signed = hsm, store, func(_ context.Context, signed Signed) error { got = append(got, signed); return nil }
	})
	p, l := newLossyPhone(t, s)
	status, err := p.Status()
	require.NoError(t, err)
	for _, n := range []int{1, 8, protocol.MaxDocuments} {
		for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthAuto}} {
			store.Writes, got = 0, nil
			hsm.operations.Store(0)
			digests := digestsOf(n)
			l.loseResponse = true
			_, err := p.signAll(t, digests, opts, protocoltest.RightPIN)
			require.ErrorIs(t, err, device.ErrUnanswered)
			l.loseResponse = false
			result, err := p.Resume(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, store.Writes)
			require.EqualValues(t, 2*n, hsm.operations.Load(), "the first time, and again")
			require.Len(t, got, 2, "the first time, and again")
			require.Equal(t, got[0], got[1])
			require.Len(t, result.Signatures, n)
			require.Equal(t, digests, result.Digests)
			for i, signature := range result.Signatures {
				require.Equal(t, signature, got[0].Signatures[i])
				require.Equal(t, digests[i], got[0].Digests[i])
				if _, ok := opts.(*rsa.PSSOptions); ok {
					err = rsa.VerifyPSS(status.PublicKey, crypto.SHA256, digests[i], signature, got[0].Options.(*rsa.PSSOptions))
				} else {
					err = rsa.VerifyPKCS1v15(status.PublicKey, crypto.SHA256, digests[i], signature)
				}
				require.NoError(t, err)
			}
		}
	}
	var wrong *limiter.WrongPINError
	_, err = p.signAll(t, digestsOf(20), crypto.SHA256, protocoltest.WrongPIN)
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, 8, wrong.RemainingTotal)
	for _, n := range []int{0, protocol.MaxDocuments + 1} {
		_, err := p.SignAll(t.Context(), nil, digestsOf(n), crypto.SHA256, protocoltest.RightPIN)
		require.ErrorIs(t, err, splitkey.ErrMessage)
		_, err = s.ChallengeSignAll(t.Context(), p.id, digestsOf(n), crypto.SHA256)
		require.ErrorIs(t, err, splitkey.ErrMessage)
	}
}

// countedHSM counts operations of the server's own key.
type countedHSM struct {
	protocoltest.FixedKeys
	operations atomic.Int64
}

func (c *countedHSM) LoadKey(ctx context.Context, blob []byte) (splitkey.RSAKey, error) {
	key, err := c.FixedKeys.LoadKey(ctx, blob)
	return &countedKey{key, c}, err
}

type countedKey struct {
	splitkey.RSAKey
	hsm *countedHSM
}

func (k *countedKey) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	k.hsm.operations.Add(1)
	return k.RSAKey.Exponentiate(ctx, x)
}

// TestNothingIsUsedBeforeTheWrite: a right PIN whose count cannot be written uses no
// server key, and the service hears of no signature (18). Once it can, both do.
func TestNothingIsUsedBeforeTheWrite(t *testing.T) {
	hsm, signed := new(countedHSM), 0
	s := newService(t, func(c *Config) {
		c.Keys, c.Signed = hsm, func(context.Context, Signed) error { signed++; return nil }
	})
	p, l := newLossyPhone(t, s)
	hsm.operations.Store(0)
	l.loseRequest = true
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	request := l.requests[len(l.requests)-1]
	full := s.node(t, func(c *Config) { c.Store = &swapFails{c.Store, errors.New("disk full")} })
	_, err = full.Handle(t.Context(), request)
	require.NoError(t, err, "it hears later")
	require.Zero(t, hsm.operations.Load())
	require.Zero(t, signed)
	_, err = s.Handle(t.Context(), request)
	require.NoError(t, err)
	require.EqualValues(t, 1, hsm.operations.Load())
	require.Equal(t, 1, signed)
}

// underPINs is a request of a list of documents, each under a PIN of its own.
func (p *phone) underPINs(t *testing.T, digests [][]byte, pin func(i int) []byte) *wire.Request {
	m, err := wire.NewMessages(digests, crypto.SHA256)
	require.NoError(t, err)
	raw, err := p.service.ChallengeSignAll(t.Context(), p.id, digests, crypto.SHA256)
	require.NoError(t, err)
	c, err := wire.ParseChallenge(raw)
	require.NoError(t, err)
	st := p.stored(t)
	r := &wire.Request{
		Op: protocol.OpSign, Challenge: c, Number: st.Key.Number + 1, Token: st.Key.Token, Chain: st.Key.Chain, Target: wire.Hash{1}, Messages: m,
	}
	box, err := pinlock.ParseLockbox(st.Key.Lockbox)
	require.NoError(t, err)
	final, err := st.Key.FinalKey()
	require.NoError(t, err)
	for i, digest := range digests {
		share, err := box.Unlock(pin(i), protocoltest.Cheapest)
		require.NoError(t, err)
		message, err := final.Encode(digest, crypto.SHA256)
		require.NoError(t, err)
		y, err := share.SignPartial(message)
		require.NoError(t, err)
		share.Wipe()
		r.Salts, r.Partials = append(r.Salts, nil), append(r.Partials, y)
	}
	return r
}

// TestOneGuessOfMany: partial signatures made under as many PINs as there are documents
// are one wrong guess. Whether one of them is right, which one, and how many, shows in
// nothing: not in the answer, the record, the log, Signed, nor in a call of the server's
// own key.
func TestOneGuessOfMany(t *testing.T) {
	const n = protocol.MaxDocuments
	digests := digestsOf(n)
	type seen struct {
		answer     wire.Answer
		length     int
		log        string
		events     []event
		counter    limiter.Counter
		operations int64
		signed     int
	}
	var all []seen
	for name, right := range map[string]func(i int) bool{
		"none":         func(int) bool { return false },
		"first":        func(i int) bool { return i == 0 },
		"last":         func(i int) bool { return i == n-1 },
		"all but one":  func(i int) bool { return i != n/2 },
		"all but last": func(i int) bool { return i != n-1 },
	} {
		hsm, signed := new(countedHSM), 0
		s := newService(t, func(c *Config) {
			c.Keys, c.Signed = hsm, func(context.Context, Signed) error { signed++; return nil }
		})
		p := newReadyPhone(t, s)
		hsm.operations.Store(0)
		s.log.Reset()
		a := p.exchangeAs(t, p.underPINs(t, digests, func(i int) []byte {
			if right(i) {
				return protocoltest.RightPIN
			}
			return []byte(fmt.Sprintf("83065%04d", i))
		}))
		encoded, err := a.Encode()
		require.NoError(t, err)
		rec := loadRecord(t, s, p.id)
		require.Equal(t, wire.CodeWrong, a.Code, name)
		_, log, _ := strings.Cut(strings.ReplaceAll(s.logged(), p.id.String(), "ID"), "level=")
		all = append(all, seen{*a, len(encoded), log, rec.events, rec.counter, hsm.operations.Load(), signed})
		require.Equal(t, uint8(8), a.Verdict.Total)
		require.Zero(t, hsm.operations.Load(), name)
	}
	for _, other := range all[1:] {
		require.Equal(t, all[0], other)
	}
}

// TestMalformedAmongMany: a partial signature out of range rejects the request,
// uncounted, and whatever the others are.
func TestMalformedAmongMany(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	digests := digestsOf(3)
	m, err := wire.NewMessages(digests, crypto.SHA256)
	require.NoError(t, err)
	before := loadRecord(t, s, p.id)
	for bad := range digests {
		raw, err := s.ChallengeSignAll(t.Context(), p.id, digests, crypto.SHA256)
		require.NoError(t, err)
		c, err := wire.ParseChallenge(raw)
		require.NoError(t, err)
		r := &wire.Request{Op: protocol.OpSign, Challenge: c, Number: before.last.number + 1, Messages: m}
		for i := range digests {
			y := bytes.Repeat([]byte{2}, 256)
			if i == bad {
				y = make([]byte, 256)
			}
			r.Salts, r.Partials = append(r.Salts, nil), append(r.Partials, y)
		}
		require.Equal(t, wire.CodeRejected, p.exchangeAs(t, r).Code)
		require.Equal(t, before, loadRecord(t, s, p.id))
	}
}

// TestSaltThatDoesNotFit: a salt that is longer than the final key allows rejects the
// request, uncounted.
func TestSaltThatDoesNotFit(t *testing.T) {
	s := newService(t, func(c *Config) { c.Keys = nil })
	p := newReadyPhone(t, s)
	digests, opts := digestsOf(2), &rsa.PSSOptions{Hash: crypto.SHA256}
	m, err := wire.NewMessages(digests, opts)
	require.NoError(t, err)
	before := loadRecord(t, s, p.id)
	raw, err := s.ChallengeSignAll(t.Context(), p.id, digests, opts)
	require.NoError(t, err)
	c, err := wire.ParseChallenge(raw)
	require.NoError(t, err)
	r := &wire.Request{Op: protocol.OpSign, Challenge: c, Number: before.last.number + 1, Messages: m}
	for range digests {
		r.Salts, r.Partials = append(r.Salts, make([]byte, 256-2-32+1)), append(r.Partials, bytes.Repeat([]byte{2}, 256))
	}
	require.Equal(t, wire.CodeRejected, p.exchangeAs(t, r).Code)
	require.Equal(t, before, loadRecord(t, s, p.id))
}
