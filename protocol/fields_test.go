package protocol

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sendAs seals what a holder of the state can make, under any operation in the envelope, and reports whether it is answered.
func (p *phone) sendAs(t *testing.T, envelope Operation, r *request) bool {
	st := p.stored(t)
	if r.token == nil {
		r.token = st.key.token
	}
	if r.op != OpReport && r.chain == (hash{}) {
		r.chain = st.key.chain
	}
	plaintext, err := r.encode(st.key.authKey, p.id, nil)
	require.NoError(t, err)
	sealed, _, err := sealRequest(p.service.config.HPKE.Current.PublicKey(), envelope, p.id, plaintext)
	require.NoError(t, err)
	_, err = p.service.Handle(t.Context(), sealed)
	if err != nil {
		require.Equal(t, ErrRefused, err)
	}
	return err == nil
}

// TestFieldsGoTogether: fields that no operation of a device's has, in a request with a right MAC, are refused like anything
// malformed, and change nothing.
func TestFieldsGoTogether(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	next := loadRecord(t, s, p.id).last.number + 1
	digest, y := digestOf("x"), bytes.Repeat([]byte{2}, 256)
	parse := func(raw []byte, err error) *challenge {
		require.NoError(t, err)
		c, err := parseChallenge(raw)
		require.NoError(t, err)
		return c
	}
	own := parse(s.Challenge(t.Context(), p.id))
	sign := parse(s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256))
	enrol := parse(mustEnrollChallenge(t, s), nil)
	enrol.keyID = p.id
	other := parse(s.Challenge(t.Context(), KeyID{1}))
	m, err := newMessages([][]byte{digest}, crypto.SHA256)
	require.NoError(t, err)
	zero := newSecret(make([]byte, secretSize))
	one, salts := [][]byte{y}, [][]byte{nil}
	before := s.recorded(t, p.id)
	for name, r := range map[string]*request{
		"number 0":               {op: OpRefresh, challenge: own},
		"report with a number":   {op: OpReport, challenge: own, number: next, token: zero},
		"report with a token":    {op: OpReport, challenge: own},
		"report with a chain":    {op: OpReport, challenge: own, token: zero, chain: hash{1}},
		"report with a target":   {op: OpReport, challenge: own, token: zero, target: hash{1}},
		"refresh with y":         {op: OpRefresh, challenge: own, number: next, salts: salts, partials: one},
		"cancel with y":          {op: OpCancel, challenge: own, number: next, salts: salts, partials: one},
		"proof without y":        {op: OpChangePIN, challenge: own, number: next},
		"proof of two":           {op: OpChangePIN, challenge: own, number: next, salts: [][]byte{nil, nil}, partials: [][]byte{y, y}},
		"proof of a digest":      {op: OpChangePIN, challenge: own, number: next, messages: m, salts: salts, partials: one},
		"empty y":                {op: OpChangePIN, challenge: own, number: next, salts: salts, partials: [][]byte{nil}},
		"signature of nothing":   {op: OpSign, challenge: sign, number: next, messages: m},
		"signature, no digest":   {op: OpSign, challenge: sign, number: next, salts: salts, partials: one},
		"salt without PSS":       {op: OpSign, challenge: sign, number: next, messages: m, salts: [][]byte{{1}}, partials: one},
		"signature for own use":  {op: OpSign, challenge: own, number: next, messages: m, salts: salts, partials: one},
		"refresh for a digest":   {op: OpRefresh, challenge: sign, number: next},
		"challenge to enrol":     {op: OpRefresh, challenge: enrol, number: next},
		"cancel to enrol":        {op: OpCancel, challenge: enrol, number: next},
		"challenge of other key": {op: OpRefresh, challenge: other, number: next},
		"unknown operation":      {op: OpReport + 1, challenge: own, number: next},
		"enrolment":              {op: OpEnroll, challenge: own, number: next},
		"unknown padding":        {op: OpSign, challenge: sign, number: next, messages: messages{hash: 1, padding: 3}},
	} {
		require.False(t, p.sendAs(t, min(max(r.op, OpConfirm), OpReport), r), name)
		require.Equal(t, before, s.recorded(t, p.id), name)
	}
	require.False(t, p.sendAs(t, OpRefresh, &request{op: OpCancel, challenge: own, number: next, target: hash{1}}), "two operations")
	require.Equal(t, before, s.recorded(t, p.id))
	require.True(t, p.sendAs(t, OpSign, &request{op: OpSign, challenge: sign, number: next, messages: m, salts: salts, partials: one}))
}

// TestLocksAndCounters: a Refresh and a Cancel pass a lock, and change no counter.
func TestLocksAndCounters(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	for range 3 {
		_, err := p.sign(t, "x", wrongPIN)
		require.Error(t, err)
	}
	counter := loadRecord(t, s, p.id).counter
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	require.Equal(t, counter, loadRecord(t, s, p.id).counter)
	l.loseRequest = true
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrUnanswered)
	l.loseRequest = false
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)))
	require.Equal(t, counter, loadRecord(t, s, p.id).counter)
	s.clock.Add(3 * time.Hour)
	_, err := p.sign(t, "x", rightPIN)
	require.NoError(t, err)
}
