package protocol

import (
	"bytes"
	"context"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// The checks of docs/protocol.md, section 5, that a request must fail at although all else about it is right.

// TestChallengeMustBe for this key, of this purpose, authentic for this digest, not from the future, and not expired; to the
// millisecond.
func TestChallengeMustBe(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	other := newReadyPhone2(t, s)
	before := loadRecord(t, s, p.id)
	refresh := func() *forgery { return p.forgery(t, OpRefresh, p, rightPIN) }

	refresh().with(t, other.challenge(t)).requireRefused(t, s, "another key's")
	// With the other's purpose it does not even parse; an enrolment's is none of either.
	refresh().with(t, s.challenges.issue(forEnrolment, p.id, s.clock.Now(), DefaultChallengeLife, hash{})).requireRefused(t, s, "an enrolment's")
	stranger, err := newChallengeKey(bytes.Repeat([]byte{4}, 32))
	require.NoError(t, err)
	refresh().with(t, stranger.issue(forOwnUse, p.id, s.clock.Now(), DefaultChallengeLife, hash{})).requireRefused(t, s, "a stranger's")
	for i := range 16 { // each part of it is authenticated
		raw := p.challenge(t)
		raw[18+i*6] ^= 1
		if c, err := parseChallenge(raw); err == nil {
			f := refresh()
			f.request.challenge = c
			f.requireRefused(t, s, "a changed one")
		}
	}
	signed := p.forgery(t, OpSign, p, rightPIN)
	signed.request.messages.digests[0] = digestOf("another")
	c, answered := signed.send(t, s)
	require.True(t, answered)
	require.Equal(t, codeRejected, c, "another digest")

	at := func(d time.Duration) []byte {
		return s.challenges.issue(forOwnUse, p.id, s.clock.Now().Add(d), DefaultChallengeLife, hash{})
	}
	refresh().with(t, at(clockSkew+time.Millisecond)).requireRefused(t, s, "from the future")
	c, answered = refresh().with(t, at(-DefaultChallengeLife)).send(t, s)
	require.True(t, answered)
	require.Equal(t, codeExpired, c, "at the very moment")
	require.Equal(t, before, loadRecord(t, s, p.id))
	c, _ = refresh().with(t, at(time.Millisecond-DefaultChallengeLife)).send(t, s)
	require.Equal(t, codeRight, c, "a millisecond before")
	q := newReadyPhone2(t, s)
	f := q.forgery(t, OpRefresh, q, rightPIN)
	f.with(t, s.challenges.issue(forOwnUse, q.id, s.clock.Now().Add(clockSkew), DefaultChallengeLife, hash{}))
	c, _ = f.send(t, s)
	require.Equal(t, codeRight, c, "a minute ahead")
}

// TestEnrolmentChallengeMustBe for an enrolment: one that anybody may ask for, or that is for a transaction, enrols nothing; nor does
// one of the future, for another key id, or that has expired, to the millisecond.
func TestEnrolmentChallengeMustBe(t *testing.T) {
	s := newService(t)
	id := KeyID{7}
	now := s.clock.Now()
	issue := func(p purpose, id KeyID, at time.Time) []byte {
		return s.challenges.issue(p, id, at, DefaultChallengeLife, hash{})
	}
	send := func(raw []byte) (*answer, error) {
		_, server := testShares()
		request, r, err := sealRequest(s.config.HPKE.Current.PublicKey(), OpEnroll, id, enrollmentOf(t, raw, server.Bytes()))
		require.NoError(t, err)
		response, err := s.Handle(t.Context(), request)
		if err != nil {
			return nil, err
		}
		opened, err := r.open(response)
		require.NoError(t, err)
		a, err := parseAnswer(opened)
		require.NoError(t, err)
		return a, nil
	}
	stranger, err := newChallengeKey(bytes.Repeat([]byte{4}, 32))
	require.NoError(t, err)
	for name, raw := range map[string][]byte{
		"own use":       issue(forOwnUse, id, now),
		"a transaction": issue(forTransaction, id, now),
		"another key":   issue(forEnrolment, KeyID{8}, now),
		"the future":    issue(forEnrolment, id, now.Add(clockSkew+time.Millisecond)),
		"a stranger's":  stranger.issue(forEnrolment, id, now, DefaultChallengeLife, hash{}),
	} {
		_, err := send(raw)
		require.ErrorIs(t, err, ErrRefused, name)
		require.Empty(t, s.stored(), name)
	}
	a, err := send(issue(forEnrolment, id, now.Add(-DefaultChallengeLife)))
	require.NoError(t, err)
	require.Equal(t, codeExpired, a.code)
	require.Empty(t, s.stored())
	a, err = send(issue(forEnrolment, id, now.Add(time.Millisecond-DefaultChallengeLife)))
	require.NoError(t, err)
	require.Equal(t, codeEnrolled, a.code)
}

// TestChallengesThatNobodyIssues do not parse: of an unknown purpose, of no life, of more than an hour, of the year 10000, and cut.
func TestChallengesThatNobodyIssues(t *testing.T) {
	key, err := newChallengeKey(bytes.Repeat([]byte{4}, 32))
	require.NoError(t, err)
	now := time.UnixMilli(1_800_000_000_000)
	end := time.UnixMilli(maxTime)
	for name, raw := range map[string][]byte{
		"no purpose":        key.issue(0, KeyID{}, now, time.Minute, hash{}),
		"unknown purpose":   key.issue(4, KeyID{}, now, time.Minute, hash{}),
		"no life":           key.issue(forOwnUse, KeyID{}, now, 0, hash{}),
		"over before":       key.issue(forOwnUse, KeyID{}, now, -time.Minute, hash{}),
		"too long":          key.issue(forOwnUse, KeyID{}, now, maxChallengeLife+time.Millisecond, hash{}),
		"expires in 10000":  key.issue(forOwnUse, KeyID{}, end.Add(-time.Second), time.Minute, hash{}),
		"before 1970":       key.issue(forOwnUse, KeyID{}, time.UnixMilli(-1), time.Minute, hash{}),
		"another version":   append([]byte{wireVersion + 1}, key.issue(forOwnUse, KeyID{}, now, time.Minute, hash{})[1:]...),
		"a byte too short":  key.issue(forOwnUse, KeyID{}, now, time.Minute, hash{})[1:],
		"a byte at the end": append(key.issue(forOwnUse, KeyID{}, now, time.Minute, hash{}), 0),
	} {
		_, err := parseChallenge(raw)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
	_, err = parseChallenge(key.issue(forOwnUse, KeyID{}, now, maxChallengeLife, hash{}))
	require.NoError(t, err)
}

// TestRecordsAreBoundToTheirKey: who can write to the store puts one key's sealed parts into another's record, or all of it under
// another id with its tries as new, and gets nothing for it.
func TestRecordsAreBoundToTheirKey(t *testing.T) {
	s := newService(t)
	victim := newReadyPhone(t, s)
	thief := newReadyPhone2(t, s)
	change := func(id KeyID, change func(r *record)) {
		value, version, err := s.store.Load(t.Context(), id.recordID())
		require.NoError(t, err)
		rec, err := parseRecord(value)
		require.NoError(t, err)
		change(rec)
		value, err = rec.encode()
		require.NoError(t, err)
		require.NoError(t, s.store.Swap(t.Context(), id.recordID(), version, value))
	}
	mine, theirs := loadRecord(t, s, thief.id), loadRecord(t, s, victim.id)

	// The victim's record once more, under another id, and a copy of the victim's phone.
	id := KeyID{5}
	value, err := theirs.encode()
	require.NoError(t, err)
	require.NoError(t, s.store.Create(t.Context(), id.recordID(), value))
	copied := copyOf(t, victim)
	f := copied.forgery(t, OpRefresh, copied, wrongPIN)
	f.id = id
	f.with(t, mustChallenge(t, s, id)).requireRefused(t, s, "a record under another id")

	// The victim's share behind the thief's own K_dev, and the victim's lockbox on the thief's phone.
	change(thief.id, func(r *record) { r.sealedShare, r.public = theirs.sealedShare, theirs.public })
	c, answered := thief.forgery(t, OpChangePIN, copied, rightPIN).send(t, s)
	require.True(t, answered)
	require.Equal(t, codeLater, c, "the sealer does not open it")

	// The thief's own share for the victim's final key, and the final key alone.
	change(thief.id, func(r *record) { r.sealedShare, r.public = mine.sealedShare, theirs.public })
	c, _ = thief.forgery(t, OpChangePIN, thief, rightPIN).send(t, s)
	require.Equal(t, codeLater, c, "another final key")
	change(thief.id, func(r *record) { r.public = mine.public })
	c, _ = thief.forgery(t, OpChangePIN, thief, rightPIN).send(t, s)
	require.Equal(t, codeRight, c)
}

func mustChallenge(t *testing.T, s *service, id KeyID) []byte {
	raw, err := s.Challenge(t.Context(), id)
	require.NoError(t, err)
	return raw
}

// TestPendingEndsOnTime: a key that waits for its confirmation is confirmed a millisecond before its end, and dead at it; and
// nothing but a confirmation is looked at.
func TestPendingEndsOnTime(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := newService(t)
		p := newPhone(t, s, nil)
		p.enroll(t)
		for _, op := range []Operation{OpSign, OpChangePIN, OpRefresh} {
			c, answered := p.forgery(t, op, p, rightPIN).send(t, s)
			require.True(t, answered)
			require.Equal(t, codeUnconfirmed, c, op)
		}
		s.clock.Add(DefaultPendingLife - time.Millisecond)
		if late {
			s.clock.Add(time.Millisecond)
		}
		err := p.Confirm(t.Context(), p.challenge(t), rightPIN)
		rec := loadRecord(t, s, p.id)
		if !late {
			require.NoError(t, err)
			require.Equal(t, Active, rec.condition)
			continue
		}
		require.ErrorIs(t, err, limiter.ErrDestroyed)
		require.Equal(t, Destroyed, rec.condition)
		require.Equal(t, ReasonExpired, rec.reason)
		require.Empty(t, rec.sealedShare)
	}
}

// TestEnrolledAnswerMustBe the device's own key or its product, with a challenge for this key: a server that answers anything else is
// not believed, and the enrolment stays open.
func TestEnrolledAnswerMustBe(t *testing.T) {
	s := newService(t)
	own, server := splitkeytest.Key(2048).PublicKey, splitkeytest.NamedKey(splitkeytest.Server, 2048).PublicKey
	product := new(big.Int).Mul(own.N, server.N)
	var forge func(*answer)
	p := newPhone(t, s, nil)
	p.config.Transport = func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := s.Handle(ctx, request)
		if err != nil || forge == nil {
			return response, err
		}
		st, err := parseDeviceState(p.state.data, nil)
		require.NoError(t, err)
		opened, err := st.pending.reply().open(response)
		require.NoError(t, err)
		a, err := parseAnswer(opened)
		require.NoError(t, err)
		forge(a)
		encoded, err := a.encode()
		require.NoError(t, err)
		return st.pending.reply().seal(encoded)
	}
	forge = func(e *answer) { e.public.N = server.N }
	client, share := testShares()
	options := EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: rightPIN, Client: client, Server: share}
	require.ErrorIs(t, p.Enroll(t.Context(), options), ErrAnswer)
	for name, f := range map[string]func(e *answer){
		"another exponent": func(e *answer) { e.public.E = 3 },
		"the square":       func(e *answer) { e.public.N = new(big.Int).Mul(own.N, own.N) },
		"a short factor":   func(e *answer) { e.public.N = new(big.Int).Mul(own.N, big.NewInt(7)) },
		"a factor of another size": func(e *answer) {
			e.public.N = new(big.Int).Mul(own.N, splitkeytest.NamedKey(splitkeytest.Server, 3072).N)
		},
		"no multiple":               func(e *answer) { e.public.N = new(big.Int).Add(product, big.NewInt(2)) },
		"another key's challenge":   func(e *answer) { e.challenge = mustChallenge(t, s, KeyID{9}) },
		"a challenge of no own use": func(e *answer) { e.challenge = mustEnrollChallenge(t, s) },
	} {
		forge = f
		_, err := p.Resume(t.Context())
		require.ErrorIs(t, err, ErrUnanswered, name)
		require.ErrorIs(t, err, ErrAnswer, name)
		status, err := p.Status()
		require.NoError(t, err)
		require.Equal(t, Enrolling, status.Phase, name)
	}
	forge = func(*answer) {}
	_, err := p.Resume(t.Context())
	require.NoError(t, err)
	forge = nil
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
}

