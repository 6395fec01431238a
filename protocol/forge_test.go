package protocol

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// forgery is a request of somebody who has all that a phone has, its PIN too, and says what no device says. As it is made the server
// settles it.
type forgery struct {
	request  *request
	key      secret    // K_dev
	id       KeyID     // in the envelope
	envelope Operation // in the envelope
}

// forgery makes one, with a partial signature by the lockbox and PIN of another phone, or the same one.
func (p *phone) forgery(t *testing.T, op Operation, lockbox *phone, pin []byte) *forgery {
	st, err := parseDeviceState(p.state.data, nil)
	require.NoError(t, err)
	r := &request{op: op, number: st.key.number + 1, token: st.key.token, chain: st.key.chain, target: drawSecret().commitment()}
	raw := p.challenge(t)
	if op == OpSign {
		opts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32}
		r.messages, err = newMessages([][]byte{digestOf("forged")}, opts)
		require.NoError(t, err)
		raw, err = p.service.ChallengeSign(t.Context(), p.id, digestOf("forged"), opts)
		require.NoError(t, err)
	}
	r.challenge, err = parseChallenge(raw)
	require.NoError(t, err)
	if op != OpRefresh {
		other, err := parseDeviceState(lockbox.state.data, nil)
		require.NoError(t, err)
		box, err := pinlock.ParseLockbox(other.key.lockbox)
		require.NoError(t, err)
		share, err := box.Unlock(pin, cheapest)
		require.NoError(t, err)
		final, err := other.key.finalKey()
		require.NoError(t, err)
		signed := r.signed()
		m, err := splitkey.Encode(final, signed.digests[0], signed.options(0))
		require.NoError(t, err)
		y, err := share.SignPartial(m)
		require.NoError(t, err)
		r.salts, r.partials = [][]byte{m.Salt()}, [][]byte{y}
	}
	return &forgery{r, st.key.authKey, p.id, op}
}

// send returns the server's answer, or nothing if it gave none.
func (f *forgery) send(t *testing.T, s *service) (code, bool) {
	t.Helper()
	plaintext, err := f.request.encode(f.key, f.id, nil)
	require.NoError(t, err)
	pub, err := kem.NewPublicKey(s.ServerKey())
	require.NoError(t, err)
	request, r, err := sealRequest(pub, f.envelope, f.id, plaintext)
	require.NoError(t, err)
	response, err := s.Handle(t.Context(), request)
	if err != nil {
		require.ErrorIs(t, err, ErrRefused)
		return 0, false
	}
	opened, err := r.open(response)
	require.NoError(t, err)
	a, err := parseAnswer(opened)
	require.NoError(t, err)
	return a.code, true
}

func (f *forgery) requireRefused(t *testing.T, s *service, what string) {
	t.Helper()
	c, answered := f.send(t, s)
	require.False(t, answered, "%s: code %d", what, c)
}

// with changes the forgery's challenge.
func (f *forgery) with(t *testing.T, raw []byte) *forgery {
	c, err := parseChallenge(raw)
	require.NoError(t, err)
	f.request.challenge = c
	return f
}

// TestForgery: what the tests below change is settled as it is, so each refusal is for the change.
func TestForgery(t *testing.T) {
	s := newService(t)
	for _, op := range []Operation{OpSign, OpChangePIN, OpRefresh, OpConfirm} {
		p := newReadyPhone2(t, s)
		c, answered := p.forgery(t, op, p, rightPIN).send(t, s)
		require.True(t, answered)
		require.Equal(t, codeRight, c, op)
	}
}

// TestFieldsGoWithTheOperation: whoever has K_dev and leaves out, adds or exchanges a field gets no answer, and nothing is counted.
func TestFieldsGoWithTheOperation(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	sha, err := newMessages([][]byte{digestOf("forged")}, crypto.SHA256)
	require.NoError(t, err)
	// Challenges that the server never makes, authentic all the same: the MAC alone refuses none of them.
	issue := func(pur purpose, binding hash) []byte {
		return s.challenges.issue(pur, p.id, s.clock.Now(), DefaultChallengeLife, binding)
	}
	before := loadRecord(t, s, p.id)
	none := [][]byte{nil}
	for name, c := range map[string]struct {
		op     Operation
		change func(f *forgery)
	}{
		"another operation in the envelope": {OpChangePIN, func(f *forgery) { f.envelope = OpConfirm }},
		"refresh in the envelope":           {OpSign, func(f *forgery) { f.envelope = OpRefresh }},
		"sign without a digest":             {OpSign, func(f *forgery) { f.request.messages, f.request.salts = messages{}, none }},
		"sign with a challenge for own use": {OpSign, func(f *forgery) { f.with(t, issue(forOwnUse, hash{})) }},
		"sign without a partial":            {OpSign, func(f *forgery) { f.request.partials = none }},
		"sign no document":                  {OpSign, func(f *forgery) { f.request.partials, f.request.salts = nil, nil }},
		"a digest to confirm":               {OpConfirm, func(f *forgery) { f.request.messages = sha }},
		"a digest to change the PIN":        {OpChangePIN, func(f *forgery) { f.request.messages = sha }},
		"two documents to change the PIN": {OpChangePIN, func(f *forgery) {
			f.request.partials = append(f.request.partials, f.request.partials[0])
			f.request.salts = [][]byte{nil, nil}
		}},
		"change the PIN with a transaction's": {OpChangePIN, func(f *forgery) { f.with(t, issue(forTransaction, hash{})) }},
		"a digest to refresh":                 {OpRefresh, func(f *forgery) { f.request.messages = sha }},
		"refresh with a transaction's":        {OpRefresh, func(f *forgery) { f.with(t, issue(forTransaction, hash{})) }},
		"refresh with a partial":              {OpRefresh, func(f *forgery) { f.request.salts, f.request.partials = none, [][]byte{bytes.Repeat([]byte{2}, 256)} }},
		"a salt where there is none":          {OpChangePIN, func(f *forgery) { f.request.salts = [][]byte{{1}} }},
		"a salt that is too long":             {OpSign, func(f *forgery) { f.request.salts = [][]byte{make([]byte, maxSalt+1)} }},
		"a partial that is too long":          {OpSign, func(f *forgery) { f.request.partials = [][]byte{make([]byte, maxPartial+1)} }},
		"enrolment in the plaintext":          {OpChangePIN, func(f *forgery) { f.request.op = OpEnroll }},
		"no operation":                        {OpChangePIN, func(f *forgery) { f.request.op = 0 }},
		"no number":                           {OpChangePIN, func(f *forgery) { f.request.number = 0 }},
		"a report with a number":              {OpRefresh, func(f *forgery) { f.request.op, f.envelope = OpReport, OpReport }},
	} {
		f := p.forgery(t, c.op, p, rightPIN)
		c.change(f)
		f.requireRefused(t, s, name)
	}
	require.Equal(t, before, loadRecord(t, s, p.id))
}
