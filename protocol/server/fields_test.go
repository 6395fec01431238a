package server

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// sendAs seals what a holder of the state can make, under any operation in the envelope,
// and reports whether it is answered.
func (p *phone) sendAs(t *testing.T, envelope protocol.Operation, r *wire.Request) bool {
	st := p.stored(t)
	if r.Token.Get() == nil {
		r.Token = st.Key.Token
	}
	if r.Op != protocol.OpReport && r.Chain == (wire.Hash{}) {
		r.Chain = st.Key.Chain
	}
	plaintext, err := r.Encode(st.Key.AuthKey, p.id, nil)
	require.NoError(t, err)
	sealed, _, err := protocoltest.SealRequest(p.service.config.HPKE.Current.PublicKey(), envelope, plaintext)
	require.NoError(t, err)
	_, err = p.service.Handle(t.Context(), sealed)
	if err != nil {
		require.Equal(t, ErrRefused, err)
	}
	return err == nil
}

// TestFieldsGoTogether: fields that no operation of a device's has, in a request with a
// right MAC, are refused like anything malformed, and change nothing.
func TestFieldsGoTogether(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	next := loadRecord(t, s, p.id).last.number + 1
	digest, y := protocoltest.DigestOf("x"), bytes.Repeat([]byte{2}, 256)
	parse := func(raw []byte, err error) *wire.Challenge {
		require.NoError(t, err)
		c, err := wire.ParseChallenge(raw)
		require.NoError(t, err)
		return c
	}
	own := parse(s.Challenge(t.Context(), p.id))
	sign := parse(s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256))
	enrol := parse(mustEnrollChallenge(t, s), nil)
	enrol.KeyID = p.id
	other := parse(s.Challenge(t.Context(), protocol.KeyID{1}))
	m, err := wire.NewMessages([][]byte{digest}, crypto.SHA256)
	require.NoError(t, err)
	zero := wire.NewSecret(make([]byte, wire.SecretSize))
	one, salts := [][]byte{y}, [][]byte{nil}
	before := s.recorded(t, p.id)
	for name, r := range map[string]*wire.Request{
		"number 0":               {Op: protocol.OpRefresh, Challenge: own},
		"report with a number":   {Op: protocol.OpReport, Challenge: own, Number: next, Token: zero},
		"report with a token":    {Op: protocol.OpReport, Challenge: own},
		"report with a chain":    {Op: protocol.OpReport, Challenge: own, Token: zero, Chain: wire.Hash{1}},
		"report with a target":   {Op: protocol.OpReport, Challenge: own, Token: zero, Target: wire.Hash{1}},
		"refresh with y":         {Op: protocol.OpRefresh, Challenge: own, Number: next, Salts: salts, Partials: one},
		"cancel with y":          {Op: protocol.OpCancel, Challenge: own, Number: next, Salts: salts, Partials: one},
		"proof without y":        {Op: protocol.OpChangePIN, Challenge: own, Number: next},
		"proof of two":           {Op: protocol.OpChangePIN, Challenge: own, Number: next, Salts: [][]byte{nil, nil}, Partials: [][]byte{y, y}},
		"proof of a digest":      {Op: protocol.OpChangePIN, Challenge: own, Number: next, Messages: m, Salts: salts, Partials: one},
		"empty y":                {Op: protocol.OpChangePIN, Challenge: own, Number: next, Salts: salts, Partials: [][]byte{nil}},
		"signature of nothing":   {Op: protocol.OpSign, Challenge: sign, Number: next, Messages: m},
		"signature, no digest":   {Op: protocol.OpSign, Challenge: sign, Number: next, Salts: salts, Partials: one},
		"salt without PSS":       {Op: protocol.OpSign, Challenge: sign, Number: next, Messages: m, Salts: [][]byte{{1}}, Partials: one},
		"signature for own use":  {Op: protocol.OpSign, Challenge: own, Number: next, Messages: m, Salts: salts, Partials: one},
		"refresh for a digest":   {Op: protocol.OpRefresh, Challenge: sign, Number: next},
		"challenge to enrol":     {Op: protocol.OpRefresh, Challenge: enrol, Number: next},
		"cancel to enrol":        {Op: protocol.OpCancel, Challenge: enrol, Number: next},
		"challenge of other key": {Op: protocol.OpRefresh, Challenge: other, Number: next},
		"unknown operation":      {Op: protocol.OpReport + 1, Challenge: own, Number: next},
		"enrolment":              {Op: protocol.OpEnroll, Challenge: own, Number: next},
		"unknown padding":        {Op: protocol.OpSign, Challenge: sign, Number: next, Messages: wire.Messages{Hash: 1, Padding: 3}},
	} {
		require.False(t, p.sendAs(t, min(max(r.Op, protocol.OpConfirm), protocol.OpReport), r), name)
		require.Equal(t, before, s.recorded(t, p.id), name)
	}
	require.False(t, p.sendAs(t, protocol.OpRefresh, &wire.Request{Op: protocol.OpCancel, Challenge: own, Number: next, Target: wire.Hash{1}}), "two operations")
	require.Equal(t, before, s.recorded(t, p.id))
	require.True(t, p.sendAs(t, protocol.OpSign, &wire.Request{Op: protocol.OpSign, Challenge: sign, Number: next, Messages: m, Salts: salts, Partials: one}))
}

// TestLocksAndCounters: a Refresh and a Cancel pass a lock, and change no counter.
func TestLocksAndCounters(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	for range 3 {
		_, err := p.sign(t, "x", protocoltest.WrongPIN)
		require.Error(t, err)
	}
	counter := loadRecord(t, s, p.id).counter
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	require.Equal(t, counter, loadRecord(t, s, p.id).counter)
	l.loseRequest = true
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), device.ErrUnanswered)
	l.loseRequest = false
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)))
	require.Equal(t, counter, loadRecord(t, s, p.id).counter)
	s.clock.Add(3 * time.Hour)
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
}
