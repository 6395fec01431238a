package server

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// forgery is a request of somebody who has all that a phone has, its PIN too, and says
// what no device says. As it is made the server settles it.
type forgery struct {
	request  *wire.Request
	key      wire.Secret        // K_dev
	id       protocol.KeyID     // that the MAC is for
	envelope protocol.Operation // in the envelope
	ticket   *wire.Ticket       // in the envelope; nil is that of the request's challenge
}

// forgery makes one, with a partial signature by the lockbox and PIN of another phone, or
// the same one.
func (p *phone) forgery(t *testing.T, op protocol.Operation, lockbox *phone, pin []byte) *forgery {
	st, err := protocoltest.ParseState(p.state.Data)
	require.NoError(t, err)
	r := &wire.Request{Op: op, Number: st.Key.Number + 1, Token: st.Key.Token, Chain: st.Key.Chain, Target: wire.DrawSecret().Commitment()}
	raw := p.challenge(t)
	if op == protocol.OpSign {
		opts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32}
		r.Messages, err = wire.NewMessages([][]byte{protocoltest.DigestOf("forged")}, opts)
		require.NoError(t, err)
		raw, err = p.service.ChallengeSign(t.Context(), p.id, protocoltest.DigestOf("forged"), opts)
		require.NoError(t, err)
	}
	r.Challenge, err = wire.ParseChallenge(raw)
	require.NoError(t, err)
	if op != protocol.OpRefresh {
		other, err := protocoltest.ParseState(lockbox.state.Data)
		require.NoError(t, err)
		box, err := pinlock.ParseLockbox(other.Key.Lockbox)
		require.NoError(t, err)
		share, err := box.Unlock(pin, protocoltest.Cheapest)
		require.NoError(t, err)
		final, err := other.Key.FinalKey()
		require.NoError(t, err)
		signed := r.ToSign()
		m, err := final.Encode(signed.Digests[0], signed.Options())
		require.NoError(t, err)
		y, err := share.SignPartial(m)
		require.NoError(t, err)
		r.Salts, r.Partials = [][]byte{m.Salt()}, [][]byte{y}
	}
	return &forgery{request: r, key: st.Key.AuthKey, id: p.id, envelope: op}
}

// send returns the server's answer, or nothing if it gave none.
func (f *forgery) send(t *testing.T, s *service) (wire.Code, bool) {
	t.Helper()
	plaintext, err := f.request.Encode(f.key, f.id, nil)
	require.NoError(t, err)
	pub, err := wire.KEM.NewPublicKey(s.HPKEKey())
	require.NoError(t, err)
	ticket := f.ticket
	if ticket == nil {
		ticket = f.request.Challenge.Ticket()
	}
	request, r, err := wire.SealRequest(pub, f.envelope, ticket, plaintext)
	require.NoError(t, err)
	response, err := s.Handle(t.Context(), request)
	if err != nil {
		require.ErrorIs(t, err, ErrRefused)
		return 0, false
	}
	opened, err := r.Open(response)
	require.NoError(t, err)
	a, err := wire.ParseAnswer(opened)
	require.NoError(t, err)
	return a.Code, true
}

func (f *forgery) requireRefused(t *testing.T, s *service, what string) {
	t.Helper()
	c, answered := f.send(t, s)
	require.False(t, answered, "%s: code %d", what, c)
}

// with changes the forgery's challenge.
func (f *forgery) with(t *testing.T, raw []byte) *forgery {
	c, err := wire.ParseChallenge(raw)
	require.NoError(t, err)
	f.request.Challenge = c
	return f
}

// TestForgery: what the tests below change is settled as it is, so each refusal is for
// the change.
func TestForgery(t *testing.T) {
	s := newService(t)
	for _, op := range []protocol.Operation{protocol.OpSign, protocol.OpChangePIN, protocol.OpRefresh, protocol.OpConfirm} {
		p := newReadyPhone2(t, s)
		c, answered := p.forgery(t, op, p, protocoltest.RightPIN).send(t, s)
		require.True(t, answered)
		require.Equal(t, wire.CodeRight, c, op)
	}
}