// TestRequestsOfAnyLength: what is longer than MaxRequest is not decrypted.
func TestRequestsOfAnyLength(t *testing.T) {
	s := newService(t)
	pub := s.config.HPKE.Current.PublicKey()
	overhead := headerSize + encSize + tagSize
	for plain, want := range map[int]bool{MaxRequest - overhead: true, MaxRequest - overhead + 1: false, 1: true, 0: false} {
		request, _, err := sealRequest(pub, OpSign, KeyID{}, make([]byte, plain))
		require.NoError(t, err)
		_, err = parseEnvelope(request)
		require.Equal(t, want, err == nil, plain)
	}
}

// TestEnrolmentOfADeadKey: the same bytes are told that the key is dead, and of what.
func TestEnrolmentOfADeadKey(t *testing.T) {
	s := newService(t)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, server := testShares()
	request, r, err := sealRequest(s.config.HPKE.Current.PublicKey(), OpEnroll, id, enrollmentOf(t, challenge, server.Bytes()))
	require.NoError(t, err)
	require.Equal(t, codeEnrolled, deliver(t, s.Server, request, r).code)
	require.NoError(t, s.Revoke(t.Context(), id, "lost"))
	a := deliver(t, s.Server, request, r)
	require.Equal(t, codeDestroyed, a.code)
	require.Equal(t, ReasonRevoked, a.reason)
}