// TestFieldsGoWithTheOperation: whoever has K_dev and leaves out, adds or exchanges a
// field gets no answer, and nothing is counted.
func TestFieldsGoWithTheOperation(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	sha, err := wire.NewMessages([][]byte{protocoltest.DigestOf("forged")}, crypto.SHA256)
	require.NoError(t, err)
	// Challenges that the server never makes, authentic all the same: the MAC alone
	// refuses none of them.
	issue := func(pur wire.Purpose, binding wire.Hash) []byte {
		return s.challenges.Issue(pur, p.id, s.clock.Now(), DefaultChallengeLife, binding)
	}
	before := loadRecord(t, s, p.id)
	none := [][]byte{nil}
	for name, c := range map[string]struct {
		op     protocol.Operation
		change func(f *forgery)
	}{
		"another operation in the envelope": {protocol.OpChangePIN, func(f *forgery) { f.envelope = protocol.OpConfirm }},
		"refresh in the envelope":           {protocol.OpSign, func(f *forgery) { f.envelope = protocol.OpRefresh }},
		"sign without a digest":             {protocol.OpSign, func(f *forgery) { f.request.Messages, f.request.Salts = wire.Messages{}, none }},
		"sign with a challenge for own use": {protocol.OpSign, func(f *forgery) { f.with(t, issue(wire.ForOwnUse, wire.Hash{})) }},
		"sign without a partial":            {protocol.OpSign, func(f *forgery) { f.request.Partials = none }},
		"sign no document":                  {protocol.OpSign, func(f *forgery) { f.request.Partials, f.request.Salts = nil, nil }},
		"a digest to confirm":               {protocol.OpConfirm, func(f *forgery) { f.request.Messages = sha }},
		"a digest to change the PIN":        {protocol.OpChangePIN, func(f *forgery) { f.request.Messages = sha }},
		"two documents to change the PIN": {protocol.OpChangePIN, func(f *forgery) {
			f.request.Partials = append(f.request.Partials, f.request.Partials[0])
			f.request.Salts = [][]byte{nil, nil}
		}},
		"change the PIN with a transaction's": {protocol.OpChangePIN, func(f *forgery) { f.with(t, issue(wire.ForTransaction, wire.Hash{})) }},
		"a digest to refresh":                 {protocol.OpRefresh, func(f *forgery) { f.request.Messages = sha }},
		"refresh with a transaction's":        {protocol.OpRefresh, func(f *forgery) { f.with(t, issue(wire.ForTransaction, wire.Hash{})) }},
		"refresh with a partial":              {protocol.OpRefresh, func(f *forgery) { f.request.Salts, f.request.Partials = none, [][]byte{bytes.Repeat([]byte{2}, 256)} }},
		"a salt where there is none":          {protocol.OpChangePIN, func(f *forgery) { f.request.Salts = [][]byte{{1}} }},
		"a salt that is too long":             {protocol.OpSign, func(f *forgery) { f.request.Salts = [][]byte{make([]byte, wire.MaxSalt+1)} }},
		"a partial that is too long":          {protocol.OpSign, func(f *forgery) { f.request.Partials = [][]byte{make([]byte, 1024+1)} }},
		"enrolment in the plaintext":          {protocol.OpChangePIN, func(f *forgery) { f.request.Op = protocol.OpEnroll }},
		"no operation":                        {protocol.OpChangePIN, func(f *forgery) { f.request.Op = 0 }},
		"no number":                           {protocol.OpChangePIN, func(f *forgery) { f.request.Number = 0 }},
		"a report with a number":              {protocol.OpRefresh, func(f *forgery) { f.request.Op, f.envelope = protocol.OpReport, protocol.OpReport }},
	} {
		f := p.forgery(t, c.op, p, protocoltest.RightPIN)
		c.change(f)
		f.requireRefused(t, s, name)
	}
	require.Equal(t, before, loadRecord(t, s, p.id))
}
